"""Layers that torch has not, or not as fast.

MaxPool and BatchNorm are torch's, several times faster on a CPU when no gradient is needed: apart from convolutions,
scoring spends most of its time in them. On GPUs, in training, and wherever the fast path does not apply they are
torch's. RingConv is a convolution without the centre of its kernel. PointConv avoids a crash of torch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LANES = 32  # bfloat16 values in the widest register of a CPU (512 bits); twice the float32 ones


class MaxPool(nn.MaxPool2d):
    """Max pooling with an odd kernel and "same" padding, or strided with any, bit-identical to nn.MaxPool2d.

    A maximum over a rectangle is the maximum over columns of the maxima over rows. Each is an elementwise maximum of a
    few shifted copies of the image, which the processor vectorises in any memory format and dtype. torch's
    kernel, which also finds each maximum's position, is kept for training (that position gets the gradient; among
    equal values the two would distribute it differently) and for strides.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (b, c, h, w) to (b, c, h / stride, w / stride)."""
        if _wants_gradient(input) or input.device.type != "cpu" or self.stride != (1, 1):
            usual: Tensor = super().forward(input)
            return usual
        height, width = self.kernel_size  # type: ignore[misc]
        return _highest(_highest(input, 2, height // 2), 3, width // 2)


class BatchNorm(nn.BatchNorm2d):
    """nn.BatchNorm2d, faster with batch statistics only if the channels do not fill registers.

    In channels_last a pixel's channels are adjacent and torch's kernels process pixel by pixel: of 36 channels,
    32 in full registers and 4 value by value. Several adjacent pixels treated as more channels (8 pixels: 288) fill
    the registers. The groups' statistics are then combined: equal to torch's except for rounding.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (b, c, h, w) to (b, c, h, w)."""
        batch, channels, height, width = input.shape
        pixels = batch * height * width
        together = _together(channels, pixels)
        if together == 1 or not self._scores_on_cpu(input):
            usual: Tensor = super().forward(input)
            return usual
        rows = input.permute(0, 2, 3, 1).reshape(pixels // together, -1, 1, 1)  # (p / t, t * c, 1, 1), a view
        # dummy running statistics: they make torch compute in the parameters' dtype, not in the images'
        unused = torch.zeros(rows.shape[1], dtype=self.weight.dtype)
        means, variances = torch.batch_norm_update_stats(rows, unused, unused.clone(), 0.0)  # (t * c,) each
        means, variances = means.view(together, -1), variances.view(together, -1)  # (t, c)
        mean = means.mean(0)
        variance = variances.mean(0) + means.var(0, correction=0)  # within plus between groups
        mean, variance, weight, bias = (v.repeat(together) for v in (mean, variance, self.weight, self.bias))
        out = F.batch_norm(rows, mean, variance, weight, bias, training=False, eps=self.eps)
        return out.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def _scores_on_cpu(self, input: Tensor) -> bool:
        """Return whether only batch statistics are needed, without gradients, on a CPU in channels_last."""
        scores = self.training and not self.track_running_stats and not _wants_gradient(input, self.weight)
        return scores and input.device.type == "cpu" and input.is_contiguous(memory_format=torch.channels_last)


class RingConv(nn.Module):
    """A convolution whose kernel is 0 in a centre, with "same" padding and without bias.

    Added to a convolution by a kernel of the centre's size, it is one by the whole kernel. The centre has no
    parameters: `weight` is (out, channels / groups, positions), the rest of the kernel row by row. Initialise it by
    `fill`.
    """

    outside: Tensor

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: tuple[int, int],
        centre: tuple[int, int],
        stride: tuple[int, int],
        dilation: int,
        groups: int,
    ):
        super().__init__()
        self.kernel, self.stride, self.dilation, self.groups = kernel, stride, dilation, groups
        self.padding = tuple(side // 2 * dilation for side in kernel)
        left_out = torch.zeros(kernel, dtype=torch.bool)
        top, left = ((side - inner) // 2 for side, inner in zip(kernel, centre, strict=True))
        left_out[top : top + centre[0], left : left + centre[1]] = True
        self.register_buffer("outside", (~left_out).flatten().nonzero().flatten(), persistent=False)
        self.weight = nn.Parameter(torch.empty(out, channels // groups, len(self.outside)))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the whole kernel, (out, channels / groups, height, width)."""
        return (*self.weight.shape[:2], *self.kernel)

    @torch.no_grad()
    def fill(self, whole: Tensor) -> None:
        """Set the weights from a whole kernel, of which the centre is ignored."""
        self.weight.copy_(whole.flatten(2)[:, :, self.outside])

    def forward(self, input: Tensor) -> Tensor:
        """Map (b, c, h, w) to (b, out, h / stride, w / stride)."""
        out, depth, height, width = self.shape
        kernel = self.weight.new_zeros(out, depth, height * width).index_copy(2, self.outside, self.weight)
        return F.conv2d(input, kernel.view(self.shape), None, self.stride, self.padding, self.dilation, self.groups)


class PointConv(nn.Conv2d):
    """A 1x1 convolution with a stride: that of the pixels it reads, with the same parameters and FLOPs.

    torch 2.13's own one for CPUs writes out of bounds in the backward pass, for channels-last tensors of few channels
    (3, 4 and 6 of them abort the process), if it has a stride.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (b, c, h, w) to (b, out, h / stride, w / stride)."""
        down, right = self.stride
        return F.conv2d(input[:, :, ::down, ::right], self.weight, self.bias, groups=self.groups)


def _together(channels: int, pixels: int) -> int:
    """Return how many adjacent pixels fill registers: the least such power of two, while it divides `pixels`."""
    together = 1
    while channels * together % LANES and pixels % (2 * together) == 0:
        together *= 2
    return together


def _wants_gradient(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _highest(x: Tensor, dim: int, reach: int) -> Tensor:
    """Return at each position the maximum over values at most `reach` away along `dim`; NaN if any is NaN."""
    found = x.clone(memory_format=torch.preserve_format)
    for shift in range(1, min(reach, x.shape[dim] - 1) + 1):
        rest = x.shape[dim] - shift
        for here, there in ((shift, 0), (0, shift)):
            target = found.narrow(dim, here, rest)
            torch.maximum(target, x.narrow(dim, there, rest), out=target)
    return found

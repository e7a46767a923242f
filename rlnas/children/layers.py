"""Two of torch's layers that a CPU runs several times faster when no gradient is asked for.

Scoring spends most of its time beside convolutions in them. On GPUs, in training, and wherever the short cut does not
apply they are torch's.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LANES = 32  # bfloat16 values in the widest register of a CPU (512 bits); twice the float32 ones


class MaxPool(nn.MaxPool2d):
    """3x3 (or any odd) maxima with "same" padding, as nn.MaxPool2d has them to the bit.

    A maximum over a square is one over its columns of those over its rows, and each is the larger of a few
    shifted copies of the image: whole-image operations that the processor does many values at a time in any
    layout and number format. torch's kernel, which also finds where each maximum lies, is kept for training
    (that place gets the gradient; among equal values the two would share it differently) and for strides.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h / stride, w / stride)."""
        if _wants_gradient(input) or input.device.type != "cpu" or self.stride != (1, 1):
            usual: Tensor = super().forward(input)
            return usual
        height, width = self.kernel_size  # type: ignore[misc]
        return _highest(_highest(input, 2, height // 2), 3, width // 2)


class BatchNorm(nn.BatchNorm2d):
    """nn.BatchNorm2d; by the batch's statistics alone it is faster for channels that do not fill registers.

    In channels_last a pixel's channels lie together, and torch's kernels take them pixel by pixel: of 36 channels,
    32 in full registers and 4 value by value. Several pixels side by side, as if they were more channels (8 pixels:
    288), fill the registers. Statistics are those of the groups joined: equal to torch's but for rounding.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        batch, channels, height, width = input.shape
        pixels = batch * height * width
        together = _together(channels, pixels)
        if together == 1 or not self._scores_on_cpu(input):
            usual: Tensor = super().forward(input)
            return usual
        rows = input.permute(0, 2, 3, 1).reshape(pixels // together, -1, 1, 1)  # (p / t, t * c, 1, 1), a view
        # of no other use than that torch then computes in the parameters' format, not in the images'
        unused = torch.zeros(rows.shape[1], dtype=self.weight.dtype)
        means, variances = torch.batch_norm_update_stats(rows, unused, unused.clone(), 0.0)  # (t * c,) each
        means, variances = means.view(together, -1), variances.view(together, -1)  # (t, c)
        mean = means.mean(0)
        variance = variances.mean(0) + means.var(0, correction=0)  # within the groups and between them
        mean, variance, weight, bias = (v.repeat(together) for v in (mean, variance, self.weight, self.bias))
        out = F.batch_norm(rows, mean, variance, weight, bias, training=False, eps=self.eps)
        return out.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def _scores_on_cpu(self, input: Tensor) -> bool:
        """Whether the batch's own statistics are asked for, none are remembered, and the layout is the right one."""
        own = self.training and not self.track_running_stats and not _wants_gradient(input, self.weight)
        return own and input.device.type == "cpu" and input.is_contiguous(memory_format=torch.channels_last)


def _together(channels: int, pixels: int) -> int:
    """How many pixels side by side fill registers with their channels: the least power of two, if it divides them."""
    together = 1
    while channels * together % LANES and pixels % (2 * together) == 0:
        together *= 2
    return together


def _wants_gradient(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _highest(x: Tensor, dim: int, reach: int) -> Tensor:
    """At each place the maximum over those at most `reach` away along `dim`; NaN if one of them is."""
    found = x.clone(memory_format=torch.preserve_format)
    for shift in range(1, min(reach, x.shape[dim] - 1) + 1):
        rest = x.shape[dim] - shift
        for here, there in ((shift, 0), (0, shift)):
            target = found.narrow(dim, here, rest)
            torch.maximum(target, x.narrow(dim, there, rest), out=target)
    return found

"""Images in memory: one split (`Images`), and a data set with its three splits (`ImageData`).

Axis letters: n images of a split, b images of a batch, c channels, h rows, w columns.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rlnas.data.augment import Augmentation, augment
from rlnas.errors import RlnasError


@dataclass(frozen=True)
class Images:
    """One split: every image decoded, in memory, on one device.

    Attributes:
        pixels: uint8 (n, c, h, w).
        labels: int64 (n,), in range(number of classes).
    """

    pixels: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        assert self.pixels.dtype == torch.uint8, self.pixels.dtype
        assert self.pixels.ndim == 4, self.pixels.shape
        assert self.labels.dtype == torch.int64, self.labels.dtype
        assert self.labels.shape == self.pixels.shape[:1], (self.labels.shape, self.pixels.shape)

    def __len__(self) -> int:
        return len(self.labels)

    def digests(self) -> list[bytes]:
        """Return a 128-bit hash of each image's pixels; equal images have equal hashes."""
        pixels = self.pixels.cpu().flatten(1).numpy()  # (n, c * h * w)
        return [hashlib.blake2b(image, digest_size=16).digest() for image in pixels]

    def take(self, index: Tensor) -> "Images":
        """Return the images at the positions `index`, int64 (k,) on the same device, in that order."""
        return Images(self.pixels.index_select(0, index), self.labels.index_select(0, index))

    def in_content_order(self) -> "Images":
        """Return the images sorted by a digest of pixels and label: shuffled, whatever the original order.

        Files are often sorted by class or time, so a batch of consecutive ones would not be a sample of the split.
        """
        keys, labels = self.digests(), self.labels.tolist()
        order = sorted(range(len(self)), key=lambda i: (keys[i], labels[i]))
        return self.take(torch.tensor(order, dtype=torch.int64, device=self.labels.device))

    @property
    def coloured(self) -> int:
        """Number of images with a pixel whose red, green and blue differ."""
        return int((self.pixels != self.pixels[:, :1]).flatten(1).any(1).sum())

    def grey(self) -> "Images":
        """Return the images with one channel: ITU-R 601 luma, as Pillow's mode L; equal channels keep their value."""
        if self.pixels.shape[1] == 1:
            return self
        weights = torch.tensor([19595, 38470, 7471], device=self.pixels.device)  # in units of 2^-16, sum 1
        luma = (self.pixels.to(torch.int32) * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)  # (n, 1, h, w)
        return Images((luma + 2**15).bitwise_right_shift(16).to(torch.uint8), self.labels)

    def to(self, device: torch.device) -> "Images":
        """Return the images on another device."""
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Decoded:
    """One split as decoded by a source.

    Attributes:
        images: on the CPU.
        classes: names of the classes, by label.
        splits: the source's name of each of its splits, by role (train, valid, test); "unlabelled" and "unused":
            names of splits that are not read. Empty where the source has classes but no splits.
        frames: number of images with several frames, of which the first was read.
    """

    images: Images
    classes: tuple[str, ...]
    splits: dict[str, str] = field(default_factory=dict)
    frames: int = 0


@dataclass(frozen=True)
class ImageData:
    """A data set as the search uses it: train and valid in memory, test read on request only.

    Attributes:
        name: the data set in use: "cifar10", "digits", "folder:<name of the folder>" or the hub id.
        classes: names of the classes; a label is a position in this tuple.
        channels: 1 (digits) or 3.
        size: height and width of an image in pixels.
        train, valid: the two parts into which the training images were split.
        mean, std: float32 (c,), of the training part, on the scale 0..1.
        augmentation: as configured; that of the digits where they replace another data set.
        fallback: why digits replace the configured data set, in one sentence; None if they do not.
        left_out: number of files found but not read, by reason; see `listing.REASONS`.
        notes: sentences on how the data were read and what was not read; reading the test split adds more.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    size: int
    train: Images
    valid: Images
    mean: Tensor
    std: Tensor
    augmentation: Augmentation
    read_test: Callable[[], Decoded] = field(repr=False)
    fallback: str | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def test(self) -> Images:
        """Read the test split at this call, never earlier. Raises RlnasError if it is missing or damaged."""
        test = self.read_test()
        if test.classes != self.classes:
            raise RlnasError(
                f"the test split of {self.name} has other classes than its training split: expected "
                f"{', '.join(self.classes)}, got {', '.join(test.classes)}; the two probably come from different "
                "data sets: replace the test split"
            )
        return test.images.to(self.train.pixels.device)

    def augment(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Return an augmented copy of a batch, uint8 (b, c, h, w), by `augmentation`; see `augment.augment`."""
        how = self.augmentation
        return augment(pixels, generator, crop=how.crop, flip=how.flip, cutout=how.cutout)

    def prepare(self, pixels: Tensor, channels_last: bool = False) -> Tensor:
        """Return the batch as input of the network, float32 (b, c, h, w); see `images.prepare`."""
        return prepare(pixels, self.mean, self.std, channels_last)


def prepare(pixels: Tensor, mean: Tensor, std: Tensor, channels_last: bool = False) -> Tensor:
    """Normalise a batch: (pixels / 255 - mean) / std.

    Args:
        pixels: uint8 (b, c, h, w).
        mean, std: float32 (c,), on the scale 0..1.
        channels_last: return the channels_last memory format, which is faster for convolutions on CPU and GPU.

    Returns:
        float32 (b, c, h, w).
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    out = pixels.to(torch.float32, memory_format=layout)  # (b, c, h, w)
    scale = 1 / (255 * std)
    return out.mul_(scale.view(-1, 1, 1)).sub_((mean / std).view(-1, 1, 1))


def statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel of uint8 (n, c, h, w) on the CPU: float32 (c,), scale 0..1.

    Computed from counts of values, so the result does not depend on the order of the images or the thread count.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in pixels.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()  # (256,)
        mean = (share * values).sum()
        means.append(mean)
        stds.append((share * (values - mean) ** 2).sum().sqrt())
    # A constant channel has standard deviation 0; a minimum of one grey level keeps the division finite.
    return torch.stack(means).float(), torch.stack(stds).clamp(min=1 / 255).float()

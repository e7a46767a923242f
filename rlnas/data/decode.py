"""Compressed images -> uint8 RGB, and the choice of held-out images where a source has no test split."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from torch import Tensor

from rlnas.errors import RlnasError

TEST_SHARE = 0.15  # of the images of each class, where the source itself has no test split
# What Pillow raises for a file that is broken or no image.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError)


def decode(images: Sequence[bytes | Path], names: Sequence[str], size: int) -> Tensor:
    """Decode n compressed images to RGB of size x size pixels: uint8 (n, 3, size, size).

    Args:
        images: contents of an image file, or its path.
        names: what to call each image in an error message.
        size: side in pixels; an image of another shape is resized, its aspect ratio is not kept.

    Raises:
        RlnasError: an image is broken or has more than 8 bits a channel.
    """
    pixels = np.empty((len(images), size, size, 3), np.uint8)
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        try:
            with PIL.Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
                pixels[i] = np.asarray(_rgb(opened, size))
        except BROKEN as error:
            raise RlnasError(
                f"{name} is not an image that can be read ({type(error).__name__}: {one_line(error)}); it is probably "
                "truncated or no image at all: replace it or take it out"
            ) from error
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()  # (n, 3, size, size)


def _rgb(image: PIL.Image.Image, size: int) -> PIL.Image.Image:
    if image.mode.startswith(("I", "F")):  # Pillow would clip these to white instead of scaling them
        raise ValueError(f"mode {image.mode} has more than 8 bits a channel; convert it to 8 bits")
    PIL.ImageOps.exif_transpose(image, in_place=True)  # photographs lie as the camera was held
    if image.mode == "P":  # Pillow warns unless a palette with transparency goes by way of RGBA
        image = image.convert("RGBA")
    if image.mode != "RGB":
        image = image.convert("RGB")
    return image if image.size == (size, size) else image.resize((size, size), PIL.Image.Resampling.BILINEAR)


def one_line(error: BaseException) -> str:
    """The message of an exception without its line breaks."""
    return " ".join(str(error).split())


def fixed_order(keys: Sequence[str]) -> list[int]:
    """Positions of the keys in an order that looks random and depends on the keys alone.

    A digest, not a seeded generator: the test split stays the same for every seed and every version of numpy.
    """
    digests = [hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest() for key in keys]
    return sorted(range(len(keys)), key=digests.__getitem__)


def hold_out(keys: Sequence[str], labels: Sequence[int], classes: Sequence[str]) -> tuple[list[int], list[int]]:
    """Positions (train, test): a fixed `TEST_SHARE` of each class, at least one image, is the test split.

    Raises:
        RlnasError: a class has fewer than two images.
    """
    train: list[int] = []
    test: list[int] = []
    order = fixed_order(keys)
    for label, name in enumerate(classes):
        members = [i for i in order if labels[i] == label]
        if len(members) < 2:
            raise RlnasError(
                f"too few images: class {name!r} has {len(members)}, but needs at least 2, one of them for the "
                "test split; add images, or give the data set a test split of its own"
            )
        n_test = max(1, round(TEST_SHARE * len(members)))
        test += members[:n_test]
        train += members[n_test:]
    return sorted(train), sorted(test)

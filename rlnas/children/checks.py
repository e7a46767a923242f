"""Checks of a network's input images; errors say in one line what was expected, what came and what to do."""

from typing import Any

import torch
from torch import Tensor

from rlnas.errors import RlnasError


def check_pixels(pixels: Any, channels: int, size: tuple[int, int]) -> None:
    """Raise RlnasError unless `pixels` is a uint8 tensor (b, channels, *size)."""
    expected = f"predict takes uint8 images {_shape(channels, size)}"
    if not isinstance(pixels, Tensor):
        raise RlnasError(f"{expected} as a torch.Tensor, got {_kind(pixels)}; torch.from_numpy(array) makes one")
    if pixels.dtype != torch.uint8:
        if pixels.is_floating_point():
            advice = "for images in 0..1: (255 * images).round().to(torch.uint8); normalised ones go to child(images)"
        else:
            advice = "for values in 0..255: pixels.to(torch.uint8)"
        raise RlnasError(f"{expected}, got {_name(pixels.dtype)}; {advice}")
    _check_shape(pixels, channels, size, expected)


def check_normalised(images: Any, channels: int, size: tuple[int, int]) -> None:
    """Raise RlnasError unless `images` is a floating-point tensor (b, channels, *size)."""
    expected = f"the network takes normalised float images {_shape(channels, size)}"
    if not isinstance(images, Tensor):
        raise RlnasError(f"{expected} as a torch.Tensor, got {_kind(images)}")
    if not images.is_floating_point():
        raise RlnasError(f"{expected}, got {_name(images.dtype)}; child.predict takes uint8 images as they are")
    _check_shape(images, channels, size, expected)


def _check_shape(images: Tensor, channels: int, size: tuple[int, int], expected: str) -> None:
    shape = tuple(images.shape)
    if len(shape) == 4 and shape[1:] == (channels, *size):
        return
    raise RlnasError(f"{expected}, got shape {shape}; {_advice(shape, channels, size)}")


def _advice(shape: tuple[int, ...], channels: int, size: tuple[int, int]) -> str:
    """Return advice on how to convert images of `shape`."""
    if shape == (channels, *size):
        return "for one image: images[None]"
    if channels == 1 and len(shape) == 3 and shape[1:] == size:
        return "the channel is missing: images[:, None]"
    if len(shape) != 4:
        return "give a batch of images with their channels"
    if shape[1:] == (*size, channels):
        return "channels come before height and width: images.permute(0, 3, 1, 2)"
    if shape[2:] != size:
        return f"resize the images to the {size[0]}x{size[1]} pixels that the network was trained on"
    if (shape[1], channels) == (1, 3):
        return "the network was trained on colour images; grey ones become such by images.expand(-1, 3, -1, -1)"
    if (shape[1], channels) == (3, 1):
        return "the network was trained on grey images; convert them, e.g. by torchvision's rgb_to_grayscale"
    return f"the network was trained on images of {channels} channels"


def _shape(channels: int, size: tuple[int, int]) -> str:
    return f"(b, {channels}, {size[0]}, {size[1]})"


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

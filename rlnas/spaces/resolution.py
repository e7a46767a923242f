"""Checks that the maps of a network can be halved as often as its space asks for."""

from rlnas.errors import RlnasError


def check_reducible(size: tuple[int, int], after: str, image_size: int, fewer: str) -> None:
    """Raise RlnasError if maps of `size` (height, width) are a single pixel, which nothing can halve.

    after: the part of the network that ends with them. image_size: side of the images in pixels. fewer: the remedy
    in the space's options.
    """
    if size == (1, 1):
        raise RlnasError(
            f"the network's maps are 1x1 pixel after {after} and cannot be pooled further: the images have "
            f"{image_size}x{image_size} pixels. Choose {fewer}, a smaller space.stem_stride, or larger images"
        )

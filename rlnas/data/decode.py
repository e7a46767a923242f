"""Decode compressed images to uint8 RGB; choose held-out images where a source has no test split."""

import hashlib
import io
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageColor
import torch
from torch import Tensor

from rlnas.errors import RlnasError

TEST_SHARE = 0.15  # of the images of each class, where the source has no test split
ORIENTATION = 0x0112  # EXIF tag
UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
BITS_PER_SAMPLE = 258  # TIFF tag
Colour = tuple[int, int, int]


def parse_colour(text: str) -> Colour:
    """Return red, green and blue, 0..255, of a name or hexadecimal number in the syntax of Pillow's ImageColor.

    Raises:
        RlnasError: not a colour, or one with an alpha channel.
    """
    try:
        colour = PIL.ImageColor.getrgb(text)
    except ValueError:
        colour = None
    if colour is None or len(colour) == 4:
        raise RlnasError(
            f"data.background={text} is no opaque colour; expected a name such as white or black, or #rrggbb "
            "(in a shell: 'data.background=\"#ff8000\"')"
        )
    return colour


def decode(
    images: Sequence[bytes | Path],
    names: Sequence[str],
    size: int,
    background: Colour = (255, 255, 255),
    counts: Counter[str] | None = None,
) -> Tensor:
    """Decode n compressed images to RGB of size x size pixels: uint8 (n, 3, size, size).

    Args:
        images: for each, the content of the image file or its path. Only the first frame is read.
        names: name of each image in error messages.
        size: side in pixels; an image of another shape is resized without keeping its aspect ratio.
        background: colour, 0..255, behind transparent pixels.
        counts: "frames" is increased by the number of images with more than one frame.

    Raises:
        RlnasError: an image is broken, or its largest grey value is unknown.
    """
    pixels = np.empty((len(images), size, size, 3), np.uint8)
    with warnings.catch_warnings():
        # Pillow warns about tags that are not read here, without the file's name.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        for i, (image, name) in enumerate(zip(images, names, strict=True)):
            try:
                with PIL.Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
                    if counts is not None and _has_frames(opened):
                        counts["frames"] += 1
                    opened.load()
                    pixels[i] = np.asarray(_square(_upright(_rgb(opened, background), opened), size))
            except Exception as error:  # for broken files plugins raise any type, such as struct.error or KeyError
                raise RlnasError(f"{name} cannot be read: {_cause(image, error)}; replace it or take it out") from error
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()  # (n, 3, size, size)


def _cause(image: bytes | Path, error: Exception) -> str:
    if isinstance(error, PIL.UnidentifiedImageError):
        content = len(image) if isinstance(image, bytes) else image.stat().st_size
        return "its content is that of no image format that Pillow knows" if content else "it is empty"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error) or type(error).__name__


def _has_frames(image: PIL.Image.Image) -> bool:
    """Return whether frames or pages follow the first one. MPO's are previews of a photograph and do not count."""
    if image.format == "MPO":
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # the second frame is broken: only the first one is used
        return False


def _upright(image: PIL.Image.Image, original: PIL.Image.Image) -> PIL.Image.Image:
    """Rotate or mirror by EXIF's orientation. Nothing else of the EXIF block is read; a broken block is ignored."""
    try:
        method = UPRIGHT.get(original.getexif().get(ORIENTATION, 1))
    except Exception:  # cameras and editors write blocks that fail in any way
        return image
    return image if method is None else image.transpose(method)


def _rgb(image: PIL.Image.Image, background: Colour) -> PIL.Image.Image:
    """Convert any mode to RGB; transparent pixels show the background."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    transparency = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(transparency, tuple) and max(transparency) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in transparency)  # of a 16-bit PNG, read as 8 bits
    # A palette may hold alpha values without "transparency" in the info.
    if image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        ground = PIL.Image.new("RGBA", image.size, (*background, 255))
        ground.alpha_composite(image)
        image = ground
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Convert grey values of more than 8 bits to L or LA, scaled linearly by the format's largest value."""
    bits = 16
    if image.format == "TIFF":
        bits = int(image.tag_v2.get(BITS_PER_SAMPLE, (16,))[0])  # type: ignore[attr-defined]
    # Pillow gives mode I to 16-bit PNG and PGM files in some versions, and to 32-bit or signed values in others.
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if not sixteen:
        kind = "floating-point numbers" if image.mode == "F" else "signed or 32-bit integers"
        raise ValueError(f"its grey values are {kind}, whose brightest value is not known: convert it to 8 or 16 bits")
    values = np.asarray(image).astype(np.int64)  # (h, w)
    brightest = (1 << bits) - 1
    grey = PIL.Image.fromarray(((values * 255 + brightest // 2) // brightest).clip(0, 255).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(PIL.Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _square(image: PIL.Image.Image, size: int) -> PIL.Image.Image:
    return image if image.size == (size, size) else image.resize((size, size), PIL.Image.Resampling.BILINEAR)


def one_line(error: BaseException) -> str:
    """Return the message of an exception without its line breaks."""
    return " ".join(str(error).split())


def fixed_order(keys: Sequence[str]) -> list[int]:
    """Return the positions of the keys in a pseudo-random order that depends on the keys alone.

    Sorted by a digest, not by a seeded generator: the test split is the same for every seed and numpy version.
    """
    digests = [hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest() for key in keys]
    return sorted(range(len(keys)), key=digests.__getitem__)


def hold_out(keys: Sequence[str], labels: Sequence[int], classes: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return positions (train, test); the test split is a fixed `TEST_SHARE` of each class, at least one image.

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

"""Transparency, more than 8 bits, orientation and frames: what an image viewer shows is what is read."""

import io
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from rlnas.data.decode import decode, parse_colour
from rlnas.errors import RlnasError

SIZE = 4
RED, WHITE, BLACK, ORANGE = (255, 0, 0), (255, 255, 255), (0, 0, 0), (255, 128, 0)


def content(image: PIL.Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def read(encoded: bytes, **options: object) -> torch.Tensor:
    """The image as (h, w, 3)."""
    return decode([encoded], ["x"], SIZE, **options)[0].permute(1, 2, 0)


def half(mode: str) -> PIL.Image.Image:
    """Left half black and transparent, right half red (or light grey) and opaque."""
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    alpha[:, SIZE // 2 :] = 255
    colour = np.zeros((SIZE, SIZE, 4), np.uint8)
    colour[:, SIZE // 2 :, 0] = 255
    colour[..., 3] = alpha
    rgba = PIL.Image.fromarray(colour)
    if mode == "LA":
        return PIL.Image.merge("LA", [PIL.Image.fromarray(alpha // 2), PIL.Image.fromarray(alpha)])
    return rgba


def with_palette(kind: str) -> bytes:
    image = PIL.Image.new("P", (SIZE, SIZE), 0)
    image.putpalette([0, 0, 0, *RED])
    image.paste(1, (SIZE // 2, 0, SIZE, SIZE))
    return content(image, kind, transparency=0)


def keyed(mode: str) -> bytes:
    """Black is declared transparent, as PNG's tRNS chunk does for images without alpha channel."""
    image = PIL.Image.new(mode, (SIZE, SIZE), 0)
    image.paste({"L": 200, "1": 1, "RGB": RED, "I;16": 200 * 257}[mode], (SIZE // 2, 0, SIZE, SIZE))
    return content(image, transparency={"RGB": BLACK}.get(mode, 0))


TRANSPARENT: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "RGBA": (content(half("RGBA")), RED),
    "RGBA in WebP": (content(half("RGBA"), "WEBP", lossless=True), RED),
    "RGBA in TIFF": (content(half("RGBA"), "TIFF"), RED),
    "LA": (content(half("LA")), (127, 127, 127)),
    "palette with a transparent entry": (with_palette("PNG"), RED),
    "GIF with a transparent entry": (with_palette("GIF"), RED),
    "L with a transparent value": (keyed("L"), (200, 200, 200)),
    "1 with a transparent value": (keyed("1"), WHITE),
    "RGB with a transparent colour": (keyed("RGB"), RED),
    "16 bits with a transparent value": (keyed("I;16"), (200, 200, 200)),
}


@pytest.mark.parametrize("ground", [WHITE, BLACK, ORANGE])
@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparent_parts_show_the_background(kind: str, ground: tuple[int, int, int]) -> None:
    encoded, opaque = TRANSPARENT[kind]
    pixels = read(encoded, background=ground)
    assert pixels[0, 0].tolist() == list(ground)
    assert pixels[0, -1].tolist() == list(opaque)


def test_half_transparent_parts_are_mixed() -> None:
    image = PIL.Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 51))  # a fifth of black
    assert read(content(image))[0, 0].tolist() == [204, 204, 204]


def test_the_hidden_colour_of_transparent_pixels_does_not_bleed_when_resized() -> None:
    image = half("RGBA").resize((64, 64), PIL.Image.Resampling.NEAREST)
    pixels = np.asarray(image).copy()
    pixels[:, :32, 1] = 255  # invisible green
    shown = read(content(PIL.Image.fromarray(pixels)))
    assert (shown[..., 1] <= shown[..., 0]).all()


def test_palettes_with_alpha_of_several_strengths() -> None:
    image = PIL.Image.new("P", (SIZE, SIZE), 1)
    image.putpalette([0, 0, 0, 0, 0, 0])
    assert read(content(image, transparency=b"\x00\x33"))[0, 0].tolist() == [204, 204, 204]


@pytest.mark.parametrize("text", ["white", "#ffffff", "#FFF", "rgb(255,255,255)", "hsl(0,0%,100%)"])
def test_colours(text: str) -> None:
    assert parse_colour(text) == WHITE


@pytest.mark.parametrize("text", ["", "whiite", "#ffffff80", "ffffff", "12", "#ggg"])
def test_what_is_no_opaque_colour_is_refused(text: str) -> None:
    with pytest.raises(RlnasError, match=f"data.background={text} is no opaque colour; expected a name such as white"):
        parse_colour(text)


def levels(values: list[int]) -> np.ndarray:
    return np.repeat(np.array([values], np.uint16), SIZE, axis=0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled(kind: str) -> None:
    image = PIL.Image.fromarray(levels([0, 257, 128 * 257, 65535]))
    assert read(content(image, kind))[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_tiff_of_12_and_16_bits_by_its_own_number_of_bits(order: str) -> None:
    image = PIL.Image.fromarray(levels([0, 4095, 32768, 65535]))
    assert read(content(image, "TIFF", big_tiff=order == ">"))[0, :, 0].tolist() == [0, 16, 128, 255]


def test_pgm_of_16_bits_is_scaled() -> None:
    body = levels([0, 257, 128 * 257, 65535]).astype(">u2").tobytes()
    assert read(b"P5 4 4 65535\n" + body)[0, :, 0].tolist() == [0, 1, 128, 255]
    ten_bits = levels([0, 4, 512, 1023]).astype(">u2").tobytes()
    assert read(b"P5 4 4 1023\n" + ten_bits)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_all_grey_levels_of_16_bits_are_rounded_not_clipped() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    pixels = decode([content(PIL.Image.fromarray(values))], ["x"], 256)[0, 0]
    assert torch.equal(pixels, torch.from_numpy(np.rint(values / 257).astype(np.uint8)))


@pytest.mark.parametrize(
    ("image", "cause"),
    [
        (PIL.Image.new("F", (4, 4)), "floating-point numbers"),
        (PIL.Image.new("I", (4, 4)), "signed or 32-bit integers"),
    ],
)
def test_grey_without_a_known_brightest_value_is_refused_with_the_cause_alone(
    image: PIL.Image.Image, cause: str
) -> None:
    with pytest.raises(
        RlnasError, match=f"^x cannot be read: its grey values are {cause}, .*8 or 16 bits; replace"
    ) as e:
        read(content(image, "TIFF"))
    assert "truncated" not in str(e.value)


def corner(orientation: int | None) -> bytes:
    """White corner at the top left, as stored; an odd resolution that cannot be written again."""
    image = PIL.Image.new("RGB", (64, 64))
    image.paste(WHITE, (0, 0, 32, 32))
    encoded = content(image, "JPEG", quality=100)
    if orientation is None:
        return encoded
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack("<HHII", 0x011A, 10, 1, 38)
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", 2) + entries + struct.pack("<Iii", 0, -1, 0)
    return encoded[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + encoded[2:]


@pytest.mark.parametrize(
    ("orientation", "row", "column"),
    [
        (None, 0, 0),
        (1, 0, 0),
        (2, 0, -1),
        (3, -1, -1),
        (4, -1, 0),
        (5, 0, 0),
        (6, 0, -1),
        (7, -1, -1),
        (8, -1, 0),
        (9, 0, 0),
    ],
)
def test_photographs_are_turned_upright_whatever_else_is_in_the_block(
    orientation: int | None, row: int, column: int
) -> None:
    bright = read(corner(orientation))[..., 0] > 128
    assert bright.sum() == SIZE  # a quarter
    assert bright[row, column]


@pytest.mark.parametrize("block", [b"", b"II", b"garbage" * 9, b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\xff\xff"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_broken_block_turns_nothing_and_ends_nothing(block: bytes, kind: str) -> None:
    image = PIL.Image.new("RGB", (SIZE, SIZE), RED)
    plain = read(content(image, kind))
    assert torch.equal(read(content(image, kind, exif=b"Exif\0\0" + block)), plain)


def test_a_tiff_with_an_odd_tag_is_read() -> None:
    """TIFF's orientation is a tag of the image's own directory."""
    image = PIL.Image.new("RGB", (8, 8))
    image.paste(WHITE, (0, 0, 4, 4))
    encoded = content(image, "TIFF", tiffinfo={0x0112: 6})
    assert (read(encoded)[0] > 128).all(1).tolist() == [False, False, True, True]


def test_images_of_several_frames_are_counted(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", (SIZE, SIZE), colour) for colour in (RED, BLACK, WHITE)]
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        counts: Counter[str] = Counter()
        options = {"lossless": True} if kind == "WEBP" else {}
        moving = content(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert read(moving, counts=counts)[0, 0].tolist() == list(RED)
        assert counts == {"frames": 1}, kind
        read(content(frames[0], kind), counts=counts)
        assert counts == {"frames": 1}, kind


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "L"])
def test_jpeg_of_other_colour_spaces(mode: str) -> None:
    encoded = content(PIL.Image.new("RGB", (SIZE, SIZE), WHITE).convert(mode), "JPEG", quality=100)
    assert read(encoded).min() >= 250

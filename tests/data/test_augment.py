import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rlnas.data import augment
from rlnas.data.augment import DRAW


def batch(b: int = 16, c: int = 3, h: int = 8, w: int = 8, seed: int = 1) -> Tensor:
    return torch.randint(1, 256, (b, c, h, w), dtype=torch.uint8, generator=generator(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reference(pixels: Tensor, seed: int, crop: int, flip: bool, cutout: int) -> Tensor:
    """One image and one pixel at a time, in plain Python."""
    b, _, h, w = pixels.shape
    draws = torch.randint(DRAW, (5, b), generator=generator(seed)).tolist()
    out = torch.zeros_like(pixels)
    for i, (top, left, mirrored, row, column) in enumerate(zip(*draws, strict=True)):
        down, right = top % (2 * crop + 1) - crop, left % (2 * crop + 1) - crop
        hole_top, hole_left = row % h - cutout // 2, column % w - cutout // 2
        for y in range(h):
            for x in range(w):
                in_hole = 0 <= y - hole_top < cutout and 0 <= x - hole_left < cutout
                from_y, from_x = y + down, (w - 1 - x if flip and mirrored % 2 else x) + right
                if not in_hole and 0 <= from_y < h and 0 <= from_x < w:
                    out[i, :, y, x] = pixels[i, :, from_y, from_x]
    return out


@settings(max_examples=40)
@given(
    b=st.integers(1, 5),
    c=st.sampled_from([1, 3]),
    h=st.integers(1, 7),
    w=st.integers(1, 7),
    crop=st.integers(0, 9),
    flip=st.booleans(),
    cutout=st.integers(0, 9),
    seed=st.integers(0, 2**32),
)
def test_equals_the_slow_reference(
    b: int, c: int, h: int, w: int, crop: int, flip: bool, cutout: int, seed: int
) -> None:
    pixels = batch(b, c, h, w)
    before = pixels.clone()
    out = augment(pixels, generator(seed), crop=crop, flip=flip, cutout=cutout)
    assert out.dtype == torch.uint8
    assert out.is_contiguous()
    assert torch.equal(out, reference(pixels, seed, crop, flip, cutout))
    assert torch.equal(pixels, before)


def test_channels_last_input_gives_the_same_pixels() -> None:
    pixels = batch()
    strided = pixels.contiguous(memory_format=torch.channels_last)
    how = {"crop": 2, "flip": True, "cutout": 3}
    assert torch.equal(augment(pixels, generator(), **how), augment(strided, generator(), **how))


def test_all_off_is_a_copy() -> None:
    pixels = batch()
    out = augment(pixels, generator())
    assert torch.equal(out, pixels)
    assert out.data_ptr() != pixels.data_ptr()


def test_same_seed_same_images_and_another_seed_others() -> None:
    pixels = batch()
    first, second, other = (augment(pixels, generator(seed), crop=2, flip=True, cutout=3) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_every_image_is_augmented_in_its_own_way() -> None:
    pixels = batch(1).expand(64, -1, -1, -1)
    for how in ({"crop": 2}, {"cutout": 3}):
        assert len(augment(pixels, generator(), **how).unique(dim=0)) > 10
    assert len(augment(pixels, generator(), flip=True).unique(dim=0)) == 2


def test_all_offsets_and_both_sides_occur_about_equally_often() -> None:
    pixels = torch.zeros(4500, 1, 3, 3, dtype=torch.uint8)
    pixels[:, :, 1, 1] = 1  # a crop by one pixel moves this point to each of the nine places
    counts = augment(pixels, generator(), crop=1).sum(0).flatten()
    assert counts.sum() == 4500
    assert 400 < counts.min() <= counts.max() < 600
    mirrored = augment(torch.arange(2, dtype=torch.uint8).expand(4000, 1, 1, 2), generator(), flip=True)
    assert 1850 < mirrored[:, 0, 0, 0].sum() < 2150


def test_switching_one_part_off_leaves_the_others_as_they_were() -> None:
    pixels = batch(h=16, w=16)
    cut = augment(pixels, generator(), cutout=5) == 0
    everything = augment(pixels, generator(), crop=2, flip=True, cutout=5)
    without = augment(pixels, generator(), crop=2, flip=True)
    assert torch.equal(everything, without.masked_fill(cut, 0))


def test_the_generator_is_left_in_the_same_state_whatever_is_on() -> None:
    states = []
    for how in ({}, {"crop": 1}, {"flip": True}, {"cutout": 2}, {"crop": 4, "flip": True, "cutout": 4}):
        used = generator()
        augment(batch(), used, **how)
        states.append(used.get_state())
    assert all(torch.equal(state, states[0]) for state in states)


def test_the_global_generator_is_not_touched() -> None:
    before = torch.get_rng_state()
    augment(batch(), generator(), crop=2, flip=True, cutout=3)
    assert torch.equal(torch.get_rng_state(), before)

"""What a data set holds twice, or in part, is said; images that are all equal are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from rlnas.config.schema import DataConfig
from rlnas.data import ImageData, Images, load_data
from rlnas.data.notes import about_colours, about_copies, about_splits
from rlnas.errors import RlnasError

Paint = Callable[..., Path]


def load(path: Path, **options: object) -> ImageData:
    return load_data(
        DataConfig(name="folder", path=str(path), **options), np.random.default_rng(0), torch.device("cpu")
    )


def icons(root: Path, colour: int = 0) -> Path:
    """Discs and crosses, drawn by their alpha channel alone."""
    y, x = np.mgrid[:32, :32]
    for i in range(10):
        shapes = {"disc": (y - 16) ** 2 + (x - 12 - i) ** 2 < 60, "cross": (abs(y - 16) < 3) | (abs(x - 8 - i) < 3)}
        for name, shape in shapes.items():
            pixels = np.full((32, 32, 4), colour, np.uint8)
            pixels[..., 3] = shape * 255
            (root / name).mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def test_icons_drawn_by_alpha_are_visible_on_a_ground_that_can_be_chosen(tmp_path: Path) -> None:
    root = icons(tmp_path / "I")
    white, orange = load(root), load(root, background="#ff8000")
    assert white.train.pixels.amin((0, 2, 3)).tolist() == [0]  # black on white is one channel
    assert white.train.pixels.amax((0, 2, 3)).tolist() == [255]
    assert orange.train.pixels.amax((0, 2, 3)).tolist() == [255, 128, 0]  # decoded anew, not from the cache


@pytest.mark.parametrize(("colour", "ground"), [(0, "black"), (255, "white"), (255, "#fff")])
def test_icons_in_the_colour_of_the_ground_are_refused(tmp_path: Path, colour: int, ground: str) -> None:
    match = rf"all 16 training images of folder:I are equal.*data.background={ground}"
    with pytest.raises(RlnasError, match=match):
        load(icons(tmp_path / "I", colour), background=ground)


def test_images_of_a_single_colour_are_counted() -> None:
    pixels = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels[2] = 7
    pixels[4] = torch.tensor([1, 2, 3], dtype=torch.uint8).view(3, 1, 1)
    images = Images(pixels, torch.zeros(5, dtype=torch.int64))
    assert about_colours(images, "training") == ["2 of the 5 training images are of a single colour"]


def test_copies_are_counted_by_their_pixels() -> None:
    assert about_copies([b"a", b"b", b"b"], "test", {b"b", b"c"}, "training") == [
        "2 of the 3 test images are exact copies of training images: the test accuracy says less about new images"
    ]
    assert about_copies([b"a"], "test", {b"b"}, "training") == []


@pytest.mark.parametrize("suffix", ["png", "bmp"])  # another file with the same pixels is a copy as well
def test_copies_in_other_splits_are_found_when_each_is_read(tmp_path: Path, paint: Paint, suffix: str) -> None:
    seed = 0
    for split, n in (("train", 6), ("val", 5), ("test", 4)):
        for name in ("a", "b"):
            for i in range(n):
                paint(tmp_path / split / name / f"{i}.png", seed=seed)
                seed += 1
    for split, copies in (("val", 1), ("test", 3)):
        for i in range(copies):
            PIL.Image.open(tmp_path / "train" / "b" / f"{i}.png").save(tmp_path / split / "a" / f"copy{i}.{suffix}")
    data = load(tmp_path)
    assert sum("1 of the 11 validation images are exact copies of training images" in note for note in data.notes) == 1
    assert not any("test images" in note for note in data.notes)  # they are not read yet
    data.test()
    data.test()
    assert sum("3 of the 11 test images are exact copies of training or v" in note for note in data.notes) == 1


def test_moving_pictures_are_said_also_from_the_cache(two_classes: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for i in range(9):
            frames = [PIL.Image.fromarray(generator.integers(0, 255, (9, 9, 3), np.uint8)) for _ in range(3)]
            frames[0].save(two_classes / name / f"moving{i}.gif", save_all=True, append_images=frames[1:])
    for _ in range(2):
        data = load(two_classes)
        data.test()
        said = [int(note.split()[0]) for note in data.notes if "have several frames or pages" in note]
        assert len(said) == 2  # training and test
        assert sum(said) == 18


def test_nothing_is_said_about_splits_as_everybody_expects_them() -> None:
    assert about_splits({"train": "train", "test": "test"}) == []
    assert load_data(DataConfig(), np.random.default_rng(0), torch.device("cpu")).notes == []

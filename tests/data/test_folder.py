from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rlnas.config import DataConfig
from rlnas.data import ImageData, decode, folder, load_data
from rlnas.data.decode import decode as decode_images
from rlnas.errors import RlnasError

Paint = Callable[..., Path]


def load(path: Path | None, seed: int = 0, **options: object) -> ImageData:
    config = DataConfig(name="folder", path=None if path is None else str(path), **options)
    return load_data(config, np.random.default_rng(seed), torch.device("cpu"))


def identities(pixels: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in pixels}


def test_a_folder_of_classes(two_classes: Path) -> None:
    data = load(two_classes)
    assert (data.name, data.classes, data.channels, data.size) == ("folder:pets", ("cat", "dog"), 3, 32)
    test = data.test()
    assert (len(data.train), len(data.valid), len(test)) == (31, 3, 6)
    assert test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    parts = [identities(images.pixels) for images in (data.train, data.valid, test)]
    files = sorted(two_classes.rglob("*.png"))
    assert sum(map(len, parts)) == 40
    assert set.union(*parts) == identities(decode_images(files, [str(file) for file in files], 32))


def test_the_held_out_images_do_not_depend_on_the_seed(two_classes: Path) -> None:
    one, other = load(two_classes, seed=0), load(two_classes, seed=1)
    assert torch.equal(one.test().pixels, other.test().pixels)
    assert not torch.equal(one.train.pixels, other.train.pixels)


def test_labels_follow_the_sorted_names(tmp_path: Path, paint: Paint) -> None:
    for i in range(4):
        paint(tmp_path / "b" / f"{i}.png", seed=i)
        paint(tmp_path / "a" / "deeper" / f"{i}.JPG", seed=10 + i, mode="L")
    data = load(tmp_path, valid=0.2, size=8)
    for images in (data.train, data.valid, data.test()):
        for pixels, label in zip(images.pixels, images.labels, strict=True):
            assert torch.equal(pixels[0], pixels[2]) == (data.classes[label] == "a")  # the grey ones


@pytest.mark.parametrize("test_name", ["test", "val", "valid", "validation"])
def test_its_own_test_split_is_recognised(tmp_path: Path, paint: Paint, test_name: str) -> None:
    for split, n in (("train", 5), (test_name, 2)):
        for name in ("a", "b"):
            for i in range(n):
                paint(tmp_path / split / name / f"{i}.png", seed=i)
    data = load(tmp_path, valid=0.2)
    assert (len(data.train), len(data.valid), len(data.test())) == (8, 2, 4)


def test_three_folders_are_three_classes_even_if_one_is_called_train(tmp_path: Path, paint: Paint) -> None:
    for name in ("bus", "test", "train"):
        for i in range(5):
            paint(tmp_path / name / f"{i}.png", seed=i)
    assert load(tmp_path, valid=0.2).classes == ("bus", "test", "train")


def test_the_test_images_are_not_opened_before_they_are_asked_for(
    two_classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def watch(images: list[Path], names: list[str], size: int) -> torch.Tensor:
        opened.extend(images)
        return decode.decode(images, names, size)

    monkeypatch.setattr(folder, "decode", watch)
    data = load(two_classes)
    before = set(opened)
    assert len(before) == 34
    data.test()
    assert len(opened) == 40
    assert before.isdisjoint(opened[34:])


def test_a_broken_test_image_is_reported_when_it_is_read(tmp_path: Path, paint: Paint) -> None:
    for split in ("train", "test"):
        for name in ("a", "b"):
            for i in range(4):
                paint(tmp_path / split / name / f"{i}.png", seed=i)
    (tmp_path / "test" / "b" / "2.png").write_bytes(b"broken")
    data = load(tmp_path)
    with pytest.raises(RlnasError, match=r"test/b/2.png is not an image that can be read"):
        data.test()
    (tmp_path / "test" / "b" / "2.png").unlink()
    with pytest.raises(RlnasError, match=r"an image of the test split is gone since the start"):
        data.test()


def test_the_cache_follows_the_files_and_the_size(
    two_classes: Path, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def count(images: list[Path], names: list[str], size: int) -> torch.Tensor:
        calls.append(size)
        return decode.decode(images, names, size)

    monkeypatch.setattr(folder, "decode", count)
    load(two_classes)
    load(two_classes, seed=1)
    assert calls == [32]
    assert load(two_classes, size=8).train.pixels.shape[2:] == (8, 8)
    assert calls == [32, 8]
    for file in (two_classes / "cat").iterdir():
        paint(file, seed=7, size=(11, 11))
    load(two_classes)
    assert calls == [32, 8, 32]


def _nothing(root: Path, paint: Paint) -> None:
    root.rmdir()


def _empty(root: Path, paint: Paint) -> None:
    pass


def _one_class(root: Path, paint: Paint) -> None:
    paint(root / "cat" / "1.png")


def _empty_class(root: Path, paint: Paint) -> None:
    _one_class(root, paint)
    (root / "dog").mkdir()
    (root / "dog" / "notes.txt").write_text("no image")


def _one_image_each(root: Path, paint: Paint) -> None:
    _one_class(root, paint)
    paint(root / "dog" / "1.png")


def _two_images_each(root: Path, paint: Paint) -> None:
    _one_image_each(root, paint)
    paint(root / "cat" / "2.png")
    paint(root / "dog" / "2.png")


def _broken_image(root: Path, paint: Paint) -> None:
    for i in range(9):
        paint(root / "cat" / f"{i}.png")
        paint(root / "dog" / f"{i}.png").write_bytes(b"broken")


def _other_test_classes(root: Path, paint: Paint) -> None:
    for name in ("train/cat", "train/dog", "test/cat", "test/cow"):
        paint(root / name / "1.png")


ERRORS = [
    (_nothing, "is not a folder; expected one subfolder of images for each class"),
    (_empty, "holds no subfolder; expected at least two classes"),
    (_one_class, r"holds a folder with one class \(cat\); expected at least two classes"),
    (_empty_class, "dog is a class without images; expected files ending in .png"),
    (_one_image_each, "too few images: class 'cat' has 1, but needs at least 2"),
    (_two_images_each, "too few images: 2 training images of folder:root with data.valid=0.1"),
    (_broken_image, r"dog/\d.png is not an image that can be read"),
    (_other_test_classes, "train has the classes cat, dog, but .*test has cat, cow"),
]


@pytest.mark.parametrize(("build", "message"), ERRORS)
def test_errors(tmp_path: Path, paint: Paint, build: Callable[[Path, Paint], None], message: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    build(root, paint)
    with pytest.raises(RlnasError, match=message) as caught:
        load(root)
    assert "\n" not in str(caught.value)


def test_the_path_is_required() -> None:
    with pytest.raises(RlnasError, match=r"data=folder needs the folder with the images: data.path=DIR"):
        load(None)

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from rlnas.config.schema import DataConfig
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


def test_the_test_images_are_not_opened_before_they_are_asked_for(
    two_classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def watch(images: list[Path], *others: Any) -> torch.Tensor:
        opened.extend(images)
        return decode.decode(images, *others)

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
    with pytest.raises(RlnasError, match=r"test/b/2.png cannot be read"):
        data.test()
    (tmp_path / "test" / "b" / "2.png").unlink()
    with pytest.raises(RlnasError, match=r"an image of the test split is gone since the start"):
        data.test()


def test_the_cache_follows_the_files_and_the_size(
    two_classes: Path, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def count(images: list[Path], names: list[str], size: int, *others: Any) -> torch.Tensor:
        calls.append(size)
        return decode.decode(images, names, size, *others)

    monkeypatch.setattr(folder, "decode", count)
    load(two_classes)
    load(two_classes, seed=1)
    assert calls == [32]
    assert load(two_classes, size=8).train.pixels.shape[2:] == (8, 8)
    assert calls == [32, 8]
    for i, file in enumerate(sorted((two_classes / "cat").iterdir())):
        paint(file, seed=i, size=(11, 11))
    load(two_classes)
    assert calls == [32, 8, 32]


def test_files_replaced_with_equal_size_and_date_are_noticed(two_classes: Path) -> None:
    for file in two_classes.rglob("*.png"):
        PIL.Image.open(file).save(file.with_suffix(".bmp"))
        file.unlink()
    before = load(two_classes)
    test_before = before.test()
    for file in two_classes.rglob("*.bmp"):
        stat, content = file.stat(), bytearray(file.read_bytes())
        content[-3] ^= 255
        file.write_bytes(content)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert file.stat().st_size == stat.st_size
    after = load(two_classes)
    assert not torch.equal(before.train.pixels, after.train.pixels)
    assert not torch.equal(test_before.pixels, after.test().pixels)


def test_a_moved_folder_and_a_new_date_are_no_other_data_set(
    two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load(two_classes)
    (tmp_path / "other").mkdir()
    moved = two_classes.rename(tmp_path / "other" / "pets")
    for file in moved.rglob("*.png"):
        os.utime(file, (0, 0))

    def refuse(*_: object) -> torch.Tensor:
        raise AssertionError("decoded again")

    monkeypatch.setattr(folder, "decode", refuse)
    assert torch.equal(load(moved).train.pixels, before.train.pixels)


def test_swapped_labels_are_another_data_set(two_classes: Path, tmp_path: Path) -> None:
    before = load(two_classes)
    (two_classes / "cat").rename(tmp_path / "x")
    (two_classes / "dog").rename(two_classes / "cat")
    (tmp_path / "x").rename(two_classes / "dog")
    assert not torch.equal(load(two_classes).train.pixels, before.train.pixels)


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
    paint(root / "cat" / "2.png", seed=2)
    paint(root / "dog" / "2.png", seed=3)


def _broken_image(root: Path, paint: Paint) -> None:
    for i in range(9):
        paint(root / "cat" / f"{i}.png")
        paint(root / "dog" / f"{i}.png").write_bytes(b"broken")


def _broken_image_with_an_odd_name(root: Path, paint: Paint) -> None:
    for i in range(9):
        paint(root / "cat" / f"{i}.png", seed=i)
        paint(root / "dog" / f"two\nlines{i}.png").write_bytes(b"broken")


def _other_test_classes(root: Path, paint: Paint) -> None:
    for name in ("train/cat", "train/dog", "test/cat", "test/cow"):
        paint(root / name / "1.png")


ERRORS = [
    (_nothing, "is not a folder; expected one subfolder of images for each class"),
    (_empty, "holds no subfolder; expected at least two classes"),
    (_one_class, r"holds a folder with one class \(cat\); expected at least two classes"),
    (_empty_class, r"dog is a class without images \(1 file is left out: 1 no image that Pillow reads \(.txt: 1\)\)"),
    (_one_image_each, "too few images: class 'cat' has 1, but needs at least 2"),
    (_two_images_each, "too few images: 2 training images of folder:root with data.valid=0.1"),
    (_broken_image, r"dog/\d.png cannot be read: its content is that of no image format"),
    (_broken_image_with_an_odd_name, r"dog/two\\nlines\d.png cannot be read"),
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

"""Which files are images; the others are counted by reason and said."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from rlnas.config.schema import DataConfig
from rlnas.data import ImageData, load_data
from rlnas.data.listing import LeftOut, image_suffixes, images_below, is_hidden, shown_name

Paint = Callable[..., Path]


def load(path: Path, **options: object) -> ImageData:
    return load_data(
        DataConfig(name="folder", path=str(path), **options), np.random.default_rng(0), torch.device("cpu")
    )


def total(data: ImageData) -> int:
    return len(data.train) + len(data.valid) + len(data.test())


@pytest.mark.parametrize(
    "folder",
    [".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", "deeper/.hidden/deeper", "Thumbnails", "more/@EADIR"],
)
def test_hidden_folders_at_every_depth_are_left_out(two_classes: Path, paint: Paint, folder: str) -> None:
    for i in range(4):
        copy = paint(two_classes / "cat" / folder / f"{i}-copy.png")
        copy.write_bytes((two_classes / "dog" / f"{i:02}.png").read_bytes())
    (two_classes / "dog" / ".DS_Store").write_bytes(b"x")
    (two_classes / "dog" / "Thumbs.db").write_bytes(b"x")
    data = load(two_classes)
    assert total(data) == 40
    assert data.left_out == {"hidden": 6}
    assert not any("exact copies" in note for note in data.notes)


def test_a_data_set_inside_a_hidden_folder_is_read(two_classes: Path, tmp_path: Path) -> None:
    (tmp_path / ".data").mkdir()
    assert total(load(two_classes.rename(tmp_path / ".data" / "pets"))) == 40


def test_a_class_may_be_called_thumbs_or_like_a_file_of_the_system() -> None:
    assert not is_hidden("thumbs")
    assert is_hidden("thumbs", below_class=True)
    assert not is_hidden("eadir")


@pytest.mark.parametrize("suffix", [".PNG", ".JFIF", ".jpe", ".tga", ".bmp", ".webp", ".jp2", ".ico", ".qoi", ".pcx"])
def test_whatever_pillow_reads_is_read(two_classes: Path, paint: Paint, suffix: str) -> None:
    paint(two_classes / "cat" / f"more{suffix}", seed=999)
    data = load(two_classes)
    assert (total(data), data.left_out) == (41, {})


@pytest.mark.parametrize("name", ["IMG_0001", "photo.jpg_large", "x.image", "photo.JPG~1"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_an_image_without_a_known_suffix_is_known_by_its_content(tmp_path: Path, name: str, kind: str) -> None:
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / name, kind)
    left_out = LeftOut()
    assert images_below(tmp_path, left_out, tmp_path) == [tmp_path / name]
    assert not left_out.counts


@pytest.mark.parametrize("suffix", [".pdf", ".eps", ".h5", ".mpg", ".wmf", ".txt", ".heif_not"])
def test_what_pillow_does_not_read_by_itself_has_no_image_suffix(suffix: str) -> None:
    assert suffix not in image_suffixes()


def test_files_that_are_no_images_are_counted_by_suffix(two_classes: Path) -> None:
    for name in ("cat/a.txt", "cat/b.TXT", "dog/c.mp4", "dog/Makefile"):
        (two_classes / name).write_text("no image")
    (two_classes / "labels.csv").write_text("a,b")
    data = load(two_classes)
    assert total(data) == 40
    assert data.left_out == {"suffix": 4, "outside": 1}
    (sentence,) = [note for note in data.notes if "left out" in note]
    assert sentence == (
        "5 files are left out: 1 in no folder of a class (such as labels.csv); "
        "4 no image that Pillow reads (.mp4: 1, .txt: 2, without suffix: 1)"
    )


def test_links_are_followed_and_broken_or_looping_ones_counted(two_classes: Path, tmp_path: Path, paint: Paint) -> None:
    outside = paint(tmp_path / "elsewhere" / "deep" / "x.png", seed=500)
    (two_classes / "cat" / "linked.png").symlink_to(outside)
    paint(tmp_path / "folder" / "y.png", seed=501)
    (two_classes / "cat" / "folder").symlink_to(tmp_path / "folder")
    (two_classes / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (two_classes / "gone").symlink_to(tmp_path / "nowhere")
    (two_classes / "cat" / "self").symlink_to("self")
    (two_classes / "cat" / "up").symlink_to(two_classes)
    (tmp_path / "folder" / "back").symlink_to(tmp_path / "folder")
    (two_classes / "dog" / "above").symlink_to(tmp_path)
    data = load(two_classes)
    assert total(data) == 42
    assert data.left_out == {"broken_link": 3, "loop": 3}


def test_a_class_may_be_a_link(two_classes: Path, tmp_path: Path) -> None:
    (two_classes / "dog").rename(tmp_path / "dogs")
    (two_classes / "dog").symlink_to(tmp_path / "dogs")
    data = load(two_classes)
    assert (total(data), data.classes, data.left_out) == (40, ("cat", "dog"), {})


def test_what_is_neither_file_nor_folder_is_counted(two_classes: Path) -> None:
    os.mkfifo(two_classes / "cat" / "pipe.png")
    assert load(two_classes).left_out == {"special": 1}


def test_a_folder_that_cannot_be_read_is_counted(
    two_classes: Path, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run as root, whom no permission bit keeps out."""
    paint(two_classes / "cat" / "closed" / "1.png")
    iterdir = Path.iterdir

    def refuse(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    data = load(two_classes)
    assert data.left_out == {"unreadable": 1}
    assert any("1 in a folder that cannot be read (such as cat/closed)" in note for note in data.notes)


def test_entries_that_may_not_be_looked_at_are_counted(
    two_classes: Path, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may be listed and not entered."""
    paint(two_classes / "cat" / "listed" / "1.png")
    looked = Path.stat

    def refuse(path: Path, **options: bool) -> object:
        if path.parent.name == "listed":
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    assert load(two_classes).left_out == {"unreadable": 1}


def test_names_that_are_no_text_can_be_said_and_written(two_classes: Path) -> None:
    (two_classes / "cat" / os.fsdecode(b"caf\xe9.txt")).write_text("no image")
    (two_classes / os.fsdecode(b"\xff.csv")).write_text("no image")
    (two_classes / "dog" / "two\nlines.t\nt").write_text("no image")
    (two_classes / "dog" / "你 é.txt").write_text("no image")
    for note in load(two_classes).notes:
        note.encode()
        assert "\n" not in note
    assert shown_name("你 é\n") == "你 é\\n"

"""Splits or classes: every layout is recognised, refused with a list of what was found, or decided and said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rlnas.config.schema import DataConfig
from rlnas.data import ImageData, load_data
from rlnas.errors import RlnasError

Paint = Callable[..., Path]


def load(path: Path, **options: object) -> ImageData:
    return load_data(
        DataConfig(name="folder", path=str(path), **options), np.random.default_rng(0), torch.device("cpu")
    )


@pytest.fixture
def build(tmp_path: Path, paint: Paint) -> Callable[..., Path]:
    """build("train/a", "train/b", n=8): n different images in each folder below D."""
    painted = iter(range(10_000))

    def build(*folders: str, n: int = 8) -> Path:
        for folder in folders:
            for i in range(n):
                paint(tmp_path / "D" / folder / f"{i}.png", seed=next(painted))
        return tmp_path / "D"

    return build


def both(*splits: str) -> list[str]:
    return [f"{split}/{name}" for split in splits for name in ("a", "b")]


def sizes(data: ImageData) -> tuple[int, int, int]:
    return len(data.train), len(data.valid), len(data.test())


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Testing"),
        ("TRN", "dev", "eval"),
        ("1_train", "2_val", "3_test"),
        ("images_train", "images_val", "images_test"),
        ("x_train", "x_val", "x_test"),
        ("train.v2", "val.v2", "test.v2"),
        ("train (1)", "vals", "hold-out"),
        ("imagenet_train", "imagenet_val", "tests"),
    ],
)
def test_three_splits_in_any_spelling(build: Callable[..., Path], train: str, valid: str, test: str) -> None:
    build(*both(train), n=8)
    build(*both(valid), n=3)
    data = load(build(*both(test), n=2), valid=0.5)
    assert (data.classes, sizes(data)) == (("a", "b"), (16, 6, 4))
    assert f"the validation split is {valid}, as given; data.valid is not used" in data.notes
    assert sorted(data.valid.labels.tolist()) == [0, 0, 0, 1, 1, 1]
    assert not any("test split" in note for note in data.notes)


def test_a_limit_draws_from_the_training_images_alone(build: Callable[..., Path]) -> None:
    assert sizes(load(build(*both("train", "val", "test")), limit=5)) == (5, 16, 16)


def test_a_given_test_split_alone(build: Callable[..., Path]) -> None:
    data = load(build(*both("Train", "test")), valid=0.25)
    assert sizes(data) == (12, 4, 16)
    assert data.notes == []


def test_with_a_validation_split_alone_the_test_images_come_from_training(build: Callable[..., Path]) -> None:
    data = load(build(*both("train", "Valid")))
    assert sizes(data) == (14, 16, 2)
    assert any("15 % of each class of train is held out" in note for note in data.notes)
    assert any("validation split is Valid" in note for note in data.notes)


def test_a_training_split_alone(build: Callable[..., Path]) -> None:
    data = load(build(*both("train")), valid=0.25)
    assert (data.classes, len(data.test())) == (("a", "b"), 2)


@pytest.mark.parametrize("stray", ["__MACOSX/train/a", ".git/objects", ".ipynb_checkpoints", "@eaDir/x"])
def test_folders_of_the_system_beside_splits_are_left_out_and_counted(build: Callable[..., Path], stray: str) -> None:
    build(stray, n=3)
    data = load(build(*both("train", "test")), valid=0.25)
    assert (data.classes, sizes(data)) == (("a", "b"), (12, 4, 16))
    assert data.left_out == {"hidden": 3}
    assert any(note.startswith("3 files are left out: 3 hidden") for note in data.notes)


def test_folders_without_images_beside_splits_are_left_out_and_said(build: Callable[..., Path]) -> None:
    root = build(*both("train", "test"))
    (root / "annotations").mkdir()
    (root / "annotations" / "labels.xml").write_text("<x/>")
    (root / "README.md").write_text("about")
    data = load(root, valid=0.25)
    assert data.classes == ("a", "b")
    assert data.left_out == {"outside": 2}
    assert "annotations beside the splits holds no image and is not read" in data.notes


def test_splits_none_makes_every_folder_a_class(build: Callable[..., Path]) -> None:
    assert load(build("train", "test"), splits="none").classes == ("test", "train")


def test_a_vehicle_called_train_is_a_class_and_said(build: Callable[..., Path]) -> None:
    data = load(build("bus", "train", "tram"))
    assert data.classes == ("bus", "train", "tram")
    assert any(note.startswith("train is read as a class like bus, tram") for note in data.notes)


@pytest.mark.parametrize(
    "folders",
    [
        ["airport", "bridge", "train_station"],
        ["bullet_train", "steam_train"],
        ["test_tube", "train_station"],
        ["airport", "train_station/platform", "train_station/hall"],
        ["cat/2023", "cat/2024", "dog/2024"],  # one folder shared: no two classes
        ["cat/indoor", "cat/outdoor", "dog/puppy", "dog/old"],
        ["cat/a", "cat/b", "dog"],
        ["cat/a", "cat/thumbs", "dog/a", "dog/thumbs"],
    ],
)
def test_classes_that_cannot_be_splits_are_classes(build: Callable[..., Path], folders: list[str]) -> None:
    assert list(load(build(*folders)).classes) == sorted({folder.split("/")[0] for folder in folders})


def test_equal_folders_are_classes_if_so_said_or_if_images_are_beside_them(build: Callable[..., Path]) -> None:
    root = build(*both("cat", "dog"))
    assert load(root, splits="none").classes == ("cat", "dog")
    build("cat", n=3)
    assert load(root).classes == ("cat", "dog")


REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "a class or a split called test": (
        ["bus", "test", "tram"],
        ["named like splits beside others", "test with 8 images; bus with 8 images; tram", "data.splits=none"],
    ),
    "train and test among classes": (["bus", "test", "train"], ["test with 8 images; train with 8 images; bus"]),
    "splits beside classes": (
        [*both("train", "test"), "dog"],
        ["named like splits beside others", r"test with 2 folders \(a, b\)", "dog with 8 images"],
    ),
    "another folder of classes beside splits": (both("train", "test", "raw"), [r"raw with 2 folders \(a, b\)"]),
    "a vehicle beside a validation split": (["bus", "train", *both("val")], [r"val with 2 folders", "bus with 8"]),
    "two spellings": (both("train", "val", "Validation"), [r"several folders for one split \(Validation, val\)"]),
    "two training splits": (both("train", "Training"), [r"several folders for one split \(Training, train\)"]),
    "no training split": (both("val", "test"), ["no training split", r"val with 2 folders \(a, b\)"]),
    "splits without classes": (["train", "test"], ["a split without folders of classes", "train with 8 images"]),
    "a test split without classes": ([*both("train"), "test"], ["a split without folders", "test with 8 images"]),
    "images at two depths": ([*both("train", "val"), "val"], ["images beside its classes", "8 images and 2 folders"]),
    "splits with other classes": (
        ["train/a", "train/b", "val/a", "val/c"], [r"train has the classes a, b, but .*val has a, c"],
    ),
    "splits with fewer classes": (
        ["train/a", "train/b", "train/c", "test/a", "test/b"], [r"has the classes a, b, c, but .*test has a, b"],
    ),
    "splits by other names": (
        both("entrainement", "essai"),
        [r"D is ambiguous: entrainement with 2 folders \(a, b\); essai with 2", "=none", "train, val and test"],
    ),
    "splits by short names": (both("tr", "va", "te"), ["is ambiguous: te with .*; tr with .*; va with"]),
    "splits by other names with fewer classes": ([*both("A", "B"), "A/c"], [r"s: A with 3 folders \(a, b, c\)"]),
    "splits by numbers": (both(*"1234567"), ["is ambiguous: 1 with .*5 with .* and 2 more; they could be splits"]),
    "split unknown beside one with other words": (both("my_train", "essai"), ["is ambiguous: essai with 2"]),
    "classes with equal folders": (
        ["cat/2023", "cat/2024", "dog/2023", "dog/2024"], [r"ambiguous: cat with 2 folders \(2023, 2024\)"],
    ),
    "one class name for two splits": (both("x_train", "y_train"), [r"for one split \(x_train, y_train\)"]),
    "compound splits without classes": (["x_train", "x_test"], ["a split without folders of classes"]),
    "two domains": (["catsA_train", "catsA_test"], ["a split without folders of classes"]),
    "compound splits beside others": (both("x_train", "x_val", "raw"), ["named like splits beside others"]),
    "splits with other words inside classes": (
        ["cat/x_train", "cat/x_test", "dog/x_train", "dog/x_test"], [r"cat, dog .*\(x_test, x_train\)"],
    ),
    "splits inside classes": (["cat/train", "cat/test", "dog/train", "dog/test"], [r"cat, dog .*\(test, train\)"]),
    "several data sets": (["x/train/a", "x/val/a", "y/train/a"], [r"the classes x, y .*\(train, val\)"]),
    "one folder too high": (["x/train/a", "x/val/a"], [r"one class \(x\).*data.path=.*D/x"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_either_is_refused_with_a_list(build: Callable[..., Path], case: str) -> None:
    folders, words = REFUSED[case]
    for word in words:
        with pytest.raises(RlnasError, match=word):
            load(build(*folders))


def test_an_empty_split_is_refused(build: Callable[..., Path]) -> None:
    root = build(*both("train"))
    (root / "val").mkdir()
    with pytest.raises(RlnasError, match=r"a split without folders of classes: .*val with no images"):
        load(root)

import io
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import PIL.Image
import pytest
import torch
from huggingface_hub import constants

from rlnas.config.schema import DataConfig
from rlnas.data import ImageData, hub, load_data
from rlnas.errors import RlnasError


def rows(n: int, label: Any = None, first: int = 0, kind: str = "PNG") -> datasets.Dataset:
    """n grey images of brightness first, first + 1, ... with the labels x, y, x, y, ..."""
    encoded = []
    for i in range(n):
        stream = io.BytesIO()
        PIL.Image.new("L", (5, 5), first + i).save(stream, kind)
        encoded.append({"bytes": stream.getvalue(), "path": None})
    features = datasets.Features({"image": datasets.Image(), "label": label or datasets.ClassLabel(names=["x", "y"])})
    names = ("x", "y") if label else (0, 1)
    values = {"image": encoded, "label": [names[i % 2] for i in range(n)]}
    return datasets.Dataset.from_dict(values, features=features)


class FakeHub:
    """Stands in for `datasets.load_dataset` and the probe."""

    def __init__(self, splits: dict[str, datasets.Dataset]) -> None:
        self.splits: dict[str, datasets.Dataset] = splits
        self.error: Exception | None = None
        self.reason: str | None = None
        self.downloads: list[tuple[str, str | None]] = []
        self.probes = 0

    def load_dataset(self, hub_id: str, hub_config: str | None = None) -> datasets.DatasetDict:
        self.downloads.append((hub_id, hub_config))
        if self.error:
            raise self.error
        return datasets.DatasetDict(self.splits)

    def unreachable(self) -> str | None:
        self.probes += 1
        return self.reason


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub({"train": rows(20), "test": rows(4, first=100)})
    monkeypatch.setattr(datasets, "load_dataset", fake.load_dataset)
    monkeypatch.setattr(hub, "unreachable", fake.unreachable)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return fake


def load(**options: Any) -> ImageData:
    config = DataConfig(**{"name": "hub", "hub_id": "someone/shapes", "when_missing": "error", **options})
    return load_data(config, np.random.default_rng(0), torch.device("cpu"))


def brightness(data: ImageData) -> list[int]:
    return sorted(torch.cat([data.train.pixels, data.valid.pixels])[:, 0, 0, 0].tolist())


def test_both_splits_come_with_one_download(fake: FakeHub) -> None:
    data = load(hub_config="plain", size=6)
    assert (data.name, data.classes, data.channels, data.size) == ("someone/shapes", ("x", "y"), 1, 6)
    assert brightness(data) == list(range(20))
    assert data.test().pixels[:, 0, 2, 3].tolist() == [100, 101, 102, 103]
    assert data.test().labels.tolist() == [0, 1, 0, 1]
    assert (fake.downloads, fake.probes) == ([("someone/shapes", "plain")], 1)


def test_a_cached_copy_needs_no_network(fake: FakeHub) -> None:
    first = load()
    first.test()
    fake.reason = "there is no network"
    second = load()
    assert torch.equal(second.train.pixels, first.train.pixels)
    assert len(second.test()) == 4
    assert (len(fake.downloads), fake.probes) == (1, 1)


def test_a_test_split_that_cannot_be_had_any_more_is_an_error(fake: FakeHub) -> None:
    load()  # leaves the training split in the cache, but not the test split
    fake.reason = "the cable is out"
    data = load(when_missing="fallback")
    assert data.fallback is None
    with pytest.raises(
        RlnasError, match=r"the test split of someone/shapes is neither .* because the cable is out; conn"
    ):
        data.test()


@pytest.mark.parametrize("name", ["validation", "Valid", "dev", "vals", "validation_2017", "my_val"])
def test_a_validation_split_is_used_as_such(fake: FakeHub, name: str) -> None:
    fake.splits = {name: rows(4, first=50), "train": rows(40), "extra": rows(3), "test": rows(6, first=100)}
    data = load()
    assert sorted(data.train.pixels[:, 0, 0, 0].tolist()) == list(range(40))
    assert sorted(data.valid.pixels[:, 0, 0, 0].tolist()) == [50, 51, 52, 53]
    assert data.test().pixels[:, 0, 0, 0].tolist() == [100, 101, 102, 103, 104, 105]
    assert f"the validation split is {name}, as given; data.valid is not used" in data.notes
    assert "not read, because they are neither train, validation nor test: extra" in data.notes
    again = load()  # from the cache, which knows the splits as well
    assert torch.equal(again.valid.pixels, data.valid.pixels)
    assert set(again.notes) <= set(data.notes)
    assert len(fake.downloads) == 1


def test_plain_names_of_splits_go_before_longer_ones(fake: FakeHub) -> None:
    extra = {name: rows(4, first=60 + 5 * i) for i, name in enumerate(("train_small", "test_small", "x_small"))}
    fake.splits = {**extra, "train": rows(40), "test": rows(6, first=100)}
    data = load()
    assert (len(data.train) + len(data.valid), len(data.test())) == (40, 6)
    assert (
        "not read, because they are neither train, validation nor test: train_small, test_small, x_small" in data.notes
    )


def test_of_several_long_names_for_validation_or_test_none_is_chosen(fake: FakeHub) -> None:
    names = ("test_matched", "test_mismatched", "val_a", "val_b")
    fake.splits = {"train": rows(40), **{name: rows(4, first=50 + 5 * i) for i, name in enumerate(names)}}
    data = load()
    assert f"not read, because they are neither train, validation nor test: {', '.join(names)}" in data.notes
    assert len(data.test()) == 6


def test_with_a_validation_split_alone_the_test_images_come_from_training(fake: FakeHub) -> None:
    fake.splits = {"train": rows(40), "validation": rows(4, first=50)}
    data = load()
    assert sorted([*data.train.pixels[:, 0, 0, 0].tolist(), *data.test().pixels[:, 0, 0, 0].tolist()]) == list(
        range(40)
    )
    assert sorted(data.valid.pixels[:, 0, 0, 0].tolist()) == [50, 51, 52, 53]
    assert any(note.startswith("no test split is given: a fixed 15 % of each class of train") for note in data.notes)


def test_without_any_test_split_a_fixed_share_is_held_out(fake: FakeHub) -> None:
    fake.splits = {"train": rows(40)}
    data = load()
    held_out = data.test().pixels[:, 0, 0, 0].tolist()
    assert len(held_out) == 6
    assert sorted(brightness(data) + held_out) == list(range(40))


def test_labels_may_be_plain_values(fake: FakeHub) -> None:
    text = datasets.Value("string")
    fake.splits = {"train": rows(20, label=text), "test": rows(4, label=text)}
    data = load(label_column="label")
    assert data.classes == ("x", "y")
    assert data.test().labels.tolist() == [0, 1, 0, 1]


def test_the_test_split_is_not_decoded_before_it_is_asked_for(fake: FakeHub) -> None:
    broken = {"image": [{"bytes": b"broken", "path": None}], "label": [0]}
    fake.splits["test"] = datasets.Dataset.from_dict(broken, features=fake.splits["train"].features)
    data = load()
    assert len(data.train) == 18
    with pytest.raises(RlnasError, match=r"image 0 of the test split of someone/shapes cannot be read"):
        data.test()


def test_a_test_split_without_labels_is_not_used_and_said(fake: FakeHub) -> None:
    features = fake.splits["train"].features
    unlabelled = {"image": fake.splits["test"]["image"][:2], "label": [-1, -1]}
    fake.splits["test"] = datasets.Dataset.from_dict(unlabelled, features=features)
    data = load()
    assert len(data.test()) == 4  # 15 % of 20, by class
    assert "not read, because its images have no labels: the split test" in data.notes


def test_a_label_outside_the_classes_is_refused(fake: FakeHub) -> None:
    features = fake.splits["train"].features
    odd = {"image": fake.splits["test"]["image"][:2], "label": [-1, 0]}
    fake.splits["test"] = datasets.Dataset.from_dict(odd, features=features)
    with pytest.raises(RlnasError, match="label -1, which is none of the 2 classes; the split is probably published"):
        load().test()


def _renamed(**names: str) -> dict[str, datasets.Dataset]:
    return {"train": rows(4).rename_columns(names)}


ERRORS: list[tuple[dict[str, Any], dict[str, datasets.Dataset] | Exception | None, str]] = [
    ({"hub_id": None}, None, "data=hub needs the id of a data set on the hub"),
    ({"image_column": "picture"}, None, r"no column 'picture', only image, label; check data.image_column"),
    ({"label_column": "class"}, None, r"no column 'class', only image, label; check data.label_column"),
    ({}, {"train": rows(4, label=datasets.Value("string"))}, "has 0 columns of type ClassLabel among image, label"),
    ({}, {"all": rows(4)}, "has no split 'train', only all"),
    ({}, {"train": rows(4), "val": rows(2), "dev": rows(2)}, r"several splits for one purpose \(val, dev\)"),
    ({}, {"train_a": rows(4), "train_b": rows(4)}, r"several splits for one purpose \(train_a, train_b\)"),
    (
        {},
        {"train": rows(4).map(lambda row: {"image": rows(1)[0]["image"]}), "test": rows(4)},
        "4 training images of .* are equal",
    ),
    ({"hub_id": "./nowhere"}, None, "data.hub_id=./nowhere is no folder here and no id on the hub"),
    ({"splits": "none"}, None, "data.splits=none is for folders of images, but someone/shapes has splits of its own"),
    ({"background": "#ffffff80"}, None, "data.background=#ffffff80 is no opaque colour"),
    ({}, {"train": rows(2), "test": rows(0)}, "too few images: 2 training images"),
    ({}, {"train": rows(2)}, "too few images: class 'x' has 1"),
    ({}, datasets.exceptions.DatasetNotFoundError("no such set"), "has no data set 'someone/shapes' for you"),
    ({}, ValueError("Config name is missing.\nPick one"), r"Config name is missing. Pick one\); check data.hub_config"),
    ({}, ConnectionError("cut off"), "neither on disk nor downloadable, because cut off"),
]


@pytest.mark.parametrize(("options", "outcome", "message"), ERRORS)
def test_errors(fake: FakeHub, options: dict[str, Any], outcome: Any, message: str) -> None:
    if isinstance(outcome, dict):
        fake.splits = outcome
    else:
        fake.error = outcome
    with pytest.raises(RlnasError, match=message) as caught:
        load(**options)
    assert "\n" not in str(caught.value)


def test_transparent_images_are_composited(fake: FakeHub) -> None:
    stream = io.BytesIO()
    PIL.Image.new("RGBA", (5, 5), (0, 0, 0, 0)).save(stream, "PNG")
    clear = {"image": [{"bytes": stream.getvalue(), "path": None}], "label": [0]}
    fake.splits["test"] = datasets.Dataset.from_dict(clear, features=fake.splits["train"].features)
    assert load().test().pixels.unique().tolist() == [255]
    assert load(background="black").test().pixels.unique().tolist() == [0]


def test_another_endpoint_is_another_hub(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    load()
    assert len(fake.downloads) == 2


def test_an_empty_test_split_is_an_error(fake: FakeHub) -> None:
    fake.splits["test"] = rows(0)
    with pytest.raises(RlnasError, match="the test split of someone/shapes has no images"):
        load().test()


def test_the_hubs_offline_mode_is_respected(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert len(load().train) == 18  # from the cache of `datasets`, which is asked at once
    fake.error = ConnectionError("offline mode is enabled")
    with pytest.raises(RlnasError, match="because HF_HUB_OFFLINE is set and the hub's cache has no copy"):
        load(hub_id="someone/else")
    assert fake.probes == 0


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


def write_images(root: Path, classes: tuple[str, ...], first: int) -> None:
    for split, n in (("train", 12), ("test", 4)):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for i in range(n):
                first += 1
                PIL.Image.new("L", (5, 5), first).save(root / split / name / f"{i}.bmp")


@pytest.mark.usefixtures("offline")
def test_a_local_folder_of_images_is_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for project, classes, first in (("A", ("cat", "dog"), 0), ("B", ("apple", "pear", "plum"), 100)):
        write_images(tmp_path / project / "imgs", classes, first)
    for project, classes in (("A", ("cat", "dog")), ("B", ("apple", "pear", "plum"))):
        monkeypatch.chdir(tmp_path / project)
        data = load(hub_id="./imgs")
        assert (data.classes, len(data.test())) == (classes, 4 * len(classes))
        assert "data.hub_id=./imgs is a folder of images, read as by data=folder" in data.notes
    with pytest.raises(RlnasError, match=r"is a folder of images without tables, which has no data.label_column"):
        load(hub_id="./imgs", label_column="label")


@pytest.mark.usefixtures("offline")
def test_what_is_ambiguous_in_a_local_folder_is_refused_with_the_option_that_decides_it(tmp_path: Path) -> None:
    write_images(tmp_path / "D", ("cat", "dog"), 0)
    (tmp_path / "D" / "train").rename(tmp_path / "D" / "entrainement")
    (tmp_path / "D" / "test").rename(tmp_path / "D" / "essai")
    with pytest.raises(RlnasError, match=r"D is ambiguous: entrainement with .*data.splits=none"):
        load(hub_id=str(tmp_path / "D"))
    assert load(hub_id=str(tmp_path / "D"), splits="none").classes == ("entrainement", "essai")


@pytest.mark.usefixtures("offline")
def test_a_local_folder_of_tables_is_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both projects call it ./table; then a file is replaced by one of the same size and date."""
    for project, first in (("A", 0), ("B", 100)):
        (tmp_path / project / "table").mkdir(parents=True)
        rows(20, first=first, kind="BMP").to_parquet(tmp_path / project / "table" / "train.parquet")
    monkeypatch.chdir(tmp_path / "A")
    everything = load(hub_id="./table")
    assert sorted([*brightness(everything), *everything.test().pixels[:, 0, 0, 0].tolist()]) == list(range(20))
    monkeypatch.chdir(tmp_path / "B")
    assert min(brightness(load(hub_id="./table"))) >= 100
    file = tmp_path / "B" / "table" / "train.parquet"
    other = tmp_path / "A" / "table" / "train.parquet"
    stat = file.stat()
    assert other.stat().st_size == stat.st_size
    file.write_bytes(other.read_bytes())
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert max(brightness(load(hub_id="./table"))) < 100


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the endpoint answer with a status, an exception or, for None, not at all until the test ends."""
    end = threading.Event()
    threads = set(threading.enumerate())

    def set_answer(outcome: int | Exception | None) -> None:
        def head(url: str, timeout: float) -> SimpleNamespace:
            assert (url, timeout) == (constants.ENDPOINT, hub.ANSWER_SECONDS)
            if outcome is None:
                end.wait()
            if isinstance(outcome, Exception):
                raise outcome
            return SimpleNamespace(status_code=outcome or 200)

        monkeypatch.setattr(huggingface_hub, "get_session", lambda: SimpleNamespace(head=head))

    yield set_answer
    end.set()
    for thread in set(threading.enumerate()) - threads:
        thread.join()


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (200, None),
        (404, None),
        (307, None),
        (403, "answered with HTTP status 403"),
        (407, "answered with HTTP status 407"),
        (503, "answered with HTTP status 503"),
        (OSError("Name or service\nnot known"), "cannot be reached (Name or service not known)"),
        (None, "did not answer within 0.05 s"),
    ],
)
def test_the_probe(answer: Any, monkeypatch: pytest.MonkeyPatch, outcome: Any, reason: str | None) -> None:
    monkeypatch.setattr(hub, "GIVE_UP_SECONDS", 0.05 if outcome is None else 60.0)
    answer(outcome)
    assert hub.unreachable() == (f"{constants.ENDPOINT} {reason}" if reason else None)

import io
import threading
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import PIL.Image
import pytest
import torch
from huggingface_hub import constants

from rlnas.config import DataConfig
from rlnas.data import ImageData, hub, load_data
from rlnas.errors import RlnasError


def rows(n: int, label: Any = None, first: int = 0, **columns: Any) -> datasets.Dataset:
    """n grey images of brightness first, first + 1, ... with the labels x, y, x, y, ..."""
    encoded = []
    for i in range(n):
        stream = io.BytesIO()
        PIL.Image.new("L", (5, 5), first + i).save(stream, "PNG")
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
    assert (data.name, data.classes, data.channels, data.size) == ("someone/shapes", ("x", "y"), 3, 6)
    assert brightness(data) == list(range(20))
    assert data.test().pixels[:, 1, 2, 3].tolist() == [100, 101, 102, 103]
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


def test_the_validation_split_stands_in_for_a_missing_test_split(fake: FakeHub) -> None:
    fake.splits = {"validation": rows(4, first=50), "train": rows(20)}
    data = load()
    assert brightness(data) == list(range(20))
    assert data.test().pixels[:, 0, 0, 0].tolist() == [50, 51, 52, 53]


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
    with pytest.raises(RlnasError, match=r"image 0 of the test split of someone/shapes is not an image"):
        data.test()


def test_unlabelled_images_are_refused(fake: FakeHub) -> None:
    features = fake.splits["train"].features
    unlabelled = {"image": fake.splits["test"]["image"][:1], "label": [-1]}
    fake.splits["test"] = datasets.Dataset.from_dict(unlabelled, features=features)
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

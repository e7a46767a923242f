import dataclasses
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from huggingface_hub import constants

from rlnas.config.schema import DataConfig
from rlnas.data import Augmentation, ImageData, Images, hub, load_data, sources
from rlnas.data.images import Decoded
from rlnas.errors import RlnasError
from tests.command import digits_as_files

REPOSITORY = Path(__file__).parents[2]


def load(seed: int = 0, **options: object) -> ImageData:
    return load_data(DataConfig(**options), np.random.default_rng(seed), torch.device("cpu"))


def rows(images: Images) -> list[bytes]:
    return [
        pixels.numpy().tobytes() + bytes([label]) for pixels, label in zip(images.pixels, images.labels, strict=True)
    ]


@pytest.mark.parametrize(("name", "own"), [("digits", 8), ("cifar10", 32)])
def test_a_size_that_a_source_cannot_give_is_refused(name: str, own: int) -> None:
    with pytest.raises(RlnasError, match=rf"data.size=16 .* data={name}, .* {own}x{own}"):
        load(name=name, size=16)


@pytest.mark.parametrize("valid", [0.01, 0.1, 0.5, 0.9])
def test_the_splits_are_disjoint_and_complete(valid: float) -> None:
    data = load(valid=valid)
    assert len(data.valid) == round(1500 * valid)
    reference = load(valid=0.1)
    everything = sorted(rows(reference.train) + rows(reference.valid))
    assert sorted(rows(data.train) + rows(data.valid)) == everything
    assert len(set(everything)) == 1500  # so that nothing lies in both parts
    assert set(rows(data.test())).isdisjoint(everything)


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    first, second, other = load(seed=3), load(seed=3), load(seed=4)
    assert rows(first.valid) == rows(second.valid)
    assert rows(first.train) == rows(second.train)
    assert set(rows(first.valid)) != set(rows(other.valid))
    assert rows(first.test()) == rows(other.test())


def test_the_split_depends_on_the_images_and_not_on_the_order_of_their_files(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = load(seed=3, limit=700)
    source = sources.digits()
    decoded = source.train()
    by_class = Decoded(decoded.images.take(decoded.images.labels.argsort(stable=True)), decoded.classes)
    monkeypatch.setattr("rlnas.data.load.digits", lambda: dataclasses.replace(source, train=lambda: by_class))
    sorted_files = load(seed=3, limit=700)
    assert rows(sorted_files.train) == rows(usual.train)
    assert rows(sorted_files.valid) == rows(usual.valid)


def test_the_limit_takes_a_part_of_the_training_images_alone() -> None:
    data = load(limit=100)
    assert (len(data.train), len(data.valid), len(data.test())) == (90, 10, 297)
    assert len(load(limit=5000).train) == 1350
    assert set(rows(data.train)) != set(rows(load(seed=1, limit=100).train))


def test_the_generator_is_left_in_the_same_state_whatever_the_options() -> None:
    states = []
    for options in ({}, {"limit": 50}, {"valid": 0.5}):
        rng = np.random.default_rng(0)
        load_data(DataConfig(**options), rng, torch.device("cpu"))
        states.append(rng.bit_generator.state)
    assert states[0] == states[1] == states[2]


def test_mean_and_spread_are_those_of_the_training_part() -> None:
    data = load()
    prepared = data.prepare(data.train.pixels)
    assert abs(float(prepared.mean())) < 1e-5
    assert abs(float(prepared.std(correction=0)) - 1) < 1e-5


def test_the_configured_augmentation_is_applied() -> None:
    data = load(crop=2, flip=True, cutout=3)
    assert data.augmentation == Augmentation(2, True, 3)
    batch = data.train.pixels[:32]
    out = data.augment(batch, torch.Generator().manual_seed(0))
    assert out.shape == batch.shape
    assert not torch.equal(out, batch)
    assert torch.equal(load(crop=0, flip=False).augment(batch, torch.Generator()), batch)


@pytest.mark.parametrize("options", [{"limit": 1}, {"limit": 4, "valid": 0.1}, {"limit": 1, "valid": 0.9}])
def test_too_few_images(options: dict[str, float]) -> None:
    with pytest.raises(
        RlnasError, match=r"too few images: \d training images of digits with data.valid=0.\d and data.lim"
    ):
        load(**options)


def test_an_unknown_source() -> None:
    with pytest.raises(
        RlnasError, match=r"data.name=imagenet is no data source; expected cifar10, digits, folder, hub"
    ):
        load(name="imagenet")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "unreachable", lambda: "the cable is out")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("options", "what", "cure"),
    [
        ({"name": "cifar10"}, "CIFAR-10 (uoft-cs/cifar10)", "give data.path=DIR or set RLNAS_DATA"),
        ({"name": "hub", "hub_id": "ylecun/mnist"}, "the data set ylecun/mnist", "connect once to fill the cache"),
    ],
)
def test_digits_stand_in_for_what_is_missing(
    options: dict[str, str], what: str, cure: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "rlnas"):
        data = load(**options)
    assert data.name == "digits"
    assert len(data.test()) == 297
    assert data.fallback is not None
    assert data.fallback.startswith(f"{what} is neither on disk nor downloadable, because the cable is out, so the ")
    assert cure in data.fallback
    assert data.fallback.endswith("data.when_missing=error")
    assert data.fallback in caplog.text
    assert data.augmentation == Augmentation(1, False, 0)
    assert torch.equal(data.valid.pixels, load(name="digits").valid.pixels)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("options", [{"name": "cifar10"}, {"name": "hub", "hub_id": "ylecun/mnist"}])
def test_the_fallback_can_be_forbidden(options: dict[str, str]) -> None:
    with pytest.raises(RlnasError, match=r"is neither on disk nor downloadable, because the cable is out; .*fallback$"):
        load(when_missing="error", **options)


@pytest.mark.usefixtures("offline")
def test_an_environment_without_cifar10_leads_on_to_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLNAS_DATA", str(tmp_path))
    assert load(name="cifar10").fallback is not None


def test_a_folder_that_is_wrong_is_no_case_for_the_fallback(tmp_path: Path) -> None:
    with pytest.raises(RlnasError, match="is not a folder"):
        load(name="folder", path=str(tmp_path / "nowhere"), when_missing="fallback")


@pytest.mark.thorough
def test_a_closed_port_is_noticed_at_once_and_quietly(tmp_path: Path) -> None:
    """A process of its own: the hub's client reads HF_ENDPOINT once, at import."""
    with socket.socket() as bound:  # bound but not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{bound.getsockname()[1]}"
        code = (
            "import numpy, torch; from rlnas.config.schema import DataConfig; from rlnas.data import load_data\n"
            "data = load_data(DataConfig(name='cifar10'), numpy.random.default_rng(0), torch.device('cpu'))\n"
            "print(data.name, '|', data.fallback)"
        )
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    assert done.stdout.startswith("digits | CIFAR-10 (uoft-cs/cifar10) is neither on disk nor downloadable, because")
    assert f"{endpoint} cannot be reached" in done.stdout
    assert "Retrying" not in done.stderr
    assert len(done.stderr.splitlines()) == 1  # the warning that digits stand in


def test_slow_libraries_are_imported_only_when_needed() -> None:
    code = (
        "import sys, rlnas.data\n"
        "print([name for name in ('datasets', 'sklearn', 'huggingface_hub', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_split_that_does_not_fit_is_refused(two_classes: Path, paint: Callable[..., Path]) -> None:
    data = load(name="folder", path=str(two_classes))
    other = load(name="digits")
    mixed = ImageData(**{**vars(data), "read_test": other.read_test})
    with pytest.raises(
        RlnasError, match=r"the test split of folder:pets has other classes .* expected cat, dog, got 0"
    ):
        mixed.test()


def test_a_folder_of_the_same_images_is_the_same_data(tmp_path: Path) -> None:
    data = load(seed=3, limit=500, valid=0.3)
    files = load(seed=8, name="folder", path=str(digits_as_files(tmp_path, data)), size=8)
    assert (files.channels, files.size, files.classes) == (1, 8, data.classes)
    for split, given in ((files.train, data.train), (files.valid, data.valid.in_content_order())):
        assert rows(split) == rows(given)
    assert sorted(rows(files.test())) == sorted(rows(data.test()))
    assert torch.equal(files.mean, data.mean)


@pytest.mark.variants(1)
@pytest.mark.parametrize("split", ["val", "test"])
def test_colours_in_another_split_of_grey_images(tmp_path: Path, split: str) -> None:
    """Of the validation split an error before anything is trained; of the test split, read last, a note."""
    root = digits_as_files(tmp_path, load(limit=500, valid=0.3))
    colour = torch.randint(0, 256, (8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    PIL.Image.fromarray(colour.numpy()).save(root / split / "3" / "red.png")
    options = {"name": "folder", "path": str(root), "size": 8}
    if split == "val":
        with pytest.raises(RlnasError, match=r"1 of its 151 validation images have colours; .*data\.channels=rgb"):
            load(**options)
    else:
        data = load(**options)
        assert data.test().pixels.shape[1] == 1
        assert any("1 of the 298 test images have colours" in note for note in data.notes)
    assert load(**options, channels="grey").test().pixels.shape[1] == 1
    assert load(**options, channels="rgb").test().pixels.shape[1] == 3
    assert load(**options, channels="rgb").channels == 3

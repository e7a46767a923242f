import io
import os
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import PIL.Image
import pytest
import torch

from rlnas.config.schema import DataConfig
from rlnas.data import ImageData, load_data, sources
from rlnas.data.sources import digits
from rlnas.errors import RlnasError

CPU = torch.device("cpu")
DIGITS_TEST_LABELS = [9, 9, 5, 0, 2, 2, 8, 0, 6, 3, 0, 9]
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def load(path: Path | None, **options: object) -> ImageData:
    config = DataConfig(name="cifar10", path=None if path is None else str(path), when_missing="error", **options)
    return load_data(config, np.random.default_rng(0), CPU)


def write_split(folder: Path, split: str, n: int, shards: int = 1) -> None:
    """n generated images in the hub's layout; the label of image i is i % 10."""
    (folder / "plain_text").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(n)
    encoded = []
    for i in range(n):
        stream = io.BytesIO()
        PIL.Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(stream, "PNG")
        encoded.append({"bytes": stream.getvalue(), "path": f"{i}.png"})
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
    rows = datasets.Dataset.from_dict({"img": encoded, "label": [i % 10 for i in range(n)]}, features=features)
    for shard in range(shards):
        name = f"{split}-{shard:05}-of-{shards:05}.parquet"
        rows.shard(shards, shard, contiguous=True).to_parquet(folder / "plain_text" / name)


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    datasets.disable_progress_bars()
    folder = tmp_path_factory.mktemp("master") / "cifar10"
    write_split(folder, "train", 40, shards=2)
    write_split(folder, "test", 10)
    return folder


@pytest.fixture
def copy(master: Path, tmp_path: Path) -> Path:
    """A small CIFAR-10 of generated images, to be damaged at will."""
    (tmp_path / "copy" / "plain_text").mkdir(parents=True)
    for file in (master / "plain_text").iterdir():
        (tmp_path / "copy" / "plain_text" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "copy"


def test_digits_have_a_fixed_test_split() -> None:
    train, test = digits().train(), digits().test()
    assert train.images.pixels.shape == (1500, 1, 8, 8)
    assert test.images.pixels.shape == (297, 1, 8, 8)
    assert int(train.images.pixels.max()) == 255
    assert train.classes == test.classes == tuple("0123456789")
    everything = torch.cat([train.images.pixels, test.images.pixels]).flatten(1).double()
    from sklearn.datasets import load_digits

    raw = torch.from_numpy(load_digits().data) * (255 / 16)
    assert torch.allclose(everything.mean(0), raw.mean(0), atol=0.5)  # complete: nothing lost, nothing twice
    # Written down: the test split must stay the same images in every version.
    assert test.images.labels[:12].tolist() == DIGITS_TEST_LABELS


def test_a_local_copy_is_read_shard_by_shard(copy: Path) -> None:
    data = load(copy, valid=0.25)
    assert (data.name, data.channels, data.size, data.fallback) == ("cifar10", 3, 32, None)
    assert data.classes == tuple(CLASSES)
    assert (len(data.train), len(data.valid), len(data.test())) == (30, 10, 10)
    assert torch.cat([data.train.labels, data.valid.labels]).bincount().tolist() == [4] * 10


def test_the_environment_names_a_copy_too(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy.rename(tmp_path / "cifar10")
    monkeypatch.setenv("RLNAS_DATA", str(tmp_path))
    assert load(None).name == "cifar10"


@pytest.mark.parametrize("damage", ["absent", "garbage", "truncated"])
def test_the_test_file_is_not_opened_before_it_is_asked_for(copy: Path, damage: str) -> None:
    file = copy / "plain_text" / "test-00000-of-00001.parquet"
    content = file.read_bytes()
    file.unlink()
    if damage != "absent":
        file.write_bytes(b"no parquet" if damage == "garbage" else content[: len(content) // 2])
    data = load(copy)
    assert len(data.train) == 36
    message = "does not hold the test split" if damage == "absent" else "cannot be read as CIFAR-10"
    with pytest.raises(RlnasError, match=message):
        data.test()
    file.write_bytes(content)
    assert len(data.test()) == 10


def test_the_second_load_reads_the_cache_alone(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(copy)
    first_test = first.test()

    def refuse(*_: object) -> None:
        raise AssertionError("the source was read")

    monkeypatch.setattr(sources, "_read_parquet", refuse)
    second = load(copy)
    assert torch.equal(first.train.pixels, second.train.pixels)
    assert torch.equal(first_test.pixels, second.test().pixels)
    assert first.classes == second.classes


def test_a_changed_file_is_read_again(copy: Path) -> None:
    load(copy)
    for file in copy.glob("plain_text/train-*"):
        file.unlink()
    write_split(copy, "train", 20)
    assert len(load(copy).train) == 18


def test_a_file_replaced_with_equal_size_and_date_is_read_again(copy: Path) -> None:
    """The pixels of an image stored without compression are changed in place."""
    file = copy / "plain_text" / "test-00000-of-00001.parquet"
    stream = io.BytesIO()
    PIL.Image.new("RGB", (32, 32), (1, 2, 3)).save(stream, "BMP")
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
    rows = {"img": [{"bytes": stream.getvalue(), "path": None}], "label": [0]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(file)
    assert load(copy).test().pixels[0, :, 0, 0].tolist() == [1, 2, 3]
    stat, content = file.stat(), file.read_bytes()
    file.write_bytes(content.replace(bytes([3, 2, 1]), bytes([9, 2, 1])))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file.stat().st_size == stat.st_size
    assert load(copy).test().pixels[0, :, 0, 0].tolist() == [1, 2, 9]


def test_transparent_images_inside_are_composited(copy: Path) -> None:
    file = copy / "plain_text" / "test-00000-of-00001.parquet"
    stream = io.BytesIO()
    PIL.Image.new("RGBA", (32, 32), (0, 0, 0, 0)).save(stream, "PNG")
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
    rows = {"img": [{"bytes": stream.getvalue(), "path": None}], "label": [0]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(file)
    for ground, value in (("white", 255), ("black", 0)):
        assert load(copy, background=ground).test().pixels[0, :, 0, 0].tolist() == [value] * 3


def test_a_broken_image_inside_is_named(copy: Path) -> None:
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
    rows = {"img": [{"bytes": b"broken", "path": None}], "label": [0]}
    file = copy / "plain_text" / "test-00000-of-00001.parquet"
    datasets.Dataset.from_dict(rows, features=features).to_parquet(file)
    with pytest.raises(RlnasError, match=r"image 0 of test-00000-of-00001.parquet cannot be read"):
        load(copy).test()


def test_another_data_set_in_the_same_layout_is_refused(copy: Path) -> None:
    for file in copy.glob("plain_text/train-*"):
        file.unlink()
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(copy / "plain_text/train-00000-of-00001.parquet")
    with pytest.raises(RlnasError, match="expected parquet with the columns img and label"):
        load(copy)


def test_a_missing_shard_is_noticed(copy: Path) -> None:
    (copy / "plain_text" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(RlnasError, match=r"got train-00000-of-00002.parquet; probably another edition"):
        load(copy)


@pytest.mark.parametrize("when_missing", ["fallback", "error"])
def test_a_wrong_path_is_an_error_always(tmp_path: Path, when_missing: str) -> None:
    for path, message in ((tmp_path / "nowhere", "is not a folder"), (tmp_path, "got no such file")):
        config = DataConfig(name="cifar10", path=str(path), when_missing=when_missing)
        with pytest.raises(RlnasError, match=message):
            load_data(config, np.random.default_rng(0), CPU)


@pytest.fixture(scope="module")
def whole(real_cifar10: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageData]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLNAS_CACHE", str(tmp_path_factory.mktemp("whole")))
        yield load(real_cifar10)


@pytest.mark.thorough
def test_the_real_cifar10(whole: ImageData) -> None:
    assert whole.name == "cifar10"
    assert whole.classes == tuple(CLASSES)
    assert whole.train.pixels.shape == (45_000, 3, 32, 32)
    assert whole.valid.pixels.shape == (5_000, 3, 32, 32)
    assert torch.cat([whole.train.labels, whole.valid.labels]).bincount().tolist() == [5_000] * 10
    assert torch.allclose(whole.mean, torch.tensor([0.4914, 0.4822, 0.4465]), atol=2e-3)  # as published
    test = whole.test()
    assert test.pixels.shape == (10_000, 3, 32, 32)
    assert test.labels.bincount().tolist() == [1_000] * 10

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test, and no data set that the machine happens to have."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RLNAS_CACHE", str(folder))
    monkeypatch.delenv("RLNAS_DATA", raising=False)
    return folder


@pytest.fixture(scope="session")
def real_cifar10() -> Path:
    for root in (os.environ.get("RLNAS_DATA"), REPOSITORY.parent / "shared" / "data"):
        if root and (Path(root) / "cifar10").is_dir():
            return Path(root) / "cifar10"
    pytest.skip("no CIFAR-10: neither $RLNAS_DATA/cifar10 nor ../shared/data/cifar10 exists")


@pytest.fixture
def paint() -> Callable[..., Path]:
    """Writes an image of random noise: paint(path, seed=0, mode="RGB", size=(9, 7)) -> path."""

    def paint(path: Path, seed: int = 0, mode: str = "RGB", size: tuple[int, int] = (9, 7)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        PIL.Image.fromarray(noise).convert(mode).save(path)
        return path

    return paint


@pytest.fixture
def two_classes(tmp_path: Path, paint: Callable[..., Path]) -> Path:
    """Twenty images of cats and twenty of dogs."""
    root = tmp_path / "pets"
    for label, name in enumerate(("dog", "cat")):
        for i in range(20):
            paint(root / name / f"{i:02}.png", seed=100 * label + i)
    return root

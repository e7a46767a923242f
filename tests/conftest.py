"""What the tests share: tiny images, tiny spaces, and an evaluator that knows the best architecture."""

import io
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

from rlnas.children.supernet import Supernet
from rlnas.config.schema import ChildConfig, ObjectiveConfig
from rlnas.data import ImageData, Images
from rlnas.data.augment import Augmentation
from rlnas.data.images import Decoded, statistics
from rlnas.envs.scorer import Scorer
from rlnas.evaluators import Evaluator, Score
from rlnas.execution.settings import Execution
from rlnas.networks.graph import Graph
from rlnas.objective import Objective
from rlnas.spaces import Architecture, NasrlFactoredSpace, NasrlSpace, Space
from rlnas.spaces.networks import Networks

settings.register_profile("untimed", deadline=None)  # a busy machine must not fail a test
settings.load_profile("untimed")

torch.set_num_threads(1)  # for tensors this small threads only wait for each other: 17 times slower on a busy machine


class Matching(Evaluator):
    """An evaluator without training: the accuracy is the share of decisions that equal the target's."""

    rungs = True

    def __init__(self, target: Architecture):
        self.target = target
        self.calls: list[list[Architecture]] = []

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        self.calls.append(list(architectures))
        return [Score({"accuracy": self._likeness(one)}) for one in architectures]

    def evaluate_partly(self, architectures: Sequence[Architecture], share: float) -> list[Score]:
        return self.evaluate(architectures)

    def _likeness(self, architecture: Architecture) -> float:
        return float(np.mean([own == wanted for own, wanted in zip(architecture, self.target, strict=True)]))

    @property
    def seen(self) -> list[Architecture]:
        return [architecture for call in self.calls for architecture in call]


@pytest.fixture
def scorer() -> Callable[..., Scorer]:
    """scorer(space, target=None): rewards likeness to the target, by default the space's middle architecture."""

    def make(space: Space, target: Architecture | None = None) -> Scorer:
        evaluator = Matching(space.unrank(2 * space.size // 3) if target is None else target)
        return Scorer(evaluator, Objective(ObjectiveConfig(), space))

    return make


@pytest.fixture(params=["nasrl", "nasrl_factored"])
def space(request: pytest.FixtureRequest) -> Space:
    """A small space of each kind."""
    if request.param == "nasrl":
        return NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
    return NasrlFactoredSpace(4, heights=(1, 3), widths=(1, 3, 5), filters=(3, 4))


@pytest.fixture(scope="session")
def nas_bench_macro() -> Path:
    """The folder of NAS-Bench-Macro's file."""
    roots = [Path(os.environ["RLNAS_DATA"])] if "RLNAS_DATA" in os.environ else []
    for root in [*roots, Path(__file__).resolve().parents[2] / "shared" / "data"]:
        if (root / "nas_bench_macro" / "nas-bench-macro_cifar10.json").is_file():
            return root / "nas_bench_macro"
    pytest.skip("no NAS-Bench-Macro: neither $RLNAS_DATA/nas_bench_macro nor ../shared/data/nas_bench_macro exists")


@pytest.fixture
def execution() -> Execution:
    return Execution(torch.device("cpu"), torch.float32, channels_last=False)


@pytest.fixture
def data() -> ImageData:
    """48 training and 24 validation images, 1 x 8 x 8, of three classes that differ in brightness."""
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> Images:
        labels = torch.arange(count) % 3
        noise = torch.randint(0, 120, (count, 1, 8, 8), generator=generator)
        return Images((noise + 60 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels)

    train, valid, test = images(48), images(24), images(24)
    classes = ("dark", "grey", "light")
    mean, std = statistics(train.pixels)
    return ImageData(
        "shades", classes, 1, 8, train, valid, mean, std, Augmentation(crop=1), lambda: Decoded(test, classes)
    )


@pytest.fixture
def graph_of() -> Callable[..., Graph]:
    """graph_of(space, architecture): the network for the images of `data`."""

    def make(space: Space, architecture: Sequence[int]) -> Graph:
        return space.graph(architecture, image_channels=1, image_size=8, classes=3)

    return make


@pytest.fixture
def networks() -> Callable[[Space], Networks]:
    """networks(space): its networks for the images of `data`."""

    def make(space: Space) -> Networks:
        return Networks(space, image_channels=1, image_size=8, classes=3)

    return make


@pytest.fixture
def child_config() -> Callable[..., ChildConfig]:
    """child_config(**changes): small batches, nothing random unless asked for."""

    def make(**changes: Any) -> ChildConfig:
        return ChildConfig(**{"batch_size": 16, "dropout": 0.0, **changes})

    return make


@pytest.fixture
def supernet(
    data: ImageData, execution: Execution, child_config: Callable[..., ChildConfig]
) -> Callable[..., Supernet]:
    """supernet(**changes of the config): shared weights."""

    def make(**changes: Any) -> Supernet:
        return Supernet(child_config(**changes), data, track_statistics=True, execution=execution, seed=3)

    return make


@pytest.fixture
def through_disk() -> Callable[[Any], Any]:
    """A value as torch.save writes it and torch.load(weights_only=True) gives it back."""

    def copy(value: Any) -> Any:
        file = io.BytesIO()
        torch.save(value, file)
        file.seek(0)
        return torch.load(file, weights_only=True)

    return copy


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as thorough, of a test with variants(n), all parameter sets but the first n."""
    seen: Counter[str] = Counter()
    for item in items:
        marker = item.get_closest_marker("variants")
        if marker is None:
            continue
        test = item.nodeid.partition("[")[0]
        seen[test] += 1
        if seen[test] > marker.args[0]:
            item.add_marker(pytest.mark.thorough)

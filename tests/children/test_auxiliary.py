"""The training of large final networks: a second, weighted loss of an auxiliary head, and a schedule of drop path."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import rlnas
from rlnas.children.batches import Batches
from rlnas.children.export import load_child, save_child
from rlnas.children.network import Noise, run
from rlnas.children.norm import train_mode
from rlnas.children.retrain import Retraining, drop_path_rate, new_child
from rlnas.children.trainer import Sgd, Trainer
from rlnas.children.weights import named_tensors
from rlnas.config.schema import RetrainConfig
from rlnas.data import ImageData
from rlnas.errors import RlnasError
from rlnas.execution.settings import Execution
from rlnas.networks.graph import Graph, GraphBuilder
from rlnas.spaces import NasrlSpace
from tests.command import TINY, result

WEIGHT = 0.4


class Chain(NasrlSpace):
    """nasrl with an auxiliary head on the stem; its architectures are those of nasrl."""

    name = "chain with a head"

    def __init__(self, layers: int = 3) -> None:
        super().__init__(layers, ("conv3x3", "identity"), filters=4, reductions=1)

    def auxiliary(self, architecture: Any, *, image_channels: int, image_size: int, classes: int) -> Graph:
        whole = self.graph(architecture, image_channels=image_channels, image_size=image_size, classes=classes)
        builder = GraphBuilder(image_channels, (image_size, image_size), [*whole.nodes[:2]])
        side = builder.add("plain_conv3x3", [1], channels=5, key="auxiliary/conv")
        builder.add("head", [side], channels=classes, key="auxiliary/head")
        return builder.build()


SPACE = Chain()
SIZES = {"image_channels": 1, "image_size": 8, "classes": 3}
GRAPH = SPACE.graph(SPACE.parse("conv3x3 identity conv3x3+1"), **SIZES)
HEAD = SPACE.auxiliary(SPACE.parse("conv3x3 identity conv3x3+1"), **SIZES)
Make = Callable[..., Retraining]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def make(data: ImageData, execution: Execution) -> Make:
    def training(head: Graph | None = HEAD, **changes: Any) -> Retraining:
        config = RetrainConfig(**{"epochs": 3, "batch_size": 16, "auxiliary": WEIGHT, **changes})
        return Retraining(config, GRAPH, data, execution=execution, seed=0, auxiliary=head)

    return training


def test_the_second_network_shares_the_first_nodes() -> None:
    keys = [{node.key for node in graph.nodes} for graph in (GRAPH, HEAD)]
    assert keys[0] & keys[1] == {"stem", "layer1/conv3x3"}


@pytest.mark.parametrize("weight", [0.4, 1.0, 2.5])
def test_the_gradient_is_the_weighted_sum_of_both(weight: float, data: ImageData, execution: Execution) -> None:
    """Plain SGD without momentum, decay or clipping at a rate of 1: the step is the gradient."""
    child = new_child(GRAPH, data, execution=execution, seed=0)
    child.weights.ensure(HEAD)
    train_mode(child.weights)
    batches = [Batches(data, batch_size=16, execution=execution, seed=0, purpose="retrain") for _ in range(2)]
    images, labels = batches[1].next()
    parameters = dict(child.weights.named_parameters())
    gradients = []
    for graph in (GRAPH, HEAD):
        loss = F.cross_entropy(run(graph, child.weights, images), labels)
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        gradients.append((loss.item(), [None if one is None else one.clone() for one in found]))
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    trainer = Trainer(child.weights, batches[0], Noise(0, 0, torch.Generator()), Sgd(0, 0, 0, 0))
    loss = trainer.step([GRAPH, HEAD], 1.0, (1.0, weight))
    assert float(loss) == pytest.approx(gradients[0][0] + weight * gradients[1][0], rel=1e-5)
    for (name, parameter), main, side in zip(parameters.items(), gradients[0][1], gradients[1][1], strict=True):
        zero = torch.zeros_like(parameter)
        expected = (zero if main is None else main) + weight * (zero if side is None else side)
        torch.testing.assert_close(before[name] - parameter.detach(), expected, rtol=1e-3, atol=1e-6, msg=name)
    only = [name for name, one in zip(parameters, gradients[0][1], strict=True) if one is None]
    assert only
    assert all("auxiliary" in name for name in only)


def test_the_head_changes_the_training_and_is_not_exported(make: Make, data: ImageData, tmp_path: Path) -> None:
    child, plain = make().train(lambda *_: None), make(head=None).train(lambda *_: None)
    tensors = named_tensors(child.weights)
    assert tensors.keys() == named_tensors(plain.weights).keys()
    assert not same(tensors, named_tensors(plain.weights))
    assert not any("auxiliary" in name for name in tensors)
    save_child(child, tmp_path / "best", {})
    again = load_child(tmp_path)
    assert torch.equal(again.predict(data.valid.pixels), child.predict(data.valid.pixels))


@pytest.mark.parametrize("changes", [{"auxiliary": 0.0}, {"auxiliary": 0.0, "drop_path": 0.2, "dropout": 0.1}])
def test_off_it_is_the_training_without_a_head(make: Make, changes: dict[str, Any]) -> None:
    losses: list[list[float]] = [[], []]
    children = [
        make(head=head, **changes).train(lambda _, loss, kept=kept: kept.append(loss))
        for head, kept in zip((HEAD, None), losses, strict=True)
    ]
    assert losses[0] == losses[1]
    assert same(*(named_tensors(child.weights) for child in children))


@pytest.mark.parametrize("done", [1, 3])
def test_a_resumed_training_equals_an_uninterrupted_one(make: Make, through_disk: Any, done: int) -> None:
    options = {"drop_path": 0.3, "drop_path_schedule": "linear", "dropout": 0.1}
    whole, states, losses = make(**options), {}, []

    def after(epoch: int, loss: float) -> None:
        states[epoch] = through_disk(whole.state())
        losses.append(loss)

    whole.train(after)
    resumed, again = make(**options), []
    resumed.restore(states[done])
    resumed.train(lambda _, loss: again.append(loss))
    assert again == losses[done:]
    assert same(named_tensors(whole.child.weights), named_tensors(resumed.child.weights))


# -- the schedule of drop path -----------------------------------------------------------------------------


def test_the_rates_by_hand() -> None:
    linear = [drop_path_rate(step, 5, last=0.2, schedule="linear") for step in range(5)]
    assert linear == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])
    assert [drop_path_rate(step, 5, last=0.2, schedule="constant") for step in range(5)] == [0.2] * 5
    assert drop_path_rate(0, 1, last=0.2, schedule="linear") == 0.0


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_each_step_draws_with_its_rate(schedule: str, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """48 images in batches of 16, three epochs: nine steps."""
    training, rates = make(drop_path=0.4, drop_path_schedule=schedule), []
    step = Trainer.step

    def spy(trainer: Trainer, *arguments: Any) -> Any:
        rates.append(trainer.noise.drop_path)
        return step(trainer, *arguments)

    monkeypatch.setattr(Trainer, "step", spy)
    training.train(lambda *_: None)
    expected = [0.4] * 9 if schedule == "constant" else [0.05 * number for number in range(9)]
    assert rates == pytest.approx(expected)


def test_a_constant_rate_is_the_default_and_a_schedule_changes_the_training(make: Make) -> None:
    trained = {
        name: named_tensors(make(drop_path=0.4, head=None, **options).train(lambda *_: None).weights)
        for name, options in (
            ("default", {}),
            ("constant", {"drop_path_schedule": "constant"}),
            ("linear", {"drop_path_schedule": "linear"}),
        )
    }
    assert same(trained["default"], trained["constant"])
    assert not same(trained["default"], trained["linear"])


# -- whole runs --------------------------------------------------------------------------------------------

OWN = ("space=yours", f"space.name={__name__}.Chain", "retrain.auxiliary=0.4", "retrain.drop_path=0.2")


@pytest.mark.thorough
def test_a_run_with_a_head_exports_none_and_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [item for item in TINY if not item.startswith("space.")]
    arguments += [
        *OWN,
        "retrain.drop_path_schedule=linear",
        "budget.rounds=1",
        "retrain.controls=1",
        "select.controls=1",
    ]
    whole = rlnas.run([*arguments, f"hydra.run.dir={tmp_path / 'whole'}"])
    child = rlnas.load_child(whole)
    assert not any("auxiliary" in name for name, _ in child.named_parameters())
    assert sum(p.numel() for p in child.parameters()) == result(whole)["best"]["params"]
    train = Retraining.train

    def stop(training: Retraining, after_epoch: Callable[[int, float], None]) -> Any:
        def after(epoch: int, loss: float) -> None:
            after_epoch(epoch, loss)
            raise KeyboardInterrupt

        return train(training, after)

    monkeypatch.setattr(Retraining, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        rlnas.run([*arguments, f"hydra.run.dir={tmp_path / 'part'}"])
    monkeypatch.undo()
    part = rlnas.run([f"resume={tmp_path / 'part'}"])
    assert result(part)["best"] == result(whole)["best"]
    assert same(*(named_tensors(rlnas.load_child(folder).weights) for folder in (whole, part)))
    plain = rlnas.run([*arguments, "retrain.auxiliary=0", f"hydra.run.dir={tmp_path / 'plain'}"])
    assert not same(*(named_tensors(rlnas.load_child(folder).weights) for folder in (whole, plain)))


@pytest.mark.parametrize("name", ["nasrl", "nasrl_factored"])
def test_a_weight_without_a_head_is_refused_before_any_training(name: str, tmp_path: Path) -> None:
    arguments = [item for item in TINY if "filters" not in item]
    message = rf"retrain.auxiliary=0.4 weights the loss of an auxiliary head.* space={name} do not have; set it to 0"
    with pytest.raises(RlnasError, match=message):
        rlnas.run([*arguments, f"space={name}", "retrain.auxiliary=0.4", f"hydra.run.dir={tmp_path / 'run'}"])
    assert not (tmp_path / "run").exists()


def test_the_stand_alone_evaluator_trains_with_the_head(data: ImageData, execution: Execution) -> None:
    from rlnas.evaluators.alone import Recipe, to_train, train_from_scratch
    from rlnas.spaces.networks import Networks

    config = RetrainConfig(epochs=1, batch_size=16, auxiliary=WEIGHT)
    networks, architecture = Networks(SPACE, 1, 8, 3), SPACE.parse("conv3x3 identity conv3x3+1")
    item = to_train(networks, architecture, config)
    assert (item.graph, item.auxiliary) == (GRAPH, HEAD)
    off = to_train(networks, architecture, replace(config, auxiliary=0.0))
    assert off.auxiliary is None
    scores = [
        train_from_scratch(Recipe(config, data, data.valid, execution, 0, 12), one, lambda: False).values
        for one in (item, off)
    ]
    assert scores[0] != scores[1]


@pytest.mark.thorough
def test_both_networks_are_one_graph_that_can_be_recorded(
    data: ImageData, execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in tests/children/test_training.py; recorded once, though a graph's `last_uses` are computed lazily."""
    from torch._dynamo.backends.debugging import aot_eager

    real, recorded = torch.compile, []

    def trace(function: Any, *, mode: str, fullgraph: bool, dynamic: bool) -> Any:
        def backend(*arguments: Any) -> Any:
            recorded.append(mode)
            return aot_eager(*arguments)

        return real(function, backend=backend, fullgraph=fullgraph, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", trace)
    config = RetrainConfig(epochs=2, batch_size=16, auxiliary=WEIGHT)
    trained = []
    for graphed in (True, False):
        how = replace(execution, cuda_graphs=graphed)
        graphs = replace(GRAPH), replace(HEAD)
        training = Retraining(config, graphs[0], data, execution=how, seed=0, auxiliary=graphs[1])
        trained.append(named_tensors(training.train(lambda *_: None).weights))
    assert recorded == ["reduce-overhead"]
    assert same(*trained)

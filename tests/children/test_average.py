"""Averaged shared weights: hand-computed numbers, what is averaged, what is scored, and exact resuming."""

import math
from dataclasses import replace

import pytest
import torch

from rlnas.children.average import AverageWeights
from rlnas.children.weights import Weights, named_tensors
from rlnas.config.schema import SharedWeightsConfig
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
ARCHITECTURES = ((0, 1, 0, 1), (1, 1, 2, 0), (2, 0, 1, 1), (0, 0, 0, 0))
HALF = 1 / math.log(2)  # memory in steps with d = 1/2


@pytest.fixture
def graphs(graph_of):
    return [graph_of(SPACE, architecture) for architecture in ARCHITECTURES]


def source(graphs) -> Weights:
    weights = Weights(0, track_statistics=True, device=torch.device("cpu"), channels_last=True)
    for graph in graphs:
        weights.ensure(graph)
    return weights


def set_all(weights: Weights, value: float) -> None:
    for tensor in weights.state_dict().values():
        tensor.fill_(value)


def values(average: AverageWeights) -> torch.Tensor:
    """Of all parameters and running statistics, each once."""
    tensors = named_tensors(average.weights).values()
    return torch.cat([tensor.flatten() for tensor in tensors if tensor.is_floating_point()]).unique()


def same(a: Weights, b: Weights) -> bool:
    left, right = named_tensors(a), named_tensors(b)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (HALF, [1.0, (0.5 * 1 + 4) / 1.5, (0.25 * 1 + 0.5 * 4 - 2) / 1.75]),  # weights 1, 1/2, 1/4 backwards
        (1e12, [1.0, 2.5, 1.0]),  # the plain mean
        (1e-3, [1.0, 4.0, -2.0]),  # the last
    ],
)
def test_the_average_by_hand(graphs, memory, expected):
    weights = source(graphs)
    average = AverageWeights(weights, memory)
    for value, mean in zip([1, 4, -2], expected, strict=True):
        set_all(weights, value)
        average.update()
        assert torch.allclose(values(average), torch.tensor(mean))


def test_counters_are_copied(graphs):
    weights = source(graphs)
    average = AverageWeights(weights, HALF)
    for value in (3, 8):
        set_all(weights, value)
        average.update()
    counters = [tensor for name, tensor in named_tensors(average.weights).items() if "num_batches" in name]
    assert counters
    assert all(int(counter) == 8 for counter in counters)


def test_a_parameter_made_later_had_its_initial_value_before(graphs):
    """As if it had existed from the start: its creation depends on sampling and on what is scored."""
    early, late = source(graphs), source(graphs[:1])
    averages = [AverageWeights(weights, HALF) for weights in (early, late)]
    for average in averages:
        average.update()
    late.ensure(graphs[1])
    averages[1].weights.ensure(graphs[2])  # scored before it is trained
    averages[1].update()
    averages[0].update()
    late.ensure(graphs[2])
    for average, weights in zip(averages, (early, late), strict=True):
        set_all(weights, 5.0)
        average.update()
    left, right = (named_tensors(average.weights) for average in averages)
    assert right.keys() <= left.keys()
    assert all(torch.equal(left[name], right[name]) for name in right)


def test_unused_parameters_count_with_their_unchanged_value(supernet, graphs):
    """The average of an operator that no later step uses moves on to its last value."""
    net = supernet(average_epochs=0.1)
    net.train(iter(graphs[:1]), 1)
    used = {node.key for node in graphs[0].nodes if node.key}
    net.train(iter(graphs[3:] * 8), 8)
    only = used - {node.key for node in graphs[3].nodes if node.key}
    assert only
    for name, tensor in named_tensors(net.weights).items():
        if name.split(".")[1] in only:
            assert torch.allclose(named_tensors(net.scored)[name], tensor)


def test_training_is_the_same_with_and_without_an_average(supernet, graphs):
    without, averaged = supernet(), supernet(average_epochs=1.0)
    losses = [net.train(iter(graphs * 3), 12) for net in (without, averaged)]
    assert losses[0] == losses[1]
    assert same(without.weights, averaged.weights)
    assert without.scored is without.weights
    assert not same(averaged.scored, averaged.weights)


def test_the_memory_is_in_epochs_of_the_training(supernet, graphs):
    net = supernet(average_epochs=2.0)
    assert net.average.memory == 2.0 * net.batches.per_epoch


@pytest.mark.variants(1)
@pytest.mark.parametrize("done", [1, 0, 6])
def test_resumed_averages_equal_uninterrupted_ones(supernet, graphs, through_disk, done):
    options = {"average_epochs": 0.5, "dropout": 0.3, "architectures_per_step": 2}
    through, stopped, resumed = (supernet(**options) for _ in range(3))
    supply = graphs * 8
    for net in (through, stopped):
        net.train(iter(supply), done)
        net.scored.ensure(graphs[2])  # as scoring does
    resumed.restore(through_disk(stopped.state()))
    losses = [net.train(iter(supply[2 * done :]), 5) for net in (through, resumed)]
    assert losses[0] == losses[1]
    assert same(through.scored, resumed.scored)
    assert same(through.weights, resumed.weights)


def test_without_an_average_the_state_is_as_before(supernet):
    assert set(supernet().state()) == {"trainer", "version"}


@pytest.mark.variants(1)
@pytest.mark.parametrize("norm", ["running", "batch", "recalibrate"])
def test_scores_are_those_of_a_supernet_that_has_the_averages_as_weights(supernet, data, networks, graphs, norm):
    config = SharedWeightsConfig(images=0, batch_size=8, norm=norm)
    net, plain = supernet(average_epochs=1.0, learning_rate=0.3), supernet(learning_rate=0.3)
    net.train(iter(graphs * 3), 12)
    plain.train(iter(graphs * 3), 12)
    raw = SharedWeightsEvaluator(config, plain, data, networks(SPACE), seed=0)
    averaged = SharedWeightsEvaluator(config, net, data, networks(SPACE), seed=0)
    before = named_tensors(net.weights)
    before = {name: tensor.clone() for name, tensor in before.items()}
    found = [[score.accuracy for score in averaged.evaluate(ARCHITECTURES)]]
    found.append([score.accuracy for score in averaged.evaluate_fully(ARCHITECTURES)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in named_tensors(net.weights).items())
    trained = [score.accuracy for score in raw.evaluate_fully(ARCHITECTURES)]
    plain.weights.load_state_dict(net.scored.state_dict())
    expected = [score.accuracy for score in raw.evaluate_fully(ARCHITECTURES)]
    assert found == [expected, expected]
    assert trained != expected or norm == "batch"


def test_finalists_start_from_the_averages(supernet, data, networks, graphs):
    """At a negligible rate a finalist keeps its initial weights."""
    config = SharedWeightsConfig(images=0, batch_size=8)
    found = []
    for which in ("averaged", "copied", "raw"):
        net = supernet(average_epochs=0.0 if which == "raw" else 1.0, learning_rate=0.3)
        net.train(iter(graphs * 3), 12)
        if which == "copied":
            net.weights.load_state_dict(net.scored.state_dict())
            net.average = None
        net.config = replace(net.config, learning_rate=1e-12, learning_rate_min=0.0, weight_decay=0.0)
        evaluator = SharedWeightsEvaluator(config, net, data, networks(SPACE), seed=0)
        found.append([score.accuracy for score in evaluator.evaluate_alone(ARCHITECTURES, 0.1)])
    assert found[0] == found[1]
    assert found[0] != found[2]

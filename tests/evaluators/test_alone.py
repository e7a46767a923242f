"""Finalists trained alone: on a copy, from where they are told, on the same batches, with a reason if they fail."""

import pytest
import torch

from rlnas.children.supernet import Supernet
from rlnas.children.weights import named_tensors
from rlnas.evaluators import Score
from rlnas.evaluators.alone import Alone, ShortTraining, seed_of, train_shortly
from rlnas.evaluators.measures import LOG_LIKELIHOOD_FLOOR
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def graphs(graph_of):
    """Four architectures that share and do not share layers."""
    return [graph_of(SPACE, a) for a in ((0, 1, 0, 1), (1, 1, 2, 0), (2, 0, 1, 1), (0, 0, 0, 0))]


@pytest.fixture
def alone(data):
    """alone(net, graph, epochs, from_shared=True): what was trained, and the score."""

    def make(net, graph, epochs, from_shared=True, stopped=lambda: False, repeat=0) -> tuple[Supernet | None, Score]:
        net.weights.ensure(graph)
        trained = []

        def score(one, scored_graph):
            assert scored_graph == graph
            trained.append(one)
            return Score({"accuracy": 0.5}, images=24)

        weights = net.weights.state_dict() if from_shared else None
        common = ShortTraining(net.config, data, True, net.execution, 3, epochs, weights, score)
        found = train_shortly(common, Alone(graph, repeat), stopped)
        return (trained or [None])[0], found

    return make


def test_a_copy_of_its_own_weights_is_trained(supernet, graphs, alone):
    net = supernet()
    net.train(iter(graphs), 4)
    before, version = {n: t.clone() for n, t in named_tensors(net.weights).items()}, net.version
    trained, score = alone(net, graphs[0], 2)
    assert same(named_tensors(net.weights), before)
    assert net.version == version
    assert set(trained.weights.specs) == {node.key for node in graphs[0].nodes if node.key}
    assert set(trained.weights.specs) < set(net.weights.specs)
    assert trained.trainer.steps == 2 * 3
    assert trained.learning_rate(5) < trained.learning_rate(0) == 0.05
    assert (score.accuracy, score.images, score.failed) == (0.5, 24, None)
    assert score.seconds > 0


def test_it_starts_at_the_shared_weights(supernet, graphs, alone):
    """With a step of hardly any length the copy still is the shared weights, not the first ones."""
    net = supernet()
    net.train(iter(graphs * 9), 9)
    still = supernet(learning_rate=1e-12, learning_rate_min=0)
    still.restore(net.state())
    first = supernet()
    first.weights.ensure(graphs[0])
    trained, _ = alone(still, graphs[0], 0.3)
    assert trained.trainer.steps == 1
    for name, parameter in trained.weights.named_parameters():
        torch.testing.assert_close(parameter, net.weights.get_parameter(name))
    kernel = "by_key.stem.0.weight"
    assert not torch.allclose(trained.weights.get_parameter(kernel), first.weights.get_parameter(kernel))


def test_from_scratch_the_shared_weights_do_not_matter(supernet, graphs, alone):
    old, new = supernet(), supernet()
    old.train(iter(graphs * 9), 9)
    nets = [alone(net, graphs[0], 1, from_shared=False)[0] for net in (old, new)]
    assert same(named_tensors(nets[0].weights), named_tensors(nets[1].weights))
    shared, _ = alone(old, graphs[0], 1)
    assert not same(named_tensors(nets[0].weights), named_tensors(shared.weights))


def test_every_graph_trains_on_the_same_batches(supernet, graphs, alone):
    nets = [alone(supernet(dropout=0.3), graph, 1)[0] for graph in graphs[:2]]
    assert torch.equal(nets[0].batches.order, nets[1].batches.order)
    assert torch.equal(nets[0].batches.augment_stream.get_state(), nets[1].batches.augment_stream.get_state())
    again, _ = alone(supernet(dropout=0.3), graphs[0], 1)
    assert same(named_tensors(again.weights), named_tensors(nets[0].weights))


def test_another_repeat_differs_in_weights_and_batches_and_is_repeatable(supernet, graphs, alone):
    nets = [alone(supernet(), graphs[0], 1, from_shared=False, repeat=repeat)[0] for repeat in (0, 1, 2, 1)]
    weights = [named_tensors(net.weights) for net in nets]
    assert same(weights[1], weights[3])
    assert not any(same(weights[one], weights[other]) for one, other in ((0, 1), (0, 2), (1, 2)))
    assert not torch.equal(nets[0].batches.order, nets[1].batches.order)
    starts = [seed_of(3, repeat) for repeat in (0, 1, 2)]
    assert starts[0] == 3
    assert len(set(starts)) == 3


def test_one_that_diverges_is_a_score_with_a_reason(supernet, graphs, alone):
    net = supernet()
    net.weights.ensure(graphs[0])
    net.weights.by_key["stem"][0].weight.data.fill_(float("nan"))
    trained, score = alone(net, graphs[0], 1)
    assert trained is None
    assert score.values == {"accuracy": 0, "soft_accuracy": 0, "log_likelihood": LOG_LIKELIHOOD_FLOOR}
    assert "the loss of the shared weights is nan" in score.failed


def test_it_stops_when_it_is_told_to(supernet, graphs, alone):
    answers = iter([False, True])
    with pytest.raises(InterruptedError):
        alone(supernet(), graphs[0], 1, stopped=lambda: next(answers))

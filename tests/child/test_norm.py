"""The three policies for batch normalisation, each against a computation by hand."""

import pytest
import torch

from rlnas.child.network import run
from rlnas.child.norm import recalibrate, train_mode, use_batch_statistics, use_running_statistics
from rlnas.child.supernet import Supernet
from rlnas.child.weights import Weights
from rlnas.graph import Graph
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3"), filters=4, reductions=1)


@pytest.fixture
def graphs(graph_of) -> list[Graph]:
    return [graph_of(SPACE, a) for a in ((0, 1, 0, 1), (1, 1, 1, 0), (0, 0, 0, 0))]


@pytest.fixture
def weights(data, execution, child_config, graphs) -> Weights:
    """Trained for a few steps, with statistics."""
    net = Supernet(child_config(), data, track_statistics=True, execution=execution, seed=0)
    net.train(iter(graphs * 4), 12, what="test")
    return net.weights


@pytest.fixture
def batches(data) -> list[torch.Tensor]:
    return [data.prepare(pixels) for pixels in data.train.pixels.split(12)]


def buffers(weights: Weights) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in weights.named_buffers()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def normalised(graph: Graph, weights: Weights, images: torch.Tensor) -> list[torch.Tensor]:
    """The inputs of the graph's BN layers on these images, with the statistics of the batch."""
    use_batch_statistics(weights, graph)
    inputs: list[torch.Tensor] = []
    hooks = [norm.register_forward_pre_hook(lambda _, x: inputs.append(x[0])) for norm in weights.norms(graph)]
    run(graph, weights, images)
    for hook in hooks:
        hook.remove()
    return inputs


def test_batch_touches_no_buffer(weights, graphs, batches):
    before = buffers(weights)
    use_batch_statistics(weights, graphs[0])
    run(graphs[0], weights, batches[0])
    assert same(buffers(weights), before)


def test_batch_does_not_depend_on_earlier_evaluations(weights, graphs, batches):
    use_batch_statistics(weights, graphs[0])
    first = run(graphs[0], weights, batches[0])
    for graph in graphs[1:]:
        recalibrate(weights, graph, batches[1:])
        use_running_statistics(weights, graph)
        run(graph, weights, batches[2])
    use_batch_statistics(weights, graphs[0])
    assert torch.equal(run(graphs[0], weights, batches[0]), first)


def test_batch_normalises_by_the_batch(weights, graphs, batches):
    stem = weights.by_key["stem"]
    use_batch_statistics(weights, graphs[0])
    x = stem[0](batches[0])
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    expected = (x - mean) / (variance + 1e-5).sqrt() * stem[1].weight.view(-1, 1, 1) + stem[1].bias.view(-1, 1, 1)
    torch.testing.assert_close(stem(batches[0]), expected)


def test_batch_works_without_any_buffer(graphs, batches):
    weights = Weights(0, track_statistics=False, device=torch.device("cpu"), channels_last=False)
    weights.ensure(graphs[0])
    assert not buffers(weights)
    use_batch_statistics(weights, graphs[0])
    assert run(graphs[0], weights, batches[0]).isfinite().all()


def test_recalibrated_statistics_are_the_mean_over_the_batches(weights, graphs, batches):
    inputs = [normalised(graphs[0], weights, batch) for batch in batches]
    recalibrate(weights, graphs[0], batches)
    for norm, values in zip(weights.norms(graphs[0]), zip(*inputs, strict=True), strict=True):
        mean = torch.stack([x.mean((0, 2, 3)) for x in values]).mean(0)
        variance = torch.stack([x.var((0, 2, 3), unbiased=True) for x in values]).mean(0)
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, variance)


def test_recalibration_forgets_what_was_there(weights, graphs, batches):
    recalibrate(weights, graphs[0], batches)
    first = buffers(weights)
    for norm in weights.norms(graphs[0]):
        norm.running_mean.fill_(1e6)
    recalibrate(weights, graphs[0], batches)
    assert same(buffers(weights), first)


def test_recalibration_leaves_other_children_and_the_momentum_alone(weights, graphs, batches):
    shared = {id(norm) for norm in weights.norms(graphs[0])}
    others = [norm for norm in weights.norms(graphs[1]) if id(norm) not in shared]
    assert others
    before = [norm.running_mean.clone() for norm in others]
    recalibrate(weights, graphs[0], batches)
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(others, before, strict=True))
    assert {norm.momentum for norm in weights.norms(graphs[0])} == {0.1}


def test_running_normalises_by_the_buffers(weights, graphs, batches):
    stem = weights.by_key["stem"]
    stem[1].running_mean.fill_(0.3)
    stem[1].running_var.fill_(4.0)
    use_running_statistics(weights, graphs[0])
    before = buffers(weights)
    expected = (stem[0](batches[0]) - 0.3) / (4 + 1e-5) ** 0.5
    expected = expected * stem[1].weight.view(-1, 1, 1) + stem[1].bias.view(-1, 1, 1)
    torch.testing.assert_close(stem(batches[0]), expected)
    run(graphs[0], weights, batches[0])
    assert same(buffers(weights), before)


@torch.no_grad()
def test_the_policies_differ(weights, graphs, batches):
    use_batch_statistics(weights, graphs[0])
    batch = run(graphs[0], weights, batches[0])
    use_running_statistics(weights, graphs[0])
    running = run(graphs[0], weights, batches[0])
    recalibrate(weights, graphs[0], batches)
    use_running_statistics(weights, graphs[0])
    recalibrated = run(graphs[0], weights, batches[0])
    for one, other in ((batch, running), (batch, recalibrated), (running, recalibrated)):
        assert not torch.allclose(one, other, atol=1e-4)


@torch.no_grad()
def test_running_and_recalibrated_scores_do_not_depend_on_the_batch_but_batch_does(weights, graphs, batches):
    for policy, alike in ((use_batch_statistics, False), (use_running_statistics, True)):
        policy(weights, graphs[0])
        alone, together = (run(graphs[0], weights, torch.cat(part))[:12] for part in (batches[:1], batches[:3]))
        assert torch.allclose(alone, together, atol=1e-5) == alike


@pytest.mark.parametrize("track", [True, False])
def test_training_mode_comes_back(graphs, batches, track):
    weights = Weights(0, track_statistics=track, device=torch.device("cpu"), channels_last=False)
    weights.ensure(graphs[0])
    use_batch_statistics(weights, graphs[0])
    train_mode(weights)
    before = buffers(weights)
    run(graphs[0], weights, batches[0])
    assert bool(before) == track
    assert same(before, buffers(weights)) != track


def test_evaluating_between_steps_does_not_change_training(data, execution, child_config, graphs, batches):
    losses = []
    for evaluate in (False, True):
        net = Supernet(child_config(), data, track_statistics=True, execution=execution, seed=0)
        net.train(iter(graphs), 3, what="test")
        if evaluate:
            use_batch_statistics(net.weights, graphs[0])
            run(graphs[0], net.weights, batches[0])
            recalibrate(net.weights, graphs[1], batches)
            use_running_statistics(net.weights, graphs[1])
        losses.append(net.train(iter(graphs), 3, what="test"))
    assert losses[0] == losses[1]

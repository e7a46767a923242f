"""The three policies for batch normalisation, each against a computation by hand."""

import pytest
import torch

from rlnas.children.network import run, run_merged
from rlnas.children.norm import recalibrated, train_mode, use_batch_statistics, use_running_statistics
from rlnas.children.supernet import Supernet
from rlnas.children.weights import Weights
from rlnas.networks.graph import Graph
from rlnas.networks.merge import merge
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3"), filters=4, reductions=1)


@pytest.fixture
def graphs(graph_of) -> list[Graph]:
    return [graph_of(SPACE, a) for a in ((0, 1, 0, 1), (1, 1, 1, 0), (0, 0, 0, 0))]


@pytest.fixture
def weights(data, execution, child_config, graphs) -> Weights:
    """Trained for a few steps, with statistics."""
    net = Supernet(child_config(), data, track_statistics=True, execution=execution, seed=0)
    net.train(iter(graphs * 4), 12)
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


def recalibrated_scores(graphs: list[Graph], weights: Weights, batches: list[torch.Tensor]) -> list[torch.Tensor]:
    """Class scores of each graph for the first batch, with statistics over all of them."""
    merged = merge(graphs)
    with recalibrated(weights, merged, batches) as before:
        return run_merged(merged, weights, batches[0], before=before)


def test_batch_touches_no_buffer(weights, graphs, batches):
    before = buffers(weights)
    use_batch_statistics(weights, graphs[0])
    run(graphs[0], weights, batches[0])
    assert same(buffers(weights), before)


def test_batch_does_not_depend_on_earlier_evaluations(weights, graphs, batches):
    use_batch_statistics(weights, graphs[0])
    first = run(graphs[0], weights, batches[0])
    for graph in graphs[1:]:
        recalibrated_scores([graph], weights, batches[1:])
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
    with recalibrated(weights, merge(graphs[:1]), batches):
        for norm, values in zip(weights.norms(graphs[0]), zip(*inputs, strict=True), strict=True):
            mean = torch.stack([x.mean((0, 2, 3)) for x in values]).mean(0)
            variance = torch.stack([x.var((0, 2, 3), unbiased=True) for x in values]).mean(0)
            torch.testing.assert_close(norm.running_mean, mean)
            torch.testing.assert_close(norm.running_var, variance)
            assert norm.num_batches_tracked == len(batches)


def test_recalibration_forgets_what_was_there(weights, graphs, batches):
    [first] = recalibrated_scores(graphs[:1], weights, batches)
    for norm in weights.norms(graphs[0]):
        norm.running_mean.fill_(1e6)
    [second] = recalibrated_scores(graphs[:1], weights, batches)
    assert torch.equal(first, second)


def test_recalibrated_scores_are_those_of_statistics_set_by_hand(weights, graphs, batches):
    """Of one graph the usual way: reset, let the layers themselves collect over the batches, then freeze them."""
    found = recalibrated_scores(graphs[:1], weights, batches)
    weights.eval()
    for norm in weights.norms(graphs[0]):
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in batches:
            run(graphs[0], weights, batch)
    use_running_statistics(weights, graphs[0])
    assert torch.equal(found[0], run(graphs[0], weights, batches[0]))


def test_a_layer_that_two_children_use_on_different_inputs_has_statistics_of_its_own_in_each(weights, graphs, batches):
    one, other = graphs[0], graphs[1]  # both have conv3x3 as layer 2, on outputs of different layers 1
    shared = {node.key for node in one.nodes} & {node.key for node in other.nodes}
    assert "layer2/conv3x3" in shared
    merged = merge([one, other])
    places = [index for index, node in enumerate(merged.graph.nodes) if node.key == "layer2/conv3x3"]
    module, means = weights.by_key["layer2/conv3x3"], []
    *_, norm = (layer for layer in module if isinstance(layer, torch.nn.BatchNorm2d))
    with recalibrated(weights, merged, batches) as before:
        for index in places:
            before(index, module)
            means.append(norm.running_mean.clone())
            assert norm.num_batches_tracked == len(batches)
    assert len(means) == 2
    assert not torch.allclose(*means, atol=1e-3)
    together = recalibrated_scores([one, other], weights, batches)
    for graph, scores in zip((one, other), together, strict=True):
        assert torch.equal(recalibrated_scores([graph], weights, batches)[0], scores)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("ends", ["well", "while estimating", "while scoring"])
def test_after_recalibration_every_buffer_and_the_momentum_are_as_before(weights, graphs, batches, ends):
    before = buffers(weights)
    objects = dict(weights.named_buffers())
    for number, norm in enumerate(weights.norms(graphs[0])):
        norm.momentum = 0.1 + number / 100
    momenta = [norm.momentum for norm in weights.norms(graphs[0])]
    merged = merge(graphs)

    def supply():
        yield batches[0]
        if ends == "while estimating":
            raise Stopped
        yield batches[1]

    def recalibrate() -> None:
        with recalibrated(weights, merged, supply()) as enter:
            changed = buffers(weights)
            assert not any(torch.equal(changed[name], before[name]) for name in before if name.endswith("_mean"))
            if ends == "while scoring":
                raise Stopped
            run_merged(merged, weights, batches[2], before=enter)

    if ends == "well":
        recalibrate()
    else:
        with pytest.raises(Stopped):
            recalibrate()
    assert same(buffers(weights), before)
    assert all(buffer is objects[name] for name, buffer in weights.named_buffers())
    assert [norm.momentum for norm in weights.norms(graphs[0])] == momenta


def test_scoring_changes_no_recalibrated_statistic(weights, graphs, batches):
    """Only training batches count: no validation image enters a statistic."""
    merged = merge(graphs)
    with recalibrated(weights, merged, batches[:2]) as before:
        first = run_merged(merged, weights, batches[2], before=before)
        run_merged(merged, weights, 100 * batches[1], before=before)
        second = run_merged(merged, weights, batches[2], before=before)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_recalibration_leaves_other_children_alone(weights, graphs, batches):
    shared = {id(norm) for norm in weights.norms(graphs[0])}
    others = [norm for norm in weights.norms(graphs[1]) if id(norm) not in shared]
    assert others
    before = [norm.running_mean.clone() for norm in others]
    with recalibrated(weights, merge(graphs[:1]), batches):
        assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(others, before, strict=True))


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
    [anew] = recalibrated_scores(graphs[:1], weights, batches)
    for one, other in ((batch, running), (batch, anew), (running, anew)):
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
        net.train(iter(graphs), 3)
        if evaluate:
            use_batch_statistics(net.weights, graphs[0])
            run(graphs[0], net.weights, batches[0])
            recalibrated_scores(graphs[1:], net.weights, batches)
            use_running_statistics(net.weights, graphs[1])
        losses.append(net.train(iter(graphs), 3))
    assert losses[0] == losses[1]

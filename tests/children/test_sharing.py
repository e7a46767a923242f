"""However finely weights are shared, an architecture is one function: weights copied to the plain network show it."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rlnas.children.network import run, run_merged
from rlnas.children.norm import train_mode, use_batch_statistics, use_running_statistics
from rlnas.children.weights import Weights
from rlnas.networks.graph import Graph
from rlnas.networks.merge import merge
from rlnas.spaces import NasrlSpace

OPERATORS = ("conv3x3", "conv5x5", "sep_conv3x3", "sep_conv5x5", "dil_conv3x3", "dil_conv5x5")
OPERATORS = (*OPERATORS, "avg_pool3x3", "max_pool3x3", "identity")
FINER = ("projection", "kernel")
forms = pytest.mark.parametrize("merging", ["sum", "concat"])
finer = pytest.mark.parametrize("sharing", FINER)


def space_of(sharing: str, merging: str = "sum") -> NasrlSpace:
    return NasrlSpace(5, OPERATORS, filters=4, reductions=1, widen=2, merge=merging, sharing=sharing)


def graphs_of(space: NasrlSpace, count: int = 10) -> list[Graph]:
    rng = np.random.default_rng(0)
    architectures = [space.parse("conv5x5 sep_conv5x5 dil_conv5x5+1 identity+2 avg_pool3x3+1+3")]
    architectures += [space.sample(rng) for _ in range(count)]
    return [space.graph(one, image_channels=2, image_size=9, classes=5) for one in architectures]


def weights_of(graphs: list[Graph], track: bool = True) -> Weights:
    """Weights with BN parameters and statistics that differ from a new layer's, in double precision."""
    weights = Weights(3, track_statistics=track, device=torch.device("cpu"), channels_last=False)
    for graph in graphs:
        weights.ensure(graph)
    stream = torch.Generator().manual_seed(1)
    for layer in weights.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.bias.data, *layer.buffers()):
                if tensor.is_floating_point():
                    tensor.uniform_(0.5, 1.5, generator=stream)
    return weights.double()


def whole(parts: list[nn.Module]) -> Tensor:
    """The sum of kernels, the smallest first, each in the middle of the next; values of a ring are set one by one."""
    kernel = torch.zeros(1, 1, 0, 0).double()
    for part in parts:
        if isinstance(part, nn.Conv2d):
            kernel = part.weight.detach()
            continue
        inner, (height, width) = kernel, part.kernel
        top, left = (height - inner.shape[2]) // 2, (width - inner.shape[3]) // 2
        kernel = torch.zeros(*inner.shape[:2], height, width).double()
        values = iter(part.weight.detach().unbind(2))
        for row in range(height):
            for column in range(width):
                inside = top <= row < height - top and left <= column < width - left
                kernel[:, :, row, column] = inner[:, :, row - top, column - left] if inside else next(values)
        assert next(values, None) is None
    return kernel


def plain_copy(shared: Weights, graph: Graph, plain: Graph) -> Weights:
    """A private set of weights of the plain network, with the values that `graph` uses."""
    weights = weights_of([plain])
    of_graph = {node.key for node in graph.nodes}
    for node in plain.nodes:
        if node.key is None:
            continue
        module = weights.by_key[node.key]
        if node.key in of_graph:
            module.load_state_dict(shared.by_key[node.key].state_dict())
            continue
        parts = [one for one in graph.nodes if one.layer == node.layer and one.key and "/join/" not in one.key]
        parts = [one for one in parts if one.operator not in ("norm", "reduce")]
        layers: list[nn.Module] = [layer for part in parts for layer in shared.by_key[part.key]]
        convolutions = [
            layer for part in parts if part.operator.startswith("raw_") for layer in shared.by_key[part.key]
        ]
        if convolutions:
            module[3].weight.data.copy_(whole(convolutions))
        own = [layer for layer in layers if layer not in convolutions]
        into = [layer for place, layer in enumerate(module) if not (convolutions and place == 3)]
        for layer, source in zip(into, own, strict=True):
            layer.load_state_dict(source.state_dict())
    return weights


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(1)).double()


@forms
@finer
@pytest.mark.parametrize("policy", [use_batch_statistics, use_running_statistics])
@torch.no_grad()
def test_the_plain_network_computes_the_same_function(sharing, merging, policy, images):
    graphs = graphs_of(space_of(sharing, merging))
    shared = weights_of(graphs)
    for graph, plain in zip(graphs, graphs_of(space_of("operator", merging)), strict=True):
        alone = plain_copy(shared, graph, plain)
        policy(shared, graph)
        policy(alone, plain)
        torch.testing.assert_close(run(plain, alone, images), run(graph, shared, images), rtol=1e-6, atol=1e-6)


@finer
@torch.no_grad()
def test_and_another_one_with_a_part_left_out(sharing, images):
    """The contrast: every part of a layer counts."""
    graph, plain = (graphs_of(space_of(form))[0] for form in (sharing, "operator"))
    shared = weights_of([graph])
    alone = plain_copy(shared, graph, plain)
    for node in graph.nodes:
        if node.key is None or node.operator == "projected_avg_pool3x3":
            continue
        changed = weights_of([graph])
        next(changed.by_key[node.key].parameters()).mul_(-0.5)
        use_batch_statistics(changed, graph)
        use_batch_statistics(alone, plain)
        assert not torch.allclose(run(plain, alone, images), run(graph, changed, images), rtol=1e-3)


@finer
def test_both_forms_have_as_many_parameters(sharing):
    for graph, plain in zip(graphs_of(space_of(sharing)), graphs_of(space_of("operator")), strict=True):
        counts = [sum(p.numel() for p in weights_of([one]).parameters()) for one in (graph, plain)]
        assert counts[0] == counts[1]


@forms
@finer
@torch.no_grad()
def test_merged_graphs_compute_what_each_computes(sharing, merging, images):
    graphs = graphs_of(space_of(sharing, merging))
    shared = weights_of(graphs, track=False)
    merged = merge(graphs)
    use_batch_statistics(shared, merged.graph)
    for graph, scores in zip(graphs, run_merged(merged, shared, images), strict=True):
        assert torch.equal(scores, run(graph, shared, images))


def test_the_projection_of_a_layer_is_computed_once_for_all_its_operators():
    spaces = {sharing: NasrlSpace(1, OPERATORS[:-1], filters=4, reductions=0, sharing=sharing) for sharing in FINER}
    for space in spaces.values():
        every = [space.graph((k,), image_channels=2, image_size=9, classes=5) for k in range(len(space.operators))]
        assert [node.operator for node in merge(every).graph.nodes].count("project") == 1


@finer
def test_every_parameter_in_use_has_a_gradient_and_no_other(sharing, images):
    graphs = graphs_of(space_of(sharing))
    shared = weights_of(graphs)
    for graph in graphs:
        shared.zero_grad(set_to_none=True)
        train_mode(shared)
        run(graph, shared, images).square().sum().backward()
        used = {id(p) for node in graph.nodes if node.key for p in shared.by_key[node.key].parameters()}
        assert {id(p) for p in shared.parameters() if p.grad is not None} == used
        assert all(p.grad.isfinite().all() for p in shared.parameters() if p.grad is not None)


@finer
def test_initial_values_depend_on_seed_and_key_alone(sharing):
    graphs = graphs_of(space_of(sharing))

    def initial(order: list[Graph], seed: int = 0) -> dict[str, Tensor]:
        weights = Weights(seed, track_statistics=False, device=torch.device("cpu"), channels_last=True)
        for graph in order:
            weights.ensure(graph)
        return {name: value.clone() for name, value in weights.named_parameters()}

    one, other, third = initial(graphs), initial(graphs[::-1]), initial(graphs, 1)
    assert one.keys() == other.keys() == third.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    convolved = [name for name, value in one.items() if value.ndim > 2]
    assert not any(torch.equal(one[name], third[name]) for name in convolved)


def test_a_ring_starts_with_the_spread_of_a_whole_kernel():
    space = NasrlSpace(1, ("conv3x3", "conv5x5"), filters=48, reductions=0, sharing="kernel")
    graph = space.graph(space.parse("conv5x5"), image_channels=2, image_size=9, classes=5)
    (ring,) = weights_of([graph]).by_key["layer1/raw_conv5x5-3x3"].parameters()
    assert ring.shape == (48, 48, 16)
    assert float(ring.detach().std()) == pytest.approx((2 / (48 * 25)) ** 0.5, rel=0.02)  # He, fan out


@finer
def test_resumed_training_equals_uninterrupted(supernet, graph_of, through_disk, sharing):
    space = space_of(sharing)
    rng = np.random.default_rng(0)
    graphs = [graph_of(space, space.sample(rng)) for _ in range(6)]
    through, resumed = supernet(), supernet()
    through.train(graphs[:3], 3)
    resumed.restore(through_disk(through.state()))
    for net in (through, resumed):
        net.train(graphs[3:], 3)
    found, expected = resumed.weights.state_dict(), through.weights.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())

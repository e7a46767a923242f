"""Graphs: sizes, keys, and costs that equal those of the real network."""

import re

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from rlnas.children.network import run
from rlnas.children.weights import Weights
from rlnas.networks.graph import INPUT, Graph, GraphBuilder, Node, cost
from rlnas.networks.operators import JOINS
from rlnas.spaces import DartsSpace, NasnetSpace, NasrlFactoredSpace, NasrlSpace, Space

OPERATORS = ("conv1x1", "conv3x5", "sep_conv3x3", "dil_conv5x5", "avg_pool3x3", "max_pool5x5", "identity")
SPACES: dict[str, Space] = {
    "sum": NasrlSpace(5, OPERATORS, filters=3, reductions=2),
    "concat, wider": NasrlSpace(6, OPERATORS, filters=2, reductions=3, widen=2, stem_stride=2, merge="concat"),
    "projection": NasrlSpace(5, OPERATORS, filters=3, reductions=2, sharing="projection"),
    "kernel": NasrlSpace(5, (*OPERATORS, "conv3x7", "sep_conv5x5"), filters=3, merge="concat", sharing="kernel"),
    "factored": NasrlFactoredSpace(5, (1, 3), (3, 5), (2, 3, 4)),
    "factored, strided": NasrlFactoredSpace(4, (1, 3), (3, 5), (2, 3), (1, 2, 3), (1, 2)),
    "darts": DartsSpace(("sep_conv3x3", "dil_conv5x5", "avg_pool3x3", "identity"), nodes=3, cells=4, filters=2),
    "nasnet": NasnetSpace(nodes=2, cells=3, filters=3, stem_multiplier=2, pairs="any"),
    "nasnet, loose": NasnetSpace(
        ("identity", "conv1x3_3x1", "conv1x1"), nodes=3, output="loose", pairs="any", cells=5, filters=2
    ),
}
every = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())


def graphs(space: Space, count: int = 12, size: int = 9) -> list[Graph]:
    """Random networks and the two extreme ones, for images of an odd size."""
    rng = np.random.default_rng(0)
    chosen = [space.unrank(0), space.unrank(space.size - 1), *(space.sample(rng) for _ in range(count))]
    return [space.graph(a, image_channels=2, image_size=size, classes=5) for a in chosen]


def standalone(graph: Graph) -> Weights:
    weights = Weights(0, track_statistics=True, device=torch.device("cpu"), channels_last=False)
    weights.ensure(graph)
    return weights


@every
def test_nodes_come_after_their_inputs_and_all_are_used(space):
    for graph in graphs(space):
        for index, node in enumerate(graph.nodes):
            assert all(INPUT <= source < index for source in node.inputs)
        used = {source for node in graph.nodes for source in node.inputs}
        assert used == set(range(INPUT, len(graph.nodes) - 1))


@every
def test_a_strided_side_is_rounded_up(space):
    for graph in graphs(space):
        for node in graph.nodes:
            if node.operator in ("pad", "head"):
                continue
            before = graph.size if node.inputs[0] == INPUT else graph.nodes[node.inputs[0]].size
            assert node.size == tuple(-(-side // step) for side, step in zip(before, node.stride, strict=True))


@every
def test_inputs_of_a_node_have_one_shape(space):
    for graph in graphs(space):
        for node in graph.nodes:
            shapes = {(graph.nodes[s].channels, graph.nodes[s].size) for s in node.inputs if s != INPUT}
            assert len(shapes) <= 1


@pytest.mark.variants(9)
@every
@pytest.mark.parametrize("size", [8, 9])
def test_sizes_are_those_of_the_real_activations(space, size, monkeypatch):
    from rlnas.children import network

    real, shapes = network.apply, []

    def spy(node, *rest):
        output = real(node, *rest)
        shapes.append((node, tuple(output.shape)))
        return output

    monkeypatch.setattr(network, "apply", spy)
    for graph in graphs(space, 4, size):
        run(graph, standalone(graph), torch.randn(2, 2, size, size))
    assert all(shape == (2, node.channels, *node.size) for node, shape in shapes if node.operator != "head")
    assert all(shape == (2, 5) for node, shape in shapes if node.operator == "head")


@every
def test_params_are_those_of_the_real_network(space):
    for graph in graphs(space):
        assert cost(graph).params == sum(p.numel() for p in standalone(graph).parameters())


@pytest.mark.variants(3)
@every
def test_flops_are_those_torch_counts(space):
    for graph in graphs(space):
        weights = standalone(graph).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            run(graph, weights, torch.zeros(1, 2, 9, 9))
        zeros = sum(2 * positions * node.channels * node.size[0] * node.size[1] for node, positions in centres(graph))
        assert cost(graph).flops == counter.get_total_flops() - zeros


def centres(graph: Graph) -> list[tuple[Node, int]]:
    """The nodes whose kernel lacks its centre, each with the weights an output would need there, which torch counts."""
    found = []
    for node in graph.nodes:
        if centre := re.fullmatch(r"raw_(conv|depthwise)\d+x\d+-(\d+)x(\d+)", node.operator):
            depth = graph.in_channels(node) if centre[1] == "conv" else 1
            found.append((node, depth * int(centre[2]) * int(centre[3])))
    return found


def test_the_cost_of_a_tiny_network_by_hand():
    space = NasrlSpace(2, ("conv3x3", "sep_conv3x3", "max_pool3x3"), filters=4, reductions=1)
    graph = space.graph(space.parse("conv3x3 sep_conv3x3"), image_channels=3, image_size=8, classes=10)
    stem = 3 * 9 * 4 + 8
    first = (4 * 4 + 8) + (4 * 9 * 4 + 8)  # 1x1 and BN, 3x3 and BN
    reduce = 4 * 4 + 8
    second = (4 * 4 + 8) + 4 * 9 + (4 * 4 + 8)  # 1x1 and BN, depthwise, pointwise and BN
    assert cost(graph).params == stem + first + reduce + second + (4 * 10 + 10)
    at_8x8 = 3 * 9 * 4 + 4 * 4 + 4 * 9 * 4
    at_4x4 = 4 * 4 + 4 * 4 + 4 * 9 + 4 * 4
    assert cost(graph).flops == 2 * (64 * at_8x8 + 16 * at_4x4 + 4 * 10)


def keyed(graph: Graph) -> dict[str, tuple]:
    """What a weight key stands for."""
    return {
        node.key: (node.operator, graph.in_channels(node), node.channels, node.stride)
        for node in graph.nodes
        if node.key is not None
    }


@every
def test_a_key_stands_for_one_thing_in_all_architectures(space):
    rng, meaning = np.random.default_rng(1), {}
    for _ in range(300):
        graph = space.graph(space.sample(rng), image_channels=2, image_size=9, classes=5)
        keys = [node.key for node in graph.nodes if node.key is not None]
        assert len(set(keys)) == len(keys)
        for key, what in keyed(graph).items():
            assert "." not in key
            assert meaning.setdefault(key, what) == what


@every
def test_architectures_share_a_parameter_exactly_where_they_share_a_key(space):
    a, b, *_ = graphs(space)[2:]
    weights = standalone(a)
    of_a = {id(p): key for key in keyed(a) for p in weights.by_key[key].parameters()}
    weights.ensure(b)
    shared = {of_a[id(p)] for key in keyed(b) for p in weights.by_key[key].parameters() if id(p) in of_a}
    owned = set(of_a.values())  # not the keys of pools
    assert shared == owned & keyed(b).keys()
    assert shared != owned


@every
def test_nodes_without_a_key_have_no_parameters(space):
    for graph in graphs(space):
        assert {node.operator for node in graph.nodes if node.key is None} <= {*JOINS, "pad", "identity"}


@every
def test_last_uses_free_everything_but_the_last_node_once(space):
    for graph in graphs(space):
        freed = [source for spent in graph.last_uses for source in spent]
        assert sorted(freed) == list(range(len(graph.nodes) - 1))
        for index, spent in enumerate(graph.last_uses):
            later = {source for node in graph.nodes[index + 1 :] for source in node.inputs}
            assert not later & set(spent)


@pytest.mark.parametrize(
    ("layers", "reductions", "levels"),
    [
        (12, 2, [0] * 4 + [1] * 4 + [2] * 4),
        (4, 1, [0, 0, 1, 1]),
        (5, 2, [0, 1, 1, 2, 2]),
        (3, 0, [0] * 3),
        (1, 2, [2]),
    ],
)
def test_reductions_lie_where_documented(layers, reductions, levels):
    assert NasrlSpace(layers, ("conv1x1",), reductions=reductions).levels == levels


def test_an_earlier_output_is_reduced_once_and_on_demand():
    space = NasrlSpace(6, ("conv1x1",), filters=4, reductions=2)
    without = space.graph(space.unrank(0), image_channels=1, image_size=8, classes=3)
    everything = space.graph(space.unrank(space.size - 1), image_channels=1, image_size=8, classes=3)
    reduced = [[node.key for node in graph.nodes if node.operator == "reduce"] for graph in (without, everything)]
    assert reduced[0] == ["layer2/reduce1", "layer4/reduce2"]
    assert sorted(reduced[1]) == sorted(
        ["layer1/reduce1", "layer2/reduce1", "layer1/reduce2", "layer2/reduce2", "layer3/reduce2", "layer4/reduce2"]
    )


def test_widening_multiplies_the_channels_at_each_reduction():
    space = NasrlSpace(3, ("conv1x1",), filters=3, reductions=2, widen=2)
    graph = space.graph((0, 0, 0, 1), image_channels=1, image_size=8, classes=4)
    by_key = {node.key: node.channels for node in graph.nodes}
    assert [by_key[f"layer{n}/conv1x1"] for n in (1, 2, 3)] == [3, 6, 12]


def test_the_builder_takes_size_and_channels_from_the_first_input():
    builder = GraphBuilder(3, (7, 5))
    first = builder.add("stem", [INPUT], channels=4, key="stem", stride=(2, 3))
    second = builder.add("norm", [first], key="norm")
    assert (builder.output_size(INPUT), builder.output_channels(INPUT)) == ((7, 5), 3)
    assert (builder.output_size(second), builder.output_channels(second)) == ((4, 2), 4)

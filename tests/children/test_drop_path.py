"""Drop path in every space of layers: a layer passes on its skips alone, or drop path is refused.

In spaces of other structure: tests/spaces.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

import rlnas
from rlnas.children.network import Noise, apply, run, run_merged
from rlnas.children.weights import Weights
from rlnas.config.build import build_config
from rlnas.config.spaces import SPACE_CONFIGS
from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph, Node
from rlnas.networks.merge import merge
from rlnas.spaces import (
    ChainSpace,
    DartsSpace,
    EvonetSpace,
    NasnetSpace,
    NasrlFactoredSpace,
    NasrlSpace,
    Space,
    make_space,
)

RATE = 0.25
SPACES: dict[str, Space] = {
    "sum": NasrlSpace(6, ("conv3x3", "identity", "max_pool3x3"), filters=4, reductions=2),
    "concat": NasrlSpace(6, ("conv3x3", "identity"), filters=4, reductions=1, widen=2, merge="concat"),
    "projection": NasrlSpace(6, ("conv3x3", "identity"), filters=4, reductions=2, sharing="projection"),
    "kernel": NasrlSpace(
        6, ("conv3x3", "conv5x5", "max_pool3x3"), filters=4, reductions=1, merge="concat", sharing="kernel"
    ),
    "open": EvonetSpace(16, slots=4, max_layers=4, kernels=(1, 3), channels=(3, 4), filters=4),
    "factored": NasrlFactoredSpace(5, (1, 3), (1, 3), (3, 4)),
    "factored, strided": NasrlFactoredSpace(5, (1, 3), (3,), (3, 4), (1, 2), (1, 2)),
}
CELLS = (NasnetSpace, DartsSpace)  # tests/children/test_cells.py: all operators but the identity are dropped
BYPASSED = [name for name, space in SPACES.items() if space.has_bypass]
CONVOLVED = [name for name, space in SPACES.items() if not space.has_bypass]


def skips(space: Space, architecture) -> int:
    if isinstance(space, EvonetSpace):
        return len(architecture.skips)
    assert isinstance(space, ChainSpace)
    return sum(len(sources) for _, sources in space.split(architecture))


def operators(space: Space) -> set[str]:
    """Names of the operators of a layer, as words of its weight key."""
    return set(space.feature_values("operator") or ())


def graphs_of(space: Space, count: int = 12) -> list[Graph]:
    """Networks of random architectures that have skips."""
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(3 * count)]
    return [space.graph(one, image_channels=1, image_size=8, classes=3) for one in drawn if skips(space, one)][:count]


def weights_for(graphs: list[Graph]) -> Weights:
    weights = Weights(0, track_statistics=False, device=torch.device("cpu"), channels_last=False)
    for graph in graphs:
        weights.ensure(graph)
    return weights


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch):
    """noise(draw): every draw of the noise is `draw`; below RATE drops, above it keeps."""

    def make(draw: float) -> Noise:
        monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, draw))
        return Noise(0.0, RATE, torch.Generator())

    return make


def skips_alone(graph: Graph) -> Graph:
    """The graph without the outputs of layers' own operators where there are skips."""
    nodes = [
        node
        if not node.own
        else replace(node, own=(), inputs=tuple(i for place, i in enumerate(node.inputs) if place not in node.own))
        for node in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes))


def test_every_space_of_networks_is_tested():
    others = ("table", "nas_bench_macro", "nasrl_bench", "genetic_cnn", "hierarchical", "program")
    shipped = {name for name in SPACE_CONFIGS if name not in others}
    assert {space.name for space in (*SPACES.values(), *CELLS)} == shipped
    assert all(make_space(SPACE_CONFIGS[name]()).builds_networks for name in shipped)
    assert len(BYPASSED) > 1
    assert len(CONVOLVED) > 1


@pytest.mark.parametrize("name", BYPASSED)
def test_a_dropped_layer_passes_on_its_skips_alone(name, images, noise):
    graphs = graphs_of(SPACES[name])
    weights = weights_for(graphs)
    for graph in graphs:
        dropped = run(graph, weights, images, noise(0.0))
        torch.testing.assert_close(dropped, run(skips_alone(graph), weights, images))
        assert not torch.equal(dropped, run(graph, weights, images))


@pytest.mark.parametrize("name", BYPASSED)
def test_the_own_input_is_the_layers_operator_and_the_others_do_not_pass_through_it(name):
    space = SPACES[name]
    for graph in graphs_of(space):
        joins = [node for node in graph.nodes if node.own]
        sums = [node for node in graph.nodes if node.operator == "sum" and not within_operator(graph, node)]
        assert joins == sums != []
        for node in joins:
            own = [place in node.own for place in range(len(node.inputs))]
            through = [passes_operator(graph, graph.nodes[source], node.layer, space) for source in node.inputs]
            assert through == own


def within_operator(graph: Graph, node: Node) -> bool:
    """Whether a sum adds a convolution by a ring to that by its centre."""
    return all("/raw_" in (graph.nodes[source].key or "") for source in node.inputs)


def passes_operator(graph: Graph, node: Node, layer: int, space: Space) -> bool:
    """Whether this input of a join of `layer` passes through an operator of that layer."""
    while node.operator == "raw_conv1x1":  # the projection of merge=concat
        node = graph.nodes[node.inputs[0]]
    words = {node.operator.removeprefix("projected_"), *(node.key or "").split("/")}
    return node.layer == layer and not words.isdisjoint(operators(space))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_kept_is_rescaled_and_the_rest_is_not(place, noise):
    values = [torch.full((2, 1, 2, 2), float(3**k)) for k in range(3)]
    node = Node("sum", (0, 1, 2), 1, (2, 2), own=(place,))
    kept, dropped = apply(node, values, None, noise(0.9)), apply(node, values, None, noise(0.0))
    assert torch.allclose(kept, torch.tensor(13 - 3.0**place + 3.0**place / (1 - RATE)))
    assert torch.equal(dropped, torch.full((2, 1, 2, 2), 13 - 3.0**place))
    assert [value.unique().tolist() for value in values] == [[1], [3], [9]]  # the inputs are left alone


def test_each_image_draws_for_itself():
    node, values = Node("sum", (0, 1), 1, (2, 2), own=(1,)), [torch.zeros(400, 1, 2, 2), torch.ones(400, 1, 2, 2)]
    out = apply(node, values, None, Noise(0.0, RATE, torch.Generator().manual_seed(0)))
    assert (out == out[:, :1, :1, :1]).all()
    assert abs((out[:, 0, 0, 0] == 0).float().mean() - RATE) < 0.1  # four and a half standard errors


@pytest.mark.parametrize("name", SPACES)
def test_evaluation_is_unaffected(name, images):
    graphs = graphs_of(SPACES[name])
    weights = weights_for(graphs)
    without = [replace(graph, nodes=tuple(replace(n, own=()) for n in graph.nodes)) for graph in graphs]
    for graph, plain in zip(graphs, without, strict=True):
        assert torch.equal(run(graph, weights, images), run(plain, weights, images))


@pytest.mark.parametrize("name", SPACES)
def test_merged_graphs_drop_alike(name, images, noise):
    graphs = graphs_of(SPACES[name])
    weights = weights_for(graphs)
    for draw in (0.0, 0.9):
        together = run_merged(merge(graphs), weights, images, noise(draw))
        for graph, scores in zip(graphs, together, strict=True):
            assert torch.equal(scores, run(graph, weights, images, noise(draw)))


def test_nodes_that_drop_another_input_are_not_merged():
    """In training they compute different things."""
    graph = graphs_of(SPACES["sum"], 1)[0]
    other = replace(graph, nodes=tuple(n if not n.own else replace(n, own=(1,)) for n in graph.nodes))
    assert len(merge([graph, other]).graph.nodes) > len(graph.nodes)


@pytest.mark.parametrize("name", CONVOLVED)
def test_a_space_whose_skips_are_convolved_has_nothing_to_drop(name):
    assert all(not node.own for graph in graphs_of(SPACES[name]) for node in graph.nodes)


@pytest.mark.parametrize("name", sorted({SPACES[name].name for name in CONVOLVED}))
@pytest.mark.parametrize("group", ["child", "retrain"])
def test_drop_path_is_refused_where_there_is_nothing_to_drop(name, group, tmp_path):
    given = [f"space={name}", "data.limit=100", "progress=off", f"hydra.run.dir={tmp_path}/run"]
    with pytest.raises(RlnasError, match=rf"{group}.drop_path=0.3 .*space={name} .*set it to 0"):
        rlnas.run([*given, f"{group}.drop_path=0.3"])
    assert not (tmp_path / "run" / "history.csv").exists()
    assert build_config({"space": {"name": name}}).child.drop_path == 0


@pytest.mark.parametrize("name", BYPASSED)
def test_a_space_with_bypassing_skips_takes_drop_path(name):
    values = {"space": {"name": SPACES[name].name}, "child": {"drop_path": 0.3}, "retrain": {"drop_path": 0.2}}
    config = build_config(values)
    assert (config.child.drop_path, config.retrain.drop_path) == (0.3, 0.2)

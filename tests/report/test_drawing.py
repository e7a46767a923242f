"""Networks as drawings: every parameter, edge and size of a graph is in its rows; any graph can be drawn."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from rlnas.networks.graph import INPUT, Graph, GraphBuilder, cost
from rlnas.report.run.drawing import Row, draw_architecture, is_chain, name, rows, skips
from rlnas.report.style import BLUE, RED
from rlnas.spaces import ChainSpace, GeneticCnnSpace, HierarchicalSpace, NasrlFactoredSpace, NasrlSpace

X = "\N{MULTIPLICATION SIGN}"
SPACES = {
    "short": NasrlSpace(layers=1),
    "four": NasrlSpace(layers=4, reductions=1, stem_stride=2),
    "concat": NasrlSpace(layers=12, widen=2, merge="concat"),
    "long": NasrlSpace(layers=24, operators=("conv3x3", "dil_conv3x3", "identity", "max_pool3x3", "avg_pool3x3")),
    "factored": NasrlFactoredSpace(layers=6),
    "strided": NasrlFactoredSpace(layers=8, strides_height=(1, 2), strides_width=(1, 2)),
}


def drawn(graph: Graph) -> tuple[list[Row], str]:
    table = rows(graph)
    svg = draw_architecture(table)
    ElementTree.fromstring(svg)
    assert svg.count('class="skip"') == len(skips(table))
    return table, svg


def sample(space: ChainSpace, seed: int = 0) -> tuple[object, Graph]:
    architecture = space.sample(np.random.default_rng(seed))
    return architecture, space.graph(architecture, image_channels=3, image_size=32, classes=10)


def diamond() -> Graph:
    """Two branches that read the image beside each other, joined in the last layer; no chain."""
    builder = GraphBuilder(3, (8, 8))
    left = builder.add("conv3x3", [INPUT], channels=4, key="a", layer=1)
    right = builder.add("max_pool3x3", [INPUT], channels=4, key="b", stride=(2, 2), layer=2)
    small = builder.add("sep_conv5x5", [left], channels=4, key="c", stride=(2, 2), layer=3)
    joined = builder.add("sum", [small, right], layer=4)
    builder.add("head", [joined], channels=5, key="head")
    return builder.build()


@pytest.mark.parametrize("kind", SPACES)
def test_rows_account_for_every_parameter_and_skip(kind: str) -> None:
    space = SPACES[kind]
    architecture, graph = sample(space)
    table, _ = drawn(graph)
    assert sum(row.params for row in table) == cost(graph).params
    assert sum(row.flops for row in table) == cost(graph).flops
    assert [row.number for row in table if row.number] == list(range(1, space.layers + 1))
    assert is_chain(table)
    found = {(int(name(table, source)), int(name(table, target))) for source, target in skips(table)}
    layers = enumerate(space.split(architecture), 1)
    assert found == {(source + 1, layer) for layer, (_, sources) in layers for source in sources}


def test_a_graph_that_is_no_chain_is_drawn() -> None:
    graph = diamond()
    table, svg = drawn(graph)
    assert not is_chain(table)
    assert [row.sources for row in table] == [(), (0,), (0,), (1,), (2, 3), (4,)]
    assert skips(table) == [(0, 2), (1, 3), (2, 4)]
    assert [name(table, place) for place in range(6)] == ["image", "1", "2", "3", "4", "head"]
    assert [row.label for row in table[1:4]] == [f"conv 3{X}3", f"max pool 3{X}3", f"sep conv 5{X}5"]
    assert [row.size for row in table[:-1]] == [(8, 8), (8, 8), (4, 4), (4, 4), (4, 4)]
    assert sum(row.params for row in table) == cost(graph).params
    assert svg.count("<line") == 3 + 2  # the edges to the next row, and the double edge of a separable convolution
    assert "from 1 to 3" in svg


def test_a_graph_without_layers_has_a_row_for_each_node() -> None:
    builder = GraphBuilder(1, (8, 8))
    first = builder.add("conv3x3", [INPUT], channels=2, key="a")
    second = builder.add("identity", [first])
    builder.add("head", [builder.add("sum", [first, second])], channels=2, key="head")
    table, _ = drawn(builder.build())
    assert [row.operators for row in table] == [("image",), ("conv3x3",), ("identity",), ("sum",), ("head",)]
    assert skips(table) == [(1, 3)]


def test_operators_of_one_layer_are_named_together() -> None:
    builder = GraphBuilder(1, (8, 8))
    parts = [builder.add(o, [INPUT], channels=2, key=o + str(i), layer=1) for i, o in enumerate(("conv3x3",) * 2)]
    parts.append(builder.add("avg_pool3x3", [INPUT], channels=2, key="p", layer=1))
    builder.add("head", [builder.add("sum", parts, layer=1)], channels=2, key="head")
    table, _ = drawn(builder.build())
    assert table[1].label == f"2 conv 3{X}3, avg pool 3{X}3"


def test_stages_are_rows_of_nodes() -> None:
    space = GeneticCnnSpace((3, 2), filters=4)
    table, svg = drawn(space.graph(space.parse("1-10 | 0"), image_channels=1, image_size=8, classes=3))
    assert [row.number for row in table] == [None, 1, 2, 3, 4, 5, 6, None]  # input, three nodes, output; input
    assert {row.label for row in table[1:-1]} == {f"conv 3{X}3"}
    assert skips(table) == [(2, 4), (3, 5)]
    assert "filters" not in svg  # a stage has one number of channels, which stands beside it
    assert svg.count("resolution") == 1
    assert BLUE in svg


def test_a_cell_of_motifs_is_a_row_that_counts_its_operators() -> None:
    space = HierarchicalSpace(("max_pool3x3",), 1, 2, 3, filters=4, reductions=1)
    graph = space.graph(space.parse("1-2:max_pool3x3 | 1-2:m1 2-3:m1"), image_channels=1, image_size=8, classes=3)
    table, svg = drawn(graph)
    assert [row.label for row in table[2:-1]] == [f"2 max pool 3{X}3", f"sep conv 3{X}3", f"2 max pool 3{X}3"]
    assert RED in svg


def test_nothing_leaves_the_picture() -> None:
    for graph in [*(sample(space, seed=1)[1] for space in SPACES.values()), diamond()]:
        _, svg = drawn(graph)
        width, height = (float(side) for side in re.findall(r'viewBox="0 0 (\d+) (\d+)"', svg)[0])
        for x, y in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"', svg):
            assert 0 < float(x) < width
            assert 0 < float(y) < height
        for start, reach in re.findall(r'd="M([\d.]+) [\d.]+C([\d.]+) ', svg):
            assert float(start) + 0.75 * (float(reach) - float(start)) < width  # a cubic's outermost point


def test_sizes_and_reductions_are_told() -> None:
    table, svg = drawn(sample(NasrlSpace(layers=6, reductions=2, filters=8, widen=2))[1])
    assert [row.size for row in table if row.number] == [(32, 32)] * 2 + [(16, 16)] * 2 + [(8, 8)] * 2
    assert [row.channels for row in table if row.number] == [8, 8, 16, 16, 32, 32]
    assert svg.count("resolution") == 2
    assert "8 channels" in svg


def test_filters_are_told_where_layers_of_one_resolution_differ_in_them() -> None:
    table, svg = drawn(sample(SPACES["factored"])[1])
    assert len({row.channels for row in table if row.number}) > 1
    assert svg.count(" filters<") == 6
    assert "filters" not in drawn(sample(SPACES["four"])[1])[1]


def test_families_differ_without_colour() -> None:
    shapes = set()
    for operator in ("conv3x3", "sep_conv3x3", "dil_conv3x3", "avg_pool3x3", "max_pool3x3", "identity"):
        _, svg = drawn(sample(NasrlSpace(layers=1, operators=(operator,)))[1])
        body = svg[svg.index("resolution") if "resolution" in svg else 0 :]
        shape = re.sub(r"#[0-9a-f]{6}|<text.*?</text>", "", body)
        shapes.add(re.sub(r'width="\d+"|viewBox="[^"]*"', "", shape))
    assert len(shapes) == 6

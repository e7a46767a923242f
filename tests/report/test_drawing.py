import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from rlnas.networks.graph import cost
from rlnas.report.run.drawing import Row, draw_architecture, rows
from rlnas.spaces import ChainSpace, NasrlFactoredSpace, NasrlSpace


def drawn(space: ChainSpace, seed: int = 0) -> tuple[list[Row], str, int]:
    architecture = space.sample(np.random.default_rng(seed))
    graph = space.graph(architecture, image_channels=3, image_size=32, classes=10)
    table = rows(space, architecture, graph)
    return table, draw_architecture(table), cost(graph).params


SPACES = {
    "short": NasrlSpace(layers=1),
    "four": NasrlSpace(layers=4, reductions=1, stem_stride=2),
    "concat": NasrlSpace(layers=12, widen=2, merge="concat"),
    "long": NasrlSpace(layers=24, operators=("conv3x3", "dil_conv3x3", "identity", "max_pool3x3", "avg_pool3x3")),
    "factored": NasrlFactoredSpace(layers=6),
    "strided": NasrlFactoredSpace(layers=8, strides_height=(1, 2), strides_width=(1, 2)),
}


@pytest.mark.parametrize("name", SPACES)
def test_rows_account_for_every_parameter(name: str) -> None:
    space = SPACES[name]
    table, svg, params = drawn(space)
    assert sum(row.params for row in table) == params
    assert [row.number for row in table if row.number] == list(range(1, space.layers + 1))
    ElementTree.fromstring(svg)
    assert svg.count('class="skip"') == sum(len(row.skips) for row in table)


def test_nothing_leaves_the_picture() -> None:
    for space in SPACES.values():
        _, svg, _ = drawn(space, seed=1)
        width, height = (float(side) for side in re.findall(r'viewBox="0 0 (\d+) (\d+)"', svg)[0])
        for x, y in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"', svg):
            assert 0 < float(x) < width
            assert 0 < float(y) < height
        for start, reach in re.findall(r'd="M([\d.]+) [\d.]+C([\d.]+) ', svg):
            assert float(start) + 0.75 * (float(reach) - float(start)) < width  # a cubic's outermost point


def test_sizes_and_reductions_are_told() -> None:
    space = NasrlSpace(layers=6, reductions=2, filters=8, widen=2)
    table, svg, _ = drawn(space)
    assert [row.size for row in table if row.number] == [(32, 32)] * 2 + [(16, 16)] * 2 + [(8, 8)] * 2
    assert [row.channels for row in table if row.number] == [8, 8, 16, 16, 32, 32]
    assert svg.count("resolution") == 2
    assert "8 channels" in svg


def test_families_differ_without_colour() -> None:
    shapes = set()
    for operator in ("conv3x3", "sep_conv3x3", "dil_conv3x3", "avg_pool3x3", "max_pool3x3", "identity"):
        _, svg, _ = drawn(NasrlSpace(layers=1, operators=(operator,)))
        body = svg[svg.index("resolution") if "resolution" in svg else 0 :]
        shape = re.sub(r"#[0-9a-f]{6}|<text.*?</text>", "", body)
        shapes.add(re.sub(r'width="\d+"|viewBox="[^"]*"', "", shape))
    assert len(shapes) == 6

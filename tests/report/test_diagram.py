"""Parts of an architecture as drawings: nothing overlaps, nothing is lost, every label is there."""

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.report.run.diagram import draw_diagram
from rlnas.report.run.layered import place
from rlnas.spaces.diagram import Arrow, Box, Diagram

CELL = Diagram(
    "normal cell",
    (Box("a", "cell before last"), Box("b", "last cell"), Box("1", "sum"), Box("2", "sum"), Box("out", "output")),
    (
        Arrow("a", "1", "sep conv 3x3", "sep_conv3x3"),
        Arrow("b", "1", "identity", "identity"),
        Arrow("b", "2", "max pool 3x3", "max_pool3x3"),
        Arrow("1", "2", "dil conv 3x3", "dil_conv3x3"),
        Arrow("1", "out"),
        Arrow("2", "out"),
    ),
)


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 9))
    pairs = list(combinations(range(count), 2))
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=14)) if pairs else []
    widths = draw(st.lists(st.integers(20, 200), min_size=count, max_size=count))
    return widths, edges


@given(graphs())
def test_boxes_of_a_layer_do_not_overlap_and_every_edge_leads_down(graph):
    widths, edges = graph
    placed = place(widths, [20.0] * len(widths), edges, across=10, down=15)
    assert placed == place(widths, [20.0] * len(widths), edges, across=10, down=15)
    for one, other in combinations(range(len(widths)), 2):
        (x, y), (other_x, other_y) = placed.centres[one], placed.centres[other]
        if y == other_y:
            assert abs(x - other_x) >= (widths[one] + widths[other]) / 2 + 10 - 1e-6
    for (source, target), route in zip(edges, placed.routes, strict=True):
        assert route[0] == placed.centres[source]
        assert route[-1] == placed.centres[target]
        assert all(above[1] < below[1] for above, below in pairwise(route))
    for (x, y), width in zip(placed.centres, widths, strict=True):
        assert x - width / 2 >= -1e-6
        assert x + width / 2 <= placed.width + 1e-6
        assert 10 <= y <= placed.height - 10


def test_a_chain_is_straight():
    placed = place([50, 90, 30], [20, 20, 20], [(0, 1), (1, 2)], across=10, down=15)
    assert [round(x, 6) for x, _ in placed.centres] == [45, 45, 45]
    assert [y for _, y in placed.centres] == [10, 45, 80]


def test_crossings_are_removed():
    placed = place([20] * 4, [20] * 4, [(0, 3), (1, 2)], across=10, down=15)
    (a, b, c, d) = (x for x, _ in placed.centres)
    assert (a < b) == (d < c)


def test_a_node_near_its_target_stands_directly_above_it():
    edges = [(0, 1), (1, 2), (0, 3), (2, 4), (3, 4)]  # 3 could stand in any layer between 0 and 4
    far = place([20] * 5, [20] * 5, edges, across=10, down=15)
    near = place([20] * 5, [20] * 5, edges, across=10, down=15, near=[3])
    assert far.centres[3][1] == far.centres[1][1]
    assert near.centres[3][1] == near.centres[2][1]


def test_every_box_and_label_is_drawn():
    root = ET.fromstring(draw_diagram(CELL))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(texts[1:]) == sorted([box.label for box in CELL.boxes] + [a.label for a in CELL.arrows if a.label])
    assert texts[0] == "normal cell"
    paths = [element for element in root.iter("{http://www.w3.org/2000/svg}path") if element.get("class") == "edge"]
    assert len(paths) == 2 * 4 + 2  # to and from each label, and two edges without one
    assert sum("marker-end" in path.attrib for path in paths) == 6


def test_a_listing_keeps_its_lines_and_escapes_them():
    svg = draw_diagram(Diagram("program", lines=("def setup():", "  s1 = 0.5 < s2", "  <b>")))
    texts = [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["program", "def setup():", "  s1 = 0.5 < s2", "  <b>"]


def test_operators_have_their_colours():
    colours = set(re.findall(r"stroke: (#[0-9a-f]{6}); stroke-width: 1.5", draw_diagram(CELL)))
    assert len(colours) == 4  # separable, max pooling, dilated; identity and boxes are grey


def test_a_diagram_leads_forward():
    with pytest.raises(AssertionError, match="leads back"):
        Diagram("wrong", (Box("a", "a"), Box("b", "b")), (Arrow("b", "a"),))

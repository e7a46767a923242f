"""The hierarchical space: its count, what counts in motifs and cell by hand, and what architectures share."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import rlnas
from rlnas.children.network import Noise, run
from rlnas.children.weights import Weights
from rlnas.config.build import build_config
from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph, cost
from rlnas.search.given import final_space
from rlnas.spaces import HierarchicalSpace, make_space
from rlnas.spaces.diagram import Arrow, Box, Diagram
from rlnas.spaces.motifs import edge_count, effective, pairs

SIZES = {"image_channels": 1, "image_size": 8, "classes": 3}
PRIMITIVES = HierarchicalSpace().primitives
SMALL = HierarchicalSpace(
    ("conv1x1", "max_pool3x3", "identity"), motifs=2, motif_nodes=3, cell_nodes=3, filters=4, reductions=0
)


def graph(text: str, space: HierarchicalSpace = SMALL) -> Graph:
    return space.graph(space.parse(text), **SIZES)


def nodes(text: str) -> list[tuple]:
    """Operator, key and inputs of each node between stem and head, which are checked."""
    first, *middle, last = graph(text).nodes
    assert (first.operator, last.operator, last.inputs) == ("stem", "head", (len(middle),))
    return [(node.operator, node.key, node.inputs) for node in middle]


def keys(text: str) -> set[str]:
    return {node.key for node in graph(text).nodes if node.key}


# -- counting --------------------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 8), st.integers(2, 5), st.integers(2, 6))
def test_the_size_is_the_product_over_the_edges(primitives, motifs, motif_nodes, cell_nodes):
    space = HierarchicalSpace(PRIMITIVES[:primitives], motifs, motif_nodes, cell_nodes)
    inner, outer = motif_nodes * (motif_nodes - 1) // 2, cell_nodes * (cell_nodes - 1) // 2
    assert space.size == (primitives + 1) ** (motifs * inner) * (motifs + 1) ** outer
    assert space.steps == motifs + -(-outer // inner)
    assert len(space.nvec) == inner


def test_the_papers_size():
    space = HierarchicalSpace()
    assert space.size == 7 ** (6 * 6) * 7**10
    assert (space.steps, space.nvec) == (8, (7,) * 6)


@pytest.mark.parametrize(
    "space",
    [
        HierarchicalSpace(("conv1x1", "identity"), motifs=1, motif_nodes=2, cell_nodes=3),
        HierarchicalSpace(("conv1x1",), motifs=2, motif_nodes=2, cell_nodes=3),
        HierarchicalSpace(("conv1x1",), motifs=1, motif_nodes=3, cell_nodes=3),
    ],
)
def test_numbers_and_steps_enumerate_all_architectures(space):
    every = [space.unrank(code) for code in range(space.size)]
    assert set(every) == set(itertools.product(*map(range, space.choices)))
    assert len({space.text(one) for one in every}) == space.size
    assert [space.rank(space.parse(space.text(one))) for one in every] == list(range(space.size))
    walks = [()]
    for _ in range(space.steps):
        walks = [
            (*walk, action)
            for walk in walks
            for action in itertools.product(
                *(np.flatnonzero(part) for part in np.split(space.legal(walk), np.cumsum(space.nvec)[:-1]))
            )
        ]
    assert len(walks) == space.size
    assert {space.architecture(walk) for walk in walks} == set(every)


@given(st.integers(0, 7**46 - 1))
def test_rank_inverts_unrank(code):
    space = HierarchicalSpace()
    one = space.unrank(code)
    assert space.rank(one) == code
    assert space.parse(space.text(one)) == one


def test_steps_are_motifs_and_then_rows_of_the_cells_edges():
    space = HierarchicalSpace(("conv1x1", "identity"), motifs=2, motif_nodes=3, cell_nodes=4)
    one = space.parse("1-2:conv1x1 2-3:identity | 1-3:conv1x1 | 1-2:m1 2-3:m2 1-4:m2")
    assert space.actions(one).tolist() == [[1, 0, 2], [0, 1, 0], [1, 0, 2], [2, 0, 0]]


# -- what counts -----------------------------------------------------------------------------------------------


@st.composite
def motif(draw: st.DrawFn) -> tuple[int, list[int]]:
    nodes = draw(st.integers(2, 6))
    labels = st.lists(st.integers(0, 2), min_size=edge_count(nodes), max_size=edge_count(nodes))
    return nodes, draw(labels)


@given(motif(), st.sampled_from([(), (2,)]))
def test_the_edges_that_count_lie_on_a_path(drawn, empty):
    nodes, labels = drawn
    edges = {pair: label for pair, label in zip(pairs(nodes), labels, strict=True) if label and label not in empty}
    on_paths = set()
    for size in range(nodes - 1):  # every path, by its inner nodes
        for inner in itertools.combinations(range(2, nodes), size):
            path = list(itertools.pairwise((1, *inner, nodes)))
            if all(edge in edges for edge in path):
                on_paths.update(path)
    assert effective(nodes, labels, empty) == {edge: label for edge, label in edges.items() if edge in on_paths}


def test_a_network_by_hand():
    """Twice a residual motif, in which the identity leads past convolution and pooling."""
    assert nodes("1-2:conv1x1 1-3:identity 2-3:max_pool3x3 | none | 1-2:m1 2-3:m1") == [
        ("plain_conv1x1", "cell1/1-2/1-2/conv1x1", (0,)),
        ("plain_max_pool3x3", "cell1/1-2/2-3/max_pool3x3", (1,)),
        ("sum", None, (0, 2)),
        ("plain_conv1x1", "cell1/2-3/1-2/conv1x1", (3,)),
        ("plain_max_pool3x3", "cell1/2-3/2-3/max_pool3x3", (4,)),
        ("sum", None, (3, 5)),
        ("norm", "cell1/norm", (6,)),
    ]


def test_what_leads_nowhere_is_left_out():
    """In motif 1 the edge to node 2 ends there; motif 2 has no path, so that node 2 of the cell is not reached."""
    assert nodes("1-2:conv1x1 1-3:conv1x1 | 2-3:conv1x1 | 1-2:m2 2-3:m1 1-3:m1") == [
        ("plain_conv1x1", "cell1/1-3/1-3/conv1x1", (0,)),
        ("norm", "cell1/norm", (1,)),
    ]


@pytest.mark.parametrize(
    "text", ["none | none | none", "1-2:conv1x1 | none | 1-3:m1", "1-3:conv1x1 | none | 1-2:m1", "none | none | 1-3:m1"]
)
def test_a_cell_that_connects_nothing_is_the_identity(text):
    assert nodes(text) == [("norm", "cell1/norm", (0,))]


def test_two_identities_add_the_same_twice():
    assert nodes("1-3:identity 1-2:identity 2-3:identity | none | 1-3:m1") == [
        ("sum", None, (0, 0)),
        ("norm", "cell1/norm", (1,)),
    ]


def test_cells_and_reductions_in_a_row():
    space = HierarchicalSpace(("conv1x1",), 1, 2, 2, cells=2, filters=4, reductions=1, widen=3, stem_stride=2)
    found = [(n.key, n.channels, n.size, n.layer) for n in graph("1-2:conv1x1 | 1-2:m1", space).nodes]
    assert found == [
        ("stem", 4, (4, 4), 0),
        ("cell1/1-2/1-2/conv1x1", 4, (4, 4), 1),
        ("cell1/norm", 4, (4, 4), 1),
        ("cell2/1-2/1-2/conv1x1", 4, (4, 4), 2),
        ("cell2/norm", 4, (4, 4), 2),
        ("reduce1", 12, (2, 2), 3),
        ("cell3/1-2/1-2/conv1x1", 12, (2, 2), 4),
        ("cell3/norm", 12, (2, 2), 4),
        ("cell4/1-2/1-2/conv1x1", 12, (2, 2), 5),
        ("cell4/norm", 12, (2, 2), 5),
        ("head", 3, (2, 2), 0),
    ]


def test_the_cost_of_a_tiny_network_by_hand():
    space = HierarchicalSpace(("sep_conv3x3", "depthwise3x3"), 1, 2, 3, filters=4, reductions=1, widen=2)
    found = cost(graph("1-2:sep_conv3x3 | 1-2:m1 2-3:m1", space))
    cells = [2 * (9 * c + c * c + 2 * c) + 2 * c for c in (4, 8)]  # depthwise, pointwise, BN; BN of the cell
    reduce = 9 * 4 + 4 * 8 + 16
    assert found.params == (9 * 4 + 8) + sum(cells) + reduce + (8 * 3 + 3)
    at_8x8, at_4x4 = 9 * 4 + 2 * (9 * 4 + 16), 9 * 4 + 32 + 2 * (9 * 8 + 64)
    assert found.flops == 2 * (64 * at_8x8 + 16 * at_4x4 + 8 * 3)


# -- weights ---------------------------------------------------------------------------------------------------


def test_a_primitive_at_one_place_is_shared_whatever_the_number_of_its_motif():
    one = keys("1-3:conv1x1 | none | 1-3:m1")
    assert one == keys("none | 1-3:conv1x1 | 1-3:m2") == {"stem", "cell1/1-3/1-3/conv1x1", "cell1/norm", "head"}


def test_another_place_or_primitive_is_another_weight():
    one = keys("1-3:conv1x1 | none | 1-3:m1")
    always = {"stem", "cell1/norm", "head"}
    assert one & keys("1-3:conv1x1 | none | 1-2:m1 2-3:m1") == always  # another edge of the cell
    assert one & keys("1-2:conv1x1 2-3:identity | none | 1-3:m1") == always  # of the motif
    assert one & keys("1-3:max_pool3x3 | none | 1-3:m1") == always
    assert one & keys("1-3:conv1x1 1-2:conv1x1 2-3:conv1x1 | none | 1-3:m1") == one


@pytest.fixture
def weights() -> Weights:
    return Weights(0, track_statistics=False, device=torch.device("cpu"), channels_last=False)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def gradients(made: Graph, weights: Weights, images: torch.Tensor) -> dict[str, torch.Tensor]:
    weights.ensure(made)
    weights.zero_grad(set_to_none=True)
    F.cross_entropy(run(made, weights, images), torch.arange(len(images)) % 3).backward()
    return {name: p.grad.clone() for name, p in weights.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("edge", range(3))
def test_every_primitive_changes_the_scores_and_gets_its_own_gradient(weights, images, edge):
    """At each edge of the motif; where there is none, too."""
    space = HierarchicalSpace(motifs=1, motif_nodes=3, cell_nodes=3, filters=4, reductions=0)
    full = list(space.parse("1-2:conv1x1 1-3:conv1x1 2-3:conv1x1 | 1-2:m1 1-3:m1 2-3:m1"))
    scores = []
    for label in range(7):
        full[edge] = label
        made = space.graph(full, **SIZES)
        found = gradients(made, weights, images)
        scores.append(run(made, weights, images).detach())
        own = "" if label == 0 else f"{pairs(3)[edge][0]}-{pairs(3)[edge][1]}/{space.primitives[label - 1]}."
        if own and space.primitives[label - 1] not in ("max_pool3x3", "avg_pool3x3", "identity"):
            mine = [gradient for name, gradient in found.items() if f"/{own}" in name]
            assert len(mine) >= 3 * 3  # weights, scale and shift at three edges of the cell
            assert all(gradient.abs().sum() > 0 for gradient in mine)
    for i, one in enumerate(scores):
        assert one.isfinite().all()
        assert not any(torch.allclose(one, other) for other in scores[:i])


@pytest.mark.parametrize("edge", range(6))
def test_every_edge_of_the_cell_changes_the_scores_and_has_weights_of_its_own(weights, images, edge):
    space = HierarchicalSpace(("conv1x1",), 1, 2, 4, filters=4, reductions=0)
    every = (1,) * 7
    without = (*every[: edge + 1], 0, *every[edge + 2 :])
    made = [space.graph(one, **SIZES) for one in (every, without)]
    before, after = (gradients(one, weights, images) for one in made)
    assert not torch.allclose(*(run(one, weights, images) for one in made))
    i, j = pairs(4)[edge]
    assert all(before[name].abs().sum() > 0 for name in before)
    assert f"cell1/{i}-{j}/1-2/conv1x1" in {name.split(".")[1] for name in set(before) - set(after)}


def test_the_final_network_may_have_more_cells_and_filters():
    config = build_config({"space": {"name": "hierarchical"}, "retrain": {"space": {"cells": 3, "filters": 36}}})
    final = final_space(config, make_space(config.space))
    assert isinstance(final, HierarchicalSpace)
    assert (final.cells, final.filters, final.size) == (3, 36, HierarchicalSpace().size)
    config = build_config({"space": {"name": "hierarchical"}, "retrain": {"space": {"motifs": 3}}})
    with pytest.raises(RlnasError, match="changes what there is to choose"):
        final_space(config, make_space(config.space))


# -- drop path -------------------------------------------------------------------------------------------------


def test_drop_path_drops_what_an_identity_bypasses(weights, images, monkeypatch):
    made = graph("1-2:conv1x1 1-3:identity 2-3:max_pool3x3 | 1-3:identity | 1-2:m1 1-3:m2 2-3:m1")
    assert [(node.inputs, node.own) for node in made.nodes if node.operator == "sum"] == [
        ((0, 2), (1,)),
        ((3, 5), (1,)),
        ((0, 6), (1,)),  # of the cell: motif 2 is an identity
    ]
    weights.ensure(made)
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))
    dropped = run(made, weights, images, Noise(0.0, 0.5, torch.Generator()))
    alone = [replace(node, inputs=node.inputs[:1], own=()) for node in made.nodes]
    torch.testing.assert_close(dropped, run(replace(made, nodes=tuple(alone)), weights, images))
    assert not torch.allclose(dropped, run(made, weights, images))


def test_nothing_is_dropped_where_nothing_bypasses():
    made = graph("1-2:conv1x1 1-3:conv1x1 2-3:max_pool3x3 | none | 1-3:m1")
    assert [node.own for node in made.nodes if node.operator == "sum"] == [()]
    made = graph("1-2:identity 1-3:identity 2-3:identity | none | 1-3:m1")
    assert [node.own for node in made.nodes if node.operator == "sum"] == [()]
    assert SMALL.has_bypass
    assert not HierarchicalSpace(("conv1x1",)).has_bypass


# -- forms -----------------------------------------------------------------------------------------------------


def test_features_by_hand():
    one = SMALL.parse("1-2:conv1x1 2-3:max_pool3x3 1-3:identity | 1-3:identity | 1-2:m1 2-3:m2")
    expected = {f"cell{i}-{j}.motif{a}-{b}/operator": "none" for i, j in pairs(3) for a, b in pairs(3)}
    expected |= {
        "cell1-2.motif1-2/operator": "conv1x1",
        "cell1-2.motif2-3/operator": "max_pool3x3",
        "cell1-2.motif1-3/operator": "identity",
        "cell2-3.motif1-3/operator": "identity",
    }
    assert SMALL.features(one) == {**expected, "size": 4.0, "depth": 2.0}
    assert SMALL.feature_values("operator") == ("none", "conv1x1", "max_pool3x3", "identity")
    assert SMALL.feature_values("size") is None


def test_references_by_hand():
    space = HierarchicalSpace(motifs=2, cell_nodes=3)
    residual = "1-2:sep_conv3x3 2-3:sep_conv3x3 1-4:identity 3-4:sep_conv3x3 | none"
    assert {name: space.text(one) for name, one in space.references().items()} == {
        "residual_chain": f"{residual} | 1-2:m1 2-3:m1",
        "plain_chain": "1-2:sep_conv3x3 2-3:sep_conv3x3 3-4:sep_conv3x3 | none | 1-2:m1 2-3:m1",
        "block": f"{residual} | 1-3:m1",
    }
    assert HierarchicalSpace(("max_pool3x3", "identity")).references() == {}
    few = HierarchicalSpace(("conv1x1",), 1, 2, 2)
    assert {name: few.text(one) for name, one in few.references().items()} == {"plain_chain": "1-2:conv1x1 | 1-2:m1"}


def test_diagrams_by_hand():
    one = SMALL.parse("1-2:conv1x1 2-3:max_pool3x3 | 1-2:conv1x1 1-3:identity | 1-2:m2 2-3:m2")
    three = (Box("1", "input"), Box("2", "2"), Box("3", "output"))
    assert SMALL.diagrams(one) == (
        Diagram("cell", three, (Arrow("1", "2", "m2"), Arrow("2", "3", "m2"))),
        Diagram("motif m2", (three[0], three[2]), (Arrow("1", "3", "identity", "identity"),)),
    )
    (nothing,) = SMALL.diagrams(SMALL.unrank(0))
    assert nothing.arrows == (Arrow("1", "3", "identity", "identity"),)


# -- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("primitives", "message"),
    [
        ((), "space.primitives is empty, expected at least one; choose from conv1x1"),
        (("none",), "space.primitives: 'none' is unknown; expected one like conv1x1"),
        (("conv4x4",), "space.primitives: 'conv4x4' is unknown"),
        (("stem",), "space.primitives: 'stem' is unknown"),
        (("identity", "conv1x1", "conv1x1"), "space.primitives names conv1x1 more than once; list each once"),
    ],
)
def test_wrong_primitives(primitives, message):
    with pytest.raises(RlnasError, match=message):
        HierarchicalSpace(primitives)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none | none", r"expected 2 motifs and the cell separated by \|, got 2 parts"),
        (" | none | none", "motif 1 is empty, expected edges such as 1-3:conv1x1, or none"),
        ("none | 3-1:conv1x1 | none", "motif 2, '3-1:conv1x1': expected an edge between two of the nodes 1 to 3"),
        ("none | 1-4:conv1x1 | none", "motif 2, '1-4:conv1x1': expected an edge between"),
        ("none | a | none", "motif 2, 'a': expected an edge between two of the nodes"),
        ("1-2:sep | none | none", "motif 1, '1-2:sep': 'sep' is unknown, expected one of conv1x1, max_pool3x3"),
        ("1-2:m1 | none | none", "motif 1, '1-2:m1': 'm1' is unknown"),
        ("none | none | 1-2:m3", "the cell, '1-2:m3': 'm3' is unknown, expected one of m1, m2"),
        ("none | none | 1-2:m1 1-2:m1", "the cell: edge 1-2 is given twice"),
    ],
)
def test_a_wrong_text_says_which_edge(text, message):
    with pytest.raises(RlnasError, match=message):
        SMALL.parse(text)


def test_a_map_of_one_pixel_cannot_be_reduced(tmp_path):
    given = ["+experiment=hierarchical_digits", "space.reductions=4", "progress=off"]
    with pytest.raises(RlnasError, match=r"1x1 pixel after cell 4 .* Choose a smaller space.reductions"):
        rlnas.run([*given, f"hydra.run.dir={tmp_path}/run"])
    assert not (tmp_path / "run" / "history.csv").exists()


def test_drop_path_is_refused_without_identities(tmp_path):
    given = ["space=hierarchical", "space.primitives=[conv1x1]", "child.drop_path=0.3", "progress=off"]
    with pytest.raises(RlnasError, match=r"child.drop_path=0.3 .*space=hierarchical no path leads past an operator"):
        rlnas.run([*given, f"hydra.run.dir={tmp_path}/run"])

"""Genetic CNN's space: its count, the paper's rules for nodes written out by hand, and what architectures share."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import rlnas
from rlnas.children.network import run
from rlnas.children.weights import Weights
from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph, cost
from rlnas.spaces import GeneticCnnSpace
from rlnas.spaces.diagram import Arrow, Box, Diagram

SIZES = {"image_channels": 1, "image_size": 8, "classes": 3}


def graph(space: GeneticCnnSpace, text: str) -> Graph:
    return space.graph(space.parse(text), **SIZES)


def nodes(*counts: int, text: str) -> list[tuple]:
    """Operator, key and inputs of each node but the head, which is checked."""
    *first, last = graph(GeneticCnnSpace(counts, filters=4), text).nodes
    assert (last.operator, last.inputs) == ("head", (len(first) - 1,))
    return [(node.operator, node.key, node.inputs) for node in first]


def conv(name: str, source: int, stage: int = 1) -> tuple:
    return ("plain_conv3x3", f"stage{stage}/{name}", (source,))


# -- counting --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 8), min_size=1, max_size=5))
def test_the_size_is_the_papers(counts):
    space = GeneticCnnSpace(counts)
    assert space.size == 2 ** sum(count * (count - 1) // 2 for count in counts)
    assert space.steps == len(counts)


def test_the_papers_space_for_cifar():
    assert GeneticCnnSpace().nodes == (3, 4, 5)
    assert GeneticCnnSpace().size == 2**19 == 524288


@pytest.mark.parametrize("counts", [(1,), (2,), (3,), (1, 2), (2, 3), (4,), (3, 1, 2)])
def test_numbers_enumerate_all_connections(counts):
    space = GeneticCnnSpace(counts)
    every = [space.unrank(code) for code in range(space.size)]
    possible = [
        [edges for size in range(math.comb(count, 2) + 1) for edges in itertools.combinations(pairs, size)]
        for count in counts
        for pairs in [list(itertools.combinations(range(1, count + 1), 2))]
    ]
    found = {tuple(frozenset(edges) for edges in space.split(one)) for one in every}
    assert found == set(itertools.product(*([frozenset(edges) for edges in stage] for stage in possible)))
    assert len(found) == len({space.text(one) for one in every}) == space.size
    assert [space.join(space.split(one)) for one in every] == every


@given(st.integers(0, 2**19 - 1))
def test_rank_inverts_unrank(code):
    space = GeneticCnnSpace()
    one = space.unrank(code)
    assert space.rank(one) == code
    assert space.join(space.split(one)) == space.parse(space.text(one)) == one


def test_a_step_is_a_stage_with_its_bits_first():
    space = GeneticCnnSpace((2, 1, 3))
    one = space.parse("1 | . | 0-11")
    assert space.nvec == (2, 2, 2)
    assert space.actions(one).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 1]]
    assert [space.legal([[0, 0, 0]] * step).reshape(3, 2)[:, 1].tolist() for step in range(3)] == [
        [True, False, False],
        [False, False, False],
        [True, True, True],
    ]


# -- the paper's rules -----------------------------------------------------------------------------------------


def test_nodes_without_predecessor_read_the_input_node_and_an_isolated_node_is_left_out():
    """Nodes 1 and 2 feed node 3; node 4 is isolated."""
    assert nodes(4, text="0-11-000") == [
        conv("input", -1),
        conv("node1", 0),
        conv("node2", 0),
        ("sum", None, (1, 2)),
        conv("node3", 3),
        conv("output", 4),
    ]


def test_nodes_without_successor_are_summed_by_the_output_node():
    assert nodes(3, text="1-10") == [
        conv("input", -1),
        conv("node1", 0),
        conv("node2", 1),
        conv("node3", 1),
        ("sum", None, (2, 3)),
        conv("output", 4),
    ]


def test_two_separate_parts_of_a_stage():
    """Nodes 1 and 3, and nodes 2 and 4."""
    assert nodes(4, text="0-10-010") == [
        conv("input", -1),
        conv("node1", 0),
        conv("node2", 0),
        conv("node3", 1),
        conv("node4", 2),
        ("sum", None, (3, 4)),
        conv("output", 5),
    ]


def test_a_stage_without_connections_convolves_once():
    assert nodes(3, text="0-00") == [conv("input", -1)]
    assert nodes(1, text=".") == [conv("input", -1)]


def test_stages_are_separated_by_pooling_and_widen():
    space = GeneticCnnSpace((2, 1, 2), filters=4, widen=3, kernel=5, stem_stride=2)
    found = [(n.operator, n.key, n.channels, n.size, n.layer) for n in graph(space, "1 | . | 0").nodes]
    assert found == [
        ("plain_conv5x5", "stage1/input", 4, (4, 4), 1),
        ("plain_conv5x5", "stage1/node1", 4, (4, 4), 2),
        ("plain_conv5x5", "stage1/node2", 4, (4, 4), 3),
        ("plain_conv5x5", "stage1/output", 4, (4, 4), 4),
        ("max_reduce", "stage2/pool", 4, (2, 2), 5),
        ("plain_conv5x5", "stage2/input", 12, (2, 2), 5),
        ("max_reduce", "stage3/pool", 12, (1, 1), 8),
        ("plain_conv5x5", "stage3/input", 36, (1, 1), 8),
        ("head", "head", 3, (1, 1), 0),
    ]


def test_a_stage_with_more_nodes_contains_the_smaller_ones():
    """Why the paper leaves isolated nodes out."""
    for text in ("0-00", "1-00", "0-10", "1-01", "1-11"):
        assert nodes(4, text=f"{text}-000") == nodes(3, text=text)


def test_the_cost_of_a_tiny_network_by_hand():
    space = GeneticCnnSpace((2, 1), filters=4)
    found = cost(graph(space, "1 | ."))
    assert found.params == (9 * 1 * 4 + 8) + 3 * (9 * 4 * 4 + 8) + (9 * 4 * 8 + 16) + (8 * 3 + 3)
    assert found.flops == 2 * (64 * (9 * 4 + 3 * 9 * 16) + 16 * 9 * 32 + 8 * 3)


# -- networks --------------------------------------------------------------------------------------------------


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


def test_every_node_gets_its_own_gradient(weights, images):
    space = GeneticCnnSpace((3, 4), filters=4)
    found = gradients(graph(space, "1-11 | 1-11-111"), weights, images)
    keys = {name.split(".")[1] for name in found}
    assert keys == {
        *(f"stage1/{name}" for name in ("input", "node1", "node2", "node3", "output")),
        *(f"stage2/{name}" for name in ("input", "node1", "node2", "node3", "node4", "output")),
        "head",
    }
    assert all(gradient.abs().sum() > 0 for gradient in found.values())


@pytest.mark.parametrize("bit", range(9))
def test_every_connection_changes_the_scores_and_carries_gradient(weights, images, bit):
    space = GeneticCnnSpace((3, 4), filters=4)
    every = (1,) * 9
    without = (*every[:bit], 0, *every[bit + 1 :])
    made = [space.graph(one, **SIZES) for one in (every, without)]
    before, after = (gradients(one, weights, images) for one in made)
    assert not torch.allclose(*(run(one, weights, images) for one in made))
    stage, (source, _) = [(s, edge) for s, count in ((1, 3), (2, 4)) for edge in edges_of(count)][bit]
    name = f"by_key.stage{stage}/node{source}.0.weight"
    assert not torch.allclose(before[name], after[name])


def edges_of(count: int) -> list[tuple[int, int]]:
    return [(i, j) for j in range(2, count + 1) for i in range(1, j)]


def test_two_architectures_share_the_nodes_that_both_have():
    space = GeneticCnnSpace((3, 3), filters=4)
    one, other = ({n.key for n in graph(space, text).nodes} for text in ("1-00 | 0-00", "0-01 | 1-01"))
    assert one & other - {None} == {"stage1/input", "stage1/node2", "stage1/output", "stage2/pool", "stage2/input"} | {
        "head"
    }
    assert one - other == {"stage1/node1"}
    assert other - one - {None} == {"stage1/node3", *(f"stage2/{n}" for n in ("node1", "node2", "node3", "output"))}


@pytest.mark.parametrize("size", [6, 7])
def test_pooling_takes_the_maximum_of_2x2_pixels_and_keeps_the_border(weights, images, size):
    space = GeneticCnnSpace((1, 1), filters=4)
    made = space.graph((), image_channels=1, image_size=size, classes=3)
    weights.ensure(made)
    (pool,) = (node for node in made.nodes if node.operator == "max_reduce")
    pixels = images[:, :, :size, :size]
    found = weights.by_key[pool.key](pixels)
    padded = F.pad(pixels, (0, size % 2, 0, size % 2), value=-math.inf)
    assert torch.equal(found, padded.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2)))
    assert found.shape[2:] == pool.size == (-(-size // 2),) * 2


# -- forms -----------------------------------------------------------------------------------------------------


def test_features_by_hand():
    space = GeneticCnnSpace((3, 2))
    assert space.features(space.parse("0-11 | 0")) == {
        "stage1/edge12": 0.0,
        "stage1/edge13": 1.0,
        "stage1/edge23": 1.0,
        "stage1/nodes": 3.0,
        "stage1/depth": 2.0,
        "stage2/edge12": 0.0,
        "stage2/nodes": 0.0,
        "stage2/depth": 0.0,
        "skip_rate": 1.0,
    }
    assert GeneticCnnSpace((4,)).features((1, 0, 1, 0, 0, 1))["stage1/depth"] == 4
    assert "skip_rate" not in GeneticCnnSpace((2, 1)).features((1,))


def test_references_by_hand():
    space = GeneticCnnSpace((3, 5))
    assert {name: space.text(one) for name, one in space.references().items()} == {
        "residual": "1-11 | 1-11-001-0011",
        "dense": "1-11 | 1-11-111-1111",
        "chain": "1-01 | 1-01-001-0001",
    }
    assert list(GeneticCnnSpace((2,)).references()) == ["residual"]


def test_diagrams_by_hand():
    space = GeneticCnnSpace((4, 2))
    names = ("input", "1", "2", "3", "output")
    edges = (("input", "1"), ("input", "2"), ("1", "3"), ("2", "3"), ("3", "output"))
    assert space.diagrams(space.parse("0-11-000 | 0")) == (
        Diagram(
            "stage 1",
            tuple(Box(name, name, "conv3x3") for name in names),
            tuple(Arrow(*edge) for edge in edges),
        ),
        Diagram("stage 2", (Box("input", "input", "conv3x3"),)),
    )


# -- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nodes": []}, r"space.nodes is \[\], expected the number of nodes of each stage, at least one stage"),
        ({"nodes": [3, 0]}, r"space.nodes is \[3, 0\], expected .* one node a stage, such as \[3,4,5\]"),
        ({"kernel": 4}, "space.kernel is 4, expected an odd number of pixels"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(RlnasError, match=message):
        GeneticCnnSpace(**options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1-01", r"expected 3 stages separated by \|, got 1: '1-01'"),
        ("1-0 | . | 1", "stage 1 is '1-0', expected one bit, 0 or 1, for each pair of its 3 nodes, .* such as 0-00"),
        ("1-02 | . | 1", "stage 1 is '1-02', expected one bit"),
        ("101 | . | 1", "stage 1 is '101', expected one bit"),
        ("1-01 | 0 | 1", r"stage 2 is '0', expected .* of its 1 nodes, .* such as \."),
        ("1-01 | . | ", "stage 3 is '', expected one bit"),
    ],
)
def test_a_wrong_text_says_which_stage(text, message):
    with pytest.raises(RlnasError, match=message):
        GeneticCnnSpace((3, 1, 2)).parse(text)


def test_a_map_of_one_pixel_cannot_be_pooled():
    GeneticCnnSpace((1,) * 4).graph((), **SIZES)
    with pytest.raises(
        RlnasError, match=r"1x1 pixel after stage 4 .* images have 8x8 pixels. Choose fewer stages than"
    ):
        GeneticCnnSpace((1,) * 5).graph((), **SIZES)


def test_and_this_is_said_before_any_training(tmp_path):
    given = ["+experiment=genetic_cnn_digits", "space.nodes=[2,2,2]", "space.stem_stride=4", "progress=off"]
    with pytest.raises(RlnasError, match="1x1 pixel after stage 2"):
        rlnas.run([*given, f"hydra.run.dir={tmp_path}/run"])
    assert not (tmp_path / "run" / "history.csv").exists()


@pytest.mark.parametrize("group", ["child", "retrain"])
def test_drop_path_is_refused(group, tmp_path):
    given = ["space=genetic_cnn", "data.limit=100", "progress=off", f"hydra.run.dir={tmp_path}/run"]
    with pytest.raises(RlnasError, match=rf"{group}.drop_path=0.3 .*space=genetic_cnn no path leads past an operator"):
        rlnas.run([*given, f"{group}.drop_path=0.3"])

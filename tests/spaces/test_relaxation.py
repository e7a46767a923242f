"""Relaxations of spaces: what they weigh, the weight keys they use, and how they are discretised."""

import numpy as np
import pytest

from rlnas.errors import RlnasError
from rlnas.networks.relaxation import MIXED
from rlnas.spaces import DartsSpace, GeneticCnnSpace, NasnetSpace, NasrlFactoredSpace, NasrlSpace
from rlnas.spaces.cell_relaxation import strongest_two

OPERATORS = ("sep_conv3x3", "max_pool3x3", "identity")
IMAGES = {"image_channels": 1, "image_size": 8, "classes": 3}
DARTS = DartsSpace(OPERATORS, nodes=2, cells=3, filters=2, reductions=1)
NASNET = NasnetSpace(OPERATORS, ("sum",), nodes=2, cells=3, filters=2, reductions=1, pairs="any")
TIED = NasnetSpace(OPERATORS, ("sum",), nodes=2, cells=3, filters=2, reductions=1, tied=True)
NASRL = NasrlSpace(4, ("conv3x3", "max_pool3x3", "identity"), filters=2, reductions=1)
SHARED = NasrlSpace(4, ("conv3x3", "conv5x5", "sep_conv3x3"), filters=2, reductions=1, sharing="kernel")
SPACES = {"darts": DARTS, "nasnet": NASNET, "tied": TIED, "nasrl": NASRL, "kernel": SHARED}


def test_choices_of_cells_are_the_edges_of_both_cells():
    """Two hidden nodes: 2 + 3 edges a cell."""
    relaxation = DARTS.relaxation(**IMAGES)
    names = [choice.name for choice in relaxation.choices]
    edges = ["2/from0", "2/from1", "3/from0", "3/from1", "3/from2"]
    assert names == [f"{kind}{edge}" for kind in ("normal", "reduce") for edge in edges]
    assert {choice.values for choice in relaxation.choices} == {("zero", *OPERATORS)}
    assert len(TIED.relaxation(**IMAGES).choices) == 5


def test_choices_of_a_chain_are_operators_and_skips():
    names = [(choice.name, len(choice.values)) for choice in NASRL.relaxation(**IMAGES).choices]
    operators = [(f"layer{layer}/operator", 3) for layer in (1, 2, 3, 4)]
    assert names == [*operators[:3], ("layer3/skip1", 2), operators[3], ("layer4/skip1", 2), ("layer4/skip2", 2)]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_architecture_has_the_nodes_and_keys_of_the_relaxation(space):
    """A key means the same module in both, so that one set of weights serves both."""
    relaxation = space.relaxation(**IMAGES)
    nodes = relaxation.graph.nodes
    assert {index for index, node in enumerate(nodes) if node.operator == MIXED} == set(relaxation.mixtures)

    def modules(graph):
        return {
            (node.key, node.operator, graph.in_channels(node), node.channels, node.stride)
            for node in graph.nodes
            if node.key is not None
        }

    known, seen = modules(relaxation.graph), set()
    assert len({module[0] for module in known}) == len(known)
    for seed in range(60):
        found = modules(space.graph(space.sample(np.random.default_rng(seed)), **IMAGES))
        found = {module for module in found if "/again" not in module[0]}  # pairs=any, twice the same predecessor
        assert found <= known
        seen |= found
    assert seen == known


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_mixed_nodes_weigh_every_alternative_once(space):
    relaxation = space.relaxation(**IMAGES)
    for index, mixture in relaxation.mixtures.items():
        values = relaxation.choices[mixture.choice].values
        outputs = [place for place, value in enumerate(values) if value not in ("zero", "absent")]
        assert list(mixture.alternatives) == outputs
        inputs = [relaxation.graph.nodes[source] for source in relaxation.graph.nodes[index].inputs]
        assert {(node.channels, node.size) for node in inputs} == {
            (relaxation.graph.nodes[index].channels, relaxation.graph.nodes[index].size)
        }


def test_a_path_is_the_network_of_its_alternatives():
    """Conv in layers 1 and 2, pool in 3, identity in 4, with the skip from 1 to 4 only."""
    relaxation = NASRL.relaxation(**IMAGES)
    chosen = [0, 0, 1, 0, 2, 1, 0]
    text = "conv3x3 conv3x3 max_pool3x3 identity+1"
    strengths = [[float(place == one) for place in range(3)] for one in chosen]
    strengths = [row[: len(choice.values)] for row, choice in zip(strengths, relaxation.choices, strict=True)]
    architecture = NASRL.discretised(strengths)
    assert NASRL.text(architecture) == text
    keys = {relaxation.graph.nodes[index].key for index in relaxation.path(chosen)}
    assert keys == {node.key for node in NASRL.graph(architecture, **IMAGES).nodes}


def test_discretised_cells_by_hand():
    """Node 2 keeps both inputs; node 3 the two edges whose strongest operator is strongest, zero apart."""
    normal = [
        [0.9, 0.02, 0.05, 0.03],  # 2 from 0: zero is excluded, so max_pool3x3
        [0.1, 0.2, 0.3, 0.4],  # 2 from 1: identity
        [0.1, 0.6, 0.2, 0.1],  # 3 from 0: sep_conv3x3 at 0.6
        [0.5, 0.1, 0.1, 0.3],  # 3 from 1: identity at 0.3
        [0.7, 0.05, 0.25, 0.0],  # 3 from 2: max_pool3x3 at 0.25, dropped although its zero is strongest
    ]
    reduce = [
        [0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.0, 0.1, 0.2, 0.3],  # 3 from 0: identity at 0.3, dropped
        [0.0, 0.4, 0.2, 0.1],  # 3 from 1: sep_conv3x3 at 0.4
        [0.0, 0.1, 0.5, 0.3],  # 3 from 2: max_pool3x3 at 0.5
    ]
    assert DARTS.text(DARTS.discretised([*normal, *reduce])) == (
        "normal: 0.max_pool3x3+1.identity 0.sep_conv3x3+1.identity | "
        "reduce: 0.sep_conv3x3+1.max_pool3x3 1.sep_conv3x3+2.max_pool3x3"
    )
    assert DARTS.identities(DARTS.discretised([*normal, *reduce])) == 2
    assert TIED.text(TIED.discretised(normal)) == "cell: 0.max_pool3x3+1.identity 0.sep_conv3x3+1.identity"


def test_equal_edges_keep_the_first():
    assert strongest_two([[0.25] * 4] * 3) == ((0, 0), (1, 0))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_any_strengths_give_a_valid_architecture(space):
    choices = space.relaxation(**IMAGES).choices
    for seed in range(30):
        rng = np.random.default_rng(seed)
        architecture = space.discretised([rng.dirichlet(np.ones(len(choice.values))).tolist() for choice in choices])
        assert space.parse(space.text(architecture)) == architecture


def test_identities_of_a_chain_are_those_of_all_layers():
    assert NASRL.identities(NASRL.parse("conv3x3 identity max_pool3x3 identity+1")) == 2


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (NasnetSpace(OPERATORS, ("sum", "concat")), r"summarisations is \['sum', 'concat'\]; set .*=\[sum\]"),
        (NasnetSpace(OPERATORS, ("sum",), output="loose"), "space.output=loose"),
        (NasrlSpace(3, merge="concat"), "space.merge=concat; set space.merge=sum"),
        (NasrlFactoredSpace(3), "space=nasrl_factored has no relaxation"),
        (GeneticCnnSpace(), "space=genetic_cnn has no relaxation"),
    ],
    ids=["summarisations", "output", "merge", "factored", "genetic_cnn"],
)
def test_spaces_without_a_relaxation_say_so(space, message):
    with pytest.raises(RlnasError, match=message) as error:
        space.relaxation(**IMAGES)
    assert "\n" not in str(error.value)

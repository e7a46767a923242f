"""How finely operators share weights: the nodes and keys of each form, and that costs are the same."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.config.spaces import NasrlConfig
from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph, cost
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace
from rlnas.spaces.networks import Networks
from rlnas.spaces.sharing import SHARING, kernel_parts

OPERATORS = ("conv1x1", "conv3x3", "conv5x5", "conv3x7", "sep_conv3x3", "sep_conv5x5", "dil_conv3x3", "dil_conv5x5")
OPERATORS = (*OPERATORS, "avg_pool3x3", "max_pool3x3", "identity")
SIZES = {"image_channels": 3, "image_size": 9, "classes": 5}
FINER = ("projection", "kernel")
merges = pytest.mark.parametrize("merge", ["sum", "concat"])


def graph(text: str, sharing: str, **options) -> Graph:
    space = NasrlSpace(len(text.split()), OPERATORS, filters=4, sharing=sharing, **{"reductions": 0, **options})
    return space.graph(space.parse(text), **SIZES)


def nodes(text: str, sharing: str) -> list[tuple]:
    """Operator, key and inputs of each node between stem and head, which are checked."""
    first, *middle, last = graph(text, sharing).nodes
    assert ((first.operator, first.key), (last.operator, last.key)) == (("stem", "stem"), ("head", "head"))
    return [(node.operator, node.key, node.inputs) for node in middle]


def test_sharing_by_operator_is_one_node_an_operator():
    assert nodes("conv5x5 avg_pool3x3 sep_conv3x3+1", "operator") == [
        ("conv5x5", "layer1/conv5x5", (0,)),
        ("avg_pool3x3", "layer2/avg_pool3x3", (1,)),
        ("sep_conv3x3", "layer3/sep_conv3x3", (2,)),
        ("sum", None, (3, 1)),
        ("norm", "layer3/norm", (4,)),
    ]


def test_sharing_the_projection_by_hand():
    assert nodes("conv5x5 avg_pool3x3 identity+1", "projection") == [
        ("project", "layer1/project", (0,)),
        ("projected_conv5x5", "layer1/projected_conv5x5", (1,)),
        ("project", "layer2/project", (2,)),
        ("projected_avg_pool3x3", "layer2/projected_avg_pool3x3", (3,)),
        ("identity", None, (4,)),
        ("sum", None, (5, 2)),
        ("norm", "layer3/norm", (6,)),
    ]


def test_sharing_kernels_by_hand():
    assert nodes("conv5x5 sep_conv5x5 max_pool3x3", "kernel") == [
        ("project", "layer1/project", (0,)),
        ("raw_conv1x1", "layer1/raw_conv1x1", (1,)),
        ("raw_conv3x3-1x1", "layer1/raw_conv3x3-1x1", (1,)),
        ("raw_conv5x5-3x3", "layer1/raw_conv5x5-3x3", (1,)),
        ("sum", None, (2, 3, 4)),
        ("norm_relu", "layer1/conv5x5/rest", (5,)),
        ("project", "layer2/project", (6,)),
        ("raw_depthwise3x3", "layer2/raw_depthwise3x3", (7,)),
        ("raw_depthwise5x5-3x3", "layer2/raw_depthwise5x5-3x3", (7,)),
        ("sum", None, (8, 9)),
        ("pointwise_norm_relu", "layer2/sep_conv5x5/rest", (10,)),
        ("project", "layer3/project", (11,)),
        ("projected_max_pool3x3", "layer3/projected_max_pool3x3", (12,)),
        ("norm", "layer3/norm", (13,)),
    ]


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("conv3x3", "conv5x5", {"operator": 0, "projection": 1, "kernel": 3}),
        ("sep_conv3x3", "sep_conv5x5", {"operator": 0, "projection": 1, "kernel": 2}),
        ("sep_conv3x3", "dil_conv3x3", {"operator": 0, "projection": 1, "kernel": 1}),
        ("conv3x3", "avg_pool3x3", {"operator": 0, "projection": 1, "kernel": 1}),
        ("conv3x3", "identity", {"operator": 0, "projection": 0, "kernel": 0}),
    ],
)
def test_what_two_operators_of_a_layer_share(one, other, common):
    for sharing in SHARING:
        keys = [{node.key for node in graph(text, sharing).nodes} - {None, "stem", "head"} for text in (one, other)]
        assert len(keys[0] & keys[1]) == common[sharing]
        elsewhere = {node.key for node in graph(f"identity {other}", sharing).nodes} - {None, "stem", "head"}
        assert not keys[0] & elsewhere


@pytest.mark.parametrize(
    ("operator", "operators", "parts"),
    [
        ("conv7x7", ("conv3x3", "conv5x5", "conv7x7"), ("raw_conv3x3", "raw_conv5x5-3x3", "raw_conv7x7-5x5")),
        ("conv7x7", ("conv7x7", "conv3x3"), ("raw_conv3x3", "raw_conv7x7-3x3")),
        ("conv7x7", ("conv7x7", "sep_conv3x3", "max_pool5x5"), ("raw_conv7x7",)),
        ("conv5x5", ("conv3x5", "conv5x3", "conv5x5"), ("raw_conv5x3", "raw_conv5x5-5x3")),
        ("conv5x5", ("conv5x3", "conv3x5", "conv5x5"), ("raw_conv5x3", "raw_conv5x5-5x3")),
        ("conv3x5", ("conv3x5", "conv5x3"), ("raw_conv3x5",)),
        ("dil_conv5x5", ("dil_conv3x3", "dil_conv5x5"), ("raw_dil_depthwise3x3", "raw_dil_depthwise5x5-3x3")),
        ("avg_pool5x5", ("avg_pool3x3", "avg_pool5x5"), ()),
        ("identity", ("identity",), ()),
    ],
)
def test_kernels_are_nested_by_size(operator, operators, parts):
    assert kernel_parts(operator, operators) == parts


@merges
@pytest.mark.parametrize("sharing", FINER)
@given(data=st.data())
def test_an_architecture_costs_the_same_in_every_form(merge, sharing, data):
    options = {"filters": 6, "reductions": 1, "widen": 2, "merge": merge}
    plain, finer = NasrlSpace(4, OPERATORS, **options), NasrlSpace(4, OPERATORS, **options, sharing=sharing)
    architecture = plain.unrank(data.draw(st.integers(0, plain.size - 1)))
    assert cost(finer.graph(architecture, **SIZES)) == cost(plain.graph(architecture, **SIZES))


@merges
@pytest.mark.parametrize("sharing", SHARING)
def test_the_stand_alone_networks_are_those_of_operators(merge, sharing):
    options = {"filters": 4, "reductions": 1, "merge": merge}
    plain, space = NasrlSpace(5, OPERATORS, **options), NasrlSpace(5, OPERATORS, **options, sharing=sharing)
    networks = Networks(space, *SIZES.values())
    rng = np.random.default_rng(0)
    for architecture in [space.sample(rng) for _ in range(8)]:
        expected = plain.graph(architecture, **SIZES)
        assert space.standalone.graph(architecture, **SIZES) == networks.standalone(architecture) == expected
        assert networks.graph(architecture) == space.graph(architecture, **SIZES)
        assert (networks.graph(architecture) == expected) == (sharing == "operator")
        assert networks.cost(architecture) == cost(expected)
    assert space.sharing == sharing  # the space itself is left as it is
    assert (space.standalone is space) == (sharing == "operator")
    assert (space.standalone.size, space.standalone.nvec) == (space.size, space.nvec)


def test_other_spaces_are_their_own_stand_alone_form():
    space = NasrlFactoredSpace(3)
    assert space.standalone is space


def test_the_ways_of_sharing_are_those_of_the_configuration():
    (field,) = [item for item in fields(NasrlConfig) if item.name == "sharing"]
    assert set(SHARING) == set(field.metadata["choices"])
    with pytest.raises(RlnasError, match=r"space\.sharing is 'layer', expected one of operator, projection, kernel"):
        NasrlSpace(3, sharing="layer")

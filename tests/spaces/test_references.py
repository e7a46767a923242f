"""Hand-made reference architectures, written out."""

import pytest

import rlnas
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace
from tests.stack import STACK

EIGHT = {
    "residual_chain": "A A A+1 A A+3 A A+5 A",
    "dense_chain": "A A A+1 A+1+2 A+1+2+3 A+1+2+3+4 A+1+2+3+4+5 A+1+2+3+4+5+6",
    "plain_chain": "A A A A A A A A",
}
THREE = {"residual_chain": "A A A+1", "plain_chain": "A A A"}  # all skips are the residual one


def expected(chains: dict[str, str], **operators: str) -> dict[str, str]:
    """The chains of each operator; `sep` is inserted into the names of all but the operator `chain`."""
    return {
        name.replace("chain", end): text.replace("A", operator)
        for end, operator in operators.items()
        for name, text in chains.items()
    }


def texts(space) -> dict[str, str]:
    return {name: space.text(architecture) for name, architecture in space.references().items()}


@pytest.mark.parametrize(("layers", "chains"), [(8, EIGHT), (3, THREE), (2, {"plain_chain": "A A"})])
def test_the_chains_of_nasrl_in_order(layers, chains):
    found = texts(NasrlSpace(layers))
    wanted = expected(chains, chain="conv3x3", sep_chain="sep_conv3x3")
    assert list(found.items()) == list(wanted.items())


@pytest.mark.parametrize(
    ("operators", "chosen"),
    [
        (("max_pool3x3", "conv5x5", "conv3x3"), {"chain": "conv3x3"}),
        (("conv1x1", "conv7x7", "conv5x5"), {"chain": "conv7x7"}),
        (("conv1x1", "identity"), {"chain": "conv1x1"}),
        (("avg_pool3x3", "dil_conv3x3", "sep_conv5x5"), {"sep_chain": "dil_conv3x3"}),
        (("sep_conv5x5", "conv3x3", "sep_conv3x3"), {"chain": "conv3x3", "sep_chain": "sep_conv3x3"}),
        (("avg_pool3x3", "max_pool3x3", "identity"), {}),
    ],
)
def test_the_operator_is_conv3x3_or_the_first_convolution_that_looks_around(operators, chosen):
    assert texts(NasrlSpace(3, operators)) == expected(THREE, **chosen)


def test_the_chains_of_the_factored_space():
    wanted = expected(EIGHT, chain="3x3x64", narrow_chain="3x3x24")
    assert list(texts(NasrlFactoredSpace(8)).items()) == list(wanted.items())
    assert texts(NasrlFactoredSpace(3, (1, 5, 7), (1,), (8,), (2, 1), (3, 2))) == expected(THREE, chain="5x1x8s1x2")


@pytest.mark.parametrize("name", ["nasrl", "nasrl_small", "nasrl_enas", "nasrl_factored"])
def test_references_are_members_of_their_space(name):
    space = rlnas.make_space(name)
    found = space.references()
    assert len(set(found.values())) == len(found) == 6
    for architecture in found.values():
        assert space.parse(space.text(architecture)) == architecture
        assert space.unrank(space.rank(architecture)) == architecture


def test_a_space_that_knows_none_has_none():
    assert STACK.references() == {}

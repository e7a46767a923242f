"""How many architectures there are, their numbers, and the decision process that builds them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from rlnas.errors import RlnasError
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace, Space

OPERATORS = ("conv1x1", "conv3x3", "conv5x5", "sep_conv3x3", "dil_conv3x3", "avg_pool3x3", "max_pool3x3", "identity")
SMALL = {
    "one layer": NasrlSpace(1, OPERATORS[:3]),
    "two layers": NasrlSpace(2, OPERATORS[:3]),
    "three layers": NasrlSpace(3, OPERATORS[:3]),
    "four layers": NasrlSpace(4, OPERATORS[:2]),
    "five layers, one operator": NasrlSpace(5, OPERATORS[:1]),
    "factored": NasrlFactoredSpace(3, (1, 3), (3,), (4, 8)),
    "factored with strides": NasrlFactoredSpace(2, (1, 3), (3,), (4,), (1, 2), (1, 2)),
}
small = pytest.mark.parametrize("space", SMALL.values(), ids=SMALL.keys())


def formula(operators: int, layers: int) -> int:
    return operators**layers * 2 ** ((layers - 1) * (layers - 2) // 2)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    layers = draw(st.integers(1, 20))
    if draw(st.booleans()):
        return NasrlSpace(layers, draw(st.permutations(OPERATORS))[: draw(st.integers(1, len(OPERATORS)))])
    sides = st.lists(st.sampled_from([1, 3, 5, 7, 9, 11]), min_size=1, max_size=4, unique=True)
    numbers = st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True)
    return NasrlFactoredSpace(layers, *(draw(values) for values in (sides, sides, numbers, numbers, numbers)))


@st.composite
def chosen(draw: st.DrawFn, count: int = 1) -> tuple:
    """A space and `count` of its architectures."""
    space = draw(spaces())
    return space, *(tuple(draw(st.integers(0, choices - 1)) for choices in space.choices) for _ in range(count))


def walks(space: Space, prefix: tuple = ()) -> list[tuple]:
    """Every sequence of actions that the masks allow."""
    if len(prefix) == space.steps:
        return [prefix]
    parts = np.split(space.legal(prefix), np.cumsum(space.nvec)[:-1])
    actions = itertools.product(*(np.flatnonzero(part).tolist() for part in parts))
    return [walk for action in actions for walk in walks(space, (*prefix, action))]


@pytest.mark.parametrize("layers", range(1, 21))
@pytest.mark.parametrize("operators", [1, 2, 6, 8])
def test_nasrl_has_the_surveys_count(layers, operators):
    assert NasrlSpace(layers, OPERATORS[:operators]).size == formula(operators, layers)


@pytest.mark.parametrize("layers", range(1, 21))
@pytest.mark.parametrize("strides", [(1,), (1, 2, 3)])
def test_factored_has_the_surveys_count(layers, strides):
    space = NasrlFactoredSpace(layers, (1, 3, 5, 7), (1, 3), (24, 36, 48), strides, strides)
    assert space.size == formula(4 * 2 * 3 * len(strides) ** 2, layers)
    assert space.operators_per_layer == 4 * 2 * 3 * len(strides) ** 2


@small
def test_numbers_enumerate_distinct_architectures(space):
    found = [space.unrank(code) for code in range(space.size)]
    assert len(set(found)) == space.size
    assert [space.rank(architecture) for architecture in found] == list(range(space.size))
    assert set(found) == set(itertools.product(*map(range, space.choices)))


@small
def test_legal_actions_enumerate_the_same_architectures(space):
    found = [space.architecture(walk) for walk in walks(space)]
    assert len(found) == space.size
    assert set(found) == {space.unrank(code) for code in range(space.size)}


@small
def test_texts_are_distinct(space):
    assert len({space.text(space.unrank(code)) for code in range(space.size)}) == space.size


@given(st.data())
def test_rank_inverts_unrank_in_large_spaces(data):
    space = data.draw(spaces())
    code = data.draw(st.integers(0, space.size - 1))
    assert space.rank(space.unrank(code)) == code


@given(chosen())
def test_unrank_inverts_rank_in_large_spaces(drawn):
    space, architecture = drawn
    assert 0 <= space.rank(architecture) < space.size
    assert space.unrank(space.rank(architecture)) == architecture


def test_the_first_and_last_numbers():
    space = NasrlSpace(20, OPERATORS)
    assert space.unrank(0) == (0,) * len(space.choices)
    assert space.rank([count - 1 for count in space.choices]) == space.size - 1


@given(chosen())
def test_text_round_trips(drawn):
    space, architecture = drawn
    assert space.parse(space.text(architecture)) == architecture
    assert "," not in space.text(architecture)
    assert space.code(architecture) == space.rank(architecture)


@given(chosen())
def test_json_round_trips(drawn):
    space, architecture = drawn
    assert space.from_json(space.to_json(architecture)) == architecture


@given(chosen())
def test_actions_round_trip_and_are_legal(drawn):
    space, architecture = drawn
    actions = space.actions(architecture)
    assert actions.shape == (space.steps, len(space.nvec))
    assert space.architecture(actions) == architecture
    starts = np.cumsum((0, *space.nvec[:-1]))
    for step, row in enumerate(actions):
        assert space.legal(actions[:step])[starts + row].all()


@given(chosen(), st.integers(0, 2**32))
def test_a_mutation_differs_in_one_decision(drawn, seed):
    space, architecture = drawn
    if space.size == 1:
        return
    mutated = space.check(space.mutate(architecture, np.random.default_rng(seed)))
    assert sum(a != b for a, b in zip(architecture, mutated, strict=True)) == 1


def test_mutation_reaches_every_neighbour():
    space, rng = SMALL["three layers"], np.random.default_rng(0)
    assert {space.mutate(space.unrank(5), rng) for _ in range(500)} == set(space.neighbours(space.unrank(5)))


def test_a_space_of_one_architecture_cannot_be_mutated():
    with pytest.raises(RlnasError, match="nasrl holds one architecture only"):
        NasrlSpace(2, ("conv3x3",)).mutate((0, 0), np.random.default_rng(0))


@given(chosen())
def test_neighbours_are_all_that_differ_in_one_decision(drawn):
    space, architecture = drawn
    found = list(space.neighbours(architecture))
    assert len(set(found)) == len(found) == sum(count - 1 for count in space.choices)
    for other in found:
        assert sum(a != b for a, b in zip(architecture, space.check(other), strict=True)) == 1


@given(chosen(2), st.integers(0, 2**32))
def test_a_crossover_takes_every_decision_from_a_parent(drawn, seed):
    space, a, b = drawn
    child = space.crossover(a, b, np.random.default_rng(seed))
    assert all(value in pair for value, pair in zip(child, zip(a, b, strict=True), strict=True))


def test_a_crossover_mixes_both_parents_evenly():
    space, rng = NasrlSpace(20, OPERATORS[:2]), np.random.default_rng(0)
    zeros, ones = (0,) * len(space.choices), (1,) * len(space.choices)
    share = np.mean([space.crossover(zeros, ones, rng) for _ in range(200)])
    assert abs(share - 0.5) < 0.01  # 38,200 draws: four standard errors


@pytest.mark.parametrize("name", ["three layers", "factored with strides"])
def test_samples_are_uniform(name):
    space, rng = SMALL[name], np.random.default_rng(0)
    counts = np.bincount([space.rank(space.sample(rng)) for _ in range(50 * space.size)], minlength=space.size)
    assert chisquare(counts).pvalue > 0.01


@given(spaces())
def test_masks_have_the_width_of_a_step_and_forbid_padding(space):
    factors, bits = space.factors, max(space.layers - 2, 0)
    assert space.nvec == (*factors, *(2,) * bits)
    for layer in range(space.layers):
        mask = space.legal([(0,) * len(space.nvec)] * layer)
        assert mask.shape == (sum(space.nvec),)
        assert mask[: sum(factors)].all()
        real = max(layer - 1, 0)
        assert mask[sum(factors) :].reshape(bits, 2).tolist() == [[True, True]] * real + [[True, False]] * (bits - real)


def test_masks_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        SMALL["three layers"].legal([])[0] = False


def test_the_choices_are_those_of_the_steps():
    assert NasrlSpace(4, OPERATORS[:3]).choices == (3, 3, 3, 2, 3, 2, 2)
    assert math.prod(NasrlFactoredSpace(1, (1, 3), (3,), (4, 8)).choices) == 4


def test_skips_and_operators_are_read_off_the_architecture():
    space = NasrlSpace(4, ("conv3x3", "max_pool3x3"))
    architecture = space.parse("max_pool3x3 conv3x3 conv3x3+1 max_pool3x3+2")
    assert architecture == (1, 0, 0, 1, 1, 0, 1)
    assert space.features(architecture) == {
        "layer1/operator": "max_pool3x3",
        "layer2/operator": "conv3x3",
        "layer3/operator": "conv3x3",
        "layer4/operator": "max_pool3x3",
        "layer3/skip1": 1.0,
        "layer4/skip1": 0.0,
        "layer4/skip2": 1.0,
        "skip_rate": pytest.approx(2 / 3),
    }
    assert space.feature_values("operator") == ("conv3x3", "max_pool3x3")
    assert space.feature_values("skip1") is None


def test_factors_with_a_choice_are_features_of_the_factored_space():
    space = NasrlFactoredSpace(2, (1, 3), (3,), (4, 8))
    features = space.features(space.parse("3x3x4 1x3x8"))
    assert features == {
        "layer1/kernel height": "3",
        "layer1/filters": "4",
        "layer2/kernel height": "1",
        "layer2/filters": "8",
    }
    assert space.feature_values("filters") == ("4", "8")
    assert space.feature_values("operator") is None


@given(chosen())
def test_features_have_one_name_each_and_the_values_that_are_promised(drawn):
    space, architecture = drawn
    for name, value in space.features(architecture).items():
        known = space.feature_values(name.partition("/")[2])
        assert isinstance(value, float) if known is None else value in known
    rate = space.features(architecture).get("skip_rate")
    assert (rate is None) == (space.layers < 3)
    assert rate is None or 0 <= rate <= 1

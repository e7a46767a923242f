"""The decision process of any space: drawing and editing where what is legal depends on earlier choices."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.errors import RlnasError
from rlnas.search.statistics import diversity, feature_mean
from rlnas.spaces import DartsSpace, IndependentSpace, NasrlFactoredSpace, NasrlSpace, Space
from rlnas.spaces.process import changed, legal_values, open_choices, repaired
from tests.stack import STACK, StackSpace, every_stack

EVERY = every_stack()
stacks = st.sampled_from(EVERY)
seeds = st.integers(0, 2**32)


def sound(architecture) -> None:
    """Legal, and the same through text, JSON and actions."""
    assert STACK.check(architecture) == architecture
    assert STACK.parse(STACK.text(architecture)) == architecture
    assert STACK.from_json(STACK.to_json(architecture)) == architecture
    assert STACK.architecture(STACK.actions(architecture)) == architecture


def test_the_stack_is_what_these_tests_need():
    assert len(EVERY) > 100
    assert {len(stack) for stack in EVERY} == {1, 2, 3, 4}
    assert STACK.size is None
    assert STACK.code(EVERY[0]) is None
    assert not isinstance(STACK, IndependentSpace)
    assert len({STACK.text(stack) for stack in EVERY}) == len(EVERY)
    for stack in EVERY:
        sound(stack)


# -- drawing and editing -----------------------------------------------------------------------------------


@given(seeds)
def test_samples_are_legal(seed):
    sound(STACK.sample(np.random.default_rng(seed)))


def test_every_stack_is_drawn_and_each_choice_is_uniform_among_the_legal_ones():
    rng = np.random.default_rng(0)
    drawn = [STACK.sample(rng) for _ in range(20_000)]
    assert set(drawn) == set(EVERY)
    first = Counter(stack[0] for stack in drawn)
    assert first.keys() == {(1, 0), (2, 0), (3, 0)}
    assert all(abs(count / 20_000 - 1 / 3) < 0.02 for count in first.values())
    # after a first block of width 3: ends or 1, 2, 3; with a mark or not
    after = Counter(stack[1] if len(stack) > 1 else None for stack in drawn if stack[0] == (3, 0))
    total = after.total()
    assert abs(after.pop(None) / total - 1 / 4) < 0.03
    assert after.keys() == {(width, mark) for width in (1, 2, 3) for mark in (0, 1)}
    assert all(abs(count / total - 1 / 8) < 0.02 for count in after.values())


@given(stacks, seeds)
def test_a_mutation_is_legal_and_another_one(stack, seed):
    mutated = STACK.mutate(stack, np.random.default_rng(seed))
    sound(mutated)
    assert mutated != stack


@given(stacks)
def test_neighbours_are_legal_different_and_the_same_every_time(stack):
    found = list(STACK.neighbours(stack))
    assert found == list(STACK.neighbours(stack))
    assert len({*found, stack}) == len(found) + 1
    assert found
    for other in found:
        sound(other)


def test_neighbours_by_hand():
    """Choices in order, each value moved on in a circle; what no longer fits becomes the lowest legal value."""
    stack = STACK.parse("2 3* 1")
    assert [STACK.text(other) for other in STACK.neighbours(stack)] == [
        "3 3*",  # 3 + 3 fill the room: the third block ends the stack
        "1 3 1",  # the mark of the second block is no longer legal
        "2",  # width 0 ends it
        "2 1* 1",
        "2 2* 1",
        "2 3 1",
        "2 3*",
        "2 3* 1*",
    ]


def test_mutations_reach_every_neighbour_and_change_one_choice_before_a_repair():
    """Of the first step that differs one choice is as it was, unless the stack ends there."""
    stack, rng = STACK.parse("2 3* 1"), np.random.default_rng(0)
    reached = {STACK.mutate(stack, rng) for _ in range(2000)}
    assert set(STACK.neighbours(stack)) <= reached
    rows = STACK.actions(stack)
    for other in reached:
        different = STACK.actions(other) != rows
        step = int(different.any(axis=1).argmax())
        assert different[step].sum() == 1 or len(other) == step


@given(stacks, stacks, seeds)
def test_a_crossover_is_legal_and_takes_what_it_can_from_the_parents(a, b, seed):
    child = STACK.crossover(a, b, np.random.default_rng(seed))
    sound(child)
    left, right, rows = STACK.actions(a), STACK.actions(b), STACK.actions(child)
    for step, options in enumerate(legal_values(STACK, rows[:step]) for step in range(STACK.steps)):
        if step >= len(child):  # marks of what has ended are not read
            break
        for component, legal in enumerate(options):
            parents = {left[step, component], right[step, component]}
            assert rows[step, component] in parents or not parents <= set(legal.tolist())


@given(stacks, seeds)
def test_a_crossover_with_oneself_changes_nothing(stack, seed):
    assert STACK.crossover(stack, stack, np.random.default_rng(seed)) == stack


def test_crossovers_mix_both_parents():
    a, b, rng = STACK.parse("2 1 1 1"), STACK.parse("3 2* 1*"), np.random.default_rng(0)
    first = Counter(STACK.crossover(a, b, rng)[0][0] for _ in range(2000))
    assert abs(first[2] / 2000 - 0.5) < 0.05


class OneStack(StackSpace):
    """A single architecture."""

    room = 1
    steps = 1


def test_a_space_of_one_architecture_cannot_be_mutated():
    one = OneStack()
    stack = one.sample(np.random.default_rng(0))
    with pytest.raises(RlnasError, match="stack holds one architecture only"):
        one.mutate(stack, np.random.default_rng(0))
    assert list(one.neighbours(stack)) == []


class Idle(StackSpace):
    """Every choice builds the same."""

    def architecture(self, actions):
        return ((1, 0),)


def test_changes_that_change_nothing_are_said():
    with pytest.raises(RlnasError, match="100 changes of one choice left 1 as it is"):
        Idle().mutate(((1, 0),), np.random.default_rng(0))


# -- the walk ----------------------------------------------------------------------------------------------


@given(stacks, seeds)
def test_a_repair_leaves_what_is_legal_as_it_is(stack, seed):
    rows = STACK.actions(stack)
    np.testing.assert_array_equal(repaired(STACK, rows, np.random.default_rng(seed)), rows)
    np.testing.assert_array_equal(repaired(STACK, rows, None), rows)


def test_without_a_generator_a_repair_takes_the_lowest_legal_value():
    wild = np.array([[0, 1], [3, 1], [3, 1], [3, 1]])
    assert repaired(STACK, wild, None).tolist() == [[1, 0], [3, 0], [0, 1], [0, 0]]


@given(stacks)
def test_open_choices_are_those_with_several_legal_values(stack):
    rows = STACK.actions(stack)
    for step, component, options in open_choices(STACK, rows):
        assert len(options) > 1
        assert rows[step, component] in options
        circle = {int(changed(rows, step, component, options, shift)[step, component]) for shift in range(len(options))}
        assert circle == set(options.tolist())
    assert open_choices(STACK, rows)[0][:2] == (0, 0)


# -- forms -------------------------------------------------------------------------------------------------


def test_every_place_with_a_choice_is_a_decision():
    assert STACK.decisions == tuple((step, component) for step in range(4) for component in range(2))


def test_the_json_form_has_no_number():
    record = json.loads(STACK.to_json(STACK.parse("2 1*")))
    assert record == {"space": "stack", "architecture": "2 1*", "code": None}
    with pytest.raises(RlnasError, match="is of space stack, the run's space is nasrl"):
        NasrlSpace(2).from_json(json.dumps(record))


def test_features_are_the_choices():
    assert STACK.features(STACK.parse("2 1*")) == {
        "step1/choice1": "2",
        "step1/choice2": "0",
        "step2/choice1": "1",
        "step2/choice2": "1",
        "step3/choice1": "0",
        "step3/choice2": "0",
        "step4/choice1": "0",
        "step4/choice2": "0",
    }


def test_it_builds_no_network_and_says_so():
    with pytest.raises(RlnasError, match="space=stack has no networks to train; use an evaluator"):
        STACK.graph(EVERY[0], image_channels=1, image_size=8, classes=3)


def test_diversity_counts_the_choices_that_were_legal():
    stack = STACK.parse("2 1*")
    assert diversity(STACK, [stack] * 4) == 0
    assert 0.5 < diversity(STACK, EVERY) <= 1
    # the first width has three legal values, the first mark one; after width 1 nothing may be marked
    only = [STACK.parse("1"), STACK.parse("1 1")]
    # the second width is one of two among four; the third has a choice after "1 1" alone, the fourth has none
    assert diversity(STACK, only) == pytest.approx((0 + np.log(2) / np.log(4) + 0) / 3)
    assert feature_mean(STACK, EVERY, "skip_rate") is None


# -- a product of decisions: the shortcuts do what the process does ----------------------------------------

PRODUCTS = {
    "nasrl": NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3")),
    "factored": NasrlFactoredSpace(3, (1, 3), (3,), (4, 8, 16), (1, 2)),
    "darts": DartsSpace(nodes=3),
}
products = pytest.mark.parametrize("space", PRODUCTS.values(), ids=PRODUCTS)


def any_of(space: IndependentSpace, count: int = 12) -> list:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


@products
def test_neighbours_of_a_product_are_the_process_s(space):
    for architecture in any_of(space):
        ours, theirs = list(space.neighbours(architecture)), list(Space.neighbours(space, architecture))
        assert set(ours) == set(theirs)
        assert len(ours) == len(theirs)


@pytest.mark.variants(1)
@products
def test_mutations_of_a_product_are_the_process_s(space):
    architecture, rng = any_of(space)[0], np.random.default_rng(1)
    neighbours = set(space.neighbours(architecture))
    for mutate in (type(space).mutate, Space.mutate):
        counts = Counter(mutate(space, architecture, rng) for _ in range(4000))
        assert set(counts) == neighbours
        for other, count in counts.items():
            (position,) = np.flatnonzero(np.not_equal(other, architecture))
            open_ = sum(choices > 1 for choices in space.choices)
            expected = 1 / open_ / (space.choices[position] - 1)
            assert abs(count / 4000 - expected) < 5 * np.sqrt(expected / 4000)


@pytest.mark.variants(1)
@products
def test_samples_and_crossovers_of_a_product_are_the_process_s(space):
    rng = np.random.default_rng(2)
    for sample in (type(space).sample, Space.sample):
        drawn = np.array([sample(space, rng) for _ in range(3000)])
        for column, choices in zip(drawn.T, space.choices, strict=True):
            shares = np.bincount(column, minlength=choices) / len(drawn)
            assert np.abs(shares - 1 / choices).max() < 0.06
    a, b = (0,) * len(space.choices), tuple(choices - 1 for choices in space.choices)
    for cross in (type(space).crossover, Space.crossover):
        children = np.array([cross(space, a, b, rng) for _ in range(2000)])
        both = np.array(space.choices) > 1
        assert np.isin(children, [0, *b]).all()
        assert np.abs((children != 0).mean(axis=0)[both] - 0.5).max() < 0.06


@products
def test_decisions_of_a_product_are_its_open_choices(space):
    for architecture in any_of(space, 3):
        found = [(step, component) for step, component, _ in open_choices(space, space.actions(architecture))]
        assert found == list(space.decisions)

"""Fair samples: exact balance by permutation, in independent and in dependent spaces."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnas.spaces import NasrlFactoredSpace, NasrlSpace
from rlnas.spaces.fair import fair_samples
from rlnas.spaces.process import legal_values
from tests.stack import STACK

SPACES = {
    "skip bits": NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3")),
    "factors": NasrlFactoredSpace(3, heights=(1, 3), widths=(1, 3, 5), filters=(4, 6, 8, 10)),
    "one choice": NasrlSpace(3, ("conv1x1",)),
}


def blocks(values: list[int], length: int) -> list[list[int]]:
    """The whole blocks of consecutive values."""
    return [values[start : start + length] for start in range(0, len(values) - length + 1, length)]


def unbalanced(space: NasrlSpace | NasrlFactoredSpace, drawn: list[tuple[int, ...]]) -> int:
    """In how many whole blocks of all decisions a value is missing."""
    return sum(
        len(set(block)) < choices
        for position, choices in enumerate(space.choices)
        for block in blocks([architecture[position] for architecture in drawn], choices)
    )


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 40))
def test_each_whole_block_has_each_choice_once(name, seed, count):
    space = SPACES[name]
    drawn = fair_samples(space, np.random.default_rng(seed), count)
    assert len(drawn) == count
    assert all(space.check(architecture) == architecture for architecture in drawn)
    assert unbalanced(space, drawn) == 0


def test_uniform_samples_are_not_balanced():
    """Contrast."""
    space, rng = SPACES["skip bits"], np.random.default_rng(0)
    assert unbalanced(space, [space.sample(rng) for _ in range(36)]) > 20


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 80))
def test_draws_of_a_dependent_space_are_legal(seed, count):
    drawn = fair_samples(STACK, np.random.default_rng(seed), count)
    assert all(STACK.check(architecture) == architecture for architecture in drawn)
    widths = [architecture[0][0] for architecture in drawn]
    assert all(sorted(block) == [1, 2, 3] for block in blocks(widths, 3))  # of the first block, always all legal


def test_a_dependent_space_is_balanced_at_every_place(monkeypatch):
    """Every choice that is made, the ones that no architecture shows included."""
    made = []
    monkeypatch.setattr(type(STACK), "architecture", lambda self, actions: made.append(np.array(actions)))
    fair_samples(STACK, np.random.default_rng(0), 400)
    taken: dict[tuple[int, int, tuple[int, ...]], list[int]] = {}
    for actions in made:
        for step in range(STACK.steps):
            for component, options in enumerate(legal_values(STACK, actions[:step])):
                key = (step, component, tuple(options.tolist()))
                taken.setdefault(key, []).append(int(actions[step, component]))
    assert len(taken) > 10
    for (_, _, options), values in taken.items():
        assert all(sorted(block) == list(options) for block in blocks(values, len(options)))


@pytest.mark.parametrize("place", [0, 1, 4])
def test_an_architecture_alone_is_uniform(place):
    """And its decisions are independent: each of nine pairs of operators in about a ninth of 900 calls."""
    space = NasrlSpace(2, ("conv1x1", "conv3x3", "max_pool3x3"))
    drawn = [fair_samples(space, np.random.default_rng(seed), place + 1)[place] for seed in range(900)]
    counts = Counter(drawn)
    assert len(counts) == space.size == 9
    assert all(70 <= count <= 130 for count in counts.values())  # 100, standard deviation 9.4


def test_the_same_generator_gives_the_same_samples():
    first, second = (fair_samples(SPACES["skip bits"], np.random.default_rng(3), 25) for _ in range(2))
    assert first == second
    assert first != fair_samples(SPACES["skip bits"], np.random.default_rng(4), 25)
    assert len(set(first)) > 20

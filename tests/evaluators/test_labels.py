"""The architectures that are measured: one of each stratum, none twice, the rest the best by the prediction."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnas.evaluators import labels
from rlnas.evaluators.labels import choose_labels, stratified
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4)
EVERY = [SPACE.unrank(code) for code in range(SPACE.size)]


def flops(architecture) -> float:
    return float(SPACE.rank(architecture))


@pytest.fixture(autouse=True)
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "POOL", 300)


@settings(max_examples=10)
@given(count=st.integers(1, 15), seed=st.integers(0, 1000))
def test_one_of_each_stratum(count: int, seed: int) -> None:
    exclude = set(EVERY[:5])
    chosen = stratified(SPACE, flops, count, np.random.default_rng(seed), exclude)
    drawn = np.random.default_rng(seed)
    pool = sorted({SPACE.sample(drawn) for _ in range(300)} - exclude, key=flops)
    edges = np.linspace(0, len(pool), count + 1).round().astype(int)
    assert len(set(chosen)) == len(chosen) == count
    assert all(low <= pool.index(one) < high for one, (low, high) in zip(chosen, pairwise(edges), strict=True))


def test_a_space_without_enough_gives_all_it_has() -> None:
    rest = stratified(SPACE, flops, 100, np.random.default_rng(0), set(EVERY[:50]))
    assert sorted(rest, key=flops) == EVERY[50:]
    assert stratified(SPACE, flops, 3, np.random.default_rng(0), set(EVERY)) == []


def test_best_and_random_labels_by_hand() -> None:
    predicted = {one: SPACE.rank(one) / 100 for one in EVERY[:20]}
    known = {EVERY[19], EVERY[17]}
    found = choose_labels(SPACE, flops, 6, 0.5, predicted, known, np.random.default_rng(0))
    assert [one for one, source in found.items() if source == "best"] == [EVERY[18], EVERY[16], EVERY[15]]
    assert list(found.values()) == ["best"] * 3 + ["random"] * 3
    assert not known & set(found)
    assert found == choose_labels(SPACE, flops, 6, 0.5, predicted, known, np.random.default_rng(0))


def test_random_ones_stand_in_for_best_ones_that_are_missing() -> None:
    found = choose_labels(SPACE, flops, 6, 0.0, {EVERY[3]: 1.0}, set(), np.random.default_rng(0))
    assert list(found.values()) == ["best"] + ["random"] * 5
    found = choose_labels(SPACE, flops, 6, 1.0, {EVERY[3]: 1.0}, set(), np.random.default_rng(0))
    assert set(found.values()) == {"random"}

"""LaNAS: splits, bounds and regions by hand, proposals inside their region, and what the splits are worth."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from benchmarks.bare import bare_search, regrets
from benchmarks.synthetic import synthetic_space
from rlnas.config.schema import ControllerConfig
from rlnas.controllers import lanas as module
from rlnas.controllers.lanas import Lanas
from rlnas.controllers.partition import SPLITTERS, Node, by_regression, count, depth, descend, grown
from rlnas.errors import RlnasError
from rlnas.spaces import NasrlSpace
from tests.controllers.test_strategies import BOWL, SPACE, generator, likeness, play
from tests.stack import STACK


def tree(inputs: Any, values: Any, height: int = 3, least: int = 2, splits: str = "regression") -> Node:
    return grown(inputs, values, height, least, SPLITTERS[splits], generator())


# -- splits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(30, 5), (4, 9)])
def test_the_hyperplane_is_where_ridge_regression_predicts_the_mean(n, d):
    rng = generator()
    inputs, values = rng.normal(size=(n, d)), rng.normal(size=n)
    direction, threshold = by_regression(inputs, values, rng)
    ridge = Ridge(alpha=1.0).fit(inputs, values)
    np.testing.assert_allclose(direction, ridge.coef_)
    points = rng.normal(size=(50, d))
    np.testing.assert_array_equal(points @ direction > threshold, ridge.predict(points) > values.mean())


def test_one_feature_that_decides_is_what_the_root_splits_by():
    rng = generator()
    inputs = rng.integers(0, 2, size=(40, 6)).astype(float)
    node = tree(inputs, inputs[:, 2] + 0.01 * rng.normal(size=40), height=1)
    np.testing.assert_array_equal(node.sides(inputs), inputs[:, 2] == 1)


@settings(max_examples=25)
@given(splits=st.sampled_from(["regression", "random"]), seed=st.integers(0, 99), height=st.integers(1, 5))
def test_leaves_divide_the_architectures_and_none_is_smaller_than_allowed(splits, seed, height):
    rng = generator(seed)
    inputs, values = rng.normal(size=(50, 4)), rng.normal(size=50)
    root = grown(inputs, values, height, 3, SPLITTERS[splits], rng)
    count(root, inputs, values)
    leaves, levels = [], [root]
    for level in range(height + 1):
        children = [child for node in levels if node.children for child in node.children]
        leaves += [node for node in levels if not node.children]
        for node in levels:
            if node.children:
                better, worse = node.children
                assert better.mean >= worse.mean
                assert better.visits + worse.visits == node.visits
        levels = children
        assert level < height or not levels
    assert sum(leaf.visits for leaf in leaves) == 50
    assert min(leaf.visits for leaf in leaves) >= 3
    assert sum(leaf.total for leaf in leaves) == pytest.approx(values.sum())


def test_two_clusters_are_told_apart_whatever_their_values():
    rng = generator()
    inputs = np.concatenate([rng.normal(size=(15, 2)) - 5, rng.normal(size=(15, 2)) + 5])
    node = tree(inputs, np.concatenate([np.ones(15), np.zeros(15)]) + 0.1 * rng.normal(size=30), 1, 2, "clusters")
    assert node.sides(inputs).tolist() == [True] * 15 + [False] * 15  # the better one first


def test_equal_values_are_not_split():
    assert tree(generator().normal(size=(30, 3)), np.ones(30)).children is None


# -- bounds ------------------------------------------------------------------------------------------------


def halves(values_right: list[float], values_left: list[float]) -> Node:
    """One feature, cut at 0; right is the first child."""
    root = Node((np.array([1.0]), 0.0), (Node(), Node()))
    inputs = np.array([[1.0]] * len(values_right) + [[-1.0]] * len(values_left))
    count(root, inputs, np.array(values_right + values_left))
    return root


def test_the_bound_is_the_mean_and_what_few_visits_add():
    """Of 10 visits 8 and 2 are in the children: 1 + 2c sqrt(2 ln 11 / 8) against 2c sqrt(2 ln 11 / 2)."""
    turn = 1 / (2 * (math.sqrt(math.log(11)) - math.sqrt(math.log(11) / 4)))  # both equal
    for exploration, expected in ((0.0, 0), (0.99 * turn, 0), (1.01 * turn, 1)):
        ((_, side),) = descend(halves([1.0] * 8, [0.0] * 2), exploration)
        assert side == expected


def test_a_region_without_scores_comes_first():
    ((_, side),) = descend(halves([1.0] * 4, []), 0.0)
    assert side == 1


def test_the_proposals_of_a_batch_spread():
    root = halves([1.0] * 8, [0.0] * 2)
    sides = [descend(root, 0.6)[0][1] for _ in range(20)]
    assert {0, 1} == set(sides)
    assert root.visits == 30
    assert (root.children[0].mean, root.children[1].mean) == (1.0, 0.0)


def test_depth_counts_the_splits_that_are_followed_until_the_first_that_is_not():
    inner = Node((np.array([0.0, 1.0]), 0.0), (Node(), Node()))
    root = Node((np.array([1.0, 0.0]), 0.0), (inner, Node()))
    path = [(root, 0), (inner, 1)]
    assert depth(path, np.array([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])).tolist() == [2, 1, 0]


# -- proposals ---------------------------------------------------------------------------------------------


@settings(max_examples=4)
@given(seed=st.integers(0, 99), splits=st.sampled_from(["regression", "random"]))
def test_no_architecture_is_proposed_twice_while_there_are_others(seed, splits):
    search = Lanas(SPACE, generator(seed), initial=10, splits=splits)
    proposed = [one for batch in play(search, 10, count=14) for one in batch]
    assert len(set(proposed)) == len(proposed) == 140


def test_a_proposal_lies_in_the_region_that_the_bounds_chose(monkeypatch):
    search = Lanas(SPACE, generator(), initial=30, height=2)
    play(search, 30)
    paths = []
    real = module.descend
    monkeypatch.setattr(module, "descend", lambda *given: paths.append(real(*given)) or paths[-1])
    asked = search.ask(5)
    drawn = module._Draw(search)
    assert len(paths) == 5
    for path, one in zip(paths, asked, strict=True):
        assert depth(path, drawn._encoded([one])).tolist() == [len(path)]


def test_in_a_space_that_is_used_up_known_ones_are_proposed_again():
    space = NasrlSpace(2, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)  # nine architectures
    search = Lanas(space, generator(), initial=3, least=1)
    batches = play(search, 4, count=5, value=lambda one: float(sum(one)))
    assert len({one for batch in batches for one in batch}) == space.size == 9
    assert [len(batch) for batch in batches] == [5] * 4


def test_where_legality_depends_on_earlier_choices_proposals_are_legal():
    batches = play(Lanas(STACK, generator(), initial=10, tries=20), 10, count=4, value=lambda stack: float(len(stack)))
    assert all(STACK.check(one) == one for batch in batches for one in batch)


def test_the_tries_of_a_proposal_are_bounded(monkeypatch):
    """Here no region holds anything that is drawn."""
    search = Lanas(SPACE, generator(), initial=30, tries=40)
    play(search, 30)
    calls = []
    sample, mutate = SPACE.sample, SPACE.mutate
    monkeypatch.setattr(SPACE, "sample", lambda rng: calls.append(1) or sample(rng))
    monkeypatch.setattr(SPACE, "mutate", lambda one, rng: calls.append(2) or mutate(one, rng))
    monkeypatch.setattr(module, "depth", lambda path, inputs: np.zeros(len(inputs), dtype=np.int64))
    assert len(search.ask(3)) == 3
    assert calls.count(1) == 3 * 40
    assert calls.count(2) == 0  # nothing scored lies in the region


def test_mutations_that_leave_the_region_are_not_taken():
    search = Lanas(SPACE, generator(), initial=30, height=2)
    play(search, 30)
    draw = module._Draw(search)
    path = descend(draw.root, 0.0)
    for _ in range(20):
        found = draw._mutated(path, set(search.known))
        assert depth(path, draw._encoded([found])).tolist() == [len(path)]
        assert found not in search.known


def test_regions_stay_between_fits_and_follow_the_scores():
    search = Lanas(SPACE, generator(), initial=20, refit=10)
    fitted = []
    for _ in range(50):
        play(search, 1)
        fitted.append(search.fitted)
    assert sorted(set(fitted)) == [0, 20, 30, 40]


def test_it_finds_the_best_and_random_splits_do_not():
    def found(splits: str, seed: int) -> float:
        search = Lanas(SPACE, generator(seed), initial=15, splits=splits)
        batches = play(search, 12, count=5)
        return max(likeness(one) for batch in batches for one in batch)

    learned, random = ([found(splits, seed) for seed in range(6)] for splits in ("regression", "random"))
    assert np.mean(learned) > np.mean(random) + 0.3
    assert learned.count(likeness(BOWL)) >= 4


@pytest.mark.variants(1)
@pytest.mark.parametrize("table", ["wide", "unequal", "trap"])
def test_on_a_table_learned_splits_are_worth_more_than_random_ones(table):
    space = synthetic_space(table)

    def regret(algorithm: str, **params: Any) -> float:
        config = ControllerConfig(name=algorithm, algorithm=algorithm, policy="none", episodes=10, params=params)
        runs = [bare_search(space, config, architectures=150, seed=seed) for seed in range(3)]
        return float(np.mean([regrets(space, *run, [150]) for run in runs]))

    learned = regret("lanas", refit=20)
    assert learned < 0.6 * regret("lanas", refit=20, splits="random")
    assert learned < 0.6 * regret("random")


def test_unknown_splits_are_refused():
    with pytest.raises(RlnasError, match="splits is 'best', expected one of regression, clusters, random"):
        Lanas(SPACE, generator(), splits="best")


@pytest.mark.parametrize("splits", SPLITTERS)
def test_a_restored_search_proposes_the_same(splits, through_disk):
    search = Lanas(SPACE, generator(), initial=12, refit=7, splits=splits)
    play(search, 8, count=3)
    other = Lanas(SPACE, generator(9), initial=12, refit=7, splits=splits)
    other.restore(through_disk(search.state()))
    other.rng.bit_generator.state = search.rng.bit_generator.state
    assert play(search, 6, count=3) == play(other, 6, count=3)


def test_a_failed_training_counts_as_the_worst_and_the_splits_go_on():
    def value(architecture):
        return -math.inf if architecture[0] == 0 else likeness(architecture)

    search = Lanas(SPACE, generator(), initial=20)
    asked = [one for batch in play(search, 30, count=5, value=value) for one in batch]
    first = np.mean([one[0] == 0 for one in asked[:20]])
    assert np.mean([one[0] == 0 for one in asked[-50:]]) < first / 2  # what fails is avoided

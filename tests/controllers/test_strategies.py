"""Evolution, local search and the genetic algorithm, step by step: what they propose after what they were told."""

import sys
from collections import Counter
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnas.controllers import STRATEGIES, load_algorithm, strategy
from rlnas.controllers.evolution import Evolution
from rlnas.controllers.genetic import Genetic
from rlnas.controllers.local_search import LocalSearch
from rlnas.envs.scorer import Outcome
from rlnas.errors import RlnasError
from rlnas.evaluators import Score
from rlnas.objective import Means
from rlnas.spaces import NasrlSpace
from tests.turns import controller_of, run

SPACE = NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)  # 648 architectures
BOWL = SPACE.unrank(400)  # the best one of `likeness`


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def distance(a, b) -> int:
    return int(np.sum(np.not_equal(a, b)))


def likeness(architecture) -> float:
    return -float(distance(architecture, BOWL))


def outcomes(architectures, values) -> list[Outcome]:
    """The reward differs from the objective: strategies must not read it."""
    return [Outcome(a, Score({"accuracy": v}), v, -v) for a, v in zip(architectures, values, strict=True)]


def play(strategy, batches: int, count: int = 1, value=likeness) -> list[list[Any]]:
    """What was asked for in so many batches, each told with its values."""
    played = []
    for _ in range(batches):
        asked = strategy.ask(count)
        strategy.tell(outcomes(asked, [value(architecture) for architecture in asked]))
        played.append(asked)
    return played


# -- what all have in common -------------------------------------------------------------------------------


SMALL: dict[str, dict[str, Any]] = {
    "evolution": {"population": 6, "sample": 2},
    "genetic": {"population": 6},
    "successive_halving": {"eta": 2},
    "surrogate": {"initial": 5, "candidates": 20},
    "pnas": {"initial": 5, "candidates": 20},
}


@settings(max_examples=40)
@given(
    name=st.sampled_from(sorted(STRATEGIES)),
    batches=st.lists(st.integers(1, 9), max_size=12),
    seed=st.integers(0, 99),
)
def test_every_batch_is_full_and_legal_and_sampling_changes_nothing(name, batches, seed):
    strategy = load_algorithm(name)(SPACE, generator(seed), **SMALL.get(name, {}))
    for count in batches:
        before = strategy.rng.bit_generator.state
        drawn, state = strategy.sample(count), strategy.state()
        assert [SPACE.check(architecture) for architecture in drawn] == drawn
        assert len(drawn) == count
        strategy.rng.bit_generator.state = before
        strategy.sample(count + 1)
        assert strategy.state() == state
        asked = strategy.ask(count)
        assert [SPACE.check(architecture) for architecture in asked] == asked
        assert len(asked) == count or (hasattr(strategy, "share") and 0 < len(asked) < count)  # a rung may end earlier
        strategy.tell(outcomes(asked, [likeness(architecture) for architecture in asked]))


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_asked_for_is_what_is_scored_and_what_it_is_worth_comes_back(scorer, name):
    controller = controller_of(scorer(SPACE, BOWL), algorithm=name, episodes=3)
    told: list[Outcome] = []
    tell = controller.strategy.tell

    def listen(found) -> None:
        told.extend(found)
        tell(found)

    controller.strategy.tell = listen
    seen = run(controller, 30)
    assert [outcome.architecture for outcome in told] == seen
    assert 30 <= len(told) < 33
    assert all(outcome.objective == np.mean(np.equal(outcome.architecture, BOWL)) for outcome in told)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("unit", ["layer", "decision"])
def test_a_strategy_has_no_environment_and_refuses_a_unit_of_its_steps(scorer, name, unit):
    with pytest.raises(RlnasError, match=rf"controller.step_unit={unit}, but controller {name} .*leave it out"):
        controller_of(scorer(SPACE), algorithm=name, step_unit=unit)
    assert not hasattr(controller_of(scorer(SPACE), algorithm=name), "env")


@pytest.mark.variants(3)
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "random"])
def test_rewards_scaled_for_learners_are_not_what_is_compared(scorer, name, monkeypatch):
    """Here the reward is nothing at all."""

    def search() -> list[Any]:
        return run(controller_of(scorer(SPACE, BOWL), algorithm=name, episodes=2), 200)

    rewarded = search()
    monkeypatch.setattr("rlnas.objective.Scale.batch", lambda self, architectures, values: [0.0] * len(values))
    assert search() == rewarded
    assert BOWL in rewarded
    (outcome,) = scorer(SPACE, BOWL).score([BOWL])
    assert (outcome.objective, outcome.reward) == (1.0, 0.0)


# -- told in any order -------------------------------------------------------------------------------------


def searches(name: str, seed: int, shuffle, batches: int = 12, count: int = 7) -> tuple[list[Any], dict[str, Any]]:
    """What is asked for where outcomes come back in an order of `shuffle(outcomes)`, and the state at the end."""
    found = load_algorithm(name)(SPACE, generator(seed), **SMALL.get(name, {}))
    played = []
    for batch in range(batches):
        asked = found.ask(count)
        # the value differs from batch to batch, and is the same for equal architectures of one batch
        told = outcomes(asked, [likeness(architecture) + 0.01 * (batch % 3) for architecture in asked])
        found.tell(shuffle(told))
        played.append(asked)
    return played, found.state()


@settings(max_examples=12)
@given(name=st.sampled_from(sorted(STRATEGIES)), seed=st.integers(0, 99), data=st.data())
def test_the_order_in_which_outcomes_come_back_does_not_matter(name, seed, data):
    shuffled = searches(name, seed, lambda told: data.draw(st.permutations(told)))
    assert shuffled == searches(name, seed, list)


@pytest.mark.parametrize("name", [name for name in sorted(STRATEGIES) if name != "random"])
def test_in_the_order_of_arrival_it_would_matter(name, monkeypatch):
    """The contrast to the test above."""
    modules = [cls.__module__ for cls in load_algorithm(name).__mro__]
    module = next(one for one in modules if hasattr(sys.modules[one], "in_order"))
    monkeypatch.setattr(f"{module}.in_order", lambda asked, told: list(told))
    assert any(searches(name, seed, lambda told: told[::-1]) != searches(name, seed, list) for seed in range(5))


def test_equal_architectures_keep_their_order_of_arrival():
    a, b = SPACE.unrank(0), SPACE.unrank(1)
    told = outcomes([b, a, a], [1.0, 2.0, 3.0])
    assert [o.objective for o in strategy.in_order([a, b, a], told)] == [2.0, 1.0, 3.0]


@pytest.mark.parametrize(
    "told", [[], [(0, 1.0)], [(0, 1.0), (0, 2.0)], [(0, 1.0), (2, 2.0)], [(0, 1.0), (1, 2.0), (2, 3.0)]]
)
def test_a_strategy_is_told_of_exactly_what_it_asked_for(told):
    asked = [SPACE.unrank(0), SPACE.unrank(1)]
    given_back = outcomes([SPACE.unrank(code) for code, _ in told], [value for _, value in told])
    with pytest.raises(AssertionError, match="asked for"):
        strategy.in_order(asked, given_back)


# -- evolution ---------------------------------------------------------------------------------------------


def test_until_the_population_is_full_architectures_are_random():
    evolution = Evolution(SPACE, generator(), population=10, sample=10)
    alone = generator()
    assert play(evolution, 10) == [[SPACE.sample(alone)] for _ in range(10)]
    parent = max((member for member, _ in evolution.population), key=likeness)
    assert [distance(child, parent) for child in evolution.ask(20)] == [1] * 20  # the sample is the population


def test_the_oldest_dies_even_if_it_is_the_best():
    evolution = Evolution(SPACE, generator(), population=3, sample=1)
    values = iter([9.0, 1.0, 2.0, 3.0, 4.0])
    proposed = [one for batch in play(evolution, 4, value=lambda _: next(values)) for one in batch]
    assert list(evolution.population) == list(zip(proposed[1:], [1.0, 2.0, 3.0], strict=True))


def test_a_batch_larger_than_the_population_leaves_its_last_ones():
    evolution = Evolution(SPACE, generator(), population=3, sample=1)
    (batch,) = play(evolution, 1, count=5)
    assert [member for member, _ in evolution.population] == batch[2:]


@pytest.mark.parametrize("sample", [1, 3, 6])
def test_parents_win_their_tournaments_as_often_as_drawing_without_replacement_says(sample):
    """P(the r-th best is the parent) = C(population - r, sample - 1) / C(population, sample), r from 1."""
    space = NasrlSpace(6, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
    evolution = Evolution(space, generator(3), population=6, sample=sample)
    play(evolution, 6, value=lambda _: float(len(evolution.population)))  # the youngest is the best
    members = [member for member, _ in evolution.population][::-1]
    assert min(distance(a, b) for a in members for b in members if a != b) > 2  # a child tells its parent
    children = evolution.ask(4000)
    wins = Counter(next(r for r, member in enumerate(members) if distance(child, member) == 1) for child in children)
    expected = [comb(5 - r, sample - 1) / comb(6, sample) for r in range(6)]
    np.testing.assert_allclose([wins[r] / 4000 for r in range(6)], expected, atol=0.03)


def test_of_equal_rivals_either_may_win():
    evolution = Evolution(SPACE, generator(), population=4, sample=4)
    play(evolution, 4, value=lambda _: 1.0)
    parents = {m for child in evolution.ask(60) for m, _ in evolution.population if distance(child, m) == 1}
    assert len(parents) > 1


# -- local search ------------------------------------------------------------------------------------------


def test_it_moves_to_the_first_better_neighbour_and_visits_none_twice():
    search = LocalSearch(SPACE, generator())
    (start,) = play(search, 1)[0]
    assert search.current == start
    visited = [start]
    for _ in range(200):
        current, value = search.current, search.value
        (proposed,) = search.ask(1)
        assert distance(proposed, current) == 1
        assert proposed not in visited
        search.tell(outcomes([proposed], [likeness(proposed)]))
        visited.append(proposed)
        if likeness(proposed) > value:
            assert (search.current, search.value) == (proposed, likeness(proposed))
        else:
            assert (search.current, search.value) == (current, value)
        if not search.ahead:
            break
    assert search.current == BOWL  # one hill: the climb ends on it
    assert set(SPACE.neighbours(BOWL)) <= set(visited)
    (again,) = play(search, 1)[0]
    assert search.current == again  # a new start, whatever its value
    assert search.value < 0
    assert search.worse == {again}


def test_equal_is_not_better():
    search = LocalSearch(SPACE, generator())
    count = len(list(SPACE.neighbours(BOWL)))
    starts = [batch[0] for batch in play(search, 3 * (count + 1), value=lambda _: 0.5)][:: count + 1]
    assert search.current == starts[-1]
    assert len(set(starts)) == 3


def test_in_a_batch_the_first_better_one_in_order_is_taken():
    search = LocalSearch(SPACE, generator())
    (start,) = play(search, 1, value=lambda _: 1.0)[0]
    batch = search.ask(5)
    search.tell(outcomes(batch, [0.0, 1.0, 2.0, 3.0, 1.5]))
    assert (search.current, search.value) == (batch[2], 2.0)
    assert search.worse == {start, batch[0], batch[1], batch[2], batch[4]}  # the fourth was better: it may come again
    assert not set(search.ahead) & search.worse
    assert set(search.ahead) == set(SPACE.neighbours(batch[2])) - search.worse


def test_random_ones_fill_a_batch_and_the_best_of_them_is_the_next_start():
    search = LocalSearch(SPACE, generator())
    first = search.ask(4)
    search.tell(outcomes(first, [1.0, 3.0, 3.0, 2.0]))
    assert search.current == first[1]
    count = len(search.ahead)
    batch = search.ask(count + 3)
    assert set(batch[:count]) == set(SPACE.neighbours(first[1]))
    search.tell(outcomes(batch, [0.0] * count + [1.0, 2.0, 1.0]))  # below the optimum that is left
    assert (search.current, search.value) == (batch[count + 1], 2.0)
    batch = search.ask(count + 3)
    search.tell(outcomes(batch, [0.0] * (count - 1) + [2.5, 9.0, 9.0, 9.0]))  # a better neighbour comes first
    assert search.current == batch[count - 1]


def test_samples_are_neighbours_of_where_it_stands():
    search = LocalSearch(SPACE, generator())
    assert len(set(search.sample(30))) > 20
    play(search, 10)
    drawn = search.sample(200)
    assert {distance(architecture, search.current) for architecture in drawn} == {1}
    assert set(drawn) == set(SPACE.neighbours(search.current))


# -- genetic -----------------------------------------------------------------------------------------------

STILL = {"crossover_rate": 0.0, "mutation_rate": 0.0}


def scored(values: dict[Any, float], **rates: Any) -> Genetic:
    """A genetic search whose last generation is this."""
    genetic = Genetic(SPACE, generator(), **{"population": len(values), **rates})
    for architecture, value in values.items():
        genetic.fitness.add(architecture, value)
    genetic.parents = list(values)
    return genetic


def test_one_a_batch_a_generation_is_a_population():
    genetic = Genetic(SPACE, generator(), population=8)
    random = play(genetic, 8)
    assert genetic.parents == [batch[0] for batch in random]
    for _ in range(100):
        play(genetic, 1)
        assert len(genetic.members) in (0, 8)
        assert len(genetic.parents) == 8


def test_a_full_batch_takes_more_children_into_the_generation():
    genetic = Genetic(SPACE, generator(), population=8)
    play(genetic, 1, count=8)
    for _ in range(20):
        (batch,) = play(genetic, 1, count=8)
        assert set(batch) <= set(genetic.parents)
        assert 8 <= len(genetic.parents) < 16
    assert len(genetic.parents) > 8  # the unchanged ones came on top


def test_russian_roulette_is_proportional_to_fitness_above_the_lowest():
    values = {SPACE.unrank(0): 0.5, SPACE.unrank(1): 0.6, SPACE.unrank(2): 0.9}
    counts = Counter(scored(values)._selected(5000))
    np.testing.assert_allclose([counts[one] / 5000 for one in values], [0, 0.2, 0.8], atol=0.02)


def test_among_equals_the_roulette_is_uniform():
    values = {SPACE.unrank(code): 0.5 for code in range(4)}
    counts = Counter(scored(values)._selected(4000))
    np.testing.assert_allclose([counts[one] / 4000 for one in values], [0.25] * 4, atol=0.03)


def test_crossover_swaps_whole_steps_between_two():
    genetic = scored(dict.fromkeys([SPACE.unrank(0), SPACE.unrank(SPACE.size - 1)], 0.5), step_rate=0.3)
    a, b = genetic.parents
    swapped = []
    for _ in range(2000):
        left, right = (SPACE.actions(child) for child in genetic._crossed(a, b))
        from_b = [(left[step] == SPACE.actions(b)[step]).all() for step in range(SPACE.steps)]
        for step, swap in enumerate(from_b):
            np.testing.assert_array_equal(left[step], SPACE.actions(b if swap else a)[step])
            np.testing.assert_array_equal(right[step], SPACE.actions(a if swap else b)[step])
        swapped.append(from_b)
    np.testing.assert_allclose(np.mean(swapped, axis=0), [0.3] * SPACE.steps, atol=0.04)


def test_decisions_mutate_at_their_rate_and_always_to_another_value():
    genetic = scored({BOWL: 0.5}, decision_rate=0.25)
    children = np.array([genetic._mutated(BOWL) for _ in range(4000)])
    np.testing.assert_allclose((children != BOWL).mean(axis=0), [0.25] * len(BOWL), atol=0.03)
    for column, value, choices in zip(children.T, BOWL, SPACE.choices, strict=True):
        shares = np.bincount(column, minlength=choices) / len(column)
        np.testing.assert_allclose(np.delete(shares, value), 0.25 / (choices - 1), atol=0.03)
    assert (np.array(scored({BOWL: 0.5}, decision_rate=1.0)._mutated(BOWL)) != BOWL).all()


@pytest.mark.parametrize(("crossover", "expected"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_only_individuals_that_were_not_crossed_mutate(crossover, expected):
    """step_rate 0: the crossed ones come back as they were; the others change everywhere."""
    rates = {"crossover_rate": crossover, "step_rate": 0.0, "mutation_rate": 1.0, "decision_rate": 1.0}
    genetic = scored({BOWL: 0.5}, population=1000, **rates)
    _, new = genetic._breed()
    assert abs(len(new) / 1000 - expected) < 0.05


def test_an_odd_one_out_is_not_crossed():
    genetic = scored({BOWL: 0.5}, population=3, crossover_rate=1.0, step_rate=0.0, mutation_rate=1.0, decision_rate=1.0)
    kept, new = genetic._breed()
    assert (kept, len(new)) == ([BOWL, BOWL], 1)


def test_unchanged_individuals_cost_no_query():
    genetic = Genetic(SPACE, generator(), population=6, **STILL)
    play(genetic, 6)
    for _ in range(30):  # nobody changes by itself, so one is changed
        before = genetic.parents
        (child,) = play(genetic, 1)[0]
        assert len(genetic.parents) == 6
        assert genetic.parents.count(child) >= 1
        assert set(genetic.parents) - {child} <= set(before)
        assert min(distance(child, parent) for parent in before) <= 1


def test_with_reevaluation_everybody_is_scored_again_and_the_mean_counts():
    genetic = Genetic(SPACE, generator(), population=4, reevaluate=True, **STILL)
    values = iter([1.0, 2.0, 3.0, 4.0, *[5.0] * 4])
    first, second = play(genetic, 2, count=4, value=lambda _: next(values))
    assert set(second) <= set(first)
    assert genetic.parents == second
    for index, one in enumerate(first):
        times = second.count(one)
        assert genetic.fitness.mean(one) == pytest.approx((index + 1 + 5 * times) / (1 + times))


def test_samples_are_mutations_of_the_population():
    genetic = scored({BOWL: 0.5}, decision_rate=0.2)
    drawn = np.array(genetic.sample(2000))
    assert abs((drawn != BOWL).mean() - 0.2) < 0.02
    assert len(set(Genetic(SPACE, generator()).sample(30))) > 20  # random before the first generation


# -- means -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(-4, 4)), max_size=40), st.integers(1, 10))
def test_the_best_are_those_of_the_highest_means_older_ones_first(observed, count):
    means = Means()
    for code, value in observed:
        means.add(SPACE.unrank(code), float(value))
    values: dict[Any, list[int]] = {}
    for code, value in observed:
        values.setdefault(SPACE.unrank(code), []).append(value)
    expected = sorted(values, key=lambda key: -np.mean(values[key]))[:count]  # stable: the older one first
    found = means.best(count)
    assert [means.mean(key) for key in found] == pytest.approx([float(np.mean(values[key])) for key in expected])
    assert len(set(found)) == len(found)
    restored = Means()
    restored.restore(means.state(SPACE), SPACE)
    assert restored.best(count) == found


def test_of_equal_means_the_older_one_comes_first():
    means = Means()
    for code in (3, 1, 2):
        means.add((code,), 0.5)
    assert means.best(2) == [(3,), (1,)]


def test_a_lucky_value_does_not_stay():
    means = Means()
    means.add((0,), 0.9)
    means.add((1,), 0.8)
    means.add((0,), 0.3)
    assert means.best(1) == [(1,)]
    means.add((0,), 0.9)  # 0.7 on average: its low value is remembered
    assert means.best(1) == [(1,)]

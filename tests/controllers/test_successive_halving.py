"""Brackets by hand, equal costs of the rungs, and a lead over random search at equal effort."""

import numpy as np
import pytest

from rlnas.config.schema import ObjectiveConfig
from rlnas.controllers.successive_halving import SuccessiveHalving
from rlnas.envs.scorer import Outcome, Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator, Score
from rlnas.objective import Objective
from rlnas.spaces import NasrlSpace
from tests.turns import controller_of

SPACE = NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)  # 648 architectures


def played(strategy: SuccessiveHalving, value, batches: int, count: int) -> list[tuple[list[int], float]]:
    """Ranks and share of each batch; the objective of an architecture is value(rank, share)."""
    found = []
    for _ in range(batches):
        asked, share = strategy.ask(count), strategy.share
        told = [Outcome(one, Score({"accuracy": 0.0}), value(SPACE.rank(one), share), 0.0) for one in asked]
        strategy.tell(told[::-1])
        found.append(([SPACE.rank(one) for one in asked], share))
    return found


def test_a_bracket_by_hand():
    strategy = SuccessiveHalving(SPACE, np.random.default_rng(0), eta=2, rungs=3, keep=1)
    # after little training the odd ones look better by 1000
    first, second, third, fourth = played(strategy, lambda rank, share: rank + 1000 * (share < 0.5) * (rank % 2), 4, 10)
    assert [share for _, share in (first, second, third)] == [0.25, 0.5, 1.0]
    assert len(set(first[0])) == 4
    assert second[0] == sorted(first[0], key=lambda rank: -(rank + 1000 * (rank % 2)))[:2]
    assert third[0] == [max(second[0])]
    assert (len(fourth[0]), fourth[1]) == (4, 0.25)  # a new bracket
    assert set(fourth[0]) != set(first[0])


@pytest.mark.parametrize(("eta", "rungs", "keep"), [(2, 4, 1), (3, 2, 2), (4, 1, 3)])
def test_every_rung_costs_as_much_whatever_the_batches(eta, rungs, keep):
    strategy = SuccessiveHalving(SPACE, np.random.default_rng(1), eta=eta, rungs=rungs, keep=keep)
    alone = SuccessiveHalving(SPACE, np.random.default_rng(1), eta=eta, rungs=rungs, keep=keep)
    total = sum(keep * eta**rung for rung in range(rungs))
    several = played(strategy, lambda rank, share: float(rank), rungs, 1000)
    assert [len(ranks) * share for ranks, share in several] == pytest.approx([keep] * rungs)
    one_by_one = played(alone, lambda rank, share: float(rank), total, 1)
    assert [rank for ranks, _ in several for rank in ranks] == [ranks[0] for ranks, _ in one_by_one]
    assert alone.state() == strategy.state()


def test_a_space_smaller_than_a_bracket_is_tried_whole():
    tiny = NasrlSpace(2, ("conv1x1", "conv3x3"))  # 4 architectures
    strategy = SuccessiveHalving(tiny, np.random.default_rng(0))
    assert len(set(strategy.ask(100))) == 4


def test_it_goes_on_exactly_from_a_state_within_a_rung():
    def value(rank, share):
        return float(rank % 97)

    through = SuccessiveHalving(SPACE, np.random.default_rng(3), eta=2)
    played(through, value, 5, 3)
    again = SuccessiveHalving(SPACE, np.random.default_rng(99), eta=2)
    again.restore(through.state())
    again.rng.bit_generator.state = through.rng.bit_generator.state
    assert played(again, value, 9, 3) == played(through, value, 9, 3)


class Learning(Evaluator):
    """Scores whose noise falls with the effort; counts the effort."""

    rungs = True

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.spent = 0.0
        self.best = (0.0, -1.0)  # observed at full effort, true

    def evaluate(self, architectures):
        return self.evaluate_partly(architectures, 1.0)

    def evaluate_partly(self, architectures, share):
        self.spent += share * len(architectures)
        found = []
        for one in architectures:
            true = SPACE.rank(one) / SPACE.size
            observed = true - 0.5 * (1 - share) + 0.05 * (1 / share) ** 0.5 * self.rng.normal()
            if share == 1:
                self.best = max(self.best, (observed, true))
            found.append(Score({"accuracy": observed}))
        return found


class Spending:
    """Ends the search when the effort of so many whole trainings is spent."""

    def __init__(self, evaluator: Learning, most: float):
        self.evaluator, self.most = evaluator, most

    def boundary(self) -> bool:
        return self.evaluator.spent < self.most - 1e-6

    def batches(self, size: int) -> int:
        return 1000


def true_of_the_best(algorithm: str, seed: int) -> float:
    evaluator = Learning(seed)
    scorer = Scorer(evaluator, Objective(ObjectiveConfig(), SPACE))
    controller = controller_of(scorer, seed, algorithm=algorithm, episodes=9 if algorithm != "random" else 1)
    controller.run(Spending(evaluator, 12))
    assert evaluator.spent == pytest.approx(12)
    return evaluator.best[1]


def test_at_equal_effort_it_finds_better_ones_than_random_search():
    ahead = [true_of_the_best("successive_halving", seed) - true_of_the_best("random", seed) for seed in range(40)]
    assert np.mean(ahead) > 3 * np.std(ahead, ddof=1) / len(ahead) ** 0.5


class Whole(Learning):
    rungs = False


def test_an_evaluator_with_one_kind_of_score_is_refused_at_once():
    scorer = Scorer(Whole(0), Objective(ObjectiveConfig(), SPACE))
    with pytest.raises(RlnasError, match=r"controller successive_halving .*evaluator=standalone search=untrained"):
        controller_of(scorer, algorithm="successive_halving")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"eta": 1}, r"controller\.params\.eta is 1, expected a whole number at least 2"),
        ({"rungs": 0}, r"controller\.params\.rungs is 0, expected a whole number at least 1"),
        ({"keep": 1.5}, r"controller\.params\.keep is 1\.5, expected a whole number"),
        ({"eta": 10, "rungs": 9}, r"eta=10, rungs=9 .*100,000,000 architectures, expected at most 1,000,000"),
    ],
)
def test_wrong_options_are_refused(scorer, params, message):
    with pytest.raises(RlnasError, match=message):
        controller_of(scorer(SPACE), algorithm="successive_halving", params=params)

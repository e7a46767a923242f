"""Looking up: one repeat a query, from a stream of its own that can be saved."""

import numpy as np
import pytest

from rlnas.evaluators import TabularEvaluator
from rlnas.spaces import TableSpace
from rlnas.tabular import Benchmark

OBSERVED = np.array([[1.0, 2.0, 3.0], [11.0, 12.0, 13.0]])
A, B = (0,), (1,)


@pytest.fixture
def evaluator():
    """evaluator(seed=0): over two architectures measured three times."""

    def make(seed=0):
        benchmark = Benchmark("b", "0", ("x",), (("a", "b"),), OBSERVED, OBSERVED.mean(1), np.array([5.0, 7.0]))
        return TabularEvaluator(TableSpace("table", benchmark), seed=seed)

    return make


def test_a_score_is_a_repeat_with_the_true_score_and_the_seconds(evaluator):
    a, b = evaluator().evaluate([A, B])
    assert a.accuracy in OBSERVED[0]
    assert b.accuracy in OBSERVED[1]
    assert (a.true, b.true) == (2.0, 12.0)
    assert (a.seconds, b.seconds) == (5.0, 7.0)
    assert not a.cached


def test_every_query_draws_anew_and_all_repeats_come_equally_often(evaluator):
    drawn = [score.accuracy for score in evaluator().evaluate([A] * 3000)]
    counts = [drawn.count(value) for value in OBSERVED[0]]
    assert sum(counts) == 3000
    assert min(counts) > 900  # 3.7 standard deviations below 1000


def test_the_seed_decides_and_the_state_goes_on(evaluator):
    def accuracies(judge, count):
        return [score.accuracy for score in judge.evaluate([A, B] * count)]

    first, second, other = evaluator(), evaluator(), evaluator(seed=1)
    assert accuracies(first, 20) == accuracies(second, 20) != accuracies(other, 20)
    resumed = evaluator(seed=9)
    resumed.restore(first.state())
    assert accuracies(first, 20) == accuracies(resumed, 20)

"""Accuracy, soft accuracy and log-likelihood of a child, by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlnas.errors import RlnasError
from rlnas.evaluators import SharedWeightsEvaluator, StandaloneEvaluator
from rlnas.evaluators.measures import BESIDE_ACCURACY, LOG_LIKELIHOOD_FLOOR, LOWEST, answers, measured, restored

# scores of three classes whose probabilities are 1/2, 1/4, 1/4 - 1/10, 8/10, 1/10 - 98/100, 1/100, 1/100
SCORES = [[math.log(2), 0, 0], [0, math.log(8), 0], [math.log(98), 0, 0]]


def values(scores, labels) -> dict[str, float]:
    scores, labels = torch.as_tensor(scores, dtype=torch.float32), torch.as_tensor(labels)
    return measured(answers(scores, scores.softmax(dim=1), labels).numpy())


def test_by_hand():
    found = values(SCORES, [0, 1, 1])  # p = 1/2, 8/10, 1/100; ln(1/100) = -4.6 is limited
    assert found["accuracy"] == 2 / 3
    assert found["soft_accuracy"] == pytest.approx((0.5 + 0.8 + 0.01) / 3)
    assert found["log_likelihood"] == pytest.approx((math.log(0.5) + math.log(0.8) - 4) / 3)


def test_a_uniform_child_has_the_values_of_chance():
    found = values([[0.0] * 4] * 8, [0, 1, 2, 3] * 2)
    assert found == {"accuracy": 1 / 4, "soft_accuracy": 1 / 4, "log_likelihood": pytest.approx(-math.log(4))}


def test_one_confident_error_does_not_decide():
    """Contrast: without the limit, one wrong image of ten makes the better child the worse one."""
    good = [[3.0, 0.0]] * 9 + [[0.0, 60.0]]
    poor = [[0.5, 0.0]] * 10
    labels = [0] * 10

    def without_limit(scores):
        return float(torch.tensor(scores).log_softmax(dim=1)[:, 0].mean())

    assert without_limit(good) < without_limit(poor)
    assert values(good, labels)["log_likelihood"] > values(poor, labels)["log_likelihood"]


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_scores_that_are_not_finite_give_finite_values(broken):
    found = values([[broken, 0.0], [broken, 1.0]], [1, 1])
    assert found == LOWEST


def test_the_lowest_values_are_those_of_a_child_without_any_right_answer():
    assert values([[0.0, 200.0]] * 3, [0] * 3) == LOWEST
    assert LOWEST["log_likelihood"] == LOG_LIKELIHOOD_FLOOR == -4
    assert set(LOWEST) == {"accuracy", *BESIDE_ACCURACY}


@given(rows=st.lists(st.lists(st.floats(-90, 90, width=32), min_size=3, max_size=3), min_size=1, max_size=9))
def test_ranges(rows):
    labels = [place % 3 for place in range(len(rows))]
    found = values(rows, labels)
    assert 0 <= found["accuracy"] <= 1
    assert 0 <= found["soft_accuracy"] <= 1 + 1e-6
    assert LOG_LIKELIHOOD_FLOOR <= found["log_likelihood"] <= 1e-6
    better = [[score + (k == number % 3) for k, score in enumerate(row)] for number, row in enumerate(rows)]
    for name, value in values(better, labels).items():
        assert value >= found[name] - 1e-6


def test_means_do_not_depend_on_the_batches():
    stream = np.random.default_rng(0)
    whole = stream.random((2, 1000), dtype=np.float32)
    parts = np.concatenate([whole[:, start : start + 70].copy() for start in range(0, 1000, 70)], axis=1)
    assert measured(parts) == measured(whole)


def test_the_evaluators_of_images_declare_them():
    assert SharedWeightsEvaluator.value_names == BESIDE_ACCURACY
    assert StandaloneEvaluator.value_names == (*BESIDE_ACCURACY, "epochs")


@pytest.mark.parametrize("older", [0.5, {"accuracy": 0.5}])
def test_a_checkpoint_with_the_accuracy_alone_is_refused(older):
    with pytest.raises(RlnasError, match=r"of an earlier version.*soft_accuracy"):
        restored(older)
    assert restored(dict(LOWEST)) == LOWEST

"""The feature ridge: what its columns are, and that the left-out architecture is not seen."""

import numpy as np
import pytest

from rlnas.gap.ridge import design, left_out_predictions
from rlnas.gap.statistics import kendall


def test_texts_are_one_hot_numbers_and_log_costs_as_they_are() -> None:
    features = [{"layer1/operator": "conv", "skip_rate": 0.0}, {"layer1/operator": "pool", "skip_rate": 1.0}]
    # columns by name: layer1/operator=conv, =pool, log cost 0, skip_rate; two values are -1 and 1 in standard units
    matrix = design(features, [(10, None), (1000, None)])
    assert matrix == pytest.approx(np.array([[1, -1, -1, -1], [-1, 1, 1, 1]]))


def test_a_linear_truth_is_predicted() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(40, 5))
    truth = matrix @ np.array([1.0, -2, 0, 0.5, 0])
    assert np.corrcoef(left_out_predictions(matrix, truth), truth)[0, 1] > 0.99


def test_the_left_out_truth_is_not_seen() -> None:
    rng = np.random.default_rng(0)
    matrix, truth = rng.normal(size=(12, 3)), rng.normal(size=12)
    changed = truth.copy()
    changed[4] += 100
    # relative to the mean of all, which changes for all alike
    found = [left_out_predictions(matrix, values)[4] - values.mean() for values in (truth, changed)]
    assert found[0] == pytest.approx(found[1])


def test_features_that_tell_nothing_do_not_rank_in_reverse() -> None:
    taus = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = left_out_predictions(rng.normal(size=(15, 6)), truth := rng.normal(size=15))
        taus.append(float(kendall(found, truth, np.ones((1, 15)))[0]))
    assert abs(np.mean(taus)) < 0.2

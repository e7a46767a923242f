"""Predicted values: columns by hand, scikit-learn as the reference, held-out architectures of a known truth."""

import math

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rlnas.errors import RlnasError
from rlnas.evaluators.labels import stratified
from rlnas.evaluators.prediction import (
    FULL_FROM,
    choose_full,
    compact_columns,
    fit,
    full_columns,
    kendall,
    leave_one_out,
    log_costs,
)
from rlnas.networks.graph import Cost
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(6, ("conv3x3", "max_pool3x3", "avg_pool3x3", "identity"), filters=4)
KINDS = ("ridge", "gaussian_process")
ROWS = [{"x": 0.0, "y": 1.0}, {"x": 1.0, "y": 0.0}, {"x": 2.0, "y": 1.5}, {"x": 3.0, "y": 1.0}]
VALUES = [0.1, 0.35, 0.42, 0.81]


def compact(architectures):
    return [compact_columns(SPACE.features(architecture)) for architecture in architectures]


def truth(architecture) -> float:
    """Linear in the counts: convolutions help, pooling harms, skips help a little."""
    row = compact_columns(SPACE.features(architecture))
    return 0.5 + 0.05 * row.get("operator=conv3x3", 0) - 0.03 * row.get("operator=max_pool3x3", 0) + 0.01 * row["skip"]


def samples(count: int, seed: int) -> list:
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def means(model, rows) -> list[float]:
    return [mean for mean, _ in model.predict(rows)]


def test_columns_by_hand():
    features = {"layer1/operator": "conv", "layer2/operator": "conv", "layer2/skip1": 1.0, "layer3/skip1": 1.0}
    features |= {"layer3/skip2": 0.0, "skip_rate": 0.5, "cell": "dense", "block1": "a", "block2": "a"}
    few = {"operator=conv": 2.0, "skip": 2.0, "skip_rate": 0.5, "cell=dense": 1.0, "block=a": 2.0}
    assert compact_columns(features) == few
    assert full_columns(features) == few | {
        "layer1/operator=conv": 1.0,
        "layer2/operator=conv": 1.0,
        "layer2/skip1": 1.0,
        "layer3/skip1": 1.0,
        "layer3/skip2": 0.0,
        "block1=a": 1.0,
        "block2=a": 1.0,
    }
    assert log_costs(Cost(params=0, flops=100)) == {"log_params": 0.0, "log_flops": math.log(100)}


def test_a_ridge_is_scikit_learns_on_standardised_columns_and_values():
    reference = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), BayesianRidge()), transformer=StandardScaler()
    )
    x = np.array([[row["x"], row["y"]] for row in ROWS])
    new = [{"x": 1.7, "y": 0.4}, {"x": -2.0, "y": 5.0}]
    expected = reference.fit(x, VALUES).predict([[1.7, 0.4], [-2.0, 5.0]])
    assert means(fit("ridge", ROWS, VALUES), new) == pytest.approx(expected.tolist(), rel=1e-9)


@pytest.mark.parametrize("count", [3, 4])
def test_leave_one_out_is_scikit_learns_around_the_mean_of_all(count):
    reference = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), BayesianRidge()), transformer=StandardScaler()
    )
    x, y = np.array([[row["x"], row["y"]] for row in ROWS[:count]]), np.array(VALUES[:count])
    others = (y.sum() - y) / (count - 1)  # the mean of each fold
    expected = cross_val_predict(reference, x, y, cv=LeaveOneOut()) - others + y.mean()
    assert leave_one_out("ridge", ROWS[:count], VALUES[:count]) == pytest.approx(expected.tolist(), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_does_not_predict_itself(kind):
    """Of a column that is 1 for one label only the others know nothing: its prediction is the mean."""
    rows = [{"only": float(place == 2), "same": 1.0} for place in range(4)]
    assert leave_one_out(kind, rows, VALUES)[2] == pytest.approx(np.mean(VALUES))


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_architectures_of_a_linear_truth_are_ranked(kind):
    known, new = samples(24, seed=1), samples(200, seed=2)
    noise = np.random.default_rng(3).normal(0, 0.02, len(known))
    model = fit(kind, compact(known), [truth(one) + more for one, more in zip(known, noise, strict=True)])
    tau = kendall(means(model, compact(new)), [truth(one) for one in new])
    assert tau is not None
    assert tau > 0.75
    best = SPACE.parse("conv3x3 conv3x3 conv3x3+1 conv3x3+1+2 conv3x3+1+2+3 conv3x3+1+2+3+4")
    assert means(model, compact([best]))[0] > np.quantile([truth(one) for one in new], 0.99)


def test_labels_near_the_optimum_alone_ruin_the_fit():
    """The same number of equally noisy labels, stratified or the best of 1,000: Kendall's tau of held-out ones."""
    pool, new = list(dict.fromkeys(samples(1000, seed=0))), samples(100, seed=5)
    near = sorted(pool, key=truth)[-24:]
    spread = stratified(SPACE, lambda one: compact([one])[0].get("operator=conv3x3", 0.0), 24, np.random.default_rng(0))

    def tau(known, seed: int) -> float:
        noise = np.random.default_rng(seed).normal(0, 0.1, len(known))
        model = fit("ridge", compact(known), [truth(one) + more for one, more in zip(known, noise, strict=True)])
        return kendall(means(model, compact(new)), [truth(one) for one in new]) or 0.0

    assert np.mean([tau(spread, seed) for seed in range(6)]) > np.mean([tau(near, seed) for seed in range(6)]) + 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_uncertainty_is_larger_far_from_the_labels_and_zero_without_spread(kind):
    model = fit(kind, ROWS, VALUES)
    (_, near), (_, far) = model.predict([{"x": 1.5, "y": 0.9}, {"x": 30.0, "y": -9.0}])
    assert 0 <= near < far
    assert fit(kind, ROWS, [0.5] * 4).predict(ROWS) == [(0.5, 0.0)] * 4
    assert fit(kind, [{"x": 1.0}] * 4, VALUES).predict(ROWS) == [(pytest.approx(np.mean(VALUES)), 0.0)] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_the_same_bits_again_and_in_any_batch(kind):
    known, new = compact(samples(24, seed=1)), compact(samples(5, seed=2))
    values = [truth(one) for one in samples(24, seed=1)]
    first, again = fit(kind, known, values), fit(kind, known, values)
    assert first.predict(new) == again.predict(new) == [first.predict([row])[0] for row in new]


def test_full_columns_are_used_only_with_many_labels_and_a_lower_error():
    known = samples(FULL_FROM, seed=1)
    few, many = compact(known), [full_columns(SPACE.features(one)) for one in known]
    first = [float(row.get("layer1/operator=conv3x3", 0)) for row in many]  # only one layer matters
    assert choose_full("ridge", few, many, first)
    assert not choose_full("ridge", few[:-1], many[:-1], first[:-1])
    noise = np.random.default_rng(3).normal(0, 0.05, len(known))
    assert not choose_full("ridge", few, many, [truth(one) + more for one, more in zip(known, noise, strict=True)])


def test_kendall_by_hand_and_none_of_a_constant():
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall([1, 1, 1], [1, 2, 3]) is None
    assert kendall([1, 2, 3], [2, 2, 2]) is None


def test_an_unknown_model_is_refused():
    with pytest.raises(RlnasError, match=r"'forest', expected ridge or gaussian_process"):
        fit("forest", ROWS, VALUES)

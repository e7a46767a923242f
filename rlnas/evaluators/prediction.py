"""Predict the stand-alone value of an architecture from its features, costs and shared score.

A row is a dict of numbers by name. A few compact columns (how often each operator is used, the number of skips, log
parameters, log FLOPs, the shared score) rank better than one column for every choice as long as labels are few: the
choices have more coefficients than there are labels. Below `FULL_FROM` labels only the compact columns are used, from
there on the set with the lower leave-one-out error.
"""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.networks.graph import Cost

Row = Mapping[str, float]
Floats = NDArray[np.float64]

FEWEST = 4  # labels of a fit
FULL_FROM = 48  # labels from which one column for every choice is tried
LENGTH_SCALES = (0.3, 300.0)  # of the process's inputs, which have a standard deviation of 1
NOISE_LEVELS = (1e-4, 1e1)  # variance of the noise, of values with a variance of 1


def compact_columns(features: Mapping[str, str | float]) -> dict[str, float]:
    """Return how often each category is used over all places, and numbers summed over all places.

    A name is PLACE/FACTOR: `layer3/operator: conv3x3` counts for `operator=conv3x3`. A number at the end of a factor,
    or of a name without a place, is a place too: `layer3/skip1: 1` counts for `skip`, `layer3: conv3x3` for
    `layer=conv3x3`. Other features of the whole architecture are kept as they are.
    """
    columns: dict[str, float] = {}
    for name, value in features.items():
        factor = name.rpartition("/")[2]
        factor = re.sub(r"\d+$", "", factor) or factor
        column, amount = (f"{factor}={value}", 1.0) if isinstance(value, str) else (factor, float(value))
        columns[column] = columns.get(column, 0.0) + amount
    return columns


def full_columns(features: Mapping[str, str | float]) -> dict[str, float]:
    """Return the compact columns, a 0/1 column for each category at each place, and every number."""
    own = {
        f"{name}={value}" if isinstance(value, str) else name: 1.0 if isinstance(value, str) else float(value)
        for name, value in features.items()
    }
    return {**own, **compact_columns(features)}


def log_costs(cost: Cost) -> dict[str, float]:
    """Return log parameters and log FLOPs; a cost of 0 counts as 1."""
    return {"log_params": math.log(max(cost.params, 1)), "log_flops": math.log(max(cost.flops, 1))}


@dataclass(frozen=True)
class Predictor:
    """A fitted model of values.

    names: columns in use, those that vary over the labels. centre, spread: mean and standard deviation of each
    column over the labels, (columns,). offset, unit: those of the values. model: a fitted estimator of scikit-learn;
    None if all values are equal. noise: variance of a measurement around the expected value, in units of unit^2.
    """

    names: tuple[str, ...]
    centre: Floats
    spread: Floats
    offset: float
    unit: float
    model: Any
    noise: float

    def predict(self, rows: Sequence[Row]) -> list[tuple[float, float]]:
        """Return posterior mean and standard deviation of each expected value, without the noise of a measurement.

        A column that a row does not have counts as 0, as an operator that is not used does. Each row is computed by
        itself, so that its bits do not depend on the others.
        """
        if self.model is None:
            return [(self.offset, 0.0)] * len(rows)
        found = []
        for row in rows:
            inputs = (_matrix([row], self.names) - self.centre) / self.spread
            mean, deviation = self.model.predict(inputs, return_std=True)
            variance = max(float(deviation[0]) ** 2 - self.noise, 0.0)
            found.append((self.offset + self.unit * float(mean[0]), self.unit * math.sqrt(variance)))
        return found


def fit(kind: str, rows: Sequence[Row], values: Sequence[float], *, like: Predictor | None = None) -> Predictor:
    """Fit `ridge` (Bayesian: its strength is estimated too) or `gaussian_process` to one value a row.

    Columns and values are standardised. Equal values give a constant prediction. like: take the hyperparameters of
    this fitted process instead of optimising them. Raises RlnasError for an unknown kind.
    """
    names = sorted({name for row in rows for name in row})
    inputs, targets = _matrix(rows, names), np.array(values, dtype=np.float64)
    varying = np.ptp(inputs, axis=0) > 0
    names, inputs = [name for name, kept in zip(names, varying, strict=True) if kept], inputs[:, varying]
    centre, spread = inputs.mean(axis=0), inputs.std(axis=0)
    offset = float(targets.mean())
    if np.ptp(targets) == 0 or not names:
        return Predictor(tuple(names), centre, spread, offset, 0.0, None, 0.0)
    unit = float(targets.std())
    model, noise = _fitted(kind, (inputs - centre) / spread, (targets - offset) / unit, like)
    return Predictor(tuple(names), centre, spread, offset, unit, model, noise)


def leave_one_out(kind: str, rows: Sequence[Row], values: Sequence[float]) -> list[float]:
    """Return the prediction of each value by a model fitted to all others.

    A ridge's strength is estimated anew each time; a process keeps the hyperparameters of the fit to all values.
    Every prediction is the mean of all values plus the deviation that the other ones predict: with the mean of the
    others a model that knows nothing would rank the values in reverse.
    """
    whole = fit(kind, rows, values) if kind == "gaussian_process" else None
    mean = float(np.mean(values))
    predicted = []
    for out, row in enumerate(rows):
        others = [place for place in range(len(rows)) if place != out]
        model = fit(kind, [rows[place] for place in others], [values[place] for place in others], like=whole)
        predicted.append(replace(model, offset=mean).predict([row])[0][0])
    return predicted


def choose_full(kind: str, compact: Sequence[Row], full: Sequence[Row], values: Sequence[float]) -> bool:
    """Return whether to use the full rows: from `FULL_FROM` labels on, if their leave-one-out error is lower."""
    if len(values) < FULL_FROM:
        return False
    errors = [np.square(np.subtract(leave_one_out(kind, rows, values), values)).mean() for rows in (compact, full)]
    return bool(errors[1] < errors[0])


def kendall(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Kendall's tau-b; None if all values of one side are equal."""
    from scipy.stats import kendalltau  # takes a second to import

    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(kendalltau(first, second).statistic)


def _matrix(rows: Sequence[Row], names: Sequence[str]) -> Floats:
    return np.array([[row.get(name, 0.0) for name in names] for row in rows], dtype=np.float64)


def _fitted(kind: str, inputs: Floats, targets: Floats, like: Predictor | None) -> tuple[Any, float]:
    """Return an estimator fitted to standardised inputs (n, columns) and targets (n,), and its noise variance."""
    # scikit-learn takes a second to import
    if kind == "ridge":
        from sklearn.linear_model import BayesianRidge

        ridge = BayesianRidge(fit_intercept=False).fit(inputs, targets)
        return ridge, float(1 / ridge.alpha_)
    if kind != "gaussian_process":
        raise RlnasError(f"the surrogate's model is '{kind}', expected ridge or gaussian_process")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel
    from sklearn.gaussian_process.kernels import ConstantKernel as Constant

    if like is not None and like.model is not None:
        kernel, optimizer = like.model.kernel_, None
    else:
        length = math.sqrt(inputs.shape[1])  # about the distance between two architectures
        smooth = Constant(1.0, (1e-2, 1e3)) * RBF(length, LENGTH_SCALES)
        kernel, optimizer = smooth + WhiteKernel(0.5, NOISE_LEVELS), "fmin_l_bfgs_b"
    process = GaussianProcessRegressor(kernel, optimizer=optimizer, n_restarts_optimizer=2, random_state=0)
    with warnings.catch_warnings():
        # a hyperparameter at its bound is a valid answer: without noise, or without an influence of the inputs
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(inputs, targets)
    return process, float(process.kernel_.k2.noise_level)

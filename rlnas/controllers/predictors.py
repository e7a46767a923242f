"""Predictors of a search's scores with their uncertainty, by name: `gp`, `ridge`, `lstm` and the control `noise`."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from rlnas.controllers.encoding import Described, Encoding

Floats = NDArray[np.float64]

LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)  # of the process, in root mean squared distances of the architectures
NOISES = (1e-3, 1e-2, 0.05, 0.2, 0.7)  # variances of one measurement, in variances of the process
CHOOSING = 150  # architectures, at most, that choose length and noise
STRENGTHS = (1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0)  # of the ridge, in mean squared lengths of the inputs
RIDGES = 20  # members of the ensemble


class Predictor(Protocol):
    """Learns the values of architectures; deterministic given the generator's state."""

    def fit(self, described: Sequence[Described], targets: Floats, counts: Floats, rng: np.random.Generator) -> None:
        """Fit to the mean (n,) of `counts` (n,) values of each of n architectures, n >= 1."""
        ...

    def predict(self, described: Sequence[Described]) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the expected value of each architecture: (m,) each."""
        ...


class GaussianProcess:
    """Gaussian process with the kernel exp(-d / (2 length^2)) of the number d of differences between architectures.

    So it knows interactions of any order, which weigh less the more choices they involve. Length, noise and scale
    have the highest marginal likelihood on a grid, computed on `CHOOSING` of the architectures, evenly spread over
    the search. The mean of c values has a c-th of the noise of one.
    """

    def fit(self, described: Sequence[Described], targets: Floats, counts: Floats, rng: np.random.Generator) -> None:
        """Fit without drawing from the generator."""
        self.encoding = Encoding(described)
        self.inputs = self.encoding(described)  # (n, columns)
        self.offset, self.unit = float(targets.mean()), float(targets.std()) or 1.0
        values = (targets - self.offset) / self.unit
        squared = _squared(self.inputs, self.inputs)  # (n, n)
        typical = float(np.sqrt(squared.mean())) or 1.0
        some = np.unique(np.linspace(0, len(values) - 1, min(CHOOSING, len(values))).round().astype(int))
        best = -np.inf
        for length in LENGTHS:
            kernel = np.exp(-squared[np.ix_(some, some)] / (2 * (length * typical) ** 2))
            for noise in NOISES:
                _, _, scale, likelihood = _solved(kernel, values[some], noise / counts[some])
                if likelihood > best:
                    best, self.length, self.noise, self.scale = likelihood, length * typical, noise, scale
        kernel = np.exp(-squared / (2 * self.length**2))
        self.factor, self.solved, _, _ = _solved(kernel, values, self.noise / counts)

    def predict(self, described: Sequence[Described]) -> tuple[Floats, Floats]:
        """Return posterior mean and standard deviation without the noise of a measurement."""
        kernel = np.exp(-_squared(self.inputs, self.encoding(described)) / (2 * self.length**2))  # (n, m)
        explained = solve_triangular(self.factor, kernel, lower=True, check_finite=False)  # (n, m)
        variance = self.scale * np.maximum(1 - np.square(explained).sum(axis=0), 0.0)
        return self.offset + self.unit * (explained.T @ self.solved), self.unit * np.sqrt(variance)


def _squared(a: Floats, b: Floats) -> Floats:
    """Return the squared distances of the rows: (n, columns), (m, columns) to (n, m)."""
    squared: Floats = np.maximum(np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T, 0.0)
    return squared


def _solved(kernel: Floats, values: Floats, noise: Floats) -> tuple[Floats, Floats, float, float]:
    """Return the Cholesky factor (n, n), the values divided by it (n,), the likeliest scale and its log-likelihood."""
    factor = np.asarray(np.linalg.cholesky(kernel + np.diag(noise + 1e-8)), dtype=np.float64)
    solved = solve_triangular(factor, values, lower=True, check_finite=False)
    scale = max(float(solved @ solved) / len(values), 1e-12)
    return factor, solved, scale, float(-0.5 * len(values) * np.log(scale) - np.log(np.diag(factor)).sum())


class Ridge:
    """Ridge regression on all columns and products of two, `RIDGES` times with random weights of the architectures.

    The weights are exponential: the Bayesian bootstrap (Rubin 1981). The strength has the least leave-one-out error.
    """

    def fit(self, described: Sequence[Described], targets: Floats, counts: Floats, rng: np.random.Generator) -> None:
        """Fit in the dual form: products of inputs are squares of their scalar products."""
        self.encoding = Encoding(described)
        inputs = self.encoding(described)
        self.centre = inputs.mean(axis=0)
        self.inputs = inputs - self.centre
        self.offset, self.unit = float(targets.mean()), float(targets.std()) or 1.0
        values = (targets - self.offset) / self.unit
        self.length = float(np.square(self.inputs).sum(axis=1).mean()) or 1.0
        kernel = self._kernel(self.inputs)
        levels, vectors = np.linalg.eigh(kernel)
        errors = []
        for strength in STRENGTHS:
            hat = (vectors * (levels / (levels + strength))) @ vectors.T
            rest = (values - hat @ values) / np.maximum(1 - np.diag(hat), 1e-6)
            errors.append(float(np.square(rest).mean()))
        strength = STRENGTHS[int(np.argmin(errors))]
        weights = np.maximum(rng.exponential(size=(RIDGES, len(values))) * counts, 1e-3)
        members = [np.linalg.solve(kernel + np.diag(strength / one), values) for one in weights]
        self.members = np.array(members)  # (members, n)

    def _kernel(self, inputs: Floats) -> Floats:
        linear: Floats = self.inputs @ inputs.T / self.length
        kernel: Floats = linear + 0.5 * np.square(linear)
        return kernel

    def predict(self, described: Sequence[Described]) -> tuple[Floats, Floats]:
        """Return mean and standard deviation over the members."""
        found = self.members @ self._kernel(self.encoding(described) - self.centre)  # (members, m)
        return self.offset + self.unit * found.mean(axis=0), self.unit * found.std(axis=0)


class Noise:
    """A control that knows nothing: the mean is a standard normal draw, whatever the architecture."""

    def fit(self, described: Sequence[Described], targets: Floats, counts: Floats, rng: np.random.Generator) -> None:
        """Keep a generator of its own for the draws."""
        self.rng = np.random.default_rng(int(rng.integers(2**63)))

    def predict(self, described: Sequence[Described]) -> tuple[Floats, Floats]:
        """Return draws, and a standard deviation of 1."""
        return self.rng.standard_normal(len(described)), np.ones(len(described))


def _lstm() -> Predictor:
    from rlnas.controllers.lstm_predictor import LstmPredictor  # torch

    return LstmPredictor()


PREDICTORS: dict[str, Callable[[], Any]] = {
    "gp": GaussianProcess,
    "ridge": Ridge,
    "lstm": _lstm,
    "noise": Noise,
}

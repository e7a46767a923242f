"""Synthetic tables from a seeded generator, for choosing settings, so that a real benchmark stays unused for it.

They differ in the number of columns and of values, equal or unequal, in the interaction of columns, noise of a query,
unit, and local optima. The order of a column's values is shuffled, so that no index is special. The true score of an
architecture is known; a query returns one of three noisy repeats of it.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rlnas.seeding import numpy_stream
from rlnas.spaces import TableSpace
from rlnas.tabular import Benchmark

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Landscape = Callable[[Integers, tuple[int, ...], np.random.Generator], Floats]

REPEATS = 3


@dataclass(frozen=True)
class Recipe:
    """Parameters of a table.

    choices: number of values of each column. landscape: (n, d) values to (n,) scores. noise: standard deviation of a
    repeat, in standard deviations of the scores (NAS-Bench-Macro: 0.07). unit, offset: of the final scores.
    """

    choices: tuple[int, ...]
    landscape: Landscape
    noise: float
    unit: float = 1.0
    offset: float = 0.0


def additive(rows: Integers, choices: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Score columns independently; bad choices lose more than good ones gain, as with accuracies."""
    total = np.zeros(len(rows))
    for column, count in zip(rows.T, choices, strict=True):
        total += rng.normal(size=count)[column]
    return -np.exp(-total / total.std())


def pairwise(rows: Integers, choices: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Score columns independently and in pairs; the pairs add half the standard deviation of the single columns."""
    total = np.zeros(len(rows))
    for column, count in zip(rows.T, choices, strict=True):
        total += rng.normal(size=count)[column]
    d = len(choices)
    pairs = [(a, b) for a in range(d) for b in range(a)]
    for a, b in pairs:
        total += rng.normal(size=(choices[a], choices[b]))[rows[:, a], rows[:, b]] * math.sqrt(d / 4 / len(pairs))
    return total


def rugged(rows: Integers, choices: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Score by Kauffman's NK landscape with K = 2: the gain of each column also depends on two others."""
    total, d = np.zeros(len(rows)), len(choices)
    for first in range(d):
        others = rng.choice([other for other in range(d) if other != first], size=2, replace=False)
        columns = [first, *(int(other) for other in others)]
        gains = rng.random(size=tuple(choices[column] for column in columns))
        total += gains[tuple(rows[:, column] for column in columns)]
    return total


def trap(rows: Integers, choices: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Score deceptive blocks of two columns: every single change that improves a block leads away from its best pair.

    The best pair, both columns at their last value, scores 1. The others score at most 0.7, more the closer they are to
    both columns at 0, which is a local optimum. With b blocks there are 2^b local optima.
    """
    total = np.zeros(len(rows))
    for start in range(0, len(choices), 2):
        block, top = rows[:, start : start + 2], np.array(choices[start : start + 2]) - 1
        steps = block.sum(axis=1)
        total += np.where((block == top).all(axis=1), 1.0, 0.7 * (1 - steps / top.sum()))
    return total + 0.01 * rng.normal(size=len(rows))


TABLES = {
    "additive": Recipe((3,) * 8, additive, noise=0.07, unit=2.0, offset=90.0),
    "wide": Recipe((6,) * 5, pairwise, noise=0.1, unit=0.01, offset=0.9),
    "unequal": Recipe((2, 8, 3, 5, 2, 4), pairwise, noise=0.2, unit=1e4),
    "long": Recipe((2, 3) * 5, rugged, noise=0.1, unit=1.0, offset=-30.0),
    "rugged": Recipe((4,) * 6, rugged, noise=0.3),
    "trap": Recipe((3,) * 8, trap, noise=0.1),
}


@lru_cache(maxsize=len(TABLES))
def synthetic_space(name: str) -> TableSpace:
    """Return the space of a table of TABLES; the same at every call."""
    recipe = TABLES[name]
    rng = numpy_stream(0, f"synthetic/{name}")
    choices = recipe.choices
    rows = np.stack(np.unravel_index(np.arange(math.prod(choices)), choices), axis=1).astype(np.int64)  # (n, d)
    orders = [rng.permutation(count) for count in choices]
    shuffled = np.stack([order[column] for order, column in zip(orders, rows.T, strict=True)], axis=1)
    raw = recipe.landscape(shuffled, choices, rng)
    standard = (raw - raw.mean()) / raw.std()
    noisy = standard[:, None] + recipe.noise * rng.normal(size=(len(rows), REPEATS))
    score, observed = (recipe.offset + recipe.unit * values for values in (standard, noisy))
    digest = hashlib.sha256(score.tobytes() + observed.tobytes()).hexdigest()
    names = tuple(f"column{number}" for number in range(1, len(choices) + 1))
    values = tuple(tuple(str(value) for value in range(count)) for count in choices)
    return TableSpace(name, Benchmark(name, digest, names, values, observed, score))

"""The curves of the comparison as numbers: mean and band over seeds, against architectures and against time."""

from dataclasses import dataclass

import numpy as np

from rlnas.report.comparison.compare import band
from rlnas.report.comparison.results import Comparison, Floats, Group
from rlnas.report.run.numbers import thinned

MOST_POINTS = 250  # of one curve


@dataclass(frozen=True)
class Curve:
    """Score of a group's incumbents: x, mean over seeds, low and high end of the band, each (p,).

    The band of a single run is NaN.
    """

    group: Group
    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def over_architectures(group: Group, budget: int) -> Curve:
    """Score after 1..budget architectures."""
    places = thinned(budget, MOST_POINTS)
    return _curve(group, places.astype(np.float64) + 1, np.array([run.score[places] for run in group.runs]))


def over_seconds(group: Group, budget: int) -> Curve:
    """Score over seconds, from when all runs of the group have an incumbent to when the first of them ends."""
    start = max(float(run.seconds[0]) for run in group.runs)
    end = max(min(float(run.seconds[budget - 1]) for run in group.runs), start)
    times: Floats = np.linspace(start, end, MOST_POINTS, dtype=np.float64)
    rows = [np.searchsorted(run.seconds[:budget], times, side="right") - 1 for run in group.runs]
    return _curve(group, times, np.array([run.score[row] for run, row in zip(group.runs, rows, strict=True)]))


def time_name(comparison: Comparison) -> str:
    """Which seconds they are."""
    return "evaluation time" if comparison.runs[0].table is None else "simulated training time"


def _curve(group: Group, x: Floats, values: Floats) -> Curve:
    """values: (runs, p)."""
    low = high = np.full(len(x), np.nan)
    if len(values) > 1:
        low, high = band(group.label, values)
    return Curve(group, x, values.mean(axis=0), low, high)

"""Comparing: groups, the budget they share, what each reached there, the tests against the baselines."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rlnas.errors import RlnasError
from rlnas.report.command import shown_folder
from rlnas.report.comparison import statistics
from rlnas.report.comparison.labels import check_same_task, group_runs
from rlnas.report.comparison.notes import unequal_lengths, warnings
from rlnas.report.comparison.results import Cell, Comparison, Floats, Group, PairedTest, baselines
from rlnas.report.comparison.runs import LeftOut, SearchRun
from rlnas.seeding import numpy_stream

CHECKPOINTS = (50, 100, 200, 300, 500, 1000)  # architectures


def compare(
    runs: Sequence[SearchRun],
    left_out: Sequence[LeftOut] = (),
    *,
    folders: Sequence[str] = (),
    strict: bool = False,
) -> Comparison:
    """Compare the runs as far as all of them go.

    strict: refuse runs of unequal length, and left out ones, instead of cutting and naming them. Raises
    RlnasError for that, for runs that are not of one space and table or data set, for a run given twice, and
    if no run is left.
    """
    if not runs:
        reasons = "; ".join(f"{shown_folder(item.folder)}: {item.reason}" for item in left_out[:3])
        more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        raise RlnasError(f"none of the {len(left_out)} runs can be compared: {reasons}{more}")
    check_same_task(runs)
    budget = min(len(run) for run in runs)
    members = group_runs(runs)
    lengths = unequal_lengths(members, budget)
    if strict and (lengths or left_out):
        named = [f"{shown_folder(item.folder)} is left out: {item.reason}" for item in left_out]
        raise RlnasError(f"--strict: {'; '.join([*lengths, *named])}; without --strict they are cut, or named")
    groups = [Group(label, own[0].controller, tuple(own), place) for place, (label, own) in enumerate(members.items())]
    checkpoints = tuple(place for place in CHECKPOINTS if place <= budget) or (budget,)
    optimum = runs[0].optimum
    last = checkpoints[-1]
    groups.sort(key=lambda group: (-float(group.score(last).mean()), group.label))
    whole = Comparison(
        folders=tuple(folders),
        groups=tuple(groups),
        budget=budget,
        checkpoints=checkpoints,
        cells={},
        tests=tuple(test for baseline in baselines(groups) for test in _family(groups, baseline, checkpoints)),
        optimum=optimum,
        left_out=tuple(left_out),
        warnings=tuple(warnings(groups, len(checkpoints), lengths, left_out)),
    )
    for group in groups:
        for place in checkpoints:
            whole.cells[group.label, place] = _cell(group.label, place, whole.measured(group.score(place)))
    return whole


def band(label: str, values: Floats) -> tuple[Floats, Floats]:
    """The 95% bootstrap interval of the mean over seeds, (n, p) to two (p,), the same at every call."""
    return statistics.bootstrap_band(values, numpy_stream(0, f"comparison/bootstrap/{label}"))


def _cell(label: str, architectures: int, values: Floats) -> Cell:
    ends = (float("nan"), float("nan"))
    if len(values) > 1:
        low, high = band(label, values[:, None])
        ends = (float(low[0]), float(high[0]))
    return Cell(
        label,
        architectures,
        float(values.mean()),
        statistics.interquartile_mean(values),
        statistics.standard_error(values),
        *ends,
        len(values),
    )


def _family(groups: Sequence[Group], baseline: Group, checkpoints: Sequence[int]) -> list[PairedTest]:
    """Every other group against the baseline at every checkpoint: one family for Holm."""
    tests = []
    for group in groups:
        if group is baseline:
            continue
        seeds = sorted(set(group.seeds) & set(baseline.seeds))
        if len(seeds) < 2:
            continue  # `warnings` says so
        own = [group.seeds.index(seed) for seed in seeds]
        other = [baseline.seeds.index(seed) for seed in seeds]
        for place in checkpoints:
            mine, theirs = group.score(place), baseline.score(place)
            difference = mine[own] - theirs[other]
            tests.append(
                PairedTest(
                    group.label,
                    baseline.label,
                    place,
                    len(seeds),
                    statistics.signed_rank(difference),
                    float("nan"),
                    statistics.rank_biserial(difference),
                    statistics.probability_of_improvement(mine, theirs),
                )
            )
    adjusted = statistics.holm(np.array([test.p for test in tests]))
    return [replace(test, p_holm=float(p)) for test, p in zip(tests, adjusted, strict=True)]

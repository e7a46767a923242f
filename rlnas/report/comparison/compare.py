"""Comparing: groups, the budget they share, what each reached there, the tests against the baselines."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rlnas.config.quoting import folder_name
from rlnas.errors import RlnasError
from rlnas.report.comparison import statistics
from rlnas.report.comparison.labels import check_same_task, group_runs
from rlnas.report.comparison.notes import unequal_lengths, warnings
from rlnas.report.comparison.outcome import obstacle, outcome, paired, validation
from rlnas.report.comparison.permutation import permutation_test, sign_flip_test
from rlnas.report.comparison.results import Cell, Comparison, Floats, Group, MeanTest, NoVerdict, baselines
from rlnas.runs.discover import LeftOut
from rlnas.runs.reader import Run
from rlnas.seeding import numpy_stream

CHECKPOINTS = (50, 100, 200, 300, 500, 1000)  # architectures


def compare(
    runs: Sequence[Run],
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
        reasons = "; ".join(f"{folder_name(item.folder)}: {item.reason}" for item in left_out[:3])
        more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        raise RlnasError(f"none of the {len(left_out)} runs can be compared: {reasons}{more}")
    check_same_task(runs)
    budget = min(len(run) for run in runs)
    members = group_runs(runs)
    lengths = unequal_lengths(members, budget)
    if strict and (lengths or left_out):
        named = [f"{folder_name(item.folder)} is left out: {item.reason}" for item in left_out]
        raise RlnasError(f"--strict: {'; '.join([*lengths, *named])}; without --strict they are cut, or named")
    groups = [Group(label, own[0].controller, tuple(own), place) for place, (label, own) in enumerate(members.items())]
    tabular = runs[0].table is not None
    checkpoints = tuple(place for place in CHECKPOINTS if place <= budget and tabular) or (budget,)
    last = checkpoints[-1]
    groups.sort(key=lambda group: (_last_if_unknown(-float(outcome(group, last).mean())), group.label))
    tests, no_verdicts = _against_baselines(groups, checkpoints)
    whole = Comparison(
        folders=tuple(folders),
        groups=tuple(groups),
        budget=budget,
        checkpoints=checkpoints,
        cells={},
        validation={},
        tests=tuple(tests),
        no_verdicts=tuple(no_verdicts),
        optimum=runs[0].optimum,
        left_out=tuple(left_out),
        warnings=tuple(warnings(groups, tests, no_verdicts, lengths, left_out)),
    )
    for group in groups:
        for place in checkpoints:
            whole.cells[group.label, place] = _cell(group.label, place, whole.measured(outcome(group, place)))
        if not tabular:
            whole.validation[group.label] = _cell(group.label, last, validation(group))
    return whole


def band(label: str, values: Floats) -> tuple[Floats, Floats]:
    """The 95% bootstrap interval of the mean over seeds, (n, p) to two (p,), the same at every call."""
    return statistics.bootstrap_band(values, numpy_stream(0, f"comparison/bootstrap/{label}"))


def _cell(label: str, architectures: int, values: Floats) -> Cell:
    ends = (float("nan"), float("nan"))
    if len(values) > 1 and np.isfinite(values).all():
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


def _last_if_unknown(key: float) -> float:
    return key if np.isfinite(key) else np.inf


def _against_baselines(groups: Sequence[Group], checkpoints: Sequence[int]) -> tuple[list[MeanTest], list[NoVerdict]]:
    """Every other group against each baseline at every checkpoint, a family for Holm each; and what has no test."""
    tests, no_verdicts = [], []
    for baseline in baselines(groups):
        family = []
        for group in groups:
            if group is baseline:
                continue
            reason = obstacle(group, baseline)
            if reason is None:
                family += _tests(group, baseline, checkpoints)
            else:
                no_verdicts.append(NoVerdict(group.label, baseline.label, reason))
        adjusted = statistics.holm(np.array([test.p for test in family]))
        tests += [replace(test, p_holm=float(p)) for test, p in zip(family, adjusted, strict=True)]
    return tests, no_verdicts


def _tests(group: Group, baseline: Group, checkpoints: Sequence[int]) -> list[MeanTest]:
    """The tests at all checkpoints, not adjusted yet."""
    ours = np.stack([outcome(group, place) for place in checkpoints], axis=1)  # (n, p)
    theirs = np.stack([outcome(baseline, place) for place in checkpoints], axis=1)  # (m, p)
    pairs = paired(group, baseline)
    p_values = sign_flip_test(ours, theirs) if pairs else permutation_test(ours, theirs)
    found = []
    for place, p, mine, other in zip(checkpoints, p_values, ours.T, theirs.T, strict=True):
        lead = statistics.paired_t(mine, other) if pairs else statistics.welch(mine, other)
        found.append(
            MeanTest(
                group.label,
                baseline.label,
                place,
                len(mine),
                len(other),
                pairs,
                lead.mean,
                lead.low,
                lead.high,
                float(p),
                float("nan"),
                statistics.signed_rank(mine - other) if pairs else statistics.rank_sum(mine, other),
                statistics.probability_of_improvement(mine, other),
            )
        )
    return found

"""The sentences about what limits a comparison."""

from collections import Counter
from collections.abc import Sequence

from rlnas.config.quoting import folder_name
from rlnas.report.comparison.labels import other_differences
from rlnas.report.comparison.permutation import runs_needed, smallest_p
from rlnas.report.comparison.results import SIGNIFICANT, Group, MeanTest, NoVerdict, baselines
from rlnas.runs.discover import LeftOut
from rlnas.runs.reader import Run


def unequal_lengths(members: dict[str, list[Run]], budget: int) -> list[str]:
    """Which runs are longer than the common budget, and which set it; nothing if all are equal."""
    longer = {
        label: Counter(len(run) for run in own if len(run) > budget)
        for label, own in members.items()
        if any(len(run) > budget for run in own)
    }
    if not longer:
        return []
    shortest = [run for own in members.values() for run in own if len(run) == budget]
    more = f" and {len(shortest) - 1} more" if len(shortest) > 1 else ""
    told = "; ".join(
        f"{label}: {', '.join(f'{count} run' + ('s' if count > 1 else '') + f' of {n}' for n, count in counts.items())}"
        for label, counts in longer.items()
    )
    what = "all are" if shortest[0].table is not None else "all curves are"
    return [
        f"The runs are not equally long: {what} cut to the {budget} architectures of the shortest "
        f"({folder_name(shortest[0].folder)}{more}); longer are {told}"
    ]


def warnings(
    groups: Sequence[Group],
    tests: Sequence[MeanTest],
    no_verdicts: Sequence[NoVerdict],
    lengths: Sequence[str],
    left_out: Sequence[LeftOut],
) -> list[str]:
    """What a reader must know before believing a number, in sentences without their full stop.

    lengths: of `unequal_lengths`.
    """
    found = []
    if left_out:
        found.append(f"Left out, for reasons given below: {_count(len(left_out), 'run')}")
    found += lengths
    single = [group.label for group in groups if len(group.runs) == 1]
    if single:
        found.append(
            f"One seed only of {', '.join(single)}: no band, no standard error and no test is possible, and a lead may "
            "be chance"
        )
    tested = baselines(groups)
    if not tested and len(groups) > 1:
        found.append("No run of the controllers random or evolution is among them, so nothing is tested")
    reasons: dict[str, list[str]] = {}
    for one in no_verdicts:
        reasons.setdefault(one.reason, []).append(f"{one.label} against {one.baseline}")
    found += [f"No verdict on {', '.join(pairs)}: {reason}" for reason, pairs in reasons.items()]
    for baseline in tested:
        found += _power([test for test in tests if test.baseline == baseline.label])
    found += different_threads([run for group in groups for run in group.runs])
    other = other_differences([run for group in groups for run in group.runs])
    if other:
        found.append(f"Besides controller and seed the runs differ in {', '.join(other)}")
    return found


def _power(family: Sequence[MeanTest]) -> list[str]:
    """Where the runs are too few for any p of the family to be significant."""
    if not family:
        return []
    best = min(family, key=lambda test: smallest_p(test.n, test.n_baseline, paired=test.paired))
    least = len(family) * smallest_p(best.n, best.n_baseline, paired=best.paired)
    if least < SIGNIFICANT:
        return []
    needed = runs_needed(len(family), SIGNIFICANT, paired=best.paired)
    runs = f"{best.n} pairs of runs" if best.paired else f"{best.n} and {best.n_baseline} runs"
    return [
        f"Against {best.baseline} no difference can be significant: with {runs} and {_count(len(family), 'test')} "
        f"p (Holm) is at least {min(1.0, least):.2g}"
        + ("" if needed is None else f"; that takes {needed} {'pairs' if best.paired else 'runs of each'}")
    ]


def different_threads(runs: Sequence[Run]) -> list[str]:
    """That the runs were computed by unequal numbers of threads, as under hydra/launcher=joblib."""
    counts = Counter(run.threads for run in runs if run.threads is not None)
    if len(counts) < 2:
        return []
    told = ", ".join(f"{threads} in {_count(count, 'run')}" for threads, count in sorted(counts.items()))
    return [
        f"The runs were computed by different numbers of threads ({told}): sums are rounded differently, so that equal "
        "seeds need not give equal runs; execution.threads sets the number"
    ]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"

"""The sentences about what limits a comparison."""

from collections import Counter
from collections.abc import Sequence

from rlnas.report.command import shown_folder
from rlnas.report.comparison.labels import other_differences
from rlnas.report.comparison.results import SIGNIFICANT, Group, baselines
from rlnas.report.comparison.runs import LeftOut, SearchRun
from rlnas.report.comparison.statistics import pairs_needed, smallest_p


def unequal_lengths(members: dict[str, list[SearchRun]], budget: int) -> list[str]:
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
    return [
        f"The runs are not equally long: all are cut to the {budget} architectures of the shortest "
        f"({shown_folder(shortest[0].folder)}{more}); longer are {told}"
    ]


def warnings(
    groups: Sequence[Group], checkpoints: int, lengths: Sequence[str], left_out: Sequence[LeftOut]
) -> list[str]:
    """What a reader must know before believing a number, in sentences without their full stop.

    checkpoints: how many there are. lengths: of `unequal_lengths`.
    """
    found = []
    if left_out:
        found.append(f"Left out, for reasons given below: {_count(len(left_out), 'run')}")
    found += lengths
    single = [group.label for group in groups if len(group.runs) == 1]
    if single:
        found.append(
            f"One seed only of {', '.join(single)}: no band, no standard error and no test is possible, and a lead may "
            "be luck"
        )
    tested = baselines(groups)
    if not tested and len(groups) > 1:
        found.append("No run of the controllers random or evolution is among them, so nothing is tested")
    for baseline in tested:
        found += _pairing(groups, baseline, checkpoints)
    found += different_threads([run for group in groups for run in group.runs])
    other = other_differences([run for group in groups for run in group.runs])
    if other:
        found.append(f"Besides controller and seed the runs differ in {', '.join(other)}")
    return found


def different_threads(runs: Sequence[SearchRun]) -> list[str]:
    """That the runs were computed by unequal numbers of threads, as beside others by hydra/launcher=joblib."""
    counts = Counter(run.threads for run in runs if run.threads is not None)
    if len(counts) < 2:
        return []
    told = ", ".join(f"{threads} in {_count(count, 'run')}" for threads, count in sorted(counts.items()))
    return [
        f"The runs were computed by different numbers of threads ({told}): sums are rounded differently, so that equal "
        "seeds need not give equal runs; execution.threads sets the number"
    ]


def _pairing(groups: Sequence[Group], baseline: Group, checkpoints: int) -> list[str]:
    """Where pairs of equal seeds are too few, or not all seeds have a pair."""
    found, most = [], {}
    for group in groups:
        pairs = len(set(group.seeds) & set(baseline.seeds))
        if group is baseline or min(len(group.runs), len(baseline.runs)) < 2:
            continue
        if pairs < 2:
            found.append(
                f"No test of {group.label} against {baseline.label}: tests pair runs of equal seed, and they share "
                f"{_count(pairs, 'seed')}"
            )
            continue
        most[group.label] = pairs
        if pairs < max(len(group.runs), len(baseline.runs)):
            found.append(f"{group.label} is tested against {baseline.label} on the {pairs} seeds that both have")
    family = len(most) * checkpoints
    if family and family * smallest_p(max(most.values())) >= SIGNIFICANT:
        found.append(
            f"Against {baseline.label} no difference can be significant: with {max(most.values())} pairs of seeds and "
            f"{_count(family, 'test')} p (Holm) is at least {min(1.0, family * smallest_p(max(most.values()))):.2g}; "
            f"that takes {pairs_needed(family, SIGNIFICANT)} seeds"
        )
    return found


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"

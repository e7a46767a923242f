"""What decides a comparison, why there may be no verdict, and which runs are pairs.

Runs over a table are compared by the true score of the incumbent. Searches on images are compared by the test
accuracy of the retrained network: accuracies with shared weights are each of a run's own supernet and do not
compare runs. The test split decides since a run opens it once and chooses nothing by it; the validation images
chose the architecture, so that validation accuracy favours the one that fitted them more.
"""

from collections.abc import Sequence

import numpy as np

from rlnas.report.comparison.labels import other_values
from rlnas.report.comparison.results import Floats, Group
from rlnas.runs.reader import Run

NOT_RETRAINED = "accuracies with shared weights are each of a run's own supernet and do not compare runs"


def outcome(group: Group, architectures: int) -> Floats:
    """What is compared, higher is better: (runs,). NaN for a run on images without a retrained network."""
    if group.tabular:
        return group.score(architectures)
    return np.array([_or_nan(run.accuracy_of("test")) for run in group.runs])


def validation(group: Group) -> Floats:
    """Validation accuracy of the retrained networks: (runs,), NaN where there is none."""
    return np.array([_or_nan(run.accuracy_of("valid")) for run in group.runs])


def obstacle(group: Group, baseline: Group) -> str | None:
    """Why there can be no verdict on the two, in words; None if there can."""
    both = (group, baseline)
    if not group.tabular:
        untrained = [_untrained(one) for one in both if not np.isfinite(outcome(one, 1)).all()]
        if untrained:
            return f"{' and '.join(untrained)}, and {NOT_RETRAINED}"
        runs = [*group.runs, *baseline.runs]
        recipe = other_values(runs, "retrain.")
        if recipe:
            return f"the networks were retrained differently: {', '.join(recipe)}"
        lengths = sorted({len(run) for run in runs})
        if len(lengths) > 1 and not _equal_minutes(runs):
            return (
                f"the searches are not equally long ({lengths[0]} to {lengths[-1]} architectures), and the retrained "
                "network comes from the whole of each"
            )
    single = [one.label for one in both if len(one.runs) < 2]
    return f"one run only of {' and of '.join(single)}, so the spread over seeds is not known" if single else None


def paired(group: Group, baseline: Group) -> bool:
    """Whether the runs of the two are pairs: the same seeds, and runs of equal seed share their images.

    Runs over a table are never pairs: queries draw their noise in the order in which they come, so that runs of equal
    seed share at most the architectures with which some controllers begin at random. That makes the test of
    independent runs more cautious, not less. Where some seeds have no partner all runs count as independent, so that
    the test is of the means that are printed.
    """
    if group.tabular or group.seeds != baseline.seeds:
        return False
    return all(one.images == other.images for one, other in zip(group.runs, baseline.runs, strict=True))


def _untrained(group: Group) -> str:
    missing = int((~np.isfinite(outcome(group, 1))).sum())
    return f"{missing} of {len(group.runs)} runs of {group.label} have no retrained network with a test accuracy"


def _equal_minutes(runs: Sequence[Run]) -> bool:
    """Whether all searches ended by the same limit on time, which is an equal budget too."""
    return {run.result.get("stopped_by") for run in runs} == {"budget.minutes"} and (
        len({run.config.get("budget.minutes") for run in runs}) == 1
    )


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value

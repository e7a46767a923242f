"""What a comparison holds: groups of runs, what each reached, the tests. All outputs read it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlnas.runs.discover import LeftOut
from rlnas.runs.reader import Run

Floats = NDArray[np.float64]

BASELINES = ("random", "evolution")  # controllers that the others are tested against
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed. place: among the groups by name, which
    chooses its colour and dashes."""

    label: str
    controller: str
    runs: tuple[Run, ...]
    place: int

    @property
    def tabular(self) -> bool:
        """Whether the scores are from a table; else networks were trained."""
        return self.runs[0].table is not None

    @property
    def seeds(self) -> tuple[int, ...]:
        """In the order of the runs."""
        return tuple(run.seed for run in self.runs)

    def different(self, architectures: int) -> float:
        """Mean number of different architectures among the first so many."""
        return float(np.mean([run.different[architectures - 1] for run in self.runs]))

    @property
    def stopped_by(self) -> str:
        """What ended the searches: `budget.architectures`, or with counts where runs differ."""
        counts = Counter(str(run.result.get("stopped_by") or "unknown") for run in self.runs)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())

    def score(self, architectures: int) -> Floats:
        """Of each run's incumbent after so many architectures: (runs,)."""
        return np.array([run.score[architectures - 1] for run in self.runs])


@dataclass(frozen=True)
class Cell:
    """What a group reached after so many architectures, in the comparison's measure.

    low, high: 95% bootstrap interval of the mean; like standard_error NaN for one run. All are NaN where not
    every run has a value.
    """

    label: str
    architectures: int
    mean: float
    interquartile_mean: float
    standard_error: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class MeanTest:
    """A test of a group's mean against a baseline's after so many architectures.

    n, n_baseline: runs. paired: whether they are pairs, see `outcome.paired`. lead: difference of the means that
    are printed, positive if the group is better; low, high: its 95% interval, not adjusted for other tests. p: of
    the permutation test of the means; p_holm: adjusted for its family, it decides. p_ranks: of a test of ranks,
    which decides nothing. improvement: P(better) over all pairs of runs.
    """

    label: str
    baseline: str
    architectures: int
    n: int
    n_baseline: int
    paired: bool
    lead: float
    low: float
    high: float
    p: float
    p_holm: float
    p_ranks: float
    improvement: float

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `not told apart` where p_holm is not below 0.05."""
        if self.p_holm >= SIGNIFICANT:
            return "not told apart"
        return "better" if self.lead > 0 else "worse"


@dataclass(frozen=True)
class NoVerdict:
    """A group and a baseline that cannot be tested, and why, in words."""

    label: str
    baseline: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Everything that the outputs say.

    folders: paths as they were given. groups: best first, those without a value last. budget: architectures that every
    run has. checkpoints: where the groups are compared; of searches on images only the end. cells: by (label,
    architectures). validation: of searches on images, the validation accuracy of the retrained networks by label.
    optimum: None unless all scores are from a table, whose regret is then the measure. warnings: what a reader
    must know before believing a number.
    """

    folders: tuple[str, ...]
    groups: tuple[Group, ...]
    budget: int
    checkpoints: tuple[int, ...]
    cells: dict[tuple[str, int], Cell]
    validation: dict[str, Cell]
    tests: tuple[MeanTest, ...]
    no_verdicts: tuple[NoVerdict, ...]
    optimum: float | None
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]

    @property
    def tabular(self) -> bool:
        """Whether the scores are from a table; else networks were trained."""
        return self.groups[0].tabular

    @property
    def measure(self) -> str:
        """`regret`, the lower the better, or, the higher the better, `score` or `test accuracy`."""
        if not self.tabular:
            return "test accuracy"
        return "score" if self.optimum is None else "regret"

    @property
    def runs(self) -> list[Run]:
        """All runs that are compared."""
        return [run for group in self.groups for run in group.runs]

    @property
    def baselines(self) -> list[str]:
        """Labels of the groups that the others are tested against."""
        return [group.label for group in baselines(self.groups)] if len(self.groups) > 1 else []

    @property
    def has_time(self) -> bool:
        """Whether the seconds mean something: a look-up takes none, unless the table has training times."""
        tables = [run.table for run in self.runs]
        known = all(table is None or bool(table.get("simulated_seconds")) for table in tables)
        return known and all(run.seconds[-1] > 0 for run in self.runs)

    def test(self, label: str, baseline: str, architectures: int) -> MeanTest | None:
        """The test of that family at that place, None if there is none."""
        wanted = (label, baseline, architectures)
        return next((t for t in self.tests if (t.label, t.baseline, t.architectures) == wanted), None)

    def no_verdict(self, label: str, baseline: str) -> NoVerdict | None:
        """Why these two are not tested, None if they are."""
        wanted = (label, baseline)
        return next((one for one in self.no_verdicts if (one.label, one.baseline) == wanted), None)

    def measured(self, values: Floats) -> Floats:
        """Outcomes, of which the higher is better, in the comparison's measure."""
        return values if self.optimum is None else self.optimum - values


def baselines(groups: Sequence[Group]) -> list[Group]:
    """The groups that the others are tested against, random search first."""
    chosen = [group for group in groups if group.controller in BASELINES]
    return sorted(chosen, key=lambda group: (BASELINES.index(group.controller), group.label))

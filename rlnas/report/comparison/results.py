"""What a comparison holds: groups of runs, what each reached, the paired tests. All outputs read it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlnas.report.comparison.runs import LeftOut, SearchRun

Floats = NDArray[np.float64]

BASELINES = ("random", "evolution")  # controllers that the others are tested against
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed. place: among the groups by name, which
    chooses its colour and dashes."""

    label: str
    controller: str
    runs: tuple[SearchRun, ...]
    place: int

    @property
    def seeds(self) -> tuple[int, ...]:
        """In the order of the runs."""
        return tuple(run.seed for run in self.runs)

    def score(self, architectures: int) -> Floats:
        """Of each run's incumbent after so many architectures: (runs,)."""
        return np.array([run.score[architectures - 1] for run in self.runs])


@dataclass(frozen=True)
class Cell:
    """What a group reached after so many architectures, in the comparison's measure.

    low, high: 95% bootstrap interval of the mean; like standard_error NaN for one run.
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
class PairedTest:
    """A group against a baseline after so many architectures.

    pairs: seeds that both have. p: of the signed-rank test; p_holm: adjusted for its family. effect:
    matched-pairs rank-biserial, positive if the group is better. improvement: P(better) over all pairs of runs.
    """

    label: str
    baseline: str
    architectures: int
    pairs: int
    p: float
    p_holm: float
    effect: float
    improvement: float

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `not told apart` where p_holm is not below 0.05."""
        if self.p_holm >= SIGNIFICANT or self.effect == 0:
            return "not told apart"
        return "better" if self.effect > 0 else "worse"


@dataclass(frozen=True)
class Comparison:
    """Everything that the outputs say.

    folders: as they were given. groups: best first. budget: architectures that every run has. checkpoints:
    where the groups are compared. cells: by (label, architectures). optimum: None unless all scores are from a
    table, whose regret is then the measure. warnings: what a reader must know before believing a number.
    """

    folders: tuple[str, ...]
    groups: tuple[Group, ...]
    budget: int
    checkpoints: tuple[int, ...]
    cells: dict[tuple[str, int], Cell]
    tests: tuple[PairedTest, ...]
    optimum: float | None
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]

    @property
    def measure(self) -> str:
        """`regret`, the lower the better, or `score`, the higher the better."""
        return "score" if self.optimum is None else "regret"

    @property
    def runs(self) -> list[SearchRun]:
        """All runs that are compared."""
        return [run for group in self.groups for run in group.runs]

    @property
    def baselines(self) -> list[str]:
        """Labels of the groups that the others are tested against."""
        return list(dict.fromkeys(test.baseline for test in self.tests))

    @property
    def has_time(self) -> bool:
        """Whether the seconds mean something: a look-up takes none, unless the table has training times."""
        tables = [run.table for run in self.runs]
        known = all(table is None or bool(table.get("simulated_seconds")) for table in tables)
        return known and all(run.seconds[-1] > 0 for run in self.runs)

    def test(self, label: str, baseline: str, architectures: int) -> PairedTest | None:
        """The test of that family at that place, None if there is none."""
        wanted = (label, baseline, architectures)
        return next((t for t in self.tests if (t.label, t.baseline, t.architectures) == wanted), None)

    def measured(self, score: Floats) -> Floats:
        """Scores in the comparison's measure."""
        return score if self.optimum is None else self.optimum - score


def baselines(groups: Sequence[Group]) -> list[Group]:
    """The groups that the others are tested against, random search first."""
    chosen = [group for group in groups if group.controller in BASELINES]
    return sorted(chosen, key=lambda group: (BASELINES.index(group.controller), group.label))

"""True accuracies by training each architecture alone, side by side, kept in a file as they finish."""

import csv
import io
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from rlnas.errors import RlnasError
from rlnas.evaluators import Score
from rlnas.evaluators.alone import Recipe, to_train, train_from_scratch
from rlnas.executors import LocalExecutor
from rlnas.files import write_bytes, write_text
from rlnas.gap.restore import Searched
from rlnas.runs.tables import Table, read_rows
from rlnas.spaces import Architecture

COLUMNS = ("architecture", "accuracy", "seconds", "failed")
RECIPES = ("child", "retrain")
FOLDER = "gap"


@dataclass(frozen=True)
class Budget:
    """How each architecture is trained. recipe: the group of options, `child` or `retrain`. epochs: of each training,
    above 0, whole for `retrain`. minutes: no training is waited for after so many of this call; None: no limit.
    """

    recipe: str = "child"
    epochs: float = 3
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise RlnasError(f"--recipe is {self.recipe}, expected one of {', '.join(RECIPES)}")
        if not (math.isfinite(self.epochs) and self.epochs > 0):
            raise RlnasError(f"--epochs is {self.epochs:g}, expected a number above 0")
        if self.recipe == "retrain" and self.epochs != int(self.epochs):
            raise RlnasError(f"--epochs is {self.epochs:g}, expected a whole number for --recipe retrain")
        if self.minutes is not None and not self.minutes > 0:
            raise RlnasError(f"--minutes is {self.minutes:g}, expected a number above 0; leave it out for no limit")

    @property
    def file(self) -> str:
        """Name of the file of the finished trainings: every recipe and number of epochs has its own."""
        return f"trainings_{self.recipe}_{self.epochs:g}.csv"

    def options(self, run: Searched) -> dict[str, Any]:
        """Return the training's options."""
        return asdict(run.config.child if self.recipe == "child" else run.config.retrain)


class Trainings:
    """The trainings of one budget: finished ones are read from the file, others appended as they finish.

    known: rows by the architecture's text. A row depends on the run and the budget alone, so a file may be continued
    with other architectures. say: prints a line.
    """

    def __init__(self, run: Searched, budget: Budget, say: Callable[[str], None]):
        self.run = run
        self.budget = budget
        self.say = say
        self.path = run.folder / FOLDER / budget.file
        self.columns = (*COLUMNS, *(name for name in run.evaluator.value_names if name not in COLUMNS))
        self.known = self._read()

    def _read(self) -> dict[str, dict[str, str]]:
        """Return the valid rows. Others are trained again; the file as it was is kept beside it."""
        rows = read_rows(self.path)
        valid = {row["architecture"]: row for row in rows if self._valid(row)}
        if len(valid) < len(rows):
            kept = self.path.with_suffix(".damaged.csv")
            write_bytes(kept, self.path.read_bytes())
            out = io.StringIO()
            writer = csv.DictWriter(out, self.columns, restval="", extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(valid.values())
            write_text(self.path, out.getvalue())
            self.say(
                f"{self.path}: {len(rows) - len(valid)} of {len(rows)} rows are damaged or repeated and trained again; "
                f"the file as it was is {kept.name}"
            )
        return valid

    def _valid(self, row: dict[str, str]) -> bool:
        try:
            self.run.space.parse(row["architecture"])
            numbers = [float(row[name]) for name in ("accuracy", "seconds")]
        except (RlnasError, ValueError, TypeError, KeyError):
            return False
        return all(map(math.isfinite, numbers))

    def train(self, architectures: Sequence[Architecture]) -> int:
        """Train those that are not known yet, in this order; return how many of `architectures` are known then."""
        text, start = self.run.space.text, time.monotonic()
        missing = [one for one in architectures if text(one) not in self.known]
        done = len(architectures) - len(missing)
        if done:
            self.say(f"{done} of {len(architectures)} trainings are in {self.path}")
        if not missing:
            return done
        table = Table(self.path, self.columns, keep=len(self.known))
        try:
            with closing(self._scores(missing)) as scores:
                for architecture, score in zip(missing, scores, strict=True):
                    done += 1
                    self._keep(table, text(architecture), score)
                    self._tell(done, len(architectures), score, text(architecture))
                    if self.budget.minutes and time.monotonic() - start >= 60 * self.budget.minutes:
                        break
        finally:
            table.close()
        return done

    def _scores(self, architectures: Sequence[Architecture]) -> Generator[Score, None, None]:
        """Yield the scores in order, on the whole validation split, trained side by side on one thread each."""
        run, budget = self.run, self.budget
        if budget.recipe == "child":
            yield from run.evaluator.evaluate_alone(architectures, budget.epochs, from_shared=False)
            return
        config = replace(run.config.retrain, epochs=int(budget.epochs))
        alone = replace(run.execution, threads=1, scoring_threads=1)
        images = run.data.valid.in_content_order()
        recipe = Recipe(config, run.data, images, alone, run.config.seed, min(500, len(images)))
        items = [to_train(run.networks, architecture, config) for architecture in architectures]
        for _, score in LocalExecutor(run.execution.workers).map(train_from_scratch, recipe, items):
            yield score

    def _keep(self, table: Table, text: str, score: Score) -> None:
        values = {name: value for name, value in score.values.items() if name in self.columns}
        row = {**dict.fromkeys(self.columns), **values, "architecture": text, "seconds": round(score.seconds, 3)}
        row["failed"] = "" if score.failed is None else " ".join(score.failed.split())
        table.append([row])
        self.known[text] = table.rows[-1]

    def _tell(self, done: int, count: int, score: Score, text: str) -> None:
        failed = f" (counts as 0: {score.failed})" if score.failed else ""
        self.say(f"training {done}/{count}: {score.accuracy:.4f} in {score.seconds:.1f} s  {text}{failed}")

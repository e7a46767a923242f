"""CSV tables of a run, such as history.csv: rows are appended and flushed at once, and truncated exactly on resume."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlnas.errors import RlnasError
from rlnas.files import unwritable, write_text

HISTORY = (
    "index",
    "round",
    "architecture",
    "code",
    "reward",
    "accuracy",
    "params",
    "flops",
    "seconds",
    "cached",
    "score",
    "images",
)
ROUNDS = (
    "round",
    "epoch",
    "child_loss",
    "learning_rate",
    "architectures",
    "reward_mean",
    "accuracy_mean",
    "accuracy_best",
    "random_accuracy_mean",
    "random_reward_mean",
    "random_reward_gap",
    "entropy",
    "unique_share",
    "unique_share_total",
    "pool_share",
    "identity_share",
    "skip_rate",
    "skip_penalty_mean",
    "seconds_child",
    "seconds_evaluation",
    "seconds_controller",
    "seconds_rest",
)
WEIGHTS = ("round", "choice", "alternative", "weight")  # of architecture_weights.csv, of a gradient search
EFFORT = "epochs"  # column of history.csv of children trained alone: scores after fewer epochs are not compared
RETRAIN = ("epoch", "loss", "valid_accuracy")
_NO_VALUES = ("index", "round", "architecture", "code", "reward", "seconds", "cached", "score", "images")


class Table:
    """A CSV file to which batches of rows are appended.

    keep: number of rows of an existing file to keep; later ones belong to work that will be repeated.
    Floats are written so that they read back equal.
    """

    def __init__(self, path: Path, columns: Sequence[str], keep: int = 0):
        self.path = path
        self.columns = tuple(columns)
        rows = read_rows(path)[:keep] if keep else []
        self.rows = [{**dict.fromkeys(self.columns, ""), **row} for row in rows]  # the file may be older than a column
        if len(self.rows) < keep:
            raise RlnasError(
                f"{path} has {len(self.rows)} rows, but the checkpoint was written after {keep}; the file was changed "
                "or lost, so the run cannot be resumed"
            )
        write_text(path, ",".join(self.columns) + "\n" + self._lines(self.rows))
        self.file = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115 - open as long as the run

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows and flush. Raises RlnasError when they cannot be written."""
        text = self._lines(rows)
        self.rows += list(csv.DictReader(io.StringIO(text), self.columns))
        try:
            self.file.write(text)
            self.file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def sync(self) -> None:
        """Flush the appended rows to the disk. Raises RlnasError when that fails."""
        try:
            os.fsync(self.file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __len__(self) -> int:
        return len(self.rows)

    def _lines(self, rows: Sequence[Mapping[str, Any]]) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for row in rows:
            writer.writerow(["" if row[column] is None else row[column] for column in self.columns])
        return out.getvalue()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the complete rows of a table; an incomplete last line is skipped."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    return list(csv.DictReader(io.StringIO(whole)))


def effort_of(row: Mapping[str, Any]) -> float:
    """Return for how many epochs the architecture of a row of history.csv was trained alone; 0 if not recorded."""
    found = row.get(EFFORT)
    return float(found) if found not in (None, "") and found == found else 0.0


def row_values(row: Mapping[str, str]) -> dict[str, float]:
    """Return the known values and costs of the architecture in a row of history.csv, by name."""
    return {name: float(text) for name, text in row.items() if name not in _NO_VALUES and text}

"""history.csv and its like: rows appended and flushed as they happen, cut back exactly on resume."""

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
    "entropy",
    "skip_rate",
    "skip_penalty_mean",
    "seconds_child",
    "seconds_evaluation",
    "seconds_controller",
    "seconds_rest",
)
RETRAIN = ("epoch", "loss", "valid_accuracy")


class Table:
    """A CSV file that grows by whole batches of rows.

    keep: how many rows of an existing file stay; later ones belong to work that is about to be repeated.
    Floats are written so that they read back equal.
    """

    def __init__(self, path: Path, columns: Sequence[str], keep: int = 0):
        self.path = path
        self.columns = tuple(columns)
        rows = read_rows(path)[:keep] if keep else []
        self.rows = [{**dict.fromkeys(self.columns, ""), **row} for row in rows]  # begun before a column existed
        if len(self.rows) < keep:
            raise RlnasError(
                f"{path} has {len(self.rows)} rows, but the checkpoint was written after {keep}; the file was changed "
                "or lost, so the run cannot go on"
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
        """Force what was appended to the disk. Raises RlnasError when that fails."""
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
    """The whole rows of a table; a last line that was cut off in writing is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    return list(csv.DictReader(io.StringIO(whole)))

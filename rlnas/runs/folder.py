"""An open run folder: tables, checkpoints, timers, console output; the same for every kind of run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlnas.config.schema import Config
from rlnas.files import write_json
from rlnas.runs.checkpoint import load_checkpoint, save_checkpoint
from rlnas.runs.clock import Clock
from rlnas.runs.environment import write_environment
from rlnas.runs.progress import Progress
from rlnas.runs.tables import HISTORY, ROUNDS, WEIGHTS, Table


class RunFolder:
    """The open folder of a new or resumed run.

    saved: the newest valid checkpoint, None in a new run. resumed: number of times the run was resumed.
    """

    def __init__(self, path: Path, config: Config):
        self.path = path
        self.config = config
        self.clock = Clock()
        self.saved = load_checkpoint(path / "checkpoint")
        self.resumed = 0
        if self.saved is not None:
            self.clock.seconds = dict(self.saved["seconds"])
            self.resumed = self.saved["resumed"] + 1

    def open(self, execution: dict[str, Any], table: str | None = None, values: Sequence[str] = ()) -> None:
        """Open the tables, truncated to the rows of the checkpoint, and the display.

        execution: device and settings, at least the number of threads. table: SHA-256 of the file that the space was
        read from, None without one. values: names of the evaluator's values beside the accuracy.
        """
        rows = self.saved or {}
        columns = (*HISTORY, *(name for name in values if name not in HISTORY))
        self.history = Table(self.path / "history.csv", columns, keep=rows.get("history_rows", 0))
        self.rounds = Table(self.path / "rounds.csv", ROUNDS, keep=rows.get("rounds_rows", 0))
        self.tables = [self.history, self.rounds]
        self.progress = Progress(self.config.progress, self.path / "tensorboard")
        self.progress.go_on_after(
            warmup=rows.get("warm_epochs", 0), search=len(self.rounds), retrain=rows.get("retrain_rows", 0)
        )
        write_environment(self.path, self.config, execution, table=table)

    def open_weights(self) -> Table:
        """Open the table of a gradient search's architecture weights, truncated to the rows of the checkpoint."""
        table = Table(self.path / "architecture_weights.csv", WEIGHTS, keep=(self.saved or {}).get("weights_rows", 0))
        self.tables.append(table)
        return table

    def greet(self) -> None:
        """Print the run folder, and the checkpoint that it resumes from."""
        self.progress.say(f"run folder: {self.path}")
        if self.saved is not None:
            scored = f"{len(self.history)} architectures scored before"
            self.progress.say(f"resumed from a checkpoint: {self.saved['phase']}, {scored}")

    def checkpoint(self, phase: str, state: dict[str, Any]) -> None:
        """Write `state` and the entries common to all checkpoints."""
        for table in self.tables:
            table.sync()  # a checkpoint must not be newer on disk than the rows it counts
        common = {"phase": phase, "seconds": self.clock.read(), "resumed": self.resumed}
        save_checkpoint(self.path / "checkpoint", {**state, **common})

    def write_result(self, values: dict[str, Any]) -> dict[str, Any]:
        """Write result.json, `values` and the entries common to all results; return its content."""
        seconds = {name: round(value, 3) for name, value in self.clock.read().items()}
        result = {
            "name": self.config.name,
            **values,
            "controller": self.config.controller.name,
            "evaluator": self.config.evaluator.name,
            "seed": self.config.seed,
            "children_evaluated": len(self.history),
            "children_unique": len({row["architecture"] for row in self.history.rows}),
            "seconds": {**seconds, "total": round(sum(seconds.values()), 3)},
            "resumed": self.resumed,
        }
        write_json(self.path / "result.json", result)
        return result

    def close(self) -> None:
        """Close the tables and the display."""
        self.progress.close()
        for table in self.tables:
            table.close()

"""A run folder while its run is at work: tables, checkpoints, seconds and words, the same for every kind of run."""

from pathlib import Path
from typing import Any

from rlnas.config.schema import Config
from rlnas.files import write_json
from rlnas.runs.checkpoint import load_checkpoint, save_checkpoint
from rlnas.runs.clock import Clock
from rlnas.runs.environment import write_environment
from rlnas.runs.progress import Progress
from rlnas.runs.tables import HISTORY, ROUNDS, Table


class RunFolder:
    """The open folder of a new or resumed run.

    saved: the newest sound checkpoint, None in a new run. resumed: how often the run was gone on with.
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

    def open(self, execution: dict[str, Any], table: str | None = None) -> None:
        """Open the tables, cut back to the checkpoint, and begin to speak.

        execution: on what is computed, at least the number of threads. table: SHA-256 of the table's file, None
        where networks are trained.
        """
        rows = self.saved or {}
        self.history = Table(self.path / "history.csv", HISTORY, keep=rows.get("history_rows", 0))
        self.rounds = Table(self.path / "rounds.csv", ROUNDS, keep=rows.get("rounds_rows", 0))
        self.tables = [self.history, self.rounds]
        self.progress = Progress(self.config.progress, self.path / "tensorboard")
        self.progress.go_on_after(
            warmup=rows.get("warm_epochs", 0), search=len(self.rounds), retrain=rows.get("retrain_rows", 0)
        )
        write_environment(self.path, self.config, execution, table=table)

    def greet(self) -> None:
        """Say where the run is, and what it goes on from."""
        self.progress.say(f"run folder: {self.path}")
        if self.saved is not None:
            scored = f"{len(self.history)} architectures scored before"
            self.progress.say(f"resumed from a checkpoint: {self.saved['phase']}, {scored}")

    def checkpoint(self, phase: str, state: dict[str, Any]) -> None:
        """Write `state` with what every checkpoint holds."""
        for table in self.tables:
            table.sync()  # a checkpoint must not be newer on disk than the rows it counts
        common = {"phase": phase, "seconds": self.clock.read(), "resumed": self.resumed}
        save_checkpoint(self.path / "checkpoint", {**state, **common})

    def write_result(self, values: dict[str, Any]) -> dict[str, Any]:
        """Write result.json: `values` and what every result holds; returns it."""
        seconds = {name: round(value, 3) for name, value in self.clock.read().items()}
        result = {
            "name": self.config.name,
            **values,
            "controller": self.config.controller.name,
            "evaluator": self.config.evaluator.name,
            "seed": self.config.seed,
            "children_evaluated": len(self.history),
            "children_unique": len({row["code"] for row in self.history.rows}),
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

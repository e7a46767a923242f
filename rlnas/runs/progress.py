"""Progress of a run: a live bar on a terminal, plain lines elsewhere; TensorBoard in both cases."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

T = TypeVar("T")

log = logging.getLogger("rlnas")


class Progress:
    """The display of a run. mode: `auto` (a live bar if the output is a terminal), `plain` (lines), `off`.

    tensorboard: folder of the event files, None for none.
    """

    def __init__(self, mode: str, tensorboard: Path | None = None):
        self.mode = mode
        self.console = Console(highlight=False, soft_wrap=True)
        self.live = mode == "auto" and sys.stdout.isatty()
        self._tensorboard = tensorboard
        self._done: dict[str, int] = {}
        self._writers: dict[str, Any] = {}
        self._since = time.monotonic()
        self._done_before: float | None = None
        self._bar: Bar | None = None
        self._search: TaskID | None = None
        if self.live:
            self._bar = Bar(
                TextColumn("{task.description:<26}"),
                BarColumn(bar_width=30),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
            )
            self._search = self._bar.add_task("search", total=1.0, note="")
            self._bar.start()

    def go_on_after(self, *, warmup: int, search: int, retrain: int) -> None:
        """Set the numbers of finished warm-up epochs, rounds and retraining epochs; later events are overwritten."""
        self._done = {"warmup": warmup, "search": search, "retrain": retrain}

    def say(self, line: str) -> None:
        """Write one line to screen and log file."""
        log.info(line)
        if self.mode != "off":
            (self._bar.console if self._bar else self.console).print(line, markup=False)

    def track(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Yield the items and advance a bar."""
        if self._bar is None:
            yield from items
            return
        task = self._bar.add_task(f"{what}: shared weights", total=total, note="")
        try:
            for item in items:
                yield item
                self._bar.advance(task)
        finally:
            self._bar.remove_task(task)

    def warmed_up(self, epoch: int, epochs: int, loss: float) -> None:
        """Report a finished epoch of the warm-up."""
        self.say(f"warm-up {epoch}/{epochs}  loss of the shared weights {loss:.3f}")
        self._scalars("warmup", {"child_loss": loss}, epoch)

    def round_closed(self, row: dict[str, Any], scored: int, done: float, logged: dict[str, float]) -> None:
        """Report a finished round: its row of rounds.csv, number of scored architectures, share of the budget used."""
        now = time.monotonic()
        if self._done_before is None:  # the first round of this process
            self._done_before, self._since = done, now
            seconds = row["seconds_child"] + row["seconds_evaluation"]
            rate_of_progress = done / max(row["round"], 1) / max(seconds, 1e-9)
        else:
            rate_of_progress = (done - self._done_before) / max(now - self._since, 1e-9)
        remaining = (1 - done) / rate_of_progress if rate_of_progress > 0 else 0.0
        speed = scored / row["seconds_evaluation"] if row["seconds_evaluation"] else 0.0
        loss = "" if row["child_loss"] is None else f"  child loss {row['child_loss']:.3f}"
        control = "" if row["random_reward_mean"] is None else f" (random {row['random_reward_mean']:.4f})"
        self.say(
            f"round {row['round']}{loss}  reward {row['reward_mean']:.4f}{control}  best so far "
            f"{row['accuracy_best']:.4f}  entropy {row['entropy']:.3f}  unique {row['unique_share']:.2f}  "
            f"{speed:.1f} children/s  ETA {_clock(remaining)}"
        )
        if self._bar is not None and self._search is not None:
            self._bar.update(self._search, completed=done, note=f"best {row['accuracy_best']:.4f}")
        named = {key: value for key, value in row.items() if value is not None and key != "round"}
        controller = {f"controller/{key.removeprefix('train/')}": value for key, value in logged.items()}
        self._scalars("search", {**named, **controller}, row["round"])

    def retrained(self, epoch: int, epochs: int, loss: float, seconds: float) -> None:
        """Report a finished epoch of the retraining."""
        remaining = _clock(seconds * (epochs - epoch))
        self.say(f"retraining {epoch}/{epochs}  loss {loss:.3f}  ETA {remaining}")
        if self._bar is not None and self._search is not None:
            self._bar.update(self._search, description="retraining", completed=epoch / epochs, note=f"loss {loss:.3f}")
        self._scalars("retrain", {"loss": loss}, epoch)

    def close(self) -> None:
        """Stop the bar, flush the event files."""
        if self._bar is not None:
            self._bar.stop()
        for writer in self._writers.values():
            writer.close()

    def _scalars(self, axis: str, values: dict[str, float], step: int) -> None:
        """Write to the event files of `axis`; its steps are warm-up epochs, rounds or epochs."""
        if self._tensorboard is None:
            return
        if axis not in self._writers:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            purge = self._done.get(axis, 0) + 1
            self._writers[axis] = SummaryWriter(str(self._tensorboard / axis), purge_step=purge)
        for name, value in values.items():
            self._writers[axis].add_scalar(f"{axis}/{name}", value, step)
        self._writers[axis].flush()


def _clock(seconds: float) -> str:
    """Format as minutes and seconds, 75 -> 1:15; with hours from one hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

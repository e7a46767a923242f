"""The runs below given folders that can be compared; a run that cannot says why."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlnas.config.quoting import folder_name, without_home
from rlnas.errors import RlnasError
from rlnas.runs.reader import MARKS, controller_name, read_run
from rlnas.runs.run import Run


@dataclass(frozen=True)
class LeftOut:
    """A run that is not compared, and why. controller: empty if not even that is known."""

    folder: Path
    controller: str
    reason: str

    @property
    def name(self) -> str:
        """The folder's name in a text."""
        return folder_name(self.folder)

    @property
    def told(self) -> str:
        """The reason without the name of a home folder."""
        return without_home(self.reason)


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """The run folders that are given or lie below the given folders, each once, sorted within each given one.

    Raises RlnasError for a folder that does not exist, or if there are no runs at all.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise RlnasError(f"{folder} is no folder; give run folders or folders that hold some, as a sweep's does")
        for run in _below(folder):
            found.setdefault(run.resolve(), run)
    if not found:
        names = ", ".join(str(folder) for folder in folders)
        raise RlnasError(
            f"no runs found in {names}: expected folders with environment.json, history.csv and result.json, as "
            "`python -m rlnas` makes them"
        )
    return list(found.values())


def load_runs(folders: Sequence[Path]) -> tuple[list[Run], list[LeftOut]]:
    """The runs of `find_runs` that can be compared, and those that cannot. RlnasError as there."""
    runs, left_out = [], []
    for folder in find_runs(folders):
        try:
            runs.append(comparable(read_run(folder)))
        except RlnasError as error:
            left_out.append(LeftOut(folder, controller_name(folder), str(error)))
    return runs, left_out


def comparable(run: Run) -> Run:
    """The run itself; RlnasError with the reason if it cannot be compared."""
    if not run.settings:
        raise RlnasError("the configuration is not known: no config in environment.json, no .hydra/config.yaml")
    if not run.controller or not isinstance(run.result.get("seed"), int):
        raise RlnasError("result.json is damaged: it has no controller or no seed")
    expected = run.result.get("children_evaluated")
    if expected == 0:
        raise RlnasError("nothing was searched: the architecture was given")
    if not (run.folder / "history.csv").exists():
        raise RlnasError("history.csv is missing")
    if len(run) == 0 or (isinstance(expected, int) and len(run) != expected):
        raise RlnasError(f"history.csv is damaged: {len(run)} rows, result.json has children_evaluated={expected}")
    return run


def _below(folder: Path) -> list[Path]:
    runs = []
    for path, folders, _ in os.walk(folder):
        if any((Path(path) / mark).exists() for mark in MARKS):
            runs.append(Path(path))
            folders.clear()  # what lies in a run folder is no other run
    return sorted(runs, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Job 10 of a sweep comes after job 9."""
    heads = [part.partition("_")[0] for part in path.parts]
    return [(int(head) if head.isdecimal() else -1, part) for head, part in zip(heads, path.parts, strict=True)]

"""The runs to compare: found below the given folders, read and checked. A run that cannot count says why."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rlnas.config.plain_data import flatten
from rlnas.errors import RlnasError
from rlnas.report.command import resume_command
from rlnas.runs.reader import number

MARKS = ("environment.json", "history.csv", "result.json", ".hydra")  # one of them makes a folder a run folder
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SearchRun:
    """A finished search of n architectures.

    config: the configuration with dotted keys. result: result.json. versions, arguments: of environment.json;
    threads: too, None where it does not say.
    score: (n,), the score of the incumbent after 1..n architectures, in the table's units, or an accuracy in
    0..1. seconds: (n,), spent up to and with each architecture. different: (n,), how many different
    architectures were among the first 1..n. noise: standard deviation of the observed minus the true value over
    the n queries, in the table's units; NaN where the true values are not known.
    """

    folder: Path
    controller: str
    seed: int
    config: dict[str, Any]
    result: dict[str, Any]
    versions: dict[str, str]
    arguments: tuple[str, ...]
    threads: int | None
    score: Floats
    seconds: Floats
    different: NDArray[np.int64]
    noise: float

    @property
    def table(self) -> dict[str, Any] | None:
        """What result.json says of the table that gave the scores; None if the children were trained."""
        table = self.result.get("table")
        return table if isinstance(table, dict) else None

    @property
    def optimum(self) -> float | None:
        """The best score of the table, in its units; None if it is not known."""
        return number((self.table or {}).get("optimum"))

    @property
    def images(self) -> tuple[Any, ...]:
        """What decides which images are in the training, validation and test split; equal for equal splits."""
        data = tuple(sorted((key, str(value)) for key, value in self.config.items() if key.startswith("data.")))
        return (self.seed, self.result.get("dataset"), self.result.get("dataset_note"), data)

    def accuracy_of(self, split: str) -> float | None:
        """Accuracy, 0..1, of the retrained network on the split `valid` or `test`; None if none was retrained."""
        best = self.result.get("best")
        return number(best.get(f"{split}_accuracy")) if isinstance(best, dict) else None

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class LeftOut:
    """A run that is not compared, and why. controller: empty if not even that is known."""

    folder: Path
    controller: str
    reason: str


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """The run folders that are given or lie below the given folders, each once, sorted within each given one.

    Raises RlnasError for a folder that is none, or if there are no runs at all.
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


def load_runs(folders: Sequence[Path]) -> tuple[list[SearchRun], list[LeftOut]]:
    """The runs of `find_runs` that can be compared, and those that cannot. RlnasError as there."""
    runs, left_out = [], []
    for folder in find_runs(folders):
        try:
            runs.append(read_run(folder))
        except RlnasError as error:
            left_out.append(LeftOut(folder, _controller(folder), str(error)))
    return runs, left_out


def read_run(folder: Path) -> SearchRun:
    """The search of a run folder. Raises RlnasError with the reason why it cannot be compared."""
    environment = _object(folder / "environment.json", "the run failed before it began")
    config = environment.get("config")
    if not isinstance(config, dict):
        raise RlnasError("environment.json is damaged: it has no config")
    if not (folder / "result.json").exists():
        rows = _rows(folder / "history.csv")
        raise RlnasError(
            f"not finished: no result.json, {rows} architectures scored{_failure(folder)}; go on with it by "
            f"{resume_command(folder)}"
        )
    result = _object(folder / "result.json", "not finished")
    controller, seed = result.get("controller"), result.get("seed")
    if not isinstance(controller, str) or not isinstance(seed, int):
        raise RlnasError("result.json is damaged: it has no controller or no seed")
    if not isinstance(result.get("space"), dict) or "name" not in result["space"]:
        raise RlnasError("result.json is damaged: it has no space.name")
    history = _history(folder / "history.csv", result)
    observed = history["accuracy"].to_numpy(dtype=float)
    tabular = isinstance(result.get("table"), dict)
    score = history["score"].to_numpy(dtype=float) if tabular else observed
    return SearchRun(
        folder=folder,
        controller=controller,
        seed=seed,
        config=flatten(config),
        result=result,
        versions={str(key): str(value) for key, value in (environment.get("versions") or {}).items()},
        arguments=tuple(str(item) for item in environment.get("arguments") or ()),
        threads=_threads(environment),
        score=score[incumbents(observed)],
        seconds=np.cumsum(history["seconds"].fillna(0.0).to_numpy(dtype=float)),
        different=np.cumsum(~history["code"].duplicated().to_numpy()),
        noise=float((observed - score).std()) if tabular else float("nan"),
    )


def incumbents(observed: Floats) -> NDArray[np.int64]:
    """The index of the best observed value among the first 1..n: (n,) to (n,); the first of equal ones."""
    before = np.concatenate(([-np.inf], np.maximum.accumulate(observed)[:-1]))
    better = observed > before
    better[0] = True
    result: NDArray[np.int64] = np.maximum.accumulate(np.where(better, np.arange(len(observed)), 0))
    return result


def _history(path: Path, result: dict[str, Any]) -> pd.DataFrame:
    """The columns that are compared, checked, one row for each architecture that was scored."""
    expected = result.get("children_evaluated")
    if expected == 0:
        raise RlnasError("nothing was searched: the architecture was given")
    wanted = ["code", "accuracy", "seconds"] + (["score"] if isinstance(result.get("table"), dict) else [])
    try:
        table: pd.DataFrame = pd.read_csv(path, dtype={"code": str}, usecols=lambda name: name in wanted)
    except FileNotFoundError:
        raise RlnasError("history.csv is missing") from None
    except (OSError, ValueError) as error:  # pandas' ParserError and UnicodeDecodeError are ValueErrors
        raise RlnasError(f"history.csv is damaged: {' '.join(str(error).split())}") from None
    missing = [name for name in wanted if name not in table]
    if missing:
        raise RlnasError(f"history.csv is damaged: it has no column {missing[0]}")
    for name in wanted[1:]:
        values = pd.to_numeric(table[name], errors="coerce")
        bad = ~np.isfinite(values.to_numpy(dtype=float)) & (name != "seconds")
        if bad.any():
            row = int(bad.argmax())
            raise RlnasError(f"history.csv is damaged: line {row + 2} has no number as {name}")
        table[name] = values
    if len(table) == 0 or (isinstance(expected, int) and len(table) != expected):
        raise RlnasError(f"history.csv has {len(table)} rows, result.json speaks of {expected} architectures")
    return table


def _rows(path: Path) -> int:
    try:
        return max(path.read_bytes().count(b"\n") - 1, 0)
    except OSError:
        return 0


def _failure(folder: Path) -> str:
    """What the run's log ends with, if that is its failure."""
    try:
        lines = (folder / "rlnas.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    _, failed, message = (lines or [""])[-1].partition(" failed: ")
    return f", failed: {message}" if failed else ""


def _controller(folder: Path) -> str:
    try:
        config = json.loads((folder / "environment.json").read_text(encoding="utf-8"))["config"]
        return str(config["controller"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _threads(environment: dict[str, Any]) -> int | None:
    execution = environment.get("execution")
    if isinstance(execution, dict) and isinstance(execution.get("search"), dict):
        execution = execution["search"]  # one record for each phase; older runs have one for all
    threads = execution.get("threads") if isinstance(execution, dict) else None
    return threads if isinstance(threads, int) else None


def _object(path: Path, absent: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RlnasError(f"{absent}: no {path.name}") from None
    except (OSError, ValueError) as error:
        raise RlnasError(f"{path.name} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise RlnasError(f"{path.name} is damaged: it holds no object")
    return value

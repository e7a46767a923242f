"""What a run folder holds, read once and checked."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from rlnas.config.build import build_space_config
from rlnas.config.composed import read_composed, read_overrides
from rlnas.config.quoting import compare_command, run_command
from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph, cost
from rlnas.runs.tables import HISTORY, RETRAIN, ROUNDS
from rlnas.spaces import Architecture, ChainSpace, make_space

PHASES = ("data", "warmup", "child", "evaluation", "controller", "select", "retrain")  # then others, then rest
TEXT = ("architecture", "code", "score")  # code is a big integer: beyond 64 bits, so never a number here
DRAWN = tuple(column for column in HISTORY if column not in ("score", "images"))  # what every run of a network has
OPTIONAL = ("child_loss", "learning_rate", "random_accuracy_mean", "random_reward_mean", "skip_rate", "valid_accuracy")


@dataclass(frozen=True)
class Run:
    """A run folder.

    folder: as it was given. result: result.json. history, rounds, retrain: the tables, with all their
    columns and no rows where the file is absent; a number that is not known is NaN. config: the text of
    the composed configuration, empty if absent. overrides: what the user typed after `python -m rlnas`.
    environment: environment.json, empty if absent. final_space: options of the space that may differ in
    the final network. weights: whether the found network's weights are in the folder.
    """

    folder: Path
    result: dict[str, Any]
    history: pd.DataFrame
    rounds: pd.DataFrame
    retrain: pd.DataFrame
    config: str
    overrides: list[str]
    environment: dict[str, Any]
    final_space: dict[str, Any]
    weights: bool

    @cached_property
    def space(self) -> ChainSpace:
        """The space that was searched."""
        return self._space({})

    def _space(self, options: dict[str, Any]) -> ChainSpace:
        space = self.result["space"]
        options = {**(space.get("options") or {}), **options, "name": space["name"]}
        found = make_space(build_space_config(options))
        assert isinstance(found, ChainSpace)  # load_run refuses tables
        return found

    @property
    def best(self) -> dict[str, Any] | None:
        """The found architecture's record; None if the run found none."""
        return self.result.get("best") or None

    @property
    def architecture(self) -> Architecture | None:
        """The found architecture."""
        return self.space.parse(self.best["architecture"]) if self.best else None

    @cached_property
    def graph(self) -> Graph | None:
        """The found network: the final one if it differs from the one in the search (wider, ...).

        `best.params` tells which of the two was built.
        """
        if self.best is None or self.architecture is None:
            return None
        images = self.result.get("images") or {}
        graphs = [
            self._space(options).graph(
                self.architecture,
                image_channels=int(images.get("channels", 3)),
                image_size=int(images.get("size", 32)),
                classes=max(len(images.get("classes") or []), 1),
            )
            for options in ([self.final_space, {}] if self.final_space else [{}])
        ]
        return next((graph for graph in graphs if cost(graph).params == self.best.get("params")), graphs[-1])

    @property
    def retrained(self) -> bool:
        """Whether the found network was trained from scratch."""
        return len(self.retrain) > 0 or bool(self.best and number(self.best.get("valid_accuracy")) is not None)

    def phases(self) -> dict[str, float]:
        """Seconds of each phase that took any time, in the order of PHASES, without the total."""
        seconds = self.result.get("seconds") or {}
        names = [*PHASES, *(key for key in seconds if key not in (*PHASES, "rest", "total")), "rest"]
        values = {key: number(seconds.get(key)) for key in names}
        return {key: value for key, value in values.items() if value is not None and value >= 0.05}


def load_run(folder: Path) -> Run:
    """The run in this folder; RlnasError if it is none, or if one of its files is damaged."""
    folder = Path(folder)
    result = _result(folder)
    if result.get("table"):
        raise RlnasError(f"{folder} is a run over a table, which has no report; use {compare_command([folder])}")
    overrides, config_file = folder / ".hydra" / "overrides.yaml", folder / ".hydra" / "config.yaml"
    environment = _json(folder / "environment.json") if (folder / "environment.json").is_file() else {}
    run = Run(
        folder=folder,
        result=result,
        history=_table(folder / "history.csv", DRAWN),
        rounds=_table(folder / "rounds.csv", ROUNDS),
        retrain=_table(folder / "retrain.csv", RETRAIN),
        config=_text(config_file) if config_file.is_file() else "",
        overrides=read_overrides(overrides) if overrides.is_file() else [],
        environment=environment,
        final_space=result.get("final_space") or _retrain_space(config_file),
        weights=(folder / "best" / "model.safetensors").is_file(),
    )
    try:
        _ = run.space, run.architecture
    except RlnasError as error:
        raise RlnasError(f"{folder / 'result.json'}: {error}") from None
    return run


def number(value: Any) -> float | None:
    """A finite number, or None for everything that is none: null, NaN, text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _result(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    if not folder.is_dir():
        raise RlnasError(f"{folder} is no folder; expected the folder of a run, such as outputs/NAME")
    if not path.is_file():
        if (folder / "history.csv").is_file() or (folder / "checkpoint").is_dir():
            raise RlnasError(
                f"{folder} holds a run that has not finished: no result.json; "
                f"let it go on with {run_command(resume=folder)}"
            )
        found = ", ".join(sorted(item.name for item in folder.iterdir())[:5]) or "nothing"
        raise RlnasError(f"{folder} is no run folder: expected result.json, found {found}; give the run's own folder")
    result = _json(path)
    space, best = result.get("space"), result.get("best")
    if not isinstance(space, dict) or "name" not in space:
        raise RlnasError(f"{path} has no space.name; was it written by rlnas?")
    if best is not None and not (isinstance(best, dict) and isinstance(best.get("architecture"), str)):
        raise RlnasError(f"{path} has no best.architecture; was it written by rlnas?")
    return result


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RlnasError(f"{path} cannot be read: {error}") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path))
    except ValueError as error:
        raise RlnasError(f"{path} is no JSON ({error}); the file is damaged or was edited") from None
    if not isinstance(value, dict):
        raise RlnasError(f"{path} holds a JSON {type(value).__name__}, expected an object")
    return value


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A CSV file whose numbers are numbers; an absent or empty one has the columns and no rows."""
    if not path.is_file() or path.stat().st_size == 0:
        dtypes = {column: object if column in TEXT else float for column in columns}
        nothing: pd.DataFrame = pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in dtypes.items()})
        return nothing
    try:
        table: pd.DataFrame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' ParserError is a ValueError
        raise RlnasError(f"{path} cannot be read as a table: {error}") from None
    missing = [column for column in columns if column not in table]
    if missing:
        raise RlnasError(f"{path} lacks the column {missing[0]}; expected {', '.join(columns)}")
    numbers: dict[str, Any] = {}
    for column in table.columns:
        if column in TEXT:
            continue
        empty = table[column] == ""
        values = pd.to_numeric(table[column], errors="coerce")
        bad = values.isna() & ~empty & (table[column].str.lower() != "nan")
        if column in columns and column not in OPTIONAL:
            bad |= values.isna()
        if bad.any():
            row = int(bad.to_numpy().argmax())
            raise RlnasError(
                f"{path}, line {row + 2}: {column} is '{table[column].iloc[row]}', expected a number; "
                "was the file cut off or edited?"
            )
        numbers[column] = values.astype(float)
    result: pd.DataFrame = table.assign(**numbers)
    return result


def _retrain_space(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    retrain = read_composed(path).get("retrain") or {}
    return {str(key): value for key, value in dict(retrain.get("space") or {}).items()}

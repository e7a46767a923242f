"""The one reader of run folders: a finished run of any space and version, or the reason why there is none."""

import json
from pathlib import Path
from typing import Any

import yaml

from rlnas.config.composed import read_overrides
from rlnas.errors import RlnasError
from rlnas.runs.commands import resume_command
from rlnas.runs.older import modernized
from rlnas.runs.run import Run, incumbents
from rlnas.runs.tables import HISTORY, RETRAIN, ROUNDS, WEIGHTS
from rlnas.runs.values import number, read_object, read_table, read_text

__all__ = ["MARKS", "Run", "controller_name", "incumbents", "load_run", "number", "read_run"]

MARKS = ("environment.json", "history.csv", "result.json", ".hydra")  # one of them makes a folder a run folder
OF_A_SCORE = ("architecture", "round", "reward", "accuracy", "seconds")
OF_A_ROUND = ("round", "architectures")


def load_run(folder: Path) -> Run:
    """The finished run in this folder; RlnasError if it holds none, or if one of its files is damaged."""
    folder = Path(folder)
    if not folder.is_dir():
        raise RlnasError(f"{folder} is no folder; expected the folder of a run, such as outputs/NAME")
    if not any((folder / mark).exists() for mark in MARKS):
        found = ", ".join(sorted(item.name for item in folder.iterdir())[:5]) or "nothing"
        raise RlnasError(f"{folder} is no run folder: expected result.json, found {found}; give the run's own folder")
    try:
        return read_run(folder)
    except RlnasError as error:
        raise RlnasError(f"{folder}: {error}") from None


def read_run(folder: Path) -> Run:
    """`load_run`, whose errors do not repeat the folder."""
    environment = read_object(folder / "environment.json") if (folder / "environment.json").is_file() else {}
    if not (folder / "result.json").exists():
        raise RlnasError(_unfinished(folder, begun=bool(environment)))
    result = read_object(folder / "result.json")
    space, best = result.get("space"), result.get("best")
    if not isinstance(space, dict) or "name" not in space:
        raise RlnasError("result.json is damaged: it has no space.name")
    if best is not None and not (isinstance(best, dict) and isinstance(best.get("architecture"), str)):
        raise RlnasError("result.json is damaged: it has no best.architecture")
    needed = (*OF_A_SCORE, "score") if isinstance(result.get("table"), dict) else OF_A_SCORE
    overrides, config_file = folder / ".hydra" / "overrides.yaml", folder / ".hydra" / "config.yaml"
    composed = read_text(config_file) if config_file.is_file() else ""
    return Run(
        folder=folder,
        result=result,
        history=read_table(folder / "history.csv", HISTORY, needed),
        rounds=read_table(folder / "rounds.csv", ROUNDS, OF_A_ROUND),
        retrain=read_table(folder / "retrain.csv", RETRAIN, ("epoch", "loss")),
        settings=_settings(environment, composed),
        composed=composed,
        overrides=read_overrides(overrides) if overrides.is_file() else [],
        environment=environment,
        weights=(folder / "best" / "model.safetensors").is_file(),
        architecture_weights=read_table(folder / "architecture_weights.csv", WEIGHTS, WEIGHTS[:1]),
    )


def controller_name(folder: Path) -> str:
    """The controller of a run that may not have finished; empty if not even that is known."""
    try:
        config = json.loads((folder / "environment.json").read_text(encoding="utf-8"))["config"]
        return str(config["controller"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _settings(environment: dict[str, Any], composed: str) -> dict[str, Any]:
    """The nested configuration, in today's terms: of environment.json, else of .hydra/config.yaml."""
    recorded = environment.get("config")
    if recorded is None and composed:
        try:
            recorded = yaml.safe_load(composed)
        except yaml.YAMLError as error:
            raise RlnasError(f"config.yaml is damaged: {' '.join(str(error).split())}") from None
    return modernized(recorded) if isinstance(recorded, dict) else {}


def _unfinished(folder: Path, *, begun: bool) -> str:
    if not begun and not (folder / "history.csv").is_file():
        return "the run failed before it began: no environment.json"
    return (
        f"not finished: no result.json, {_rows(folder / 'history.csv')} architectures scored{_failure(folder)}; "
        f"resume it with {resume_command(folder)}"
    )


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

"""Files that a run writes: recognise those of rlnas, detect results, remove by name what an unused run left."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rlnas.config.composed import read_composed
from rlnas.errors import RlnasError
from rlnas.runs.tables import read_rows

LOG = "rlnas.log"
ENVIRONMENT, HYDRA = "environment.json", ".hydra"
TABLES = ("history.csv", "rounds.csv", "architecture_weights.csv", "retrain.csv")
SHARED_WEIGHTS = "shared_weights.checkpoint"
# written at the end of a search, or of the run, only
RESULTS = ("result.json", "report.html", "best", "figures", "gap", SHARED_WEIGHTS)
NAMES = (ENVIRONMENT, HYDRA, *TABLES, "checkpoint", "tensorboard", *RESULTS)  # all that a run writes, except its log
OWN_KEYS = {"space", "controller", "evaluator", "search", "budget", "retrain"}  # of every rlnas configuration
# all that a run may write before anything is searched or trained; write_bytes writes .NAME.PID-TOKEN.tmp first
_REMOVED = {
    "": re.compile("|".join(map(re.escape, (ENVIRONMENT, *TABLES)))),
    HYDRA: re.compile(r"(config|overrides|hydra)\.yaml"),
    "checkpoint": re.compile(r"\d+\.checkpoint"),
    **{f"tensorboard/{axis}": re.compile(r"events\.out\.tfevents\..+") for axis in ("warmup", "search", "retrain")},
    "tensorboard": re.compile(r"(?!)"),  # it holds folders only
}
_TEMPORARY = re.compile(r"\.(.+)\.\d+(-[0-9a-f]+)?\.tmp")


def holds_work(path: Path) -> bool:
    """Return whether a run in this folder has scored or trained anything that could be lost."""
    if any(_occupied(path / name) for name in RESULTS) or any((path / "checkpoint").glob("*.checkpoint")):
        return True
    return any(read_rows(path / name) for name in TABLES if (path / name).is_file())


def foreign_names(path: Path) -> list[str]:
    """Return the names that a run would write but that no run of rlnas wrote; empty folders do not count.

    None is foreign if those that exist of environment.json and .hydra/config.yaml are from rlnas.
    """
    names = [name for name in NAMES if _occupied(path / name)]
    marks = [own for name, own in ((ENVIRONMENT, _own_environment), (HYDRA, _own_composed)) if name in names]
    if marks and all(own(path) for own in marks):
        return []
    if (path / LOG).exists() and (path / LOG).stat().st_size:
        names.append(LOG)
    return names


def clear(path: Path) -> None:
    """Remove the files of a run of rlnas that has done nothing. The log and all other files stay."""
    for place, pattern in _REMOVED.items():
        folder = path / place
        if not folder.is_dir():
            continue
        for item in folder.iterdir():
            temporary = _TEMPORARY.fullmatch(item.name)
            if pattern.fullmatch(temporary[1] if temporary else item.name) and not item.is_dir():
                item.unlink(missing_ok=True)
        if place:
            with suppress(OSError):  # it holds another file
                folder.rmdir()


def _occupied(path: Path) -> bool:
    """Return whether `path` is a file, or a folder with a file at any depth."""
    if not path.is_dir():
        return path.exists() or path.is_symlink()
    return any(not item.is_dir() or item.is_symlink() for item in path.rglob("*"))


def _own_environment(path: Path) -> bool:
    try:
        record = json.loads((path / ENVIRONMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and _own_config(record.get("config"))


def _own_composed(path: Path) -> bool:
    try:
        return _own_config(read_composed(path / HYDRA / "config.yaml"))
    except RlnasError:
        return False


def _own_config(config: Any) -> bool:
    return isinstance(config, Mapping) and set(config) >= OWN_KEYS

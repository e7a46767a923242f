"""Restores the evaluator of a run as it was at the end of its search, from the run folder."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlnas.config.build import build_config
from rlnas.config.quoting import quoted
from rlnas.config.schema import Config
from rlnas.data import ImageData, load_data
from rlnas.data.record import check_same_data, data_record
from rlnas.errors import RlnasError
from rlnas.evaluators import SelectingEvaluator
from rlnas.evaluators.make import Trainable, make_evaluator
from rlnas.execution.settings import Execution, set_up, use_device
from rlnas.objective import Objective
from rlnas.runs.checkpoint import read_state
from rlnas.runs.commands import resume_command
from rlnas.runs.environment import read_environment
from rlnas.runs.leftovers import SHARED_WEIGHTS
from rlnas.runs.reader import MARKS
from rlnas.runs.tables import read_rows
from rlnas.search.given import final_space, networks_of
from rlnas.seeding import numpy_stream
from rlnas.spaces import Space, make_space
from rlnas.spaces.networks import Networks

NO_SHARED_WEIGHTS = ("tabular", "standalone", "program")


@dataclass(frozen=True)
class Searched:
    """A run whose search has ended.

    networks: of the search. final_networks: of the found network, whose costs the objective's limits bound. policy:
    texts of samples of the final policy, in order, with repetitions.
    """

    folder: Path
    config: Config
    space: Space
    objective: Objective
    evaluator: SelectingEvaluator
    data: ImageData
    networks: Networks
    final_networks: Networks
    execution: Execution
    policy: list[str]


def restore_searched(folder: Path, *, data_path: str | None = None, space_path: str | None = None) -> Searched:
    """Restore the run in `folder`. data_path, space_path: where its images or its table are now, if they moved.

    Nothing in the folder is changed. Raises RlnasError if it holds no run, a run without shared weights, one whose
    search has not ended, or if its images or table are not those of the search.
    """
    record, config = _configuration(folder)
    if data_path is not None:
        config = replace(config, data=replace(config.data, path=data_path))
    if space_path is not None:
        if not hasattr(config.space, "path"):
            raise RlnasError(f"--space-path {space_path}: space={config.space.name} is read from no file; leave it out")
        config = replace(config, space=replace(config.space, path=space_path))
    _check_searched(folder, config, record)
    saved = read_state(folder / SHARED_WEIGHTS)
    space = make_space(config.space)
    if saved["table"] != space.fingerprint:
        raise RlnasError(f"{folder}: the run was made with another table; give its file by --space-path FILE")
    space.advance(len(read_rows(folder / "history.csv")))  # uniform samples are of the last stage
    device = use_device(config.execution)
    data = load_data(config.data, numpy_stream(config.seed, "split"), device)
    check_same_data(saved["data"], data_record(data))
    execution = set_up(config.execution, record.get("execution"), phase="search")
    sizes = {"image_channels": data.channels, "image_size": data.size, "classes": len(data.classes)}
    networks, final = (networks_of(config, one, searched=space, **sizes) for one in (space, final_space(config, space)))
    evaluator = make_evaluator(config, space, Trainable(data, networks, execution))
    assert isinstance(evaluator, SelectingEvaluator)  # others save no such file
    evaluator.restore(saved["evaluator"])
    objective = Objective(config.objective, space)
    return Searched(
        folder, config, space, objective, evaluator, data, networks, final, execution, list(saved["policy"])
    )


def _configuration(folder: Path) -> tuple[dict[str, Any], Config]:
    """Return environment.json and the configuration in it. Raises RlnasError if there is none."""
    if not folder.is_dir():
        raise RlnasError(f"{folder} is no folder; expected the folder of a run, such as outputs/nasrl_cifar/DATE")
    record = read_environment(folder)
    if record is None:
        found = [mark for mark in MARKS if (folder / mark).exists()]
        known = f"only {', '.join(found)}" if found else "none of a run's files"
        raise RlnasError(f"{folder} is no run folder with environment.json (found {known}); give the run's own folder")
    try:
        return record, build_config(record["config"])
    except RlnasError as error:
        raise RlnasError(f"{folder}: its configuration is not one of this version: {error}") from None


def _check_searched(folder: Path, config: Config, record: dict[str, Any]) -> None:
    """Raise RlnasError with what to do if the folder has no shared weights of a finished search."""
    if (folder / SHARED_WEIGHTS).exists():
        return
    name = config.evaluator.name
    if name in NO_SHARED_WEIGHTS:
        ways = {"tabular": "looks its scores up in a table", "program": "runs programs"}
        how = ways.get(name, "trains every architecture alone")
        raise RlnasError(
            f"{folder}: the run has no shared weights whose scores could be compared: evaluator={name} {how}; give a "
            "run with evaluator=shared_weights or surrogate"
        )
    if config.architecture is not None:
        raise RlnasError(f"{folder}: nothing was searched, so there are no shared weights: architecture= was given")
    if not (folder / "result.json").exists():
        raise RlnasError(f"{folder}: the search has not ended; end it with {resume_command(folder)}")
    again = " ".join(["python -m rlnas", *(quoted(item) for item in record["arguments"])])
    raise RlnasError(
        f"{folder} has no {SHARED_WEIGHTS}: the run was made by a version that did not keep the shared weights, or its "
        f"evaluator has none. Run it again in a new folder: {again}"
    )


def read_result(folder: Path) -> dict[str, Any]:
    """Return result.json; empty if the run has not ended, or the file is damaged."""
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

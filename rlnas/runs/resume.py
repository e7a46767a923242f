"""Resume a run: read the configuration it was started with, and apply the keys that may differ."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlnas.config.build import build_config
from rlnas.config.composed import read_composed
from rlnas.config.plain_data import flatten, to_dict
from rlnas.config.quoting import check_arguments, overrides_in, run_command, shown, typed, value_of
from rlnas.config.schema import Config
from rlnas.errors import RlnasError
from rlnas.files import expand

# keys that change no number of a run, so a resumed run may differ in them
FREE = ("resume", "progress", "data.path", "space.path")


def resume_path(arguments: Sequence[str]) -> Path | None:
    """Return the folder of the last `resume=`; None without one. Raises RlnasError for an invalid value."""
    given = [argument for argument in overrides_in(arguments) if _key(argument) == "resume"]
    value = value_of(given[-1]) if given else None
    return None if value is None else expand(value)


def resumed_config(path: Path, arguments: Sequence[str], compose: Callable[[list[str]], Any]) -> Config:
    """Return the configuration to resume the run in `path` with.

    Arguments beside `resume=` may repeat the run's configuration, or set the new path of its data or table.
    compose: composes a configuration from overrides. Raises RlnasError for another configuration, or no run.
    """
    others = [argument for argument in arguments if _key(argument) != "resume"]
    if any(argument.startswith("-") for argument in others):
        raise RlnasError("resume= goes with no flag such as -m: it continues one run in its own folder")
    check_arguments(others)
    config = _saved(path)
    free = {_key(argument): value_of(argument) for argument in others if _key(argument) in FREE}
    if any(_key(argument) not in FREE for argument in others):  # the whole configuration again
        _check_same(config, build_config(compose(others)), path)
    values = to_dict(config)
    for key, value in free.items():
        *groups, last = key.split(".")
        place = values
        for group in groups:
            place = place[group]
        place[last] = value
    return build_config(values)


def nothing_done(error: RlnasError, path: Path) -> RlnasError:
    """Return the error for resuming a run that has done nothing, with what to do instead."""
    return RlnasError(
        f"{error}. The run in {shown(path)} has done nothing so far, so start it again with other arguments: "
        f"{run_command()} ARGUMENTS {typed('hydra.run.dir', shown(path))}"
    )


def _saved(path: Path) -> Config:
    """Return the configuration of the run in `path`. Raises RlnasError if there is none."""
    if not path.is_dir():
        raise RlnasError(f"resume={path}: there is no such folder; give the run folder that the run printed first")
    from rlnas.runs.environment import saved_config

    saved = saved_config(path)
    if saved is None and (path / ".hydra" / "config.yaml").exists():
        saved = read_composed(path / ".hydra" / "config.yaml")  # killed before environment.json was written
    if saved is None:
        raise RlnasError(
            f"resume={path}: this is no run folder (no environment.json); expected a folder that "
            "`python -m rlnas` made, such as outputs/nasrl_digits/..."
        )
    return build_config(saved)


def _check_same(saved: Config, asked: Config, path: Path) -> None:
    before, now = flatten(to_dict(saved)), flatten(to_dict(asked))
    different = [
        f"{key} is {now.get(key)!r}, was {before.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in FREE
    ]
    if different:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        raise RlnasError(
            f"resume={path}: the run has another configuration: {'; '.join(different[:3])}{more}; leave those "
            "arguments out, or start a new run"
        )


def _key(argument: str) -> str:
    return argument.partition("=")[0].lstrip("+")

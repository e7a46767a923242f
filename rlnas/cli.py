"""The command line: hydra composes, errors a person can read come out, exit codes tell.

Exit codes: 0 done, 1 an error that the line on stderr explains, 130 interrupted (resumable).
"""

import logging
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode

from rlnas.config import (
    Config,
    OmegaConfBaseException,
    build_config,
    flatten,
    read_composed,
    save_composed,
    suggest,
    to_dict,
    without_hydra,
)
from rlnas.errors import RlnasError
from rlnas.files import unwritable
from rlnas.presets import CONF

# what does not change a run's numbers, so that a resumed run may differ in it
FREE_ON_RESUME = ("resume", "progress", "data.path")

log = logging.getLogger("rlnas")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # hydra then raises, and the handlers below speak
    _wait_without_spinning()
    logging.raiseExceptions = False  # on a full disk each log line would print a traceback
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a job scheduler's stop is a Ctrl-C
    folder: list[Path] = []  # of the run that was begun, for the word on how to go on
    try:
        if _resume_path(given) is not None:
            _resume(given, folder)
        else:
            _launch(given, folder)
    except RlnasError as error:
        return _fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        return _fail(_readable(error))
    except KeyboardInterrupt:
        hint = f"; go on with: python -m rlnas resume={_shown(folder[-1])}" if folder else ""
        if not folder and SweepFolder.path is not None:  # its jobs run in other processes
            hint = f"; go on with each of its runs by: python -m rlnas resume={_shown(SweepFolder.path)}/RUN"
        print(f"\nrlnas: stopped{hint}", file=sys.stderr)
        return 130
    except OSError as error:
        return _fail(str(unwritable(Path(error.filename or "the run folder"), error)))
    return 0


def _wait_without_spinning() -> None:
    """Have torch's threads give up their core after some microseconds of waiting, unless the user says otherwise.

    libgomp lets them spin for milliseconds at the end of every operator. Beside other work the thread they wait for
    is often the one without a core, and a run takes a hundred times longer. Read once, when torch is loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # what libgomp itself takes once it knows of too many threads


def run(overrides: Sequence[str] = ()) -> Path:
    """The command line as a call: `rlnas.run(["+experiment=nasrl_digits", "seed=1"])`; returns the run folder.

    Takes what `python -m rlnas` takes, but for `-m` and other flags. Raises RlnasError.
    """
    given = list(overrides)
    if _resume_path(given) is not None:
        folder: list[Path] = []
        _resume(given, folder)
        return folder[0]
    composed = _compose(given, with_hydra=True)
    path = Path(str(composed.hydra.run.dir))
    task = without_hydra(composed)
    config = build_config(task)
    _check_unused(path)
    try:
        save_composed(task, [item for item in given if not item.startswith("hydra.")], path / ".hydra")
    except OSError as error:
        raise unwritable(path, error) from None
    _run_in(config, path, given)
    return path


def _launch(arguments: list[str], folder: list[Path]) -> None:
    """A new run, or with -m several and their comparison, in folders that hydra makes."""
    failures: list[RlnasError] = []
    launched_by = os.getpid()

    def task(composed: Any) -> float | None:
        path = Path(HydraConfig.get().runtime.output_dir)
        several = HydraConfig.get().mode == RunMode.MULTIRUN
        # hydra/launcher=joblib runs this in processes of its own, to which a copy of this function goes
        logging.raiseExceptions = False
        try:
            config = build_config(composed)
            if several:
                _check_direction()
            if os.getpid() != launched_by and config.progress == "auto":
                config.progress = "plain"  # live bars of several processes would write over each other
            _check_unused(path)
            folder.append(path)
            return _objective(_run_in(config, path, list(HydraConfig.get().overrides.task)))
        except RlnasError as error:
            if several:
                _fail(f"{path.name}: {error}")
                raise  # hydra marks the job as failed and goes on with the next
            failures.append(error)  # hydra would print it as a crash
            return None

    SweepFolder.path = None
    sys.argv = [sys.argv[0], *SweepFolder.asked(arguments)]  # hydra reads it
    try:
        hydra.main(version_base=None, config_path=str(CONF), config_name="config")(task)()
    except Exception:  # a job failed; the others have run
        _compare(SweepFolder.path)
        raise
    _compare(SweepFolder.path)
    if failures:
        raise failures[0]


class SweepFolder(Callback):  # type: ignore[misc,unused-ignore]
    """Remembers where the jobs of -m go, which hydra tells to its callbacks only."""

    path: ClassVar[Path | None] = None

    @staticmethod
    def asked(arguments: list[str]) -> list[str]:
        """The arguments with the override that makes hydra call this class, beside the last other override."""
        if any(argument in ("-sc", "--shell-completion") for argument in arguments):
            return arguments
        own = f"+hydra.callbacks.sweep_folder._target_={__name__}.SweepFolder"
        overrides = [place for place, item in enumerate(arguments) if "=" in item and not item.startswith("-")]
        place = overrides[-1] + 1 if overrides else len(arguments)
        return [*arguments[:place], own, *arguments[place:]]  # argparse takes the overrides in one piece

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        """Called in the process that was started, before the first job, wherever the jobs run."""
        SweepFolder.path = Path(str(config.hydra.sweep.dir))


def _compare(sweep: Path | None) -> None:
    """Compare the runs of a sweep, if there was one and a run of it finished."""
    if sweep is None or not any(sweep.rglob("result.json")):
        return
    from rlnas.report.comparison import write_comparison  # matplotlib and scipy are slow to import

    try:
        print(f"comparison: {write_comparison([sweep])[1]}")
    except RlnasError as error:
        print(f"rlnas: warning: no comparison of {_shown(sweep)}: {error}", file=sys.stderr)


def _objective(result: dict[str, Any]) -> float | None:
    """What a sweeper such as hydra/sweeper=optuna maximises: the score of the architecture that was found.

    Its true score in a table; else its accuracy with shared weights, or retrained if nothing was searched.
    """
    best = result["best"]
    names = ("score",) if result.get("table") else ("search_accuracy", "valid_accuracy")
    return next((float(best[name]) for name in names if best.get(name) is not None), None)


def _check_direction() -> None:
    """RlnasError if a sweeper would look for the worst score, which is the default of optuna's."""
    sweeper = HydraConfig.get().sweeper
    direction = sweeper.get("direction") if "direction" in sweeper else None
    if direction is not None and getattr(direction, "name", str(direction)) != "maximize":
        raise RlnasError(
            "hydra.sweeper.direction is not maximize, but a run returns its score, the higher the better; add "
            "hydra.sweeper.direction=maximize"
        )


def _resume_path(arguments: list[str]) -> Path | None:
    """The folder that the last `resume=` names; None without one."""
    values = [argument.removeprefix("resume=") for argument in arguments if argument.startswith("resume=")]
    return Path(values[-1].strip("'\"")) if values and values[-1] not in ("", "null") else None


def _resume(arguments: list[str], folder: list[Path]) -> None:
    """Go on with a run, with the configuration it was started with.

    Other arguments may repeat that configuration; RlnasError if they describe another one.
    """
    path = _resume_path(arguments)
    assert path is not None
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    if any(argument.startswith("-") for argument in others):
        raise RlnasError("resume= goes with no flag such as -m: it continues one run in its own folder")
    config = _saved(path)
    free = dict(argument.split("=", 1) for argument in others if argument.split("=")[0] in FREE_ON_RESUME)
    if len(free) < len(others):  # more than free ones: the whole configuration again
        _check_same(config, build_config(_compose(others)), path)
    values = to_dict(config)
    values["progress"] = free.get("progress", config.progress)
    values["data"]["path"] = free.get("data.path", config.data.path)
    config = build_config(values)
    folder.append(path)
    _run_in(config, path, arguments)


def _saved(path: Path) -> Config:
    """The configuration of the run in `path`; RlnasError if there is none."""
    if not path.is_dir():
        raise RlnasError(f"resume={path}: there is no such folder; give the run folder that the run printed first")
    from rlnas.environment import saved_config

    saved = saved_config(path)
    if saved is None and (path / ".hydra" / "config.yaml").exists():
        saved = read_composed(path / ".hydra" / "config.yaml")  # killed before its first word
        saved = saved if "execution" in saved else None  # or while hydra wrote that file
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
        if before.get(key) != now.get(key) and key not in FREE_ON_RESUME
    ]
    if different:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        raise RlnasError(
            f"resume={path}: the run has another configuration: {'; '.join(different[:3])}{more}; leave those "
            "arguments out, or start a new run"
        )


def _check_unused(path: Path) -> None:
    """A new run must not write over an old one."""
    if any((path / name).exists() for name in ("environment.json", "history.csv", "result.json")):
        raise RlnasError(
            f"{path} already holds a run; go on with it by resume={_shown(path)}, or choose another hydra.run.dir"
        )


def _compose(overrides: list[str], with_hydra: bool = False) -> Any:
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base=None, job_name="rlnas"):
        try:
            return hydra.compose("config", overrides, return_hydra_config=with_hydra)
        except HydraException as error:
            raise RlnasError(_readable(error)) from None


def _readable(error: Exception) -> str:
    """Hydra's message in one line, without its search path, and with the keys there are."""
    text = str(error)
    unknown = re.match(r"Could not override '([\w.]+)'", text)
    if unknown and not unknown[1].startswith("hydra"):
        if unknown[1] in ("retrain.space", "controller.params", "controller.policy_params"):
            return f"{unknown[1]} takes a new entry with a plus: +{unknown[1]}.NAME=VALUE"
        return f"unknown key {unknown[1]}{suggest(unknown[1])}"
    text = text.split("Config search path:")[0]
    return " ".join(text.split())


def _run_in(config: Config, folder: Path, arguments: list[str]) -> dict[str, Any]:
    """Run, or go on with, the job of `folder`; returns its result."""
    from rlnas.environment import saved_config, write_environment

    if saved_config(folder) is None:
        write_environment(folder, config, arguments=arguments)  # from here on the run can be resumed
    with _logging_to(folder):
        try:
            from rlnas.job import run_job  # torch and the rest: not for --help

            return run_job(config, folder)
        except RlnasError as error:
            log.info("failed: %s", error)
            raise


@contextmanager
def _logging_to(folder: Path) -> Iterator[None]:
    """Everything to `folder`/rlnas.log, warnings to stderr too."""
    try:
        file = logging.FileHandler(folder / "rlnas.log", encoding="utf-8")
    except OSError as error:
        raise unwritable(folder / "rlnas.log", error) from None
    try:  # two processes in one folder would write into each other's tables
        import fcntl

        assert file.stream is not None
        fcntl.flock(file.stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass  # not on this system
    except OSError:
        file.close()
        raise RlnasError(f"another process is at work in {folder}; wait for it, or stop it first") from None
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(logging.WARNING)
    screen.setFormatter(logging.Formatter("rlnas: warning: %(message)s"))
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in (file, screen):
        log.addHandler(handler)
    try:
        yield
    finally:
        for handler in (file, screen):
            log.removeHandler(handler)
        file.close()


def _shown(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _fail(message: str) -> int:
    print(f"rlnas: error: {message.strip()}", file=sys.stderr)
    return 1

"""The command line: compose the configuration with hydra, run, and report errors in one line on stderr.

Exit codes: 0 done, 1 an error, explained on stderr, 130 interrupted (resumable).
"""

import logging
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode

from rlnas.config.build import OmegaConfBaseException, build_config, suggest
from rlnas.config.composed import raw, save_composed, without_hydra
from rlnas.config.presets import CONF
from rlnas.config.quoting import check_arguments, run_command, shown
from rlnas.config.schema import OPEN_GROUPS, Config
from rlnas.errors import RlnasError, Unwritable
from rlnas.files import unwritable
from rlnas.process.caller import process_unchanged, torch_unchanged
from rlnas.process.home import caches_elsewhere
from rlnas.process.screen import occupy_standard_descriptors, safe_streams
from rlnas.runs.claim import Claim, check_unused, give_back, locked
from rlnas.runs.leftovers import HYDRA, LOG, clear, holds_work
from rlnas.runs.resume import nothing_done, resume_path, resumed_config
from rlnas.sweep import Folders, Refused, check_direction, claim_run, compare_sweep, objective

log = logging.getLogger("rlnas")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    occupy_standard_descriptors()
    given = list(sys.argv[1:] if arguments is None else arguments)
    with safe_streams(), process_unchanged(), caches_elsewhere():
        _wait_without_spinning()
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # hydra then raises, and `_main` reports
        logging.raiseExceptions = False  # else each log line prints a traceback on a full disk
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # treat a job scheduler's SIGTERM as Ctrl-C
        return _main(given)


def _main(given: list[str]) -> int:
    folder: list[Path] = []  # of the started run, for the hint on how to resume it
    try:
        if (path := resume_path(given)) is not None:
            folder.append(path)
            _resume(path, given)
        else:
            check_arguments(given)
            _launch(given, folder)
    except RlnasError as error:
        return _fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        return _fail(_readable(error))
    except KeyboardInterrupt:
        hint = f"; resume it with: {run_command(resume=shown(folder[-1]))}" if folder else ""
        if not folder and Folders.sweep is not None:  # its jobs run in other processes
            hint = f"; resume each of its runs with: {run_command(resume=shown(Folders.sweep) / 'RUN')}"
        print(f"\nrlnas: stopped{hint}", file=sys.stderr)
        return 130
    except OSError as error:
        return _fail(str(unwritable(Path(error.filename or "the run folder"), error)))
    return 0


def _wait_without_spinning() -> None:
    """Make torch's waiting threads release their core after some microseconds, unless the user configured it.

    By default libgomp's threads spin for milliseconds at the end of every operator. Under other load the thread they
    wait for often has no core, and a run takes a hundred times longer. libgomp reads this once, when torch is loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # libgomp's default with more threads than cores


def run(overrides: Sequence[str] = ()) -> Path:
    """Run as from the command line: `rlnas.run(["+experiment=nasrl_digits", "seed=1"])`; return the run folder.

    Accepts the overrides of `python -m rlnas`, but no flags such as `-m`. Restores the caller's process state: global
    random streams, torch's settings, hydra's state, logging, environment. Raises RlnasError.
    """
    given = list(overrides)
    with safe_streams(), process_unchanged(), torch_unchanged(), caches_elsewhere():
        if (path := resume_path(given)) is not None:
            _resume(path, given)
            return path
        flags = [item for item in given if item.startswith("-")]
        if flags:
            raise RlnasError(f"rlnas.run takes key=value overrides, no flags such as {flags[0]}; leave it out")
        check_arguments(given)
        composed = _compose(given, with_hydra=True)
        claimed = claim_run(composed)
        _begin(claimed, composed, [item for item in given if not item.startswith("hydra.")])
        return claimed.path


def _launch(arguments: list[str], folder: list[Path]) -> None:
    """Start a new run, or with -m several and their comparison, each run in its own folder."""
    failures: list[RlnasError] = []
    launched_by = os.getpid()

    def task(composed: Any) -> float | None:
        path = Path(raw(HydraConfig.instance().cfg, "hydra.runtime.output_dir"))
        several = HydraConfig.get().mode == RunMode.MULTIRUN
        # hydra/launcher=joblib runs a copy of this function in other processes
        logging.raiseExceptions = False
        elsewhere = os.getpid() != launched_by
        claimed = Claim(path) if several or Folders.run is None else Claim(path, Folders.run.made)
        try:
            with safe_streams():
                folder.append(path)
                given = raw(HydraConfig.instance().cfg, "hydra.overrides.task")
                result = _begin(claimed, composed, given, sweeping=several, elsewhere=elsewhere)
            return objective(result)
        except RlnasError as error:
            folder.clear()
            if several:
                _fail(f"{path.name}: {error}")
                raise  # hydra marks the job as failed and starts the next
            failures.append(error)  # hydra would print a traceback
            return None

    Folders.run = Folders.sweep = None
    sys.argv = [sys.argv[0], *Folders.asked(arguments)]  # read by hydra
    try:
        hydra.main(version_base=None, config_path=str(CONF), config_name="config")(task)()
    except Refused as refused:
        raise refused.error from None
    except Exception:  # a job failed; the others have run
        compare_sweep(Folders.sweep)
        raise
    compare_sweep(Folders.sweep)
    if failures:
        raise failures[0]


def _resume(path: Path, arguments: list[str]) -> None:
    """Resume the run in `path` with the configuration it was started with."""
    config = resumed_config(path, arguments, _compose)
    with locked(path) as file:
        try:
            _run_in(config, path, file, arguments)
        except Unwritable:
            raise
        except RlnasError as error:
            if holds_work(path):
                raise
            raise nothing_done(error, path) from None


def _begin(
    claimed: Claim, composed: Any, arguments: list[str], *, sweeping: bool = False, elsewhere: bool = False
) -> dict[str, Any]:
    """Run a new run in its folder; return its result.

    sweeping: keep the folder of a run that failed before it did anything, so that the comparison lists it. elsewhere:
    the run has its own process, beside others.
    """
    path, task = claimed.path, without_hydra(composed)
    logged = (path / LOG).exists()
    with locked(path) as file:
        try:
            config = _checked(path, task, arguments, sweeping)
        except RlnasError:
            if not logged and not file.tell():
                (path / LOG).unlink(missing_ok=True)  # nothing was written: restore the folder
            if not sweeping:
                give_back(claimed)
            raise
        try:
            clear(path)
            save_composed(task, arguments, path / HYDRA)
            if elsewhere and config.progress == "auto":
                config.progress = "plain"  # live bars of several processes would write over each other
            return _run_in(config, path, file, arguments)
        except Unwritable:
            raise  # the run can be resumed when the disk has space again
        except RlnasError:
            if not sweeping:
                give_back(claimed)
            raise


def _checked(path: Path, task: Any, arguments: list[str], sweeping: bool) -> Config:
    """Return the configuration of a new run in `path`. Raises RlnasError, before any removal, if either is invalid."""
    check_unused(path)
    try:
        config = build_config(task)
        if sweeping:
            check_direction()
    except (RlnasError, OmegaConfBaseException) as error:
        if sweeping and not (path / HYDRA).exists():
            save_composed(task, arguments, path / HYDRA)
        raise error if isinstance(error, RlnasError) else RlnasError(_readable(error)) from None
    return config


def _compose(overrides: list[str], with_hydra: bool = False) -> Any:
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base=None, job_name="rlnas"):
        try:
            return hydra.compose("config", overrides, return_hydra_config=with_hydra)
        except HydraException as error:
            raise RlnasError(_readable(error)) from None


def _readable(error: Exception) -> str:
    """Return hydra's message in one line, without its search path and with the known keys."""
    text = str(error)
    unknown = re.match(r"Could not override '([\w.]+)'", text)
    if unknown and not unknown[1].startswith("hydra"):
        if unknown[1] in OPEN_GROUPS:
            return f"{unknown[1]} takes a new entry with a plus: +{unknown[1]}.NAME=VALUE"
        return f"unknown key {unknown[1]}{suggest(unknown[1])}"
    text = text.split("Config search path:")[0]
    return " ".join(text.split())


def _run_in(config: Config, folder: Path, file: TextIO, arguments: list[str]) -> dict[str, Any]:
    """Start or resume the run of `folder`, whose lock and log is `file`; return its result."""
    from rlnas.runs.environment import saved_config, write_environment

    if saved_config(folder) is None:
        write_environment(folder, config, arguments=arguments)  # from here on the run can be resumed
    with _logging_to(file):
        try:
            from rlnas.search.job import run_job  # imports torch, which --help does not need

            return run_job(config, folder)
        except RlnasError as error:
            log.info("failed: %s", error)
            raise


@contextmanager
def _logging_to(file: TextIO) -> Iterator[None]:
    """Write all records to the log `file` during the block, and warnings to stderr too."""
    kept = logging.StreamHandler(file)
    kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(logging.WARNING)
    screen.setFormatter(logging.Formatter("rlnas: warning: %(message)s"))
    before = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in (kept, screen):
        log.addHandler(handler)
    try:
        yield
    finally:
        for handler in (kept, screen):
            log.removeHandler(handler)
        log.level, log.propagate = before


def _fail(message: str) -> int:
    print(f"rlnas: error: {message.strip()}", file=sys.stderr)
    return 1

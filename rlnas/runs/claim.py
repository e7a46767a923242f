"""Claim a folder for a run: create it for this run only, lock it while it runs, remove it if nothing was done."""

import errno
import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from rlnas.config.quoting import run_command, shown
from rlnas.errors import RlnasError
from rlnas.files import unwritable
from rlnas.runs.leftovers import LOG, clear, foreign_names, holds_work

logger = logging.getLogger("rlnas")
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


@dataclass(frozen=True)
class Claim:
    """A folder for a new run. made: the folders created for it, absolute, outermost first."""

    path: Path
    made: list[Path] = field(default_factory=list)


def claim(path: Path, *, unique: bool) -> Claim:
    """Create the folder of a new run, before anything is written into it.

    unique: create a new one, with a suffix -2, -3, ... where the name exists. Two processes, also on two machines
    that share a file system, never get the same folder. Otherwise the folder may exist; the process that holds its
    lock (`locked`) may use it.

    Raises RlnasError if it cannot be created.
    """
    try:
        made = [folder for folder in reversed(path.absolute().parents) if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
            try:
                candidate.mkdir()  # fails if it exists: the only test without a race condition
                return Claim(candidate, [*made, candidate.absolute()])
            except FileExistsError:
                if not unique:
                    candidate.mkdir(exist_ok=True)  # raises if it is a file
                    return Claim(candidate, made)
    except OSError as error:
        raise unwritable(path, error) from None
    raise AssertionError("count() is endless")


def check_unused(path: Path) -> None:
    """Raise RlnasError if a new run would overwrite anything in `path`: a run's results, or other files."""
    foreign = foreign_names(path)
    if foreign:
        raise RlnasError(
            f"{path} holds {', '.join(foreign)}, which a run would write over and no run of rlnas made; choose "
            "another hydra.run.dir, or move what is there elsewhere"
        )
    if holds_work(path):
        raise RlnasError(
            f"{path} already holds a run; resume it with {run_command(resume=shown(path))}, or choose another "
            "hydra.run.dir"
        )


def give_back(claimed: Claim) -> None:
    """Remove the folder of a run that has done nothing, if it was created for that run and holds nothing else.

    A folder that existed before stays, with its content.
    """
    path = claimed.path
    if path.absolute() not in claimed.made or foreign_names(path) or holds_work(path):
        return
    try:
        clear(path)
        (path / LOG).unlink(missing_ok=True)
        for folder in reversed(claimed.made):
            folder.rmdir()
    except OSError:
        return  # it holds another file: it stays, and a new run may use it


@contextmanager
def locked(path: Path) -> Iterator[TextIO]:
    """Hold the folder's lock and yield its log, open for appending. The system releases the lock with the process.

    Raises RlnasError if another process holds the lock, or the log cannot be written.
    """
    while True:
        try:
            # surrogateescape: a file name that is not valid UTF-8 is written as its bytes
            log = open(path / LOG, "a", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        except OSError as error:
            raise unwritable(path / LOG, error) from None
        try:
            _lock(log, path)
            if _still_there(log, path / LOG):
                break
        except BaseException:
            log.close()
            raise
        log.close()  # the run that held the lock has removed the folder meanwhile
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield log
    finally:
        log.close()


def _lock(log: TextIO, path: Path) -> None:
    try:
        import fcntl
    except ImportError:
        return  # no locks on this system
    try:
        fcntl.flock(log.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RlnasError(
            f"another process is at work in {path}; wait for it, stop it first, or choose another hydra.run.dir"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise unwritable(path / LOG, error) from None
        logger.warning("the file system of %s has no locks: start no second process on this folder", path)


def _still_there(log: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(log.fileno()), path.stat())
    except OSError:
        return False

"""Taking a folder for a run: made for this run alone, locked while it is at work, given back if nothing was done."""

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
    """A folder for a new run. made: the folders that were made for it, absolute, outermost first."""

    path: Path
    made: list[Path] = field(default_factory=list)


def claim(path: Path, *, unique: bool) -> Claim:
    """Make the folder of a new run, before anything is written into it.

    unique: make one that nobody else has, by a suffix -2, -3, ... where the name is taken. Two processes, also
    on two machines that share a file system, never get the same one. Otherwise the folder may exist; who holds
    its lock (`locked`) may use it.

    Raises RlnasError where it cannot be made.
    """
    try:
        made = [folder for folder in reversed(path.absolute().parents) if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
            try:
                candidate.mkdir()  # fails if it exists: the one test that nobody can come before
                return Claim(candidate, [*made, candidate.absolute()])
            except FileExistsError:
                if not unique:
                    candidate.mkdir(exist_ok=True)  # raises if it is a file
                    return Claim(candidate, made)
    except OSError as error:
        raise unwritable(path, error) from None
    raise AssertionError("count() is endless")


def check_unused(path: Path) -> None:
    """Raise RlnasError if a new run would write over anything in `path`: a run's work, or files of somebody else."""
    foreign = foreign_names(path)
    if foreign:
        raise RlnasError(
            f"{path} holds {', '.join(foreign)}, which a run would write over and no run of rlnas made; choose "
            "another hydra.run.dir, or move what is there elsewhere"
        )
    if holds_work(path):
        raise RlnasError(
            f"{path} already holds a run; go on with it by {run_command(resume=shown(path))}, or choose another "
            "hydra.run.dir"
        )


def give_back(claimed: Claim) -> None:
    """Remove a folder whose run has done nothing, if it was made for that run and holds nothing else.

    Of a folder that was there before, what lies in it stays.
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
        return  # somebody else's file is in it: it stays, and a new run may use it


@contextmanager
def locked(path: Path) -> Iterator[TextIO]:
    """Hold the folder's lock, which ends with the process, however it ends; gives its log, open for appending.

    Raises RlnasError if another process holds it, or the log cannot be written.
    """
    while True:
        try:
            # surrogateescape: a file name that is no text is written as the bytes it has
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
        log.close()  # the run that held the lock has given the folder back meanwhile
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield log
    finally:
        log.close()


def _lock(log: TextIO, path: Path) -> None:
    try:
        import fcntl
    except ImportError:
        return  # not on this system
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

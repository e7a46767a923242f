"""Paths, and atomic writes: readers see the old file or the new one, never a part, also after a crash."""

import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any

from rlnas.errors import RlnasError, Unwritable


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically; see `replace`.

    Raises RlnasError when the file cannot be written (no space, no permission); an existing file stays.
    """
    try:
        replace(path, content)
    except OSError as error:
        raise unwritable(path, error) from error


def replace(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a temporary file beside `path`, flush it to disk, then rename it to `path`.

    mode: largest permission bits of the file; the umask is applied as well. Raises OSError; an existing file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # in the same folder, hence atomic
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, content: str) -> None:
    """Write text as UTF-8; see `write_bytes`."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write plain data as JSON; see `write_bytes`. NaN raises ValueError; use None for a missing value."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def unwritable(path: Path, error: OSError) -> Unwritable:
    """Return the error of a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unwritable(
            f"no space left for {path}; what was written before it is kept. Free some space, then resume with "
            "resume=RUN_FOLDER"
        )
    return Unwritable(
        f"{path} cannot be written: {error.strerror or error}; choose another folder with hydra.run.dir=FOLDER"
    )


def expand(path: str | Path) -> Path:
    """Return the path with a leading ~ or ~user replaced by that home folder, as in a shell.

    A folder named ~x is given as ./~x; its path becomes absolute, so that later calls do not expand it.
    Raises RlnasError if the home folder is unknown, as for a container's user id.
    """
    if isinstance(path, str) and not path.startswith("~"):
        found = Path(path)
        return found.absolute() if str(found).startswith("~") else found
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise RlnasError(
            f"{path}: there is no home folder here for ~ to stand for (no HOME, or no such user); write the whole path"
        ) from None

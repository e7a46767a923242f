"""Paths, and atomic writes: a reader, or a crash, sees the old file or the new one, never a part."""

import errno
import json
import os
from pathlib import Path
from typing import Any

from rlnas.errors import RlnasError, Unwritable


def write_bytes(path: Path, content: bytes) -> None:
    """Write, flush to disk, then rename over `path`.

    Raises RlnasError when the file cannot be written (no space, no permission); what was there stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def write_text(path: Path, content: str) -> None:
    """Write text as UTF-8; see `write_bytes`."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write plain data as JSON; see `write_bytes`. NaN is refused, null is the word for nothing."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def unwritable(path: Path, error: OSError) -> Unwritable:
    """The error of a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unwritable(
            f"no space left for {path}; what was written before it is kept. Free some space, then go on with "
            "resume=RUN_FOLDER"
        )
    return Unwritable(
        f"{path} cannot be written: {error.strerror or error}; choose another folder with hydra.run.dir=FOLDER"
    )


def expand(path: str | Path) -> Path:
    """The path with a leading ~ or ~user replaced by that home folder, as a shell does.

    A folder that is itself called ~x is ./~x; its path becomes absolute, so that nobody takes it for a home later.
    Raises RlnasError where the home folder is not known, as for a container's user id.
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

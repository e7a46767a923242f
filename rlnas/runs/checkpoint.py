"""Checkpoints: the newest two are kept; tensors and plain data only, written atomically, with a checksum.

A file is one header line (format, SHA-256 of the rest) and the output of `torch.save` for a dict. It is read
with `weights_only=True`, which accepts only tensors and plain data.
"""

import hashlib
import io
import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from rlnas.errors import RlnasError
from rlnas.files import write_bytes

FORMAT = "rlnas-checkpoint-1"
KEEP = 2

log = logging.getLogger("rlnas")


def save_checkpoint(folder: Path, state: dict[str, Any]) -> Path:
    """Write the next checkpoint, then remove all but the newest two.

    Raises RlnasError when it cannot be written; the earlier ones stay.
    """
    numbered = _numbered(folder)
    number = numbered[-1][0] + 1 if numbered else 1
    path = folder / f"{number:06d}.checkpoint"
    write_state(path, state)
    for _, old in numbered[: len(numbered) + 1 - KEEP]:
        old.unlink(missing_ok=True)
    return path


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain data to one file. Raises RlnasError when it cannot be written; an existing file stays."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    header = f"{FORMAT} {hashlib.sha256(payload).hexdigest()}\n".encode()
    write_bytes(path, header + payload)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Read the newest valid checkpoint; return None if none was ever written.

    Damaged newer ones are skipped with a warning that names them, and removed, so that they are not used
    later. Raises RlnasError when all are damaged.
    """
    numbered = _numbered(folder)
    for _, path in reversed(numbered):
        try:
            state = read_state(path)
        except RlnasError as error:
            log.warning("%s; resuming from the checkpoint before it", error)
            continue
        for _, later in numbered:
            if later > path:
                later.unlink()
        return state
    if numbered:
        raise RlnasError(
            f"every checkpoint in {folder} is damaged ({', '.join(path.name for _, path in numbered)}); the run "
            "cannot be resumed. Its history.csv is kept; start a new run"
        )
    return None


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote. Raises RlnasError if the file is damaged, absent or of another format."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RlnasError(f"checkpoint {path} cannot be read ({error.strerror})") from None
    header, _, payload = content.partition(b"\n")
    words = header.decode("ascii", "replace").split(" ")
    if words[0] != FORMAT and len(words) == 2 and words[0].startswith("rlnas-checkpoint-"):
        raise RlnasError(f"checkpoint {path} is of format {words[0]}, this version reads {FORMAT}")
    if len(words) != 2 or words[0] != FORMAT or hashlib.sha256(payload).hexdigest() != words[1]:
        raise RlnasError(f"checkpoint {path} is damaged (its checksum does not match)")
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise RlnasError(f"checkpoint {path} cannot be read: {error}") from None
    assert isinstance(state, dict)
    return state


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """Return numbers and paths of the checkpoints, oldest first."""
    found = [(int(path.stem), path) for path in folder.glob("*.checkpoint") if path.stem.isdecimal()]
    return sorted(found)

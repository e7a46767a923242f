"""Decoded splits on disk: one safetensors file each, written atomically, checked on reading, never unpickled.

The cache only saves time: whatever goes wrong with it costs a warning and the time to decode again, never a run.
A file is named after a fingerprint of its source; the files of a source that has changed are left behind, for the
user to delete.
"""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rlnas.data.images import Decoded, Images

FORMAT = "1"  # other formats are rebuilt, not converted
logger = logging.getLogger("rlnas")


def cache_folder() -> Path:
    """$RLNAS_CACHE, else $XDG_CACHE_HOME/rlnas, else ~/.cache/rlnas. It need not exist."""
    if folder := os.environ.get("RLNAS_CACHE"):
        return Path(folder).expanduser()
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder).expanduser() / "rlnas"
    return Path("~/.cache/rlnas").expanduser()


def file_stamp(paths: Sequence[Path]) -> list[list[str | int]]:
    """Resolved path, size and modification time of each file: what tells that a source has changed."""
    return [[str(path.resolve()), (stat := path.stat()).st_size, stat.st_mtime_ns] for path in paths]


def cached(name: str, key: object, read: Callable[[], Decoded]) -> Decoded:
    """The decoded split from the cache, else from `read`, then kept in the cache.

    Args:
        name: start of the file's name, for people, e.g. "cifar10-train".
        key: plain data that changes whenever the decoded split would.
        read: decodes the split; called only if the cache has no sound copy.
    """
    fingerprint = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    safe_name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)[:80]
    try:
        path = cache_folder() / f"{safe_name}-{fingerprint[:24]}.safetensors"
    except RuntimeError as error:  # a user without a home folder, as in some containers
        logger.warning("decoded images are not kept (%s): RLNAS_CACHE names a folder for them", error)
        return read()
    try:
        if path.is_file():
            return _load(path)
    except (SafetensorError, OSError, KeyError, ValueError, AssertionError) as error:
        logger.warning("the cached images in %s are damaged (%s): decoding them again", path, error)
    decoded = read()
    try:
        _save(path, decoded)
    except (SafetensorError, OSError) as error:
        message = "cannot keep decoded images in %s (%s): going on without; RLNAS_CACHE names another folder"
        logger.warning(message, path.parent, error)
    return decoded


def _digest(images: Images) -> str:
    digest = hashlib.sha256(repr(tuple(images.pixels.shape)).encode())
    digest.update(images.pixels.contiguous().numpy().data)
    digest.update(images.labels.contiguous().numpy().data)
    return digest.hexdigest()


def _load(path: Path) -> Decoded:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        images = Images(file.get_tensor("pixels"), file.get_tensor("labels"))
    if metadata["format"] != FORMAT:
        raise ValueError(f"expected format {FORMAT}, got {metadata['format']}")
    # The header is small but not covered by safetensors' own checks, hence the digest over classes as well.
    if metadata["sha256"] != _digest(images) + hashlib.sha256(metadata["classes"].encode()).hexdigest():
        raise ValueError("the checksum does not match")
    return Decoded(images, tuple(json.loads(metadata["classes"])))


def _save(path: Path, decoded: Decoded) -> None:
    classes = json.dumps(decoded.classes)
    metadata = {
        "format": FORMAT,
        "classes": classes,
        "sha256": _digest(decoded.images) + hashlib.sha256(classes.encode()).hexdigest(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    os.close(handle)
    try:
        tensors = {"pixels": decoded.images.pixels.contiguous(), "labels": decoded.images.labels.contiguous()}
        save_file(tensors, temporary, metadata)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)  # same folder, hence atomic: a reader sees the old file or the whole new one
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise

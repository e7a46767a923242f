"""Decoded splits on disk: one safetensors file each, written atomically, checked on reading, never unpickled.

The cache only saves time: whatever goes wrong with it costs a warning and the time to decode again, never a run.
A file is named after a fingerprint of its source's content, wherever the source lies and whatever its files' dates; the
files of a source that has changed are left behind, for the user to delete. It is readable by those who may read the
source.
"""

import contextlib
import hashlib
import json
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rlnas.data.images import Decoded, Images

FORMAT = "2"  # of the file and of what decoding yields; part of the fingerprint: other formats are rebuilt
logger = logging.getLogger("rlnas")


def cache_folder() -> Path:
    """$RLNAS_CACHE, else $XDG_CACHE_HOME/rlnas, else ~/.cache/rlnas. It need not exist."""
    if folder := os.environ.get("RLNAS_CACHE"):
        return Path(folder).expanduser()
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder).expanduser() / "rlnas"
    return Path("~/.cache/rlnas").expanduser()


def content_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; 0.04 s of one core of an AMD EPYC for CIFAR-10's 46 MB of Parquet.

    Size and date would not do: an image edited in place, or a copied folder, may keep both.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def shared_mode(paths: Iterable[Path]) -> int:
    """Permission bits that a copy of these files may have at most: reading and writing for those who read them all.

    A folder on the way that others may not enter hides what is in it, whatever the files' own bits.
    """
    mode = 0o666
    folders: set[Path] = set()
    for path in paths:
        real = path.resolve()
        mode &= _for_readers(found := real.stat(), found.st_mode)
        folders.update(real.parents)
    for folder in folders:
        mode &= _for_readers(found := folder.stat(), found.st_mode << 2)  # entering is here what reading is for files
    return mode


def _for_readers(found: os.stat_result, mode: int) -> int:
    """0o600, and 0o060 and 0o006 where group and others may read; another group's right is not that of ours."""
    ours = not hasattr(os, "getegid") or found.st_gid == os.getegid()
    group = mode & 0o040 and (ours or mode & 0o004)
    return 0o600 | (0o060 if group else 0) | (0o006 if mode & 0o004 else 0)


def cached(name: str, key: object, read: Callable[[], Decoded], mode: int = 0o666) -> Decoded:
    """The decoded split from the cache, else from `read`, then kept in the cache.

    Args:
        name: start of the file's name, for people, e.g. "cifar10-train".
        key: plain data that changes whenever the decoded split would.
        read: decodes the split; called only if the cache has no sound copy.
        mode: permission bits of the file at most; the umask takes bits away, as of any file.
    """
    fingerprint = hashlib.sha256(json.dumps([FORMAT, key], sort_keys=True).encode()).hexdigest()
    safe_name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)[:80]
    try:
        path = cache_folder() / f"{safe_name}-{fingerprint[:24]}.safetensors"
    except RuntimeError as error:  # a user without a home folder, as in some containers
        logger.warning("decoded images are not kept (%s): RLNAS_CACHE names a folder for them", error)
        return read()
    try:
        if path.is_file():
            return _load(path)
    except OSError as error:
        logger.warning("the cached images in %s cannot be read (%s): decoding them again", path, error.strerror)
    except (SafetensorError, KeyError, ValueError, TypeError, AssertionError) as error:
        logger.warning("the cached images in %s are damaged (%s): decoding them again", path, error)
    decoded = read()
    try:
        _save(path, decoded, mode)
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
    # The header is small but not covered by safetensors' own checks, hence the digest over what it says as well.
    if metadata["sha256"] != _digest(images) + hashlib.sha256(metadata["about"].encode()).hexdigest():
        raise ValueError("the checksum does not match")
    about = json.loads(metadata["about"])
    return Decoded(images, tuple(about["classes"]), about["splits"], about["frames"])


def _save(path: Path, decoded: Decoded, mode: int) -> None:
    about = json.dumps({"classes": decoded.classes, "splits": decoded.splits, "frames": decoded.frames})
    metadata = {
        "format": FORMAT,
        "about": about,
        "sha256": _digest(decoded.images) + hashlib.sha256(about.encode()).hexdigest(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        allowed = stat.S_IMODE(os.fstat(handle).st_mode)  # the umask applied, which has no call that only reads it
        os.close(handle)
        tensors = {"pixels": decoded.images.pixels.contiguous(), "labels": decoded.images.labels.contiguous()}
        save_file(tensors, temporary, metadata)
        os.chmod(temporary, allowed)  # save_file puts a file of its own, the owner's alone, in its place
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)  # same folder, hence atomic: a reader sees the old file or the whole new one
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise

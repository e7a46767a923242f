"""Cache of decoded splits: one safetensors file each, written atomically, verified on reading, never unpickled.

The cache only saves time: any failure of it causes a warning and a new decoding, never the end of a run.
A file is named after a fingerprint of its source's content, independent of the source's location and its files' dates.
Files of a source that has changed are left for the user to delete. Users who may read the source may read the file.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from rlnas.data.images import Decoded, Images
from rlnas.files import replace

FORMAT = "2"  # of the file and of the decoded data; part of the fingerprint: files of other formats are rebuilt
logger = logging.getLogger("rlnas")


def cache_folder() -> Path:
    """Return $RLNAS_CACHE, else $XDG_CACHE_HOME/rlnas, else ~/.cache/rlnas. It need not exist."""
    if folder := os.environ.get("RLNAS_CACHE"):
        return Path(folder).expanduser()
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder).expanduser() / "rlnas"
    return Path("~/.cache/rlnas").expanduser()


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal: 0.04 s for CIFAR-10's 46 MB of Parquet, one AMD EPYC core.

    Size and date are not enough: an image edited in place, or a copied folder, may keep both.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def shared_mode(paths: Iterable[Path]) -> int:
    """Return the most permissive bits for a copy of these files: read and write for users who may read them all.

    A parent folder that a user may not enter hides its content, whatever the files' own bits.
    """
    mode = 0o666
    folders: set[Path] = set()
    for path in paths:
        real = path.resolve()
        mode &= _for_readers(found := real.stat(), found.st_mode)
        folders.update(real.parents)
    for folder in folders:
        mode &= _for_readers(found := folder.stat(), found.st_mode << 2)  # maps a folder's x bits to r bits
    return mode


def _for_readers(found: os.stat_result, mode: int) -> int:
    """Return 0o600, plus 0o060 and 0o006 where group and others may read. Another group's bits do not count as ours."""
    ours = not hasattr(os, "getegid") or found.st_gid == os.getegid()
    group = mode & 0o040 and (ours or mode & 0o004)
    return 0o600 | (0o060 if group else 0) | (0o006 if mode & 0o004 else 0)


def cached(name: str, key: object, read: Callable[[], Decoded], mode: int = 0o666) -> Decoded:
    """Return the decoded split from the cache; else call `read` and write its result to the cache.

    Args:
        name: readable start of the file's name, e.g. "cifar10-train".
        key: plain data that changes whenever the decoded split changes.
        read: decodes the split; called only if the cache has no valid copy.
        mode: largest permission bits of the file; the umask is applied as well.
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
        message = "cannot keep decoded images in %s (%s); RLNAS_CACHE names another folder"
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
    # safetensors does not verify the header, so the digest covers its metadata as well.
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
    tensors = {"pixels": decoded.images.pixels.contiguous(), "labels": decoded.images.labels.contiguous()}
    replace(path, save(tensors, metadata), mode)

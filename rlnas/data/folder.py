"""`data=folder`: images in one subfolder for each class, with or without splits of their own.

DIR/cat/*.png  DIR/dog/*.png                                             15 % of each class is held out as test split
DIR/train/cat/*.png ...  DIR/val/cat/*.png ...  DIR/test/cat/*.png ...   splits as given; see `splits` for the names
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from rlnas.config.schema import DataConfig
from rlnas.data.cache import cached, content_digest, shared_mode
from rlnas.data.decode import decode, hold_out, parse_colour
from rlnas.data.images import Decoded, Images
from rlnas.data.layout import CLASSES, Listing, class_files, find_splits
from rlnas.data.listing import LeftOut, shown_name, subfolders
from rlnas.data.sources import Source
from rlnas.data.splits import ROLES
from rlnas.errors import RlnasError
from rlnas.files import expand

DEFAULT_SIZE = 32


def folder(config: DataConfig) -> Source:
    """List the images under `config.path`; each split is decoded when it is read.

    Without a test split, a fixed share of each class of the training images is held out.

    Raises:
        RlnasError: the folder is missing or not laid out as described in the module docstring.
    """
    if config.path is None:
        raise RlnasError(f"data=folder needs the folder with the images: data.path=DIR with {CLASSES}")
    root = expand(config.path)
    if not os.path.isdir(root):  # unlike Path.is_dir, false where permission is denied
        raise RlnasError(f"data.path={config.path} is not a folder; expected {CLASSES}; check the path")
    left_out = LeftOut()
    notes: list[str] = []
    found = subfolders(root, left_out, root)
    given = find_splits(root, found, left_out, notes) if config.splits == "auto" else None
    listings = _splits(root, given, found, left_out)
    classes = listings["train"].classes
    if "test" not in listings:
        listings |= _held_out(listings["train"], root if given is None else given["train"])
    if sentence := left_out.sentence():
        notes.append(sentence)
    splits = {} if given is None else {role: shown_name(path.name) for role, path in given.items()}
    read = _reader(config, root, classes, splits)

    def reading(role: str) -> Callable[[], Decoded]:
        return lambda: read(role, listings[role])

    valid = reading("valid") if "valid" in listings else None
    name = f"folder:{root.resolve().name}"
    return Source(name, reading("train"), reading("test"), valid, dict(left_out.counts), tuple(notes))


def _splits(root: Path, given: dict[str, Path] | None, found: list[Path], left_out: LeftOut) -> dict[str, Listing]:
    """Return the files of each split; only "train" where no splits are given."""
    if given is None:
        return {"train": class_files(root, found, left_out, root)}
    listings = {
        role: class_files(given[role], subfolders(given[role], left_out, root), left_out, root)
        for role in ROLES
        if role in given
    }
    classes = listings["train"].classes
    for role, listing in listings.items():
        if listing.classes != classes:
            raise RlnasError(
                f"{given['train']} has the classes {', '.join(classes)}, but {given[role]} has "
                f"{', '.join(listing.classes)}; all splits need the same subfolders: rename or complete them"
            )
    return listings


def _held_out(listing: Listing, root: Path) -> dict[str, Listing]:
    """Split a training listing into those of train and test."""
    files, labels, classes = listing.files, listing.labels, listing.classes
    parts = hold_out([path.relative_to(root).as_posix() for path in files], labels, classes)
    return {
        role: Listing([files[i] for i in part], [labels[i] for i in part], classes)
        for role, part in zip(("train", "test"), parts, strict=True)
    }


def _reader(
    config: DataConfig, root: Path, classes: tuple[str, ...], splits: dict[str, str]
) -> Callable[[str, Listing], Decoded]:
    size, background = config.size or DEFAULT_SIZE, parse_colour(config.background)
    name = root.resolve().name

    def read(role: str, listing: Listing) -> Decoded:
        def decode_files() -> Decoded:
            counts: Counter[str] = Counter()
            names = [shown_name(file) for file in listing.files]
            pixels = decode(listing.files, names, size, background, counts)  # (n, 3, size, size)
            images = Images(pixels, torch.tensor(listing.labels, dtype=torch.int64))
            return Decoded(images, classes, frames=counts["frames"])

        try:
            contents = [content_digest(file) for file in listing.files]
            mode = shared_mode(listing.files)
        except OSError as error:
            reason = "is gone since the start" if isinstance(error, FileNotFoundError) else "cannot be read"
            which = f"{shown_name(error.filename)}: {error.strerror}"
            raise RlnasError(f"an image of the {role} split {reason} ({which}); restore it or take it out") from error
        key = {"folder": contents, "labels": listing.labels, "classes": classes, "size": size, "ground": background}
        return dataclasses.replace(cached(f"folder-{name}-{role}", key, decode_files, mode), splits=splits)

    return read

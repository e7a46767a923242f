"""Sources of images: digits and CIFAR-10; rlnas.data.folder and rlnas.data.hub have the others."""

import dataclasses
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlnas.config.schema import DataConfig
from rlnas.data.cache import cached, content_digest, shared_mode
from rlnas.data.decode import Colour, decode, fixed_order, one_line, parse_colour
from rlnas.data.images import Decoded, Images
from rlnas.errors import RlnasError
from rlnas.files import expand

PLAIN_SPLITS = {"train": "train", "test": "test"}
DIGITS_TEST = 297  # of 1,797 images
CIFAR10_ID = "uoft-cs/cifar10"
CIFAR10_SIZE = 32
CIFAR10_LAYOUT = "plain_text/train-00000-of-00001.parquet and plain_text/test-00000-of-00001.parquet"


@dataclass(frozen=True)
class Source:
    """A data set that is not read yet: one function for each split, which reads it or its copy in the cache.

    valid: called only if it is given and `Decoded.splits` of train has a validation split.
    left_out: number of files that are not read, by reason. notes: sentences for the user on how it was found.
    """

    name: str
    train: Callable[[], Decoded]
    test: Callable[[], Decoded]
    valid: Callable[[], Decoded] | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def digits() -> Source:
    """Return scikit-learn's embedded 8x8 handwritten digits: 1,500 training and 297 test images, one channel."""
    return Source("digits", lambda: _read_digits(test=False), lambda: _read_digits(test=True))


def _read_digits(test: bool) -> Decoded:
    from sklearn.datasets import load_digits  # slow to import, and only needed here

    bunch = load_digits()
    # Grey values are 0..16. The file is sorted by writer; the fixed order mixes the writers.
    order = fixed_order([str(i) for i in range(len(bunch.target))])
    index = np.array(sorted(order[:DIGITS_TEST] if test else order[DIGITS_TEST:]))
    pixels = np.rint(bunch.images[index, None] * (255 / 16)).astype(np.uint8)  # (n, 1, 8, 8)
    images = Images(torch.from_numpy(pixels), torch.from_numpy(bunch.target[index].astype(np.int64)))
    return Decoded(images, tuple(str(name) for name in bunch.target_names), PLAIN_SPLITS)


def local_cifar10(config: DataConfig) -> Source | None:
    """Find CIFAR-10 in the hub's layout in `config.path` or $RLNAS_DATA/cifar10; None if neither exists.

    Raises:
        RlnasError: `config.path` does not exist, or the folder found does not have the layout.
    """
    if config.path is not None:
        folder, asked_by = expand(config.path), f"data.path={config.path}"
        if not folder.is_dir():
            raise RlnasError(
                f"{asked_by} is not a folder; expected a copy of {CIFAR10_ID} in the hub's layout "
                f"({CIFAR10_LAYOUT}); check the path, or leave data.path out to download it"
            )
    elif root := os.environ.get("RLNAS_DATA"):
        folder, asked_by = expand(root) / "cifar10", f"RLNAS_DATA={root}"
        if not folder.is_dir():
            return None
    else:
        return None

    background = parse_colour(config.background)

    def read(split: str) -> Decoded:
        files = _shards(folder, split, asked_by)
        try:
            key = {"cifar10": [content_digest(file) for file in files], "split": split, "ground": background}
            mode = shared_mode(files)
        except OSError as error:
            raise RlnasError(
                f"{error.filename} cannot be read: {error.strerror}; check the file and its rights"
            ) from error
        return cached(f"cifar10-{split}", key, lambda: _read_parquet(files, background), mode)

    _shards(folder, "train", asked_by)  # the training files are checked now, the test files when they are read
    return Source("cifar10", lambda: read("train"), lambda: read("test"))


def _shards(folder: Path, split: str, asked_by: str) -> list[Path]:
    files = sorted((folder / "plain_text").glob(f"{split}-*-of-*.parquet"))
    totals = {int(match[1]) for file in files if (match := re.search(r"-of-(\d+)\.parquet$", file.name))}
    if totals != {len(files)}:
        came = ", ".join(file.name for file in files) or "no such file"
        raise RlnasError(
            f"{asked_by} does not hold the {split} split of CIFAR-10 in the hub's layout: expected {CIFAR10_LAYOUT} "
            f"in it, got {came}; probably another edition or an incomplete copy: download {CIFAR10_ID} again"
        )
    return files


def _read_parquet(files: list[Path], background: Colour) -> Decoded:
    import datasets  # slow to import, and not needed for digits, folders or a cached copy

    datasets.disable_progress_bars()
    try:
        # Streaming and a temporary folder: otherwise `datasets` keeps a second copy of the files in its cache.
        with tempfile.TemporaryDirectory(prefix="rlnas-") as scratch:
            paths = [str(file) for file in files]
            rows = datasets.load_dataset("parquet", data_files=paths, split="train", streaming=True, cache_dir=scratch)
            classes = tuple(rows.features["label"].names)
            decoded = decode_rows(rows, "img", "label", classes, CIFAR10_SIZE, files[0].name, background=background)
            return dataclasses.replace(decoded, splits=PLAIN_SPLITS)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, datasets.exceptions.DatasetsError) as error:
        raise RlnasError(
            f"{files[0]} cannot be read as CIFAR-10 (expected parquet with the columns img and label; "
            f"{type(error).__name__}: {one_line(error)}); the file is probably damaged or of another data set: "
            f"download {CIFAR10_ID} again"
        ) from error


def decode_rows(
    rows: Any,
    image: str,
    label: str,
    classes: tuple[str, ...],
    size: int,
    origin: str,
    names: bool = False,
    background: Colour = (255, 255, 255),
) -> Decoded:
    """Decode rows of a Hugging Face data set, map-style or streamed.

    Args:
        rows: the data set; its image column is read undecoded, so that an error can name the broken image.
        image, label: names of the two columns.
        classes: names of the classes.
        size: side of the decoded images in pixels.
        origin: name of the data set in error messages.
        names: labels are values to look up in `classes`, not positions in it.
        background: colour behind transparent pixels.

    Raises:
        RlnasError: a broken image, or a label outside the classes.
    """
    import datasets

    rows = rows.select_columns([image, label]).cast_column(image, datasets.Image(decode=False))
    place = {name: i for i, name in enumerate(classes)}
    parts: list[torch.Tensor] = []
    labels: list[int] = []
    counts: Counter[str] = Counter()
    for batch in rows.iter(batch_size=1000):
        start = len(labels)
        encoded = [_encoded(value) for value in batch[image]]
        called = [f"image {start + i} of {origin}" for i in range(len(encoded))]
        parts.append(decode(encoded, called, size, background, counts))
        labels += _positions(batch[label], place, names, origin)
    if not labels:
        raise RlnasError(f"{origin} has no images; the split is probably empty: choose another data set")
    images = Images(torch.cat(parts), torch.tensor(labels, dtype=torch.int64))
    return Decoded(images, classes, frames=counts["frames"])


def _encoded(value: Any) -> bytes | Path:
    if value is None:
        return b""  # a missing image: `decode` reports it as broken
    return value["bytes"] if value["bytes"] is not None else Path(value["path"])


def _positions(values: Iterable[Any], place: dict[str, int], names: bool, origin: str) -> list[int]:
    positions = []
    for value in values:
        position = place.get(str(value)) if names else value
        if position is None or not 0 <= position < len(place):
            raise RlnasError(
                f"{origin} has an image with the label {value!r}, which is none of the {len(place)} classes; "
                "the split is probably published without labels: choose another data set or label column"
            )
        positions.append(position)
    return positions

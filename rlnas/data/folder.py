"""`data=folder`: images in one subfolder for each class, with or without a test split of their own.

DIR/cat/*.png  DIR/dog/*.png                        15 % of each class is held out as test split
DIR/train/cat/*.png ...  DIR/test/cat/*.png ...     (or val, valid, validation for test)
"""

from pathlib import Path

import torch

from rlnas.config import DataConfig
from rlnas.data.cache import cached, file_stamp
from rlnas.data.decode import decode, hold_out
from rlnas.data.images import Decoded, Images
from rlnas.data.sources import Source
from rlnas.errors import RlnasError
from rlnas.files import expand

DEFAULT_SIZE = 32
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TEST_FOLDERS = ("test", "val", "valid", "validation")
LAYOUT = "one subfolder of images for each class, as in DIR/cat/1.png, DIR/dog/1.png"


def folder(config: DataConfig) -> Source:
    """The images under `config.path`, listed now and decoded when a split is asked for.

    Raises:
        RlnasError: the folder is missing or not laid out as the head of this module says.
    """
    if config.path is None:
        raise RlnasError(f"data=folder needs the folder with the images: data.path=DIR with {LAYOUT}")
    root = expand(config.path)
    if not root.is_dir():
        raise RlnasError(f"data.path={config.path} is not a folder; expected {LAYOUT}; check the path")

    subfolders = {path.name: path for path in _subfolders(root)}
    test_names = [name for name in TEST_FOLDERS if name in subfolders]
    if "train" in subfolders and len(test_names) == 1 and len(subfolders) == 2:
        train_files, train_labels, classes = _listing(subfolders["train"])
        test_files, test_labels, test_classes = _listing(subfolders[test_names[0]])
        if test_classes != classes:
            raise RlnasError(
                f"{subfolders['train']} has the classes {', '.join(classes)}, but {subfolders[test_names[0]]} "
                f"has {', '.join(test_classes)}; both splits need the same subfolders: rename or complete them"
            )
    else:
        files, labels, classes = _listing(root)
        train, test = hold_out([path.relative_to(root).as_posix() for path in files], labels, classes)
        train_files, train_labels = [files[i] for i in train], [labels[i] for i in train]
        test_files, test_labels = [files[i] for i in test], [labels[i] for i in test]

    size = config.size or DEFAULT_SIZE
    name = root.resolve().name

    def read(split: str, files: list[Path], labels: list[int]) -> Decoded:
        def decode_files() -> Decoded:
            pixels = decode(files, [str(file) for file in files], size)  # (n, 3, size, size)
            return Decoded(Images(pixels, torch.tensor(labels, dtype=torch.int64)), classes)

        try:
            key = {"folder": file_stamp(files), "labels": labels, "classes": classes, "size": size}
        except OSError as error:
            raise RlnasError(f"an image of the {split} split is gone since the start ({error}); restore it") from error
        return cached(f"folder-{name}-{split}", key, decode_files)

    return Source(
        f"folder:{name}",
        lambda: read("train", train_files, train_labels),
        lambda: read("test", test_files, test_labels),
    )


def _subfolders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _listing(root: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """All images below `root`: their paths, labels and the names of the classes, each sorted by name."""
    folders = _subfolders(root)
    if len(folders) < 2:
        came = f"a folder with one class ({folders[0].name})" if folders else "no subfolder"
        raise RlnasError(
            f"{root} holds {came}; expected at least two classes, {LAYOUT}; point data.path at their parent"
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, subfolder in enumerate(folders):
        found = sorted(
            path
            for path in subfolder.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
        if not found:
            raise RlnasError(
                f"{subfolder} is a class without images; expected files ending in {', '.join(SUFFIXES)}; "
                "add images or take the subfolder out"
            )
        files += found
        labels += [label] * len(found)
    return files, labels, tuple(path.name for path in folders)

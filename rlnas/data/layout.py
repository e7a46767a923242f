"""Detect the layout of an image folder: splits or classes. An ambiguous layout is an error that lists the folders."""

import os
from dataclasses import dataclass
from pathlib import Path

from rlnas.data.listing import LeftOut, count_files, entries, images_below, is_hidden, is_image, shown_name, subfolders
from rlnas.data.splits import by_role, role_of, surely_splits
from rlnas.errors import RlnasError

CLASSES = "one subfolder of images for each class, as in DIR/cat/1.png, DIR/dog/1.png"
SPLITS = "DIR/train/cat/1.png, DIR/val/cat/1.png, DIR/test/cat/1.png"
ARE_CLASSES = "if they are classes, set data.splits=none"


@dataclass(frozen=True)
class Listing:
    """Files of a split sorted by class, their labels (positions in `classes`), and the names of the classes."""

    files: list[Path]
    labels: list[int]
    classes: tuple[str, ...]


def class_files(folder: Path, classes: list[Path], left_out: LeftOut, root: Path) -> Listing:
    """List all images of the class folders `classes` of `folder`; count in `left_out` what is not read.

    Raises:
        RlnasError: fewer than two classes, a class without images, or splits inside classes.
    """
    if len(classes) < 2:
        came = f"a folder with one class ({shown_name(classes[0].name)})" if classes else "no subfolder"
        cure = f"point data.path at their parent{_inner(classes)}"
        raise RlnasError(f"{folder} holds {came}; expected at least two classes, {CLASSES}; {cure}")
    _refuse_inner_splits(classes)
    files: list[Path] = []
    labels: list[int] = []
    for label, subfolder in enumerate(classes):
        here = LeftOut()
        images = images_below(subfolder, here, root)
        if not images:
            why = here.sentence() or "the folder is empty"
            raise RlnasError(
                f"{shown_name(subfolder)} is a class without images ({why}); expected images that Pillow reads; "
                "add images or take the subfolder out"
            )
        left_out.merge(here)
        files += images
        labels += [label] * len(images)
    return Listing(files, labels, tuple(path.name for path in classes))


def _inner(classes: list[Path]) -> str:
    """Return the hint that the intended folder is the only subfolder; "" if it does not apply."""
    if len(classes) == 1 and len(subfolders(classes[0], LeftOut(), classes[0])) > 1:
        return f", or at what is in it: data.path={classes[0]}"
    return ""


def _refuse_inner_splits(classes: list[Path]) -> None:
    inner = [path for name in classes for path in subfolders(name, LeftOut(), name)]
    roles = by_role(surely_splits(path.name for path in inner))
    if len(roles) > 1:
        names = sorted({shown_name(name) for names in roles.values() for name in names})
        raise RlnasError(
            f"the classes {_list(classes)} hold folders that are named like splits ({', '.join(names)}), expected "
            f"splits around the classes, as in {SPLITS}; move the folders"
        )


def find_splits(root: Path, found: list[Path], left_out: LeftOut, notes: list[str]) -> dict[str, Path] | None:
    """Return the folder of each split by role (train, valid, test); None if the folders `found` in `root` are classes.

    Folders without images beside splits are left out and counted.

    Raises:
        RlnasError: two folders for one split, no training split, classes or images beside splits, splits without
            class folders, or folders of unknown names that hold the same folders.
    """
    splits = _named_like_splits(root, found)
    if not splits:
        _refuse_equal_folders(root, found)
        return None
    others = [path for path in found if path not in splits]
    empty = [path for path in others if not images_below(path, LeftOut(), root)]
    classes = [path for path in others if path not in empty]
    what = "; ".join(_describe(path) for path in [*splits, *others])
    roles = by_role(path.name for path in splits)

    def refuse(problem: str, cure: str) -> RlnasError:
        return RlnasError(f"{root} holds {problem}: {what}; expected {SPLITS}, or classes alone; {cure}")

    if classes:
        if set(roles) == {"train"} and all(_is_flat(path) for path in splits) and not empty:
            names = _list(splits)  # train, the vehicle of CIFAR-100: a split would hold folders of classes
            notes.append(f"{names} is read as a class like {_list(classes)}, because it holds images and no folders")
            return None
        raise refuse(
            "folders that are named like splits beside others",
            f"move the splits or the others elsewhere, or rename them; {ARE_CLASSES}",
        )
    if doubled := [name for names in roles.values() if len(names) > 1 for name in names]:
        raise refuse(f"several folders for one split ({', '.join(doubled)})", f"keep one of them; {ARE_CLASSES}")
    for path in splits:
        below = subfolders(path, LeftOut(), path)
        if _images_in(path) and below:
            raise refuse("a split with images beside its classes", f"move the images of {path} into their classes")
        if not below:
            cure = f"sort the images of {path} into classes, or take it out; {ARE_CLASSES}"
            raise refuse("a split without folders of classes", cure)
    if "train" not in roles:
        raise refuse("no training split", f"add one; {ARE_CLASSES}")
    for path in empty:
        left_out.add("outside", path, root, count_files(path))
        notes.append(f"{shown_name(path.name)} beside the splits holds no image and is not read")
    return {str(role_of(path.name)): path for path in splits}


def _named_like_splits(root: Path, found: list[Path]) -> list[Path]:
    """Return the folders whose names mean splits.

    Names with other words in them, such as train_station, count only if every folder with images has a name of a split,
    and only for folders that hold folders.
    """
    sure = surely_splits(path.name for path in found)
    named = [path for path in found if role_of(path.name)]
    if named and all(role_of(path.name) or not images_below(path, LeftOut(), root) for path in found):
        return [path for path in named if path.name in sure or not _is_flat(path)]
    return [path for path in named if path.name in sure]


def _refuse_equal_folders(root: Path, found: list[Path]) -> None:
    """Raise RlnasError for folders without images of their own that share two folders of images: splits or classes."""
    if len(found) < 2 or any(_images_in(path) for path in found):
        return
    below = [{path.name: path for path in subfolders(folder, LeftOut(), root)} for folder in found]
    names = {name for name in set.intersection(*map(set, below)) if not is_hidden(name, below_class=True)}
    shared = [name for name in sorted(names) if all(images_below(folders[name], LeftOut(), root) for folders in below)]
    if len(shared) < 2:
        return
    _refuse_inner_splits(found)
    raise RlnasError(
        f"{root} is ambiguous: {'; '.join(_describe(path) for path in found[:5])}"
        f"{f' and {len(found) - 5} more' if len(found) > 5 else ''}; they could be splits with the same classes in "
        f"them, or classes; if they are splits, rename them to train, val and test, as in {SPLITS}; {ARE_CLASSES}"
    )


def _is_flat(path: Path) -> bool:
    return bool(_images_in(path)) and not subfolders(path, LeftOut(), path)


def _images_in(folder: Path) -> int:
    """Return the number of images directly in a folder."""
    here = entries(folder, LeftOut(), folder)
    return sum(os.path.isfile(path) and not is_hidden(path.name) and is_image(path) for path in here)


def _describe(path: Path) -> str:
    below, images = subfolders(path, LeftOut(), path), _images_in(path)
    parts = [f"{images:,} images"] if images else []
    parts += [f"{len(below):,} folders ({_list(below)})"] if below else []
    return f"{shown_name(path.name)} with {' and '.join(parts) or 'no images'}"


def _list(paths: list[Path], most: int = 5) -> str:
    names = [shown_name(path.name) for path in paths[:most]]
    return ", ".join(names) + (f" and {len(paths) - most} more" if len(paths) > most else "")

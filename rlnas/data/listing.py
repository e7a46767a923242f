"""List the images below a folder; count the other files, by reason.

Links to files and folders are followed, except a link to a folder that contains it.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import PIL.Image

# Made by systems and tools; compared without regard to case. They hold copies of images, or none.
SYSTEM_NAMES = (
    "@eadir", "@tmp", "#recycle", "$recycle.bin", "__macosx", "__pycache__", "lost+found",
    "system volume information", "desktop.ini", "ehthumbs.db", "ehthumbs_vista.db", "thumbs.db", "icon\r",
)  # fmt: skip
COPIES = ("thumbs", "thumbnails", "_thumbs", "_thumbnails")  # only below a class: a class may be named thumbs
# Pillow registers them but reads them only with other programs, or not at all.
UNREADABLE_FORMATS = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
# Their first bytes identify them: a file without a known suffix is one of them, or no image.
SIGNED_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")
REASONS = {
    "hidden": "hidden or made by the system",
    "suffix": "no image that Pillow reads",
    "outside": "in no folder of a class",
    "broken_link": "a link that leads nowhere",
    "loop": "a link to a folder that contains it",
    "unreadable": "in a folder that cannot be read",
    "special": "neither a file nor a folder",
}


@dataclass
class LeftOut:
    """Files below a folder that are not read. counts: number by key of `REASONS`. examples: the first of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    suffixes: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, path: Path, root: Path, count: int = 1) -> None:
        """Add `count` files of `path`, which is shown relative to `root`."""
        if count:
            self.counts[reason] += count
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            self.examples.setdefault(reason, shown_name(shown))
            if reason == "suffix":
                self.suffixes[shown_name(path.suffix.lower()) or "without suffix"] += count

    def merge(self, other: "LeftOut") -> None:
        """Add the counts of another `LeftOut`."""
        self.counts.update(other.counts)
        self.suffixes.update(other.suffixes)
        self.examples = {**other.examples, **self.examples}

    def sentence(self) -> str | None:
        """Return number, reasons and examples, as in "3 files are left out: 3 hidden ..."; None if there are none."""
        if not self.counts:
            return None
        parts = []
        for reason in sorted(self.counts):
            which = f"such as {self.examples[reason]}"
            if reason == "suffix":
                which = ", ".join(f"{suffix}: {count}" for suffix, count in sorted(self.suffixes.items()))
            parts.append(f"{self.counts[reason]:,} {REASONS[reason]} ({which})")
        total = sum(self.counts.values())
        return f"{total:,} {'file is' if total == 1 else 'files are'} left out: {'; '.join(parts)}"


def shown_name(path: Path | str) -> str:
    """Return a name as one line of valid UTF-8 text; unprintable characters become backslash escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def is_hidden(name: str, below_class: bool = False) -> bool:
    """Return whether a file or folder of this name is not data: hidden, made by a system, or thumbnails."""
    lower = name.lower()
    return name.startswith(".") or lower in SYSTEM_NAMES or (below_class and lower in COPIES)


@lru_cache(maxsize=1)
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of the formats that the installed Pillow reads, in lower case, with the dot."""
    known = PIL.Image.registered_extensions()  # loads all plugins
    readable = set(PIL.Image.OPEN) - set(UNREADABLE_FORMATS)
    readable.add("MPO")  # read by the plugin of JPEG
    return frozenset(suffix for suffix, kind in known.items() if kind in readable)


def is_image(path: Path) -> bool:
    """Return whether Pillow reads the file, judged by its suffix, else by its first bytes."""
    if path.suffix.lower() in image_suffixes():
        return True
    try:
        with PIL.Image.open(path, formats=[kind for kind in SIGNED_FORMATS if kind in PIL.Image.OPEN]):
            return True
    except Exception:  # plugins raise any type for files of another format
        return False


def entries(folder: Path, left_out: LeftOut, root: Path) -> list[Path]:
    """Return the entries of a folder, sorted by name; an unreadable folder is counted and gives []."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        left_out.add("unreadable", folder, root)
        return []


def subfolders(folder: Path, left_out: LeftOut, root: Path) -> list[Path]:
    """Return the visible folders directly in `folder`, sorted by name; count hidden ones and files of no class."""
    found = []
    for path in entries(folder, left_out, root):
        if is_hidden(path.name):
            left_out.add("hidden", path, root, count_files(path))
        elif (kind := _kind(path)) == "folder":
            found.append(path)
        else:
            left_out.add("outside" if kind == "file" else kind, path, root)
    return found


def images_below(folder: Path, left_out: LeftOut, root: Path) -> list[Path]:
    """Return the images at every depth below `folder`, sorted by path; count everything else."""
    images = []
    for path in files_below(folder, left_out, root):
        if is_image(path):
            images.append(path)
        else:
            left_out.add("suffix", path, root)
    return images


def files_below(folder: Path, left_out: LeftOut, root: Path) -> list[Path]:
    """Return the visible files at every depth below `folder`, sorted by path; count everything else."""
    real = folder.resolve()
    return sorted(_visit(folder, left_out, root, frozenset(_identity(path) for path in (real, *real.parents))))


def _visit(folder: Path, left_out: LeftOut, root: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    for path in entries(folder, left_out, root):
        if is_hidden(path.name, below_class=True):
            left_out.add("hidden", path, root, count_files(path))
        elif (kind := _kind(path)) == "folder":
            identity = _identity(path)
            if identity in above:
                left_out.add("loop", path, root)
            else:
                yield from _visit(path, left_out, root, above | {identity})
        elif kind == "file":
            yield path
        else:
            left_out.add(kind, path, root)


def _kind(path: Path) -> str:
    """Return "folder", "file", or why the target of a path is neither, as a key of `REASONS`."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        return "unreadable" if denied else "broken_link"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "special"


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def count_files(path: Path) -> int:
    """Return 1 for a file, the number of files at every depth for a folder; links to folders are not followed."""
    return sum(len(files) for _, _, files in os.walk(path)) if os.path.isdir(path) else 1

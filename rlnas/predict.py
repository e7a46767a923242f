"""`python -m rlnas.predict RUN PATH...`: the classes of images on disk by the network that a run found.

Images are decoded as those of training were: upright by EXIF, transparent pixels on the run's background, resized to
the trained size, grey if the network has one channel.
"""

import argparse
import csv
import glob
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rlnas.children.export import ARCHITECTURE, load_child, network_folder
from rlnas.children.network import Child
from rlnas.data import Images
from rlnas.data.decode import Colour, decode, parse_colour
from rlnas.data.listing import LeftOut, images_below, is_image, shown_name
from rlnas.errors import RlnasError
from rlnas.files import expand, replace
from rlnas.process.screen import occupy_standard_descriptors, safe_streams

TOGETHER = 500  # images decoded and classified at once: memory is bounded by them
SHOWN = 20  # rows on the screen; all are in the file of --csv


@dataclass
class Predictions:
    """What was found for each image, in the order of the paths.

    classes: of the network. files: the images that could be read. probabilities: (n, k). failed: path -> why an image
    could not be read.
    """

    classes: tuple[str, ...]
    files: list[Path] = field(default_factory=list)
    probabilities: list[Tensor] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)

    def rows(self, top: int) -> Iterator[list[str]]:
        """Yield path, then class and probability of the `top` likeliest classes, of each image that could be read."""
        for file, probability in zip(self.files, torch.cat(self.probabilities) if self.files else [], strict=True):
            values, places = probability.topk(min(top, len(self.classes)))
            pairs = zip(places.tolist(), values.tolist(), strict=True)
            yield [str(file), *(cell for place, value in pairs for cell in (self.classes[place], f"{value:.6f}"))]

    def right(self) -> tuple[int, int] | None:
        """Return how many images have the class that their folder is named after, of how many.

        None unless all folders are named after classes.
        """
        labels = [self.classes.index(file.parent.name) for file in self.files if file.parent.name in self.classes]
        if not labels or len(labels) < len(self.files):
            return None
        found = torch.cat(self.probabilities).argmax(dim=1)
        return int((found == torch.tensor(labels, device=found.device)).sum()), len(labels)


def main(arguments: Sequence[str] | None = None) -> int:
    """Classify and show; the exit status: 1 with one line on stderr on RlnasError, or if an image could not be read."""
    given = _parser().parse_args(arguments)
    occupy_standard_descriptors()
    with safe_streams():
        try:
            return _predict(given)
        except RlnasError as error:
            print(f"rlnas: error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nrlnas: stopped; nothing was written", file=sys.stderr)
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rlnas.predict", description="Which classes does the network that a run found see in images?"
    )
    parser.add_argument("run", help="a run folder, or its best/")
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="an image, a folder, a pattern such as 'new/*.jpg', or - for a list of them on stdin",
    )
    parser.add_argument(
        "--csv", metavar="FILE", help="write path, classes and probabilities of all images to this file"
    )
    parser.add_argument("--top", type=int, default=3, help="classes for each image (default: 3)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    return parser


def _predict(given: argparse.Namespace) -> int:
    if given.top < 1:
        raise RlnasError(f"--top is {given.top}, expected at least 1")
    target = expand(given.csv) if given.csv else None
    if target is not None and not target.parent.is_dir():  # before the work, not after it
        raise RlnasError(f"--csv {given.csv}: there is no folder {target.parent}; make it, or choose another place")
    child = load_child(given.run, given.device)
    files, note = find(given.paths, sys.stdin)
    found = predict_files(child, files, background_of(given.run))
    if note:
        print(note)
    show(found, given.top, given.csv)
    if target is not None:
        try:
            replace(target, table(found, given.top).encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise RlnasError(f"--csv {given.csv} cannot be written: {error.strerror or error}") from None
        print(f"written: {given.csv}")
    for reason in found.failed.values():
        print(f"rlnas: warning: {reason}", file=sys.stderr)
    if found.failed:
        print(f"rlnas: error: {len(found.failed):,} of {len(files):,} images could not be read", file=sys.stderr)
    return 1 if found.failed else 0


def find(paths: Sequence[str], stdin: Any = None) -> tuple[list[Path], str | None]:
    """Return the images that paths name, each once and in their order, and a sentence on files that are left out.

    A path is an image, a folder (images at any depth, sorted by path), a pattern of the shell, or "-": one path a line
    of `stdin`. Raises RlnasError for a path that names nothing, and if there is no image.
    """
    found: dict[Path, None] = {}
    left_out = LeftOut()
    for path in _expanded(paths, stdin):
        if path.is_dir():
            found.update(dict.fromkeys(images_below(path, left_out, path)))
        elif is_image(path):
            found[path] = None
        else:
            left_out.add("suffix", path, path.parent)
    sentence = left_out.sentence()
    if not found:
        reason = f": {sentence}" if sentence else ""
        raise RlnasError(
            f"no image in {', '.join(paths)}{reason}; expected images that Pillow reads, such as .jpg or .png files"
        )
    return list(found), sentence


def _expanded(paths: Sequence[str], stdin: Any) -> Iterator[Path]:
    for given in paths:
        if given == "-":
            lines = [line.rstrip("\r\n") for line in stdin or ()]
            yield from _expanded([line for line in lines if line], None)
            continue
        path = expand(given)
        if path.exists():
            yield path
            continue
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise RlnasError(f"{given} does not exist, and as a pattern it matches nothing; check the path")
        yield from map(Path, matches)


def background_of(run: str | Path) -> Colour:
    """Return the colour behind transparent pixels in training; white for networks of earlier versions."""
    record = json.loads((network_folder(run) / ARCHITECTURE).read_text(encoding="utf-8"))
    return parse_colour(str(record.get("background", "white")))


def predict_files(child: Child, files: Sequence[Path], background: Colour = (255, 255, 255)) -> Predictions:
    """Decode and classify images. One that cannot be read is among `failed`; the others are not affected."""
    found = Predictions(child.classes)
    for start in range(0, len(files), TOGETHER):
        chunk = list(files[start : start + TOGETHER])
        pixels: list[Tensor] = []
        for file in chunk:
            try:
                pixels.append(decode([file], [shown_name(file)], child.graph.size[0], background))  # (1, 3, size, size)
            except RlnasError as error:
                found.failed[file] = str(error)
            else:
                found.files.append(file)
        if pixels:
            images = torch.cat(pixels)
            if child.graph.channels == 1:
                images = Images(images, torch.zeros(len(images), dtype=torch.int64)).grey().pixels
            found.probabilities.append(child.predict(images).cpu())
    return found


def table(found: Predictions, top: int) -> str:
    """Return a CSV table: a row an image, with an error where it could not be read."""
    count = min(top, len(found.classes))
    places = ["", *map(str, range(2, count + 1))]
    heads = [f"{name}{place}" for place in places for name in ("class", "probability")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path", *heads, "error"])
    writer.writerows([*row, ""] for row in found.rows(top))
    writer.writerows([str(path), *[""] * len(heads), reason] for path, reason in found.failed.items())
    return out.getvalue()


def show(found: Predictions, top: int, file: str | None) -> None:
    """Print the first rows, the count of each class and, if folders are named after classes, the accuracy."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    if found.files:
        shown = Table(box=None, pad_edge=False)
        for head in ("image", "class", "probability", "then"):
            shown.add_column(head, justify="right" if head == "probability" else "left", overflow="fold")
        for number, row in enumerate(found.rows(top)):
            if number == SHOWN:
                break
            others = ", ".join(f"{name} {float(value):.2f}" for name, value in zip(row[3::2], row[4::2], strict=True))
            shown.add_row(escape(shown_name(row[0])), escape(row[1]), f"{float(row[2]):.3f}", escape(others))
        console.print(shown)
        if len(found.files) > SHOWN:
            more = "all are in the file of --csv" if file else "--csv FILE writes all"
            console.print(f"... and {len(found.files) - SHOWN:,} more; {more}")
        chosen = torch.cat(found.probabilities).argmax(dim=1).bincount(minlength=len(found.classes)).tolist()
        counts = ", ".join(f"{name} {count:,}" for name, count in zip(found.classes, chosen, strict=True) if count)
        console.print(f"{len(found.files):,} images: {counts}", markup=False)
    right = found.right()
    if right is not None:
        share = f"{right[0] / right[1]:.4f} ({right[0]:,} of {right[1]:,})"
        console.print(f"accuracy by the names of their folders: {share}")


if __name__ == "__main__":
    sys.exit(main())

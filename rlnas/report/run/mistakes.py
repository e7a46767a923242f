"""What the retrained network gets wrong on the test split: confusion matrix and the surest mistakes."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rlnas.report.run.mosaics import mosaic
from rlnas.report.style import new_figure
from rlnas.runs.reader import Run
from rlnas.runs.tables import read_rows

CONFUSION, MISTAKES = Path("best/test_confusion.csv"), Path("best/test_mistakes.csv")
PICTURES = Path("best/test_mistakes.png")  # the images of the mistakes, side by side
MOST_CLASSES = 30  # of a confusion matrix that is drawn
MOST_ROWS = 20  # classes in the page's table
COLUMNS, MOST_SHOWN = 6, 12  # pictures of mistakes
LONGEST = 12  # letters of a class's name in a figure


def confusion(run: Run) -> tuple[list[str], NDArray[np.int64]] | None:
    """Return the classes and how many images of each (rows) were taken for each (columns); None if not recorded."""
    path = run.folder / CONFUSION
    if not path.exists():
        return None
    with open(path, encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)  # by position: a class may have any name
    return [row[0] for row in rows], np.array([[int(cell) for cell in row[1:]] for row in rows], dtype=np.int64)


def mistakes(run: Run) -> list[dict[str, str]]:
    """Return the recorded mistakes, the surest first; empty if there are none or their pictures are gone."""
    both = (run.folder / MISTAKES).exists() and (run.folder / PICTURES).exists()
    return read_rows(run.folder / MISTAKES) if both else []


def has_confusion(run: Run) -> bool:
    """Return whether the matrix can be drawn."""
    found = confusion(run)
    return found is not None and len(found[0]) <= MOST_CLASSES


def classes_table(run: Run) -> dict[str, Any] | None:
    """Return the rows (class, images, recall, precision, most often taken for), worst recall first."""
    found = confusion(run)
    if found is None:
        return None
    classes, counts = found
    total, taken, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    rows = []
    for place in np.argsort(right / np.maximum(total, 1), kind="stable"):
        others = counts[place].copy()
        others[place] = 0
        most = int(others.argmax())
        rows.append(
            (
                classes[place],
                f"{total[place]:,}",
                _share(right[place], total[place]),
                _share(right[place], taken[place]),
                f"{classes[most]} ({others[most]:,})" if others[most] else "",
            )
        )
    recalls = [r / t for r, t in zip(right, total, strict=True) if t]
    return {"rows": rows, "balanced": f"{100 * float(np.mean(recalls)):.1f} %"}


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "\N{EN DASH}"


def draw_confusion(run: Run) -> Figure:
    """Share of each class's images (rows) that were taken for each class, in percent."""
    found = confusion(run)
    assert found is not None
    classes, counts = found
    total = counts.sum(axis=1, keepdims=True)
    share = np.where(total > 0, counts / np.maximum(total, 1), np.nan)
    names = [_short(name) for name in classes]
    figure = new_figure("Confusion: class (down), taken for (across)", min(1.3 + 0.26 * len(classes), 5.0))
    mosaic(figure.add_subplot(), share, names, names)
    return figure


def draw_mistakes(run: Run) -> Figure:
    """The wrong images of which the network was surest."""
    rows = mistakes(run)[:MOST_SHOWN]
    with PIL.Image.open(run.folder / PICTURES) as opened:
        strip = np.asarray(opened.convert("RGB"))  # (h, n * w, 3)
    side = strip.shape[0]
    lines = -(-len(rows) // COLUMNS)
    figure = new_figure("The surest mistakes on the test split", 0.6 + 1.15 * lines)
    for place, row in enumerate(rows):
        axes = figure.add_subplot(lines, COLUMNS, place + 1)
        axes.imshow(strip[:, place * side : (place + 1) * side], interpolation="nearest")
        axes.set_axis_off()
        told = f"{_short(row['predicted'])} {100 * float(row['probability']):.0f} %\nis {_short(row['class'])}"
        axes.set_title(told, fontsize=6.5, pad=2)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"

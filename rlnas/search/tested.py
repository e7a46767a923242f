"""What the final network says of the test images, kept in best/: a confusion matrix and the worst mistakes.

The test split is opened once, so everything that a reader may want to know of it is written then.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlnas.children.network import Child
from rlnas.data import Images
from rlnas.files import write_bytes, write_text

CONFUSION, MISTAKES, PICTURES = "test_confusion.csv", "test_mistakes.csv", "test_mistakes.png"
MOST_MISTAKES = 24


def record_test(child: Child, images: Images, folder: Path) -> dict[str, Any]:
    """Classify the test images once, write the files above to `folder` and return entries of result.json's `best`.

    test_accuracy: share of right images, 0..1. test_balanced_accuracy: mean over the classes that occur of the share
    of their images that are right. test_images: number of images.
    """
    probabilities = child.predict(images.pixels).cpu()  # (n, k)
    labels = images.labels.cpu()
    chosen = probabilities.argmax(dim=1)
    counts = confusion(labels, chosen, len(child.classes))
    write_text(folder / CONFUSION, _confusion_table(counts, child.classes))
    _write_mistakes(folder, child.classes, images.pixels.cpu(), labels, chosen, probabilities)
    seen = counts.sum(axis=1) > 0
    recalls = np.diag(counts)[seen] / counts.sum(axis=1)[seen]
    return {
        "test_accuracy": int((chosen == labels).sum()) / len(labels),
        "test_balanced_accuracy": float(recalls.mean()),
        "test_images": len(labels),
    }


def confusion(labels: Tensor, chosen: Tensor, classes: int) -> NDArray[np.int64]:
    """Return how many images of each class (rows) were taken for each class (columns): (k, k)."""
    counts = torch.bincount(labels * classes + chosen, minlength=classes**2)
    return counts.view(classes, classes).numpy().astype(np.int64)


def _confusion_table(counts: NDArray[np.int64], classes: tuple[str, ...]) -> str:
    return _csv([["class", *classes], *([name, *row] for name, row in zip(classes, counts.tolist(), strict=True))])


def _write_mistakes(
    folder: Path, classes: tuple[str, ...], pixels: Tensor, labels: Tensor, chosen: Tensor, probabilities: Tensor
) -> None:
    """Write the wrong images of which the network was surest, side by side in one PNG, and a table of them."""
    wrong = (chosen != labels).nonzero().flatten()
    sure = probabilities[wrong, chosen[wrong]]
    worst = wrong[torch.argsort(sure, descending=True, stable=True)[:MOST_MISTAKES]].tolist()
    rows = []
    for i in worst:
        found, right = float(probabilities[i, chosen[i]]), float(probabilities[i, labels[i]])
        rows.append([classes[labels[i]], classes[chosen[i]], f"{found:.6f}", f"{right:.6f}"])
    write_text(folder / MISTAKES, _csv([["class", "predicted", "probability", "probability_of_class"], *rows]))
    if not worst:
        (folder / PICTURES).unlink(missing_ok=True)
        return
    strip = torch.cat([pixels[i] for i in worst], dim=2)  # (c, h, n * w)
    values = strip[0].numpy() if strip.shape[0] == 1 else strip.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    PIL.Image.fromarray(values).save(buffer, format="PNG")
    write_bytes(folder / PICTURES, buffer.getvalue())


def _csv(rows: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()

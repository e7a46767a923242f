"""The record of the test images, by hand."""

import csv

import numpy as np
import PIL.Image
import pytest
import torch

from rlnas.data import Images
from rlnas.search.tested import confusion, record_test


class Fixed:
    """A network whose probabilities are given."""

    classes = ("cat", "class", "a,b")

    def __init__(self, probabilities):
        self.probabilities = torch.tensor(probabilities)

    def predict(self, pixels):
        return self.probabilities


def test_counts_accuracies_and_the_surest_mistakes_by_hand(tmp_path) -> None:
    probabilities = [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.8, 0.2, 0.0]]
    labels = torch.tensor([0, 0, 0, 0, 1])  # right, wrong, right, wrong, wrong; no image of the third class
    pixels = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 2, 2) * 10
    found = record_test(Fixed(probabilities), Images(pixels, labels), tmp_path)  # type: ignore[arg-type]
    assert found == {"test_accuracy": 0.4, "test_balanced_accuracy": 0.25, "test_images": 5}
    with open(tmp_path / "test_confusion.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["class", "cat", "class", "a,b"],
            ["cat", "2", "2", "0"],
            ["class", "1", "0", "0"],
            ["a,b", "0", "0", "0"],
        ]
    with open(tmp_path / "test_mistakes.csv", newline="") as file:
        _, *rows = csv.reader(file)
    assert [row[:2] for row in rows] == [["class", "cat"], ["cat", "class"], ["cat", "class"]]
    assert [float(cell) for row in rows for cell in row[2:]] == pytest.approx([0.8, 0.2, 0.7, 0.2, 0.5, 0.4])
    strip = np.asarray(PIL.Image.open(tmp_path / "test_mistakes.png"))
    assert strip.shape == (2, 6, 3)
    assert strip[0, ::2, 0].tolist() == [40, 10, 30]


def test_without_a_mistake_there_is_no_picture(tmp_path) -> None:
    (tmp_path / "test_mistakes.png").write_bytes(b"of before")
    pixels = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    found = record_test(Fixed([[1.0, 0, 0], [0, 1.0, 0]]), Images(pixels, torch.tensor([0, 1])), tmp_path)  # type: ignore[arg-type]
    assert found["test_accuracy"] == found["test_balanced_accuracy"] == 1
    assert not (tmp_path / "test_mistakes.png").exists()


def test_confusion_counts_every_image() -> None:
    stream = torch.Generator().manual_seed(0)
    labels, chosen = (torch.randint(0, 4, (500,), generator=stream) for _ in range(2))
    counts = confusion(labels, chosen, 4)
    for row in range(4):
        for column in range(4):
            assert counts[row, column] == int(((labels == row) & (chosen == column)).sum())

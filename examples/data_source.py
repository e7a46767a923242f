"""A custom data source, for images that are neither in a folder (data=folder) nor on the hub (data=hub).

python -m rlnas data=yours data.name=examples.data_source.shapes
python -m rlnas data=yours data.name=examples.data_source.shapes +data.options.count=2000
"""

import numpy as np
import torch

from rlnas.data.images import Decoded, Images
from rlnas.data.sources import Source

CLASSES = ("disc", "square", "cross")


def shapes(count: int = 600, size: int = 16, noise: float = 0.2) -> Source:
    """Return a source of `count` training images of size x size pixels with one shape each, and half as many for test.

    A source has the name of its data set and one function for each split, called when the split is needed: that of
    the test split at the very end.
    """
    return Source(f"shapes{size}", lambda: _draw(count, size, noise, 0), lambda: _draw(count // 2, size, noise, 1))


def _draw(count: int, size: int, noise: float, seed: int) -> Decoded:
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(CLASSES), size=count)
    y, x = np.mgrid[:size, :size]
    pixels = np.empty((count, 1, size, size), dtype=np.uint8)
    for index, label in enumerate(labels):
        row, column = rng.uniform(0.35 * size, 0.65 * size, size=2)
        radius = rng.uniform(0.15, 0.3) * size
        dy, dx = np.abs(y - row), np.abs(x - column)
        inside = [dy**2 + dx**2 < radius**2, np.maximum(dy, dx) < radius, np.minimum(dy, dx) < radius / 3][label]
        image = inside + noise * rng.normal(size=(size, size))
        pixels[index, 0] = (255 * np.clip(image, 0, 1)).astype(np.uint8)
    return Decoded(Images(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64))), CLASSES)

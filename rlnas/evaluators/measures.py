"""Measure a child on images: accuracy, soft accuracy and log-likelihood.

p is the softmax probability that the child gives to the right class of an image.

accuracy: share of the images whose right class has the highest score, 0..1.
soft_accuracy: mean of p, 0..1: an accuracy without rounding.
log_likelihood: mean of max(ln p, LOG_LIKELIHOOD_FLOOR) in nats, at most 0.

The accuracy keeps one bit of each image. The other two also say how nearly an image was right or wrong, so their
sampling error is smaller: on the same images they rank architectures better (docs/how_it_works.md).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlnas.errors import RlnasError

LOG_LIKELIHOOD_FLOOR = -4.0
"""Lowest log-likelihood of one image, in nats (p = 0.018).

ln p has no lower bound: without a limit few confident errors would decide the mean. With it architectures are ranked
slightly better, and a child whose scores are not finite has a finite value.
"""

BESIDE_ACCURACY = ("log_likelihood", "soft_accuracy")  # value_names of the evaluators of images
LOWEST: Mapping[str, float] = {"accuracy": 0.0, "soft_accuracy": 0.0, "log_likelihood": LOG_LIKELIHOOD_FLOOR}


def answers(scores: Tensor, probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return of each image whether its right class has the highest score, 0 or 1, and p: (2, b), float32.

    scores, probabilities: of each class, (b, k); one tensor, so that a device is read once. labels: (b,).
    """
    right = scores.argmax(dim=1) == labels
    probability = probabilities.gather(1, labels[:, None])[:, 0]
    return torch.stack([right.float(), probability.float()])


def right(found: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the first row of `answers`, (2, images), as truth values: (images,)."""
    hits: NDArray[np.bool_] = found[0] > 0.5
    return hits


def measured(found: NDArray[np.float32]) -> dict[str, float]:
    """Return the values of a child from its `answers`, (2, images), by name; see the module.

    Means are taken in float64 over the images in their order, so that they do not depend on how the child was
    scored: with others, or in how many passes. A probability that is not a number counts as 0.
    """
    hits, probability = right(found), np.nan_to_num(found[1].astype(np.float64), nan=0.0)
    log = np.log(np.maximum(probability, np.finfo(np.float64).tiny))
    return {
        "accuracy": int(hits.sum()) / len(hits),
        "soft_accuracy": float(probability.mean()),
        "log_likelihood": float(np.maximum(log, LOG_LIKELIHOOD_FLOOR).mean()),
    }


def restored(values: Any) -> dict[str, float]:
    """Return the values of a cached score from a checkpoint.

    Raises RlnasError for a checkpoint of a version that measured the accuracy alone.
    """
    if not isinstance(values, dict) or LOWEST.keys() - values.keys():
        raise RlnasError(
            f"the checkpoint is of an earlier version: its cached scores are {values!r}, expected "
            f"{', '.join(LOWEST)}; start a new run (history.csv of this one is kept)"
        )
    return values

"""Projected binary classification tasks (Real et al. 2020, section 4.1): two classes of a data set, few features.

Axis letters: t tasks, n training examples, v validation examples, f features, d values of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.programs.operations import Array

Pair = tuple[int, int]  # labels of the classes 0 and 1


@dataclass(frozen=True)
class Tasks:
    """Tasks of equal size.

    train: (n, t, f), in the order of training. train_labels: (n, t, 1), 0 or 1. valid: (t, v, f). valid_labels: (t, v),
    0 or 1. pairs: the classes of each task.
    """

    train: Array
    train_labels: Array
    valid: Array
    valid_labels: Array
    pairs: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        assert self.train.shape[1] == self.valid.shape[0], (self.train.shape, self.valid.shape)
        assert self.train.shape[2] == self.valid.shape[2], (self.train.shape, self.valid.shape)
        assert self.train_labels.shape == (*self.train.shape[:2], 1), self.train_labels.shape
        assert self.valid_labels.shape == self.valid.shape[:2], self.valid_labels.shape

    @property
    def count(self) -> int:
        """Number of tasks."""
        return int(self.train.shape[1])

    @property
    def features(self) -> int:
        """Number of features, f."""
        return int(self.train.shape[2])

    def accuracies(self, logits: Array) -> Array:
        """Return the share of right predictions in each task, (t,). logits: (t, v); a positive one predicts 1."""
        right: Array = ((logits > 0) == (self.valid_labels > 0.5)).mean(axis=1)
        return right

    def only(self, task: int) -> "Tasks":
        """Return one of the tasks."""
        one = slice(task, task + 1)
        return Tasks(
            np.ascontiguousarray(self.train[:, one]),
            np.ascontiguousarray(self.train_labels[:, one]),
            self.valid[one],
            self.valid_labels[one],
            self.pairs[one],
        )


def split_pairs(classes: int, rng: np.random.Generator) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Return the pairs of classes for search, selection and test, shuffled: 3/5, 1/5 and 1/5 of them.

    With fewer than five pairs each part has all of them: then its tasks differ in images and projection only.
    Raises RlnasError for one class.
    """
    if classes < 2:
        raise RlnasError(f"the data have {classes} class; binary classification needs two, so choose other data")
    pairs = [(a, b) for a in range(classes) for b in range(a + 1, classes)]
    pairs = [pairs[place] for place in rng.permutation(len(pairs))]
    if len(pairs) < 5:
        return pairs, pairs, pairs
    held_out = len(pairs) // 5
    return pairs[2 * held_out :], pairs[:held_out], pairs[held_out : 2 * held_out]


def make_tasks(
    images: Array,
    labels: NDArray[np.int64],
    pairs: Sequence[Pair],
    *,
    count: int,
    features: int,
    examples: tuple[int, int],
    rng: np.random.Generator,
    valid: tuple[Array, NDArray[np.int64]] | None = None,
) -> Tasks:
    """Return `count` tasks, one for each pair in turn, each with a projection of its own.

    An image (d,) is projected by a Gaussian matrix (d, f); each feature is standardised by mean and standard deviation
    of the task's training examples, then divided by sqrt(f), so that an example has length 1 on average. Deviation: the
    paper only standardises; with this a learning rate of 1 is a fair one, whatever f is. Both classes have equally many
    examples, in random order.

    images: (k, d). labels: (k,). examples: n and v at most, even numbers; all tasks have as many as the rarest class
    allows. valid: images and labels of the validation examples; by default they are other ones of `images`. Raises
    RlnasError if a class has too few images.
    """
    chosen = [pairs[task % len(pairs)] for task in range(count)]
    used = sorted({label for pair in chosen for label in pair})
    half = _halves(labels, None if valid is None else valid[1], used, examples)
    parts = [_task(images, labels, pair, features, half, rng, valid) for pair in chosen]
    train, train_labels, held, held_labels = (np.stack(part) for part in zip(*parts, strict=True))
    return Tasks(
        np.ascontiguousarray(np.swapaxes(train, 0, 1)),
        np.ascontiguousarray(np.swapaxes(train_labels, 0, 1))[..., None],
        held,
        held_labels,
        tuple(chosen),
    )


def _halves(
    labels: NDArray[np.int64], held: NDArray[np.int64] | None, used: Sequence[int], examples: tuple[int, int]
) -> tuple[int, int]:
    """Return the numbers of training and validation examples of each class."""
    wanted = [number // 2 for number in examples]
    fewest = min(int((labels == label).sum()) for label in used)
    if held is None:
        share = min(1.0, fewest / sum(wanted))
        found = (int(wanted[0] * share), int(wanted[1] * share))
    else:
        fewest_held = min(int((held == label).sum()) for label in used)
        found = (min(wanted[0], fewest), min(wanted[1], fewest_held))
    if min(found) < 2:
        raise RlnasError(
            f"a task would have {found[0]} training and {found[1]} validation examples of a class, expected at least 2 "
            "of each; give more images (data.limit, data.valid) or larger evaluator.train_examples and valid_examples"
        )
    return found


def _task(
    images: Array,
    labels: NDArray[np.int64],
    pair: Pair,
    features: int,
    half: tuple[int, int],
    rng: np.random.Generator,
    valid: tuple[Array, NDArray[np.int64]] | None,
) -> tuple[Array, Array, Array, Array]:
    """Return training examples (n, f), their labels (n,), validation examples (v, f) and theirs (v,)."""
    projection = rng.standard_normal((images.shape[1], features)) / np.sqrt(images.shape[1])
    found: list[tuple[Array, Array]] = []
    taken = [rng.permutation(np.flatnonzero(labels == label)) for label in pair]
    places = [own[: half[0]] for own in taken]
    found.append(_examples(images, places, rng))
    if valid is None:
        found.append(_examples(images, [own[half[0] : sum(half)] for own in taken], rng))
    else:
        others = [rng.permutation(np.flatnonzero(valid[1] == label))[: half[1]] for label in pair]
        found.append(_examples(valid[0], others, rng))
    (train, train_labels), (held, held_labels) = found
    train, held = train @ projection, held @ projection
    mean, std = train.mean(axis=0), train.std(axis=0)
    scale = np.where(std > 0, std, 1.0) * np.sqrt(features)  # a constant feature becomes 0
    return (train - mean) / scale, train_labels, (held - mean) / scale, held_labels


def _examples(images: Array, places: Sequence[NDArray[np.int64]], rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the images at both classes' places in random order, and their labels 0 or 1."""
    order = rng.permutation(sum(map(len, places)))
    labels = np.repeat([0.0, 1.0], [len(own) for own in places])
    return images[np.concatenate(places)[order]], labels[order]

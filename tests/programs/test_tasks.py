"""Projected tasks: sizes, balance, standardisation, and that no example is used twice."""

import numpy as np
import pytest

from rlnas.errors import RlnasError
from rlnas.programs import make_tasks
from rlnas.programs.tasks import split_pairs


def images(each: int = 30, classes: int = 4, size: int = 9):
    labels = np.repeat(np.arange(classes), each)
    return np.random.default_rng(0).uniform(size=(len(labels), size)), labels


def made(**changes):
    options = {"count": 3, "features": 5, "examples": (20, 10), "rng": np.random.default_rng(1)}
    return make_tasks(*images(), [(0, 1), (2, 3)], **{**options, **changes})


def test_shapes_pairs_and_balance() -> None:
    tasks = made()
    assert (tasks.count, tasks.features, tasks.pairs) == (3, 5, ((0, 1), (2, 3), (0, 1)))
    assert tasks.train.shape == (20, 3, 5)
    assert tasks.valid.shape == (3, 10, 5)
    assert tasks.train_labels.sum(axis=0).ravel().tolist() == [10, 10, 10]
    assert tasks.valid_labels.sum(axis=1).tolist() == [5, 5, 5]


def test_features_are_standardised_by_the_training_examples_of_each_task() -> None:
    tasks = made()
    np.testing.assert_allclose(tasks.train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(tasks.train.std(axis=0), 5**-0.5)
    np.testing.assert_allclose((tasks.train**2).sum(axis=2).mean(), 1)  # the mean squared length
    assert not np.allclose(tasks.train[:, 0], tasks.train[:, 2])  # the same pair, another projection


def test_no_example_serves_both_ends() -> None:
    """With as many features as values the projection can be undone: every example is another one."""
    tasks = made(features=9)
    rows = np.concatenate([tasks.train[:, 0], tasks.valid[0]]).round(9)
    assert len(np.unique(rows, axis=0)) == 30


def test_a_projection_mixes_values_linearly() -> None:
    """The examples are of rank d, however many features they have."""
    assert np.linalg.matrix_rank(made(features=12).valid[0]) <= 9


def test_small_classes_make_small_tasks() -> None:
    tasks = made(examples=(100, 50))  # 30 of a class: 20 to train, 10 to validate
    assert (len(tasks.train), tasks.valid.shape[1]) == (40, 20)


def test_validation_examples_may_be_given() -> None:
    held = images(each=7)
    tasks = made(valid=held, examples=(60, 50))
    assert (len(tasks.train), tasks.valid.shape[1]) == (60, 14)


def test_the_same_generator_makes_the_same_tasks() -> None:
    np.testing.assert_array_equal(made().train, made().train)
    assert not np.array_equal(made().train, made(rng=np.random.default_rng(2)).train)


def test_a_constant_feature_becomes_zero() -> None:
    tasks = make_tasks(
        np.ones((20, 3)),
        np.arange(20) % 2,
        [(0, 1)],
        count=1,
        features=2,
        examples=(8, 8),
        rng=np.random.default_rng(0),
    )
    np.testing.assert_allclose(tasks.train, 0, atol=1e-12)


def test_accuracies_count_positive_logits_as_class_one() -> None:
    tasks = made()
    right = np.where(tasks.valid_labels > 0, 0.1, -2.0)
    assert tasks.accuracies(right).tolist() == [1, 1, 1]
    assert tasks.accuracies(-right).tolist() == [0, 0, 0]
    assert tasks.accuracies(np.zeros((3, 10))).tolist() == [0.5, 0.5, 0.5]


def test_pairs_are_split_without_overlap() -> None:
    parts = split_pairs(10, np.random.default_rng(0))
    assert [len(part) for part in parts] == [27, 9, 9]
    assert len({pair for part in parts for pair in part}) == 45
    assert all(a < b for part in parts for a, b in part)


def test_few_classes_share_their_pairs() -> None:
    assert split_pairs(2, np.random.default_rng(0)) == ([(0, 1)], [(0, 1)], [(0, 1)])
    with pytest.raises(RlnasError, match="the data have 1 class; binary classification needs two"):
        split_pairs(1, np.random.default_rng(0))


def test_too_few_images_are_told() -> None:
    with pytest.raises(RlnasError, match="a task would have 1 training and 0 validation examples of a class"):
        make_tasks(
            np.ones((4, 3)), np.arange(4) % 2, [(0, 1)], count=1, features=2, examples=(40, 20),
            rng=np.random.default_rng(0),
        )  # fmt: skip

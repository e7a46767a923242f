"""Children that cannot win stop early, and hardly ever one that could."""

import numpy as np
import pytest
import torch

from rlnas.children.supernet import Supernet
from rlnas.config.schema import SharedWeightsConfig
from rlnas.data import ImageData, Images
from rlnas.data.augment import Augmentation
from rlnas.data.images import statistics
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.evaluators.racing import hopeless
from rlnas.spaces import NasrlSpace


def hits(right: int, of: int, start: int = 0) -> np.ndarray:
    """`right` of `of` images are classified correctly, from image `start` on."""
    found = np.zeros(of, dtype=bool)
    found[start : start + right] = True
    return found


def test_hand_computed_test():
    # the leader alone has 5 images right, the other none of its own: 5 heads of 5 have probability 1/32
    leader, other = hits(5, 10), hits(0, 10)
    assert hopeless([leader, other], error=0.032, tests=1) == [1]
    assert hopeless([leader, other], error=0.031, tests=1) == []
    # 4 heads of 5 or more: 6/32
    assert hopeless([hits(4, 10), hits(1, 10, start=9)], error=0.188, tests=1) == [1]
    assert hopeless([hits(4, 10), hits(1, 10, start=9)], error=0.187, tests=1) == []


def test_many_tests_need_more_evidence():
    assert hopeless([hits(5, 10), hits(0, 10)], error=0.064, tests=2) == [1]
    assert hopeless([hits(5, 10), hits(0, 10)], error=0.064, tests=3) == []


def test_images_that_both_have_right_say_nothing():
    both = np.ones(1000, dtype=bool)
    assert hopeless([np.append(both, hits(5, 5)), np.append(both, hits(0, 5))], 0.032, 1) == [1]


def test_equal_children_and_a_single_one_go_on():
    assert hopeless([hits(3, 9)] * 4, 0.5, 1) == []
    assert hopeless([hits(3, 9)], 0.5, 1) == []


def test_the_error_bound_holds_where_all_are_equally_good():
    rng = np.random.default_rng(0)
    error, stages, children, races = 0.2, 4, 5, 400
    wrong = 0
    for _ in range(races):
        seen = rng.random((children, 50 * stages)) < 0.6
        tests = children * (children - 1) * (stages - 1)
        wrong += any(hopeless(list(seen[:, : 50 * stage]), error, tests) for stage in range(1, stages))
    assert wrong / races <= error


def test_a_race_saves_work_and_keeps_the_best(race):
    plain, raced = race(0.0), race(0.3)
    assert {score.images for score in plain} == {120}
    assert min(score.images for score in raced) < 120
    best = max(range(len(plain)), key=lambda which: plain[which].accuracy)
    assert raced[best].values == plain[best].values
    for one, other in zip(plain, raced, strict=True):
        assert one.values == other.values or other.images < 120


def test_values_of_a_stopped_child_are_means_over_the_images_it_saw(race):
    """A batch is twenty images, the same ones for all."""
    raced = race(0.3)
    stopped = [score for score in raced if score.images < 120]
    assert stopped
    for score in stopped:
        assert score.images % 20 == 0
        assert (score.accuracy * score.images) % 1 == pytest.approx(0, abs=1e-9)
        assert 0 < score.values["soft_accuracy"] < 1
        assert -4 <= score.values["log_likelihood"] < 0
    # the leader is better in every value than what it stopped
    leader = max(raced, key=lambda score: (score.images, score.accuracy))
    for name in ("soft_accuracy", "log_likelihood"):
        assert all(leader.values[name] > score.values[name] for score in stopped)


@pytest.fixture
def race(execution, child_config, graph_of, networks):
    """race(error): scores of six children of a supernet that was trained on one of them only."""
    space = NasrlSpace(3, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
    generator = torch.Generator().manual_seed(0)

    def draw(count):
        labels = torch.randint(3, (count,), generator=generator)
        pixels = torch.randint(60, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
        return Images(pixels + (90 * labels).to(torch.uint8)[:, None, None, None], labels)

    train, valid = draw(96), draw(120)

    def closed():
        raise AssertionError("the test split stays closed")

    data = ImageData("levels", ("a", "b", "c"), 1, 8, train, valid, *statistics(train.pixels), Augmentation(), closed)

    def run(error: float):
        net = Supernet(child_config(), data, track_statistics=False, execution=execution, seed=0)
        architectures = [space.unrank(code) for code in (0, 7, 21, 30, 44, 53)]
        net.train([graph_of(space, architectures[2])] * 60, 60)
        config = SharedWeightsConfig(images=0, batch_size=20, racing=error)
        evaluator = SharedWeightsEvaluator(config, net, data, networks(space), seed=0)
        return evaluator.evaluate(architectures)

    return run

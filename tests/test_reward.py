"""From accuracy to reward, by hand."""

import math

import pytest

from rlnas.config import RewardConfig
from rlnas.evaluators import Score
from rlnas.reward import Outcome, Scorer, Shaping, skip_divergence
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(4, ("conv3x3",))  # three possible skips
ONE_SKIP = SPACE.parse("conv3x3 conv3x3 conv3x3 conv3x3+1")


class Fixed:
    """Scores that are given beforehand."""

    def __init__(self, *accuracies: float):
        self.accuracies = accuracies

    def evaluate(self, architectures):
        return [Score(accuracy) for accuracy in self.accuracies]


def test_the_reward_is_the_accuracy_by_default():
    assert Shaping(RewardConfig(), SPACE).reward(ONE_SKIP, 0.7) == 0.7


def test_the_cube_of_the_accuracy():
    assert Shaping(RewardConfig(shape="accuracy_cubed"), SPACE).reward(ONE_SKIP, 0.5) == 0.125


def test_the_skip_penalty_is_subtracted():
    shaping = Shaping(RewardConfig(skip_weight=0.5, skip_target=0.4), SPACE)
    divergence = 1 / 3 * math.log(1 / 3 / 0.4) + 2 / 3 * math.log(2 / 3 / 0.6)
    assert shaping.skip_penalty(ONE_SKIP) == pytest.approx(0.5 * divergence)
    assert shaping.reward(ONE_SKIP, 0.7) == pytest.approx(0.7 - 0.5 * divergence)


@pytest.mark.parametrize(
    ("rate", "target", "nats"), [(0.4, 0.4, 0), (0, 0.4, -math.log(0.6)), (1, 0.4, -math.log(0.4))]
)
def test_the_divergence_at_target_and_ends(rate, target, nats):
    assert skip_divergence(rate, target) == pytest.approx(nats)


@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 0.9, 1])
def test_the_divergence_grows_away_from_the_target(rate):
    assert skip_divergence(rate, 0.4) > skip_divergence((rate + 0.4) / 2, 0.4) >= 0


@pytest.mark.parametrize("layers", [1, 2])
def test_a_depth_without_skips_has_no_penalty(layers):
    space = NasrlSpace(layers, ("conv3x3",))
    assert Shaping(RewardConfig(skip_weight=5), space).reward((0,) * layers, 0.7) == 0.7


def test_a_scorer_pairs_scores_and_rewards_in_order():
    scorer = Scorer(Fixed(0.5, 1.0), Shaping(RewardConfig(shape="accuracy_cubed"), SPACE))
    assert scorer.score([ONE_SKIP, ONE_SKIP]) == [Outcome(Score(0.5), 0.125), Outcome(Score(1.0), 1.0)]


def test_a_missing_score_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        Scorer(Fixed(0.5), Shaping(RewardConfig(), SPACE)).score([ONE_SKIP, ONE_SKIP])

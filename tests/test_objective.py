"""From accuracy to reward, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.config.schema import RewardConfig
from rlnas.evaluators import Score
from rlnas.objective import Outcome, Scale, Scorer, Shaping, skip_divergence
from rlnas.spaces import NasrlSpace, TableSpace
from rlnas.tabular import Benchmark

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
    assert scorer.score([ONE_SKIP, ONE_SKIP]) == [Outcome(Score(0.5), 0.125, 0.125), Outcome(Score(1.0), 1.0, 1.0)]


def test_a_missing_score_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        Scorer(Fixed(0.5), Shaping(RewardConfig(), SPACE)).score([ONE_SKIP, ONE_SKIP])


# -- what learners are paid --------------------------------------------------------------------------------


A, B, C = (0, 0), (0, 1), (1, 0)


def pay(scale: Scale, rewards):
    """For architectures that are all different."""
    start = len(scale._sorted)
    return scale.pay([(start + i,) for i in range(len(rewards))], rewards)


def test_ranks_by_hand():
    scale = Scale("rank")
    assert scale.pay([A], [5.0]) == [0.5]
    assert scale.pay([B, A], [9.0, 1.0]) == [2.5 / 3, 0.5 / 3]  # 1 < 5 < 9
    assert scale.pay([A], [5.0]) == [2 / 4]  # 1 < 5 = 5 < 9: one below, half of two equal


def test_ranks_of_means_by_hand():
    scale = Scale("mean_rank")
    assert scale.pay([A], [5.0]) == [0.5]
    assert scale.pay([B, A], [9.0, 1.0]) == [2.5 / 3, 1 / 3]  # A's mean is 3: 1 < (3) < 5 < 9
    assert scale.pay([A, C], [9.0, 5.0]) == [2 / 5, 2 / 5]  # A's mean is 5: 1 < 5 = 5 < 9 = 9


@given(rewards=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40))
def test_without_repetition_the_rank_of_the_mean_is_the_rank(rewards):
    assert pay(Scale("mean_rank"), rewards) == pay(Scale("rank"), rewards)


@given(
    drawn=st.lists(st.integers(0, 5), min_size=1, max_size=60), values=st.lists(st.floats(0, 1), min_size=6, max_size=6)
)
def test_without_noise_the_rank_of_the_mean_is_the_rank(drawn, values):
    architectures, rewards = [(one,) for one in drawn], [values[one] for one in drawn]
    assert Scale("mean_rank").pay(architectures, rewards) == Scale("rank").pay(architectures, rewards)


def test_standard_scores_by_hand():
    scale = Scale("standard")
    assert pay(scale, [3.0]) == [0.0]
    assert pay(scale, [1.0, 5.0]) == pytest.approx([-2 / (8 / 3) ** 0.5, 2 / (8 / 3) ** 0.5])


@given(
    rewards=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=40),
    a=st.integers(1, 50),
    b=st.integers(-99, 99),
)
def test_a_tables_unit_does_not_matter_to_ranks(rewards, a, b):
    plain, scaled = Scale("rank"), Scale("rank")
    for start in range(0, len(rewards), 7):
        batch = rewards[start : start + 7]
        paid = pay(plain, batch)
        assert paid == pay(scaled, [a * reward + b for reward in batch])
        assert all(0 < value < 1 for value in paid)


@given(rewards=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40))
def test_standard_scores_equal_numpys(rewards):
    paid = pay(Scale("standard"), rewards)
    deviation = np.std(rewards)
    expected = (np.array(rewards) - np.mean(rewards)) / deviation if deviation > 1e-6 else None
    if expected is not None:
        np.testing.assert_allclose(paid, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "standard", "rank", "mean_rank"])
def test_a_scale_goes_on_from_the_rewards_seen(kind):
    through, seen = Scale(kind), [(A, 0.3), (B, 0.9), (A, 0.1), (C, 0.3)]
    through.pay(*zip(*seen, strict=True))
    expected = through.pay([B, A], [0.5, 0.2])
    assert Scale(kind, seen).pay([B, A], [0.5, 0.2]) == pytest.approx(expected)
    if kind != "none":
        assert Scale(kind).pay([B, A], [0.5, 0.4]) != pytest.approx(Scale(kind, seen).pay([B, A], [0.5, 0.4]))


def test_tables_are_paid_in_ranks_and_children_as_they_are(scorer, space):
    assert scorer(space).scale.kind == "none"
    benchmark = Benchmark("b", "0", ("x",), (("a", "b"),), np.ones((2, 1)), np.ones(2))
    assert Scorer(None, Shaping(RewardConfig(), TableSpace("table", benchmark))).scale.kind == "mean_rank"
    assert Scorer(None, Shaping(RewardConfig(scale="none"), TableSpace("table", benchmark))).scale.kind == "none"

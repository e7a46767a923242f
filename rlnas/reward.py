"""From accuracy to reward: the named terms, in one place. Every term is logged by its name.

accuracy: the reward is the accuracy, in 0..1.
accuracy_cubed: its cube, which spreads the good ones (Zoph & Le 2017, section 4.1).
skip_penalty: `skip_weight` times KL(Bernoulli(skip rate of the architecture) || Bernoulli(skip_target)) is
    subtracted. ENAS (section 3.2) penalises the policy's probabilities instead; that form, which only its
    own policy offers, is `skip_weight` in conf/controller/reinforce.yaml. This one works for every controller.

An entropy bonus is no term of the reward: it is a term of the policy's loss (`ent_coef` of the controllers).

What history.csv calls reward is the sum of these terms. Learners are paid in a `scale` made of it, so that no
option of theirs depends on a table's unit or on how far its architectures lie apart:
auto: `rank` for a table, `none` for children.
none: the reward itself, right for accuracies of children, which lie in 0..1 and whose spread is the signal.
standard: minus the mean of all rewards so far, over their standard deviation.
rank: the share of all rewards so far that are lower, ties half, in 0..1. An outlier moves it by one place, and
    among good architectures, where differences are smallest, it stays as steep as elsewhere.
Controllers that only compare (evolution, local search) read the reward itself, from the info of the episode.
"""

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlnas.config import RewardConfig
from rlnas.evaluators import Evaluator, Score
from rlnas.spaces import Architecture, ChainSpace, Space, TableSpace


def skip_divergence(rate: float, target: float) -> float:
    """KL(Bernoulli(rate) || Bernoulli(target)) in nats, for rate in [0, 1] and target in (0, 1)."""
    terms = ((rate, target), (1 - rate, 1 - target))
    return sum(p * math.log(p / q) for p, q in terms if p > 0)


@dataclass(frozen=True)
class Shaping:
    """Reward of one architecture; see the module."""

    config: RewardConfig
    space: Space

    def skip_penalty(self, architecture: Architecture) -> float:
        """What the skip rate costs; 0 for a space or depth without skips."""
        if self.config.skip_weight == 0 or not isinstance(self.space, ChainSpace):
            return 0.0
        possible = (self.space.layers - 1) * (self.space.layers - 2) // 2
        if possible <= 0:
            return 0.0
        rate = len(self.space.skips(architecture)) / possible
        return self.config.skip_weight * skip_divergence(rate, self.config.skip_target)

    def reward(self, architecture: Architecture, accuracy: float) -> float:
        """The reward of an architecture of this accuracy."""
        gain = accuracy**3 if self.config.shape == "accuracy_cubed" else accuracy
        return gain - self.skip_penalty(architecture)


@dataclass(frozen=True)
class Outcome:
    """A scored architecture: what the evaluator said, the reward made of it, and what a learner is paid."""

    score: Score
    reward: float
    paid: float


class Scale:
    """From rewards to what learners are paid; see the module.

    kind: `none`, `standard` or `rank`.
    seen: the rewards before this process began.
    """

    def __init__(self, kind: str, seen: Iterable[float] = ()):
        self.kind = kind
        self._sorted = sorted(seen) if kind == "rank" else []
        self._count, self._mean, self._squares = 0, 0.0, 0.0  # Welford's running moments
        if kind == "standard":
            self._add_moments(seen)

    def pay(self, rewards: Sequence[float]) -> list[float]:
        """The scaled rewards of a batch, which counts among the rewards so far itself."""
        if self.kind == "rank":
            for reward in rewards:
                bisect.insort(self._sorted, reward)
            return [self._rank(reward) for reward in rewards]
        if self.kind == "standard":
            self._add_moments(rewards)
            deviation = math.sqrt(self._squares / self._count) if self._count else 0.0
            return [(reward - self._mean) / deviation if deviation else 0.0 for reward in rewards]
        return list(rewards)

    def _rank(self, reward: float) -> float:
        lower = bisect.bisect_left(self._sorted, reward)
        equal = bisect.bisect_right(self._sorted, reward) - lower
        return (lower + equal / 2) / len(self._sorted)

    def _add_moments(self, rewards: Iterable[float]) -> None:
        for reward in rewards:
            self._count += 1
            step = reward - self._mean
            self._mean += step / self._count
            self._squares += step * (reward - self._mean)


class Scorer:
    """Evaluator, shaping and scale as the one call the environment makes.

    seen: rewards of a run that goes on, for the scale.
    """

    def __init__(self, evaluator: Evaluator, shaping: Shaping, seen: Iterable[float] = ()):
        self.evaluator = evaluator
        self.shaping = shaping
        kind = shaping.config.scale
        if kind == "auto":
            kind = "rank" if isinstance(shaping.space, TableSpace) else "none"
        self.scale = Scale(kind, seen)

    def score(self, architectures: Sequence[Architecture]) -> list[Outcome]:
        """The outcome of each architecture, in order."""
        scores = self.evaluator.evaluate(architectures)
        rewards = [
            self.shaping.reward(architecture, score.accuracy)
            for architecture, score in zip(architectures, scores, strict=True)
        ]
        paid = self.scale.pay(rewards)
        return [Outcome(*values) for values in zip(scores, rewards, paid, strict=True)]

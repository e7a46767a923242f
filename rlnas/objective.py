"""From accuracy to reward: the named terms, in one place. Every term is logged by its name.

accuracy: the reward is the accuracy, in 0..1.
accuracy_cubed: its cube, which spreads the good ones (Zoph & Le 2017, section 4.1).
skip_penalty: `skip_weight` times KL(Bernoulli(skip rate of the architecture) || Bernoulli(skip_target)) is
    subtracted. ENAS (section 3.2) penalises the policy's probabilities instead; that form, which only its
    own policy offers, is `skip_weight` in conf/controller/reinforce.yaml. This one works for every controller.

An entropy bonus is no term of the reward: it is a term of the policy's loss (`ent_coef` of the controllers).

What history.csv calls reward is the sum of these terms. Learners are paid in a `scale` made of it, so that no
option of theirs depends on a table's unit or on how far its architectures lie apart:
auto: `mean_rank` for a table, `none` for children.
none: the reward itself, right for accuracies of children, which lie in 0..1 and whose spread is the signal.
standard: minus the mean of all rewards so far, over their standard deviation.
rank: the share of all rewards so far that are lower, ties half, in 0..1. An outlier moves it by one place, and
    among good architectures, where differences are smallest, it stays as steep as elsewhere.
mean_rank: the same share for the mean of all rewards of this architecture so far. A table of noisy repeats gives
    another reward at each query; a policy that comes back to an architecture is so paid for what it is worth, not
    for one lucky draw. Without noise, or repetition, it is `rank`.
Controllers that only compare (evolution, local search) read the reward itself, from the info of the episode.
"""

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlnas.config.schema import RewardConfig
from rlnas.evaluators import Evaluator, Score
from rlnas.means import Means
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

    kind: `none`, `standard`, `rank` or `mean_rank`.
    seen: the architectures before this process began, with their rewards.
    """

    def __init__(self, kind: str, seen: Iterable[tuple[Architecture, float]] = ()):
        self.kind = kind
        self._sorted: list[float] = []
        self._means = Means()
        self._count, self._mean, self._squares = 0, 0.0, 0.0  # Welford's running moments
        for architecture, reward in seen:
            self._add(architecture, reward)

    def pay(self, architectures: Sequence[Architecture], rewards: Sequence[float]) -> list[float]:
        """The scaled rewards of a batch, which counts among the rewards so far itself."""
        for architecture, reward in zip(architectures, rewards, strict=True):
            self._add(architecture, reward)
        return [self.value(architecture, reward) for architecture, reward in zip(architectures, rewards, strict=True)]

    def value(self, architecture: Architecture, reward: float) -> float:
        """The scaled reward of an architecture that was scored, by all rewards so far."""
        if self.kind == "rank":
            return self._rank(reward)
        if self.kind == "mean_rank":
            return self._rank(self._means.mean(architecture))
        if self.kind == "standard":
            deviation = math.sqrt(self._squares / self._count) if self._count else 0.0
            return (reward - self._mean) / deviation if deviation else 0.0
        return reward

    @property
    def moves(self) -> bool:
        """Whether the value of a reward changes with later rewards."""
        return self.kind != "none"

    def _add(self, architecture: Architecture, reward: float) -> None:
        if self.kind in ("rank", "mean_rank"):
            bisect.insort(self._sorted, reward)
        if self.kind == "mean_rank":
            self._means.add(architecture, reward)
        if self.kind == "standard":
            self._count += 1
            step = reward - self._mean
            self._mean += step / self._count
            self._squares += step * (reward - self._mean)

    def _rank(self, reward: float) -> float:
        lower = bisect.bisect_left(self._sorted, reward)
        equal = bisect.bisect_right(self._sorted, reward) - lower
        return (lower + equal / 2) / len(self._sorted)


class Scorer:
    """Evaluator, shaping and scale as the one call the environment makes.

    seen: architectures and rewards of a run that goes on, for the scale.
    """

    def __init__(self, evaluator: Evaluator, shaping: Shaping, seen: Iterable[tuple[Architecture, float]] = ()):
        self.evaluator = evaluator
        self.shaping = shaping
        kind = shaping.config.scale
        if kind == "auto":
            kind = "mean_rank" if isinstance(shaping.space, TableSpace) else "none"
        self.scale = Scale(kind, seen)

    def score(self, architectures: Sequence[Architecture]) -> list[Outcome]:
        """The outcome of each architecture, in order."""
        scores = self.evaluator.evaluate(architectures)
        rewards = [
            self.shaping.reward(architecture, score.accuracy)
            for architecture, score in zip(architectures, scores, strict=True)
        ]
        paid = self.scale.pay(architectures, rewards)
        return [Outcome(*values) for values in zip(scores, rewards, paid, strict=True)]

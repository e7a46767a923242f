"""From accuracy to reward: the named terms, in one place. Every term is logged by its name.

accuracy: the reward is the accuracy, in 0..1.
accuracy_cubed: its cube, which spreads the good ones (Zoph & Le 2017, section 4.1).
skip_penalty: `skip_weight` times KL(Bernoulli(skip rate of the architecture) || Bernoulli(skip_target)) is
    subtracted. ENAS (section 3.2) penalises the policy's probabilities instead; that form, which only its
    own policy offers, is `skip_weight` in conf/controller/reinforce.yaml. This one works for every controller.

An entropy bonus is no term of the reward: it is a term of the policy's loss (`ent_coef` of the controllers).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rlnas.config import RewardConfig
from rlnas.evaluators import Evaluator, Score
from rlnas.spaces import Architecture, ChainSpace, Space


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
    """A scored architecture: what the evaluator said, and the reward made of it."""

    score: Score
    reward: float


class Scorer:
    """Evaluator and shaping as the one call the environment makes."""

    def __init__(self, evaluator: Evaluator, shaping: Shaping):
        self.evaluator = evaluator
        self.shaping = shaping

    def score(self, architectures: Sequence[Architecture]) -> list[Outcome]:
        """The outcome of each architecture, in order."""
        scores = self.evaluator.evaluate(architectures)
        return [
            Outcome(score, self.shaping.reward(architecture, score.accuracy))
            for architecture, score in zip(architectures, scores, strict=True)
        ]

"""Warnings of a collapse: the policy repeats itself long before the budget ends, or builds hardly anything but pools.

Shared weights that are trained on the policy's own samples favour what they were trained on, and architectures without
parameters score well before the others are trained (ENAS on NAS-Bench-201 ended with skips and pools). Neither
shows in the reward, which rises either way.
"""

import math
from collections.abc import Mapping
from typing import Any

from rlnas.config.schema import Config
from rlnas.search.statistics import operator_shares
from rlnas.seeding import numpy_stream
from rlnas.spaces import Space

# A round with less than a tenth of the different architectures that uniform sampling gives: each is scored ten times on
# average. PPO with its default entropy bonus is at 0.2 to 0.4 after 150 architectures of NAS-Bench-Macro.
FEW_DIFFERENT = 0.1
# In the second half of a budget convergence is what a search is meant to do: with the defaults and 300 architectures of
# NAS-Bench-Macro policies end at 0.02 to 0.2.
EARLY = 0.5
# Pools and identities dominate where their share is past the middle between uniform sampling's share and all.
DOMINATING = 0.5
UNIFORM_SAMPLES = 200  # estimate that share with a standard error below 0.02 for two or more layers


class Collapse:
    """Notices when a search collapses; `warnings` has one entry for each kind, as in result.json.

    policy: whether the controller has a policy. Strategies such as evolution and local search propose variants of few
    architectures on purpose, so their repeats are no collapse.
    """

    def __init__(self, config: Config, space: Space, *, policy: bool):
        self.config = config
        self.space = space
        self.policy = policy
        self.warnings: list[dict[str, Any]] = []
        self._uniform: float | None = None

    def notice(self, row: Mapping[str, Any], scored: int, done: float) -> list[str]:
        """Return the texts of the warnings that begin with this round.

        row: of rounds.csv. scored: architectures scored in the round. done: used share of the budget, 0..1.
        """
        found = {"repeats": self._repeats(row, scored, done), "pools": self._pools(row)}
        known = {warning["kind"] for warning in self.warnings}
        new = [
            {
                "kind": kind,
                "round": row["round"],
                "text": f"round {row['round']}: {text}. What to change: {self._advice(kind, row)}",
            }
            for kind, text in found.items()
            if text and kind not in known
        ]
        self.warnings += new
        return [str(warning["text"]) for warning in new]

    def _repeats(self, row: Mapping[str, Any], scored: int, done: float) -> str | None:
        expected = uniform_unique_share(self.space.size, scored)
        if not self.policy or done >= EARLY or row["unique_share"] >= FEW_DIFFERENT * expected:
            return None
        different = round(row["unique_share"] * scored)
        return (
            f"the policy has converged early: {different} of {scored} architectures are different, with "
            f"{100 * (1 - done):.0f} % of the budget left"
        )

    def _pools(self, row: Mapping[str, Any]) -> str | None:
        if None in (row["pool_share"], row["random_reward_mean"]) or row["reward_mean"] > row["random_reward_mean"]:
            return None
        share, uniform = row["pool_share"] + row["identity_share"], self._uniform_share()
        if share <= uniform + DOMINATING * (1 - uniform):
            return None
        return (
            f"{100 * share:.0f} % of the operators are pools and identities ({100 * uniform:.0f} % in uniform "
            f"samples), while the mean reward {row['reward_mean']:.4g} is not above that of random architectures "
            f"({row['random_reward_mean']:.4g})"
        )

    def _uniform_share(self) -> float:
        """Return the share of pools and identities among the operators of uniform samples."""
        if self._uniform is None:
            rng = numpy_stream(self.config.seed, "collapse")
            shares = operator_shares(self.space, [self.space.sample(rng) for _ in range(UNIFORM_SAMPLES)])
            self._uniform = sum(shares) if shares else 0.0
        return self._uniform

    def _advice(self, kind: str, row: Mapping[str, Any]) -> str:
        """Return what to change, among what this configuration has."""
        search, params, advice = self.config.search, self.config.controller.params, []
        if "ent_coef" in params:
            advice.append(f"raise controller.params.ent_coef (now {params['ent_coef']:g})")
        if self.policy and "learning_rate" in params:
            advice.append(f"lower controller.params.learning_rate (now {params['learning_rate']})")
        if "max_identities" in params:  # a gradient search, which trains the weights itself
            return f"set controller.params.max_identities (now {params['max_identities']}, 0 = off)"
        if search.epochs_per_round and search.sampling == "controller":
            advice.append("train the shared weights on other samples (search.sampling=uniform or fair)")
        if search.epochs_per_round:
            advice.append("train them before the search (search=one_shot)")
        if "skip_divergence" not in self.config.objective.terms and row["skip_rate"] is not None and kind == "pools":
            advice.append("add +objective.terms.skip_divergence=-0.15")
        return "; ".join(advice) or "the controller"


def uniform_unique_share(size: int | None, samples: int) -> float:
    """Return the expected share of different ones among `samples` uniform samples of `size` values (None: unbounded).

    Each value is missed with probability (1 - 1 / size)^samples.
    """
    if size is None or size > 10**12:  # as good as unbounded; a larger one may not fit into a float
        return 1.0
    if size == 1:
        return 1 / samples
    return -size * math.expm1(samples * math.log1p(-1 / size)) / samples

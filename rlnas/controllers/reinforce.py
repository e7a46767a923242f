"""REINFORCE with an exponential-moving-average baseline (Williams 1992; Zoph & Le 2017; ENAS 2018)."""

from typing import Any, ClassVar

import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from torch import Tensor

from rlnas.controllers.lstm_policy import LstmPolicy
from rlnas.errors import RlnasError


class Reinforce(OnPolicyAlgorithm):
    """Takes one gradient step an update on

        - mean over architectures of sum_t log pi(a_t | s_t) (R - b)
        - ent_coef * mean over architectures of the summed entropies of their steps
        + skip_weight * mean over architectures and layers of the skip divergence

    where R is the episode's reward and b the baseline *before* this batch. The baseline starts at the mean
    reward of the first batch; each architecture updates it by b <- decay b + (1 - decay) R (ENAS: 0.99).
    Deviation from ENAS: it does not start at 0, from where it would take hundreds of architectures to reach the
    rewards.

    The entropy bonus is a term of the loss with its own gradient, not of the reward. skip_weight: weight of ENAS's
    KL penalty (0.8 there) on the skip probabilities of `LstmPolicy`, towards its `skip_target`.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": ActorCriticPolicy}

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: Any,
        learning_rate: float = 0.01,
        n_steps: int = 12,
        ent_coef: float = 0.01,
        skip_weight: float = 0.0,
        baseline_decay: float = 0.95,
        max_grad_norm: float = 5.0,
        **kwargs: Any,
    ):
        if not 0 <= baseline_decay < 1:
            raise RlnasError(f"controller.params.baseline_decay is {baseline_decay}, expected a number in [0, 1)")
        self.skip_weight = skip_weight
        self.baseline_decay = baseline_decay
        self.baseline: float | None = None
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            n_steps=n_steps,
            gamma=1.0,  # with gae_lambda 1 and whole episodes, `returns` is the episode's reward
            gae_lambda=1.0,
            ent_coef=ent_coef,
            vf_coef=0.0,
            max_grad_norm=max_grad_norm,
            use_sde=False,
            sde_sample_freq=-1,
            **kwargs,
        )
        if skip_weight and not isinstance(self.policy, LstmPolicy):
            raise RlnasError(
                "controller.params.skip_weight needs controller.policy=lstm; for other policies use "
                "+objective.terms.skip_divergence={weight: -0.1, target: 0.4}"
            )

    def train(self) -> None:
        """Take one optimizer step on the whole rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        starts = self.rollout_buffer.episode_starts  # (steps, n)
        if not starts[0].all() or starts[1:].any():
            raise RlnasError(
                f"REINFORCE needs rollouts of one whole episode each, got n_steps={self.n_steps}; "
                "leave controller.params.n_steps out"
            )
        rewards: list[float] = self.rollout_buffer.rewards.sum(axis=0).tolist()  # (n,), of each episode in order
        data = next(self.rollout_buffer.get(None))  # every step of every episode, shuffled
        loss, terms = self.loss(data.observations, data.actions, data.returns.flatten())
        self.policy.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates += 1
        for reward in rewards:
            self.baseline = self.baseline_decay * self.expected(rewards) + (1 - self.baseline_decay) * reward
        for name, value in {**terms, "loss": float(loss.detach())}.items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/baseline", self.baseline)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def expected(self, rewards: list[float]) -> float:
        """Return the baseline; before any update, the mean of these rewards."""
        return sum(rewards) / len(rewards) if self.baseline is None else self.baseline

    def loss(self, observations: Any, actions: Tensor, returns: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch and its terms: observations (s, ...), actions (s, m), returns (s,)."""
        episodes = len(returns) / self.n_steps
        advantages = returns - self.expected(returns.tolist())
        if isinstance(self.policy, LstmPolicy):
            walk = self.policy.walk(observations, actions.long())
            log_prob, entropy, divergence = walk.log_prob, walk.entropy, walk.skip_divergence.sum()
        else:
            _, log_prob, exact = self.policy.evaluate_actions(observations, actions)
            entropy = -log_prob if exact is None else exact  # SB3's estimate where there is no closed form
            divergence = torch.zeros(())
        policy_loss = -(log_prob * advantages).sum() / episodes
        entropy_mean = entropy.sum() / episodes
        skip_loss = divergence / episodes / self.n_steps
        loss = policy_loss - self.ent_coef * entropy_mean + self.skip_weight * skip_loss
        return loss, {
            "policy_gradient_loss": float(policy_loss.detach()),
            "entropy": float(entropy_mean.detach()),
            "skip_divergence": float(skip_loss.detach()),
        }

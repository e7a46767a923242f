"""Self-imitation: a policy also learns to repeat the best architectures seen so far.

Priority-queue training (Abolafia et al. 2018, "Neural Program Synthesis with Priority Queue Training"): beside the
policy gradient, the log-likelihood of the few best different samples so far is raised. A rare success is so
rehearsed at every update, where the policy gradient alone shows it once and forgets it.
"""

from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from rlnas.config.schema import ImitationConfig
from rlnas.controllers.actions import building_actions
from rlnas.envs.episodes import Episodes
from rlnas.envs.vector import NASVecEnv
from rlnas.means import Means
from rlnas.spaces import Architecture


class Imitation(BaseCallback):
    """After each update of the algorithm, `passes` gradient steps on

        - weight * mean over the `best` best architectures so far of log pi(the actions that build it)

    with the policy's own optimizer. The best are those with the highest mean of their unscaled rewards. Where the
    shared weights change from round to round, rewards of early rounds stay in the mean as they were. Adam and
    RMSprop divide a gradient by its recent size, so `weight` counts against the algorithm's own gradients.

    It must stand before the search's callback, which saves the state at the start of a rollout: the update is
    seen to be due at the end of one rollout, and done at the start of the next. SB3's classes stay as they are.
    """

    def __init__(self, config: ImitationConfig, env: NASVecEnv):
        super().__init__()
        self.config = config
        self.env = env
        self.means = Means()
        self._due = False

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "reward" in info:
                self.means.add(self.env.nas_space.unrank(int(info["code"])), float(info["reward"]))
        return True

    def _on_rollout_end(self) -> None:
        self._due = True  # SB3 trains next

    def _on_rollout_start(self) -> None:
        self._follow_update()

    def _on_training_end(self) -> None:
        self._follow_update()

    def _follow_update(self) -> None:
        if self._due:
            self._due = False
            self.imitate()

    def imitate(self) -> None:
        """The gradient steps; none before the first architecture is complete."""
        best = self.means.best(self.config.best)
        if not best:
            return
        model: Any = self.model
        policy = model.policy
        observations, actions, masks = self._episodes(best)
        policy.set_training_mode(True)
        for _ in range(self.config.passes):
            loss = self._loss(policy, observations, actions, masks) / len(best)
            policy.optimizer.zero_grad()
            loss.backward()
            policy.optimizer.step()
            model.logger.record("train/imitation_loss", float(loss.detach()))

    def _loss(self, policy: Any, observations: Tensor, actions: Tensor, masks: Tensor) -> Tensor:
        """- weight * the summed log-probabilities of the actions (s, m) or (s,) at the observations (s, o)."""
        from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

        masked = {"action_masks": masks} if isinstance(policy, MaskableActorCriticPolicy) else {}
        _, log_prob, _ = policy.evaluate_actions(observations, actions, **masked)  # (s,)
        loss: Tensor = -self.config.weight * log_prob.sum()
        return loss

    def _episodes(self, architectures: list[Architecture]) -> tuple[Tensor, Tensor, Tensor]:
        """Every step of building these: observations (s, o), actions (s, m) or (s,), legal choices (s, w)."""
        episodes = Episodes(self.env.nas_space, len(architectures), self.env.episodes.step_unit)
        observations, taken, masks = [], [], []
        for actions in building_actions(episodes, architectures):
            observations.append(torch.from_numpy(episodes.observations()))
            masks.append(torch.from_numpy(episodes.masks()))
            taken.append(torch.from_numpy(actions))
            episodes.step(actions)
        return torch.cat(observations), torch.cat(taken), torch.cat(masks)

    @property
    def callback(self) -> BaseCallback:
        """Itself."""
        return self

    def state(self) -> dict[str, Any]:
        """Every reward, as plain data; exact at the start of a rollout."""
        return self.means.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.means.restore(state)

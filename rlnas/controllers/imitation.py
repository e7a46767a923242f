"""Self-imitation: a policy also learns to repeat the best architectures seen so far.

Priority-queue training (Abolafia et al. 2018, "Neural Program Synthesis with Priority Queue Training"): in addition to
the policy gradient, the log-likelihood of the few best distinct samples so far is increased. So a rare success is
repeated at every update, where the policy gradient alone uses it once.
"""

from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from rlnas.config.schema import ImitationConfig
from rlnas.controllers.actions import building_actions
from rlnas.envs.episodes import Episodes
from rlnas.envs.vector import NASVecEnv
from rlnas.objective import Means
from rlnas.spaces import Architecture
from rlnas.spaces.process import is_legal


class Imitation(BaseCallback):
    """Takes `passes` gradient steps after each update of the algorithm, on

        - weight * mean over the `best` best architectures so far of log pi(the actions that build it)

    with the policy's own optimizer. The best have the highest mean unscaled reward. Where the shared weights change
    from round to round, rewards of early rounds stay in the mean unchanged. Adam and RMSprop divide a gradient by its
    recent magnitude, so `weight` is relative to the algorithm's own gradients.

    It must precede the search's callback, which saves the state at the start of a rollout: the end of a rollout
    marks the update as due, the start of the next one performs it. SB3's classes are not changed.
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
                self.means.add(self.env.nas_space.parse(info["architecture"]), float(info["reward"]))
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
        """Take the gradient steps; none while no architecture is known that can be built."""
        space = self.env.nas_space
        # after a growth of the space, architectures of an earlier depth cannot be built any more
        best = self.means.best(self.config.best, lambda one: is_legal(space, space.actions(one)))
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
        """Return -weight * the summed log-probabilities of the actions (s, m) or (s,) at the observations (s, o)."""
        from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

        masked = {"action_masks": masks} if isinstance(policy, MaskableActorCriticPolicy) else {}
        _, log_prob, _ = policy.evaluate_actions(observations, actions, **masked)  # (s,)
        loss: Tensor = -self.config.weight * log_prob.sum()
        return loss

    def _episodes(self, architectures: list[Architecture]) -> tuple[Tensor, Tensor, Tensor]:
        """Return all steps that build these: observations (s, o), actions (s, m) or (s,), legal choices (s, w)."""
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
        """This object."""
        return self

    def state(self) -> dict[str, Any]:
        """Return every reward as plain data; exact at the start of a rollout."""
        return self.means.state(self.env.nas_space)

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.means.restore(state, self.env.nas_space)

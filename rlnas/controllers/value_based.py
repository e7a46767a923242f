"""DQN and QR-DQN with exploration by row and among legal choices only.

stable-baselines3 makes one exploration decision for all parallel episodes: with probability epsilon every episode of
a batch acts at random, otherwise every one greedily, so a batch of samples may be n copies of one architecture. It
also explores among all values, legal or not.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sb3_contrib import QRDQN
from stable_baselines3 import DQN

from rlnas.controllers.masked_policy import action_width


class RowByRow:
    """Mixin: epsilon-greedy Discrete actions, independent for each row; draws from the action space's generator."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Return actions (b,) for observations (b, o); greedy ones if `deterministic`."""
        model: Any = self
        actions, state = model.policy.predict(observation, state, episode_start, deterministic=True)
        if deterministic:
            return actions, state
        explores = model.action_space.np_random.random(np.shape(actions)) < model.exploration_rate
        return np.where(explores, self._any_legal(observation), actions), state

    def _sample_action(self, learning_starts: int, action_noise: Any = None, n_envs: int = 1) -> Any:
        model: Any = self
        if model.num_timesteps < learning_starts:
            actions = self._any_legal(model._last_obs)
        else:
            actions, _ = self.predict(model._last_obs)
        return actions, actions

    def _any_legal(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Sample a legal choice uniformly for each row; the observation ends with the mask."""
        model: Any = self
        legal = observation[..., -action_width(model.action_space) :] > 0
        draws = model.action_space.np_random.random(legal.shape)
        chosen: NDArray[Any] = np.where(legal, draws, -1.0).argmax(axis=-1)
        return chosen


class Dqn(RowByRow, DQN):
    """stable_baselines3.DQN with row-wise, legal exploration."""


class QrDqn(RowByRow, QRDQN):
    """sb3_contrib.QRDQN with row-wise, legal exploration."""

"""Random search: the control every other controller is held against."""

from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from rlnas.envs.vector import NASVecEnv
from rlnas.spaces import Architecture


class RandomSearch:
    """Uniformly random architectures through the same environment, budget and log as every algorithm."""

    def __init__(self, env: NASVecEnv, rng: np.random.Generator):
        self.env = env
        self.rng = rng
        self.num_timesteps = 0
        self.n_envs = env.num_envs  # SB3's callbacks read it

    def learn(self, total_timesteps: int, callback: BaseCallback) -> None:
        """Build batches of random architectures until `total_timesteps` environment steps are taken."""
        callback.init_callback(self)  # type: ignore[arg-type]
        self.env.reset()
        callback.on_training_start({}, {})
        while self.num_timesteps < total_timesteps:
            callback.on_rollout_start()
            for actions in self._actions(self.sample(self.env.num_envs)):
                self.env.step(actions)
                self.num_timesteps += self.env.num_envs
                if not callback.on_step():
                    return
            callback.on_rollout_end()
        callback.on_training_end()

    def _actions(self, architectures: list[Architecture]) -> list[np.ndarray[Any, Any]]:
        """What to do at each step of the episodes to build these architectures."""
        episodes = self.env.episodes
        rows = np.stack([self.env.nas_space.actions(architecture) for architecture in architectures])  # (n, t, m)
        if episodes.step_unit == "layer":
            return [rows[:, step] for step in range(episodes.length)]
        return [rows[:, step, component] for step, component in episodes.order]

    def sample(self, count: int) -> list[Architecture]:
        """Draw architectures."""
        return [self.env.nas_space.sample(self.rng) for _ in range(count)]

    def sound(self) -> bool:
        """There is no parameter."""
        return True

    def logged(self) -> dict[str, float]:
        """Nothing is learned."""
        return {}

    def get_env(self) -> NASVecEnv:
        """SB3's callbacks ask for it."""
        return self.env

    @property
    def logger(self) -> None:
        """SB3's callbacks ask for it; nothing is logged."""

    def state(self) -> dict[str, Any]:
        """The generator and the step count."""
        return {"rng": self.rng.bit_generator.state, "num_timesteps": self.num_timesteps}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.rng.bit_generator.state = state["rng"]
        self.num_timesteps = state["num_timesteps"]

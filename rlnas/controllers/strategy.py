"""Searches without a policy: they propose architectures and are told what these are worth.

A strategy knows the space and a generator, and nothing of environments. `StrategyController` plays its
proposals, so that it has the environment, budget, log and checkpoints of every algorithm.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from rlnas.controllers.actions import building_actions
from rlnas.envs.vector import NASVecEnv
from rlnas.spaces import Architecture


class Strategy(Protocol):
    """What chooses. Proposals are made and observed in batches of one size, `controller.episodes`."""

    def propose(self, count: int) -> list[Architecture]:
        """The next architectures to score."""
        ...

    def observe(self, architectures: Sequence[Architecture], values: Sequence[float]) -> None:
        """The values of what was proposed last, in that order; higher is better."""
        ...

    def sample(self, count: int) -> list[Architecture]:
        """Architectures it holds for good now; the search goes on as if nobody had asked, but for the generator."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything the next proposal depends on, but for the generator, as plain data."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        ...


class StrategyController:
    """Plays a strategy's proposals in the environment, batch by batch.

    rng: the generator the strategy draws from; it is part of the state. The state is exact at the start of a
    rollout, which is one batch. Values are the unscaled rewards of the infos: those that a learner gets may
    be scaled anew in every batch, and would not compare.
    """

    def __init__(self, env: NASVecEnv, strategy: Strategy, rng: np.random.Generator):
        self.env = env
        self.strategy = strategy
        self.rng = rng
        self.num_timesteps = 0
        self.n_envs = env.num_envs  # SB3's callbacks read it

    def learn(self, total_timesteps: int, callback: BaseCallback) -> None:
        """Score batches of proposals until `total_timesteps` environment steps are taken."""
        callback.init_callback(self)  # type: ignore[arg-type]
        self.env.reset()
        callback.on_training_start({}, {})
        while self.num_timesteps < total_timesteps:
            callback.on_rollout_start()
            architectures = self.strategy.propose(self.env.num_envs)
            infos: list[dict[str, Any]] = []
            for actions in building_actions(self.env.episodes, architectures):
                _, _, _, infos = self.env.step(actions)
                self.num_timesteps += self.env.num_envs
                if not callback.on_step():
                    return
            self.strategy.observe(architectures, [float(info["reward"]) for info in infos])
            callback.on_rollout_end()
        callback.on_training_end()

    def sample(self, count: int) -> list[Architecture]:
        """Draw architectures."""
        return self.strategy.sample(count)

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
        """The strategy, its generator and the step count."""
        return {
            "strategy": self.strategy.state(),
            "rng": self.rng.bit_generator.state,
            "num_timesteps": self.num_timesteps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.strategy.restore(state["strategy"])
        self.rng.bit_generator.state = state["rng"]
        self.num_timesteps = state["num_timesteps"]

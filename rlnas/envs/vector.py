"""The batched environment: n episodes step together and are scored in one call."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn

from rlnas.envs.episodes import Episodes, StepUnit
from rlnas.envs.scorer import Scorer
from rlnas.envs.single import final_info
from rlnas.spaces import Space


class NASVecEnv(VecEnv):
    """stable-baselines3's VecEnv over n episodes of NASEnv's decision process.

    All episodes have the same length, so they end in the same step and the n finished architectures are scored in
    one call. Behaves like n single environments step by step. Infos of the last step also hold `episode` (reward,
    length), so no monitor wrapper is needed.
    """

    def __init__(self, space: Space, scorer: Scorer, num_envs: int, step_unit: StepUnit = "layer"):
        self.nas_space = space
        self.scorer = scorer
        self.episodes = Episodes(space, num_envs, step_unit)
        self.render_mode = None  # VecEnv's constructor reads it
        self._actions: NDArray[Any] = np.zeros(0)
        super().__init__(num_envs, self.episodes.observation_space(), self.episodes.action_space())

    def reset(self) -> VecEnvObs:
        """Start n new architectures; return their observations (n, ...)."""
        self.episodes.reset()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        for row, seed in enumerate(self._seeds):
            if seed is not None:
                self.episodes.generators[row], _ = seeding.np_random(seed)  # as in NASEnv
        self._reset_seeds()
        self._reset_options()
        return self.episodes.observations()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Store the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Apply the stored actions; finished episodes are reset in the same step, as SB3 expects."""
        finished = self.episodes.step(self._actions)
        rewards = np.zeros(self.num_envs, dtype=np.float32)
        dones = np.zeros(self.num_envs, dtype=bool)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if finished:
            terminal = self.episodes.observations()
            outcomes = self.scorer.score(finished)
            dones[:] = True
            for i, outcome in enumerate(outcomes):
                rewards[i] = outcome.reward
                infos[i] = final_info(self.nas_space, outcome, int(self.episodes.illegal[i]))
                infos[i]["terminal_observation"] = terminal[i]
                infos[i]["TimeLimit.truncated"] = False
                infos[i]["episode"] = {"r": outcome.objective, "l": self.episodes.length, "t": 0.0}
            self.episodes.reset()
        return self.episodes.observations(), rewards, dones, infos

    def action_masks(self) -> NDArray[np.bool_]:
        """Return the currently legal choices of every episode: (n, ...) bool."""
        return self.episodes.masks()

    def close(self) -> None:
        """Do nothing: there are no resources to release."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return the attribute once for each index; raise AttributeError if it does not exist."""
        value = getattr(self, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the attribute for all episodes: they are one object."""
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method and return its rows (`action_masks`)."""
        rows: Sequence[Any] = getattr(self, method_name)(*method_args, **method_kwargs)
        return [rows[index] for index in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Return False for each index: the infos hold what the Monitor wrapper would add."""
        return [False for _ in self._get_indices(indices)]

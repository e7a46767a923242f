"""A stable-baselines3 algorithm as a controller: sampling, and an exact state made of plain data.

SB3's own `save` and `load` are not used: they pickle, and they leave out what an exact continuation needs.
"""

from collections import deque
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from rlnas.controllers.imitation import Imitation
from rlnas.envs.episodes import Episodes
from rlnas.envs.vector import NASVecEnv
from rlnas.spaces import Architecture

_COUNTERS = (
    "num_timesteps",
    "_n_updates",
    "_episode_num",
    "_current_progress_remaining",
    "baseline",
    "exploration_rate",
    "_n_calls",
)


class Sb3Controller:
    """Wraps a model that lives on a NASVecEnv.

    The state is exact at the start of a rollout: the update is done and the rollout buffer empty.
    imitation: what the policy learns beside the algorithm's own updates, None for nothing.
    """

    def __init__(self, model: BaseAlgorithm, env: NASVecEnv, imitation: Imitation | None = None):
        self.model = model
        self.env = env
        self.imitation = imitation

    def learn(self, total_timesteps: int, callback: BaseCallback) -> None:
        """Learn until `total_timesteps` environment steps have been taken since the very start."""
        remaining = total_timesteps - self.model.num_timesteps
        callbacks = callback if self.imitation is None else [self.imitation, callback]  # its steps precede the state
        self.model.learn(remaining, callbacks, reset_num_timesteps=self.model.num_timesteps == 0)

    def sample(self, count: int) -> list[Architecture]:
        """Draw architectures from the policy without learning from them."""
        episodes = Episodes(self.env.nas_space, count, self.env.episodes.step_unit)
        recurrent: Any = None
        start = np.ones(count, dtype=bool)
        finished: list[Architecture] = []
        while not finished:
            masks = {"action_masks": episodes.masks()} if self._takes_masks else {}
            actions, recurrent = self.model.predict(
                episodes.observations(), recurrent, start, deterministic=False, **masks
            )
            finished = episodes.step(actions)
            start = np.zeros(count, dtype=bool)
        return finished

    @property
    def _takes_masks(self) -> bool:
        from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

        return isinstance(self.model.policy, MaskableActorCriticPolicy)

    def sound(self) -> bool:
        """Whether every parameter is a finite number."""
        return all(bool(parameter.isfinite().all()) for parameter in self.model.policy.parameters())

    def logged(self) -> dict[str, float]:
        """What the algorithm logged of its last update, by name."""
        values: dict[str, Any] = self.model.logger.name_to_value
        return {key: float(value) for key, value in values.items() if isinstance(value, (int, float, np.number))}

    def state(self) -> dict[str, Any]:
        """Everything the next rollout depends on, but for the global random generators."""
        model = self.model
        state: dict[str, Any] = {
            "parameters": model.get_parameters(),
            "counters": {name: getattr(model, name) for name in _COUNTERS if getattr(model, name, None) is not None},
            "last_obs": None if model._last_obs is None else torch.from_numpy(np.array(model._last_obs)),
            "last_episode_starts": None
            if model._last_episode_starts is None
            else torch.from_numpy(np.array(model._last_episode_starts)),
            "episodes_seen": [
                {key: float(value) for key, value in info.items()} for info in model.ep_info_buffer or ()
            ],
            "env": self.env.episodes.state(),
            "action_space": _generator_state(model.action_space),
        }
        lstm = getattr(model, "_last_lstm_states", None)
        if lstm is not None:
            state["lstm"] = [[part.clone() for part in pair] for pair in lstm]
        buffer = getattr(model, "replay_buffer", None)
        if buffer is not None:
            state["replay"] = _replay_state(buffer)
        if self.imitation is not None:
            state["imitation"] = self.imitation.state()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        model = self.model
        model.set_parameters(state["parameters"], exact_match=True)
        for name, value in state["counters"].items():
            setattr(model, name, value)
        self.env.episodes.restore(state["env"])
        model._last_obs = None if state["last_obs"] is None else state["last_obs"].numpy().copy()
        starts = state["last_episode_starts"]
        model._last_episode_starts = None if starts is None else starts.numpy().copy()
        model.ep_info_buffer = deque(state["episodes_seen"], maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(maxlen=model._stats_window_size)  # SB3 makes both or none
        model.action_space.np_random.bit_generator.state = state["action_space"]
        if "lstm" in state:
            states: Any = model._last_lstm_states  # type: ignore[attr-defined]
            model._last_lstm_states = type(states)(*(tuple(pair) for pair in state["lstm"]))  # type: ignore[attr-defined]
        if "replay" in state:
            _restore_replay(model.replay_buffer, state["replay"])  # type: ignore[attr-defined]
        if self.imitation is not None:
            self.imitation.restore(state["imitation"])


_REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def _replay_state(buffer: Any) -> dict[str, Any]:
    """The filled part of a replay buffer."""
    filled = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {
        name: torch.from_numpy(getattr(buffer, name)[:filled].copy())
        for name in _REPLAY_ARRAYS
        if getattr(buffer, name, None) is not None
    }
    return {"arrays": arrays, "position": buffer.pos, "full": buffer.full}


def _restore_replay(buffer: Any, state: dict[str, Any]) -> None:
    for name, values in state["arrays"].items():
        getattr(buffer, name)[: len(values)] = values.numpy()
    buffer.pos, buffer.full = state["position"], state["full"]


def _generator_state(space: Any) -> dict[str, Any]:
    """The state of an action space's generator (off-policy warm-up draws from it): strings and ints."""
    state: dict[str, Any] = space.np_random.bit_generator.state
    return state

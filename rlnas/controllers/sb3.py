"""A stable-baselines3 algorithm as a controller, with an exact state of plain data.

SB3's own `save` and `load` are not used: they pickle, and they omit state that an exact resume needs.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import nn

from rlnas.controllers import attributes
from rlnas.controllers.base import Rounds
from rlnas.controllers.companion import Companion
from rlnas.controllers.value_based import RowByRow
from rlnas.envs.episodes import Episodes
from rlnas.envs.vector import NASVecEnv
from rlnas.errors import Diverged, RlnasError
from rlnas.spaces import Architecture

# Attributes of an algorithm that are saved separately or rebuilt from the configuration. rlnas.controllers.attributes
# saves all others, those of a user's class included.
_OF_ALGORITHM = frozenset(
    {
        "policy",
        "env",
        "rollout_buffer",
        "replay_buffer",
        "action_space",
        "observation_space",
        "ep_info_buffer",
        "ep_success_buffer",
        "start_time",  # wall-clock time
        "_logger",
        "_total_timesteps",  # `learn` sets it
        "_vec_normalize_env",
        "action_noise",
        "policy_kwargs",
        "replay_buffer_kwargs",
        "rollout_buffer_kwargs",
    }
)
_OF_MODULES = frozenset(vars(nn.Module()))
_REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_ELSEWHERE = {
    "model": _OF_ALGORITHM,
    # rebuilt; each call sets the distribution's parameters
    "policy": _OF_MODULES
    | {"action_space", "observation_space", "optimizer", "action_dist", "net_args", "nas_space", "lr_schedule"},
    "replay_buffer": frozenset({*_REPLAY_ARRAYS, "pos", "full"}),  # only the filled part is saved
    "rollout_buffer": frozenset(),
}


class StopLearning(Exception):
    """Raised inside `learn` to stop it: a callback cannot do so at the start of a rollout."""


class Boundary(BaseCallback):
    """Calls `rounds.boundary` between two updates, where stable-baselines3 starts a rollout."""

    def __init__(self, rounds: Rounds):
        super().__init__()
        self.rounds = rounds

    def _on_rollout_start(self) -> None:
        if not self.rounds.boundary():
            raise StopLearning

    def _on_training_end(self) -> None:
        self.rounds.boundary()

    def _on_step(self) -> bool:
        return True


class Sb3Controller:
    """Wraps a model whose environment is a NASVecEnv.

    The state is exact at the start of a rollout: the update is done and the rollout buffer is empty.
    companions: callbacks that learn in addition to the algorithm's updates, in calling order.
    """

    def __init__(self, model: BaseAlgorithm, env: NASVecEnv, companions: Sequence[Companion] = ()):
        self.model = model
        self.env = env
        self.companions = list(companions)
        learner: Any = model
        if hasattr(learner, "exploration_schedule"):  # SB3's rate is 0 (greedy) before the first step
            learner.exploration_rate = learner.exploration_schedule(1.0)
        self.batch = env.num_envs

    def run(self, rounds: Rounds) -> None:
        """Train until the budget is spent."""
        total = rounds.batches(self.batch) * self.batch * self.env.episodes.length  # environment steps of the search
        # The companions must act before the search saves the state.
        callbacks = [*(companion.callback for companion in self.companions), Boundary(rounds)]
        try:
            self.model.learn(
                total - self.model.num_timesteps, callbacks, reset_num_timesteps=self.model.num_timesteps == 0
            )
        except StopLearning:
            return
        except (ValueError, RuntimeError) as error:  # from creating a distribution or sampling from it
            if all(bool(parameter.isfinite().all()) for parameter in self.model.policy.parameters()):
                raise
            raise Diverged(
                "the controller's policy is nan or infinite; lower controller.params.learning_rate"
            ) from error

    def sample(self, count: int) -> list[Architecture]:
        """Sample architectures from the policy without learning from them."""
        unit, generators = self.env.episodes.step_unit, self.env.episodes.generators
        if isinstance(self.model, OnPolicyAlgorithm | RowByRow):
            return self._rollout(Episodes(self.env.nas_space, count, unit, generators[:1] * count))
        # Other algorithms may make one random exploration decision for all rows of a call.
        single = [Episodes(self.env.nas_space, 1, unit, generators[:1]) for _ in range(count)]
        return [self._rollout(episode)[0] for episode in single]

    def _rollout(self, episodes: Episodes) -> list[Architecture]:
        """Return the architectures that the policy builds in these episodes."""
        recurrent: Any = None
        start = np.ones(episodes.count, dtype=bool)
        finished: list[Architecture] = []
        while not finished:
            masks = {"action_masks": episodes.masks()} if self._takes_masks else {}
            actions, recurrent = self.model.predict(
                episodes.observations(), recurrent, start, deterministic=False, **masks
            )
            finished = episodes.step(actions)
            start = np.zeros(episodes.count, dtype=bool)
        return finished

    @property
    def _takes_masks(self) -> bool:
        from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

        return isinstance(self.model.policy, MaskableActorCriticPolicy)

    def logged(self) -> dict[str, float]:
        """Return what the algorithm logged in its last update, by name."""
        values: dict[str, Any] = self.model.logger.name_to_value
        return {key: float(value) for key, value in values.items() if isinstance(value, (int, float, np.number))}

    def state(self) -> dict[str, Any]:
        """Return all that the next rollout depends on except the global random generators."""
        model: Any = self.model
        handled = attributes.identities(model.policy) | {id(model), id(self.env), id(self.env.nas_space)}
        found, lost = {}, {}
        for name, owner in self._owners().items():
            found[name], unsaved = attributes.find(owner, _ELSEWHERE[name], handled | {id(owner)})
            lost.update({f"{name}.{attribute}".removeprefix("model."): kind for attribute, kind in unsaved.items()})
        state: dict[str, Any] = {
            "parameters": model.get_parameters(),
            "attributes": found,
            "lost": lost,
            "episodes_seen": [
                {key: float(value) for key, value in info.items()} for info in model.ep_info_buffer or ()
            ],
            "env": self.env.episodes.state(),
            "action_space": _generator_state(model.action_space),
            "companions": [companion.state() for companion in self.companions],
        }
        if hasattr(model, "rlnas_state"):
            state["declared"], state["lost"] = model.rlnas_state(), {}
        buffer = getattr(model, "replay_buffer", None)
        if buffer is not None:
            state["replay"] = _replay_state(buffer)
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned. Raises RlnasError for an algorithm with attributes that were not saved."""
        model: Any = self.model
        if state["lost"]:
            self._refuse(", ".join(f"{name} ({kind})" for name, kind in state["lost"].items()))
        model.set_parameters(state["parameters"], exact_match=True)
        for name, owner in self._owners().items():
            try:
                attributes.put_back(owner, state["attributes"][name])
            except attributes.Unsavable as error:
                if "declared" not in state:
                    self._refuse(f"{name}.{error}".removeprefix("model."))
        self.env.episodes.restore(state["env"])
        model.ep_info_buffer = deque(state["episodes_seen"], maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(maxlen=model._stats_window_size)  # SB3 makes both or none
        model.action_space.np_random.bit_generator.state = state["action_space"]
        if "declared" in state:
            model.rlnas_restore(state["declared"])
        if "replay" in state:
            _restore_replay(model.replay_buffer, state["replay"])
        for companion, saved in zip(self.companions, state["companions"], strict=True):
            companion.restore(saved)

    def _owners(self) -> dict[str, Any]:
        """Return the objects whose attributes may hold state."""
        model: Any = self.model
        owners = {"model": model, "policy": model.policy}
        buffers = {name: getattr(model, name, None) for name in ("replay_buffer", "rollout_buffer")}
        return owners | {name: buffer for name, buffer in buffers.items() if buffer is not None}

    def _refuse(self, held: str) -> None:
        raise RlnasError(
            f"{type(self.model).__name__} cannot be resumed: what it keeps in {held} is neither numbers, text, "
            "tensors, arrays nor containers or objects of these that are there from the start, so it cannot be put "
            "back; give the class rlnas_state(), which returns it as plain data, and rlnas_restore(state), and start a "
            "new run"
        )


def _replay_state(buffer: Any) -> dict[str, Any]:
    """Return the filled part of a replay buffer."""
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
    """Return the state of an action space's generator (off-policy warm-up draws from it): strings and ints."""
    state: dict[str, Any] = space.np_random.bit_generator.state
    return state

"""From the options of the group `controller` to a controller on its environment."""

import importlib
from typing import Any, Protocol

import numpy as np
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.dqn.policies import DQNPolicy

from rlnas.config.schema import ControllerConfig
from rlnas.controllers.companion import Companion
from rlnas.controllers.evolution import Evolution
from rlnas.controllers.genetic import Genetic
from rlnas.controllers.imitation import Imitation
from rlnas.controllers.local_search import LocalSearch
from rlnas.controllers.lstm_policy import LstmPolicy
from rlnas.controllers.masked_policy import (
    MaskedDqnPolicy,
    MaskedPolicy,
    MaskedQrDqnPolicy,
    MaskedRecurrentPolicy,
)
from rlnas.controllers.params import check_params, parameters
from rlnas.controllers.random_search import RandomSearch
from rlnas.controllers.replay_rewards import ReplayRewards
from rlnas.controllers.sb3 import Sb3Controller
from rlnas.controllers.strategy import Strategy, StrategyController
from rlnas.controllers.value_based import RowByRow
from rlnas.envs import NASVecEnv
from rlnas.envs.episodes import StepUnit
from rlnas.errors import RlnasError
from rlnas.objective import Scorer
from rlnas.seeding import numpy_stream, stream_seed
from rlnas.spaces import Architecture, Space

ALGORITHMS = {
    "ppo": "stable_baselines3.PPO",
    "a2c": "stable_baselines3.A2C",
    "maskable_ppo": "sb3_contrib.MaskablePPO",
    "recurrent_ppo": "sb3_contrib.RecurrentPPO",
    "trpo": "sb3_contrib.TRPO",
    "dqn": "rlnas.controllers.value_based.Dqn",
    "qrdqn": "rlnas.controllers.value_based.QrDqn",
    "reinforce": "rlnas.controllers.reinforce.Reinforce",
}

# the policies whose illegal choices can be masked inside, and what does it
MASKED: dict[Any, Any] = {
    ActorCriticPolicy: MaskedPolicy,
    RecurrentActorCriticPolicy: MaskedRecurrentPolicy,
    DQNPolicy: MaskedDqnPolicy,
    QRDQNPolicy: MaskedQrDqnPolicy,
}

STRATEGIES: dict[str, Any] = {
    "evolution": Evolution,
    "local_search": LocalSearch,
    "genetic": Genetic,
    "random": RandomSearch,
}


class Controller(Protocol):
    """Who chooses architectures and learns from their rewards."""

    env: NASVecEnv

    def learn(self, total_timesteps: int, callback: BaseCallback) -> None:
        """Act in the environment, and learn, until so many steps are taken in all."""
        ...

    def sample(self, count: int) -> list[Architecture]:
        """Draw architectures without learning."""
        ...

    def sound(self) -> bool:
        """Whether every parameter is a finite number."""
        ...

    def logged(self) -> dict[str, float]:
        """Values of the last update, by name."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything the next rollout depends on, but for the global random generators."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        ...


def make_controller(config: ControllerConfig, space: Space, scorer: Scorer, *, seed: int) -> Controller:
    """The controller of these options, with its own batched environment.

    `algorithm` is a name of ALGORITHMS or STRATEGIES, or the dotted path of a class built like stable-baselines3's.
    Its networks are small, so they always live on the CPU. With `step_unit=auto` a step is a layer unless the
    algorithm takes only Discrete actions or a layer is one decision: then they are the same process, and a policy
    for Discrete actions costs less than one for MultiDiscrete of one. Raises RlnasError for options the algorithm
    does not know.
    """
    units: list[StepUnit] = ["layer", "decision"]
    if len(space.nvec) == 1 and config.policy != "lstm":  # which chooses layer by layer
        units.reverse()
    if config.step_unit != "auto":
        units = [unit for unit in units if unit == config.step_unit]
    if config.algorithm in STRATEGIES:
        rng = numpy_stream(seed, f"controller/{config.algorithm}")  # two strategies of one seed draw independently
        strategy = _strategy(config, space, rng)
        return StrategyController(NASVecEnv(space, scorer, config.episodes, units[0]), strategy, rng)
    algorithm = _load(ALGORITHMS.get(config.algorithm, config.algorithm))
    check_params(algorithm, config.params)
    refusal: AssertionError | None = None
    for unit in units:
        env = NASVecEnv(space, scorer, config.episodes, unit)
        try:
            model = _build(algorithm, config, env, seed)
        except AssertionError as error:
            if "action spaces" not in str(error):
                raise
            refusal = error  # e.g. DQN: Discrete actions only
            continue
        model.set_logger(Logger(None, []))  # the search writes what it reads from the logger itself
        companions = [*_imitation(config, model, env), *_replay_rewards(model, env, scorer)]
        return Sb3Controller(model, env, companions)
    raise RlnasError(f"controller.algorithm={config.algorithm} cannot use step_unit={config.step_unit}: {refusal}")


def _strategy(config: ControllerConfig, space: Space, rng: np.random.Generator) -> Strategy:
    if config.policy_params:
        raise RlnasError(
            f"controller.policy_params is {config.policy_params}, but controller {config.algorithm} has no policy; "
            "leave it empty"
        )
    if not config.masked:
        raise RlnasError(
            f"controller.masked=false, but controller {config.algorithm} has no policy that could choose illegally; "
            "leave it out"
        )
    _check_imitation(config, able=False)
    chosen = STRATEGIES[config.algorithm]
    check_params(chosen, config.params)
    strategy: Strategy = chosen(space, rng, **config.params)
    return strategy


def _imitation(config: ControllerConfig, model: BaseAlgorithm, env: NASVecEnv) -> list[Companion]:
    able = isinstance(model, OnPolicyAlgorithm) and not isinstance(model.policy, RecurrentActorCriticPolicy)
    _check_imitation(config, able)
    return [Imitation(config.imitation, env)] if config.imitation.weight else []


def _replay_rewards(model: BaseAlgorithm, env: NASVecEnv, scorer: Scorer) -> list[Companion]:
    buffer = getattr(model, "replay_buffer", None)
    return [ReplayRewards(buffer, env, scorer.scale)] if buffer is not None and scorer.scale.moves else []


def _check_imitation(config: ControllerConfig, able: bool) -> None:
    if config.imitation.weight and not able:
        raise RlnasError(
            f"controller.imitation.weight is {config.imitation.weight}, but {config.algorithm} has no policy without "
            "memory whose log-probabilities could be raised; set it to 0, or use ppo, a2c, maskable_ppo, trpo or "
            "reinforce"
        )


def _build(algorithm: Any, config: ControllerConfig, env: NASVecEnv, seed: int) -> BaseAlgorithm:
    accepted = parameters(algorithm)
    params = dict(config.params)
    if issubclass(algorithm, OnPolicyAlgorithm):  # DQN has n_steps too, of another meaning
        params.setdefault("n_steps", env.episodes.length)  # a rollout is one whole episode of each
        rollout = params["n_steps"] * env.num_envs
        if "batch_size" in accepted:
            params.setdefault("batch_size", rollout)
            if rollout % params["batch_size"] == 1:
                raise RlnasError(
                    f"controller.params.batch_size is {params['batch_size']}: a rollout of {rollout} steps would "
                    "leave a last mini-batch of one, whose normalised advantage is nan; choose a divisor"
                )
    if "device" in accepted:
        params.setdefault("device", "cpu")
    policy = _policy(algorithm, config)
    if policy is LstmPolicy and env.episodes.step_unit != "layer":
        raise RlnasError("controller.policy=lstm chooses layer by layer; it needs controller.step_unit=layer")
    policy_params = dict(config.policy_params)
    if policy is LstmPolicy:
        policy_params["space"] = env.nas_space
    params["policy_kwargs"] = policy_params
    try:
        model = algorithm(policy, env, seed=stream_seed(seed, "controller") % 2**31, **params)
    except (TypeError, ValueError, KeyError) as error:
        raise RlnasError(
            f"controller {config.algorithm} with policy {config.policy} refused its options: {error}; see "
            "controller.params and controller.policy_params"
        ) from error
    assert isinstance(model, BaseAlgorithm)
    return model


def _policy(algorithm: Any, config: ControllerConfig) -> Any:
    """The policy class, or the name that the algorithm knows; masked unless the configuration says otherwise."""
    known = getattr(algorithm, "policy_aliases", {}).get(config.policy)
    masks_itself = config.policy == "lstm" or (isinstance(known, type) and issubclass(known, MaskableActorCriticPolicy))
    if masks_itself:
        if not config.masked:
            raise RlnasError(
                f"controller.masked=false, but {config.algorithm} with policy {config.policy} always masks illegal "
                "choices; leave it out, or take an algorithm such as ppo with policy MlpPolicy"
            )
        return LstmPolicy if config.policy == "lstm" else config.policy
    explores = issubclass(algorithm, OnPolicyAlgorithm | RowByRow)  # by legal choices, as masked values require
    return MASKED.get(known, config.policy) if config.masked and explores else config.policy


def _load(path: str) -> Any:
    """The class at a dotted path."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError) as error:
        raise RlnasError(f"controller.algorithm: {path} cannot be imported: {error}") from None
    if found is None or not hasattr(found, "learn"):
        raise RlnasError(
            f"controller.algorithm is '{path}', expected {', '.join([*ALGORITHMS, *STRATEGIES])} or the dotted "
            "path of a class with stable-baselines3's interface, such as sb3_contrib.TRPO"
        )
    return found

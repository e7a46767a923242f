"""From the options of the group `controller` to a controller on its environment."""

import importlib
import inspect
import math
from typing import Any, Protocol

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from rlnas.config import ControllerConfig
from rlnas.controllers.lstm_policy import LstmPolicy
from rlnas.controllers.random_search import RandomSearch
from rlnas.controllers.sb3 import Sb3Controller
from rlnas.envs import NASVecEnv
from rlnas.envs.episodes import StepUnit
from rlnas.errors import RlnasError
from rlnas.reward import Scorer
from rlnas.seeding import numpy_stream, stream_seed
from rlnas.spaces import Architecture, Space

ALGORITHMS = {
    "ppo": "stable_baselines3.PPO",
    "a2c": "stable_baselines3.A2C",
    "maskable_ppo": "sb3_contrib.MaskablePPO",
    "recurrent_ppo": "sb3_contrib.RecurrentPPO",
    "reinforce": "rlnas.controllers.reinforce.Reinforce",
}

# low, high, whether low is excluded
_RANGES: dict[str, tuple[float, float, bool]] = {
    "learning_rate": (0, math.inf, True),
    "gamma": (0, 1, False),
    "gae_lambda": (0, 1, False),
    "ent_coef": (0, math.inf, False),
    "vf_coef": (0, math.inf, False),
    "clip_range": (0, math.inf, True),
    "max_grad_norm": (0, math.inf, True),
    "n_epochs": (1, math.inf, False),
    "n_steps": (1, math.inf, False),
    "batch_size": (2, math.inf, False),
    "baseline_decay": (0, 0.99999, False),
    "skip_weight": (0, math.inf, False),
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

    `algorithm` is a name of ALGORITHMS, `random`, or the dotted path of a class built like stable-baselines3's.
    Its networks are small, so they always live on the CPU. With `step_unit=auto` a step is a layer unless the
    algorithm takes only Discrete actions. Raises RlnasError for options the algorithm does not know.
    """
    units: list[StepUnit] = ["layer", "decision"]
    if config.step_unit != "auto":
        units = [unit for unit in units if unit == config.step_unit]
    if config.algorithm == "random":
        if config.params or config.policy_params:
            raise RlnasError(
                f"controller random takes no params or policy_params, got {config.params or config.policy_params}"
            )
        env = NASVecEnv(space, scorer, config.episodes, units[0])
        return RandomSearch(env, numpy_stream(seed, "controller"))
    algorithm = _load(ALGORITHMS.get(config.algorithm, config.algorithm))
    _check_params(algorithm, config.params)
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
        return Sb3Controller(model, env)
    raise RlnasError(f"controller.algorithm={config.algorithm} cannot use step_unit={config.step_unit}: {refusal}")


def _build(algorithm: Any, config: ControllerConfig, env: NASVecEnv, seed: int) -> BaseAlgorithm:
    accepted = _parameters(algorithm)
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
    policy: Any = config.policy
    if policy == "lstm":
        policy = LstmPolicy
        if env.episodes.step_unit != "layer":
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


def _load(path: str) -> Any:
    """The class at a dotted path."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError) as error:
        raise RlnasError(f"controller.algorithm: {path} cannot be imported: {error}") from None
    if found is None or not hasattr(found, "learn"):
        raise RlnasError(
            f"controller.algorithm is '{path}', expected {', '.join([*ALGORITHMS, 'random'])} or the dotted "
            "path of a class with stable-baselines3's interface, such as sb3_contrib.TRPO"
        )
    return found


def _parameters(algorithm: Any) -> dict[str, inspect.Parameter]:
    """Keyword arguments of a constructor; of its parents' too where it passes **kwargs on."""
    found: dict[str, inspect.Parameter] = {}
    for cls in algorithm.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(cls.__init__).parameters
        found.update({name: p for name, p in parameters.items() if name not in found})
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            break
    return found


def _check_params(algorithm: Any, params: dict[str, Any]) -> None:
    accepted = _parameters(algorithm)
    taken = {"self", "policy", "env", "policy_kwargs", "seed", "kwargs", "_init_setup_model"}
    known = sorted(set(accepted) - taken)
    for name, value in params.items():
        if name not in known:
            raise RlnasError(f"unknown key controller.params.{name}; {algorithm.__name__} has {', '.join(known)}")
        if name in _RANGES:
            low, high, above = _RANGES[name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not (low < value if above else low <= value) or not value <= high:
                bounds = f"{'above' if above else 'at least'} {low:g}" + (
                    f", at most {high:g}" if high < math.inf else ""
                )
                raise RlnasError(f"controller.params.{name} is {value}, expected a number {bounds}")

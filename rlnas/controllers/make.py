"""Builds a controller and its environment from the config group `controller`."""

import inspect
from typing import Any

import numpy as np
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.dqn.policies import DQNPolicy

from rlnas.config.own import load_own
from rlnas.config.schema import ControllerConfig
from rlnas.controllers.base import Controller, Problem, Strategy
from rlnas.controllers.companion import Companion
from rlnas.controllers.imitation import Imitation
from rlnas.controllers.lstm_policy import LstmPolicy
from rlnas.controllers.masked_policy import (
    MaskedDqnPolicy,
    MaskedPolicy,
    MaskedQrDqnPolicy,
    MaskedRecurrentPolicy,
)
from rlnas.controllers.params import check_params, parameters
from rlnas.controllers.replay_rewards import ReplayRewards
from rlnas.controllers.sb3 import Sb3Controller
from rlnas.controllers.strategy import StrategyController
from rlnas.controllers.transformer_policy import TransformerPolicy
from rlnas.controllers.value_based import RowByRow
from rlnas.envs import NASVecEnv
from rlnas.envs.episodes import StepUnit
from rlnas.envs.scorer import Scorer
from rlnas.errors import RlnasError
from rlnas.seeding import numpy_stream, stream_seed
from rlnas.spaces import Space

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

# policies and their subclasses that mask illegal choices
MASKED: dict[Any, Any] = {
    ActorCriticPolicy: MaskedPolicy,
    RecurrentActorCriticPolicy: MaskedRecurrentPolicy,
    DQNPolicy: MaskedDqnPolicy,
    QRDQNPolicy: MaskedQrDqnPolicy,
}

# policies of this package, which mask illegal choices and are built for the space
OWN_POLICIES: dict[str, type[ActorCriticPolicy]] = {"lstm": LstmPolicy, "transformer": TransformerPolicy}

STRATEGIES = {
    "evolution": "rlnas.controllers.evolution.Evolution",
    "local_search": "rlnas.controllers.local_search.LocalSearch",
    "genetic": "rlnas.controllers.genetic.Genetic",
    "successive_halving": "rlnas.controllers.successive_halving.SuccessiveHalving",
    "surrogate": "rlnas.controllers.surrogate.Surrogate",
    "pnas": "rlnas.controllers.pnas.Pnas",
    "lanas": "rlnas.controllers.lanas.Lanas",
    "optuna": "rlnas.controllers.optuna.OptunaSearch",
    "random": "rlnas.controllers.random_search.RandomSearch",
}

GRADIENTS = {
    "darts": "rlnas.controllers.darts.Darts",
    "gdas": "rlnas.controllers.gdas.Gdas",
}


def make_controller(config: ControllerConfig, problem: Problem) -> Controller:
    """Build the controller that these options describe.

    `algorithm` is a name of ALGORITHMS, STRATEGIES or GRADIENTS, or the dotted path of a user's class: one with
    stable-baselines3's interface (it has `learn`), a Strategy (rlnas.controllers.base; it has `ask`), or a
    GradientController (it has `train_weights`).
    Its networks are small, so they always run on the CPU. With `step_unit=auto` a step is a layer unless the
    algorithm takes only Discrete actions or a layer is one decision: then both are the same process, and a policy
    for Discrete actions is cheaper than one for MultiDiscrete of one. Raises RlnasError for options the algorithm
    does not have.
    """
    space, scorer, seed = problem
    units: list[StepUnit] = ["layer", "decision"]
    if len(space.nvec) == 1 and config.policy != "lstm":  # lstm chooses layer by layer
        units.reverse()
    if config.step_unit != "auto":
        units = [unit for unit in units if unit == config.step_unit]
    algorithm = load_algorithm(config.algorithm)
    if hasattr(algorithm, "train_weights"):
        _check_no_policy(algorithm, config)
        made: Controller = algorithm(problem, config.episodes, **config.params)
        return made
    if not hasattr(algorithm, "learn"):
        rng = numpy_stream(seed, f"controller/{config.algorithm}")  # strategies with the same seed draw independently
        if hasattr(algorithm, "share") and not scorer.evaluator.rungs:
            raise RlnasError(
                f"controller {config.algorithm} scores architectures after short trainings first, but the evaluator "
                "has scores of one kind only; set evaluator=standalone search=untrained"
            )
        return StrategyController(problem, _strategy(algorithm, config, space, rng), rng, config.episodes)
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
        model.set_logger(Logger(None, []))  # no outputs: the search reads the logger and writes the values itself
        companions = [*_imitation(config, model, env), *_replay_rewards(model, env, scorer)]
        return Sb3Controller(model, env, companions)
    raise RlnasError(f"controller.algorithm={config.algorithm} cannot use step_unit={config.step_unit}: {refusal}")


def _strategy(chosen: Any, config: ControllerConfig, space: Space, rng: np.random.Generator) -> Strategy:
    _check_no_policy(chosen, config)
    strategy: Strategy = chosen(space, rng, **config.params)
    return strategy


def _check_no_policy(chosen: Any, config: ControllerConfig) -> None:
    """Raise RlnasError for options of a policy, and for `params` that a controller without one does not have."""
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
    if config.step_unit != "auto":
        raise RlnasError(
            f"controller.step_unit={config.step_unit}, but controller {config.algorithm} proposes whole architectures; "
            "leave it out"
        )
    _check_imitation(config, able=False)
    check_params(chosen, config.params)


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
    if issubclass(algorithm, OnPolicyAlgorithm):  # n_steps of DQN means something else
        params.setdefault("n_steps", env.episodes.length)  # a rollout is one whole episode of each environment
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
    if policy in OWN_POLICIES.values():
        _check_own_policy(policy, config)
        policy_params["space"] = env.nas_space
    if policy is TransformerPolicy and env.episodes.step_unit == "decision":
        policy_params["places"] = tuple(env.episodes.order)
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


def _check_own_policy(policy: Any, config: ControllerConfig) -> None:
    """Raise RlnasError for options of SB3's policies that this one, which builds its own network, would ignore."""
    own = set(inspect.signature(policy.__init__).parameters)
    own -= {"self", "observation_space", "action_space", "lr_schedule", "space", "places", "kwargs"}
    known = sorted(own | {"optimizer_class", "optimizer_kwargs"})
    for name in config.policy_params:
        if name not in known:
            raise RlnasError(
                f"unknown key controller.policy_params.{name}; controller.policy={config.policy} has {', '.join(known)}"
            )


def _policy(algorithm: Any, config: ControllerConfig) -> Any:
    """Return the policy class, or the algorithm's name for it; masked unless `config.masked` is false."""
    aliases = getattr(algorithm, "policy_aliases", {})
    known = aliases.get(config.policy)
    own = OWN_POLICIES.get(config.policy)
    plain = not aliases or aliases.get("MlpPolicy") is ActorCriticPolicy
    if own is not None and not (issubclass(algorithm, OnPolicyAlgorithm) and plain):
        raise RlnasError(
            f"controller.policy={config.policy} is for on-policy algorithms with plain policies, such as ppo, a2c, "
            f"trpo and reinforce, but controller.algorithm is {config.algorithm}; leave it out"
        )
    masks_itself = own or (isinstance(known, type) and issubclass(known, MaskableActorCriticPolicy))
    if masks_itself:
        if not config.masked:
            raise RlnasError(
                f"controller.masked=false, but {config.algorithm} with policy {config.policy} always masks illegal "
                "choices; leave it out, or take an algorithm such as ppo with policy MlpPolicy"
            )
        return own or config.policy
    explores = issubclass(algorithm, OnPolicyAlgorithm | RowByRow)  # masked values require exploring legal choices
    return MASKED.get(known, config.policy) if config.masked and explores else config.policy


def load_algorithm(name: str) -> Any:
    """Return the class of a name of the three tables, or at a dotted path; imports no other controller."""
    path = {**ALGORITHMS, **STRATEGIES, **GRADIENTS}.get(name, name)
    found = load_own(path, "controller.algorithm") if "." in path else None
    if not any(hasattr(found, method) for method in ("learn", "ask", "train_weights")):
        known = ", ".join([*ALGORITHMS, *STRATEGIES, *GRADIENTS])
        raise RlnasError(
            f"controller.algorithm is '{path}', expected {known} or the dotted path of a class with "
            "stable-baselines3's interface, such as sb3_contrib.TRPO, with ask and tell, or with train_weights"
        )
    return found

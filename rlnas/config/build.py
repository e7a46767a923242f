"""Convert hydra's configuration to a typed, checked one; errors name the key, the expected and the actual value."""

import dataclasses
import difflib
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError
from omegaconf.errors import OmegaConfBaseException as OmegaConfBaseException  # rlnas.cli takes it from here

from rlnas.config.ranges import check_ranges
from rlnas.config.schema import NAMED_GROUPS, Config, OwnConfig
from rlnas.config.spaces import NasBenchMacroConfig, NasrlBenchConfig, ProgramConfig, TableConfig
from rlnas.errors import RlnasError

T = TypeVar("T")
GRADIENTS = ("darts", "gdas")  # controllers that train the shared weights themselves
UNGROWING = ("local_search", "genetic", "successive_halving")  # controllers for spaces that do not grow


def build_config(composed: Any) -> Config:
    """Return the typed, range-checked configuration of a composed one, or of a plain dict.

    Raises RlnasError for an unknown key, a value of another type, or one out of its range.
    """
    values = OmegaConf.to_container(composed, resolve=True) if OmegaConf.is_config(composed) else composed
    assert isinstance(values, dict)
    values = {str(key): value for key, value in values.items()}
    groups = {group: values.pop(group, None) or {} for group in NAMED_GROUPS}
    config = _merge(Config, values, "")
    for group, options in groups.items():
        if not isinstance(options, dict):
            raise RlnasError(f"{group} is {options}, expected a group of options")
        setattr(config, group, _build_named(group, options))
    terms = (values.get("objective") or {}).get("terms")
    if terms == {}:
        raise RlnasError("objective.terms is empty, so all architectures would be equal; leave it out for the accuracy")
    if terms:  # a merge would keep the default term
        config.objective.terms = terms
    check_ranges(config, "")
    budget = config.budget
    limits = (budget.rounds, budget.architectures, budget.minutes, budget.table_seconds)
    if config.architecture is None and not any(limits):
        raise RlnasError(
            "budget.rounds, budget.architectures, budget.minutes and budget.table_seconds are all 0, so the search "
            "would never end; set one of them"
        )
    _check_combination(config)
    return config


def build_space_config(values: Any) -> Any:
    """Return the typed options of a space from a dict with its `name`, or from the group `space` of a composed one."""
    plain = OmegaConf.to_container(values, resolve=True) if OmegaConf.is_config(values) else values
    assert isinstance(plain, dict)
    return _build_named("space", {str(key): value for key, value in plain.items()})


def _build_named(group: str, values: dict[str, Any]) -> Any:
    """Return the typed options of a group from a dict; its `name` determines which options exist.

    A name with a dot is the path of a user's class, whose arguments are `options`.
    """
    known = NAMED_GROUPS[group]
    name = values.get("name", next(iter(known)))
    own = isinstance(name, str) and "." in name
    if not own and name not in known:
        raise RlnasError(
            f"{group}.name is '{name}', expected one of {', '.join(known)}, or the dotted path of a class of your own "
            f"({group}=yours {group}.name=package.module.Class)"
        )
    config = _merge(OwnConfig if own else known[name], values, f"{group}.")
    check_ranges(config, f"{group}.")
    return config


def _check_combination(config: Config) -> None:
    """Raise RlnasError for parts that cannot be combined, as far as their options show."""
    _check_programs(config)
    table = config.evaluator.name == "tabular"
    looked_up = isinstance(config.space, TableConfig | NasBenchMacroConfig)
    open_ended = isinstance(config.space, OwnConfig | NasrlBenchConfig) or isinstance(config.evaluator, OwnConfig)
    if table != looked_up and not open_ended:
        fitting = "evaluator=tabular search=tabular" if looked_up else "evaluator=shared_weights search=alternating"
        raise RlnasError(f"space={config.space.name} does not go with evaluator={config.evaluator.name}; set {fitting}")
    trained = config.search.warmup_epochs or config.search.epochs_per_round
    if table and (trained or config.search.random_control):
        raise RlnasError(
            "a table has no shared weights to train and needs no random control: search.warmup_epochs, "
            "search.epochs_per_round and search.random_control must be 0; set search=tabular"
        )
    shared = config.evaluator.name in ("shared_weights", "surrogate")
    if shared and config.architecture is None and not trained:
        raise RlnasError(
            "search.warmup_epochs and search.epochs_per_round are both 0, so nothing would train the shared weights; "
            "set search=alternating or search=one_shot"
        )
    if "surrogate" in config.objective.terms and config.evaluator.name in ("shared_weights", "standalone"):
        raise RlnasError(
            "objective.terms.surrogate is a value that only evaluator=surrogate predicts; set evaluator=surrogate, or "
            "objective=accuracy"
        )
    if looked_up and config.architecture is not None:
        raise RlnasError("architecture= retrains a network, which a table does not have; leave it out")
    retrain = config.retrain
    if config.execution.cuda_graphs and (retrain.dropout or retrain.drop_path):
        raise RlnasError(
            "execution.cuda_graphs=true replays the kernels of retraining, but "
            f"retrain.dropout={retrain.dropout:g} and retrain.drop_path={retrain.drop_path:g} draw anew at each step; "
            "set these to 0, or leave it out"
        )
    _check_growth(config)
    _check_gradients(config)
    timed = getattr(config.space, "seconds", None) or isinstance(config.space, NasrlBenchConfig)
    if config.budget.table_seconds and not (table and timed):
        raise RlnasError(
            "budget.table_seconds needs a table with the seconds of an evaluation: space=table with space.seconds, or "
            "space=nasrl_bench, and evaluator=tabular"
        )


def _check_growth(config: Config) -> None:
    """Raise RlnasError for parts of a search that do not go with a space that grows during it."""
    grow, controller = getattr(config.space, "grow", None), config.controller
    if grow is None or not grow.start or config.architecture is not None:
        return
    if grow.every % controller.episodes:
        raise RlnasError(
            f"space.grow.every is {grow.every}, expected a multiple of controller.episodes={controller.episodes}: "
            "architectures that are scored together have one depth"
        )
    if controller.algorithm in UNGROWING:
        raise RlnasError(
            f"space.grow.start={grow.start}: controller {controller.algorithm} goes on with architectures of earlier "
            "depths; set it to 0, or use a policy, evolution or random"
        )


def _check_gradients(config: Config) -> None:
    """Raise RlnasError for parts of a search that do not go with a controller that trains the shared weights."""
    controller, search = config.controller.algorithm, config.search
    if controller not in GRADIENTS or config.architecture is not None:
        return
    if config.evaluator.name != "shared_weights":
        raise RlnasError(
            f"controller {controller} trains shared weights by gradients, so evaluator={config.evaluator.name} does "
            "not go with it; set evaluator=shared_weights"
        )
    if not search.epochs_per_round:
        raise RlnasError(
            f"search.epochs_per_round is 0, but controller {controller} learns only while the shared weights are "
            "trained; set search=gradient"
        )
    without: tuple[tuple[str, Any, Any], ...] = (
        ("search.sampling", search.sampling, "controller"),
        ("child.architectures_per_step", config.child.architectures_per_step, 1),
    )
    for key, value, default in without:
        if value != default:
            raise RlnasError(
                f"{key} is {value}, but controller {controller} trains the relaxation of all architectures at once, so "
                f"it would have no effect; set it to {default}"
            )


def _check_programs(config: Config) -> None:
    """Raise RlnasError if only one of space and evaluator is of programs, or something else would be trained."""
    space, evaluator = isinstance(config.space, ProgramConfig), config.evaluator.name == "program"
    if space != evaluator and not isinstance(config.space if evaluator else config.evaluator, OwnConfig):
        fitting = "evaluator=program search=untrained" if space else "space=program, or evaluator=shared_weights"
        raise RlnasError(
            f"space={config.space.name} does not go with evaluator={config.evaluator.name}: evaluator=program runs "
            f"programs, and nothing else does; set {fitting}"
        )
    if evaluator and (config.search.warmup_epochs or config.search.epochs_per_round):
        raise RlnasError(
            "programs have no shared weights to train: search.warmup_epochs and search.epochs_per_round must be 0; set "
            "search=untrained"
        )


def _merge(schema: type[T], values: Any, prefix: str) -> T:
    for item in dataclasses.fields(schema):  # type: ignore[arg-type]
        if dataclasses.is_dataclass(item.type) and not isinstance(values.get(item.name, {}), dict):
            raise RlnasError(f"{prefix}{item.name} is {values[item.name]}, expected a group of options")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), values)
        result = OmegaConf.to_object(merged)
    except ConfigKeyError as error:
        key = str(error.full_key)
        raise RlnasError(f"unknown key {prefix}{key}{suggest(key, schema)}") from None
    except OmegaConfBaseException as error:
        reason = str(error.msg or error).splitlines()[0]
        raise RlnasError(f"{prefix}{error.full_key}: {reason}") from None
    assert isinstance(result, schema)
    return result


# Keys of earlier versions, and their replacements.
RENAMED = {
    "reward.shape": "objective=accuracy_cubed",
    "reward.skip_weight": "+objective.terms.skip_divergence={weight: -WEIGHT, target: 0.4}",
    "reward.skip_target": "+objective.terms.skip_divergence={weight: -0.1, target: TARGET}",
    "select.max_flops": "+objective.limits.flops=MOST",
}


def suggest(key: str, schema: Any = None) -> str:
    """Return a hint with the known keys beside an unknown one, and the closest; "" where any key is allowed."""
    schema = schema or Config
    if schema is Config and key in RENAMED:
        return f"; it is now {RENAMED[key]}"
    *parents, last = key.split(".")
    if schema is Config and len(parents) == 1 and parents[0] in NAMED_GROUPS:
        classes = NAMED_GROUPS[parents[0]].values()
        known = sorted({item.name for found in classes for item in dataclasses.fields(found)})
        return f" (the members of {parents[0]} know {', '.join(known)})"
    for parent in parents:
        schema = next((f.type for f in dataclasses.fields(schema) if f.name == parent), None)
        if not dataclasses.is_dataclass(schema):
            return ""
    known = [f.name for f in dataclasses.fields(schema)]
    close = difflib.get_close_matches(last, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{hint} (known here: {', '.join(known)})"

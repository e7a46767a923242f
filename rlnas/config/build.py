"""From what hydra composed to a typed, checked configuration; errors name the key, what was expected and what came."""

import dataclasses
import difflib
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError
from omegaconf.errors import OmegaConfBaseException as OmegaConfBaseException  # re-exported to cli.py

from rlnas.config.ranges import check_ranges
from rlnas.config.schema import SPACE_CONFIGS, TABLE_SPACE_CONFIGS, WITHOUT_BYPASS, Config, SpaceConfig
from rlnas.errors import RlnasError

T = TypeVar("T")


def build_config(composed: Any) -> Config:
    """The typed, range-checked configuration of what hydra composed (or of a plain dict).

    Raises RlnasError for a key nobody knows, a value of another type, or one out of its range.
    """
    values = OmegaConf.to_container(composed, resolve=True) if OmegaConf.is_config(composed) else composed
    assert isinstance(values, dict)
    values = {str(key): value for key, value in values.items()}
    space_values = values.pop("space", None) or {}
    if not isinstance(space_values, dict):
        raise RlnasError(f"space is {space_values}, expected a group of options")
    space = build_space_config(space_values)
    config = _merge(Config, values, "")
    config.space = space
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


def _check_combination(config: Config) -> None:
    """Tables are looked up, networks are trained; RlnasError for a mixture."""
    table = config.space.name in TABLE_SPACE_CONFIGS
    if table != (config.evaluator.name == "tabular"):
        fitting = "evaluator=tabular search=tabular" if table else "evaluator=shared_weights search=alternating"
        raise RlnasError(f"space={config.space.name} does not go with evaluator={config.evaluator.name}; set {fitting}")
    if table and (config.search.warmup_epochs or config.search.epochs_per_round or config.search.random_control):
        raise RlnasError(
            "a table has no shared weights to train and needs no random control: search.warmup_epochs, "
            "search.epochs_per_round and search.random_control must be 0; set search=tabular"
        )
    if (
        not table
        and config.architecture is None
        and not (config.search.warmup_epochs or config.search.epochs_per_round)
    ):
        raise RlnasError(
            "search.warmup_epochs and search.epochs_per_round are both 0, so nothing would train the shared weights; "
            "set search=alternating or search=one_shot"
        )
    if table and config.architecture is not None:
        raise RlnasError("architecture= retrains a network, which a table does not have; leave it out")
    retrain = config.retrain
    for key, rate in (("child.drop_path", config.child.drop_path), ("retrain.drop_path", retrain.drop_path)):
        if rate and config.space.name in WITHOUT_BYPASS:
            raise RlnasError(
                f"{key}={rate:g} replaces the output of a layer's operator by its skips, but in "
                f"space={config.space.name} the skips are inputs of that operator, so nothing would be left; set it "
                "to 0, or choose space=nasrl"
            )
    if config.execution.cuda_graphs and (retrain.dropout or retrain.drop_path):
        raise RlnasError(
            "execution.cuda_graphs=true replays the kernels of retraining, but "
            f"retrain.dropout={retrain.dropout:g} and retrain.drop_path={retrain.drop_path:g} draw anew at each step; "
            "set these to 0, or leave it out"
        )
    if config.budget.table_seconds and not getattr(config.space, "seconds", None):
        raise RlnasError("budget.table_seconds needs space=table with space.seconds, the column of simulated seconds")


def build_space_config(values: dict[str, Any]) -> SpaceConfig:
    """The typed options of a space from a dict with its `name`."""
    name = values.get("name", "nasrl")
    if name not in SPACE_CONFIGS:
        raise RlnasError(f"space.name is '{name}', expected one of {', '.join(SPACE_CONFIGS)}")
    space: SpaceConfig = _merge(SPACE_CONFIGS[name], values, "space.")
    check_ranges(space, "space.")
    return space


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


def suggest(key: str, schema: Any = None) -> str:
    """The keys that exist beside an unknown one, and the closest of them; empty where all keys are free."""
    schema = schema or Config
    *parents, last = key.split(".")
    if schema is Config and parents == ["space"]:
        known = sorted({f.name for space in SPACE_CONFIGS.values() for f in dataclasses.fields(space)})
        return f" (the spaces know {', '.join(known)})"
    for parent in parents:
        schema = next((f.type for f in dataclasses.fields(schema) if f.name == parent), None)
        if not dataclasses.is_dataclass(schema):
            return ""
    known = [f.name for f in dataclasses.fields(schema)]
    close = difflib.get_close_matches(last, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{hint} (known here: {', '.join(known)})"

"""The configuration as typed dataclasses with ranges. OmegaConf is known here and in composed.py.

Hydra composes YAML and command line; `build_config` turns the result into a `Config` or raises RlnasError
with the key, what was expected and what came.

The defaults are these. conf/config.yaml and the options it chooses repeat them with unit and range, and
constructors take theirs from here: tests/test_defaults.py compares. Only what goes to an algorithm's or policy's
constructor (`controller.params`, `controller.policy_params`) differs for each and has its defaults in conf/controller.
"""

import dataclasses
import difflib
from dataclasses import dataclass, field
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError
from omegaconf.errors import OmegaConfBaseException as OmegaConfBaseException  # re-exported to cli.py

from rlnas.errors import RlnasError
from rlnas.operators import ENAS_OPERATORS
from rlnas.plain_data import flatten as flatten  # re-exported
from rlnas.plain_data import to_dict as to_dict
from rlnas.ranges import check_ranges, one_of, ranged

T = TypeVar("T")


@dataclass
class DataConfig:
    """Which images; see rlnas.data."""

    name: str = one_of("digits", "cifar10", "digits", "folder", "hub")
    path: str | None = None
    hub_id: str | None = None
    hub_config: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    when_missing: str = one_of("fallback", "fallback", "error")
    splits: str = one_of("auto", "auto", "none")
    background: str = "white"
    channels: str = one_of("auto", "auto", "grey", "rgb")
    valid: float = ranged(0.1, 0.001, 0.9)
    limit: int = ranged(0, 0)
    size: int = ranged(0, 0, 1024)
    crop: int = ranged(1, 0, 64)
    flip: bool = False
    cutout: int = ranged(0, 0, 512)


@dataclass
class NasrlConfig:
    """Options of rlnas.spaces.nasrl.NasrlSpace."""

    name: str = "nasrl"
    layers: int = ranged(6, 1, 100)
    operators: list[str] = field(default_factory=lambda: list(ENAS_OPERATORS))
    filters: int = ranged(16, 1, 4096)
    reductions: int = ranged(2, 0, 6)
    widen: int = ranged(1, 1, 4)
    stem_stride: int = ranged(1, 1, 4)
    merge: str = one_of("sum", "sum", "concat")


@dataclass
class NasrlFactoredConfig:
    """Options of rlnas.spaces.nasrl_factored.NasrlFactoredSpace."""

    name: str = "nasrl_factored"
    layers: int = ranged(6, 1, 100)
    heights: list[int] = field(default_factory=lambda: [1, 3, 5, 7])
    widths: list[int] = field(default_factory=lambda: [1, 3, 5, 7])
    filters: list[int] = field(default_factory=lambda: [24, 36, 48, 64])
    strides_height: list[int] = field(default_factory=lambda: [1])
    strides_width: list[int] = field(default_factory=lambda: [1])


@dataclass
class TableConfig:
    """Which columns of a tabular benchmark are what; see rlnas.tabular.read. `reward`: one name or a list."""

    name: str = "table"
    path: str | None = None
    decisions: list[str] = field(default_factory=list)
    reward: Any = None
    score: str | None = None
    seconds: str | None = None
    params: str | None = None
    flops: str | None = None


@dataclass
class NasBenchMacroConfig:
    """Where NAS-Bench-Macro's file is; see rlnas.tabular.nas_bench_macro."""

    name: str = "nas_bench_macro"
    path: str | None = None


NetworkSpaceConfig = NasrlConfig | NasrlFactoredConfig
TableSpaceConfig = TableConfig | NasBenchMacroConfig
SpaceConfig = NetworkSpaceConfig | TableSpaceConfig
NETWORK_SPACE_CONFIGS: dict[str, type[NasrlConfig] | type[NasrlFactoredConfig]] = {
    "nasrl": NasrlConfig,
    "nasrl_factored": NasrlFactoredConfig,
}
TABLE_SPACE_CONFIGS: dict[str, type[TableConfig] | type[NasBenchMacroConfig]] = {
    "table": TableConfig,
    "nas_bench_macro": NasBenchMacroConfig,
}
SPACE_CONFIGS: dict[str, Any] = {**NETWORK_SPACE_CONFIGS, **TABLE_SPACE_CONFIGS}
OPEN_GROUPS = ("retrain.space", "controller.params", "controller.policy_params")  # of any entries
WITHOUT_BYPASS = ("nasrl_factored",)  # spaces whose skips are inputs of the layer's operator: none leads past it


@dataclass
class ChildConfig:
    """How the shared weights are trained: Nesterov SGD, cosine schedule with restarts (ENAS)."""

    batch_size: int = ranged(64, 2, 65536)
    architectures_per_step: int = ranged(1, 1, 64)
    learning_rate: float = ranged(0.05, 0, 10, above=True)
    learning_rate_min: float = ranged(0.0005, 0, 10)
    restart_epochs: float = ranged(10, 0, above=True)
    restart_factor: float = ranged(2, 1)
    momentum: float = ranged(0.9, 0, 0.9999)
    weight_decay: float = ranged(2.5e-4, 0, 1)
    clip: float = ranged(5.0, 0)
    label_smoothing: float = ranged(0.0, 0, 0.9)
    dropout: float = ranged(0.1, 0, 0.9)
    drop_path: float = ranged(0.0, 0, 0.9)


@dataclass
class EvaluatorConfig:
    """How an architecture is scored. `tabular` looks it up; the options are those of `shared_weights`."""

    name: str = one_of("shared_weights", "shared_weights", "tabular")
    images: int = ranged(1000, 0)
    batch_size: int = ranged(500, 2, 65536)
    norm: str = one_of("batch", "batch", "recalibrate", "running")
    recalibrate_batches: int = ranged(4, 1, 1000)
    racing: float = ranged(0.0, 0, 0.5)


@dataclass
class ImitationConfig:
    """How a policy repeats the best architectures so far; see rlnas.controllers.imitation. Weight 0: not at all."""

    weight: float = ranged(0.0, 0)
    best: int = ranged(10, 1, 10000)
    passes: int = ranged(1, 1, 1000)


@dataclass
class ControllerConfig:
    """Who chooses. `params` and `policy_params` go to the algorithm's and policy's constructors as they are."""

    name: str = "ppo_shared"
    algorithm: str = "ppo"
    policy: str = "MlpPolicy"
    step_unit: str = one_of("auto", "auto", "layer", "decision")
    episodes: int = ranged(10, 1, 10000)
    masked: bool = True
    params: dict[str, Any] = field(default_factory=dict)
    policy_params: dict[str, Any] = field(default_factory=dict)
    imitation: ImitationConfig = field(default_factory=ImitationConfig)


@dataclass
class RewardConfig:
    """How an accuracy becomes a reward; see rlnas.reward."""

    shape: str = one_of("accuracy", "accuracy", "accuracy_cubed")
    skip_weight: float = ranged(0.0, 0, 100)
    skip_target: float = ranged(0.4, 0.001, 0.999)
    scale: str = one_of("auto", "auto", "none", "standard", "rank", "mean_rank")


@dataclass
class SearchConfig:
    """The shape of a round; see rlnas.search. A round is a number of architectures, the same for every controller."""

    warmup_epochs: int = ranged(4, 0)
    epochs_per_round: float = ranged(1.0, 0)
    architectures_per_round: int = ranged(100, 1)
    random_control: int = ranged(10, 0, 10000)


@dataclass
class BudgetConfig:
    """When the search ends, whichever comes first; 0 is no limit."""

    rounds: int = ranged(8, 0)
    architectures: int = ranged(0, 0)
    minutes: float = ranged(0.0, 0)
    table_seconds: float = ranged(0.0, 0)


@dataclass
class SelectConfig:
    """Who is scored again when the search ends, and which of them are trained alone before one is chosen."""

    from_policy: int = ranged(20, 0, 100000)
    from_history: int = ranged(20, 0, 100000)
    from_random: int = ranged(0, 0, 100000)
    max_flops: float = ranged(0.0, 0)
    finalists: int = ranged(5, 1, 100000)
    finalist_epochs: float = ranged(1.0, 0, 10000, above=True)
    finalist_start: str = one_of("shared", "shared", "scratch")


@dataclass
class RetrainConfig:
    """How the best architecture is trained from scratch; 0 epochs: not at all."""

    epochs: int = ranged(30, 0)
    batch_size: int = ranged(64, 2, 65536)
    learning_rate: float = ranged(0.1, 0, 10, above=True)
    warmup: float = ranged(0.2, 0, 0.9)
    momentum: float = ranged(0.9, 0, 0.9999)
    weight_decay: float = ranged(5e-4, 0, 1)
    clip: float = ranged(5.0, 0)
    label_smoothing: float = ranged(0.1, 0, 0.9)
    dropout: float = ranged(0.0, 0, 0.9)
    drop_path: float = ranged(0.0, 0, 0.9)
    checkpoint_epochs: int = ranged(5, 1)
    space: dict[str, Any] = field(default_factory=dict)


@dataclass
class ExecutionConfig:
    """On what and how the tensors are computed; see rlnas.execution."""

    device: str = "auto"
    threads: int = ranged(0, 0, 1024)
    precision: str = one_of("auto", "auto", "float32", "bfloat16")
    memory_format: str = one_of("auto", "auto", "channels_last", "contiguous")
    retrain_precision: str = one_of("same", "same", "auto", "float32", "bfloat16")
    retrain_memory_format: str = one_of("same", "same", "auto", "channels_last", "contiguous")
    measure: bool = False
    compile: bool = False
    cuda_graphs: bool = False
    keep_buffers: bool = True
    memory_mb: int = ranged(1024, 1)


@dataclass
class Config:
    """A whole run."""

    name: str = "nasrl_digits"
    seed: int = ranged(0, 0, 2**63 - 1)
    progress: str = one_of("auto", "auto", "plain", "off")
    resume: str | None = None
    architecture: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    space: Any = field(default_factory=NasrlConfig)  # a SpaceConfig; OmegaConf has no unions of classes
    controller: ControllerConfig = field(default_factory=ControllerConfig)
    evaluator: EvaluatorConfig = field(default_factory=EvaluatorConfig)
    child: ChildConfig = field(default_factory=ChildConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)


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

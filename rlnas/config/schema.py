"""The configuration as typed dataclasses with ranges.

The defaults are these. conf/config.yaml and the options it chooses repeat them with unit and range, and
constructors take theirs from here: tests/config/test_defaults.py compares. Only what goes to an algorithm's or policy's
constructor (`controller.params`, `controller.policy_params`) differs for each and has its defaults in conf/controller.
"""

from dataclasses import dataclass, field
from typing import Any

from rlnas.config.ranges import one_of, ranged
from rlnas.networks.operators import ENAS_OPERATORS


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
    """How an accuracy becomes a reward; see rlnas.objective."""

    shape: str = one_of("accuracy", "accuracy", "accuracy_cubed")
    skip_weight: float = ranged(0.0, 0, 100)
    skip_target: float = ranged(0.4, 0.001, 0.999)
    scale: str = one_of("auto", "auto", "none", "standard", "rank", "mean_rank")


@dataclass
class SearchConfig:
    """The shape of a round, which is a number of architectures, the same for every controller; see rlnas.search."""

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
    """On what and how the tensors are computed; see rlnas.execution.settings."""

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

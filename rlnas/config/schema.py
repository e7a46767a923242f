"""The configuration as typed dataclasses with ranges.

This is the source of the defaults. conf/config.yaml and the options it chooses repeat them with unit and range, and
constructors use them: tests/config/test_defaults.py compares. Exception: the arguments of an algorithm's or policy's
constructor (`controller.params`, `controller.policy_params`) have their defaults in conf/controller.
"""

from dataclasses import dataclass, field
from typing import Any

from rlnas.config.ranges import one_of, ranged
from rlnas.networks.operators import ENAS_OPERATORS


@dataclass
class DataConfig:
    """The images; see rlnas.data."""

    name: str = "digits"  # a key of rlnas.data.load.SOURCES, or the dotted path of a user's function
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
    options: dict[str, Any] = field(default_factory=dict)  # arguments of a user's source


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
    sharing: str = one_of("operator", "operator", "projection", "kernel")


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
class GeneticCnnConfig:
    """Options of rlnas.spaces.genetic_cnn.GeneticCnnSpace."""

    name: str = "genetic_cnn"
    nodes: list[int] = field(default_factory=lambda: [3, 4, 5])
    filters: int = ranged(8, 1, 4096)
    widen: int = ranged(2, 1, 4)
    kernel: int = ranged(3, 1, 11)
    stem_stride: int = ranged(1, 1, 4)


@dataclass
class HierarchicalConfig:
    """Options of rlnas.spaces.hierarchical.HierarchicalSpace."""

    name: str = "hierarchical"
    primitives: list[str] = field(
        default_factory=lambda: ["conv1x1", "depthwise3x3", "sep_conv3x3", "max_pool3x3", "avg_pool3x3", "identity"]
    )
    motifs: int = ranged(6, 1, 100)
    motif_nodes: int = ranged(4, 2, 20)
    cell_nodes: int = ranged(5, 2, 20)
    cells: int = ranged(1, 1, 20)
    filters: int = ranged(16, 1, 4096)
    reductions: int = ranged(2, 0, 6)
    widen: int = ranged(2, 1, 4)
    stem_stride: int = ranged(1, 1, 4)


@dataclass
class TableConfig:
    """Meaning of the columns of a tabular benchmark; see rlnas.tabular.read. `reward`: one name or a list."""

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
    """Path of NAS-Bench-Macro's file; see rlnas.tabular.nas_bench_macro."""

    name: str = "nas_bench_macro"
    path: str | None = None


@dataclass
class NasrlBenchConfig:
    """Options of rlnas.spaces.nasrl_bench.NasrlBenchSpace. path: of a table built anew, None for the shipped one."""

    name: str = "nasrl_bench"
    sharing: str = one_of("projection", "operator", "projection", "kernel")
    path: str | None = None


@dataclass
class OwnConfig:
    """A user's class in a group: its dotted path and keyword arguments."""

    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


SPACE_CONFIGS: dict[str, Any] = {
    "nasrl": NasrlConfig,
    "nasrl_factored": NasrlFactoredConfig,
    "genetic_cnn": GeneticCnnConfig,
    "hierarchical": HierarchicalConfig,
    "table": TableConfig,
    "nas_bench_macro": NasBenchMacroConfig,
    "nasrl_bench": NasrlBenchConfig,
}


@dataclass
class ChildConfig:
    """Training of the shared weights: Nesterov SGD, cosine schedule with restarts (ENAS)."""

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
    average_epochs: float = ranged(0.0, 0)


@dataclass
class SharedWeightsConfig:
    """Scoring of children with the shared weights; see rlnas.evaluators.shared_weights."""

    name: str = "shared_weights"
    images: int = ranged(1000, 0)
    batch_size: int = ranged(500, 2, 65536)
    norm: str = one_of("batch", "batch", "recalibrate", "running")
    recalibrate_batches: int = ranged(4, 1, 1000)
    racing: float = ranged(0.0, 0, 0.5)


@dataclass
class SurrogateConfig(SharedWeightsConfig):
    """Prediction of the stand-alone value from the shared score and more; see rlnas.evaluators.surrogate."""

    name: str = "surrogate"
    model: str = one_of("ridge", "ridge", "gaussian_process")
    labels: int = ranged(24, 4, 10000)
    epochs: float = ranged(1.0, 0, 10000, above=True)
    random_share: float = ranged(0.5, 0, 1)
    refit_rounds: int = ranged(4, 0)
    caution: float = ranged(0.5, 0, 100)
    target: str = "accuracy"


@dataclass
class StandaloneConfig:
    """Training from scratch and scoring of each child; see rlnas.evaluators.standalone."""

    name: str = "standalone"
    epochs: int = ranged(2, 1, 10000)
    images: int = ranged(0, 0)
    batch_size: int = ranged(500, 2, 65536)


@dataclass
class TabularConfig:
    """Look-up of architectures in the table of the space; no options."""

    name: str = "tabular"


EVALUATOR_CONFIGS: dict[str, Any] = {
    "shared_weights": SharedWeightsConfig,
    "standalone": StandaloneConfig,
    "surrogate": SurrogateConfig,
    "tabular": TabularConfig,
}


@dataclass
class ImitationConfig:
    """Imitation of the best architectures so far by a policy; see rlnas.controllers.imitation. Weight 0 = off."""

    weight: float = ranged(0.0, 0)
    best: int = ranged(10, 1, 10000)
    passes: int = ranged(1, 1, 1000)


@dataclass
class ControllerConfig:
    """The controller. `params` and `policy_params` are arguments of the algorithm's and the policy's constructor."""

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
class ObjectiveConfig:
    """Terms to maximise and limits to respect; see rlnas.objective.

    terms: a name -> its weight, or {weight, and the term's options}. limits: the name of a cost or value -> its
    maximum.
    """

    terms: dict[str, Any] = field(default_factory=lambda: {"accuracy": 1.0})
    limits: dict[str, Any] = field(default_factory=dict)


@dataclass
class RewardConfig:
    """Conversion of objectives to the rewards that learners receive; see rlnas.objective.Scale."""

    scale: str = one_of("auto", "auto", "none", "standard", "rank", "mean_rank")


@dataclass
class SearchConfig:
    """Size of a round, a number of architectures that is the same for every controller; see rlnas.search."""

    warmup_epochs: int = ranged(4, 0)
    epochs_per_round: float = ranged(1.0, 0)
    architectures_per_round: int = ranged(100, 1)
    sampling: str = one_of("controller", "controller", "uniform", "fair")
    warmup_sampling: str = one_of("uniform", "uniform", "fair")
    random_control: int = ranged(10, 0, 10000)


@dataclass
class BudgetConfig:
    """Limits of the search, which ends at the first one reached; 0 = no limit."""

    rounds: int = ranged(8, 0)
    architectures: int = ranged(0, 0)
    minutes: float = ranged(0.0, 0)
    table_seconds: float = ranged(0.0, 0)


@dataclass
class SelectConfig:
    """Architectures scored again after the search, how many of them are trained alone, and the controls beside them."""

    from_policy: int = ranged(20, 0, 100000)
    from_history: int = ranged(20, 0, 100000)
    from_random: int = ranged(0, 0, 100000)
    finalists: int = ranged(5, 1, 100000)
    finalist_epochs: float = ranged(1.0, 0, 10000, above=True)
    finalist_start: str = one_of("shared", "shared", "scratch")
    halving: int = ranged(1, 1, 100)
    last_seeds: int = ranged(1, 1, 100)
    references: int = ranged(1, 0, 100000)
    controls: int = ranged(2, 0, 100000)


@dataclass
class RetrainConfig:
    """Training of the best architecture from scratch; 0 epochs = off."""

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
    controls: int = ranged(0, 0, 1000)
    space: dict[str, Any] = field(default_factory=dict)


@dataclass
class ExecutionConfig:
    """Device, precision and memory settings; see rlnas.execution.settings."""

    device: str = "auto"
    threads: int = ranged(0, 0, 1024)
    precision: str = one_of("auto", "auto", "float32", "bfloat16")
    memory_format: str = one_of("auto", "auto", "channels_last", "contiguous")
    retrain_precision: str = one_of("same", "same", "auto", "float32", "bfloat16")
    retrain_memory_format: str = one_of("same", "same", "auto", "channels_last", "contiguous")
    measure: bool = False
    cuda_graphs: bool = False
    keep_buffers: bool = True
    memory_mb: int = ranged(1024, 1)


@dataclass
class Config:
    """The configuration of a run."""

    name: str = "nasrl_digits"
    seed: int = ranged(0, 0, 2**63 - 1)
    progress: str = one_of("auto", "auto", "plain", "off")
    resume: str | None = None
    architecture: str | None = None
    report: bool = True
    data: DataConfig = field(default_factory=DataConfig)
    space: Any = field(default_factory=NasrlConfig)  # a class of SPACE_CONFIGS, or OwnConfig; OmegaConf has no unions
    controller: ControllerConfig = field(default_factory=ControllerConfig)
    evaluator: Any = field(default_factory=SharedWeightsConfig)  # a class of EVALUATOR_CONFIGS, or OwnConfig
    child: ChildConfig = field(default_factory=ChildConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)


# Groups whose options depend on their `name`.
NAMED_GROUPS: dict[str, dict[str, Any]] = {"space": SPACE_CONFIGS, "evaluator": EVALUATOR_CONFIGS}
OPEN_GROUPS = (  # groups that allow any entries
    "retrain.space",
    "controller.params",
    "controller.policy_params",
    "objective.terms",
    "objective.limits",
    "space.options",
    "evaluator.options",
    "data.options",
)

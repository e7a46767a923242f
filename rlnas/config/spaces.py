"""The options of every search space, as typed dataclasses with ranges; see rlnas.config.schema."""

from dataclasses import dataclass, field
from typing import Any

from rlnas.config.ranges import one_of, ranged
from rlnas.networks.operators import DARTS_OPERATORS, ENAS_OPERATORS


@dataclass
class GrowConfig:
    """Growth of layers, or hidden nodes of cells, during a search; see rlnas.spaces.growing. start: 0 = off."""

    start: int = ranged(0, 0, 100)
    step: int = ranged(2, 1, 100)
    every: int = ranged(1600, 1)


def grow_cells() -> GrowConfig:
    """Return the growth of cells, once `start` is set: one hidden node more after every 240 architectures.

    PNAS has 256; 240 is a multiple of the batches of all shipped controllers.
    """
    return GrowConfig(step=1, every=240)


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
    grow: GrowConfig = field(default_factory=GrowConfig)


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
    grow: GrowConfig = field(default_factory=GrowConfig)


@dataclass
class NasnetConfig:
    """Options of rlnas.spaces.nasnet.NasnetSpace; the default is the survey's example."""

    name: str = "nasnet"
    operators: list[str] = field(
        default_factory=lambda: ["dil_conv3x3", "sep_conv5x5", "identity", "max_pool3x3"],
    )
    summarisations: list[str] = field(default_factory=lambda: ["sum", "concat", "product"])
    nodes: int = ranged(4, 1, 20)
    output: str = one_of("all", "all", "loose")
    pairs: str = one_of("distinct", "distinct", "any")
    tied: bool = False
    cells: int = ranged(3, 1, 100)
    filters: int = ranged(8, 1, 4096)
    reductions: int = ranged(2, 1, 6)
    stem_multiplier: int = ranged(3, 1, 16)
    stem_stride: int = ranged(1, 1, 4)
    grow: GrowConfig = field(default_factory=grow_cells)


@dataclass
class DartsConfig:
    """Options of rlnas.spaces.darts.DartsSpace."""

    name: str = "darts"
    operators: list[str] = field(default_factory=lambda: list(DARTS_OPERATORS))
    nodes: int = ranged(4, 1, 20)
    cells: int = ranged(3, 1, 100)
    filters: int = ranged(8, 1, 4096)
    reductions: int = ranged(2, 1, 6)
    stem_multiplier: int = ranged(3, 1, 16)
    stem_stride: int = ranged(1, 1, 4)
    grow: GrowConfig = field(default_factory=grow_cells)


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
class EvonetConfig:
    """Options of rlnas.spaces.evonet.EvonetSpace."""

    name: str = "evonet"
    horizon: int = ranged(16, 1, 1000)
    start: str = "trivial"
    slots: int = ranged(12, 1, 100)
    max_layers: int = ranged(8, 1, 100)
    max_reductions: int = ranged(2, 0, 6)
    max_params: int = ranged(1_000_000, 0)
    max_flops: int = ranged(0, 0)
    image_size: int = ranged(32, 1, 1024)
    kernels: list[int] = field(default_factory=lambda: [1, 3, 5])
    channels: list[int] = field(default_factory=lambda: [16, 32, 64])
    filters: int = ranged(16, 1, 4096)
    stem_stride: int = ranged(1, 1, 4)
    inherit: bool = True


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
class ProgramConfig:
    """Options of rlnas.spaces.program.ProgramSpace."""

    name: str = "program"
    scalars: int = ranged(4, 2, 100)
    vectors: int = ranged(4, 1, 100)
    matrices: int = ranged(2, 0, 100)
    setup: int = ranged(4, 0, 100)
    predict: int = ranged(4, 1, 100)
    learn: int = ranged(8, 0, 100)
    operations: list[str] = field(default_factory=list)
    constants: list[float] = field(default_factory=lambda: [-1.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])


SPACE_CONFIGS: dict[str, Any] = {
    "nasrl": NasrlConfig,
    "nasrl_factored": NasrlFactoredConfig,
    "nasnet": NasnetConfig,
    "darts": DartsConfig,
    "genetic_cnn": GeneticCnnConfig,
    "hierarchical": HierarchicalConfig,
    "evonet": EvonetConfig,
    "table": TableConfig,
    "nas_bench_macro": NasBenchMacroConfig,
    "nasrl_bench": NasrlBenchConfig,
    "program": ProgramConfig,
}

"""Search spaces: the architectures that can be built or looked up. Torch-free."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rlnas.config.own import make_own
from rlnas.config.schema import OwnConfig
from rlnas.config.spaces import (
    DartsConfig,
    EvonetConfig,
    GeneticCnnConfig,
    HierarchicalConfig,
    NasBenchMacroConfig,
    NasnetConfig,
    NasrlBenchConfig,
    NasrlConfig,
    NasrlFactoredConfig,
    ProgramConfig,
    TableConfig,
)
from rlnas.errors import RlnasError
from rlnas.spaces.base import Architecture, Space
from rlnas.spaces.cells import CellSpace
from rlnas.spaces.chain import ChainSpace
from rlnas.spaces.darts import DartsSpace
from rlnas.spaces.evonet import EvonetSpace
from rlnas.spaces.genetic_cnn import GeneticCnnSpace
from rlnas.spaces.growable import GrowableSpace
from rlnas.spaces.growing import GrowingSpace, growing
from rlnas.spaces.hierarchical import HierarchicalSpace
from rlnas.spaces.independent import IndependentSpace
from rlnas.spaces.nasnet import NasnetSpace
from rlnas.spaces.nasrl import NasrlSpace
from rlnas.spaces.nasrl_bench import NasrlBenchSpace
from rlnas.spaces.nasrl_factored import NasrlFactoredSpace
from rlnas.spaces.program import ProgramSpace
from rlnas.spaces.table import TableSpace
from rlnas.tabular import read_benchmark

__all__ = [
    "SPACES",
    "Architecture",
    "CellSpace",
    "ChainSpace",
    "DartsSpace",
    "GeneticCnnSpace",
    "HierarchicalSpace",
    "GrowableSpace",
    "GrowingSpace",
    "EvonetSpace",
    "IndependentSpace",
    "NasnetSpace",
    "NasrlBenchSpace",
    "NasrlFactoredSpace",
    "NasrlSpace",
    "ProgramSpace",
    "Space",
    "TableSpace",
    "make_space",
]


def make_space(config: Any) -> Space:
    """Build the space that these options describe (of rlnas.config.schema.SPACE_CONFIGS, or OwnConfig).

    Raises RlnasError for a missing or wrong table, or a class that cannot be imported.
    """
    return SPACES[type(config)](config)


def _table(config: Any) -> Space:
    return TableSpace(config.name, read_benchmark(config))


def _own(config: OwnConfig) -> Space:
    assert config.name is not None  # a name with a dot
    space = make_own(config.name, "space.name", config.options)
    if not isinstance(space, Space):
        raise RlnasError(f"space.name={config.name}: expected a subclass of rlnas.spaces.Space")
    space.name = config.name  # so that run folders name the class to import
    return space


def _growable(kind: Any) -> Callable[[Any], Space]:
    """Return the builder of a GrowableSpace, which may grow."""

    def build(config: Any) -> Space:
        options = _options(config)
        depth, grow = options.pop(kind.option), options.pop("grow")
        return growing(lambda number: kind(**{kind.option: number}, **options), depth, **grow)

    return build


def _options(config: Any) -> dict[str, Any]:
    return {key: value for key, value in asdict(config).items() if key != "name"}


SPACES: dict[type[Any], Callable[[Any], Space]] = {
    NasrlConfig: _growable(NasrlSpace),
    NasrlFactoredConfig: _growable(NasrlFactoredSpace),
    NasnetConfig: _growable(NasnetSpace),
    DartsConfig: _growable(DartsSpace),
    GeneticCnnConfig: lambda config: GeneticCnnSpace(**_options(config)),
    HierarchicalConfig: lambda config: HierarchicalSpace(**_options(config)),
    EvonetConfig: lambda config: EvonetSpace(**_options(config)),
    TableConfig: _table,
    NasBenchMacroConfig: _table,
    NasrlBenchConfig: lambda config: NasrlBenchSpace(**_options(config)),
    ProgramConfig: lambda config: ProgramSpace(**_options(config)),
    OwnConfig: _own,
}

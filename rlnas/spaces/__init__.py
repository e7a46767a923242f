"""Search spaces: what can be built, or looked up. Torch-free."""

from dataclasses import asdict

from rlnas.config.schema import NasBenchMacroConfig, NetworkSpaceConfig, SpaceConfig, TableConfig, TableSpaceConfig
from rlnas.spaces.base import Architecture, NetworkSpace, Space
from rlnas.spaces.chain import ChainSpace
from rlnas.spaces.nasrl import NasrlSpace
from rlnas.spaces.nasrl_factored import NasrlFactoredSpace
from rlnas.spaces.table import TableSpace
from rlnas.tabular import read_benchmark

NETWORK_SPACES: dict[str, type[NasrlSpace] | type[NasrlFactoredSpace]] = {
    "nasrl": NasrlSpace,
    "nasrl_factored": NasrlFactoredSpace,
}

__all__ = [
    "NETWORK_SPACES",
    "Architecture",
    "ChainSpace",
    "NasrlFactoredSpace",
    "NasrlSpace",
    "NetworkSpace",
    "Space",
    "TableSpace",
    "make_network_space",
    "make_space",
    "make_table_space",
]


def make_space(config: SpaceConfig) -> NasrlSpace | NasrlFactoredSpace | TableSpace:
    """The space that these options describe. Raises RlnasError for a table that is missing or wrong."""
    if isinstance(config, TableConfig | NasBenchMacroConfig):
        return make_table_space(config)
    return make_network_space(config)


def make_network_space(config: NetworkSpaceConfig) -> NasrlSpace | NasrlFactoredSpace:
    """A space of networks."""
    options = {key: value for key, value in asdict(config).items() if key != "name"}
    return NETWORK_SPACES[config.name](**options)


def make_table_space(config: TableSpaceConfig) -> TableSpace:
    """The space of a tabular benchmark; reads its file."""
    return TableSpace(config.name, read_benchmark(config))

"""Search spaces: what can be built. Torch-free."""

from dataclasses import asdict

from rlnas.config import SpaceConfig
from rlnas.spaces.base import Architecture, Space
from rlnas.spaces.chain import ChainSpace
from rlnas.spaces.nasrl import NasrlSpace
from rlnas.spaces.nasrl_factored import NasrlFactoredSpace

SPACES: dict[str, type[NasrlSpace] | type[NasrlFactoredSpace]] = {
    "nasrl": NasrlSpace,
    "nasrl_factored": NasrlFactoredSpace,
}

__all__ = ["SPACES", "Architecture", "ChainSpace", "NasrlFactoredSpace", "NasrlSpace", "Space", "make_space"]


def make_space(config: SpaceConfig) -> NasrlSpace | NasrlFactoredSpace:
    """The space that these options describe."""
    options = {key: value for key, value in asdict(config).items() if key != "name"}
    return SPACES[config.name](**options)

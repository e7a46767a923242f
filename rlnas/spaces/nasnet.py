"""The NASNet space: cells with any operators and summarisations (Zoph et al. 2018; FIELD: NASNet)."""

from collections.abc import Sequence

from rlnas.config.spaces import NasnetConfig
from rlnas.spaces.cells import CellSpace

DEFAULTS = NasnetConfig()


class NasnetSpace(CellSpace):
    """Normal and reduction cell; by default the survey's example. See CellSpace for the options."""

    name = "nasnet"

    def __init__(
        self,
        operators: Sequence[str] = tuple(DEFAULTS.operators),
        summarisations: Sequence[str] = tuple(DEFAULTS.summarisations),
        nodes: int = DEFAULTS.nodes,
        output: str = DEFAULTS.output,
        pairs: str = DEFAULTS.pairs,
        tied: bool = DEFAULTS.tied,
        cells: int = DEFAULTS.cells,
        filters: int = DEFAULTS.filters,
        reductions: int = DEFAULTS.reductions,
        stem_multiplier: int = DEFAULTS.stem_multiplier,
        stem_stride: int = DEFAULTS.stem_stride,
    ):
        super().__init__(
            operators,
            summarisations,
            nodes=nodes,
            output=output,
            pairs=pairs,
            tied=tied,
            cells=cells,
            filters=filters,
            reductions=reductions,
            stem_multiplier=stem_multiplier,
            stem_stride=stem_stride,
        )

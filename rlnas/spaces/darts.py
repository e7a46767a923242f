"""The DARTS space (Liu et al. 2019): two predecessors and an operator on each, added; all nodes are output.

The space of discrete cells, 1,037,664,180^2 architectures with the default options; its continuous relaxation is a way
to search it, not part of the space.
"""

from collections.abc import Sequence

from rlnas.config.spaces import DartsConfig
from rlnas.spaces.cells import CellSpace

DEFAULTS = DartsConfig()


class DartsSpace(CellSpace):
    """Normal and reduction cell of nodes that add; see CellSpace for the options."""

    name = "darts"

    def __init__(
        self,
        operators: Sequence[str] = tuple(DEFAULTS.operators),
        nodes: int = DEFAULTS.nodes,
        cells: int = DEFAULTS.cells,
        filters: int = DEFAULTS.filters,
        reductions: int = DEFAULTS.reductions,
        stem_multiplier: int = DEFAULTS.stem_multiplier,
        stem_stride: int = DEFAULTS.stem_stride,
    ):
        super().__init__(
            operators,
            ("sum",),
            nodes=nodes,
            output="all",
            pairs="distinct",
            tied=False,
            cells=cells,
            filters=filters,
            reductions=reductions,
            stem_multiplier=stem_multiplier,
            stem_stride=stem_stride,
        )

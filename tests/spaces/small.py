"""Small settings of every space of networks, for tests that hold in all of them: a new space adds a line."""

from rlnas.spaces import (
    DartsSpace,
    EvonetSpace,
    GeneticCnnSpace,
    HierarchicalSpace,
    NasnetSpace,
    NasrlFactoredSpace,
    NasrlSpace,
    Space,
)

SMALL: dict[str, Space] = {
    "nasrl": NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1),
    "nasrl, projection": NasrlSpace(4, ("conv3x3", "identity"), filters=4, reductions=1, sharing="projection"),
    "nasrl_factored": NasrlFactoredSpace(4, heights=(1, 3), widths=(1, 3, 5), filters=(3, 4)),
    "nasnet": NasnetSpace(
        ("sep_conv3x3", "identity", "max_pool3x3"),
        ("sum", "concat", "product"),
        nodes=2,
        cells=3,
        filters=2,
        reductions=1,
    ),
    "nasnet, loose ends": NasnetSpace(
        ("conv3x3", "identity"), ("sum",), nodes=3, output="loose", pairs="any", tied=True, cells=3, filters=2
    ),
    "darts": DartsSpace(nodes=2, cells=3, filters=2),
    "evonet": EvonetSpace(horizon=6, slots=4, max_layers=3, max_reductions=1, channels=(3, 4), filters=3),
    "genetic_cnn": GeneticCnnSpace((3, 1, 4), filters=4),
    "hierarchical": HierarchicalSpace(
        ("conv1x1", "sep_conv3x3", "max_pool3x3", "identity"),
        motifs=2,
        motif_nodes=3,
        cell_nodes=4,
        filters=4,
        reductions=1,
    ),
}

"""Small settings of every space of networks, for tests that hold in all of them: a new space adds a line."""

from rlnas.spaces import GeneticCnnSpace, HierarchicalSpace, NasrlFactoredSpace, NasrlSpace, Space

SMALL: dict[str, Space] = {
    "nasrl": NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1),
    "nasrl, projection": NasrlSpace(4, ("conv3x3", "identity"), filters=4, reductions=1, sharing="projection"),
    "nasrl_factored": NasrlFactoredSpace(4, heights=(1, 3), widths=(1, 3, 5), filters=(3, 4)),
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

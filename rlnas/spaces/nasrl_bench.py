"""The space of nasrl_bench: a small nasrl space, of which every architecture was trained alone."""

from rlnas.config.spaces import NasrlBenchConfig
from rlnas.errors import RlnasError
from rlnas.spaces.nasrl import NasrlSpace
from rlnas.tabular import read_nasrl_bench

LAYERS = 4
OPERATORS = ("conv3x3", "sep_conv3x3", "max_pool3x3", "identity")
FILTERS = 8
REDUCTIONS = 1
STEM_STRIDE = 4  # 32x32 images, 8x8 maps
DEFAULTS = NasrlBenchConfig()


class NasrlBenchSpace(NasrlSpace):
    """Four layers of four operators with three possible skips: 4^4 * 2^3 = 2,048 architectures, with their table.

    So the same architectures can be looked up (evaluator=tabular) and scored by shared weights, whose scores can then
    be compared with the truth.

    sharing: how finely operators share weights where they are trained, see rlnas.spaces.sharing. path: of a table built
    anew; None for the shipped one.
    """

    name = "nasrl_bench"

    def __init__(self, sharing: str = DEFAULTS.sharing, path: str | None = None):
        super().__init__(LAYERS, OPERATORS, FILTERS, REDUCTIONS, stem_stride=STEM_STRIDE, sharing=sharing)
        self.benchmark = read_nasrl_bench(path)
        texts = self.benchmark.values[0]
        wrong = next((rank for rank in range(self.size) if texts[rank] != self.text(self.unrank(rank))), None)
        if wrong is not None:
            raise RlnasError(
                f"space.path={path}: row {wrong + 1} is '{texts[wrong]}', expected '{self.text(self.unrank(wrong))}'; "
                "rows must be in the order in which python -m benchmarks.nasrl_bench writes them"
            )
        self.fingerprint = self.benchmark.sha256

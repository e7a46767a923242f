"""The comparison of runs: reads run folders only, and says which controller is better, by how much, how surely."""

from rlnas.report.comparison.compare import compare
from rlnas.report.comparison.frame import frame
from rlnas.report.comparison.results import Comparison
from rlnas.report.comparison.write import write_comparison

__all__ = ["Comparison", "compare", "frame", "write_comparison"]

"""The comparison of runs: reads run folders only, and says which controller is better, by how much, how surely."""

from rlnas.report.comparison.compare import compare
from rlnas.report.comparison.results import Comparison
from rlnas.report.comparison.runs import LeftOut, SearchRun, find_runs, load_runs
from rlnas.report.comparison.write import write_comparison

__all__ = ["Comparison", "LeftOut", "SearchRun", "compare", "find_runs", "load_runs", "write_comparison"]

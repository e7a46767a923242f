"""The report: reads a run folder, never live objects of the search, and draws it for people."""

from rlnas.report.run import Run, load_run
from rlnas.report.write import write_report

__all__ = ["Run", "load_run", "write_report"]

"""The report: reads a run folder, never live objects of the search, and draws it for people."""

from rlnas.report.write import write_report
from rlnas.runs.reader import Run, load_run

__all__ = ["Run", "load_run", "write_report"]

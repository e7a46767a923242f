"""Writing the report into its run folder: every file whole or not at all."""

import os
import tempfile
from pathlib import Path

from rlnas.errors import RlnasError
from rlnas.report.run.drawing import Row, draw_architecture, rows
from rlnas.report.run.figures import ENTRIES, draw_figures
from rlnas.report.run.page import write_page
from rlnas.runs.reader import Run, load_run


def write_report(folder: Path) -> Path:
    """Draw figures/*.svg and report.html of a finished run, and return the path of report.html.

    The same run folder gives the same bytes. RlnasError for a folder that holds no run.
    """
    run = load_run(folder)
    drawing = _drawing(run)
    plots = draw_figures(run)
    figures = {plot.name: plot.svg for plot in plots}
    if drawing:
        figures["architecture"] = drawing[0]
    report = run.folder / "report.html"
    try:
        (run.folder / "figures").mkdir(exist_ok=True)
        for name in ("architecture", *(entry.name for entry in ENTRIES)):
            path = run.folder / "figures" / f"{name}.svg"
            if name in figures:
                _replace(path, figures[name])
            else:  # of an earlier report, no longer true
                path.unlink(missing_ok=True)
        _replace(report, write_page(run, drawing, plots))
    except OSError as error:
        raise RlnasError(f"the report cannot be written to {run.folder}: {error.strerror or error}") from None
    return report


def _drawing(run: Run) -> tuple[str, list[Row]] | None:
    if run.graph is None or run.architecture is None:
        return None
    table = rows(run.space, run.architecture, run.graph)
    return draw_architecture(table), table


def _replace(path: Path, text: str) -> None:
    """Write a file under another name and move it into place, so that nobody ever reads half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(name, 0o644)  # mkstemp's 0600 would hide the report from whoever it is shared with
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

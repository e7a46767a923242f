"""Writing the report into its run folder, each file whole or not at all."""

from pathlib import Path

from rlnas.errors import RlnasError
from rlnas.files import write_text
from rlnas.report.run.diagram import draw_diagram
from rlnas.report.run.drawing import draw_architecture, rows
from rlnas.report.run.features import sampled
from rlnas.report.run.figures import ENTRIES, draw_figures
from rlnas.report.run.gap import FIGURES, gap_section
from rlnas.report.run.page import write_page
from rlnas.runs.reader import load_run
from rlnas.spaces.diagram import Diagram


def write_report(folder: Path) -> Path:
    """Write figures/*.svg and report.html of a finished run; returns the path of report.html.

    The same run folder gives the same bytes. What needs a space that cannot be built here is left out, and the
    page says so. RlnasError for a folder that holds no run.
    """
    run = load_run(folder)
    missing: dict[str, list[str]] = {}  # reason -> what it keeps from being drawn
    table, features = None, len(run) > 0
    try:
        table = rows(run.graph) if run.graph is not None else None
    except RlnasError as error:
        missing.setdefault(str(error), []).append("the network")
    parts: tuple[Diagram, ...] = ()
    try:
        parts = run.diagrams
    except RlnasError as error:
        missing.setdefault(str(error), []).append("the parts of the architecture")
    try:
        _ = sampled(run) if features else None
    except RlnasError as error:
        features = False
        missing.setdefault(str(error), []).append("what the controller chose")
    notes = [f"Not drawn: {' and '.join(lacking)}: {reason}" for reason, lacking in missing.items()]
    plots = draw_figures(run, features=features)
    gap, gap_plots = gap_section(run.folder)
    figures = {plot.name: plot.svg for plot in (*plots, *gap_plots)}
    drawing = None
    if table is not None:
        drawing = (draw_architecture(table), table)
        figures["architecture"] = drawing[0]
    drawn_parts = {f"part_{number}": draw_diagram(part) for number, part in enumerate(parts, start=1)}
    figures |= drawn_parts
    old = {path.stem for path in (run.folder / "figures").glob("part_*.svg")}
    for name in ("architecture", *sorted(drawn_parts.keys() | old), *(entry.name for entry in ENTRIES), *FIGURES):
        path = run.folder / "figures" / f"{name}.svg"
        if name in figures:
            write_text(path, figures[name])
        else:  # of an earlier report, no longer true
            path.unlink(missing_ok=True)
    report = run.folder / "report.html"
    shown_parts = [(name, part.title, svg) for (name, svg), part in zip(drawn_parts.items(), parts, strict=True)]
    write_text(report, write_page(run, drawing, plots, notes, gap, shown_parts))
    return report

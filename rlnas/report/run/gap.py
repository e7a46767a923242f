"""The section of the page on the gap, and its figures, from gap/gap.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rlnas.config.quoting import without_home
from rlnas.errors import RlnasError
from rlnas.report import text
from rlnas.report.run.curves import PERCENT
from rlnas.report.run.figures import Plot
from rlnas.report.run.gap_words import (
    FILE,
    GROUPS,
    REWARD,
    Gap,
    as_sentence,
    how,
    is_share,
    read_gap,
    sentences,
    table,
    value_text,
)
from rlnas.report.style import BLUE, MUTED, ORANGE, inline, new_figure, plain_style, to_svg
from rlnas.runs.commands import gap_command
from rlnas.runs.leftovers import SHARED_WEIGHTS
from rlnas.runs.values import number

FIGURES = ("gap_reward", "gap_flops")


def gap_section(folder: Path) -> tuple[dict[str, Any] | None, list[Plot]]:
    """Return the section's values for the template and its figures.

    None without a measurement and without shared weights to measure; a section with `missing` alone, a sentence, where
    there is nothing to show yet or the file is damaged.
    """
    command = gap_command(folder)
    try:
        gap = read_gap(folder)
        if gap is None:
            kept = (folder / SHARED_WEIGHTS).is_file()
            missing = (
                "How well the scores of the shared weights rank architectures is not measured yet. Measure it with"
            )
            return ({"missing": missing, "command": command} if kept else None), []
        plots = draw(gap)
        return _section(gap, command, plots), plots
    except RlnasError as error:
        reason = str(error)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = f"{FILE.as_posix()} is damaged ({error!r})"
    return {"missing": f"The gap is not shown: {without_home(reason)}. Measure it again with", "command": command}, []


def _section(gap: Gap, command: str, plots: list[Plot]) -> dict[str, Any]:
    shown = [{"inline": inline(plot.svg, plot.name, plot.alt), "caption": plot.caption} for plot in plots]
    tables = [table(gap, name, heading) for name, heading in GROUPS if gap["groups"][name]["truth"]["n"]]
    return {
        "missing": "",
        "command": command,
        "sentences": sentences(gap),
        "tables": tables[:-1] if len(tables) > 1 else tables,
        "more": tables[-1] if len(tables) > 1 else None,
        "plots": shown,
        "notes": [as_sentence(note) for note in gap["notes"]],
        "how": how(gap),
    }


# -- figures ------------------------------------------------------------------------------------------------


def draw(gap: Gap) -> list[Plot]:
    """Return the scatter figures: truth against the reward and against FLOPs."""
    known = [one for one in gap["architectures"] if one["truth"] is not None]
    labels = {one["key"]: one["label"] for one in gap["predictors"]}
    plots = []
    for name, key in zip(FIGURES, (REWARD, "flops"), strict=True):
        points = [one for one in known if number(one.get(key)) is not None]
        if points:
            title = f"Truth against {'the reward' if key == REWARD else 'FLOPs'}"
            with plain_style(name):
                svg = to_svg(_scatter(gap, points, key, title, labels[key]))
            plots.append(Plot(name, "gap", f"{title}: {len(points)} architectures", _caption(gap, key), svg))
    return plots


def _scatter(gap: Gap, points: list[Mapping[str, Any]], key: str, title: str, label: str) -> Figure:
    figure = new_figure(title, 3.1)
    axes = figure.add_subplot()
    for name, colour, marker, legend in (("uniform", BLUE, "o", "uniform"), ("policy", ORANGE, "^", "final policy")):
        members = [one for one in points if name in one["groups"]]
        if members:
            places = [[float(one[of]) for one in members] for of in (key, "truth")]
            axes.scatter(places[0], places[1], s=22, color=colour, marker=marker, alpha=0.8, linewidths=0, label=legend)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if key == "flops":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text.quantity(value)))
    if is_share(gap):
        axes.yaxis.set_major_formatter(PERCENT)
    axes.set_xlabel(label)
    axes.set_ylabel("accuracy trained alone" if is_share(gap) else "score in the table")
    axes.tick_params(length=3, color=MUTED)
    figure.legend(loc="outside lower center", ncols=2, columnspacing=1.2, handletextpad=0.5)
    return figure


def _caption(gap: Gap, key: str) -> str:
    parts = [
        f"{kind} {value_text(gap['groups'][name]['agreement'][key]['tau'])}"
        for name, kind in (("uniform", "uniform"), ("policy", "final policy"))
        if gap["groups"][name]["truth"]["n"]
    ]
    return f"One mark is one architecture. Kendall's tau: {'; '.join(parts)}."

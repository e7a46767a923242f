"""The comparison's figures: best so far over architectures and over time, each curve named at its end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from rlnas.report.comparison.curves import Curve, over_architectures, over_seconds, time_name
from rlnas.report.comparison.results import Comparison, Floats, Group
from rlnas.report.ends import name_ends
from rlnas.report.style import BLUE, GREEN, GREY, INK, MUTED, ORANGE, PURPLE, RED, SKY, new_figure, plain_style, to_svg

MOST_CURVES = 12
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("-", "--", ":")  # colours come again with other dashes
BASELINE_LINES = {"random": (GREY, "-."), "evolution": (INK, "-.")}
EARLY = 0.05  # share of a curve that may leave the figure at its far edge, so that the ends can be told apart
DECADE = 10.0  # regrets that span more than this factor get a logarithmic axis
LOWEST = 1e-4  # of the highest regret: the lower edge of a logarithmic axis lies no deeper


@dataclass(frozen=True)
class Plot:
    """A figure of the page: its name, what it shows in words, how to read it, the drawing."""

    name: str
    alt: str
    caption: str
    svg: str


def draw(comparison: Comparison) -> list[Plot]:
    """Regret if there is an optimum, and score; over architectures and, where it is known, over time."""
    groups = drawn(comparison)
    plots = [("architectures", "architectures scored", 1.0, [over_architectures(g, comparison.budget) for g in groups])]
    if comparison.has_time:
        by_time = [over_seconds(group, comparison.budget) for group in groups]
        unit, length = _time_unit(max(float(curve.x[-1]) for curve in by_time))
        plots.append(("time", f"{time_name(comparison)} ({unit})", length, by_time))
    found = []
    for axis, x_name, length, curves in plots:
        for measure in ("regret", "score") if comparison.optimum is not None else ("score",):
            name, title = f"{measure}_{axis}", f"{_measured(comparison, measure)} over {axis}"
            with plain_style(name):
                figure = new_figure(title, 3.5 + 0.1 * len(curves))
                _draw(figure, curves, comparison.optimum, measure, length)
                figure.axes[0].set_xlabel(x_name)
                if not comparison.tabular:
                    figure.axes[0].set_ylabel("accuracy with own shared weights")
                caption = _caption(comparison, measure, axis, len(groups))
                found.append(Plot(name, title, caption, to_svg(figure)))
    return found


def drawn(comparison: Comparison) -> list[Group]:
    """The groups that have a curve: all, or the baselines and the best."""
    tested = [group for group in comparison.groups if group.label in comparison.baselines]
    kept = [*tested, *(group for group in comparison.groups if group not in tested)][:MOST_CURVES]
    return [group for group in comparison.groups if group in kept]


def line(group: Group) -> tuple[str, str]:
    """Colour and dashes of a group, the same in every figure."""
    if group.label in BASELINE_LINES:
        return BASELINE_LINES[group.label]
    return COLOURS[group.place % len(COLOURS)], DASHES[group.place // len(COLOURS) % len(DASHES)]


def _draw(figure: Figure, curves: Sequence[Curve], optimum: float | None, measure: str, length: float) -> None:
    """length: of a unit of x."""
    axes = figure.add_subplot()
    regret = measure == "regret" and optimum is not None
    offset, sign = (optimum or 0.0, -1) if regret else (0.0, 1)
    floor = _set_y([offset + sign * curve.mean for curve in curves], axes, None if regret else optimum, regret)
    ends = []
    for curve in curves:
        x = curve.x / length
        mean, low, high = (_above(offset + sign * part, floor) for part in (curve.mean, curve.low, curve.high))
        colour, dashes = line(curve.group)
        if np.isfinite(low).all():
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0, step="post")
        marker = "o" if len(x) == 1 else None
        axes.step(x, mean, where="post", color=colour, linestyle=dashes, marker=marker, label=curve.group.label)
        ends.append((curve.group.label, colour, float(x[-1]), float(mean[-1])))
    if optimum is not None and not regret:
        axes.axhline(optimum, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    first, last = min(float(curve.x[0]) for curve in curves) / length, max(x for _, _, x, _ in ends)
    axes.set_xlim(*((first, last) if last > first else (first - 0.5, first + 0.5)))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=length == 1))
    axes.set_ylabel("regret (optimum \N{MINUS SIGN} score)" if regret else "score of the incumbent")
    axes.tick_params(length=3, color=MUTED)
    longest = max(len(curve.group.label) for curve in curves)
    figure.legend(
        loc="outside lower center", ncols=max(1, min(4, 62 // (longest + 7))), columnspacing=1.2, handlelength=2.4
    )
    name_ends(figure, axes, ends)


def _set_y(means: Sequence[Floats], axes: Axes, line_at: float | None, regret: bool) -> float | None:
    """Limits that leave out how bad the first incumbents were; returns the lower edge of a logarithmic axis.

    line_at: a value that is to be seen too. The axis is logarithmic if regrets span more than a decade.
    """
    late = np.concatenate([mean[int(EARLY * len(mean)) :] for mean in means])
    low, high = float(late.min()), float(max(late.max(), late.max() if line_at is None else line_at))
    positive = late[late > 1e-9]
    if regret and len(positive) and high > DECADE * max(low, 0.0):
        floor = max(float(positive.min()) / 1.5, LOWEST * high)
        axes.set_yscale("log")
        axes.set_ylim(floor, 1.3 * high)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        return floor
    if high > low:
        margin = 0.06 * (high - low)
        axes.set_ylim(min(low, 0.0) if regret else low - margin, high + margin)
    return None


def _above(values: Floats, floor: float | None) -> Floats:
    """What lies below a logarithmic axis, a regret of 0 among it, is drawn at its edge."""
    return values if floor is None else np.maximum(values, floor)


def _time_unit(seconds: float) -> tuple[str, float]:
    """Name and length in seconds of the unit in which so many seconds read well."""
    return ("hours", 3600.0) if seconds >= 7200 else ("minutes", 60.0) if seconds >= 120 else ("seconds", 1.0)


def _measured(comparison: Comparison, measure: str) -> str:
    if comparison.tabular:
        return f"{measure.capitalize()} of the incumbent"
    return "Accuracy with own shared weights"


def _caption(comparison: Comparison, measure: str, axis: str, curves: int) -> str:
    words = "Mean over seeds" + (
        "; bands: 95% bootstrap intervals of the mean." if any(len(g.runs) > 1 for g in comparison.groups) else "."
    )
    if not comparison.tabular:
        words += (
            " Each run's accuracy is that of its own supernet: the curves show how the searches went, and their "
            "heights do not compare. No verdict rests on them."
        )
    elif measure == "regret":
        words += " Lower is better. Where the axis is logarithmic, a regret of 0 lies on its lower edge."
    else:
        words += " Higher is better." + (" Dotted: the optimum." if comparison.optimum is not None else "")
    if axis == "time":
        words += " Each curve ends where the first of its runs does."
    missing = len(comparison.groups) - curves
    if missing:
        words += f" {missing} of {len(comparison.groups)} groups have no curve; the table has all."
    return words

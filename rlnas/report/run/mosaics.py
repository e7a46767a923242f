"""Figures of shares: which values and which links the sampled architectures had."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from rlnas.report import text
from rlnas.report.ends import spread
from rlnas.report.run.features import (
    Factor,
    links,
    sampled,
    shares_by_position,
    shares_by_round,
    shortened,
)
from rlnas.report.style import BLUE, CARD, FAMILIES, LINE, MUTED, family, new_figure
from rlnas.runs.reader import Run

LABEL = 0.155  # inches from one label to the next
MOST_NUMBERED = 12  # columns of a mosaic up to which its cells have room for a number
MOST_FACTORS = 6  # panels of one figure


def operators(run: Run) -> Figure:
    """Share of each value over all positions, stacked, over rounds; a panel for each factor of a choice."""
    found = sampled(run)
    factors = shown_factors(run)
    height = 3.4 if len(factors) == 1 else 0.9 + 1.55 * len(factors)
    figure = new_figure(
        f"{_chosen(run)} chosen, all {_places(factors)}" + (", by factor" if len(factors) > 1 else ""), height
    )
    panels = figure.subplots(len(factors), 1, sharex=True, squeeze=False)[:, 0]
    rounds = np.array(found.rounds)
    for axes, factor in zip(panels, factors, strict=True):
        table = np.nan_to_num(shares_by_round(factor, found.features))
        _stack(axes, factor, rounds, table, (height - 0.85) / len(factors) - 0.1)
        axes.set_ylabel("share" if len(factors) == 1 else factor.title)
    panels[-1].set_xlabel("round")
    return figure


def layers(run: Run) -> Figure:
    """Share of each value at each position, among the last round's architectures."""
    found = sampled(run)
    groups = [factor for factor in shown_factors(run) if factor.positions == shown_factors(run)[0].positions]
    labels = [
        ("" if len(groups) == 1 else f"{factor.title} ") + text.operator(value)
        for factor in groups
        for value in factor.values
    ]
    table = np.concatenate([shares_by_position(factor, found.last) for factor in groups])  # (values, positions)
    place, columns = shortened(groups[0].positions)
    title = f"{_chosen(run)} by {place or 'decision'}, {_of_the_last(run)}"
    figure = new_figure(title, 1.25 + 0.235 * len(labels))
    axes = figure.add_subplot()
    mosaic(axes, table, columns, labels)
    for end in np.cumsum([len(factor.values) for factor in groups])[:-1]:
        axes.axhline(end - 0.5, color=MUTED, linewidth=1)
    axes.set_xlabel(place or "decision")
    return figure


def skips(run: Run) -> Figure:
    """How often each link was used among the last round's architectures, from (across) and to (down)."""
    found = links(sampled(run).last)
    assert found is not None
    to, rows = shortened(found.targets)
    name = "Skip connections" if found.name == "skip" else f"Links: {found.name}"
    figure = new_figure(f"{name}, {_of_the_last(run)}", min(1.3 + 0.26 * len(rows), 4.4))
    axes = figure.add_subplot()
    mosaic(axes, found.share, list(found.sources), rows)
    axes.set_xlabel(f"from {to}".strip())
    axes.set_ylabel(f"to {to}".strip())
    return figure


def shown_factors(run: Run) -> list[Factor]:
    """The factors that the figures have room for."""
    return list(sampled(run).factors[:MOST_FACTORS])


def _chosen(run: Run) -> str:
    """What the choices are called."""
    return "Operators" if run.space.builds_networks else "Values"


def _places(factors: list[Factor]) -> str:
    place = shortened(factors[0].positions)[0] if factors else ""
    return f"{place or 'decision'}s"


def _of_the_last(run: Run) -> str:
    return f"round {sampled(run).rounds[-1]} (% of {len(sampled(run).last)} samples)"


def _colours(factor: Factor) -> list[tuple[str, float]]:
    """A colour and an opacity for each value: the family's hue, fainter for each further member of it."""
    families = [family(value) for value in factor.values]
    if not any(families):
        return [(BLUE, float(alpha)) for alpha in np.linspace(0.25, 0.95, len(factor.values))]
    seen: dict[str, int] = {}
    colours = []
    for name in families:
        colours.append((FAMILIES.get(name, MUTED), max(0.92 - 0.42 * seen.get(name, 0), 0.2)))
        seen[name] = seen.get(name, 0) + 1
    return colours


def _stack(axes: Axes, factor: Factor, rounds: NDArray[np.int64], table: NDArray[np.float64], height: float) -> None:
    """Stacked areas with their names at the right, in the order of the stack; height: of the axes, in inches."""
    x = rounds.astype(float)
    if len(x) == 1:  # an area needs a width
        x, table = np.array([x[0] - 0.5, x[0] + 0.5]), np.repeat(table, 2, axis=0)
    edges = np.concatenate([np.zeros((len(x), 1)), np.cumsum(table, axis=1)], axis=1)
    for value, (colour, alpha) in enumerate(_colours(factor)):
        low, high = edges[:, value], edges[:, value + 1]
        axes.fill_between(x, low, high, facecolor=colour, alpha=alpha, linewidth=0)
        axes.plot(x, high, color=CARD, linewidth=0.8)
    middles = ((edges[-1, :-1] + edges[-1, 1:]) / 2).tolist()
    apart = min(LABEL / height, 1.0 / len(middles))
    for middle, place, label in zip(middles, spread(middles, apart), factor.values, strict=True):
        axes.annotate(
            text.operator(label),
            xy=(1.0, middle),
            xytext=(1.045, place),
            xycoords="axes fraction",
            va="center",
            fontsize=8,
            arrowprops={
                "arrowstyle": "-",
                "color": MUTED,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 1,
                "relpos": (0, 0.5),
            },
        )
    axes.set(xlim=(x[0], x[-1]), ylim=(0, 1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.grid(False)
    if len(rounds) == 1:
        axes.set_xticks([float(rounds[0])], [str(rounds[0])])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def mosaic(axes: Axes, table: NDArray[np.float64], columns: list[str], rows: list[str]) -> None:
    """Cells as dark as their share, with the percentage in them if there is room; NaN leaves a gap."""
    cells = [(row, column) for row, column in np.ndindex(table.shape) if not np.isnan(table[row, column])]
    axes.add_collection(
        PatchCollection(
            [Rectangle((column - 0.46, row - 0.46), 0.92, 0.92) for row, column in cells],
            facecolors=[(BLUE, 0.75 * float(table[cell])) for cell in cells],
            edgecolors=LINE,
            linewidths=0.6,
        )
    )
    if len(columns) <= MOST_NUMBERED:
        for row, column in cells:
            label = f"{100 * table[row, column]:.0f}"
            axes.text(column, row, label, ha="center", va="center_baseline", fontsize=7)
    axes.set(xlim=(-0.6, len(columns) - 0.4), ylim=(len(rows) - 0.4, -0.6))
    every = -(-len(columns) // 16)
    long = max(map(len, columns)) > 40 // len(columns)
    axes.set_xticks(
        range(0, len(columns), every), columns[::every], rotation=30 if long else 0, ha="right" if long else "center"
    )
    step = -(-len(rows) // 16) if len(rows) > 16 else 1
    axes.set_yticks(range(0, len(rows), step), rows[::step])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)

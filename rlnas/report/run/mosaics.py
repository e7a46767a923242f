"""Figures of shares: which operators and which skips the controller's samples used."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from rlnas.report import text
from rlnas.report.run.numbers import Factor, factors, layer_choices, shares, shares_by_round, skip_shares
from rlnas.report.style import BLUE, CARD, FAMILIES, LINE, MUTED, family, new_figure
from rlnas.runs.reader import Run

LABEL = 0.155  # inches from one label to the next
MOST_NUMBERED = 12  # columns of a mosaic up to which its cells have room for a number


def operators(run: Run) -> Figure:
    """Share of each operator over all layers, stacked, over rounds; one panel for each factor of an operator."""
    every = factors(run.space)
    choices = layer_choices(run.space, run.history["architecture"].tolist())
    rounds = run.history["round"].to_numpy(dtype=np.int64)
    height = 3.4 if len(every) == 1 else 0.9 + 1.55 * len(every)
    title = "Operators chosen, all layers" if len(every) == 1 else "Operators chosen, all layers, by factor"
    figure = new_figure(title, height)
    panels = figure.subplots(len(every), 1, sharex=True, squeeze=False)[:, 0]
    for axes, factor in zip(panels, every, strict=True):
        numbers, table = shares_by_round(choices, rounds, factor)
        _stack(axes, factor, numbers, table, (height - 0.85) / len(every) - 0.1)
        axes.set_ylabel("share" if len(every) == 1 else factor.title)
    panels[-1].set_xlabel("round")
    return figure


def layers(run: Run) -> Figure:
    """Share of each operator in each layer, among the last round's architectures."""
    last = _last_round(run)
    choices = layer_choices(run.space, last)
    labels: list[str] = []
    tables: list[NDArray[np.float64]] = []
    groups = factors(run.space)
    for factor in groups:
        prefix = "" if len(groups) == 1 else f"{factor.title} "
        labels += [prefix + text.operator(label) for label in factor.labels]
        tables.append(shares(choices[:, :, factor.position], len(factor.labels), (0,)).T)
    table = np.concatenate(tables)  # (values, layers)
    figure = new_figure(
        f"Operators by layer, round {_last(run)} (% of {len(last)} samples)", 1.25 + 0.235 * len(labels)
    )
    axes = figure.add_subplot()
    ends = np.cumsum([len(factor.labels) for factor in groups])[:-1]
    _mosaic(axes, table, [str(layer) for layer in range(1, run.space.layers + 1)], labels)
    for end in ends:
        axes.axhline(end - 0.5, color=MUTED, linewidth=1)
    axes.set_xlabel("layer")
    return figure


def skips(run: Run) -> Figure:
    """How often each skip was used among the last round's architectures, from (across) and to (down)."""
    last = _last_round(run)
    table = skip_shares(run.space, last)[2:, :-2]  # the first two layers take no skip, the last two give none
    count = run.space.layers - 2
    figure = new_figure(
        f"Skip connections, round {_last(run)} (% of {len(last)} samples)", min(1.3 + 0.26 * count, 4.4)
    )
    axes = figure.add_subplot()
    columns = [str(layer) for layer in range(1, count + 1)]
    _mosaic(axes, table, columns, [str(layer) for layer in range(3, count + 3)])
    axes.set_xlabel("from layer")
    axes.set_ylabel("to layer")
    return figure


def _last(run: Run) -> int:
    return int(run.history["round"].max())


def _last_round(run: Run) -> list[str]:
    """The architectures of the last round."""
    rows = run.history[run.history["round"] == _last(run)]
    return [str(architecture) for architecture in rows["architecture"]]


def _colours(factor: Factor) -> list[tuple[str, float]]:
    """A colour and an opacity for each value: the family's hue, fainter for each further member of it."""
    if factor.title != "operator":
        faint = np.linspace(0.25, 0.95, len(factor.labels))
        return [(BLUE, float(alpha)) for alpha in faint]
    seen: dict[str, int] = {}
    colours = []
    for label in factor.labels:
        name = family(label)
        colours.append((FAMILIES[name], max(0.92 - 0.42 * seen.get(name, 0), 0.2)))
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
    middles: NDArray[np.float64] = (edges[-1, :-1] + edges[-1, 1:]) / 2
    apart = min(LABEL / height, 1.0 / len(middles))
    for middle, place, label in zip(middles, spread(middles, apart), factor.labels, strict=True):
        axes.annotate(
            text.operator(label),
            xy=(1.0, float(middle)),
            xytext=(1.045, float(place)),
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


def spread(places: NDArray[np.float64], apart: float) -> NDArray[np.float64]:
    """Ascending places in [0, 1] moved as little as needed to lie `apart` or more from each other."""
    moved: NDArray[np.float64] = places.copy()
    for index in range(1, len(moved)):  # push up ...
        moved[index] = max(moved[index], moved[index - 1] + apart)
    limit = 1.0
    for index in reversed(range(len(moved))):  # ... and back down below the top
        moved[index] = min(moved[index], limit - apart / 2 if index == len(moved) - 1 else limit)
        limit = moved[index] - apart
    return moved


def _mosaic(axes: Axes, table: NDArray[np.float64], columns: list[str], rows: list[str]) -> None:
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
    axes.set_xticks(range(0, len(columns), every), columns[::every])
    step = -(-len(rows) // 16) if len(rows) > 16 else 1
    axes.set_yticks(range(0, len(rows), step), rows[::step])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)

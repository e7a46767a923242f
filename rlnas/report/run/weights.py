"""Figures of a gradient search: the weights of the alternatives of each choice, over rounds."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from rlnas.report import text
from rlnas.report.run.mosaics import mosaic
from rlnas.report.style import FAMILIES, GREY, INK, MUTED, family, new_figure
from rlnas.runs.reader import Run

BINARY = ("absent", "present")  # alternatives of a skip
MOST_ROWS, MOST_COLUMNS = 8, 5  # panels of one figure
IN_A_ROW = 4  # panels of layers
MOST_SHOWN = 12  # rounds of the figure of skips
STYLES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)))  # of the members of one family of operators
ARROW = "\N{RIGHTWARDS ARROW}"

_NAME = re.compile(r"(\D+)(\d+)/(\D+)(\d*)")  # normal3/from0, layer3/operator, layer3/skip1
_TITLES = {"normal": "Normal cell", "reduce": "Reduction cell", "cell": "Cell", "layer": "Operators"}


@dataclass(frozen=True, eq=False)
class Choice:
    """One choice of the relaxation, such as normal3/from0: kind, number, end and source of its name.

    rounds: (n,). weights: of each of `values` after each round, (n, values), in 0..1.
    """

    kind: str
    number: int
    end: str
    source: str
    values: tuple[str, ...]
    rounds: NDArray[np.int64]
    weights: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """Choices of one kind that are drawn together, by place (row, column); left_out: how many have no room."""

    title: str
    panels: dict[tuple[int, int], Choice]
    left_out: int


def choices(run: Run) -> list[Choice]:
    """Return the choices of a gradient search, in the order of the file; none for other controllers."""
    table = run.architecture_weights
    found = []
    for name, rows in table.groupby("choice", sort=False) if len(table) else ():
        match = _NAME.fullmatch(str(name))
        place = (str(name), 0, "", "") if match is None else (match[1], int(match[2]), match[3], match[4])
        values = tuple(str(value) for value in dict.fromkeys(rows["alternative"]))
        rounds = rows["round"].to_numpy(dtype=np.int64)[:: len(values)]
        weights = rows["weight"].to_numpy(dtype=float).reshape(len(rounds), len(values))
        found.append(Choice(*place, values, rounds, weights))
    return found


def parts(run: Run) -> list[Part]:
    """Return the cells, or the operators of a chain, of a gradient search."""
    kinds: dict[str, list[Choice]] = {}
    for choice in choices(run):
        if choice.values != BINARY:
            kinds.setdefault(choice.kind, []).append(choice)
    found = []
    for kind, members in kinds.items():
        panels = {}
        for number, choice in enumerate(members):
            edge = choice.end == "from"
            panels[(choice.number - 2, int(choice.source)) if edge else divmod(number, IN_A_ROW)] = choice
        shown = {place: one for place, one in panels.items() if place[0] < MOST_ROWS and place[1] < MOST_COLUMNS}
        found.append(Part(_TITLES.get(kind, kind.capitalize()), shown, len(panels) - len(shown)))
    return found


def skips_of(run: Run) -> list[Choice]:
    """Return the choices that are skips."""
    return [choice for choice in choices(run) if choice.values == BINARY]


def panels(run: Run, which: int) -> Figure:
    """The weights of the alternatives of each choice of a part, over rounds; one scale for all."""
    part = parts(run)[which]
    rows, columns = (1 + max(place[axis] for place in part.panels) for axis in (0, 1))
    names = list(dict.fromkeys(name for choice in part.panels.values() for name in choice.values))
    height = 0.8 + 0.85 * rows + 0.17 * -(-len(names) // 3)
    figure = new_figure(f"{part.title}: weights of the relaxation over rounds", height)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    styles = _styles(names)
    for place in np.ndindex(rows, columns):
        ax, choice = axes[place], part.panels.get(place)
        if choice is None:
            ax.set_visible(False)
            continue
        edge = f"{choice.source} {ARROW} {choice.number}"
        ax.set_title(edge if choice.end == "from" else f"{choice.kind} {choice.number}", fontsize=8, pad=2)
        ax.axhline(1 / len(choice.values), color=MUTED, linewidth=0.6, linestyle=(0, (1, 2)))
        marker = "." if len(choice.rounds) == 1 else ""
        for name, line in zip(choice.values, choice.weights.T, strict=True):
            colour, style = styles[name]
            ax.plot(choice.rounds, line, color=colour, linestyle=style, linewidth=1.2, marker=marker)
        below = any(row > place[0] and column == place[1] for row, column in part.panels)
        ax.tick_params(labelsize=7, pad=1.5, labelbottom=not below, labelleft=place[1] == 0)
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    handles = [
        Line2D([], [], color=styles[name][0], linestyle=styles[name][1], label=text.operator(name)) for name in names
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, handlelength=2.2)
    return figure


def _styles(names: list[str]) -> dict[str, tuple[str, Any]]:
    """Return a colour and a line style of each alternative: the family's colour, a style for each of its members."""
    seen: dict[str, int] = {}
    found: dict[str, tuple[str, Any]] = {}
    for name in names:
        kind = family(name)
        colour = INK if name == "zero" else FAMILIES.get(kind, GREY)
        found[name] = (colour, STYLES[-1] if name == "zero" else STYLES[seen.get(kind, 0) % len(STYLES)])
        seen[kind] = seen.get(kind, 0) + (name != "zero")
    return found


def skips(run: Run) -> Figure:
    """The weight of each skip (down) after rounds (across), in percent."""
    found = skips_of(run)
    shown = np.unique(np.linspace(0, len(found[0].rounds) - 1, MOST_SHOWN).round().astype(int))
    figure = new_figure("Skip connections: weights of the relaxation over rounds", min(1.1 + 0.2 * len(found), 5.4))
    axes = figure.add_subplot()
    table = np.stack([choice.weights[shown, 1] for choice in found])  # (skips, rounds)
    rounds = [str(number) for number in found[0].rounds[shown]]
    mosaic(axes, table, rounds, [f"{choice.source} {ARROW} {choice.number}" for choice in found])
    axes.set_xlabel("round")
    return figure

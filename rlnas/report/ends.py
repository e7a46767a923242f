"""Names at the ends of curves: moved as little as it takes that none covers another."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlnas.report.style import INK

SIZE, MOST_LETTERS = 7.5, 24  # of a name: points, letters


def name_ends(figure: Figure, axes: Axes, ends: Sequence[tuple[str, str, float, float]]) -> None:
    """Write each curve's name right of the axes, with a thin line to where the curve ends.

    ends: (name, colour, x, y) of each curve, in data coordinates. To be called last: it fixes no layout, but
    reads the present one.
    """
    figure.draw_without_rendering()  # so that the axes have their size
    step = SIZE * 1.3 * figure.dpi / 72 / axes.get_window_extent().height  # of one line, as a share of the axes
    to_axes = axes.transData + axes.transAxes.inverted()
    wanted = [min(max(float(to_axes.transform((x, y))[1]), 0.0), 1.0) for _, _, x, y in ends]
    for (name, colour, x, y), height in zip(ends, spread(wanted, step), strict=True):
        axes.annotate(
            shortened(name),
            xy=(x, y),
            xytext=(1.07, height),
            textcoords="axes fraction",
            fontsize=SIZE,
            color=INK,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.8,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def spread(wanted: Sequence[float], step: float) -> list[float]:
    """Places near the wanted ones, in their order, at least `step` apart; the least squares of the moves.

    Where the places fit into 0..1 they stay there. (Pool adjacent violators: places too close become a block
    around their mean.)
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    blocks: list[list[float]] = []  # sum of (wanted - place in the block), size
    for rank, index in enumerate(order):
        blocks.append([wanted[index] - rank * step, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, size = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += size
    highest = 1 - (len(order) - 1) * step
    places = [
        min(max(total / size, min(0.0, highest)), max(highest, 0.0)) for total, size in blocks for _ in range(int(size))
    ]
    result = [0.0] * len(order)
    for rank, index in enumerate(order):
        result[index] = places[rank] + rank * step
    return result


def shortened(label: str) -> str:
    """A long label without its middle; labels of one controller differ at their end."""
    if len(label) <= MOST_LETTERS:
        return label
    name, _, rest = label.partition(" ")
    name = name[:10]
    return f"{name} \N{HORIZONTAL ELLIPSIS}{rest[-(MOST_LETTERS - len(name) - 2) :]}"

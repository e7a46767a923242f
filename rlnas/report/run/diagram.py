"""The parts of an architecture (`Space.diagrams`) as SVG: cells, stages and motifs as graphs, programs as listings.

An arrow with a label, such as the operator of an edge, is drawn as a small box between its ends.
"""

from itertools import pairwise

from markupsafe import escape

from rlnas.report.run.layered import Placed, place
from rlnas.report.style import CARD, FAMILIES, FONT, GREY, INK, MUTED, family
from rlnas.report.text import operator
from rlnas.spaces.diagram import Diagram

CHARACTER, SMALL = 7.3, 6.6  # px of a letter at 13 and 12 px, generous: the browser chooses the font
BOX, PILL = 28, 22  # px: heights
ACROSS, DOWN, MARGIN = 18, 24, 10
TITLE = 24
LINE, MONOSPACED = 18, 7.9  # px of a line of a listing, and of its letters


def draw_diagram(diagram: Diagram) -> str:
    """The diagram as an SVG file, with its title."""
    return _listing(diagram) if diagram.lines else _graph(diagram)


def _graph(diagram: Diagram) -> str:
    numbers: dict[str, int] = {}
    labels: list[tuple[str, str, bool]] = []  # label, operator, whether an arrow's
    edges: list[tuple[int, int]] = []
    leading = {box.name: [arrow for arrow in diagram.arrows if arrow.target == box.name] for box in diagram.boxes}
    for box in diagram.boxes:  # labels of arrows before their target, so that numbers stay topological
        for arrow in leading[box.name]:
            if arrow.label:
                edges.append((numbers[arrow.source], len(labels)))
                named = arrow.label == arrow.operator  # as a person reads it
                labels.append((operator(arrow.label) if named else arrow.label, arrow.operator, True))
        ends = [edge[1] for edge in edges[len(edges) - sum(bool(arrow.label) for arrow in leading[box.name]) :]]
        numbers[box.name] = len(labels)
        labels.append((box.label, box.operator, False))
        edges += [(end, numbers[box.name]) for end in ends]
        edges += [(numbers[arrow.source], numbers[box.name]) for arrow in leading[box.name] if not arrow.label]
    widths = [max(34.0, len(label) * (SMALL if small else CHARACTER) + 18) for label, _, small in labels]
    heights = [float(PILL if small else BOX) for _, _, small in labels]
    near = [number for number, (_, _, small) in enumerate(labels) if small]
    placed = place(widths, heights, edges, across=ACROSS, down=DOWN, near=near)
    ends_in_label = [labels[target][2] for _, target in edges]
    parts = [
        _edge(placed, number, heights[source] / 2, heights[target] / 2, head=not ends_in_label[number])
        for number, (source, target) in enumerate(edges)
    ]
    parts += [
        _box(label, kind, placed.centres[number], widths[number], heights[number], small=small)
        for number, (label, kind, small) in enumerate(labels)
    ]
    width = max(placed.width, len(diagram.title) * CHARACTER) + 2 * MARGIN
    return _svg(diagram.title, parts, width, placed.height + TITLE + 2 * MARGIN, FONT)


def _listing(diagram: Diagram) -> str:
    width = max([len(diagram.title) * CHARACTER, *(len(line) * MONOSPACED for line in diagram.lines)]) + 2 * MARGIN
    parts = [
        f'<text x="0" y="{LINE * (number + 0.75):g}" xml:space="preserve" style="fill: {INK}; '
        f'font: 13px ui-monospace, Menlo, Consolas, monospace">{escape(line)}</text>'
        for number, line in enumerate(diagram.lines)
    ]
    return _svg(diagram.title, parts, width, LINE * len(diagram.lines) + TITLE + 2 * MARGIN, FONT)


def _svg(title: str, parts: list[str], width: float, height: float, font: str) -> str:
    width, height = round(width), round(height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'style="font: 13px {font}; background: {CARD}">\n'
        f'<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" style="fill: {MUTED}"/></marker></defs>\n'
        f'<text x="{MARGIN}" y="{MARGIN + 10}" style="fill: {INK}; font-weight: 600">{escape(title)}</text>\n'
        f'<g transform="translate({MARGIN} {MARGIN + TITLE})">\n' + "\n".join(parts) + "\n</g>\n</svg>\n"
    )


def _edge(placed: Placed, number: int, start: float, end: float, *, head: bool) -> str:
    """A smooth line through the edge's points. start, end: half the heights of the boxes that it joins, in px."""
    (x, y), *between, (last_x, last_y) = placed.routes[number]
    points = [(x, y + start), *between, (last_x, last_y - end)]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (left, top), (right, bottom) in pairwise(points):
        middle = (top + bottom) / 2
        path += f"C{left:.1f} {middle:.1f} {right:.1f} {middle:.1f} {right:.1f} {bottom:.1f}"
    marker = ' marker-end="url(#arrow)"' if head else ""
    return f'<path class="edge" d="{path}" style="fill: none; stroke: {MUTED}; stroke-width: 1.4"{marker}/>'


def _box(label: str, kind_of: str, centre: tuple[float, float], width: float, height: float, *, small: bool) -> str:
    kind = family(kind_of)
    colour = FAMILIES.get(kind, GREY)
    x, y = centre[0] - width / 2, centre[1] - height / 2
    radius = height / 2 if small else 6
    style = f"fill: {colour}; fill-opacity: 0.2; stroke: {colour}; stroke-width: 1.5"
    style += {"dil_conv": "; stroke-dasharray: 6 3", "identity": "; stroke-dasharray: 2 3"}.get(kind, "")
    rect = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:g}" rx="{radius:g}"'
    size = "; font-size: 12px" if small else ""
    return (
        f'{rect} style="fill: {CARD}"/>{rect} style="{style}"/>'
        f'<text x="{centre[0]:.1f}" y="{centre[1] + 4.5:.1f}" text-anchor="middle" style="fill: {INK}{size}">'
        f"{escape(label)}</text>"
    )

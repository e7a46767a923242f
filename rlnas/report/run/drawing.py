"""A network as a drawing: a row for each layer of its graph, top to bottom, with arcs past the rows between.

Reads Graph alone, so that any directed acyclic graph can be drawn. Nodes are grouped by their layer; of layer 0,
what depends on no layer is the stem and everything else the head. In a graph without layers each node is a row.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import escape

from rlnas.networks.graph import INPUT, Cost, Graph, Node, cost
from rlnas.networks.operators import STRUCTURAL
from rlnas.report import text
from rlnas.report.style import CARD, FAMILIES, FONT, GREY, INK, LINE, MUTED, family

BOX, PITCH, LEFT, TOP = 30, 50, 104, 8  # px: height of a box, from box to box, room for sizes, margin
CHARACTER = 7.3  # px of a letter at 13 px, generous: the browser chooses the font
MOST_LETTERS = 44  # of a box
RESIZED = ("pad", "max_reduce")  # other sizes with the channels of the layer before
NAMES = {"stem": "stem: conv 3\N{MULTIPLICATION SIGN}3", "head": "mean, linear"}


@dataclass(frozen=True)
class Row:
    """A box of the drawing and a line of the table.

    number: of the layer, None for image, stem and head. operators: those of its nodes, without joints and norms.
    detail: filters and stride where a box must say them. channels, size: of its output, (height, width) in pixels.
    sources: the rows whose output it reads, counted from the image's row, 0. last: whether it gives the scores.
    """

    number: int | None
    operators: tuple[str, ...]
    label: str
    detail: str
    channels: int
    size: tuple[int, int]
    params: int
    flops: int
    sources: tuple[int, ...]
    last: bool = False

    @property
    def output(self) -> str:
        """Channels, height x width."""
        return f"{self.channels} classes" if self.last else f"{self.channels}, {_size(self.size)}"


def rows(graph: Graph) -> list[Row]:
    """The image, then each group of nodes; what reduces a layer's output for later ones belongs to that layer."""
    groups = _groups(graph)
    row_of = {index: place for place, group in enumerate(groups, start=1) for index in group} | {INPUT: 0}
    costs = _costs(graph)
    layered = any(node.layer for node in graph.nodes)
    detailed = _uneven(graph)
    found = [Row(None, ("image",), "image", "", graph.channels, graph.size, 0, 0, ())]
    for place, group in enumerate(groups, start=1):
        nodes = [graph.nodes[index] for index in group]
        sources = {row_of[source] for node in nodes for source in node.inputs} - {place}
        output = [node for node in nodes if node.operator != "reduce"][-1:] or nodes[-1:]
        names = _operators(nodes)
        found.append(
            Row(
                (nodes[0].layer if layered else place) or None,
                names,
                _label(names),
                _detail(nodes) if detailed and nodes[0].layer else "",
                output[0].channels,
                output[0].size,
                sum(costs[index].params for index in group),
                sum(costs[index].flops for index in group),
                tuple(sorted(sources)),
                last=len(graph.nodes) - 1 in group,
            )
        )
    return found


def _groups(graph: Graph) -> list[list[int]]:
    """The nodes of each row, rows in the order of their first nodes."""
    if not any(node.layer for node in graph.nodes):
        return [[index] for index in range(len(graph.nodes))]
    groups: dict[int, list[int]] = {}
    stem: set[int] = {INPUT}
    for index, node in enumerate(graph.nodes):
        layer = node.layer
        if layer == 0 and stem.issuperset(node.inputs):
            stem.add(index)
        elif layer == 0:
            layer = -1  # the head
        groups.setdefault(layer, []).append(index)
    return list(groups.values())


def _operators(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The chosen operators of a row; a convolution split by source counts once, joints only where nothing else is."""
    chosen = [node.operator for node in nodes if node.operator not in STRUCTURAL]
    whole = [name for name in chosen if not name.startswith("raw_")]
    return tuple(whole or dict.fromkeys(name.removeprefix("raw_") for name in chosen) or [nodes[0].operator])


def _label(names: Sequence[str]) -> str:
    """The operators in words."""
    counts = Counter(NAMES.get(name) or text.operator(name) for name in names)
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in counts.items())


def _detail(nodes: Sequence[Node]) -> str:
    """Filters, and the stride if there is one."""
    down, right = max((node.stride for node in nodes if node.operator not in STRUCTURAL), default=(1, 1))
    strided = f", stride {down}\N{MULTIPLICATION SIGN}{right}" if (down, right) != (1, 1) else ""
    return f", {nodes[-1].channels} filters{strided}"


def _uneven(graph: Graph) -> bool:
    """Whether layers of one resolution differ in their channels, so that a box must say them."""
    sizes = {(node.size, node.channels) for node in graph.nodes[:-1] if node.layer and node.operator not in RESIZED}
    return len(sizes) > len({size for size, _ in sizes})


def _costs(graph: Graph) -> list[Cost]:
    """What each node costs: by how much it raises the cost of the graph up to it."""
    total = [cost(Graph(graph.nodes[:end], graph.channels, graph.size)) for end in range(len(graph.nodes) + 1)]
    return [Cost(after.params - before.params, after.flops - before.flops) for before, after in pairwise(total)]


def is_chain(table: Sequence[Row]) -> bool:
    """Whether each row reads the row above it, so that every other edge is a skip connection."""
    return all(place - 1 in row.sources for place, row in enumerate(table) if place)


def skips(table: Sequence[Row]) -> list[tuple[int, int]]:
    """The edges that pass over rows, as (from row, to row)."""
    return [(source, place) for place, row in enumerate(table) for source in row.sources if source != place - 1]


def name(table: Sequence[Row], place: int) -> str:
    """What a row is called: its layer's number, or `image`, `stem`, `head`."""
    row = table[place]
    return str(row.number) if row.number else "image" if place == 0 else "head" if row.last else "stem"


def draw_architecture(table: Sequence[Row]) -> str:
    """The drawing as an SVG file. Operator families differ in colour and in the form of their boxes."""
    texts = [_box_text(row) for row in table]
    letters = max(len(words) + (4 if row.number else 0) for row, words in zip(table, texts, strict=True))
    box = max(150, round(letters * CHARACTER) + 24)
    arcs = skips(table)
    longest = max((abs(target - source) for source, target in arcs), default=0)
    bulge = min(20.0, 260 / longest) if longest else 0.0  # px that an arc stands out for each row it spans
    width = LEFT + box + 12 + round(14 + bulge * longest if longest else 0)
    height = TOP * 2 + PITCH * (len(table) - 1) + BOX
    middles = [TOP + BOX / 2 + PITCH * index for index in range(len(table))]
    parts = [_sizes(table, middles, width)]
    parts += [_step(table, index, middles, LEFT + box / 2) for index in range(1, len(table))]
    for source, target in arcs:
        title = f"from {name(table, source)} to {name(table, target)}"
        parts.append(_arc(title, middles[source], middles[target], LEFT + box, 14 + bulge * abs(target - source)))
    for row, words, middle in zip(table, texts, middles, strict=True):
        parts.append(_box(row, words, middle, box))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'style="font: 13px {FONT}; background: {CARD}">\n'
        f'<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" style="fill: {MUTED}"/></marker></defs>\n'
        + "\n".join(part for part in parts if part)
        + "\n</svg>\n"
    )


def _box_text(row: Row) -> str:
    words = row.label + row.detail
    if row.operators == ("image",):
        words = f"image: {_size(row.size)}, {row.channels} channel{'s' if row.channels > 1 else ''}"
    elif row.last:
        words = f"{row.label}: {row.channels} classes"
    return words if len(words) <= MOST_LETTERS else words[: MOST_LETTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}\N{MULTIPLICATION SIGN}{size[1]}"


def _sizes(table: Sequence[Row], middles: list[float], width: int) -> str:
    """A band behind each stretch of layers of one resolution, with its size at the left."""
    parts = []
    inner = list(range(1, len(table) - 1))
    start = 0
    while start < len(inner):
        end = start
        while end + 1 < len(inner) and table[inner[end + 1]].size == table[inner[start]].size:
            end += 1
        stretch = [table[index] for index in inner[start : end + 1]]
        top = middles[inner[start]] - PITCH / 2 + 2
        size = stretch[0].size
        parts.append(
            f'<rect x="1" y="{top:g}" width="{width - 2}" height="{PITCH * len(stretch) - 4}" rx="6" '
            f'style="fill: {LINE}; fill-opacity: 0.3"/>'
            f'<text x="12" y="{top + 20:g}" style="fill: {INK}; font-weight: 600">{_size(size)}</text>'
        )
        channels = {row.channels for row in stretch}
        if len(channels) == 1:
            plural = "s" if stretch[0].channels > 1 else ""
            label = f"{stretch[0].channels} channel{plural}"
            parts.append(f'<text x="12" y="{top + 37:g}" style="fill: {MUTED}; font-size: 12px">{label}</text>')
        start = end + 1
    return "\n".join(parts)


def _step(table: Sequence[Row], index: int, middles: list[float], x: float) -> str:
    """The arrow from the box above into a box that reads it, with a mark where the resolution falls."""
    above, row = table[index - 1], table[index]
    if index - 1 not in row.sources:
        return ""
    top, bottom = middles[index - 1] + BOX / 2, middles[index] - BOX / 2
    line = (
        f'<line x1="{x:g}" y1="{top:g}" x2="{x:g}" y2="{bottom:g}" style="stroke: {MUTED}; stroke-width: 1.5" '
        'marker-end="url(#arrow)"/>'
    )
    if row.last or above.size == row.size:
        return line
    if any(after > before for before, after in zip(above.size, row.size, strict=True)):
        return line + _mark("padded to the skips", x, (top + bottom) / 2)
    down, right = (-(-before // after) for before, after in zip(above.size, row.size, strict=True))
    factor = f"{down}" if down == right else f"{down}\N{MULTIPLICATION SIGN}{right}"
    return line + _mark(f"resolution \N{DIVISION SIGN} {factor}", x, (top + bottom) / 2)


def _mark(words: str, x: float, middle: float) -> str:
    return f'<text x="{x + 9:g}" y="{middle + 4:g}" style="fill: {MUTED}; font-size: 11px">{words}</text>'


def _arc(title: str, start: float, end: float, x: float, out: float) -> str:
    """An edge past rows: leaves below the middle of its source's right side, enters above that of its target's."""
    start, end = start + 6, end - 6
    reach = x + out * 4 / 3  # a cubic's middle lies three quarters out
    return (
        f'<path class="skip" d="M{x:g} {start:g}C{reach:.1f} {start:g} {reach:.1f} {end:g} {x + 1:g} {end:g}" '
        f'style="fill: none; stroke: {MUTED}; stroke-width: 1.4" marker-end="url(#arrow)">'
        f"<title>{title}</title></path>"
    )


def _box(row: Row, words: str, middle: float, width: int) -> str:
    kind = family(row.operators[0]) if row.number else ""
    colour = FAMILIES.get(kind, GREY)
    top = middle - BOX / 2
    style = f"fill: {colour}; fill-opacity: 0.2; stroke: {colour}; stroke-width: 1.6"
    back = f"fill: {CARD}"
    if kind == "max_pool":
        cut, right, bottom = 11, LEFT + width, top + BOX
        corners = (
            f"{LEFT},{middle:g} {LEFT + cut},{top:g} {right - cut},{top:g} "
            f"{right},{middle:g} {right - cut},{bottom:g} {LEFT + cut},{bottom:g}"
        )
        shape = f'<polygon points="{corners}" style="{{}}"/>'
    else:
        radius = {"avg_pool": BOX / 2, "": 8, "identity": 8}.get(kind, 2)
        shape = f'<rect x="{LEFT}" y="{top:g}" width="{width}" height="{BOX}" rx="{radius:g}" style="{{}}"/>'
    style += {"dil_conv": "; stroke-dasharray: 6 3", "identity": "; stroke-dasharray: 2 3"}.get(kind, "")
    parts = [shape.format(back), shape.format(style)]
    if kind == "sep_conv":  # a depthwise and a pointwise convolution: a double edge
        for x in (LEFT + 4, LEFT + width - 4):
            edge = f'x1="{x}" y1="{top:g}" x2="{x}" y2="{top + BOX:g}"'
            parts.append(f'<line {edge} style="stroke: {colour}; stroke-width: 1.2"/>')
    y = f'y="{middle + 4.5:g}"'
    if row.number:
        number_style = f"fill: {MUTED}; font-weight: 600"
        parts.append(f'<text x="{LEFT + 34}" {y} text-anchor="end" style="{number_style}">{row.number}</text>')
        parts.append(f'<text x="{LEFT + 44}" {y} style="fill: {INK}">{escape(words)}</text>')
    else:
        middle_x = f'x="{LEFT + width / 2:g}"'
        parts.append(f'<text {middle_x} {y} text-anchor="middle" style="fill: {INK}">{escape(words)}</text>')
    return "".join(parts)

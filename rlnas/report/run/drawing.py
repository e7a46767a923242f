"""The found architecture as a graph: the main path straight down, skip connections as arcs at its right."""

from dataclasses import dataclass
from html import escape
from itertools import pairwise

from rlnas.networks.graph import Graph, cost
from rlnas.report import text
from rlnas.report.style import CARD, FAMILIES, FONT, GREY, INK, LINE, MUTED, family
from rlnas.spaces import ChainSpace

BOX, PITCH, LEFT, TOP = 30, 50, 104, 8  # px: height of a box, from box to box, room for sizes, margin
CHARACTER = 7.3  # px of a letter at 13 px, generous: the browser chooses the font


@dataclass(frozen=True)
class Row:
    """A box of the drawing and a line of the table.

    number: of the layer, None for image, stem and head. size: (height, width) in pixels, None for the head.
    skips: layers it takes a skip from.
    """

    number: int | None
    operator: str
    label: str
    channels: int
    size: tuple[int, int] | None
    params: int
    skips: tuple[int, ...]


def rows(space: ChainSpace, architecture: tuple[int, ...], graph: Graph) -> list[Row]:
    """Image, stem if there is one, layers, head; parameters of a reduction count with the layer it reduces."""
    params = _params(graph)
    names = space.operator_labels(architecture)
    sources: dict[int, list[int]] = {}
    for source, layer in space.skips(architecture):
        sources.setdefault(layer, []).append(source)
    result = [Row(None, "image", "image", graph.channels, graph.size, 0, ())]
    if graph.nodes[0].operator == "stem":
        stem = graph.nodes[0]
        stem_params = sum(params[index] for index, node in enumerate(graph.nodes[:-1]) if node.layer == 0)
        label = "stem: conv 3\N{MULTIPLICATION SIGN}3"
        result.append(Row(None, "stem", label, stem.channels, stem.size, stem_params, ()))
    for number, name in enumerate(names, start=1):
        own = [index for index, node in enumerate(graph.nodes) if node.layer == number]
        last = [graph.nodes[index] for index in own if graph.nodes[index].operator != "reduce"][-1]
        total = sum(params[index] for index in own)
        skips = tuple(sources.get(number, []))
        result.append(Row(number, name, text.operator(name), last.channels, last.size, total, skips))
    head = graph.nodes[-1]
    result.append(Row(None, "head", "mean, linear", head.channels, None, params[-1], ()))
    return result


def _params(graph: Graph) -> list[int]:
    """Parameters of each node: by how much each one raises the cost of the graph up to it."""
    total = [cost(Graph(graph.nodes[:end], graph.channels, graph.size)) for end in range(len(graph.nodes) + 1)]
    return [after.params - before.params for before, after in pairwise(total)]


def draw_architecture(table: list[Row]) -> str:
    """The drawing as an SVG file. Operator families differ in colour and in the form of their boxes."""
    texts = [_box_text(row) for row in table]
    letters = max(len(words) + (4 if row.number else 0) for row, words in zip(table, texts, strict=True))
    box = max(150, round(letters * CHARACTER) + 24)
    spans = [row.number - source for row in table if row.number for source in row.skips]
    longest = max(spans, default=0)
    bulge = min(20.0, 260 / longest) if longest else 0.0  # px that an arc stands out for each layer it spans
    width = LEFT + box + 12 + round(14 + bulge * longest if longest else 0)
    height = TOP * 2 + PITCH * (len(table) - 1) + BOX
    middles = [TOP + BOX / 2 + PITCH * index for index in range(len(table))]
    parts = [_sizes(table, middles, width)]
    parts += [_step(table, index, middles, LEFT + box / 2) for index in range(1, len(table))]
    at = {row.number: middle for row, middle in zip(table, middles, strict=True) if row.number}
    for row in table:
        for source in row.skips:
            assert row.number is not None
            parts.append(_arc(source, row.number, at, LEFT + box, 14 + bulge * (row.number - source)))
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
    if row.size is None:
        return f"{row.label}: {row.channels} classes"
    if row.operator == "image":
        return f"image: {_size(row.size)}, {row.channels} channel{'s' if row.channels > 1 else ''}"
    return row.label


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}\N{MULTIPLICATION SIGN}{size[1]}"


def _sizes(table: list[Row], middles: list[float], width: int) -> str:
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
        assert size is not None
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


def _step(table: list[Row], index: int, middles: list[float], x: float) -> str:
    """The arrow of the main path into a box, with a mark where the resolution falls."""
    above, row = table[index - 1], table[index]
    top, bottom = middles[index - 1] + BOX / 2, middles[index] - BOX / 2
    line = (
        f'<line x1="{x:g}" y1="{top:g}" x2="{x:g}" y2="{bottom:g}" style="stroke: {MUTED}; stroke-width: 1.5" '
        'marker-end="url(#arrow)"/>'
    )
    if above.size is None or row.size is None or above.size == row.size:
        return line
    if any(after > before for before, after in zip(above.size, row.size, strict=True)):
        return line + _mark("padded to the skips", x, (top + bottom) / 2)
    down, right = (-(-before // after) for before, after in zip(above.size, row.size, strict=True))
    factor = f"{down}" if down == right else f"{down}\N{MULTIPLICATION SIGN}{right}"
    return line + _mark(f"resolution \N{DIVISION SIGN} {factor}", x, (top + bottom) / 2)


def _mark(words: str, x: float, middle: float) -> str:
    return f'<text x="{x + 9:g}" y="{middle + 4:g}" style="fill: {MUTED}; font-size: 11px">{words}</text>'


def _arc(source: int, target: int, at: dict[int, float], x: float, out: float) -> str:
    """A skip: leaves below the middle of its source's right side, enters above the middle of its target's."""
    start, end = at[source] + 6, at[target] - 6
    reach = x + out * 4 / 3  # a cubic's middle lies three quarters out
    return (
        f'<path class="skip" d="M{x:g} {start:g}C{reach:.1f} {start:g} {reach:.1f} {end:g} {x + 1:g} {end:g}" '
        f'style="fill: none; stroke: {MUTED}; stroke-width: 1.4" marker-end="url(#arrow)">'
        f"<title>skip from layer {source} to layer {target}</title></path>"
    )


def _box(row: Row, words: str, middle: float, width: int) -> str:
    kind = family(row.operator) if row.number else ""
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

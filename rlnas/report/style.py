"""The look of all figures, and how an SVG becomes part of the page.

Figures are drawn in the light theme's colours. A figure's own file keeps them; in the page each of these
colours is replaced by a CSS variable, so that light and dark share one drawing and text stays text.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

INK, MUTED, LINE, CARD = "#1f2328", "#59636e", "#d1d9e0", "#ffffff"
# Okabe & Ito's palette (2008), distinguishable with colour blindness, without its black.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, GREY = "#cc79a7", "#56b4e9", "#8a939c"

# light colour -> (CSS variable, colour in the dark theme)
THEME = {
    INK: ("ink", "#e6edf3"),
    MUTED: ("muted", "#9aa6b2"),
    LINE: ("line", "#3d444d"),
    CARD: ("card", "#161b22"),
    BLUE: ("blue", "#4aa3e0"),
    ORANGE: ("orange", "#f0b429"),
    GREEN: ("green", "#2bbf94"),
    RED: ("red", "#f4844c"),
    PURPLE: ("purple", "#dd9cc0"),
    SKY: ("sky", "#8fd0f7"),
    GREY: ("grey", "#8a939c"),
}

FAMILIES = {
    "conv": BLUE,
    "sep_conv": GREEN,
    "dil_conv": PURPLE,
    "avg_pool": ORANGE,
    "max_pool": RED,
    "identity": GREY,
}

WIDTH = 4.8  # inches of a figure: about a column of the page, so that its text keeps its size there
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, and is wider than what browsers put in its place
    "font.size": 9,
    "axes.titlesize": 9,
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": CARD,
    "savefig.facecolor": CARD,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
    "svg.fonttype": "none",
}


@contextmanager
def plain_style(name: str) -> Iterator[None]:
    """Draw in this style, whatever the user's matplotlibrc says; element ids depend on `name` alone."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = {**RC, "svg.hashsalt": name}
        matplotlib.rcParams.update(settings)
        yield


def new_figure(title: str, height: float = 2.9) -> Figure:
    """An empty figure of the page's column width, in inches, with its title at the left."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def to_svg(figure: Figure) -> str:
    """The figure as an SVG file, without a date."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"'DejaVu Sans'", lambda _: FONT, buffer.getvalue())
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def inline(svg: str, name: str, label: str, style: str = "") -> Markup:
    """The SVG as an element of the page: its own ids, the page's colours, a label for screen readers."""
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = body.replace("xlink:href", "href")
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(url\(|href=")#', rf"\1#{name}-", body)
    body = re.sub(r"#[0-9a-f]{6}\b", lambda match: _variable(match[0]), body)
    box = re.search(r'viewBox="[\d.\s-]+"', body)
    assert box is not None
    wide = f' style="{style}"' if style else ""
    root = f'<svg class="plot" {box[0]} role="img" aria-label="{escape(label)}"{wide}>'
    return Markup(re.sub(r"<svg[^>]*>", lambda _: root, body, count=1).strip())


def _variable(colour: str) -> str:
    return f"var(--{THEME[colour][0]})" if colour in THEME else colour


def family(operator: str) -> str:
    """The operator's name without its kernel size if it has a colour: `sep_conv` of `sep_conv3x3`; else empty."""
    name = re.sub(r"\d+x\d+$", "", operator.removeprefix("plain_"))
    return name if name in FAMILIES else ""

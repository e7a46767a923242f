"""comparison.html: the answer first, then the numbers, the curves, and what they rest on."""

from collections.abc import Iterable, Sequence
from html import escape

from rlnas.report.comparison import tables, words
from rlnas.report.comparison.figures import Plot, line
from rlnas.report.comparison.reading import reading
from rlnas.report.comparison.results import Comparison
from rlnas.report.style import THEME, inline
from rlnas.report.template import page
from rlnas.report.text import NONE

DASH_ARRAYS = {"-": "", "--": "6 3", ":": "2 2", "-.": "7 2 2 2"}


def write_page(comparison: Comparison, plots: Sequence[Plot]) -> str:
    """The document; the same comparison gives the same text."""
    sections = [
        _headline(comparison),
        _numbers(comparison),
        _curves(plots),
        _tests(comparison),
        _protocol(comparison),
        _left_out(comparison),
        _again(comparison),
    ]
    return page("Comparison of controllers", "\n".join(section for section in sections if section))


def _headline(comparison: Comparison) -> str:
    warned = "".join(f'<p class="banner" role="note">{escape(warning)}.</p>\n' for warning in comparison.warnings)
    n = len(comparison.runs)
    told = f"{n} runs of {len(comparison.groups)} controllers" if n > 1 else "One run"
    space = escape(str(comparison.runs[0].result["space"]["name"]))
    return (
        f'<header>\n<p class="note">Comparison of controllers: {told} in the space {space}</p>\n'
        f"<h1>{escape(words.headline(comparison))}</h1>\n<p>{escape(' '.join(words.others(comparison)))}</p>\n"
        f"</header>\n{warned}"
    )


def _numbers(comparison: Comparison) -> str:
    keys = {group.label: _key(line(group)) for group in comparison.groups}
    rows = [
        (f"{keys[label]}{escape(label)}", *(escape(cell).replace(" (", "<br>(") for cell in cells))
        for label, *cells in tables.summary(comparison)
    ]
    numbers = range(1, len(tables.head(comparison)) - 1)
    table = _table(tables.head(comparison), rows, numbers, caption=tables.caption(comparison))
    return f'<section>\n<h2>What each reached</h2>\n<div class="card scroll">{table}</div>\n</section>'


def _key(style: tuple[str, str]) -> str:
    """A short piece of a group's line, as in the figures."""
    colour, dashes = style
    array = f' stroke-dasharray="{DASH_ARRAYS[dashes]}"' if DASH_ARRAYS[dashes] else ""
    return (
        '<svg width="26" height="8" viewBox="0 0 26 8" aria-hidden="true" style="margin-right:8px">'
        f'<path d="M0 4h26" stroke="var(--{THEME[colour][0]})" stroke-width="2.5" fill="none"{array}/></svg>'
    )


def _curves(plots: Sequence[Plot]) -> str:
    drawings = "\n".join(
        f'<figure class="card">{inline(plot.svg, plot.name, escape(plot.alt, quote=True))}\n'
        f"<figcaption>{escape(plot.caption)}</figcaption></figure>"
        for plot in plots
    )
    return f'<section>\n<h2>How they got there</h2>\n<div class="figures">\n{drawings}\n</div>\n</section>'


def _tests(comparison: Comparison) -> str:
    last = f"{comparison.checkpoints[-1]:,}"
    parts = []
    for baseline in comparison.baselines:
        rows = tables.tests(comparison, baseline)
        place = f"at {last} architectures" if comparison.tabular else "by test accuracy of the retrained networks"
        parts.append(f"<h3>Against {escape(words.spoken(baseline))}, {place}</h3>")
        parts.append(_test_table([row for row in rows if row[1] in (last, NONE)]))
        if len(comparison.checkpoints) > 1:
            parts.append(f"<details>\n<summary>At all checkpoints</summary>\n{_test_table(rows)}\n</details>")
    if not parts:
        return ""
    body = "\n".join(parts)
    return f'<section>\n<h2>How sure it is</h2>\n<p class="note">Marked: better.</p>\n{body}\n</section>'


def _test_table(rows: Sequence[Sequence[str]]) -> str:
    chosen = [place for place, row in enumerate(rows) if row[-1] == "better"]
    cells = [tuple(escape(cell) for cell in row) for row in rows]
    table = _table(tables.TEST_HEAD, cells, range(1, len(tables.TEST_HEAD) - 1), chosen=chosen)
    return f'<div class="card scroll">{table}</div>'


def _protocol(comparison: Comparison) -> str:
    rows = [(escape(name), escape(sentence)) for name, sentence in words.protocol(comparison)]
    read = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in reading(comparison))
    card = _text_card(_table(("what", "as it was"), rows, ()))
    return f"<section>\n<h2>Protocol</h2>\n{card}\n<h3>How to read it</h3>\n{read}\n</section>"


def _left_out(comparison: Comparison) -> str:
    if not comparison.left_out:
        return ""
    rows = [tuple(escape(cell) for cell in row) for row in words.left_out(comparison)]
    card = _text_card(_table(("run", "controller", "reason"), rows, ()))
    return f"<section>\n<h2>Runs left out</h2>\n{card}\n</section>"


def _again(comparison: Comparison) -> str:
    runs = "\n".join(words.run_commands(comparison))
    runs_part = f'<h3>The runs</h3>\n<pre class="wrap"><code>{escape(runs)}</code></pre>' if runs else ""
    rows = [(escape(name), escape(text)) for name, text in words.versions(comparison)]
    card = _text_card(_table(("of", "versions"), rows, ()))
    return (
        f'<section>\n<h2>Again</h2>\n<h3>The comparison</h3>\n<pre class="wrap"><code>'
        f"{escape(words.command(comparison))}</code></pre>\n{runs_part}\n"
        f"<h3>Versions</h3>\n{card}\n</section>"
    )


def _text_card(table: str) -> str:
    """A table of sentences: a checksum or a path may break anywhere, so that a narrow screen shows all."""
    return f'<div class="card scroll" style="overflow-wrap: anywhere">{table}</div>'


def _table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Iterable[int],
    *,
    caption: str = "",
    chosen: Iterable[int] = (),
) -> str:
    """A table; cells are HTML. numbers: columns set right. chosen: rows marked. The first column names the row."""
    right, marked = set(numbers), set(chosen)
    kinds = ['class="number"' if column in right else "" for column in range(len(head))]
    heads = "".join(f'<th scope="col" {kind}>{escape(name)}</th>' for name, kind in zip(head, kinds, strict=True))
    parts = ["<table>", f"<caption><span>{escape(caption)}</span></caption>" if caption else ""]
    parts.append(f"<thead><tr>{heads}</tr></thead>\n<tbody>")
    for place, (first, *rest) in enumerate(rows):
        cells = "".join(f"<td {kind}>{cell}</td>" for cell, kind in zip(rest, kinds[1:], strict=True))
        opening = '<tr class="chosen">' if place in marked else "<tr>"
        parts.append(f'{opening}<th scope="row" class="whole">{first}</th>{cells}</tr>')
    return "\n".join(part for part in [*parts, "</tbody>\n</table>"] if part)

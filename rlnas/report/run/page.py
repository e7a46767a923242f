"""The report's sections as HTML, in the order in which they are read."""

from collections.abc import Iterable
from html import escape
from typing import Any

from rlnas.config.plain_data import flatten
from rlnas.config.quoting import shown
from rlnas.report import text
from rlnas.report.command import EPOCHS, load_code, retrain_command, without_home
from rlnas.report.run.drawing import Row
from rlnas.report.run.figures import Plot
from rlnas.report.style import inline
from rlnas.report.template import page
from rlnas.runs.reader import Run, number

MOST_CANDIDATES = 50


def write_page(run: Run, drawing: tuple[str, list[Row]] | None, plots: list[Plot]) -> str:
    """The document. drawing: the architecture's SVG and its rows, None if nothing was found."""
    title = f"{run.result.get('name', run.folder.name)}: architecture search report"
    sections = [
        _headline(run),
        _architecture(run, *drawing) if drawing else "",
        _figures(plots),
        _candidates(run),
        _again(run),
        _configuration(run),
    ]
    return page(escape(title), "\n".join(section for section in sections if section))


# -- what was found ------------------------------------------------------------------------------------


def _headline(run: Run) -> str:
    result = run.result
    note = result.get("dataset_note")
    banner = ""
    if note:
        warning = "<strong>Not the data that was asked for.</strong>"
        banner = f'<p class="banner" role="alert">{warning} {escape(str(note).rstrip("."))}.</p>\n'
    return (
        f"<header>\n<h1>{escape(str(result.get('name', run.folder.name)))}: architecture search</h1>\n{banner}"
        f"<p>{_summary(run)}</p>\n{_data_notes(run)}</header>\n"
        f'<section aria-label="Result in numbers">\n<dl class="tiles">\n{_tiles(run)}\n</dl>\n'
        '<p class="note">An accuracy with shared weights is only a ranking signal: all architectures borrow one set of '
        "weights there, so it tells which one to retrain, not how good that one will be.</p>\n</section>"
    )


def _data_notes(run: Run) -> str:
    """What was read how, and which files were left out: one paragraph for each note of result.json."""
    notes = (run.result.get("images") or {}).get("notes") or []
    return "".join(f'<p class="note">Data: {escape(str(note))}.</p>\n' for note in notes)


def _summary(run: Run) -> str:
    """One sentence: who searched what on which images, and what came of it."""
    result, best = run.result, run.best
    images = result.get("images") or {}
    data = text.dataset(str(result.get("dataset", "unknown data")))
    if "size" in images:
        classes = _plural(len(images.get("classes") or []), "class", "classes")
        data += f" ({images['size']}\N{MULTIPLICATION SIGN}{images['size']} pixels, {classes})"
    scored = result.get("children_evaluated")
    time = number((result.get("seconds") or {}).get("total"))
    if scored:
        who = f"The controller {result['controller']}" if result.get("controller") else "The search"
        words = f"{who} scored {text.count(scored)} architectures of the space {run.space.name} on {data}"
    else:
        words = f"No search: an architecture of the space {run.space.name} was given, for {data}"
    words = escape(words)
    words += f", in {text.duration(time)}." if time is not None else "."
    if best is None:
        return words + " No architecture was chosen."
    if number(best.get("test_accuracy")) is not None:
        reached = f"<strong>{text.percent(best['test_accuracy'])}</strong> on the test split"
        subject = "The best one, retrained from scratch, reaches" if scored else "Retrained from scratch it reaches"
        return f"{words} {subject} {reached}."
    return words + " The network was not retrained, so its own accuracy is not known yet."


def _tiles(run: Run) -> str:
    result, best, tiles = run.result, run.best or {}, []
    if run.best:
        how = "retrained from scratch" if run.retrained else "not retrained"
        tiles += [
            ("test accuracy", text.percent(best.get("test_accuracy")), how, run.retrained),
            ("validation accuracy", text.percent(best.get("valid_accuracy")), how, False),
            ("search accuracy", text.percent(best.get("search_accuracy")), "with shared weights", False),
            ("parameters", text.quantity(best.get("params")), f"{text.count(best.get('params'))}", False),
            ("for one image", text.quantity(best.get("flops"), "FLOPs"), "a multiply-add is two", False),
        ]
    if result.get("children_evaluated"):
        unique = f"{text.count(result.get('children_unique'))} different"
        tiles.append(("architectures scored", text.count(result["children_evaluated"]), unique, False))
    size = str((result.get("space") or {}).get("size") or run.space.size)
    tiles.append(("architectures in the space", _power(size), f"{run.space.name}, {run.space.layers} layers", False))
    seconds = number((result.get("seconds") or {}).get("total"))
    if seconds is not None:
        ends = [f"ended by {result['stopped_by']}"] if result.get("stopped_by") not in (None, "architecture") else []
        times = int(number(result.get("resumed")) or 0)
        ends += [f"resumed {'once' if times == 1 else f'{times} times'}"] if times else []
        tiles.append(("wall time", text.duration(seconds), ", ".join(ends), False))
    return "\n".join(_tile(*tile) for tile in tiles)


def _power(size: str) -> str:
    mantissa, exponent = text.big(size)
    if exponent is None:
        return escape(mantissa)
    power = f"{mantissa}\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}10<sup>{exponent}</sup>"
    return f'<span title="{escape(size)}">{power}</span>'


def _tile(name: str, value: str, more: str, main: bool) -> str:
    below = f'<dd class="more">{escape(more)}</dd>' if more else ""
    kind = ' class="main"' if main else ""
    return f'<div{kind}><dt>{escape(name)}</dt><dd class="value">{value}</dd>{below}</div>'


# -- the network, the figures, the candidates ----------------------------------------------------------


def _architecture(run: Run, svg: str, rows: list[Row]) -> str:
    assert run.best is not None
    layers = [row for row in rows if row.number]
    skips = sum(len(row.skips) for row in layers)
    label = f"Graph of the found network: {len(layers)} layers in a chain and {_plural(skips, 'skip connection')}"
    width = int(svg.split('width="', 1)[1].split('"', 1)[0])
    shown = inline(svg, "architecture", escape(label, quote=True))
    shown = shown.replace("<svg ", f'<svg style="max-width: {width}px; min-width: {round(0.8 * width)}px" ', 1)
    table = _table(
        ("", "operator", "output", "parameters", "skips from"),
        [
            (
                str(row.number or ""),
                escape(row.label),
                _output(row),
                text.count(row.params),
                ", ".join(map(str, row.skips)),
            )
            for row in rows
        ],
        numbers=(0, 3),
        whole=(1, 2) if max(len(row.label) for row in rows) <= 18 else (2,),
        caption="Layer by layer. Output: channels, height\N{MULTIPLICATION SIGN}width. What reduces a layer's "
        "output for later ones counts with that layer.",
    )
    return (
        "<section>\n<h2>The network that was found</h2>\n"
        f'<div class="found">\n<figure class="card drawing"><div class="scroll">{shown}</div>\n'
        "<figcaption>Straight down: the main path. Arcs: skip connections, joined to the layer their arrow points at. "
        "Square boxes are convolutions (double edge: separable, dashed: dilated), round ones average pooling, pointed "
        "ones max pooling. Grey bands hold layers of one resolution.</figcaption></figure>\n"
        f'<div class="card scroll">{table}</div>\n</div>\n'
        f'<h3>As text</h3>\n<pre class="wrap"><code>{escape(str(run.best["architecture"]))}</code></pre>\n</section>'
    )


def _output(row: Row) -> str:
    if row.size is None:
        return f"{row.channels} classes"
    return f"{row.channels}, {row.size[0]}\N{MULTIPLICATION SIGN}{row.size[1]}"


def _figures(plots: list[Plot]) -> str:
    if not plots:
        return ""
    parts = ["<section>\n<h2>How the run went</h2>"]
    for group in dict.fromkeys(plot.group for plot in plots):
        parts.append(f'<h3>{escape(group)}</h3>\n<div class="figures">')
        parts += [_figure(plot) for plot in plots if plot.group == group]
        parts.append("</div>")
    return "\n".join([*parts, "</section>"])


def _figure(plot: Plot) -> str:
    drawing = inline(plot.svg, plot.name, escape(plot.alt, quote=True))
    return f'<figure class="card">{drawing}\n<figcaption>{escape(plot.caption)}</figcaption></figure>'


def _candidates(run: Run) -> str:
    candidates = run.result.get("candidates") or []
    if not candidates:
        return ""
    code = str((run.best or {}).get("code"))
    sources = {"history": "history", "policy": "final policy", "random": "drawn uniformly"}
    rows = [
        (
            str(place) + (" (found)" if str(item.get("code")) == code else ""),
            text.percent(item.get("alone_accuracy")),
            text.percent(item.get("accuracy")),
            escape(sources.get(str(item.get("source")), str(item.get("source") or ""))),
            text.quantity(item.get("params")),
            text.quantity(item.get("flops")),
            f"<code>{escape(str(item.get('architecture', '')))}</code>",
        )
        for place, item in enumerate(candidates[:MOST_CANDIDATES], start=1)
    ]
    chosen = {place for place, item in enumerate(candidates) if str(item.get("code")) == code}
    more = len(candidates) - len(rows)
    caption = "Accuracy on the whole validation split: with the final shared weights and, for the finalists, after "
    caption += "training alone for a short time, which decides."
    caption += f" {more} more are in result.json." if more > 0 else ""
    head = ("place", "alone", "shared weights", "from", "parameters", "FLOPs", "architecture")
    table = _table(head, rows, numbers=(1, 2, 4, 5), whole=(0, 3), caption=caption, chosen=chosen, long=6)
    return f'<section>\n<h2>Best candidates</h2>\n<div class="card scroll">{table}</div>\n</section>'


def _plural(count: int, word: str, words: str = "") -> str:
    return f"{count} {word if count == 1 else words or word + 's'}"


# -- how to go on --------------------------------------------------------------------------------------


def _again(run: Run) -> str:
    if run.best is None:
        return ""
    unknown = "" if run.config else " The run's own settings are not in it (no .hydra): add them to the command."
    folder = shown(run.folder)
    seen = "" if folder.is_absolute() else ", seen from where the run was started"
    where = f"<code>{escape(without_home(folder.as_posix()))}</code> is this run's folder{seen}."
    load = f"<h3>Load it in Python</h3>\n<pre><code>{escape(load_code(run))}</code></pre>"
    if not run.weights:
        load = '<p class="note">There are no trained weights of it to load yet (best/model.safetensors).</p>'
    return (
        f"<section>\n<h2>Go on with this network</h2>\n<h3>Retrain it from scratch, {EPOCHS} epochs</h3>\n"
        f'<pre class="wrap"><code>{escape(retrain_command(run))}</code></pre>\n'
        f'<p class="note">{where}{unknown}</p>\n{load}\n</section>'
    )


def _configuration(run: Run) -> str:
    parts = []
    if run.config:
        config = f"<pre><code>{escape(without_home(run.config))}</code></pre>"
        parts.append(f"<details>\n<summary>Configuration, as composed</summary>\n{config}\n</details>")
    facts = {"seed": run.result.get("seed"), "evaluator": run.result.get("evaluator"), **run.environment}
    known = {key: value for key, value in flatten(facts).items() if value is not None}
    pairs = [(escape(key), escape(without_home(_plain(value)))) for key, value in known.items()]
    if pairs:
        table = _table(("what", "value"), pairs)
        parts.append(f'<details>\n<summary>Environment</summary>\n<div class="card scroll">{table}</div>\n</details>')
    return "<section>\n<h2>How it was run</h2>\n" + "\n".join(parts) + "\n</section>" if parts else ""


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(
    head: Iterable[str],
    rows: Iterable[tuple[str, ...]],
    *,
    numbers: tuple[int, ...] = (),
    caption: str = "",
    chosen: Iterable[int] = (),
    whole: tuple[int, ...] = (),
    long: int = -1,
) -> str:
    """A table; cells are HTML.

    numbers: columns set right. whole: columns that do not wrap. long: the wide one. chosen: rows marked.
    """
    kinds = {column: ' class="number"' for column in numbers} | {column: ' class="whole"' for column in whole}
    kinds[long] = ' class="long"'
    marked = set(chosen)
    parts = ["<table>", f"<caption><span>{escape(caption)}</span></caption>" if caption else "", "<thead><tr>"]
    parts += [f'<th scope="col"{kinds.get(column, "")}>{escape(name)}</th>' for column, name in enumerate(head)]
    parts.append("</tr></thead>\n<tbody>")
    for index, row in enumerate(rows):
        cells = "".join(f"<td{kinds.get(column, '')}>{cell}</td>" for column, cell in enumerate(row))
        parts.append(f'<tr class="chosen">{cells}</tr>' if index in marked else f"<tr>{cells}</tr>")
    parts.append("</tbody>\n</table>")
    return "\n".join(part for part in parts if part)

"""What report.html of a run says: the values of the template run.html.jinja."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from rlnas.config.plain_data import flatten
from rlnas.config.quoting import shown, without_home
from rlnas.objective import deciding
from rlnas.report import text
from rlnas.report.run import alone, mistakes
from rlnas.report.run.drawing import Row, is_chain, name, skips
from rlnas.report.run.figures import CONTROLS, MISTAKES, Plot
from rlnas.report.run.numbers import is_share, value
from rlnas.report.style import inline
from rlnas.report.template import render
from rlnas.runs.commands import EPOCHS, compare_with_others, load_code, retrain_command
from rlnas.runs.reader import Run, number

MOST_CANDIDATES = 50
NARROW = {CONTROLS: "max-width: 560px"}  # style of a figure that has no other beside it
SOURCES = {"history": "history", "policy": "final policy", "random": "drawn uniformly"}


def write_page(
    run: Run,
    drawing: tuple[str, list[Row]] | None,
    plots: Sequence[Plot],
    notes: Sequence[str],
    gap: dict[str, Any] | None = None,
    parts: Sequence[tuple[str, str, str]] = (),
) -> str:
    """The document. drawing: the network's SVG and its rows, None if there is none. notes: what could not be drawn.
    gap: the section on the gap, see rlnas.report.run.gap. parts: of the architecture: name of the file, title, SVG.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for plot in plots:
        shown_plot = {
            "inline": inline(plot.svg, plot.name, plot.alt, NARROW.get(plot.group, "")),
            "caption": plot.caption,
        }
        groups.setdefault(plot.group, []).append(shown_plot)
    return render(
        "run",
        name=str(run.result.get("name", run.folder.name)),
        dataset_note=str(run.result.get("dataset_note") or "").rstrip("."),
        summary=_summary(run),
        reached=_reached(run),
        warnings=[str(warning["text"]) for warning in run.result.get("warnings") or [] if "text" in warning],
        data_notes=(run.result.get("images") or {}).get("notes") or [],
        notes=[without_home(note) for note in notes],
        tiles=_tiles(run),
        surrogate=_surrogate(run),
        shared_weights=run.shares_weights,
        gap=gap,
        architecture=(run.best or {}).get("architecture"),
        final_architecture=(run.best or {}).get("final_architecture"),
        drawing=_drawing(*drawing) if drawing else None,
        parts=[{"inline": inline(svg, name, title), "width": _width(svg)} for name, title, svg in parts],
        control_plots=groups.pop(CONTROLS, []),
        controls=alone.section(run),
        mistake_plots=groups.pop(MISTAKES, []),
        classes=_classes(run),
        groups=groups,
        candidates=_candidates(run),
        again=_again(run) if run.best else None,
        configuration=without_home(run.composed),
        environment=_environment(run),
    )


def _classes(run: Run) -> dict[str, Any] | None:
    """Return the rows of the worst classes, and the caption."""
    table = mistakes.classes_table(run)
    if table is None:
        return None
    rows, more = table["rows"], len(table["rows"]) - mistakes.MOST_ROWS
    caption = (
        "Recall: share of the class's images that are found. Precision: share of the images taken for the class that "
        f"are of it. Mean recall (balanced accuracy): {table['balanced']}."
    )
    if more > 0:
        caption += f" The {mistakes.MOST_ROWS} worst classes; all are in best/README.md."
    return {"rows": rows[: mistakes.MOST_ROWS], "caption": caption}


def _summary(run: Run) -> str:
    """Who searched what on which data, in how long."""
    images, size = run.result.get("images") or {}, run.result.get("children_evaluated")
    data = f" on {text.dataset(str(run.result['dataset']))}" if run.result.get("dataset") else ""
    if "size" in images:
        classes = _plural(len(images.get("classes") or []), "class", "classes")
        data += f" ({images['size']}\N{MULTIPLICATION SIGN}{images['size']} pixels, {classes})"
    if size:
        who = f"The controller {run.controller}" if run.controller else "The search"
        looked_up = ", looked up in a table" if run.table is not None else ""
        words = f"{who} scored {text.count(size)} architectures of the space {run.space_name}{data}{looked_up}"
    else:
        words = f"No search: an architecture of the space {run.space_name} was given{data}"
    time = number((run.result.get("seconds") or {}).get("total"))
    words += f", in {text.duration(time)}." if time is not None else "."
    if run.best is None:
        return words + " No architecture was chosen."
    if _reached(run) is None and run.shares_weights:
        words += " The network was not retrained, so its own accuracy is not known yet."
    return words


def _surrogate(run: Run) -> str:
    """How well the last fit of evaluator=surrogate ranked its labels, and what is simpler; empty without one."""
    fits = (run.result.get("surrogate") or {}).get("fits") or []
    if not fits:
        return ""
    last = fits[-1]
    beside = {"FLOPs": last["flops_tau"]}
    beside |= {f"shared {name.replace('_', ' ')}": tau for name, tau in last["shared_tau"].items()}
    shown = ", ".join(f"{name} {_tau(tau)}" for name, tau in beside.items())
    return (
        f"The surrogate was fitted to {_plural(last['labels'], 'training', 'trainings')} alone. Kendall's tau with "
        f"their results: its leave-one-out prediction {_tau(last['tau'])}, {shown}."
    )


def _tau(tau: float | None) -> str:
    return "none" if tau is None else f"{tau:.2f}"


def _reached(run: Run) -> dict[str, str] | None:
    """What the found architecture reached, by the measure that counts."""
    best = run.best or {}
    if number(best.get("test_accuracy")) is not None:
        searched = run.result.get("children_evaluated")
        subject = "The best one, retrained from scratch, reaches" if searched else "Retrained from scratch it reaches"
        if not run.retrained:  # a program, which learns whenever it runs
            subject = "The best one reaches"
        return {"subject": subject, "value": text.percent(best["test_accuracy"]), "measure": " on the test split"}
    if number(best.get("score")) is not None:
        regret, place = number(best.get("regret")), number(best.get("place"))
        below = "" if regret is None else f"{100 * regret:.2f} points" if is_share(run) else f"{regret:.4g}"
        measure = f", {below} below the table's optimum" if below else ""
        measure += f" (place {text.count(place)} of {text.count(run.result['space'].get('size'))})" if place else ""
        return {"subject": "The best one has a true score of", "value": value(run, best["score"]), "measure": measure}
    return None


def _tiles(run: Run) -> list[dict[str, Any]]:
    result, best = run.result, run.best or {}
    tiles: list[tuple[str, Any, str]] = []
    if run.table is not None:
        known = "" if run.optimum is None else f"optimum {value(run, run.optimum)}"
        tiles += [("true score of the best", value(run, number(best.get("score"))), known)]
        tiles += [("observed value", value(run, number(best.get("search_accuracy"))), "in the search")]
    elif best and (run.retrained or run.shares_weights):
        how = "retrained from scratch" if run.retrained else "not retrained"
        tiles += [("test accuracy", text.percent(best.get("test_accuracy")), how)]
        chose = ", optimistic: these images also chose the architecture" if run.retrained and _chose(run) else ""
        tiles += [("validation accuracy", text.percent(best.get("valid_accuracy")), how + chose)]
    if best and run.table is None:
        how = "with shared weights" if run.shares_weights else f"by evaluator {run.evaluator}"
        tiles += [("search accuracy", value(run, number(best.get("search_accuracy"))), how)]
    objective = number(best.get("objective"))
    if objective is not None and objective != number(best.get("search_accuracy")):
        terms = ", ".join(deciding(run.objective.get("terms") or {}))
        tiles += [("objective", f"{objective:.6g}", f"of {terms}" if terms else "")]
    if number(best.get("params")) is not None:
        tiles += [("parameters", text.quantity(best["params"]), text.count(best["params"]))]
    if number(best.get("flops")) is not None:
        tiles += [("for one image", text.quantity(best["flops"], "FLOPs"), "a multiply-add is two")]
    if result.get("children_evaluated"):
        unique = f"{text.count(result.get('children_unique'))} different"
        tiles += [("architectures scored", text.count(result["children_evaluated"]), unique)]
    size = result["space"].get("size")
    depth = (result["space"].get("options") or {}).get("layers")
    kind = run.space_name + (f", {depth} layers" if depth else "")
    tiles += [("architectures in the space", "not counted" if size is None else _power(str(size)), kind)]
    seconds = number((result.get("seconds") or {}).get("total"))
    if seconds is not None:
        ends = [f"ended by {result['stopped_by']}"] if result.get("stopped_by") not in (None, "architecture") else []
        times = int(number(result.get("resumed")) or 0)
        ends += [f"resumed {'once' if times == 1 else f'{times} times'}"] if times else []
        tiles += [("wall time", text.duration(seconds), ", ".join(ends))]
    main = run.retrained or run.table is not None
    return [
        {"name": name, "value": amount, "more": more, "main": main and place == 0}
        for place, (name, amount, more) in enumerate(tiles)
    ]


def _chose(run: Run) -> bool:
    """Whether the validation images served the choice of the architecture."""
    return bool(run.result.get("candidates"))


def _power(size: str) -> str | Markup:
    """A number, or mantissa times a power of ten."""
    mantissa, exponent = text.big(size)
    if exponent is None:
        return mantissa
    return Markup("{}\N{THIN SPACE}\N{MULTIPLICATION SIGN}\N{THIN SPACE}10<sup>{}</sup>").format(mantissa, exponent)


def _drawing(svg: str, rows: list[Row]) -> dict[str, Any]:
    chain, arcs = is_chain(rows), skips(rows)
    layers = sum(1 for row in rows if row.number)
    label = f"Graph of the found network: {layers} layers{' in a chain' if chain else ''} and "
    label += _plural(
        len(arcs), "skip connection" if chain else "edge past others", "" if chain else "edges past others"
    )
    shown_sources = [
        [source for source in row.sources if not chain or source != place - 1] for place, row in enumerate(rows)
    ]
    table = [
        (
            str(row.number or ""),
            row.label,
            row.output,
            text.count(row.params),
            text.quantity(row.flops),
            ", ".join(name(rows, source) for source in sources),
        )
        for row, sources in zip(rows, shown_sources, strict=True)
    ]
    whole = (1, 2) if max(len(row.label) for row in rows) <= 18 else (2,)
    return {
        "inline": inline(svg, "architecture", label, _own_width(svg)),
        "rows": table,
        "chain": chain,
        "whole": whole,
    }


def _own_width(svg: str) -> str:
    """The style of a drawing that is hardly scaled, so that its text keeps its size."""
    return f"max-width: {_width(svg)}px; min-width: {round(0.8 * _width(svg))}px"


def _width(svg: str) -> int:
    """The width of an SVG file in px."""
    return int(svg.split('width="', 1)[1].split('"', 1)[0])


def _candidates(run: Run) -> dict[str, Any] | None:
    """The table of the best candidates, without columns of which nothing is known."""
    candidates = run.result.get("candidates") or []
    if not candidates:
        return None
    found = (run.best or {}).get("architecture")
    own = [place for place, item in enumerate(candidates) if item.get("architecture") == found][:1]
    shared = run.shares_weights
    terms = deciding(run.objective.get("terms") or {})
    other = terms not in ([], ["accuracy"])  # else a column of the objective would repeat the accuracy
    alones = [_share(item.get("alone_accuracy")) for item in candidates]
    columns: list[tuple[str, str, Sequence[Any]]] = [
        ("place", "whole", [f"{place + 1}{' (found)' if place in own else ''}" for place in range(len(candidates))]),
        ("objective", "number", [_number(item.get("objective")) if other else "" for item in candidates]),
        *_measured(candidates, terms),
        *(alone.columns(run, candidates) or [("accuracy alone" if other else "alone", "number", alones)]),
        (
            "shared weights" if shared and not other else "accuracy",
            "number",
            [_share(item.get("accuracy")) for item in candidates],
        ),
        ("from", "whole", [SOURCES.get(str(item.get("source")), str(item.get("source") or "")) for item in candidates]),
        ("parameters", "number", [text.quantity(item.get("params")) for item in candidates]),
        ("FLOPs", "number", [text.quantity(item.get("flops")) for item in candidates]),
        (
            "architecture",
            "long",
            [Markup("<code>{}</code>").format(item.get("architecture", "")) for item in candidates],
        ),
    ]
    columns = [column for column in columns if any(cell not in (text.NONE, "") for cell in column[2])]
    more = len(candidates) - MOST_CANDIDATES
    subject = f"The objective ({', '.join(terms)})" if other else "The accuracy"
    caption = "Measured on the whole validation split."
    if shared:
        caption = (
            f"Measured on the whole validation split. {subject} decides: of the finalists after training alone for a "
            "short time, of the others with the final shared weights."
            " All of them chose the found architecture, whose own number is therefore optimistic."
        )
    elif other:
        caption = f"{subject} decides."
    return {
        "head": [head for head, _, _ in columns],
        "rows": list(zip(*(cells[:MOST_CANDIDATES] for _, _, cells in columns), strict=True)),
        "numbers": [place for place, (_, kind, _) in enumerate(columns) if kind == "number"],
        "whole": [place for place, (_, kind, _) in enumerate(columns) if kind == "whole"],
        "long": len(columns) - 1,
        "chosen": own,
        "caption": caption + (f" {more} more are in result.json." if more > 0 else ""),
    }


def _measured(candidates: Sequence[dict[str, Any]], terms: Sequence[str]) -> list[tuple[str, str, list[Any]]]:
    """A column of each value that is a term of the objective, alone and not; empty where it is not recorded."""
    columns: list[tuple[str, str, list[Any]]] = []
    for term in terms:
        if term == "accuracy":
            continue  # has its own columns, in percent
        for key, head in (("alone_values", f"{term} alone"), ("values", term)):
            columns.append((head, "number", [_number((item.get(key) or {}).get(term)) for item in candidates]))
    return columns


def _number(amount: Any) -> str:
    known = number(amount)
    return text.NONE if known is None else f"{known:.4f}"


def _share(amount: Any) -> str:
    return text.percent(amount)


def _plural(count: int, word: str, words: str = "") -> str:
    return f"{count} {word if count == 1 else words or word + 's'}"


def _again(run: Run) -> dict[str, Any]:
    """How to continue: train the found network again, or, where there is none, compare the run with others."""
    folder = shown(run.folder)
    return {
        "retrain": retrain_command(run) if run.retrainable else "",
        "compare": compare_with_others(run),
        "epochs": EPOCHS,
        "folder": without_home(folder.as_posix()),
        "relative": not folder.is_absolute(),
        "load": load_code(run) if run.retrainable and run.weights else "",
    }


def _environment(run: Run) -> list[tuple[str, str]]:
    facts = {"seed": run.result.get("seed"), "evaluator": run.result.get("evaluator"), **run.environment}
    if run.objective:
        facts["objective"] = run.objective
    known = {key: value for key, value in flatten(facts).items() if value is not None}
    return [(key, without_home(_plain(value))) for key, value in known.items()]


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

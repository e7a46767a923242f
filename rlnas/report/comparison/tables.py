"""The comparison as files for other programs and papers: comparison.csv, comparison.md; and on the screen."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from rlnas.report.comparison import words
from rlnas.report.comparison.reading import reading
from rlnas.report.comparison.results import Cell, Comparison, Group
from rlnas.report.text import NONE

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
TEST_HEAD = (
    "controller",
    "architectures",
    "runs",
    "lead",
    "95% interval",
    "p",
    "p (Holm)",
    "p (ranks)",
    "P(better)",
    "verdict",
)
NO_VERDICT = "no verdict"


def csv(comparison: Comparison) -> str:
    """One row for each controller and checkpoint, then one for each run that is left out.

    The columns vs_BASELINE_* are empty for the baseline itself; without a test vs_BASELINE_verdict is `no verdict`
    and vs_BASELINE_reason says why. A lead is positive if the controller is better, whatever the measure.
    """
    rows: list[dict[str, Any]] = []
    for group in comparison.groups:
        for place in comparison.checkpoints:
            cell = comparison.cells[group.label, place]
            row: dict[str, Any] = {
                "controller": group.label,
                "architectures": place,
                "measure": comparison.measure,
                "mean": cell.mean,
                "interquartile_mean": cell.interquartile_mean,
                "standard_error": cell.standard_error,
                "band_low": cell.low,
                "band_high": cell.high,
                "n": cell.n,
                **_further_means(comparison, group, place),
                "different_architectures_mean": words.different(group, place),
                "stopped_by": words.stopped_by(group),
            }
            for baseline in comparison.baselines:
                row |= _test_columns(comparison, group.label, baseline, place)
            rows.append(row | {"left_out": None, "reason": None})
    rows += [
        {"controller": name, "left_out": folder, "reason": reason}
        for folder, name, reason in words.left_out(comparison)
    ]
    table = pd.DataFrame(rows)
    table["n"] = table["n"].astype("Int64")
    table["architectures"] = table["architectures"].astype("Int64")
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text


def _further_means(comparison: Comparison, group: Group, place: int) -> dict[str, float]:
    """Means that decide nothing; of shared weights it is each run's own supernet, so they do not compare."""
    mean = float(group.score(place).mean())
    if comparison.tabular:
        return {"score_mean": mean}
    valid = comparison.validation[group.label].mean
    return {"validation_accuracy_mean": valid, "own_shared_weights_accuracy_mean": mean}


def _test_columns(comparison: Comparison, label: str, baseline: str, place: int) -> dict[str, Any]:
    names = ("n", "n_baseline", "paired", "lead", "low", "high", "p", "p_holm", "p_ranks", "improvement", "verdict")
    test, none = comparison.test(label, baseline, place), comparison.no_verdict(label, baseline)
    columns = {name: None if test is None else getattr(test, name) for name in names} | {"reason": None}
    if none is not None:
        columns |= {"verdict": NO_VERDICT, "reason": none.reason}
    return {f"vs_{baseline}_{name}": value for name, value in columns.items()}


def markdown(comparison: Comparison) -> str:
    """A page of Markdown: the answer, the tables, the protocol."""
    warned = [f"> **Warning.** {warning}.\n" for warning in comparison.warnings]
    parts = ["# Comparison of controllers\n", words.answer(comparison) + "\n", *warned]
    parts += [f"## {caption(comparison)}\n", _pipes(head(comparison), summary(comparison))]
    for baseline in comparison.baselines:
        parts += [f"## Against {words.spoken(baseline)}\n", _pipes(TEST_HEAD, tests(comparison, baseline))]
    parts += ["## Protocol\n", *(f"- {name}: {sentence}" for name, sentence in words.protocol(comparison)), ""]
    parts += ["## How to read it\n", *(f"- {sentence}" for sentence in reading(comparison)), ""]
    if comparison.left_out:
        parts += ["## Runs left out\n", _pipes(("run", "controller", "reason"), words.left_out(comparison))]
    parts += ["## Again\n", "```", words.command(comparison), *words.run_commands(comparison), "```\n"]
    parts += [f"- versions of {name}: {text}" for name, text in words.versions(comparison)]
    return "\n".join(parts) + "\n"


def caption(comparison: Comparison) -> str:
    """What the first table shows."""
    if not comparison.tabular:
        return f"Accuracy of the retrained network, higher is better: mean {PLUS_MINUS} standard error (IQM)"
    measure = "Regret, lower is better" if comparison.measure == "regret" else "Score, higher is better"
    return f"{measure}: mean {PLUS_MINUS} standard error (IQM) after so many architectures"


def head(comparison: Comparison) -> tuple[str, ...]:
    """Column names of `summary`."""
    return ("controller", "n", *_places(comparison), "different architectures", "ended by")


def _places(comparison: Comparison) -> tuple[str, ...]:
    if not comparison.tabular:
        return ("test accuracy", "validation accuracy")
    return tuple(f"{place:,}" for place in comparison.checkpoints)


def _cells(comparison: Comparison, group: Group) -> list[str]:
    cells = [comparison.cells[group.label, place] for place in comparison.checkpoints]
    if not comparison.tabular:
        cells.append(comparison.validation[group.label])
    return [_cell(comparison, cell) for cell in cells]


def summary(comparison: Comparison) -> list[tuple[str, ...]]:
    """A row for each controller, best first."""
    rows: list[tuple[str, ...]] = []
    for group in comparison.groups:
        cells = _cells(comparison, group)
        unique = f"{words.different(group, comparison.budget):.1f} of {comparison.budget:,}"
        rows.append((group.label, str(len(group.runs)), *cells, unique, words.stopped_by(group)))
    return rows


def _cell(comparison: Comparison, cell: Cell) -> str:
    mean, error, middle = (
        words.value(comparison, amount) for amount in (cell.mean, cell.standard_error, cell.interquartile_mean)
    )
    return mean if error == NONE else f"{mean} {PLUS_MINUS} {error} ({middle})"


def tests(comparison: Comparison, baseline: str) -> list[tuple[str, ...]]:
    """A row for each controller and checkpoint of a baseline's family, then one for each that has no test."""
    rows: list[tuple[str, ...]] = [
        (
            test.label,
            f"{test.architectures:,}",
            words.runs(test).removesuffix(" runs").removesuffix(" of"),
            words.signed(comparison, test.lead),
            words.interval(comparison, test),
            probability(test.p),
            probability(test.p_holm),
            probability(test.p_ranks),
            f"{test.improvement:.2f}",
            test.verdict,
        )
        for test in comparison.tests
        if test.baseline == baseline
    ]
    empty = (NONE,) * (len(TEST_HEAD) - 2)
    return rows + [(one.label, *empty, NO_VERDICT) for one in comparison.no_verdicts if one.baseline == baseline]


def probability(p: float) -> str:
    """A p for a table: `0.012`, `<0.0001`."""
    return words.p_value(p).removeprefix("= ").replace("< ", "<")


def screen(comparison: Comparison, *, narrow: bool = False) -> Table:
    """The table for a terminal: what each reached, and how sure its last difference to each baseline is.

    narrow: without the standard errors.
    """
    last = comparison.checkpoints[-1]
    shown = "mean" if narrow else f"mean {PLUS_MINUS} standard error"
    if comparison.tabular:
        measure = "regret (lower is better)" if comparison.measure == "regret" else "score (higher is better)"
        title = f"{measure}, {shown} after so many architectures"
        tested = f"; p (Holm) at {last:,}" if comparison.tests else ""
    else:
        title = f"the retrained network (higher is better), {shown}"
        tested = "; p (Holm) of test accuracy" if comparison.tests else ""
    table = Table(title=title + tested, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("controller", overflow="fold")
    for name in ("n", *_places(comparison)):
        table.add_column(name, justify="right")
    for baseline in comparison.baselines:
        table.add_column(f"vs\n{baseline}", justify="right")
    end = " " if narrow else " ("  # of what is shown of a cell
    for group in comparison.groups:
        cells = _cells(comparison, group)
        verdicts = [_verdict(comparison, group.label, baseline) for baseline in comparison.baselines]
        table.add_row(group.label, str(len(group.runs)), *(cell.partition(end)[0] for cell in cells), *verdicts)
    return table


def _verdict(comparison: Comparison, label: str, baseline: str) -> str:
    test = comparison.test(label, baseline, comparison.checkpoints[-1])
    if test is None:
        return NONE if comparison.no_verdict(label, baseline) is None else NO_VERDICT
    p = probability(test.p_holm)
    return p if test.verdict == "not told apart" else f"{test.verdict} {p}"


def _pipes(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"

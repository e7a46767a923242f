"""Cells of the comparison's table as a person reads them, on the page and in a terminal."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from rlnas.report.comparison import words
from rlnas.report.comparison.frame import NO_VERDICT
from rlnas.report.comparison.results import Comparison
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


def summary(comparison: Comparison, table: pd.DataFrame) -> list[tuple[str, ...]]:
    """A row for each controller, best first. table: of `frame`."""
    rows: list[tuple[str, ...]] = []
    for label, own in _controllers(table):
        last = own.iloc[-1]
        unique = f"{last['different_in_budget_mean']:.1f} of {last['budget']:,}"
        cells = [_cell(comparison, *numbers) for numbers in _numbers(comparison, own)]
        rows.append((label, str(last["n"]), *cells, unique, str(last["stopped_by"])))
    return rows


def _controllers(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """(label, its rows by checkpoint) of each controller, in the table's order, without runs left out."""
    kept = table[table["left_out"].isna()]
    return [(str(label), own) for label, own in kept.groupby("controller", sort=False)]


def _numbers(comparison: Comparison, own: pd.DataFrame) -> list[tuple[float, float, float]]:
    """(mean, standard error, interquartile mean) of each cell of a controller."""
    prefixes = [""] if comparison.tabular else ["", "validation_accuracy_"]
    names = ("mean", "standard_error", "interquartile_mean")
    return [
        (float(row[prefix + names[0]]), float(row[prefix + names[1]]), float(row[prefix + names[2]]))
        for _, row in own.iterrows()
        for prefix in prefixes
    ]


def _cell(comparison: Comparison, mean: float, error: float, middle: float) -> str:
    shown = words.value(comparison, mean)
    if error != error:
        return shown
    return f"{shown} {PLUS_MINUS} {words.value(comparison, error)} ({words.value(comparison, middle)})"


def tests(comparison: Comparison, table: pd.DataFrame, baseline: str) -> list[tuple[str, ...]]:
    """A row for each controller and checkpoint that is tested against the baseline, then those that are not."""
    found: list[tuple[str, ...]] = []
    untested: list[tuple[str, ...]] = []
    for label, own in _controllers(table):
        for _, row in own.iterrows():
            test = {name: row[f"vs_{baseline}_{name}"] for name in ("lead", "low", "high", "p", "p_holm", "p_ranks")}
            verdict = row[f"vs_{baseline}_verdict"]
            if verdict == NO_VERDICT:
                untested = [*untested, (label, *(NONE,) * (len(TEST_HEAD) - 2), NO_VERDICT)]
                break
            if isinstance(verdict, str):
                paired, n = bool(row[f"vs_{baseline}_paired"]), int(row[f"vs_{baseline}_n"])
                found.append(
                    (
                        label,
                        f"{row['architectures']:,}",
                        f"{n} pairs" if paired else f"{n} and {int(row[f'vs_{baseline}_n_baseline'])}",
                        words.signed(comparison, test["lead"]),
                        words.interval(comparison, test["low"], test["high"]),
                        *(probability(test[name]) for name in ("p", "p_holm", "p_ranks")),
                        f"{row[f'vs_{baseline}_improvement']:.2f}",
                        verdict,
                    )
                )
    return found + untested


def probability(p: float) -> str:
    """A p for a table: `0.012`, `<0.0001`."""
    return words.p_value(p).removeprefix("= ").replace("< ", "<")


def screen(comparison: Comparison, table: pd.DataFrame, *, narrow: bool = False) -> Table:
    """The table for a terminal: what each reached, and how sure its last difference to each baseline is.

    table: of `frame`. narrow: without the standard errors.
    """
    last = comparison.checkpoints[-1]
    told = "mean" if narrow else f"mean {PLUS_MINUS} standard error"
    if comparison.tabular:
        measure = "regret (lower is better)" if comparison.measure == "regret" else "score (higher is better)"
        title = f"{measure}, {told} after so many architectures"
        tested = f"; p (Holm) at {last:,}" if comparison.tests else ""
    else:
        title = f"the retrained network (higher is better), {told}"
        tested = "; p (Holm) of test accuracy" if comparison.tests else ""
    shown = Table(title=title + tested, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("controller", overflow="fold")
    for name in ("n", *_places(comparison)):
        shown.add_column(name, justify="right")
    for baseline in comparison.baselines:
        shown.add_column(f"vs\n{baseline}", justify="right")
    end = " " if narrow else " ("  # of what is shown of a cell
    for label, own in _controllers(table):
        cells = [_cell(comparison, *numbers).partition(end)[0] for numbers in _numbers(comparison, own)]
        shown.add_row(label, str(own["n"].iloc[-1]), *cells, *_verdicts(own.iloc[-1], comparison.baselines))
    return shown


def _verdicts(row: "pd.Series[Any]", baselines: Sequence[str]) -> list[str]:
    """The verdict against each baseline with its p; a dash for the baseline itself."""
    found = []
    for baseline in baselines:
        verdict, p = row[f"vs_{baseline}_verdict"], row[f"vs_{baseline}_p_holm"]
        if not isinstance(verdict, str) or verdict == NO_VERDICT:
            found.append(verdict if isinstance(verdict, str) else NONE)
        else:
            told = probability(float(p))
            found.append(told if verdict == "not told apart" else f"{verdict} {told}")
    return found

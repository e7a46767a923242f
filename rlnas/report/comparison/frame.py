"""The comparison as one table: comparison.csv is this table, the page and the terminal show cells of it."""

from typing import Any

import pandas as pd

from rlnas.report.comparison.results import Cell, Comparison, Group

TEST_COLUMNS = (
    "n",
    "n_baseline",
    "paired",
    "lead",
    "low",
    "high",
    "p",
    "p_holm",
    "p_ranks",
    "improvement",
    "verdict",
)
NO_VERDICT = "no verdict"


def frame(comparison: Comparison) -> pd.DataFrame:
    """One row for each controller and checkpoint, best controller first, then one for each run that is left out.

    The columns vs_BASELINE_* are empty for the baseline itself; without a test vs_BASELINE_verdict is `no verdict`
    and vs_BASELINE_reason says why. A lead is positive if the controller is better, whatever the measure.
    """
    rows: list[dict[str, Any]] = []
    for group in comparison.groups:
        for place in comparison.checkpoints:
            row: dict[str, Any] = {
                "controller": group.label,
                "architectures": place,
                "measure": comparison.measure,
                **_cell(comparison.cells[group.label, place]),
                "n": len(group.runs),
                **_further(comparison, group, place),
                "different_architectures_mean": group.different(place),
                "budget": comparison.budget,
                "different_in_budget_mean": group.different(comparison.budget),
                "stopped_by": group.stopped_by,
            }
            for baseline in comparison.baselines:
                row |= _against(comparison, group.label, baseline, place)
            rows.append(row | {"left_out": None, "reason": None})
    rows += [
        {"controller": item.controller, "left_out": item.name, "reason": item.told} for item in comparison.left_out
    ]
    table: pd.DataFrame = pd.DataFrame(rows)
    table["n"] = table["n"].astype("Int64")
    table["architectures"] = table["architectures"].astype("Int64")
    table["budget"] = table["budget"].astype("Int64")
    return table


def _cell(cell: Cell, prefix: str = "") -> dict[str, float]:
    return {
        f"{prefix}mean": cell.mean,
        f"{prefix}interquartile_mean": cell.interquartile_mean,
        f"{prefix}standard_error": cell.standard_error,
        f"{prefix}band_low": cell.low,
        f"{prefix}band_high": cell.high,
    }


def _further(comparison: Comparison, group: Group, place: int) -> dict[str, float]:
    """Means that decide nothing; of shared weights it is each run's own supernet, so they do not compare."""
    mean = float(group.score(place).mean())
    if comparison.tabular:
        return {"score_mean": mean}
    valid = _cell(comparison.validation[group.label], "validation_accuracy_")
    return {**valid, "own_shared_weights_accuracy_mean": mean}


def _against(comparison: Comparison, label: str, baseline: str, place: int) -> dict[str, Any]:
    test, none = comparison.test(label, baseline, place), comparison.no_verdict(label, baseline)
    columns = {name: None if test is None else getattr(test, name) for name in TEST_COLUMNS} | {"reason": None}
    if none is not None:
        columns |= {"verdict": NO_VERDICT, "reason": none.reason}
    return {f"vs_{baseline}_{name}": value for name, value in columns.items()}

"""The numbers behind the figures, apart from the drawing so that they can be checked by hand."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rlnas.report import text
from rlnas.runs.reader import Run, number


def bands(history: pd.DataFrame, column: str) -> pd.DataFrame:
    """Per round (the index): mean, low and high quartile of a history column, and count."""
    groups = history.groupby("round")[column]
    table: pd.DataFrame = groups.agg(["mean", "count"])
    table["low"], table["high"] = groups.quantile(0.25), groups.quantile(0.75)
    return table


def best_point(run: Run) -> tuple[float, float] | None:
    """(parameters, accuracy) of the found architecture as it was in the search.

    From the history's last row of it; a sample of the final policy is in the candidates only.
    """
    if run.best is None:
        return None
    wanted = run.best["architecture"]
    rows = run.history[run.history["architecture"] == wanted]
    if len(rows):
        return float(rows["params"].iloc[-1]), float(rows["accuracy"].iloc[-1])
    for candidate in run.result.get("candidates") or []:
        if candidate.get("architecture") == wanted:
            params, accuracy = number(candidate.get("params")), number(candidate.get("accuracy"))
            return (params, accuracy) if params is not None and accuracy is not None else None
    return None


def thinned(rows: int, most: int) -> NDArray[np.int64]:
    """At most `most` row numbers, evenly spread, first and last among them."""
    if rows <= most:
        return np.arange(rows)
    return np.unique(np.linspace(0, rows - 1, most).round().astype(np.int64))


def is_share(run: Run) -> bool:
    """Whether accuracies are shares in 0..1, shown in percent, rather than values in a table's units."""
    values = run.history["accuracy"]
    return run.table is None and bool(((values >= 0) & (values <= 1)).all())


def measured(run: Run) -> str:
    """What the column accuracy of the history holds."""
    if run.table is not None:
        return "observed value"
    return "accuracy (shared weights)" if run.shares_weights else "accuracy"


def value(run: Run, amount: float | None) -> str:
    """An accuracy in the run's unit: `93.41 %`, or with the digits of a table."""
    if is_share(run):
        return text.percent(amount)
    return text.NONE if number(amount) is None else f"{amount:.6g}"

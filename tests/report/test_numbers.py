"""The numbers behind the figures, against values computed by hand."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from rlnas.report.run.numbers import bands, best_point, is_share, measured, thinned, value
from rlnas.runs.reader import load_run

HISTORY = pd.DataFrame({"round": [1.0, 1, 1, 1, 1, 2], "accuracy": [0.1, 0.2, 0.3, 0.4, 0.5, 0.2]})


def test_bands_are_mean_and_quartiles() -> None:
    table = bands(HISTORY, "accuracy")
    assert table.index.tolist() == [1, 2]
    assert table.loc[1, ["mean", "low", "high", "count"]].tolist() == pytest.approx([0.3, 0.2, 0.4, 5])
    assert table.loc[2, ["mean", "low", "high", "count"]].tolist() == pytest.approx([0.2, 0.2, 0.2, 1])


@pytest.mark.parametrize(("rows", "most", "expected"), [(3, 5, [0, 1, 2]), (9, 3, [0, 4, 8]), (0, 5, [])])
def test_thinned(rows: int, most: int, expected: list[int]) -> None:
    assert thinned(rows, most).tolist() == expected


def test_best_point_is_of_the_search(make_run: Callable[..., Path]) -> None:
    run = load_run(make_run())
    assert run.best is not None
    run.best.update(params=10**9)  # the final network is wider
    row = run.history[run.history["architecture"] == run.best["architecture"]].iloc[-1]
    assert best_point(run) == (row["params"], row["accuracy"])
    run.best["architecture"] = "other"
    assert best_point(run) is None
    run.result["candidates"].append({"architecture": "other", "params": 7, "accuracy": 0.25})
    assert best_point(run) == (7.0, 0.25)


@pytest.mark.parametrize(
    ("evaluator", "label"), [("shared_weights", "accuracy (shared weights)"), ("standalone", "accuracy")]
)
def test_only_shared_weights_are_called_so(make_run: Callable[..., Path], evaluator: str, label: str) -> None:
    run = load_run(make_run(rounds=1, retrain=0, evaluator=evaluator))
    assert measured(run) == label
    assert is_share(run)
    assert value(run, 0.25) == "25.00\N{NO-BREAK SPACE}%"
    run.history.loc[0, "accuracy"] = 93.5
    assert value(run, 93.5) == "93.5"

"""The numbers behind the figures, against values computed by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlnas.errors import RlnasError
from rlnas.report.run.mosaics import spread
from rlnas.report.run.numbers import (
    bands,
    best_point,
    best_so_far,
    factors,
    layer_choices,
    shares_by_round,
    skip_shares,
    thinned,
)
from rlnas.runs.reader import load_run
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace

HISTORY = pd.DataFrame({"round": [1.0, 1, 1, 1, 1, 2], "accuracy": [0.1, 0.2, 0.3, 0.4, 0.5, 0.2]})


def test_bands_are_mean_and_quartiles() -> None:
    table = bands(HISTORY, "accuracy")
    assert table.index.tolist() == [1, 2]
    assert table.loc[1, ["mean", "low", "high", "count"]].tolist() == pytest.approx([0.3, 0.2, 0.4, 5])
    assert table.loc[2, ["mean", "low", "high", "count"]].tolist() == pytest.approx([0.2, 0.2, 0.2, 1])


def test_best_so_far_never_falls() -> None:
    history = pd.DataFrame({"accuracy": [0.3, 0.1, 0.4, 0.4, 0.2]})
    assert best_so_far(history).tolist() == [0.3, 0.3, 0.4, 0.4, 0.4]


def test_operator_shares() -> None:
    space = NasrlSpace(layers=3, operators=("conv3x3", "identity"))
    texts = ["conv3x3 identity identity+1", "conv3x3 conv3x3 identity", "identity identity identity+1"]
    choices = layer_choices(space, texts)
    assert choices[:, :, 0].tolist() == [[0, 1, 1], [0, 0, 1], [1, 1, 1]]
    rounds, table = shares_by_round(choices, np.array([1, 1, 4]), factors(space)[0])
    assert rounds.tolist() == [1, 4]
    np.testing.assert_allclose(table, [[0.5, 0.5], [0, 1]])


def test_factored_choices_agree_with_the_space() -> None:
    space = NasrlFactoredSpace(layers=4, strides_height=(1, 2))
    rng = np.random.default_rng(0)
    architectures = [space.sample(rng) for _ in range(20)]
    choices = layer_choices(space, [space.text(architecture) for architecture in architectures])
    expected = [[factor for factor, _ in space.split(architecture)] for architecture in architectures]
    assert choices.tolist() == np.array(expected).tolist()
    assert [factor.title for factor in factors(space)] == [
        "kernel height",
        "kernel width",
        "filters",
        "vertical stride",
    ]


def test_a_row_of_another_space_is_refused() -> None:
    space = NasrlSpace(layers=3)
    with pytest.raises(RlnasError, match="expected 3 layers"):
        layer_choices(space, ["conv3x3 conv3x3"])
    with pytest.raises(RlnasError, match="unknown operator 'conv9x9'"):
        layer_choices(space, ["conv3x3 conv3x3 conv9x9"])


def test_skip_shares() -> None:
    space = NasrlSpace(layers=4, operators=("conv3x3",))
    c = "conv3x3"
    table = skip_shares(space, [f"{c} {c} {c}+1 {c}+1+2", f"{c} {c} {c} {c}+2"])
    nan = np.nan
    expected = [[nan] * 4, [nan] * 4, [0.5, nan, nan, nan], [0.5, 1.0, nan, nan]]
    np.testing.assert_allclose(table, expected)


@pytest.mark.parametrize(("rows", "most", "expected"), [(3, 5, [0, 1, 2]), (9, 3, [0, 4, 8]), (0, 5, [])])
def test_thinned(rows: int, most: int, expected: list[int]) -> None:
    assert thinned(rows, most).tolist() == expected


def test_labels_are_spread() -> None:
    moved = spread(np.array([0.1, 0.95, 0.96, 0.97]), 0.1)
    assert (np.diff(moved) >= 0.1 - 1e-9).all()
    assert moved[0] == 0.1
    assert moved[-1] <= 1


def test_best_point_is_of_the_search(make_run: Callable[..., Path]) -> None:
    run = load_run(make_run())
    assert run.best is not None
    run.best.update(params=10**9)  # the final network is wider
    row = run.history[run.history["code"] == run.best["code"]].iloc[-1]
    assert best_point(run) == (row["params"], row["accuracy"])
    run.best["code"] = "5"
    assert best_point(run) is None
    run.result["candidates"].append({"code": "5", "params": 7, "accuracy": 0.25})
    assert best_point(run) == (7.0, 0.25)

"""Shares of features by round and position, against values counted by hand; for any space."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlnas.errors import RlnasError
from rlnas.report.run import features as module
from rlnas.report.run.features import (
    OTHERS,
    factors,
    links,
    natural,
    sampled,
    shares_by_position,
    shares_by_round,
    shortened,
)
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace, Space

C = "conv3x3"


class Searched:
    """What `sampled` reads of a run."""

    def __init__(self, space: Any, history: pd.DataFrame):
        self.space, self.history = space, history


def searched(space: Any, rounds: Sequence[int], texts: Sequence[str]) -> Any:
    return Searched(space, pd.DataFrame({"round": np.array(rounds, dtype=float), "architecture": list(texts)}))


def test_operator_shares() -> None:
    space = NasrlSpace(layers=3, operators=(C, "identity"))
    texts = [f"{C} identity identity+1", f"{C} {C} identity", "identity identity identity+1"]
    found = sampled(searched(space, [1, 1, 4], texts))
    (factor,) = found.factors
    assert (factor.title, factor.values) == ("operator", (C, "identity"))
    assert factor.positions == ("layer1", "layer2", "layer3")
    assert found.rounds == (1, 4)
    assert not found.thinned
    np.testing.assert_allclose(shares_by_round(factor, found.features), [[0.5, 0.5], [0, 1]])
    np.testing.assert_allclose(shares_by_position(factor, found.features[0]), [[1, 0.5, 0], [0, 0.5, 1]])


def test_a_factored_space_has_a_factor_for_each_choice_with_several_values() -> None:
    space = NasrlFactoredSpace(layers=12, strides_height=(1, 2))
    rng = np.random.default_rng(0)
    found = sampled(searched(space, [1] * 20, [space.text(space.sample(rng)) for _ in range(20)]))
    assert [factor.title for factor in found.factors] == [
        "kernel height",
        "kernel width",
        "filters",
        "vertical stride",
    ]
    assert found.factors[2].values == tuple(str(value) for value in space.values[2])  # by size, not by letters
    assert found.factors[0].positions == tuple(f"layer{number}" for number in range(1, 13))


def test_columns_of_a_table_are_positions_of_their_values() -> None:
    class Table:
        def parse(self, text: str) -> str:
            return text

        def features(self, text: str) -> dict[str, str | float]:
            return dict(zip(("op", "width"), text.split(","), strict=True))

        def feature_values(self, factor: str) -> None:
            return None

    found = sampled(searched(Table(), [1, 1], ["conv,8", "conv,16"]))
    (factor,) = found.factors
    assert (factor.title, factor.positions, factor.values) == ("value", ("op", "width"), ("8", "16", "conv"))
    np.testing.assert_allclose(shares_by_position(factor, found.last), [[0, 0.5], [0, 0.5], [1, 0]])
    assert links(found.last) is None


def test_skip_shares() -> None:
    space = NasrlSpace(layers=4, operators=(C,))
    texts = [f"{C} {C} {C}+1 {C}+1+2", f"{C} {C} {C} {C}+2"]
    found = links([space.features(space.parse(text)) for text in texts])
    assert found is not None
    assert (found.name, found.targets, found.sources) == ("skip", ("layer3", "layer4"), ("1", "2"))
    np.testing.assert_allclose(found.share, [[0.5, np.nan], [0.5, 1.0]])


def test_a_row_of_another_space_is_refused() -> None:
    space = NasrlSpace(layers=3)
    with pytest.raises(RlnasError, match="expected 3 layers"):
        sampled(searched(space, [1], [f"{C} {C}"]))
    with pytest.raises(RlnasError, match="unknown operator 'conv9x9'"):
        sampled(searched(space, [1], [f"{C} {C} conv9x9"]))


def test_long_histories_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    space, parsed = NasrlSpace(layers=2, operators=(C, "identity")), []
    monkeypatch.setattr(module, "MOST_IN_ALL", 60)
    monkeypatch.setattr(module, "MOST_ROUNDS", 3)
    monkeypatch.setattr(module, "MOST_PER_ROUND", 30)
    monkeypatch.setattr(space, "parse", lambda text: parsed.append(text) or NasrlSpace.parse(space, text))
    texts = [f"{C} {C}", f"identity {C}"] * 500
    found = sampled(searched(space, sorted(list(range(10)) * 100), texts))
    assert found.thinned
    assert found.rounds == (0, 4, 9)
    assert [len(features) for features in found.features] == [20, 20, 20]
    assert len(found.last) == 30
    assert len(parsed) == 2  # each architecture once


def test_rare_values_are_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VALUES", 3)
    space: Space = NasrlSpace(layers=1, operators=(C,))
    every = [{"a/x": str(value)} for value in (1, 1, 1, 2, 2, 3, 4)]
    (factor,) = factors(space, every)
    assert factor.values == ("1", "2", OTHERS)
    np.testing.assert_allclose(shares_by_round(factor, [every]), [[3 / 7, 2 / 7, 2 / 7]])


def test_names_sort_by_their_numbers_and_lose_what_they_share(tmp_path: Path) -> None:
    assert sorted(["layer10", "layer9", "a"], key=natural) == ["a", "layer9", "layer10"]
    assert sorted(["10", "-1", "9.5", "relu"], key=natural) == ["-1", "9.5", "10", "relu"]
    assert shortened(["layer1", "layer12"]) == ("layer", ["1", "12"])
    assert shortened(["op", "width"]) == ("", ["op", "width"])
    assert shortened(["a1", "b1"]) == ("", ["a1", "b1"])

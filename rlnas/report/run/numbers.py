"""The numbers behind the figures, apart from the drawing so that they can be checked by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rlnas.runs.reader import Run, number
from rlnas.spaces import ChainSpace, NasrlFactoredSpace, NasrlSpace


@dataclass(frozen=True)
class Factor:
    """One choice that every layer makes: what it is called, and its values in the space's order."""

    title: str
    labels: tuple[str, ...]
    position: int


def bands(history: pd.DataFrame, column: str) -> pd.DataFrame:
    """Per round (the index): mean, low and high quartile of a history column, and count."""
    groups = history.groupby("round")[column]
    table: pd.DataFrame = groups.agg(["mean", "count"])
    table["low"], table["high"] = groups.quantile(0.25), groups.quantile(0.75)
    return table


def best_so_far(history: pd.DataFrame) -> NDArray[np.float64]:
    """The highest accuracy among the architectures scored up to each row: (rows,), never falling."""
    return np.maximum.accumulate(history["accuracy"].to_numpy(dtype=float))


def factors(space: ChainSpace) -> list[Factor]:
    """The choices of one layer that have more than one value; at least one, so that something can be drawn."""
    if isinstance(space, NasrlFactoredSpace):
        titles = ("kernel height", "kernel width", "filters", "vertical stride", "horizontal stride")
        every = [
            Factor(title, tuple(str(value) for value in values), position)
            for position, (title, values) in enumerate(zip(titles, space.values, strict=True))
        ]
        return [factor for factor in every if len(factor.labels) > 1] or every[:1]
    assert isinstance(space, NasrlSpace)
    return [Factor("operator", space.operators, 0)]


def layer_choices(space: ChainSpace, architectures: Sequence[str]) -> NDArray[np.int16]:
    """The index chosen for each factor: (architectures, layers, factors of the space).

    Reads the text form word by word, as `ChainSpace.parse` does, but looks every operator up only once:
    a history may have hundreds of thousands of rows.
    """
    known: dict[str, tuple[int, ...]] = {}
    choices = np.zeros((len(architectures), space.layers, len(space.factors)), dtype=np.int16)
    for index, text in enumerate(architectures):
        names = [word.partition("+")[0] for word in text.split()]
        if len(names) != space.layers:
            space.parse(text)  # raises, and says what is wrong
        for name in names:
            if name not in known:
                known[name] = space.operator_factors(name)
        choices[index] = [known[name] for name in names]
    return choices


def shares(chosen: NDArray[np.int16], values: int, axis: tuple[int, ...]) -> NDArray[np.float64]:
    """How often each value was chosen, as a share over `axis`; the values become the last axis."""
    hot = (chosen[..., None] == np.arange(values)).astype(np.float64)
    result: NDArray[np.float64] = hot.mean(axis=axis)
    return result


def shares_by_round(
    choices: NDArray[np.int16], rounds: NDArray[np.int64], factor: Factor
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The rounds (R,), and the share of each value over all layers of a round's architectures (R, values)."""
    numbers = np.unique(rounds)
    chosen = choices[:, :, factor.position]
    rows = [shares(chosen[rounds == value], len(factor.labels), (0, 1)) for value in numbers]
    return numbers, np.array(rows).reshape(len(numbers), len(factor.labels))


def skip_shares(space: ChainSpace, architectures: Sequence[str]) -> NDArray[np.float64]:
    """How often each skip was used: (layers, layers) as [to, from], NaN where no skip can be."""
    count = np.zeros((space.layers, space.layers))
    for text in architectures:
        for source, layer in space.skips(space.parse(text)):
            count[layer - 1, source - 1] += 1
    layer_index, source_index = np.indices(count.shape)
    return np.where(source_index < layer_index - 1, count / max(len(architectures), 1), np.nan)


def best_point(run: Run) -> tuple[float, float] | None:
    """(parameters, accuracy with shared weights) of the found architecture as it was in the search.

    From the history's last row of it; a sample of the final policy is in the candidates only.
    """
    if run.best is None:
        return None
    rows = run.history[run.history["code"] == str(run.best.get("code"))]
    if len(rows):
        return float(rows["params"].iloc[-1]), float(rows["accuracy"].iloc[-1])
    for candidate in run.result.get("candidates") or []:
        if str(candidate.get("code")) == str(run.best.get("code")):
            params, accuracy = number(candidate.get("params")), number(candidate.get("accuracy"))
            return (params, accuracy) if params is not None and accuracy is not None else None
    return None


def thinned(rows: int, most: int) -> NDArray[np.int64]:
    """At most `most` row numbers, evenly spread, first and last among them."""
    if rows <= most:
        return np.arange(rows)
    return np.unique(np.linspace(0, rows - 1, most).round().astype(np.int64))

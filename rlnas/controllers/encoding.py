"""Features of architectures as the inputs of a predictor that learns from the scores of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rlnas.evaluators.prediction import compact_columns, full_columns
from rlnas.spaces import Architecture, Space

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Described:
    """An architecture's features, as the space names them, and the columns that follow from them."""

    features: Mapping[str, str | float]

    @cached_property
    def columns(self) -> dict[str, float]:
        """A 0/1 column for each category at each place, every number, and how often each category is used."""
        return full_columns(self.features)


class Descriptions:
    """Describes the architectures of a space; each is described once."""

    def __init__(self, space: Space):
        self.space = space
        self._known: dict[Architecture, Described] = {}

    def __call__(self, architectures: Sequence[Architecture]) -> list[Described]:
        """Return one description for each architecture."""
        for architecture in architectures:
            if architecture not in self._known:
                self._known[architecture] = Described(self.space.features(architecture))
        return [self._known[architecture] for architecture in architectures]

    def forget(self, kept: Sequence[Architecture]) -> None:
        """Keep the descriptions of these only."""
        self._known = {architecture: self._known[architecture] for architecture in kept if architecture in self._known}


class Encoding:
    """Columns of described architectures as a matrix whose squared distances count differences.

    Two architectures with different categories at one place have a squared distance of 1 there. A number, or a count
    of uses, is divided by its range over the architectures of the fit. Columns that are constant there are left out.
    """

    def __init__(self, fitted: Sequence[Described]):
        names = sorted({name for one in fitted for name in one.columns})
        counted = {name for one in fitted for name in compact_columns(one.features)}
        self.names = {name: place for place, name in enumerate(names)}
        raw = self._raw(fitted)  # (n, columns)
        spread = np.ptp(raw, axis=0) if len(raw) else np.zeros(len(names))
        categorical = np.array(["=" in name and name not in counted for name in names], dtype=bool)
        self.unit = np.where(categorical, np.sqrt(0.5), 1.0) / np.where(spread > 0, spread, 1.0)  # (columns,)
        self.kept = np.flatnonzero(spread > 0)

    def _raw(self, described: Sequence[Described]) -> Floats:
        matrix = np.zeros((len(described), len(self.names)))
        places = self.names
        for row, one in zip(matrix, described, strict=True):
            for name, value in one.columns.items():
                place = places.get(name)
                if place is not None:
                    row[place] = value
        return matrix

    def __call__(self, described: Sequence[Described]) -> Floats:
        """Return the inputs (n, kept columns). A column that was not there at the fit is left out."""
        return (self._raw(described) * self.unit)[:, self.kept]

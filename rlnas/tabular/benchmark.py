"""A tabular benchmark as arrays in the order of the space's ranks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Benchmark:
    """A tabular benchmark of n architectures with d decisions.

    Row r belongs to the architecture of rank r: the last decision varies fastest.

    name, sha256: of the file. decisions: their d names. values: the possible texts of each decision.
    observed: (n, k), k >= 1 noisy measurements, in the table's unit; a query returns one of them.
    score: (n,), the true score in the same unit; higher is better. seconds: (n,), the cost of a query.
    seconds, params and flops are None if the table has none. networks: (n,), architectures with equal
    numbers are the same network, None if all differ. others: further measured values by name, (n, k) each: a query
    returns those of the same measurement.
    """

    name: str
    sha256: str
    decisions: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    observed: NDArray[np.float64]
    score: NDArray[np.float64]
    seconds: NDArray[np.float64] | None = None
    params: NDArray[np.int64] | None = None
    flops: NDArray[np.int64] | None = None
    networks: NDArray[np.int64] | None = None
    others: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @cached_property
    def best(self) -> int:
        """Rank of the best architecture by true score; the lowest rank in case of a tie."""
        return int(self.score.argmax())

    @property
    def optimum(self) -> float:
        """The best true score."""
        return float(self.score[self.best])

    @cached_property
    def distinct(self) -> int:
        """Number of different networks."""
        return len(self.score) if self.networks is None else len(np.unique(self.networks))

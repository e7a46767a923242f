"""Architectures looked up in a tabular benchmark."""

from collections.abc import Sequence
from typing import Any

from rlnas.evaluators.score import Score
from rlnas.seeding import numpy_stream
from rlnas.spaces import Architecture, TableSpace


class TabularEvaluator:
    """A query returns one of the architecture's measurements, drawn anew each time from the stream `evaluation`.

    So asking again tells more, as training again would, and it costs again.
    """

    def __init__(self, space: TableSpace, *, seed: int):
        self.space = space
        self.rng = numpy_stream(seed, "evaluation")

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """One score for each architecture, in order."""
        benchmark = self.space.benchmark
        repeats = self.rng.integers(0, benchmark.observed.shape[1], size=len(architectures))
        scores = []
        for architecture, repeat in zip(architectures, repeats, strict=True):
            row = self.space.rank(architecture)
            seconds = 0.0 if benchmark.seconds is None else float(benchmark.seconds[row])
            scores.append(Score(float(benchmark.observed[row, repeat]), seconds, true=float(benchmark.score[row])))
        return scores

    def state(self) -> dict[str, Any]:
        """The stream's position."""
        return {"rng": self.rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.rng.bit_generator.state = state["rng"]

"""Looks architectures up in a tabular benchmark."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlnas.evaluators.base import Evaluator, Score
from rlnas.seeding import numpy_stream
from rlnas.spaces import Architecture, IndependentSpace


class TabularEvaluator(Evaluator):
    """Returns one of the architecture's measurements, drawn at each query from the stream `evaluation`.

    A repeated query gives new information and costs budget, as a repeated training would.
    """

    default_scale = "mean_rank"
    checkpoint_seconds = 5.0  # a round takes a fraction of a second here, a checkpoint a few milliseconds

    def __init__(self, space: IndependentSpace, *, seed: int):
        assert space.benchmark is not None
        self.space = space
        self.benchmark = space.benchmark
        self.value_names = tuple(self.benchmark.others)
        self.rng = numpy_stream(seed, "evaluation")

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return one score for each architecture, in order."""
        benchmark = self.benchmark
        repeats = self.rng.integers(0, benchmark.observed.shape[1], size=len(architectures))
        scores = []
        for architecture, repeat in zip(architectures, repeats, strict=True):
            row = self.space.rank(architecture)
            seconds = 0.0 if benchmark.seconds is None else float(benchmark.seconds[row])
            observed = {"accuracy": float(benchmark.observed[row, repeat])}
            observed |= {name: float(values[row, repeat]) for name, values in benchmark.others.items()}
            scores.append(Score(observed, seconds, true=float(benchmark.score[row])))
        return scores

    def costs(self, architecture: Architecture) -> Mapping[str, float | None]:
        """Return the table's parameters and FLOPs."""
        row = self.space.rank(architecture)
        known = {"params": self.benchmark.params, "flops": self.benchmark.flops}
        return {name: None if values is None else int(values[row]) for name, values in known.items()}

    def conclude(self, found: Architecture, scored: Sequence[Architecture]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the table and how many of its networks were queried."""
        benchmark, space = self.benchmark, self.space
        rows = [self.space.rank(architecture) for architecture in scored]
        networks = rows if benchmark.networks is None else [int(benchmark.networks[row]) for row in rows]
        table = {
            "name": benchmark.name,
            "sha256": benchmark.sha256,
            "architectures": space.size,
            "networks": benchmark.distinct,
            "optimum": benchmark.optimum,
            "optimal_architecture": space.text(space.unrank(benchmark.best)),
            "simulated_seconds": benchmark.seconds is not None,
        }
        return {"table": table, "networks_unique": len(set(networks))}, {}

    def state(self) -> dict[str, Any]:
        """Return the state of the stream."""
        return {"rng": self.rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.rng.bit_generator.state = state["rng"]

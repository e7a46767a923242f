"""The measured values of a found architecture, where its space has them: how good the choice really was."""

from typing import Any

from rlnas.spaces import Architecture, Space


def truth(space: Space, architecture: Architecture) -> dict[str, Any]:
    """Return entries of result.json's `best`; {} if the space has no benchmark.

    score: the true score, in the benchmark's unit. regret: the best score minus it. place: 1 for the best
    architecture, among equals the lowest.
    """
    benchmark, row = space.benchmark, space.code(architecture)
    if benchmark is None or row is None:
        return {}
    score = float(benchmark.score[row])
    place = 1 + int((benchmark.score > score).sum())
    return {"score": score, "regret": benchmark.optimum - score, "place": place}

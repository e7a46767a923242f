"""Select the found architecture on held-out data: the best of the search are scored again, on what it never saw."""

import numpy as np

from rlnas.config.schema import SelectConfig
from rlnas.evaluators.base import HeldOutEvaluator, Score
from rlnas.objective import Objective
from rlnas.runs.tables import row_values
from rlnas.search.candidates import Candidate
from rlnas.search.controls import scored_controls
from rlnas.search.recorder import Recorder
from rlnas.search.select import Selected
from rlnas.spaces import Architecture


def confirmed(
    config: SelectConfig,
    recorder: Recorder,
    evaluator: HeldOutEvaluator,
    objective: Objective,
    control_rng: np.random.Generator,
) -> Selected:
    """Return the `select.from_history` best architectures of the search (at least one), best on held-out data first.

    Equal ones keep the order of the search: by objective, then by time. The controls are scored on the same data.
    Raises RlnasError if nothing was scored, or nothing is within the limits.
    """
    recorder.incumbent()  # raises for an empty history
    rows = recorder.history.rows
    values: dict[Architecture, float] = {}
    rounds: dict[Architecture, int] = {}
    for architecture, row in zip(recorder.scored, rows, strict=True):
        if architecture in values or (objective.limits and not objective.allows(architecture, row_values(row))):
            continue
        values[architecture] = objective(architecture, row_values(row), final=True)
        rounds[architecture] = int(row["round"])
    best = sorted(values, key=lambda one: -values[one])[: max(1, config.from_history)]

    def value(architecture: Architecture, score: Score) -> float:
        return objective(architecture, {**evaluator.costs(architecture), **score.values}, final=True)

    candidates = [
        Candidate(one, dict(score.values), value(one, score), rounds[one])
        for one, score in zip(best, evaluator.evaluate_held_out(best), strict=True)
    ]
    candidates.sort(key=lambda candidate: candidate.rank)
    return Selected(
        candidates, scored_controls(config, evaluator, objective, control_rng, score=evaluator.evaluate_held_out)
    )

"""Controls of a search: hand-made references of the space and random architectures, within the limits.

They are measured exactly as the found network is and are never selected.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rlnas.config.schema import SelectConfig
from rlnas.evaluators import Evaluator, Score
from rlnas.objective import Objective
from rlnas.search.candidates import Candidate
from rlnas.spaces import Architecture, Space

MOST_DRAWS = 1000  # of a random control: so rare architectures within the limits are found, or the search for one ends


@dataclass
class Controls:
    """The controls of a run.

    references, random: best first, once they are trained. left_out: name and reason of each reference that is no
    control. missing: why there is no control of a kind ("reference", "random").
    """

    references: list[Candidate] = field(default_factory=list)
    random: list[Candidate] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def no_controls(reason: str) -> Controls:
    """Return that there are no controls, for one reason."""
    return Controls(missing={"reference": reason, "random": reason})


def draw_controls(
    config: SelectConfig,
    space: Space,
    rng: np.random.Generator,
    *,
    excess: Callable[[Architecture], Mapping[str, float]],
    score: Callable[[Sequence[Architecture]], Sequence[Score]],
    value: Callable[[Architecture, Score], float],
) -> Controls:
    """Return the controls, scored but not trained.

    The references with the highest objective are taken, as finalists are. rng: draws the random architectures, which
    are all different. excess: the costs of an architecture beyond their limits, by name. score: scores architectures
    as candidates are scored. value: the objective of an architecture's score.
    """
    controls = Controls()
    named: dict[str, Architecture] = {}
    for name, architecture in (space.references() if config.references else {}).items():
        beyond = ", ".join(f"{cost} {amount:,.6g}" for cost, amount in excess(architecture).items())
        if beyond:
            controls.left_out.append({"name": name, "reason": f"beyond objective.limits: {beyond}"})
        else:
            named[name] = architecture
    drawn: dict[Architecture, None] = {}
    for _ in range(MOST_DRAWS * config.controls):
        if len(drawn) == config.controls:
            break
        architecture = space.sample(rng)
        if not excess(architecture):
            drawn[architecture] = None
    everything = [*named.values(), *drawn]
    scores = list(score(everything)) if everything else []
    scored = [
        Candidate(architecture, dict(one.values), value(architecture, one), source, name=name)
        for architecture, one, source, name in zip(
            everything,
            scores,
            ["reference"] * len(named) + ["random"] * len(drawn),
            [*named, *(f"random {number}" for number in range(1, len(drawn) + 1))],
            strict=True,
        )
    ]
    references = sorted(scored[: len(named)], key=lambda one: one.rank)
    controls.references, controls.random = references[: config.references], scored[len(named) :]
    controls.left_out += [
        {"name": str(one.name), "reason": f"select.references={config.references} trains the best by shared weights"}
        for one in references[config.references :]
    ]
    if not references:
        none = "all are beyond objective.limits" if controls.left_out else f"space={space.name} has none"
        controls.missing["reference"] = none if config.references else "select.references=0"
    if not controls.random:
        none = f"none of {MOST_DRAWS * config.controls:,} is within objective.limits"
        controls.missing["random"] = none if config.controls else "select.controls=0"
    return controls


def scored_controls(
    config: SelectConfig,
    evaluator: Evaluator,
    objective: Objective,
    rng: np.random.Generator,
    *,
    score: Callable[[Sequence[Architecture]], Sequence[Score]] | None = None,
) -> Controls:
    """Return the controls of a search whose evaluator's scores are final: scored as every architecture was.

    score: scores the controls, if other than `evaluator.evaluate`.
    """

    def costs(architecture: Architecture) -> dict[str, float | None]:
        known = dict(evaluator.costs(architecture))
        if objective.limits.keys() - known.keys():  # a limit on a measured value
            known |= evaluator.evaluate([architecture])[0].values
        return known

    controls = draw_controls(
        config,
        objective.space,
        rng,
        excess=lambda architecture: objective.excess(costs(architecture)),
        score=score or evaluator.evaluate,
        value=lambda one, score: objective(one, {**evaluator.costs(one), **score.values}, final=True),
    )
    controls.random.sort(key=lambda one: one.rank)  # best first, as where they are trained after this
    return controls

"""The verdict of a run: whether the found network is ahead of its controls, on one measure, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlnas.config.quoting import typed
from rlnas.search.candidates import Candidate
from rlnas.search.controls import Controls
from rlnas.spaces import Space
from rlnas.statistics import welch

PLURAL = {"reference": "hand-made references", "random": "random architectures"}
ONE_TRAINING = {"ahead": "ahead of", "behind": "behind", "level": "level with"}


@dataclass(frozen=True)
class Measure:
    """What the compared numbers are.

    name: "validation accuracy", "accuracy" or "objective". how: the words that follow it, such as "after 1 epoch alone,
    from scratch". seeds: trainings of each network. advice: how to measure the spread between trainings.
    """

    name: str
    how: str
    seeds: int
    advice: str = ""

    def text(self, value: float | None) -> str:
        """Return a number of this measure as text."""
        if value is None:
            return "failed"
        return f"{value:.4g}" if self.name == "objective" else f"{value:.4f}"


def is_accuracy(networks: Sequence[Candidate]) -> bool:
    """Return whether what is compared, the objective of the last trainings or of the only score, is the accuracy."""
    pairs = [(one.value, one.accuracy) for one in networks if not one.trained]
    for one in networks:
        for trained in one.trained:
            pairs += [
                (value, score.accuracy)
                for value, score in zip(trained.objectives, trained.scores, strict=True)
                if value is not None
            ]
    return all(value == accuracy for value, accuracy in pairs)


def judge(found: Candidate, controls: Controls, measure: Measure, space: Space) -> dict[str, Any]:
    """Return `text`, `measure`, `seeds` and `comparisons` (one for each kind of control) for result.json.

    found, controls: with trainings of the same rungs, or all without, and then compared by `value`.
    """
    groups = {"reference": controls.references, "random": controls.random}
    compared = {
        kind: _compare(found, min(group, key=lambda one: one.rank), len(group), space)
        for kind, group in groups.items()
        if group
    }
    sentences = []
    what = "network" if space.builds_networks else "architecture"
    if compared:
        mean = f", mean of {measure.seeds} trainings" if measure.seeds > 1 else ""
        clauses = " and ".join(_clause(kind, one, measure) for kind, one in compared.items())
        sentences.append(f"The found {what} ({measure.text(_value(found))}{mean}) is {clauses}.")
        sentences.append(f"The numbers are the {measure.name} {measure.how}.")
        if any(one["low"] is None and one["outcome"] != "same" for one in compared.values()):
            sentences.append(
                "With one training each, a difference smaller than the spread between trainings of the same network "
                "is not shown" + (f"; {measure.advice}." if measure.advice else ".")
            )
    reasons: dict[str, list[str]] = {}
    for kind, reason in controls.missing.items():
        reasons.setdefault(reason, []).append(PLURAL[kind])
    for reason, kinds in reasons.items():
        who = "It" if compared else f"The found {what}"
        sentences.append(f"{who} was not compared with {' or '.join(kinds)}: {reason}.")
    behind = [one for one in compared.values() if one["outcome"] == "behind"]
    if behind and space.builds_networks:
        better = max(behind, key=lambda one: float(one["control"]))
        sentences.append(f"To retrain the better one instead: {typed('architecture', better['architecture'])}")
    return {
        "text": " ".join(sentences),
        "measure": f"{measure.name} {measure.how}",
        "seeds": measure.seeds,
        "comparisons": [{"kind": kind, **one} for kind, one in compared.items()],
    }


def _value(one: Candidate) -> float | None:
    return one.alone_value if one.trained else one.value


def _compare(found: Candidate, control: Candidate, count: int, space: Space) -> dict[str, Any]:
    """Return one comparison; low and high are the ends of Welch's 95% interval, None without several trainings.

    outcome: same (one architecture), ahead, behind, level, or undecided (the interval holds 0).
    """
    own, other = _value(found), _value(control)
    record: dict[str, Any] = {
        "name": control.name,
        "architecture": space.text(control.architecture),
        "of": count,
        "found": own,
        "control": other,
        "difference": None if own is None or other is None else own - other,
        "low": None,
        "high": None,
    }
    if found.architecture == control.architecture:
        return {**record, "outcome": "same"}
    if own is None or other is None:
        return {**record, "outcome": "level" if own is other else "ahead" if other is None else "behind"}
    samples = [np.array(one.trained[-1].values if one.trained else [one.value]) for one in (found, control)]
    if min(map(len, samples)) < 2:
        return {**record, "outcome": "ahead" if own > other else "behind" if own < other else "level"}
    difference = welch(*samples)
    outcome = "ahead" if difference.low > 0 else "behind" if difference.high < 0 else "undecided"
    return {**record, "low": difference.low, "high": difference.high, "outcome": outcome}


def _clause(kind: str, one: dict[str, Any], measure: Measure) -> str:
    value = measure.text(one["control"])
    if kind == "reference" and one["of"] == 1:
        who = f"the hand-made reference {one['name']} ({value})"
    elif kind == "reference":
        who = f"the best of {one['of']} hand-made references ({one['name']}, {value})"
    else:
        who = "a random architecture" if one["of"] == 1 else f"the best of {one['of']} random architectures"
        who += f" ({value})"
    if one["outcome"] == "same":
        return f"{who} itself"
    if one["low"] is None:
        return f"{ONE_TRAINING[one['outcome']]} {who}"
    low, high = measure.text(one["low"]), measure.text(one["high"])
    if one["outcome"] == "undecided":
        difference = measure.text(one["difference"])
        return f"not shown to differ from {who}: difference {difference} (95% interval {low} to {high})"
    if one["outcome"] == "ahead":
        return f"ahead of {who} by {measure.text(one['difference'])} (95% interval {low} to {high})"
    low, high = measure.text(-one["high"]), measure.text(-one["low"])
    return f"behind {who} by {measure.text(-one['difference'])} (95% interval {low} to {high})"

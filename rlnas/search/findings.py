"""What a selection found, as the plain data of checkpoints and result.json."""

from typing import Any

from rlnas.config.schema import Config
from rlnas.data import ImageData
from rlnas.evaluators import Evaluator, HeldOutEvaluator, SelectingEvaluator
from rlnas.search.candidates import Candidate
from rlnas.search.select import Selected
from rlnas.search.verdict import Measure, is_accuracy, judge
from rlnas.spaces import Space


def describe(one: Candidate, evaluator: Evaluator, space: Space) -> dict[str, Any]:
    """Return a candidate or a control as an entry of result.json."""
    code = space.code(one.architecture)
    return {
        "architecture": space.text(one.architecture),
        "code": None if code is None else str(code),
        "accuracy": one.accuracy,
        "alone_accuracy": one.alone,
        "values": dict(one.values),
        "alone_values": one.alone_values if one.trained else None,
        "objective": one.alone_value if one.trained else one.value,
        "rungs": [trained.describe() for trained in one.trained],
        **evaluator.costs(one.architecture),
    }


def describe_candidate(one: Candidate, evaluator: Evaluator, space: Space) -> dict[str, Any]:
    """Return a candidate with its source; `round` is that of a candidate of the history."""
    source = one.source if isinstance(one.source, str) else "history"
    number = None if isinstance(one.source, str) else one.source
    return {**describe(one, evaluator, space), "source": source, "round": number}


def controls_and_verdict(selected: Selected, evaluator: Evaluator, space: Space, config: Config) -> dict[str, Any]:
    """Return `controls`, `controls_left_out`, `selection` and `verdict` of result.json."""
    controls, found = selected.controls, selected.candidates[0]
    kinds = (("reference", controls.references), ("random", controls.random))
    measure = _measure(selected, evaluator, config)
    return {
        "controls": [
            {"name": one.name, "kind": kind, **describe(one, evaluator, space)}
            for kind, group in kinds
            for one in group
        ],
        "controls_left_out": controls.left_out,
        "selection": {
            "start": config.select.finalist_start if selected.rungs else None,
            "rungs": [rung.describe() for rung in selected.rungs],
        },
        "verdict": judge(found, controls, measure, space),
    }


def _measure(selected: Selected, evaluator: Evaluator, config: Config) -> Measure:
    """Return on what the found network and the controls are compared."""
    controls = selected.controls
    plain = is_accuracy([selected.candidates[0], *controls.references, *controls.random])
    name = "validation accuracy" if plain else "objective"
    epochs, start, seeds, advice = None, "scratch", 1, ""
    if selected.rungs:
        last = selected.rungs[-1]
        epochs, seeds = last.epochs, last.seeds
        start = "the shared weights" if config.select.finalist_start == "shared" else "scratch"
        advice = "select.last_seeds=3 measures that spread" if seeds == 1 else ""
    elif not isinstance(evaluator, SelectingEvaluator) and config.evaluator.name == "standalone":
        epochs = config.evaluator.epochs
    if isinstance(evaluator, HeldOutEvaluator):
        return Measure(name if not plain else "accuracy", "on held-out data", 1, "")
    if epochs is None:
        return Measure(name if not plain else "accuracy", "that the evaluator measures", 1, "")
    unit = "epoch" if epochs == 1 else "epochs"
    return Measure(name, f"after {epochs:g} {unit} of training alone, from {start}", seeds, advice)


def retrained_controls(compared: dict[str, Any], count: int) -> dict[str, str]:
    """Return name -> text of the `count` best controls of each kind, which are listed best first."""
    controls = compared.get("controls", [])
    best = [[one for one in controls if one["kind"] == kind][:count] for kind in ("reference", "random")]
    return {one["name"]: one["architecture"] for group in best for one in group}


def with_retrained(
    found: dict[str, Any], best: dict[str, float], controls: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the findings with `retrained` of each retrained control, and a sentence about them in the verdict.

    best: accuracies of the retrained found network. controls: those of the controls, by name.
    """
    if not controls:
        return found
    compared = found["compared"]
    each = [
        f"{name} {'failed' if one['test_accuracy'] is None else format(one['test_accuracy'], '.4f')}"
        for name, one in controls.items()
    ]
    text = compared["verdict"]["text"]
    text += (
        f"{'' if text.endswith('.') else '.'} Retrained from scratch and tested once, one training each: the found "
        f"network {best['test_accuracy']:.4f}, {', '.join(each)} (test accuracy)."
    )
    listed = [{**one, "retrained": controls.get(one["name"])} for one in compared["controls"]]
    verdict = {**compared["verdict"], "text": text}
    return {**found, "compared": {**compared, "controls": listed, "verdict": verdict}}


def measured_on(data: ImageData, config: Config, *, given: bool) -> dict[str, dict[str, Any]]:
    """Return for each accuracy of result.json on which images it was measured.

    `split`; `images`: their number, null if the split was not opened yet; `chose`: whether they also served the choice
    of the architecture, which makes the accuracy of the chosen one optimistic; null where the architecture was given,
    since what chose it is not known.
    """
    if config.evaluator.name == "program":  # on tasks made of these splits; their sizes are in result.json's `tasks`
        held_out: dict[str, Any] = {"split": "validation", "images": None, "chose": True}
        tested = {"split": "test", "chose": False}
        accuracies = ("best.search_accuracy", "candidates.accuracy", "controls.accuracy")
        return {**dict.fromkeys(accuracies, held_out), "best.test_accuracy": tested}
    valid: dict[str, Any] = {"split": "validation", "images": len(data.valid), "chose": None if given else True}
    search = valid
    if getattr(config.evaluator, "images", 0) and config.evaluator.name == "standalone":
        search = {**valid, "images": min(config.evaluator.images, len(data.valid))}
    found = {"best.valid_accuracy": valid, "best.test_accuracy": {"split": "test", "chose": False}}
    if given:
        return found
    selection = {"candidates.accuracy": search, "candidates.alone_accuracy": valid, "controls.accuracy": search}
    return {"best.search_accuracy": search, **selection, "controls.alone_accuracy": valid, **found}

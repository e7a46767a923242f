"""Measures the gap of a run: scores with its shared weights against the truth, beside controls without training."""

import csv
import io
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from rlnas.errors import RlnasError
from rlnas.evaluators import Score
from rlnas.files import write_json, write_text
from rlnas.gap.draw import draw_policy, draw_uniform, in_turn
from rlnas.gap.restore import Searched, read_result
from rlnas.gap.ridge import design, left_out_predictions
from rlnas.gap.statistics import LEAST, LEVEL, NEAR, RESAMPLES, agreement
from rlnas.gap.trainings import FOLDER, Budget, Trainings
from rlnas.spaces import Architecture

FORMAT = 1
GROUPS = ("uniform", "policy", "all")
PACKAGES = ("rlnas", "torch", "numpy", "scikit-learn")
LEAST_FOR_RIDGE = 5  # architectures

Record = dict[str, Any]  # of an architecture: text, groups, truth, and its predictors by key


@dataclass(frozen=True)
class Options:
    """Which architectures are compared, and how their truth is found where there is no table.

    uniform, policy: number of different architectures of each kind. limits: draw within objective.limits alone.
    """

    uniform: int = 30
    policy: int = 30
    seed: int = 0
    limits: bool = True
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        for name in ("uniform", "policy", "seed"):
            if getattr(self, name) < 0:
                raise RlnasError(f"--{name} is {getattr(self, name)}, expected a number of at least 0")
        if self.uniform + self.policy == 0:
            raise RlnasError("--uniform and --policy are both 0, so there is nothing to compare")


def measure(run: Searched, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Write gap.json and architectures.csv into the run's folder gap/; return the content of gap.json.

    Finished trainings are kept in that folder: a call that was stopped continues there, with the same result.
    Raises RlnasError if nothing can be drawn, or a file cannot be written.
    """
    start = time.perf_counter()
    check_writable(run.folder)
    groups, notes = _draw(run, options)
    every = in_turn(groups["uniform"], groups["policy"])
    if not every:
        raise RlnasError(f"no architecture could be drawn ({'; '.join(notes)}); try --no-limits, or draw more")
    for note in notes:
        say(note)
    records, predictors = _score(run, every, groups)
    scored = time.perf_counter()
    truth = _truth(run, options, every, records, say)
    _add_ridge(run, records, predictors)
    benchmark = run.space.benchmark
    optimum = None if benchmark is None else benchmark.optimum
    result = {
        "format": FORMAT,
        "run": _about(run),
        "draw": {
            "seed": options.seed,
            "within_limits": options.limits and bool(run.objective.limits),
            **{name: {"asked": getattr(options, name), "drawn": len(groups[name])} for name in ("uniform", "policy")},
        },
        "truth": truth,
        "statistics": {"resamples": RESAMPLES, "level": LEVEL, "equal_flops_within": NEAR, "seed": options.seed},
        "predictors": predictors,
        "groups": {name: _group(records, predictors, name, options.seed, optimum) for name in GROUPS},
        "notes": notes,
        "architectures": records,
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
        "seconds": {
            "scoring": round(scored - start, 3),
            "trainings": truth.pop("seconds"),
            "total": round(time.perf_counter() - start, 3),
        },
    }
    write_text(run.folder / FOLDER / "architectures.csv", _as_csv(records, predictors))
    write_json(run.folder / FOLDER / "gap.json", result)
    return result


def check_writable(folder: Path) -> None:
    """Raise RlnasError if nothing can be written into the folder's gap/."""
    place = folder / FOLDER
    try:
        place.mkdir(exist_ok=True)
        reason = "" if os.access(place, os.W_OK | os.X_OK) else "no permission"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise RlnasError(
            f"{place} cannot be written: {reason}; copy the run folder to where you may write, and measure the copy"
        )


# -- architectures and scores -------------------------------------------------------------------------------


def _draw(run: Searched, options: Options) -> tuple[dict[str, list[Architecture]], list[str]]:
    """Return the architectures of each group, and a sentence on each group that has fewer than asked for."""

    fitted = run.evaluator.fitted_to()

    def allowed(architecture: Architecture) -> bool:
        if architecture in fitted:
            return False
        limits = run.objective.limits
        costs = vars(run.final_networks.cost(architecture)) if limits else {}
        return not limits or not options.limits or run.objective.allows(architecture, costs)

    groups = {
        "uniform": draw_uniform(run.space, options.uniform, allowed, options.seed),
        "policy": draw_policy(run.space, run.policy, options.policy, allowed),
    }
    within = " within objective.limits" if options.limits and run.objective.limits else ""
    notes = [f"{len(fitted)} architectures that the scores were fitted to are left out"] if fitted else []
    if len(groups["uniform"]) < options.uniform:
        notes.append(f"{len(groups['uniform'])} of {options.uniform} uniform architectures: no more were found{within}")
    if len(groups["policy"]) < options.policy:
        notes.append(
            f"{len(groups['policy'])} of {options.policy} architectures of the policy: its {len(run.policy)} samples "
            f"hold no more different ones{within}"
        )
    return groups, notes


def _score(
    run: Searched, every: Sequence[Architecture], groups: Mapping[str, Sequence[Architecture]]
) -> tuple[list[Record], list[dict[str, Any]]]:
    """Return the record of each architecture, and the predictors: every value and cost that could rank them."""
    run.execution.activate()
    scores = {"search": run.evaluator.evaluate(every), "full": run.evaluator.evaluate_fully(every)}
    drawn = {name: set(members) for name, members in groups.items()}
    records: list[Record] = []
    for place, architecture in enumerate(every):
        costs = dict(run.evaluator.costs(architecture))
        record: Record = {"architecture": run.space.text(architecture)}
        record["groups"] = [name for name, members in drawn.items() if architecture in members]
        record["truth"] = None
        for kind, of_kind in scores.items():
            values = of_kind[place].values
            # without terms that count in the search alone, as where candidates are scored again
            value = run.objective(architecture, {**costs, **values}, final=kind == "full")
            record[f"{kind}_objective"] = float(value)
            record |= {f"{kind}_{name}": float(amount) for name, amount in values.items()}
        records.append(record | costs)
    names = list(scores["search"][0].values)
    predictors = [_predictor(kind, name, scores[kind]) for kind in scores for name in ("objective", *names)]
    predictors += [
        {"key": name, "label": {"flops": "FLOPs", "params": "parameters"}.get(name, name), "kind": "control"}
        for name in sorted(run.evaluator.costs(every[0]))
    ]
    for number, predictor in enumerate(predictors):
        column = [record.get(predictor["key"]) for record in records]
        same = [one["key"] for one in predictors[:number] if [record.get(one["key"]) for record in records] == column]
        predictor["same_as"] = same[0] if same else None
    return records, predictors


def _predictor(kind: str, name: str, scores: Sequence[Score]) -> dict[str, Any]:
    images = max((score.images or 0 for score in scores), default=0)
    label = {"search_objective": "reward", "full_objective": "objective"}.get(f"{kind}_{name}", name.replace("_", " "))
    if images:
        label += f", {'all ' if kind == 'full' else ''}{images:,} images"
    return {"key": f"{kind}_{name}", "label": label, "kind": kind, "images": images or None}


# -- truth --------------------------------------------------------------------------------------------------


def _truth(
    run: Searched,
    options: Options,
    every: Sequence[Architecture],
    records: Sequence[Record],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Set `truth` of the records, of trainings also `alone_*`, and return what it is; `seconds` of all trainings."""
    benchmark = run.space.benchmark
    if benchmark is not None:
        for architecture, record in zip(every, records, strict=True):
            code = run.space.code(architecture)
            assert code is not None, f"space {run.space.name} has a table but does not number its architectures"
            record["truth"] = float(benchmark.score[code])
        return {
            "source": "table",
            "table": benchmark.name,
            "sha256": benchmark.sha256,
            "optimum": benchmark.optimum,
            "asked": len(every),
            "known": len(every),
            "seconds": 0.0,
        }
    budget = options.budget
    say(
        f"training {len(every)} architectures alone, epochs of each: {budget.epochs:g}, options of the group "
        f"{budget.recipe}, {run.execution.workers} at once"
        + (f", for at most {budget.minutes:g} minutes" if budget.minutes else "")
    )
    trainings = Trainings(run, budget, say)
    known = trainings.train(every)
    seconds, failed = 0.0, 0
    for record in records:
        row = trainings.known.get(record["architecture"])
        if row is not None:
            record["truth"] = float(row["accuracy"])
            others = [name for name in run.evaluator.value_names if row.get(name)]
            record |= {f"alone_{name}": float(row[name]) for name in others}
            seconds += float(row["seconds"])
            failed += bool(row["failed"])
    if known < len(every):
        say(f"--minutes ended the trainings after {known} of {len(every)}; the same command continues them")
    return {
        "source": "training",
        "recipe": budget.recipe,
        "epochs": budget.epochs,
        "minutes": budget.minutes,
        "options": budget.options(run),
        "images": len(run.data.valid),
        "asked": len(every),
        "known": known,
        "diverged": failed,
        "file": trainings.path.name,
        "seconds": round(seconds, 3),
    }


def _add_ridge(run: Searched, records: Sequence[Record], predictors: list[dict[str, Any]]) -> None:
    """Add the predictor `ridge`: leave-one-out over all architectures whose truth is known."""
    known = [record for record in records if record["truth"] is not None]
    for record in records:
        record["ridge"] = None
    if len(known) >= LEAST_FOR_RIDGE:
        features = [run.space.features(run.space.parse(record["architecture"])) for record in known]
        matrix = design(features, [(record.get("params"), record.get("flops")) for record in known])
        truth = np.array([record["truth"] for record in known])
        for record, prediction in zip(known, left_out_predictions(matrix, truth), strict=True):
            record["ridge"] = float(prediction)
    predictors.append({"key": "ridge", "label": "feature ridge, leave-one-out", "kind": "control", "same_as": None})


# -- results ------------------------------------------------------------------------------------------------


def _group(
    records: Sequence[Record], predictors: Sequence[Mapping[str, Any]], name: str, seed: int, optimum: float | None
) -> dict[str, Any]:
    """Return what is known of one group of architectures."""
    members = [
        record for record in records if record["truth"] is not None and (name == "all" or name in record["groups"])
    ]
    truth = [record["truth"] for record in members]
    flops = [record.get("flops") for record in members]
    about: dict[str, Any] = {"n": len(members), "mean": None, "sd": None, "best": None}
    if members:
        about |= {"mean": float(np.mean(truth)), "best": max(truth)}
    if len(members) >= LEAST:
        about["sd"] = float(np.std(truth, ddof=1))
    found = {
        one["key"]: agreement(
            [record[one["key"]] for record in members], truth, flops=flops, seed=seed, optimum=optimum
        )
        for one in predictors
    }
    return {"truth": about, "agreement": found}


def _about(run: Searched) -> dict[str, Any]:
    config, result = run.config, read_result(run.folder)
    return {
        "name": config.name,
        "space": run.space.name,
        "controller": config.controller.name,
        "evaluator": config.evaluator.name,
        "seed": config.seed,
        "dataset": run.data.name,
        "dataset_note": run.data.fallback,
        "limits": run.objective.limits,
        "finished": bool(result),
    }


def _as_csv(records: Sequence[Record], predictors: Sequence[Mapping[str, Any]]) -> str:
    """Return one row for each architecture."""
    keys = [one["key"] for one in predictors]
    alone = sorted({key for record in records for key in record if key.startswith("alone_")})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["architecture", "uniform", "policy", "truth", *keys, *alone])
    for record in records:
        membership = [int(name in record["groups"]) for name in ("uniform", "policy")]
        values = [record.get(key) for key in ("truth", *keys, *alone)]
        writer.writerow([record["architecture"], *membership, *("" if value is None else value for value in values)])
    return out.getvalue()

"""How well does the reward of `+experiment=nasrl_cifar` rank the architectures of its own space?

    python -m benchmarks.ranking --seeds 3 --architectures 60 --out outputs/ranking

For each seed trains the shared weights of nasrl_cifar with its defaults, and as before log-likelihood and projection
were measured, as the contrast; scores the same uniform architectures, which no search has seen, and compares the scores
with one truth: each architecture trained alone for --epochs epochs, on the recipe of the default's group `child`.
Prints Kendall's tau over all pairs and over pairs of equal FLOPs (within 10 %), per seed and as a mean, and the seconds
of training the shared weights. Finished runs and trainings are kept below --out, so that an interrupted call continues.
Last line: one JSON object.
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import rlnas
from benchmarks.machine import describe
from benchmarks.options import BEFORE, spread
from rlnas.files import write_json
from rlnas.gap.measure import Options, measure
from rlnas.gap.restore import restore_searched
from rlnas.gap.trainings import FOLDER, Budget

FEW = (  # the search itself is not measured here
    "budget.rounds=1",
    "search.architectures_per_round=10",
    "select.finalists=1",
    "select.halving=1",
    "select.finalist_start=shared",
    "select.from_policy=0",
    "select.from_history=1",
    "select.references=0",
    "select.controls=0",
    "retrain.epochs=0",
    "report=false",
    "progress=off",
    "objective.limits={}",
)
OPTIONS: dict[str, tuple[str, ...]] = {
    "default": (),
    "before": (*BEFORE, "search.warmup_epochs=6", "child.restart_epochs=6", "evaluator.images=500"),
}
SCORES = {  # predictor of the gap -> its name in the table
    "search_accuracy": "accuracy, images of the reward",
    "full_accuracy": "accuracy, all",
    "search_log_likelihood": "log-likelihood, images of the reward",
    "full_log_likelihood": "log-likelihood, all",
    "search_with_flops": "the same + log FLOPs",
    "flops": "FLOPs",
    "params": "parameters",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--architectures", type=int, default=60)
    parser.add_argument("--epochs", type=float, default=3, help="of each training alone")
    parser.add_argument("--out", type=Path, default=Path("outputs/ranking"))
    parser.add_argument("overrides", nargs="*", help="of both options, such as data.limit=2000 for a trial")
    given = parser.parse_args()
    options = Options(
        uniform=given.architectures, policy=0, seed=1000, limits=False, budget=Budget("child", given.epochs)
    )
    found = {
        name: [ranked(given.out, name, seed, options, given.overrides) for seed in range(given.seeds)]
        for name in OPTIONS
    }
    show(found)
    print(describe())
    print(json.dumps(found))


def ranked(out: Path, name: str, seed: int, options: Options, overrides: Sequence[str]) -> dict[str, Any]:
    """Train the shared weights of an option, measure their gap, return seconds and agreement by score."""
    folder = out / f"{name}_s{seed}"
    if not (folder / "result.json").exists():
        new = ["+experiment=nasrl_cifar", *FEW, *OPTIONS[name], *overrides, f"seed={seed}", f"hydra.run.dir={folder}"]
        rlnas.run([f"resume={folder}", "progress=off"] if (folder / "environment.json").exists() else new)
    truth = out / "default_s0" / FOLDER / options.budget.file  # one truth for all
    kept = folder / FOLDER / options.budget.file
    if truth.exists() and kept != truth:
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(truth, kept)
    file = folder / "ranking.json"
    if not file.exists():
        result = measure(restore_searched(folder), options, lambda line: print(line, flush=True))
        write_json(file, {"gap": result, "agreement": agreements(result)})
    seconds = rlnas.load_result(folder)["seconds"]["warmup"]
    agreement = json.loads(file.read_text(encoding="utf-8"))["agreement"]
    taus = {label: agreement[key]["tau"]["value"] for key, label in SCORES.items()}
    print(f"{name}, seed {seed}: {seconds:.0f} s of training; tau {json.dumps(taus)}", flush=True)
    return {"seconds": seconds, "agreement": agreement}


def agreements(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return tau and the tau of equal FLOPs by score; adds the log-likelihood plus log FLOPs, both standardised."""
    from rlnas.gap.statistics import agreement

    records = result["architectures"]
    columns = {key: [record[key] for record in records] for key in SCORES if key != "search_with_flops"}
    both = (columns["search_log_likelihood"], np.log(columns["flops"]))
    columns["search_with_flops"] = list(sum((np.array(one) - np.mean(one)) / np.std(one) for one in both))
    truth = [record["truth"] for record in records]
    found = {
        key: agreement([float(value) for value in values], truth, flops=columns["flops"], seed=0)
        for key, values in columns.items()
    }
    return {key: {name: found[key][name] for name in ("tau", "top_tau", "equal_flops_tau")} for key in SCORES}


def show(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Print a row an option and score: the mean over seeds with its 95 % interval, and the taus of the seeds."""
    table = Table("option", "seconds", "score", "tau", "of each seed", "equal FLOPs", "top quarter")
    for name, runs in found.items():
        for key, label in SCORES.items():
            values = {
                part: [run["agreement"][key][part]["value"] for run in runs]
                for part in ("tau", "equal_flops_tau", "top_tau")
            }
            cells = {part: spread(of_part) if None not in of_part else "-" for part, of_part in values.items()}
            seeds = " ".join(f"{value:.2f}" for value in values["tau"])
            seconds = f"{np.mean([run['seconds'] for run in runs]):.0f}"
            table.add_row(name, seconds, label, cells["tau"], seeds, cells["equal_flops_tau"], cells["top_tau"])
    Console(width=160).print(table)


if __name__ == "__main__":
    main()

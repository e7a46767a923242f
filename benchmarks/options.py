"""Which options make shared weights rank architectures as they rank alone? Measured on nasrl_bench.

    python -m benchmarks.options --seeds 5 --out outputs/options
    python -m benchmarks.options --seeds 5 --out outputs/options --only 0,4

For each option and seed: trains the shared weights of `+experiment=nasrl_bench` with the option (on CIFAR-10), scores
all 2,048 architectures and keeps the scores as a file below --out, so that an interrupted call resumes. Prints for each
option and value Kendall's tau with the true scores of the table, over all architectures and within their best
quarter, as mean and 95 % interval (Student's t) over the seeds, and the seconds of training; then the FLOPs' tau.
Then, as the ablation, for each option and controller the regret of the returned architecture when the controller
searches with these scores alone. Last line: one JSON object.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau, t

import rlnas
from benchmarks.bare import bare_search, regrets
from benchmarks.machine import describe
from rlnas.cli import _compose
from rlnas.config.build import build_config
from rlnas.files import write_json
from rlnas.gap.restore import restore_searched
from rlnas.spaces.nasrl_bench import NasrlBenchSpace

BEFORE = (
    "space.sharing=operator",
    "child.batch_size=64",
    "child.learning_rate=0.1",
)  # as nasrl_cifar before log-likelihood was measured
OPTIONS: dict[str, tuple[str, ...]] = {
    "before": BEFORE,
    "before, fair sampling": (*BEFORE, "search.warmup_sampling=fair"),
    "projection": (*BEFORE, "space.sharing=projection"),
    "kernel": (*BEFORE, "space.sharing=kernel"),
    "projection, batch 128, rate 0.2 (default)": (),
    "default, fair sampling": ("search.warmup_sampling=fair",),
    "default, four architectures a step": ("child.architectures_per_step=4",),
    "default, averaged weights": ("child.average_epochs=1",),
    "default, half as long": ("search.warmup_epochs=5", "child.restart_epochs=5"),
    "default, twice as long": ("search.warmup_epochs=20", "child.restart_epochs=20"),
}
VALUES = ("accuracy", "soft_accuracy", "log_likelihood")
IMAGES = (500, 1000, 0)  # of the validation split; 0 = all
CONTROLLERS = ("ppo_shared", "evolution", "random")
SEARCHED = 100  # architectures: 5 % of the space
SEARCHES = 3  # seeds of a controller on the scores of each supernet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("outputs/options"))
    parser.add_argument(
        "--only", default=",".join(map(str, range(len(OPTIONS)))), help="numbers of the options, from 0"
    )
    parser.add_argument("--workers", type=int, default=2, help="supernets trained at once, one thread each")
    arguments = parser.parse_args()
    names = [list(OPTIONS)[int(number)] for number in arguments.only.split(",")]
    work = [(name, seed) for seed in range(arguments.seeds) for name in names]
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        for name, seed, seconds in pool.map(scores_of, [arguments.out] * len(work), *zip(*work, strict=True)):
            print(f"{name}, seed {seed}: {seconds:.0f} s of training", flush=True)
    results = {name: [read(arguments.out, name, seed) for seed in range(arguments.seeds)] for name in names}
    space = NasrlBenchSpace()
    taus = {name: rank_agreement(space, found) for name, found in results.items()}
    show(space, taus)
    ablation = {name: searches(space, found) for name, found in results.items()}
    show_ablation(ablation)
    print(describe())
    print(json.dumps({"taus": taus, "regrets": ablation}))


def file_of(out: Path, name: str, seed: int) -> Path:
    return out / f"{list(OPTIONS).index(name)}_s{seed}" / "scores.json"


def scores_of(out: Path, name: str, seed: int) -> tuple[str, int, float]:
    """Train the shared weights of an option and score all architectures, unless the file exists."""
    file = file_of(out, name, seed)
    if not file.exists():
        folder = file.parent / "run"
        few = ["budget.rounds=1", "search.architectures_per_round=10", "select.finalists=1", "select.from_policy=0"]
        settings = ["report=false", "progress=off", "execution.threads=1", f"hydra.run.dir={folder}"]
        begun = (folder / "environment.json").exists()
        new = ["+experiment=nasrl_bench", *OPTIONS[name], f"seed={seed}", *few, *settings]
        rlnas.run([f"resume={folder}", "progress=off"] if begun else new)
        run = restore_searched(folder)
        every = [run.space.parse(text) for text in NasrlBenchSpace().benchmark.values[0]]
        run.execution.activate()
        values: dict[str, Any] = {}
        for images in IMAGES:
            run.evaluator.config = replace(run.evaluator.config, images=images)  # type: ignore[attr-defined]
            run.evaluator._cache_version = -1  # type: ignore[attr-defined]
            found = run.evaluator.evaluate(every)
            values[str(images)] = {value: [score.values[value] for score in found] for value in VALUES}
        seconds = rlnas.load_result(folder)["seconds"]
        write_json(file, {"seconds": seconds["warmup"], "values": values})
    return name, seed, float(json.loads(file.read_text(encoding="utf-8"))["seconds"])


def read(out: Path, name: str, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file_of(out, name, seed).read_text(encoding="utf-8"))
    return found


def rank_agreement(space: NasrlBenchSpace, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return for each value and number of images the taus of the seeds, overall and in the best quarter; seconds."""
    truth = space.benchmark.score
    best = np.argsort(-truth)[: len(truth) // 4]
    taus: dict[str, Any] = {"seconds": [one["seconds"] for one in found]}
    for images in IMAGES:
        for value in VALUES:
            scores = [np.array(one["values"][str(images)][value]) for one in found]
            taus[f"{value}/{images}"] = {
                "all": [float(kendalltau(one, truth).statistic) for one in scores],
                "best_quarter": [float(kendalltau(one[best], truth[best]).statistic) for one in scores],
            }
    return taus


def show(space: NasrlBenchSpace, taus: dict[str, Any]) -> None:
    shown = ("accuracy/500", "accuracy/0", "log_likelihood/500", "log_likelihood/1000", "log_likelihood/0")
    heads = [f"{key.split('/')[0]}, {'all' if key.endswith('/0') else key.split('/')[1]}" for key in shown]
    table = Table(
        "option", "seconds", *heads, "best quarter", title="Kendall's tau with the truth: mean, 95 % interval"
    )
    for name, found in taus.items():
        cells = [spread(found[key]["all"]) for key in shown]
        table.add_row(name, f"{np.mean(found['seconds']):.0f}", *cells, spread(found[shown[3]]["best_quarter"]))
    benchmark = space.benchmark
    assert benchmark.flops is not None
    assert benchmark.params is not None
    controls = [float(kendalltau(costs, benchmark.score).statistic) for costs in (benchmark.flops, benchmark.params)]
    Console(width=200).print(table)
    print(f"controls without training: FLOPs {controls[0]:.3f}, parameters {controls[1]:.3f}")


def spread(values: Sequence[float]) -> str:
    """Return mean and half the width of the 95 % interval."""
    if len(values) < 2:
        return f"{np.mean(values):.3f}"
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def searches(space: NasrlBenchSpace, found: Sequence[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Return by value and controller the regret of the architecture with the best score, of every search."""
    result: dict[str, dict[str, list[float]]] = {}
    for value in ("accuracy/500", "log_likelihood/1000"):
        result[value] = {}
        name, images = value.split("/")
        for controller in CONTROLLERS:
            config = build_config(_compose(["+experiment=compare_small", f"controller={controller}"])).controller
            regret = []
            for one in found:
                scores = np.array(one["values"][images][name])
                table = with_scores(space, scores)
                for seed in range(SEARCHES):
                    observed, true = bare_search(table, config, architectures=SEARCHED, seed=seed)
                    regret += regrets(table, observed, true, [SEARCHED])
            result[value][controller] = regret
    return result


def with_scores(space: NasrlBenchSpace, scores: NDArray[np.float64]) -> NasrlBenchSpace:
    """Return the space in which a query returns these scores (architectures,)."""
    table = NasrlBenchSpace()
    table.benchmark = replace(space.benchmark, observed=scores[:, None], others={})
    return table


def show_ablation(ablation: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    table = Table("option", "score", *CONTROLLERS, title=f"regret after {SEARCHED} architectures, points of accuracy")
    for name, by_value in ablation.items():
        for value, found in by_value.items():
            cells = [f"{100 * np.mean(found[one]):.2f} ± {100 * standard_error(found[one]):.2f}" for one in CONTROLLERS]
            table.add_row(name, value.replace("/", ", "), *cells)
    Console(width=160).print(table)


def standard_error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


if __name__ == "__main__":
    main()

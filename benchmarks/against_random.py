"""Is the found network better than random ones of the same space?

    python -m benchmarks.against_random outputs/nasrl_cifar/2026-01-31_12-00-00 --count 5 --found-seeds 3

Draws uniformly random architectures from the run's space, within the run's objective.limits.flops, and retrains each
once, each with another seed. Retrains the found one with several seeds, including the run's. All use the run's
recipe, precision and memory format, in RUN_FOLDER/against_random/. Finished ones are kept, so an interrupted
comparison resumes where it stopped.

The test is Welch's, of two samples that vary for different reasons: the random ones by architecture and by training,
the found one by training only (the seed draws the validation split, the initial weights and the batches). It tests
whether the expected test accuracy of this architecture differs from that of a random one. It does not evaluate
the controller: for that, run several searches of each controller and compare them by `python -m rlnas.compare`.

Prints test accuracies, means, standard deviations and the test; last line: one JSON object.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import rlnas
from benchmarks.machine import describe
from rlnas.config.build import build_config, build_space_config
from rlnas.config.plain_data import to_dict
from rlnas.config.schema import Config
from rlnas.errors import RlnasError
from rlnas.networks.graph import cost
from rlnas.report.comparison.statistics import welch
from rlnas.runs.environment import read_environment, write_environment
from rlnas.search.job import run_job
from rlnas.seeding import numpy_stream
from rlnas.spaces import Architecture, Space, make_space

RANDOM_SEEDS = 1000  # the first random one trains with the run's seed plus this: no training shares its random streams
DRAWS = 10_000  # of an architecture, until one is cheap enough


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--count", type=at_least_two, default=5, help="random architectures, at least 2")
    parser.add_argument(
        "--found-seeds", type=at_least_two, default=3, help="trainings of the found network, at least 2"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random architectures")
    parser.add_argument("--threads", type=int, default=0, help="of the processor, beside other work; 0 = the run's own")
    arguments = parser.parse_args()
    if arguments.found_seeds > RANDOM_SEEDS:
        parser.error(f"--found-seeds is at most {RANDOM_SEEDS}")
    result, record = rlnas.load_result(arguments.run_folder), read_environment(arguments.run_folder)
    best = result["best"]
    if record is None or best["test_accuracy"] is None:
        parser.error(f"{arguments.run_folder} has no retrained network: retrain.epochs was 0")
    config = build_config(record["config"])

    def train(name: str, text: str, seed: int) -> dict[str, Any]:
        """Train the architecture with this seed; return its entry in result.json."""
        folder = arguments.run_folder / "against_random" / name
        execution = dataclasses.replace(config.execution, threads=arguments.threads or config.execution.threads)
        one = dataclasses.replace(
            config, architecture=text, seed=seed, progress="off", execution=execution, resume=None
        )
        write_environment(folder, one, record["execution"])  # no new probe, which might pick another precision
        trained: dict[str, Any] = run_job(one, folder)["best"]
        print(f"{name}: test {trained['test_accuracy']:.4f}  {text}", flush=True)
        return trained

    found = [best]  # the run's own retraining: nothing was chosen by its test accuracy
    found += [
        train(f"found_s{seed}", best["architecture"], seed)
        for seed in range(config.seed + 1, config.seed + arguments.found_seeds)
    ]
    space = make_space(config.space)
    most = float(config.objective.limits.get("flops", 0))
    drawn = draw(space, arguments.count, most, flops_of(config, result), arguments.seed)
    others = [
        train(f"random_{arguments.seed}_{number}", space.text(architecture), config.seed + RANDOM_SEEDS + number)
        for number, architecture in enumerate(drawn)
    ]
    show(config, found, others)
    summary = compare([one["test_accuracy"] for one in found], [one["test_accuracy"] for one in others])
    print(sentence(summary))
    print(describe())
    print(json.dumps(summary))


def compare(found: Sequence[float], random: Sequence[float]) -> dict[str, Any]:
    """Return means, standard deviations and Welch's test of accuracies in 0..1: found minus random, n >= 2 each.

    t and p are None if neither sample varies.
    """
    test = welch(np.array(found), np.array(random))
    certain = not np.isfinite(test.t)
    return {
        "found": _sample(found),
        "random": _sample(random),
        "difference": test.mean,
        "interval": [test.low, test.high],
        "t": None if certain else test.t,
        "dof": test.dof,
        "p": None if certain else test.p,
    }


def sentence(summary: dict[str, Any]) -> str:
    """Return the summary as text, with what it does and does not show."""
    parts = [
        f"{name}: mean {one['mean']:.4f}, standard deviation {one['deviation']:.4f}, n {one['n']}"
        for name, one in (("found", summary["found"]), ("random", summary["random"]))
    ]
    low, high = summary["interval"]
    told = f"difference {summary['difference']:+.4f}, 95% interval {low:+.4f} to {high:+.4f}"
    if summary["p"] is None:
        return "; ".join([*parts, told]) + ": nothing varies, so there is no test"
    told += f"; Welch's t = {summary['t']:.2f}, {summary['dof']:.1f} degrees of freedom, p = {summary['p']:.2g}"
    if summary["p"] >= 0.05:
        verdict = "the found architecture is not shown to differ from random ones"
    else:
        side = "better" if summary["difference"] > 0 else "worse"
        verdict = f"the found architecture is {side} than random ones are on average"
    return "\n".join([*parts, told, f"So {verdict}. Of the controller this says nothing."])


def draw(
    space: Space, count: int, max_flops: float, flops: Callable[[Architecture], int], seed: int
) -> list[Architecture]:
    """Draw uniformly random architectures of at most max_flops (0 = no limit), the same for the same seed.

    Raises RlnasError if none of 10,000 draws is within the limit.
    """
    rng = numpy_stream(seed, "against_random")
    found = []
    for _ in range(count):
        candidates = (space.sample(rng) for _ in range(DRAWS))
        fitting = next((one for one in candidates if not max_flops or flops(one) <= max_flops), None)
        if fitting is None:
            raise RlnasError(
                f"none of {DRAWS:,} random architectures has at most objective.limits.flops={max_flops:g} FLOPs"
            )
        found.append(fitting)
    return found


def flops_of(config: Config, result: dict[str, Any]) -> Callable[[Architecture], int]:
    """Return a function for the FLOPs of an architecture's final network, as `objective.limits.flops` bounds them."""
    final = make_space(build_space_config({**to_dict(config.space), **config.retrain.space}))
    images = result["images"]

    def flops(architecture: Architecture) -> int:
        graph = final.graph(
            architecture,
            image_channels=images["channels"],
            image_size=images["size"],
            classes=len(images["classes"]),
        )
        return cost(graph).flops

    return flops


def show(config: Config, found: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> None:
    """Print a row for each training."""
    table = Table(title=f"{config.name}: {config.retrain.epochs} epochs each, same recipe, every training its own seed")
    for column in ("network", "test accuracy", "parameters", "architecture"):
        table.add_column(column, justify="right" if column in ("test accuracy", "parameters") else "left")
    for name, rows in (("random", others), ("found", found)):
        for number, row in enumerate(rows, 1):
            accuracy = f"{row['test_accuracy']:.4f}"
            table.add_row(f"{name} {number}", accuracy, f"{row['params']:,}", row["architecture"])
        table.add_section()
    Console(width=160).print(table)


def at_least_two(text: str) -> int:
    """Parse the count of an option: a standard deviation needs two."""
    if int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected at least 2, got {text}")
    return int(text)


def _sample(values: Sequence[float]) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1)), "n": len(values)}


if __name__ == "__main__":
    main()

"""Is the found network better than random ones of the same space?

    python -m benchmarks.against_random outputs/nasrl_cifar/2026-01-31_12-00-00 --count 5

Draws uniformly random architectures from the run's space and retrains each with the run's own recipe, data
split, seed, precision and memory format, in RUN_FOLDER/against_random/. Finished ones are kept, so an interrupted
comparison goes on where it stopped. Prints test accuracies, mean and standard error; last line: one JSON object.
"""

import argparse
import dataclasses
import json
import math
from pathlib import Path
from statistics import mean, stdev

from rich.console import Console
from rich.table import Table

import rlnas
from benchmarks.machine import describe
from rlnas.config import build_config
from rlnas.environment import read_environment, write_environment
from rlnas.job import run_job
from rlnas.seeding import numpy_stream
from rlnas.spaces import make_space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--count", type=int, default=5, help="random architectures, at least 2")
    parser.add_argument("--seed", type=int, default=0, help="of the random architectures")
    parser.add_argument("--threads", type=int, default=0, help="of the processor, beside other work; 0 = the run's own")
    arguments = parser.parse_args()
    found = rlnas.load_result(arguments.run_folder)["best"]
    record = read_environment(arguments.run_folder)
    assert record is not None
    config = build_config(record["config"])
    space = make_space(config.space)
    rng = numpy_stream(arguments.seed, "against_random")
    table = Table(title=f"{config.name}: {config.retrain.epochs} epochs each, same recipe, split and seed")
    for column in ("network", "test accuracy", "parameters", "architecture"):
        table.add_column(column, justify="right" if column in ("test accuracy", "parameters") else "left")
    accuracies = []
    for number in range(arguments.count):
        text = space.text(space.sample(rng))
        folder = arguments.run_folder / "against_random" / f"{arguments.seed}_{number}"
        execution = dataclasses.replace(config.execution, threads=arguments.threads or config.execution.threads)
        one = dataclasses.replace(config, architecture=text, progress="off", execution=execution)
        write_environment(folder, one, record["execution"])  # no new probe, which might pick another precision
        best = run_job(one, folder)["best"]
        accuracies.append(best["test_accuracy"])
        print(f"random {number + 1}/{arguments.count}: test {best['test_accuracy']:.4f}  {text}", flush=True)
        table.add_row(f"random {number + 1}", f"{best['test_accuracy']:.4f}", f"{best['params']:,}", text)
    table.add_section()
    table.add_row("found", f"{found['test_accuracy']:.4f}", f"{found['params']:,}", found["architecture"])
    Console(width=160).print(table)
    error = stdev(accuracies) / math.sqrt(len(accuracies))
    lead = found["test_accuracy"] - mean(accuracies)
    print(
        f"random: mean {mean(accuracies):.4f}, standard error {error:.4f}, n {len(accuracies)}, best "
        f"{max(accuracies):.4f}; found: {found['test_accuracy']:.4f}, {lead:+.4f} = {lead / error:.1f} standard errors"
    )
    print(describe())
    print(
        json.dumps(
            {
                "found": found["test_accuracy"],
                "random_mean": round(mean(accuracies), 5),
                "random_standard_error": round(error, 5),
                "lead_in_standard_errors": round(lead / error, 2),
                "n": len(accuracies),
            }
        )
    )


if __name__ == "__main__":
    main()

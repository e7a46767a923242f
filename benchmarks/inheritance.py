"""What do inherited weights add in the open space, and what does evolution add to random edits?

    python -m benchmarks.inheritance
    python -m benchmarks.inheritance --seeds 2 --rounds 8 --out outputs/inheritance

Three searches of `+experiment=evonet_digits` for each seed, with equally many training steps, batches and scored
architectures: evolution from the trivial network with inherited weights; the same without (`space.inherit=false`: no
two architectures share a weight); random edit sequences with inherited weights. Compared are the validation accuracy of
the network found with the weights of the search, and that after --epochs epochs of training alone (its own weights, the
same recipe for all). Differences are paired by seed, with 95 % intervals by Student's t. The validation images also
chose the network. Finished runs are kept below --out, so that an interrupted call continues. The last line is one JSON
object.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import rlnas
from benchmarks.machine import describe
from rlnas.statistics import paired_t

ARMS: dict[str, tuple[str, ...]] = {
    "evolution": (),
    "without inheritance": ("space.inherit=false",),
    "random edits": ("controller=random",),
}
VALUES = {"search_accuracy": "with the weights of the search", "valid_accuracy": "trained alone"}
FEW = (  # nothing but the search, and one network of its history that is trained
    "search.random_control=0",
    "select.from_policy=0",
    "select.from_history=10",
    "select.finalists=1",
    "select.references=0",
    "select.controls=0",
    "report=false",
    "progress=off",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    parser.add_argument("--rounds", type=int, default=6, help="of each search, of two epochs and 40 architectures")
    parser.add_argument("--epochs", type=int, default=10, help="of training the network found alone, at least 1")
    parser.add_argument("--threads", type=int, default=1, help="of each run, 0 = all cores")
    parser.add_argument("--out", type=Path, help="a folder for the runs; by default a temporary one")
    arguments = parser.parse_args()
    if arguments.seeds < 2 or arguments.epochs < 1:
        parser.error("expected --seeds of at least 2 and --epochs of at least 1")
    if arguments.out is not None:
        found = run_all(arguments, arguments.out)
    else:
        with tempfile.TemporaryDirectory() as folder:
            found = run_all(arguments, Path(folder))
    summary = compare(found)
    show(found, summary, arguments)
    print(describe())
    print(json.dumps(summary))


def run_all(arguments: argparse.Namespace, out: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the entry `best` of each arm's results, in order of the seeds."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ARMS}
    for seed in range(arguments.seeds):
        for name, options in ARMS.items():
            folder = out / f"{name.replace(' ', '_')}_{arguments.rounds}_{arguments.epochs}_s{seed}"
            if not (folder / "result.json").exists():
                sizes = [f"budget.rounds={arguments.rounds}", f"child.restart_epochs={2 * arguments.rounds}"]
                sizes += [f"retrain.epochs={arguments.epochs}", f"execution.threads={arguments.threads}"]
                rlnas.run(
                    ["+experiment=evonet_digits", *options, *sizes, *FEW, f"seed={seed}", f"hydra.run.dir={folder}"]
                )
            best: dict[str, Any] = rlnas.load_result(folder)["best"]
            values = ", ".join(f"{words} {best[value]:.4f}" for value, words in VALUES.items())
            print(f"{name}, seed {seed}: {values}  {best['architecture']}", flush=True)
            found[name].append(best)
    return found


def compare(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return each arm's values and the paired differences of evolution from the others, with 95 % intervals."""
    summary: dict[str, Any] = {"n": len(found["evolution"])}
    for value in VALUES:
        arms = {name: np.array([best[value] for best in runs]) for name, runs in found.items()}
        for name, values in arms.items():
            summary[f"{value}/{name}"] = round(float(values.mean()), 4)
            if name != "evolution":
                test = paired_t(arms["evolution"], values)
                summary[f"{value}/evolution minus {name}"] = [round(x, 4) for x in (test.mean, test.low, test.high)]
    return summary


def show(found: dict[str, list[dict[str, Any]]], summary: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Print the means and the differences."""
    sizes = f"{arguments.seeds} seeds, {arguments.rounds} rounds, {arguments.epochs} epochs alone"
    table = Table(title=f"validation accuracy, {sizes}")
    for column in ("search", *VALUES.values(), *(f"evolution minus this, {words}" for words in VALUES.values())):
        table.add_column(column, justify="left" if column == "search" else "right")
    for name in found:
        means = [f"{summary[f'{value}/{name}']:.4f}" for value in VALUES]
        gaps = [summary.get(f"{value}/evolution minus {name}") for value in VALUES]
        table.add_row(name, *means, *("" if g is None else f"{g[0]:+.4f} [{g[1]:+.4f}, {g[2]:+.4f}]" for g in gaps))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()

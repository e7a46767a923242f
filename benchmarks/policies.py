"""Does the transformer policy scale where the flat MLP does not? ENAS's macro space, 12 layers with all skips.

    python -m benchmarks.policies --seeds 10 --architectures 3000

No table holds 6^12 * 2^55 architectures, so the score is made up: a value of each operator, the same in all layers, and
half as large one of each operator in each layer; for each skip connection a value of its length and half as large one
of the operators that it connects. All values are normal, drawn once from the stream of --landscape; operators and skips
have equal shares of the variance. A query adds noise of a tenth of a standard deviation. Scores are in standard
deviations of uniformly random architectures above their mean.

Prints the mean true score of the incumbent (best observed) after numbers of architectures with its standard error, the
processor seconds of a search, and the ratio of these seconds to the MLP's at 300 architectures. Last line: JSON.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.bare import ListScorer, play
from benchmarks.machine import describe
from benchmarks.sweep import controller_config, typed
from rlnas.evaluators import Evaluator, Score
from rlnas.runs.reader import incumbents
from rlnas.seeding import numpy_stream
from rlnas.spaces import Architecture, NasrlSpace

OPERATORS = ("conv3x3", "conv5x5", "sep_conv3x3", "sep_conv5x5", "avg_pool3x3", "max_pool3x3")
LAYERS = 12
CONTROLLERS = ("ppo", "ppo_transformer", "reinforce", "evolution", "random")
NOISE = 0.1  # standard deviations

Floats = NDArray[np.float64]


class Landscape:
    """The made-up score of architectures of the chain space with 12 layers."""

    def __init__(self, number: int):
        rng = numpy_stream(number, "policies/landscape")
        count = len(OPERATORS)
        self.space = NasrlSpace(LAYERS, OPERATORS)
        self.operator = rng.normal(size=count)[None] + 0.5 * rng.normal(size=(LAYERS, count))  # (t, operators)
        self.length = rng.normal(size=LAYERS)
        self.pair = 0.5 * rng.normal(size=(count, count))
        self.parts = np.zeros((2, 2))  # mean and standard deviation of both parts
        drawn = [self._parts(self.space.sample(rng)) for _ in range(2000)]
        self.parts = np.array([np.mean(drawn, axis=0), np.std(drawn, axis=0)])

    def _parts(self, architecture: Architecture) -> Floats:
        """Return the values of operators and of skips, both summed."""
        rows = self.space.actions(architecture)  # (t, 1 + skip bits)
        chosen = rows[:, 0]
        operators = self.operator[np.arange(LAYERS), chosen].sum()
        to, source = np.nonzero(rows[:, 1:])
        skips = (self.length[to - source] + self.pair[chosen[source], chosen[to]]).sum()
        return np.array([operators, skips])

    def __call__(self, architecture: Architecture) -> float:
        """Return the score, in standard deviations of random architectures above their mean."""
        mean, spread = self.parts
        return float(((self._parts(architecture) - mean) / spread).sum() / 2**0.5)


class Made(Evaluator):
    """Looks the made-up score up, with noise from a stream of the seed."""

    default_scale = "mean_rank"  # as of tables

    def __init__(self, landscape: Landscape, seed: int):
        self.landscape = landscape
        self.rng = numpy_stream(seed, "evaluation")

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return one score for each architecture, in order."""
        true = [self.landscape(architecture) for architecture in architectures]
        noise = NOISE * self.rng.normal(size=len(true))
        return [Score({"accuracy": value + float(one)}, true=value) for value, one in zip(true, noise, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--architectures", type=int, default=3000)
    parser.add_argument("--places", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--landscape", type=int, default=0)
    parser.add_argument("--controllers", nargs="+", default=list(CONTROLLERS))
    parser.add_argument("--settings", nargs="*", default=[], help="such as params.learning_rate=0.001, of all of them")
    given = parser.parse_args()
    torch.set_num_threads(1)
    landscape = Landscape(given.landscape)
    places = [place for place in given.places if place <= given.architectures]
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    found: dict[str, dict[str, Any]] = {name: {"scores": [], "seconds": [], "early": []} for name in given.controllers}
    for seed in seeds:  # alternating, so that a busy moment of the machine meets all
        for name in given.controllers:
            scores, early, seconds = searched(landscape, name, " ".join(given.settings), seed, given.architectures)
            found[name]["scores"].append([scores[place - 1] for place in places])
            found[name]["seconds"].append(seconds)
            found[name]["early"].append(early)
        print(f"seed {seed} is done", flush=True)
    show(found, places)
    print(describe())
    print(json.dumps({"places": places, "found": found}))


def searched(landscape: Landscape, name: str, setting: str, seed: int, count: int) -> tuple[Floats, float, float]:
    """Return the true scores of the incumbents, (count,), and processor seconds: of the first 300, and of all."""
    config = typed(controller_config(name, setting))
    start = time.process_time()
    play(ListScorer(landscape.space, Made(landscape, seed), 300), config, architectures=300, seed=seed)
    early = time.process_time() - start
    scorer = ListScorer(landscape.space, Made(landscape, seed), count)
    start = time.process_time()
    play(scorer, config, architectures=count, seed=seed)
    seconds = time.process_time() - start
    return np.array(scorer.true)[incumbents(np.array(scorer.observed))], early, seconds


def show(found: dict[str, dict[str, Any]], places: Sequence[int]) -> None:
    """Print a row a controller: the score at each place and the seconds."""
    table = Table(title="true score of the incumbent, in standard deviations above the random mean, +- standard error")
    for name in ("controller", "n", *map(str, places), "seconds", "seconds at 300", "times the MLP"):
        table.add_column(name, justify="left" if name == "controller" else "right")
    plain = np.median(found["ppo"]["early"]) if "ppo" in found else float("nan")
    for name, runs in found.items():
        scores = np.array(runs["scores"])  # (seeds, places)
        errors = scores.std(axis=0, ddof=1) / len(scores) ** 0.5 if len(scores) > 1 else np.full(len(places), np.nan)
        cells = [f"{mean:.2f} +- {error:.2f}" for mean, error in zip(scores.mean(axis=0), errors, strict=True)]
        early = np.median(runs["early"])
        table.add_row(
            name, str(len(scores)), *cells, f"{np.median(runs['seconds']):.1f}", f"{early:.1f}", f"{early / plain:.2f}"
        )
    Console(width=160).print(table)


if __name__ == "__main__":
    main()

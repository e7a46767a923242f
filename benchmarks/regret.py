"""Regret of every controller on one table, with its settings of conf/controller, on fresh seeds.

    python -m benchmarks.regret --table nas-bench-macro_cifar10.json --seeds 100 --out outputs/regret
    python -m benchmarks.regret --controllers ppo random --seeds 10           # nasrl_bench, which comes with rlnas

Each search is that of `python -m rlnas +experiment=nas_bench_macro controller=NAME seed=SEED`, without a run folder.
Seeds count from 100,000; settings were chosen with seeds below, on other tables (benchmarks.sweep). Prints the mean of
optimum minus true score of the incumbent after numbers of architectures, with its standard error, in the table's unit,
the processor seconds of a search, and P(better than random) at the last place. Writes one file a search to --out
(architectures, observed values, true scores); finished ones are kept, so that an interrupted call continues and further
controllers can be added. --incumbent bound takes, from the same searches, the architecture with the highest lower bound
of its mean, mean - 2 s / sqrt(queries), s the pooled standard deviation of repeated queries, in place of the best
observation, which runs take. Last line: one JSON object.
"""

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.bare import ListScorer, play, regrets
from benchmarks.machine import describe
from benchmarks.sweep import FRESH_FROM, GRIDS, code_digest, controller_config, typed
from rlnas.config.spaces import NasBenchMacroConfig, NasrlBenchConfig
from rlnas.evaluators import TabularEvaluator
from rlnas.files import write_json
from rlnas.report.comparison.statistics import probability_of_improvement
from rlnas.spaces import IndependentSpace, TableSpace, make_space
from rlnas.tabular import read_benchmark

PLACES = (50, 100, 200, 300, 500)  # architectures
INCUMBENTS = ("observed", "bound")


class Job(NamedTuple):
    """One search. table: path of NAS-Bench-Macro's file, None for nasrl_bench. file: where its record is kept."""

    table: str | None
    controller: str
    seed: int
    architectures: int
    file: Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", help="NAS-Bench-Macro's file; by default nasrl_bench")
    parser.add_argument("--controllers", nargs="+", default=[*GRIDS, "random"])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--architectures", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--incumbent", choices=INCUMBENTS, default="observed")
    parser.add_argument("--out", type=Path, default=Path("outputs/regret"))
    given = parser.parse_args()
    name = "nasrl_bench" if given.table is None else Path(given.table).stem
    seeds = range(FRESH_FROM, FRESH_FROM + given.seeds)
    jobs = [
        Job(given.table, controller, seed, given.architectures, given.out / name / controller / f"{seed}.json")
        for controller in given.controllers
        for seed in seeds
    ]
    missing = [job for job in jobs if kept(job) is None]
    print(f"{len(jobs) - len(missing)} of {len(jobs)} searches are there", flush=True)
    if given.workers == 1:
        for job in missing:
            search(job)
    elif missing:
        with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
            for number, job in enumerate(pool.map(search, missing), 1):
                if number % 100 == 0:
                    print(f"{number}/{len(missing)}: {job.controller}", flush=True)
    records = {one: [kept(job) or {} for job in jobs if job.controller == one] for one in given.controllers}
    places = [place for place in PLACES if place <= given.architectures]
    show(space_of(given.table), records, places, name, given.incumbent)
    print(describe())


@lru_cache(maxsize=2)
def space_of(table: str | None) -> IndependentSpace:
    """Return NAS-Bench-Macro's space of this file, or nasrl_bench."""
    if table is not None:
        return TableSpace("nas_bench_macro", read_benchmark(NasBenchMacroConfig(path=table)))
    found = make_space(NasrlBenchConfig())
    assert isinstance(found, IndependentSpace)
    return found


def kept(job: Job) -> dict[str, Any] | None:
    """Return the record of a finished search; None if there is none, or it is of other code or options, or shorter."""
    try:
        record: dict[str, Any] = json.loads(job.file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    config = json.loads(json.dumps(controller_config(job.controller)))
    same = record["config"] == config and record["code"] == code_digest()
    return record if same and len(record["true"]) >= job.architectures else None


def search(job: Job) -> Job:
    """Search once, on one thread, and write the record."""
    torch.set_num_threads(1)
    space, config = space_of(job.table), controller_config(job.controller)
    scorer = Recorded(space, TabularEvaluator(space, seed=job.seed), job.architectures)
    start = time.process_time()
    play(scorer, typed(config), architectures=job.architectures, seed=job.seed)
    record = {
        "config": config,
        "code": code_digest(),
        "seconds": time.process_time() - start,
        "architectures": scorer.ranks,
        "observed": scorer.observed,
        "true": scorer.true,
    }
    write_json(job.file, record)
    return job


class Recorded(ListScorer):
    """Also records the ranks of the architectures."""

    def __init__(self, space: IndependentSpace, evaluator: TabularEvaluator, architectures: int):
        super().__init__(space, evaluator, architectures)
        self.ranks: list[int] = []

    def score(self, architectures: Sequence[Any], share: float = 1.0) -> Any:
        """Return the outcome of each architecture; raises BudgetSpent as ListScorer does."""
        room = self.budget - len(self.observed)
        self.ranks += [int(self.space.code(one) or 0) for one in architectures[:room]]
        return super().score(architectures, share)


def bound_regrets(space: IndependentSpace, record: dict[str, Any], places: Sequence[int]) -> list[float]:
    """Return optimum minus true score of the architecture with the highest lower bound after each place."""
    found = []
    for place in places:
        observed, true = (np.array(record[name][:place]) for name in ("observed", "true"))
        _, which = np.unique(record["architectures"][:place], return_inverse=True)
        counts = np.bincount(which)
        means = np.bincount(which, observed) / counts
        again = (counts - 1).sum()
        spread = (((observed - means[which]) ** 2).sum() / again) ** 0.5 if again else 0.0
        best = np.flatnonzero(which == (means - 2 * spread / counts**0.5).argmax())[0]
        found.append(float(space.benchmark.optimum - true[best]))
    return found


def show(
    space: IndependentSpace,
    records: dict[str, list[dict[str, Any]]],
    places: Sequence[int],
    name: str,
    incumbent: str = "observed",
) -> None:
    """Print a row a controller, best first at the last place, and the same numbers as JSON."""
    found: dict[str, NDArray[np.float64]] = {}
    for controller, own in records.items():
        if incumbent == "bound":
            rows = [bound_regrets(space, one, places) for one in own]
        else:
            rows = [regrets(space, np.array(one["observed"]), np.array(one["true"]), places) for one in own]
        found[controller] = np.array(rows)  # (seeds, places)
    table = Table(title=f"{name}: regret of the incumbent, mean ± standard error over fresh seeds")
    for head in ("controller", "n", *map(str, places), "P(better than random)", "seconds"):
        table.add_column(head, justify="left" if head == "controller" else "right")
    for controller in sorted(found, key=lambda one: found[one][:, -1].mean()):
        rows = found[controller]
        errors = rows.std(axis=0, ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else np.full(len(places), np.nan)
        cells = [f"{mean:.4f} ± {error:.4f}" for mean, error in zip(rows.mean(axis=0), errors, strict=True)]
        ahead = "-"
        if "random" in found and controller != "random":
            ahead = f"{probability_of_improvement(-rows[:, -1], -found['random'][:, -1]):.2f}"
        seconds = float(np.median([one["seconds"] for one in records[controller]]))
        table.add_row(controller, str(len(rows)), *cells, ahead, f"{seconds:.1f}")
    Console(width=180).print(table)
    print(json.dumps({"places": list(places), "regret": {one: rows.tolist() for one, rows in found.items()}}))


if __name__ == "__main__":
    main()

"""A search over a tabular benchmark: the same environment, controllers, budget and log, with nothing to train.

It has no report.html: a run says little alone, and drawing would take longer than searching.
"""

import time
from pathlib import Path
from typing import Any

from rlnas.config.quoting import compare_command, run_command, shown
from rlnas.config.schema import Config
from rlnas.controllers import make_controller
from rlnas.errors import RlnasError
from rlnas.evaluators import TabularEvaluator
from rlnas.execution.settings import fix_threads
from rlnas.objective import Shaping
from rlnas.runs.environment import read_environment
from rlnas.runs.folder import RunFolder
from rlnas.runs.tables import Table
from rlnas.search.rounds import RecordingScorer, Search
from rlnas.spaces import Architecture, TableSpace, make_table_space

CHECKPOINT_SECONDS = 5.0  # a round takes a fraction of a second here, a checkpoint a few milliseconds


def run_table_job(config: Config, path: Path) -> dict[str, Any]:
    """Do, or finish, a run over a table; returns what its result.json holds.

    Raises RlnasError for what the user can put right.
    """
    folder = RunFolder(path, config)
    with folder.clock.phase("data"):
        space = _space(config, path, folder.saved)
    threads = config.execution.threads or 1  # a policy's matrices are too small for a second one
    fix_threads(threads)
    folder.open({"search": {"device": "cpu", "threads": threads}}, space.benchmark.sha256)
    folder.greet()
    benchmark, say = space.benchmark, folder.progress.say
    say(f"table: {benchmark.name}, {space.size:,} architectures, {benchmark.distinct:,} different networks")
    say(f"controller: {config.controller.name}")
    try:
        search = _search(config, space, folder)
        search.run()
        result = folder.write_result(_findings(space, folder.history, search.stopped_by))
        best = result["best"]
        say(f"search ended by {search.stopped_by} after {len(folder.history)} architectures")
        say(f"found: {best['architecture']}")
        say(
            f"observed {best['search_accuracy']:.6g}, true score {best['score']:.6g}, regret {best['regret']:.4g} "
            f"(optimum {benchmark.optimum:.6g})"
        )
        say(f"compare it with other runs: {compare_command([path], 'OTHER_RUNS')}")
    finally:
        folder.close()
    return result


def _space(config: Config, path: Path, saved: dict[str, Any] | None) -> TableSpace:
    """The table's space. RlnasError if it cannot be read, or its content is not what the run in `path` was begun with.

    The table may lie elsewhere by now: what counts is its content.
    """
    before = (read_environment(path) or {}).get("table_sha256") or (saved or {}).get("table")
    where = f"{run_command(resume=shown(path))} space.path=FILE"
    try:
        space = make_table_space(config.space)
    except RlnasError as error:
        if before is None:
            raise
        raise RlnasError(f"{error}. If the table lies elsewhere now, go on with: {where}") from None
    if before is not None and before != space.benchmark.sha256:
        raise RlnasError(
            f"the run in {path} was begun with another table: SHA-256 begins with {before[:12]}, that of "
            f"{config.space.path} with {space.benchmark.sha256[:12]}; go on with the same file, "
            f"wherever it lies: {where}"
        )
    return space


def _search(config: Config, space: TableSpace, folder: RunFolder) -> Search:
    """The search, at its checkpoint if there is one."""
    evaluator = TabularEvaluator(space, seed=config.seed)
    benchmark = space.benchmark

    def costs_of(architecture: Architecture) -> dict[str, int | None]:
        row = space.rank(architecture)
        known = {"params": benchmark.params, "flops": benchmark.flops}
        return {name: None if values is None else int(values[row]) for name, values in known.items()}

    shaping = Shaping(config.reward, space)
    scorer = RecordingScorer(evaluator, shaping, folder.history, folder.clock, config.search, config.budget, costs_of)
    controller = make_controller(config.controller, space, scorer, seed=config.seed)
    last = time.monotonic()

    def checkpoint(state: dict[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last >= CHECKPOINT_SECONDS:
            with folder.clock.phase("rest"):
                folder.checkpoint("search", {**state, "table": benchmark.sha256})
            last = time.monotonic()

    search = Search(
        config.search,
        config.budget,
        space=space,
        supernet=None,
        scorer=scorer,
        evaluator=evaluator,
        controller=controller,
        graph_of=None,
        rounds=folder.rounds,
        clock=folder.clock,
        progress=folder.progress,
        seed=config.seed,
        checkpoint=checkpoint,
    )
    if folder.saved is not None:
        search.restore(folder.saved)
    return search


def _findings(space: TableSpace, history: Table, stopped_by: str) -> dict[str, Any]:
    """The incumbent, which is the architecture of the best value observed, the first of equals, and the table."""
    benchmark = space.benchmark
    if not len(history):
        raise RlnasError(f"{stopped_by} ended the search before an architecture was looked up; give a larger budget")
    best = max(history.rows, key=lambda row: float(row["accuracy"]))
    networks = {
        int(row["code"]) if benchmark.networks is None else int(benchmark.networks[int(row["code"])])
        for row in history.rows
    }
    score = float(benchmark.score[int(best["code"])])
    return {
        "space": {"name": space.name, "size": str(space.size)},
        "table": {
            "name": benchmark.name,
            "sha256": benchmark.sha256,
            "architectures": space.size,
            "networks": benchmark.distinct,
            "optimum": benchmark.optimum,
            "optimal_architecture": space.text(space.unrank(benchmark.best)),
            "simulated_seconds": benchmark.seconds is not None,
        },
        "best": {
            "architecture": best["architecture"],
            "code": best["code"],
            "search_accuracy": float(best["accuracy"]),
            "score": score,
            "regret": benchmark.optimum - score,
            "valid_accuracy": None,
            "test_accuracy": None,
            "params": int(best["params"]) if best["params"] else None,
            "flops": int(best["flops"]) if best["flops"] else None,
        },
        "networks_unique": len(networks),
        "stopped_by": stopped_by,
    }

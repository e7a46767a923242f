"""Print the time that each phase of a search took.

    python -m benchmarks.search_cost outputs/nasrl_cifar/2026-01-31_12-00-00

Reads a finished run folder and prints seconds and shares of every phase of the search: training the shared
weights (warm-up and rounds), evaluation, controller and the rest. Retraining is listed separately, since
it is not part of the search. Last line: one JSON object of the shares.
"""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

import rlnas
from benchmarks.machine import describe

SEARCH = ("warmup", "child", "evaluation", "select", "controller", "rest")
LABELS = {
    "warmup": "shared weights, warm-up",
    "child": "shared weights, rounds",
    "evaluation": "evaluation of children",
    "select": "selection (whole validation split)",
    "controller": "controller",
    "rest": "rest (checkpoints, tables, progress)",
    "data": "loading data",
    "retrain": "retraining and test",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", type=Path)
    result = rlnas.load_result(parser.parse_args().run_folder)
    seconds = result["seconds"]
    total = sum(seconds.get(phase, 0.0) for phase in SEARCH)
    table = Table(title=f"{result['name']}, {result['dataset']}, controller {result['controller']}")
    table.add_column("phase")
    table.add_column("seconds", justify="right")
    table.add_column("share of the search", justify="right")
    for phase in SEARCH:
        spent = seconds.get(phase, 0.0)
        table.add_row(LABELS[phase], f"{spent:.1f}", f"{spent / total:.1%}")
    table.add_section()
    for phase in ("data", "retrain"):
        table.add_row(LABELS[phase], f"{seconds.get(phase, 0.0):.1f}", "")
    Console().print(table)
    print(describe())
    overhead = (seconds.get("controller", 0.0) + seconds.get("rest", 0.0)) / total
    shares = {phase: round(seconds.get(phase, 0.0) / total, 4) for phase in SEARCH}
    print(json.dumps({**shares, "controller_and_rest": round(overhead, 4), "search_seconds": round(total, 1)}))


if __name__ == "__main__":
    main()

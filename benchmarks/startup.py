"""Measure the start-up time of commands.

    python -m benchmarks.startup
    python -m benchmarks.startup --repeats 10

Each command runs in a new Python process, alternating; the best and the median of the repeats are printed, and the
median as a multiple of the time of importing torch. Last line: one JSON object of those multiples.
"""

import argparse
import json
import subprocess
import sys
import time
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe

COMMANDS = {
    "python": ["-c", "pass"],
    "import torch": ["-c", "import torch"],
    "import rlnas": ["-c", "import rlnas"],
    "rlnas --help": ["-m", "rlnas", "--help"],
    "rlnas --cfg job": ["-m", "rlnas", "--cfg", "job"],
    "rlnas, a wrong key": ["-m", "rlnas", "no_such_key=1"],
    "rlnas.compare --help": ["-m", "rlnas.compare", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=False, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    table = Table(title=f"{repeats} repeats")
    for column in ("command", "best", "median", "x import torch"):
        table.add_column(column, justify="left" if column == "command" else "right")
    torch_takes = median(seconds["import torch"])
    for name, values in seconds.items():
        table.add_row(name, f"{min(values):.2f} s", f"{median(values):.2f} s", f"{median(values) / torch_takes:.2f}")
    Console(width=100).print(table)
    print(describe())
    print(json.dumps({name: round(median(values) / torch_takes, 3) for name, values in seconds.items()}))


if __name__ == "__main__":
    main()

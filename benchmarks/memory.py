"""Measure the memory that scoring takes.

    python -m benchmarks.memory
    python -m benchmarks.memory --limits 128,512,2048

Peak resident size of a process that scores one batch of random architectures in ENAS's space: rlnas under several
limits (execution.memory_mb) and (b) of benchmarks.children, each in its own process. rlnas may exceed (b) by
its limit. Last line: one JSON object; `excess_of_limit_N` is the excess of rlnas over (b), as a share of the limit.
"""

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.rivals import Work, batches_of, close, rivals
from rlnas.spaces import NasrlSpace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=30, help="architectures in a batch")
    parser.add_argument("--images", type=int, default=1000, help="validation images, in batches of 500")
    parser.add_argument("--limits", default="256,1024,4096", help="execution.memory_mb, comma-separated")
    arguments = parser.parse_args()
    batch = batches_of(NasrlSpace(12, filters=36), arguments.children)["random"]
    table = Table(title=f"{arguments.children} random children, {arguments.images} images")
    for column in ("", "seconds", "peak MiB", "beyond (b), MiB"):
        table.add_column(column, justify="right" if column else "left")

    def measure(name: str, memory_mb: int) -> tuple[float, float]:
        with rivals(Work(images=arguments.images, memory_mb=memory_mb), (name,)) as found:
            found[name]("prepare", batch)
            seconds, _ = found[name]("score", batch)
            about.update(found[name]("about"))
            return seconds, found[name]("peak_mb")

    about: dict[str, Any] = {}
    seconds, plain = measure("best", 1024)
    table.add_row("(b) plain, best setting", f"{seconds:.2f}", f"{plain:.0f}", "")
    ratios = {}
    for limit in map(int, arguments.limits.split(",")):
        seconds, peak = measure("ours", limit)
        table.add_row(f"rlnas, limit {limit} MiB", f"{seconds:.2f}", f"{peak:.0f}", f"{peak - plain:.0f}")
        ratios[f"excess_of_limit_{limit}"] = (peak - plain) / limit
    Console(width=120).print(table)
    close(ratios, about)


if __name__ == "__main__":
    main()

"""Measure the speed-up of scoring children together instead of one by one.

    python -m benchmarks.children
    python -m benchmarks.children --children 30 --images 300 --repeats 3 --plain-repeats 3

ENAS's space with shared weights; three batches of architectures (random, mutated, from a converging policy).
rlnas scores a batch in merged passes; (a) runs plain stand-alone PyTorch modules in float32, NCHW, with the
system's allocator; (b) the same modules in the number format, layout and allocator settings that rlnas uses.
Seconds are medians over repeats in which the three alternate; (a), which takes most of the time, runs once by
default. Last line: one JSON object of the ratios.
"""

import argparse
from functools import partial

from rich.console import Console
from rich.table import Table

from benchmarks.rivals import LABELS, Order, Work, batches_of, close, rivals, take_turns
from rlnas.networks.merge import merge
from rlnas.spaces import Architecture, NasrlSpace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=30, help="architectures in a batch")
    parser.add_argument("--images", type=int, default=1000, help="validation images, in batches of 500")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--filters", type=int, default=36)
    parser.add_argument("--repeats", type=int, default=2, help="measured turns, after one child to warm up")
    parser.add_argument("--plain-repeats", type=int, default=1, help="of these turns, how many (a) takes part in, >= 1")
    parser.add_argument("--memory-mb", type=int, default=1024, help="execution.memory_mb")
    arguments = parser.parse_args()
    space = NasrlSpace(arguments.layers, filters=arguments.filters)
    work = Work(arguments.layers, arguments.filters, images=arguments.images, memory_mb=arguments.memory_mb)
    table = Table(title=f"{arguments.children} children, {arguments.images} images, {arguments.repeats} turns")
    for column in ("batch", *LABELS.values(), "nodes run of all", "vs (a)", "vs (b)", "scores differ by"):
        table.add_column(column, justify="left" if column == "batch" else "right")
    ratios: dict[str, float] = {}
    with rivals(work) as found:
        about = found["ours"]("about")
        for kind, batch in batches_of(space, arguments.children).items():
            for order in found.values():
                order("prepare", batch)
                order("score", batch[:1])  # the first call pays for what is set up once
            accuracies: dict[int, list[float]] = {}

            seconds = take_turns(found, partial(_score, batch, accuracies), arguments.repeats, arguments.plain_repeats)
            graphs = [space.graph(one, image_channels=3, image_size=32, classes=10) for one in batch]
            nodes = len(merge(graphs).graph.nodes) / sum(len(graph.nodes) for graph in graphs)
            ours = accuracies[id(found["ours"])]
            worst = max(abs(x - y) for x, y in zip(ours, accuracies[id(found["best"])], strict=True))
            ratios[f"{kind}_vs_plain_fp32"] = seconds["plain"] / seconds["ours"]
            ratios[f"{kind}_vs_plain_best"] = seconds["best"] / seconds["ours"]
            table.add_row(
                kind,
                *(f"{seconds[name]:.2f} s" for name in LABELS),
                f"{nodes:.0%}",
                f"{ratios[f'{kind}_vs_plain_fp32']:.2f} x",
                f"{ratios[f'{kind}_vs_plain_best']:.2f} x",
                f"{worst:.4f}",
            )
    Console(width=150).print(table)
    close(ratios, about)


def _score(batch: list[Architecture], accuracies: dict[int, list[float]], order: Order) -> float:
    seconds, accuracies[id(order)] = order("score", batch)
    return float(seconds)


if __name__ == "__main__":
    main()

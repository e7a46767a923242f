"""Measure the training speed of the shared weights.

    python -m benchmarks.training
    python -m benchmarks.training --steps 10 --batch 128 --layers 12 --filters 36

Steps on random architectures of ENAS's space, one architecture each: augmentation, forward, backward, clipping,
Nesterov SGD. (a) and (b) as in benchmarks.children, with one module for each architecture. Seconds are medians over
repeats in which the three alternate. Last line: one JSON object of the ratios.
"""

import argparse

from rich.console import Console
from rich.table import Table

from benchmarks.rivals import LABELS, Work, batches_of, close, rivals, take_turns
from rlnas.spaces import NasrlSpace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="architectures, a step each")
    parser.add_argument("--batch", type=int, default=128, help="training images in a step")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--filters", type=int, default=36)
    parser.add_argument("--repeats", type=int, default=3, help="measured turns, after one child to warm up")
    arguments = parser.parse_args()
    batch = batches_of(NasrlSpace(arguments.layers, filters=arguments.filters), arguments.steps)["random"]
    with rivals(Work(arguments.layers, arguments.filters, train_batch=arguments.batch)) as found:
        about = found["ours"]("about")
        for order in found.values():
            order("prepare", batch)
            order("train", batch[:1])  # the first call pays for what is set up once
        seconds = take_turns(found, lambda order: order("train", batch), arguments.repeats)
    table = Table(title=f"{arguments.steps} steps of {arguments.batch} images, {arguments.repeats} repeats")
    for column in ("", "seconds", "images/s", "rlnas is faster by"):
        table.add_column(column, justify="right" if column else "left")
    for name, label in LABELS.items():
        images = arguments.steps * arguments.batch / seconds[name]
        table.add_row(label, f"{seconds[name]:.2f}", f"{images:.0f}", f"{seconds[name] / seconds['ours']:.2f} x")
    Console(width=120).print(table)
    ratios = {"plain_fp32": seconds["plain"], "plain_best": seconds["best"]}
    close({f"vs_{name}": value / seconds["ours"] for name, value in ratios.items()}, about)


if __name__ == "__main__":
    main()

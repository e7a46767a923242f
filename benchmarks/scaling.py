"""Measure how the cost of a child grows with layers, children in a call, and images.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --repeats 5 --filters 36

Random architectures of ENAS's space, scored by rlnas; one of the three varies, the others stay at 12 layers, 30
children, 1,000 images. Milliseconds per child, and per child and image, medians over repeats. The cost per child must
not grow with the number of children. Last line: one JSON object: for each curve its last cost per unit (layer, child,
image) as a multiple of its first.
"""

import argparse
from functools import partial

from rich.console import Console
from rich.table import Table

from benchmarks.rivals import Order, Work, batches_of, close, rivals, take_turns
from rlnas.spaces import Architecture, NasrlSpace

LAYERS, CHILDREN, IMAGES = 12, 30, 1000
CURVES = {
    "layers": [(layers, CHILDREN, IMAGES) for layers in (4, 8, 12, 16, 24)],
    "children": [(LAYERS, children, IMAGES) for children in (1, 3, 10, 30, 100)],
    "images": [(LAYERS, CHILDREN, images) for images in (100, 500, 1000, 2000, 5000)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filters", type=int, default=36)
    parser.add_argument("--repeats", type=int, default=2, help="measured turns, after one child to warm up")
    arguments = parser.parse_args()
    table = Table(title=f"random children, {arguments.filters} filters, {arguments.repeats} repeats")
    for column in ("layers", "children", "images", "ms a child", "ms a child, layer and 1,000 images"):
        table.add_column(column, justify="right")
    growth = {}
    about = None
    known: dict[tuple[int, int, int], float] = {}
    for curve, points in CURVES.items():
        costs = []
        for layers, children, images in points:
            if (layers, children, images) not in known:
                batch = batches_of(NasrlSpace(layers, filters=arguments.filters), children)["random"]
                with rivals(Work(layers, arguments.filters, images=images), ("ours",)) as found:
                    about = found["ours"]("about")
                    found["ours"]("prepare", batch)
                    found["ours"]("score", batch[:1])  # the first call pays for what is set up once
                    score = partial(_seconds, batch)
                    known[layers, children, images] = take_turns(found, score, arguments.repeats)["ours"]
            each = 1000 * known[layers, children, images] / children
            unit = each / layers / (images / 1000)
            costs.append(unit if curve != "children" else each)
            table.add_row(str(layers), str(children), f"{images:,}", f"{each:.1f}", f"{unit:.1f}")
        table.add_section()
        growth[curve] = costs[-1] / costs[0]
    Console(width=120).print(table)
    assert about is not None
    close(growth, about)


def _seconds(batch: list[Architecture], order: Order) -> float:
    return float(order("score", batch)[0])


if __name__ == "__main__":
    main()

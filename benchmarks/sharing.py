"""Measure what `space.sharing` costs or saves in scoring and training.

    python -m benchmarks.sharing
    python -m benchmarks.sharing --space nasrl_enas --children 10 --repeats 3

The same batches of architectures (random, mutated, from a converging policy) are scored by each way of sharing, then
the random ones are trained for one step each. Seconds are medians over repeats in which the ways alternate in one
process, after one that is not counted. Last line: one JSON object of the ratios to sharing=operator, below 1 is faster.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from rich.console import Console
from rich.table import Table

import rlnas
from benchmarks.rivals import batches_of, close, random_images
from rlnas.children.supernet import Supernet
from rlnas.config.schema import ChildConfig, ExecutionConfig, SharedWeightsConfig
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.execution.rule import Layers
from rlnas.execution.settings import set_up
from rlnas.networks.merge import merge
from rlnas.spaces import NasrlSpace
from rlnas.spaces.networks import Networks
from rlnas.spaces.sharing import SHARING


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="nasrl_small", help="an option of the group space that takes space.sharing")
    parser.add_argument("--children", type=int, default=30, help="architectures in a batch")
    parser.add_argument("--images", type=int, default=500, help="validation images, one pass")
    parser.add_argument("--batch", type=int, default=64, help="training images in a step")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    spaces = {form: rlnas.make_space(arguments.space, sharing=form) for form in SHARING}
    plain = spaces["operator"]
    assert isinstance(plain, NasrlSpace)
    side = 32 // plain.stem_stride
    execution = set_up(ExecutionConfig(), None, Layers(arguments.batch, plain.filters, (side, side)))
    execution.activate()
    data = random_images(4 * arguments.batch, arguments.images)
    evaluators = {}
    for form, space in spaces.items():
        config = ChildConfig(batch_size=arguments.batch, dropout=0.0)
        net = Supernet(config, data, track_statistics=False, execution=execution, seed=0)
        scoring = SharedWeightsConfig(images=0, batch_size=arguments.images)
        evaluators[form] = SharedWeightsEvaluator(scoring, net, data, Networks(space, 3, 32, 10), seed=0)
    table = Table(title=f"{arguments.space}, {arguments.children} children, {arguments.images} images")
    for column in ("work", *(f"{form}, s" for form in SHARING), "nodes run", "ratio to operator"):
        table.add_column(column, justify="left" if column == "work" else "right")
    ratios: dict[str, float] = {}

    def add(work: str, actions: dict[str, Callable[[], object]], nodes: list[int]) -> None:
        seconds = alternate(actions, arguments.repeats)
        for form in SHARING[1:]:
            ratios[f"{work}_{form}"] = seconds[form] / seconds["operator"]
        words = " ".join(f"{ratios[f'{work}_{form}']:.2f}" for form in SHARING[1:])
        table.add_row(work, *(f"{seconds[form]:.3f}" for form in SHARING), " ".join(map(str, nodes)), words)

    batches = batches_of(plain, arguments.children)
    for kind, batch in batches.items():
        nodes = [len(merge([one.networks.graph(a) for a in batch]).graph.nodes) for one in evaluators.values()]
        add(kind, {form: partial(one.evaluate_fully, batch) for form, one in evaluators.items()}, nodes)
    random = batches["random"]
    graphs = {form: [one.networks.graph(architecture) for architecture in random] for form, one in evaluators.items()}
    steps = {form: partial(one.supernet.train, graphs[form], len(random)) for form, one in evaluators.items()}
    add("training", steps, [sum(len(graph.nodes) for graph in every) for every in graphs.values()])
    Console(width=150).print(table)
    close(ratios, execution.describe())


def alternate(actions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each action over `repeats` turns in which they alternate, after an uncounted one."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(repeats + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(taken) for name, taken in seconds.items()}


if __name__ == "__main__":
    main()

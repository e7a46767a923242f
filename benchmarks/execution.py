"""Measurements for the rule of `execution=auto`: images/s for each number format, memory layout and thread count.

    python -m benchmarks.execution
    python -m benchmarks.execution --experiments nasrl_cifar --repeats 7 --steps 8

The layers of the experiments on random images: training of the shared weights and scoring with the search's layers,
retraining with its own. All choices alternate, so that a temporary slow-down affects all. Printed: medians, and the
ratio to float32, channels_last, the most threads. A choice more than four times slower than the fastest in the
first turn is not measured again ("-"). The last column has the rule's choice, and its speed as a share of the
fastest choice's. Last line: one JSON object of the ratios.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import hydra
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from rlnas.children.retrain import Retraining
from rlnas.children.supernet import Supernet
from rlnas.cli import CONF
from rlnas.config.build import build_config
from rlnas.config.composed import without_hydra
from rlnas.config.schema import Config
from rlnas.data import ImageData, Images
from rlnas.data.augment import Augmentation
from rlnas.data.images import Decoded
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.execution.processor import cores
from rlnas.execution.rule import Layers, choose, threads_for
from rlnas.execution.settings import Execution, keep_large_buffers
from rlnas.networks.graph import Graph
from rlnas.search.given import final_config
from rlnas.seeding import numpy_stream
from rlnas.spaces import make_space
from rlnas.spaces.networks import Networks

SHAPES = {"nasrl_digits": (1, 8), "nasrl_cifar": (3, 32), "nasrl_cifar_paper": (3, 32)}  # channels, pixels a side
HOPELESS = 4
Key = tuple[torch.dtype, bool, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--repeats", type=int, default=5, help="measured turns, after one to warm up")
    parser.add_argument("--steps", type=int, default=4, help="gradient steps or scored children in a turn")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    keep_large_buffers()
    threads = cores()
    counts = sorted({1, threads}, reverse=True) if device.type == "cpu" else [threads]
    keys = [(dtype, last, n) for n in counts for dtype in (torch.float32, torch.bfloat16) for last in (True, False)]
    ratios: dict[str, dict[str, float]] = {}
    table = Table(title=f"images/s, and the ratio to {_name(keys[0])}; {arguments.repeats} turns")
    for column in ("layers", *map(_name, keys), "the rule"):
        table.add_column(column, justify="right" if column != "layers" else "left")
    for experiment in arguments.experiments:
        with hydra.initialize_config_dir(str(CONF), version_base=None):
            config = build_config(without_hydra(hydra.compose("config", [f"+experiment={experiment}"])))
        data = random_images(*SHAPES[experiment], device)
        for phase, work in (("training", _training), ("scoring", _scoring), ("retraining", _retraining)):
            steps = {key: work(config, data, _execution(device, key), arguments.steps) for key in keys}
            seconds = _take_turns(steps, arguments.repeats, device)
            graph, images = steps[keys[0]].graph, steps[keys[0]].images
            layers = Layers(images // arguments.steps, graph.nodes[0].channels, graph.nodes[0].size)
            chosen = choose(device, layers)
            ruled = (chosen.dtype, chosen.channels_last, threads_for(layers, threads))
            label = f"{images // arguments.steps} x {layers.channels} x {layers.size[0]} x {layers.size[1]}"
            usual = seconds[keys[0]]
            assert usual is not None
            row = {_name(key): usual / spent for key, spent in seconds.items() if spent is not None}
            cells = [
                "-" if spent is None else f"{images / spent:,.0f} ({row[_name(key)]:.2f})"
                for key, spent in seconds.items()
            ]
            share = row[_name(ruled)] / max(row.values()) if _name(ruled) in row else None
            cells.append(_name(ruled) if share is None else f"{_name(ruled)} ({share:.2f})")
            table.add_row(f"{experiment} {phase}: {label}", *cells)
            ratios[f"{experiment} {phase}"] = {name: round(ratio, 3) for name, ratio in row.items()}
            print(f"{experiment} {phase}: {label}: {ratios[f'{experiment} {phase}']}", flush=True)
    Console(width=200).print(table)
    print(describe())
    print(json.dumps(ratios))


@dataclass(frozen=True)
class Work:
    """One turn: the function to call, a graph of its layers, the number of images computed in it."""

    step: Callable[[], object]
    graph: Graph
    images: int


def random_images(channels: int, size: int, device: torch.device) -> ImageData:
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> Images:
        pixels = torch.randint(0, 256, (count, channels, size, size), generator=generator, dtype=torch.uint8)
        return Images(pixels.to(device), (torch.arange(count) % 10).to(device))

    classes = tuple("0123456789")
    train, valid, test = images(1024), images(1000), images(10)
    mean = std = torch.full((channels,), 0.5, device=device)
    return ImageData(
        "random", classes, channels, size, train, valid, mean, std, Augmentation(crop=1), lambda: Decoded(test, classes)
    )


def _execution(device: torch.device, key: Key) -> Execution:
    dtype, channels_last, _ = key
    return Execution(device, dtype, channels_last)


def _training(config: Config, data: ImageData, execution: Execution, steps: int) -> Work:
    graphs = [_graph(config.space, number, data) for number in range(steps)]
    net = Supernet(config.child, data, track_statistics=False, execution=execution, seed=0)

    def train() -> None:
        net.train(graphs, steps)

    return Work(train, graphs[0], steps * net.batches.size)


def _scoring(config: Config, data: ImageData, execution: Execution, steps: int) -> Work:
    space = make_space(config.space)
    rng = numpy_stream(0, "benchmark")
    children = [space.sample(rng) for _ in range(steps)]
    networks = Networks(space, data.channels, data.size, len(data.classes))
    net = Supernet(config.child, data, track_statistics=False, execution=execution, seed=0)
    evaluator = SharedWeightsEvaluator(replace(config.evaluator, images=500), net, data, networks, seed=0)

    def score() -> None:
        net.version += 1  # so that nothing is remembered
        evaluator.evaluate(children)

    return Work(score, networks.graph(children[0]), steps * 500)


def _retraining(config: Config, data: ImageData, execution: Execution, steps: int) -> Work:
    graph = _graph(final_config(config), 0, data)
    training = Retraining(replace(config.retrain, dropout=0.0, drop_path=0.0), graph, data, execution=execution, seed=0)

    def train() -> None:
        for _ in range(steps):
            loss = training.trainer.step([graph], 0.01)
        float(loss)  # waits for the device

    return Work(train, graph, steps * training.trainer.batches.size)


def _graph(options: Any, number: int, data: ImageData) -> Graph:
    """Return a random network of a space."""
    space = make_space(options)
    networks = Networks(space, data.channels, data.size, len(data.classes))
    return networks.graph(space.sample(numpy_stream(number, "benchmark")))


def _take_turns(work: dict[Key, Work], repeats: int, device: torch.device) -> dict[Key, float | None]:
    """Return the median seconds of each choice; None for one that is HOPELESS times slower than the fastest."""
    taken: dict[Key, list[float]] = {key: [] for key in work}
    for turn in range(1 + repeats):
        first = {}
        for key, one in work.items():
            if turn and not taken[key]:
                continue
            torch.set_num_threads(key[2])
            start = time.perf_counter()
            one.step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            spent = time.perf_counter() - start
            if turn:
                taken[key].append(spent)
            else:
                first[key] = spent
        if not turn:
            for key, spent in first.items():
                if spent <= HOPELESS * min(first.values()) or key[0] == torch.float32:
                    taken[key] = [spent]
    return {key: median(values[1:]) if values else None for key, values in taken.items()}


def _name(key: Key) -> str:
    dtype, channels_last, threads = key
    layout = "channels_last" if channels_last else "contiguous"
    return f"{str(dtype).removeprefix('torch.')} {layout} {threads}"


if __name__ == "__main__":
    main()

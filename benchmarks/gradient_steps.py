"""Measure a step of controller=darts and gdas against a step of the shared weights on a random architecture.

    python -m benchmarks.gradient_steps
    python -m benchmarks.gradient_steps --space darts_small --repeats 3

A step of a gradient controller is one of the architecture parameters and one of the weights. The ways alternate in one
process, after one step each that is not counted. Processor seconds of one thread, so that other work on the machine
counts less; medians. Last line: one JSON object of the seconds.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

import rlnas
from benchmarks.rivals import random_images
from rlnas.children.bilevel import Bilevel
from rlnas.children.mixing import GumbelSoftmax, Mixing, Softmax
from rlnas.children.supernet import Supernet
from rlnas.config.schema import ChildConfig
from rlnas.execution.settings import Execution
from rlnas.spaces.networks import Networks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="nasrl_small", help="an option of the group space with a relaxation")
    parser.add_argument("--batch", type=int, default=128, help="images in a step")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    space = rlnas.make_space(arguments.space)
    execution = Execution(torch.device("cpu"), torch.float32, channels_last=True)
    data = random_images(4 * arguments.batch, 2 * arguments.batch)
    networks = Networks(space, 3, 32, 10)

    def supernet() -> Supernet:
        config = ChildConfig(batch_size=arguments.batch, dropout=0.0)
        return Supernet(config, data, track_statistics=False, execution=execution, seed=0)

    def bilevel(mixing: Mixing, order: int) -> Callable[[], Any]:
        options: dict[str, Any] = {"learning_rate": 3e-4, "weight_decay": 1e-3, "seed": 0, "purpose": "benchmark"}
        made = Bilevel(supernet(), data, networks.relaxation(), mixing, order=order, **options)
        return lambda: made.train(1)

    rng, plain = np.random.default_rng(0), supernet()
    ways = {
        "one random architecture": lambda: plain.train([networks.graph(space.sample(rng))], 1),
        "gdas": bilevel(GumbelSoftmax(torch.Generator().manual_seed(0), 5.0), 1),
        "darts, order 1": bilevel(Softmax(), 1),
        "darts, order 2": bilevel(Softmax(), 2),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _, (name, way) in itertools.product(range(arguments.repeats + 1), ways.items()):
        start = time.process_time()
        way()
        spent[name].append(time.process_time() - start)
    seconds = {name: round(median(times[1:]), 4) for name, times in spent.items()}
    base = seconds["one random architecture"]
    for name, value in seconds.items():
        print(f"{name:<24} {value:8.3f} s  {value / base:5.1f} x")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()

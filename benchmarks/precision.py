"""Does bfloat16 change the ranking of architectures?

    python -m benchmarks.precision
    python -m benchmarks.precision --epochs 3 --children 200 --images 1000 data.path=my_cifar10

Trains the shared weights of experiment nasrl_cifar in float32 on uniformly random architectures, then scores the
same children with the same weights and images in float32 and under bfloat16 autocast. Other arguments are overrides
of that experiment. Last line: one JSON object with Spearman's rank correlation of the scores.
"""

import argparse
import json
from dataclasses import replace

import hydra
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import pearsonr, spearmanr

from benchmarks.machine import describe
from rlnas.children.supernet import Supernet
from rlnas.cli import CONF
from rlnas.config.build import build_config
from rlnas.config.composed import without_hydra
from rlnas.data import load_data
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.execution.rule import Layers
from rlnas.execution.settings import set_up, use_device
from rlnas.seeding import numpy_stream
from rlnas.spaces import make_space
from rlnas.spaces.networks import Networks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="of the shared weights")
    parser.add_argument("--children", type=int, default=200)
    parser.add_argument("--images", type=int, default=1000, help="validation images")
    arguments, overrides = parser.parse_known_args()
    with hydra.initialize_config_dir(str(CONF), version_base=None):
        config = build_config(without_hydra(hydra.compose("config", ["+experiment=nasrl_cifar", *overrides])))
    data = load_data(config.data, numpy_stream(config.seed, "split"), use_device(config.execution))
    space = make_space(config.space)
    networks = Networks(space, data.channels, data.size, len(data.classes))
    rng = numpy_stream(config.seed, "precision")
    first = networks.graph(space.sample(rng)).nodes[0]
    layers = Layers(config.child.batch_size, first.channels, first.size)
    execution = set_up(replace(config.execution, precision="float32"), layers=layers)
    child = replace(config.child, restart_epochs=arguments.epochs)
    net = Supernet(child, data, track_statistics=False, execution=execution, seed=config.seed)
    steps = net.steps_until(arguments.epochs)
    net.train((networks.graph(space.sample(rng)) for _ in range(steps)), steps)
    children = [space.sample(rng) for _ in range(arguments.children)]
    found = {}
    options = replace(config.evaluator, images=arguments.images)
    for dtype in (torch.float32, torch.bfloat16):
        net.execution = replace(execution, dtype=dtype)
        evaluator = SharedWeightsEvaluator(options, net, data, networks, seed=config.seed)
        found[dtype] = np.array([score.accuracy for score in evaluator.evaluate(children)])
    full, half = found[torch.float32], found[torch.bfloat16]
    table = Table(title=f"{data.name}, {arguments.children} children, {arguments.images} images")
    for column in ("", "float32", "bfloat16"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("mean accuracy", f"{full.mean():.4f}", f"{half.mean():.4f}")
    table.add_row("standard deviation", f"{full.std():.4f}", f"{half.std():.4f}")
    table.add_row("best child", str(full.argmax()), str(half.argmax()))
    Console(width=80).print(table)
    rank, linear = spearmanr(full, half).statistic, pearsonr(full, half).statistic
    largest = np.abs(full - half).max()
    print(f"Spearman {rank:.4f}, Pearson {linear:.4f}, largest difference of an accuracy {largest:.4f}")
    print(describe())
    print(json.dumps({"spearman": round(float(rank), 4), "pearson": round(float(linear), 4), "n": arguments.children}))


if __name__ == "__main__":
    main()

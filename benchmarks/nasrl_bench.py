"""Trains every architecture of the space `nasrl_bench` alone and writes its table.

    python -m benchmarks.nasrl_bench build --parts outputs/nasrl_bench --workers 2
    python -m benchmarks.nasrl_bench table --parts outputs/nasrl_bench --out nasrl_bench.csv

`build` needs CIFAR-10 (data.path or $RLNAS_DATA, as data=cifar10). It trains the eight architectures of equal operators
and two seeds at once (benchmarks.packed), one thread a worker, and keeps each such part as a file: an interrupted build
resumes with the parts that are missing. `table` writes one row an architecture and prints the spread between
architectures, the noise between seeds, the rank correlation of two seeds, and as its last line one JSON object.
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmarks.packed import Member, Packed, evaluate, train
from rlnas.config.schema import DataConfig, ExecutionConfig, RetrainConfig
from rlnas.data import ImageData, Images, load_data
from rlnas.data.sources import CIFAR10_SIZE
from rlnas.execution.settings import Execution, set_up
from rlnas.files import write_json, write_text
from rlnas.seeding import numpy_stream
from rlnas.spaces import NasrlSpace
from rlnas.spaces.nasrl_bench import FILTERS, LAYERS, OPERATORS, REDUCTIONS, STEM_STRIDE
from rlnas.spaces.networks import Networks

DATA = DataConfig(name="cifar10", when_missing="error", limit=28_000, valid=0.25, crop=0, flip=True)
RECIPE = RetrainConfig(epochs=1, batch_size=64, learning_rate=0.2, clip=0, label_smoothing=0)
SEEDS = (0, 1, 2, 3)
TOGETHER = 2  # seeds in a part: 16 networks at once
MEASURES = ("valid_accuracy", "valid_log_likelihood", "test_accuracy", "test_log_likelihood")
CLIP = 4.0  # nats: the lowest log-likelihood of an image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["build", "table"])
    parser.add_argument("--parts", type=Path, required=True, help="folder of the finished parts")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="train this many seeds of each architecture")
    parser.add_argument("--out", type=Path, default=Path("nasrl_bench.csv"), help="file that `table` writes")
    arguments = parser.parse_args()
    if arguments.what == "build":
        build(arguments.parts, arguments.workers, SEEDS[: arguments.seeds])
    else:
        table(arguments.parts, arguments.out)


def space() -> NasrlSpace:
    """Return the space without its table, which may not exist yet."""
    return NasrlSpace(LAYERS, OPERATORS, FILTERS, REDUCTIONS, stem_stride=STEM_STRIDE)


def build(folder: Path, workers: int, seeds: Sequence[int]) -> None:
    """Train every part that `folder` does not hold yet."""
    folder.mkdir(parents=True, exist_ok=True)
    chains = list(itertools.product(OPERATORS, repeat=LAYERS))
    order = numpy_stream(0, "nasrl_bench/order").permutation(len(chains))  # an unfinished table is a sample
    groups = [tuple(seeds[start : start + TOGETHER]) for start in range(0, len(seeds), TOGETHER)]
    todo = [(chains[which], group) for group in groups for which in order]
    todo = [(chain, group) for chain, group in todo if not part(folder, chain, group).exists()]
    start = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(train_part, [folder] * len(todo), *zip(*todo, strict=True)), 1):
            spent = time.monotonic() - start
            print(
                f"{done}/{len(todo)} parts, {spent:.0f} s, {spent / done * (len(todo) - done):.0f} s left", flush=True
            )


def part(folder: Path, chain: Sequence[str], seeds: Sequence[int]) -> Path:
    """Return the file of the part with these operators and seeds."""
    return folder / f"{'-'.join(chain)}_seeds{'-'.join(map(str, seeds))}.json"


@lru_cache
def settings() -> Execution:
    torch.set_num_threads(1)
    return set_up(ExecutionConfig(device="cpu", threads=1, precision="float32", memory_format="channels_last"))


@lru_cache
def images(seed: int) -> ImageData:
    """Return the images of a run with this seed."""
    return load_data(DATA, numpy_stream(seed, "split"), torch.device("cpu"))


@lru_cache
def test_images() -> Images:
    """Return the test images, the same for every seed."""
    return images(0).test()


def train_part(folder: Path, chain: Sequence[str], seeds: Sequence[int]) -> None:
    """Train and evaluate the architectures of these operators with these seeds; write the part's file."""
    execution, data = settings(), [images(seed) for seed in seeds]
    networks = Networks(space(), data[0].channels, data[0].size, len(data[0].classes))
    chosen = [networks.space.parse(words(chain, skips)) for skips in itertools.product((False, True), repeat=3)]
    members = [Member(networks.graph(one), seed) for seed in seeds for one in chosen]
    start = time.process_time()
    packed = Packed(networks.graph(chosen[-1]), members, execution)
    train(packed, RECIPE, data, execution)
    seconds = (time.process_time() - start) / len(members)
    valid = evaluate(packed, data, [own.valid for own in data], CLIP)
    test = evaluate(packed, data, [test_images()] * len(data), CLIP)
    rows: list[dict[str, Any]] = []
    for place, (on_valid, on_test) in enumerate(zip(valid, test, strict=True)):
        rows.append(
            {
                "architecture": networks.space.text(chosen[place % len(chosen)]),
                "seed": members[place].seed,
                "valid_accuracy": on_valid[0],
                "valid_log_likelihood": on_valid[1],
                "test_accuracy": on_test[0],
                "test_log_likelihood": on_test[1],
                "seconds": round(seconds, 3),
            }
        )
    write_json(part(folder, chain, seeds), {"rows": rows})


def words(chain: Sequence[str], skips: Sequence[bool]) -> str:
    """Return the text of four operators with the skips 1 -> 3, 1 -> 4, 2 -> 4."""
    one, two, three, four = chain
    third, first, second = skips
    return f"{one} {two} {three}{'+1' * third} {four}{'+1' * first}{'+2' * second}"


def table(folder: Path, out: Path) -> None:
    """Write the finished parts as a table in order of the architectures' ranks; print its statistics."""
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    for file in sorted(folder.glob("*.json")):
        for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
            rows.setdefault(row["architecture"], {})[row["seed"]] = row
    seeds = sorted(set.intersection(*(set(of_one) for of_one in rows.values())))
    networks = Networks(space(), 3, CIFAR10_SIZE, 10)
    ranked = sorted(rows, key=lambda text: networks.space.rank(networks.space.parse(text)))
    names = [f"{measure}_seed{seed}" for seed in seeds for measure in MEASURES]
    lines = [",".join(["architecture", "params", "flops", "seconds", *names])]
    for text in ranked:
        cost = networks.cost(networks.space.parse(text))
        seconds = np.mean([rows[text][seed]["seconds"] for seed in seeds])
        values = [f"{rows[text][seed][measure]:.4f}" for seed in seeds for measure in MEASURES]
        lines.append(",".join([text, str(cost.params), str(cost.flops), f"{seconds:.2f}", *values]))
    write_text(out, "\n".join(lines) + "\n")
    found = {
        measure: noise(np.array([[rows[text][seed][measure] for seed in seeds] for text in ranked]))
        for measure in MEASURES
    }
    print(f"{out}: {len(ranked)} architectures, {len(seeds)} seeds")
    for measure, numbers in found.items():
        print(f"{measure}: " + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()))
    print(json.dumps({"architectures": len(ranked), "seeds": len(seeds), **found}))


def noise(values: NDArray[np.float64]) -> dict[str, float]:
    """Return statistics of values (n architectures, k >= 2 seeds).

    spread: standard deviation of the true means between architectures, the noise of their estimates removed. noise:
    of one training, within an architecture, after the mean of each seed is removed, which changes no rank. tau:
    mean Kendall's tau of two seeds, over all architectures and within the best quarter by the other seeds' mean (for
    two seeds: by the mean of both).
    """
    n, k = values.shape
    centred = values - values.mean(axis=0)
    within = (centred - centred.mean(axis=1, keepdims=True)).var(axis=1, ddof=1).mean()
    between = centred.mean(axis=1).var(ddof=1) - within / k
    pairs = list(itertools.combinations(range(k), 2))
    top = []
    for a, b in pairs:
        others = [seed for seed in range(k) if seed not in (a, b)] or [a, b]
        best = np.argsort(-values[:, others].mean(axis=1))[: n // 4]
        top.append(kendalltau(values[best, a], values[best, b]).statistic)
    return {
        "mean": float(values.mean()),
        "lowest": float(values.mean(axis=1).min()),
        "highest": float(values.mean(axis=1).max()),
        "spread": float(np.sqrt(max(between, 0))),
        "noise": float(np.sqrt(within)),
        "tau": float(np.mean([kendalltau(values[:, a], values[:, b]).statistic for a, b in pairs])),
        "tau_top_quarter": float(np.mean(top)),
    }


if __name__ == "__main__":
    main()

"""NAS-Bench-Macro (Su et al., CVPR 2021): 6,561 architectures on CIFAR-10, each trained three times.

The key of an architecture has eight digits, one per layer: 0 identity, 1 MobileNetV2 block with kernel 3 and
expansion 3, 2 the same with kernel 5 and expansion 6. Layers form stages of 2, 3 and 3; the first layer of a
stage halves the resolution. After it the position of an identity does not matter, so several keys can be the
same network: 3,969 networks are different.
"""

import hashlib
import itertools
import json
import os
from pathlib import Path

import numpy as np

from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.tabular.benchmark import Benchmark

FILE = "nas-bench-macro_cifar10.json"
SHA256 = "686dee8363cc21cca8c1f321ad5749454f2d9b9ca5972682e137e539bc522297"
STAGES = (2, 3, 3)
WHERE = f"get {FILE} from the folder data of the GitHub repository xiusu/NAS-Bench-Macro"


def read_nas_bench_macro(path: str | None) -> Benchmark:
    """Read the benchmark from its public JSON file, or the folder that holds it; accuracies in percent.

    The default folder is $RLNAS_DATA/nas_bench_macro. A query returns the accuracy of one of the three runs;
    the true score is their mean. Raises RlnasError if the file is missing or differs from the published one.
    """
    file = _locate(path)
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise RlnasError(
            f"{file} is not the published file: its SHA-256 begins with {digest[:8]}, expected {SHA256[:8]}; {WHERE}"
        )
    rows = json.loads(content)
    keys = ["".join(digits) for digits in itertools.product("012", repeat=sum(STAGES))]
    numbers: dict[str, int] = {}
    networks = [numbers.setdefault(network(key), len(numbers)) for key in keys]
    return Benchmark(
        "nas_bench_macro",
        digest,
        tuple(f"layer{layer}" for layer in range(1, sum(STAGES) + 1)),
        (("0", "1", "2"),) * sum(STAGES),
        np.array([rows[key]["test_acc"] for key in keys], dtype=np.float64),
        np.array([rows[key]["mean_acc"] for key in keys], dtype=np.float64),
        params=np.array([rows[key]["params"] for key in keys], dtype=np.int64),
        flops=np.array([rows[key]["flops"] for key in keys], dtype=np.int64),
        networks=np.array(networks, dtype=np.int64),
    )


def network(key: str) -> str:
    """Return the canonical key of a key's network: in each stage, after its first layer, identities come last."""
    parts, start = [], 0
    for length in STAGES:
        first, rest = key[start], key[start + 1 : start + length]
        parts.append(first + rest.replace("0", "").ljust(length - 1, "0"))
        start += length
    return "".join(parts)


def _locate(path: str | None) -> Path:
    if path:
        given = expand(path)
        file = given / FILE if given.is_dir() else given
        if not file.is_file():
            raise RlnasError(f"space.path={path}: there is no {FILE}; {WHERE}")
        return file
    root = os.environ.get("RLNAS_DATA")
    file = expand(root) / "nas_bench_macro" / FILE if root else Path(FILE)
    if not root or not file.is_file():
        raise RlnasError(
            f"space=nas_bench_macro needs its table; {WHERE} and set space.path, or put it into "
            "$RLNAS_DATA/nas_bench_macro"
        )
    return file

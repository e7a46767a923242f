"""nasrl_bench: 2,048 architectures of the nasrl space, each trained alone on CIFAR-10; shipped with rlnas.

How it was built, the noise of its values and what it shows: docs/nasrl_bench.md. `python -m benchmarks.nasrl_bench`
builds it anew.
"""

import csv
import hashlib
import io
import re
from pathlib import Path

import numpy as np

from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.tabular.benchmark import Benchmark

FILE = Path(__file__).with_suffix(".csv")
ROWS = 2048
SEED = re.compile(r"valid_accuracy_seed(\d+)")


def read_nasrl_bench(path: str | None = None) -> Benchmark:
    """Read the shipped table, or one that was built anew; accuracies in 0..1, log-likelihoods in nats.

    A query returns validation accuracy and `log_likelihood` of one training; the true score is the mean test
    accuracy over all trainings. Raises RlnasError if the file is missing or not such a table.
    """
    file = expand(path) if path else FILE
    try:
        content = file.read_bytes()
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8"))))
    except (OSError, UnicodeDecodeError) as error:
        raise RlnasError(f"space.path={path}: the table of nasrl_bench cannot be read: {error}") from None
    seeds = [match[1] for name in (rows[0] if rows else {}) if (match := SEED.fullmatch(name))]
    if len(rows) != ROWS or not seeds:
        raise RlnasError(
            f"space.path={path} is no table of nasrl_bench: {len(rows)} rows and {len(seeds)} columns "
            f"valid_accuracy_seedN, expected {ROWS} and at least 1; build one with python -m benchmarks.nasrl_bench"
        )

    def column(name: str) -> list[float]:
        try:
            return [float(row[name]) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise RlnasError(f"space.path={path}, column {name} of the table of nasrl_bench: {error!r}") from None

    def measured(name: str) -> list[list[float]]:
        return [column(f"{name}_seed{seed}") for seed in seeds]  # (k, n)

    return Benchmark(
        "nasrl_bench",
        hashlib.sha256(content).hexdigest(),
        ("architecture",),
        (tuple(row["architecture"] for row in rows),),
        np.array(measured("valid_accuracy")).T,
        np.array(measured("test_accuracy")).mean(axis=0),
        seconds=np.array(column("seconds")),
        params=np.array(column("params"), dtype=np.int64),
        flops=np.array(column("flops"), dtype=np.int64),
        others={"log_likelihood": np.array(measured("valid_log_likelihood")).T},
    )

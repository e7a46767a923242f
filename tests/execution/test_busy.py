"""The same seed finds the same on a quiet machine and on a busy one, with the execution that is the default."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import TINY, history, result, rlnas

DEFAULT = [item for item in TINY if not item.startswith("execution")]
# wide enough for two threads in scoring and in retraining, where summation order could show
WIDE = ["space.filters=64", "retrain.batch_size=64", "retrain.epochs=1"]
BURN = "while True: pass"


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that never wait."""
    processes = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run(name: str, *arguments: str, cwd: Path, threads: str) -> Path:
    done = rlnas(*DEFAULT, *arguments, f"hydra.run.dir={name}", cwd=cwd, OMP_NUM_THREADS=threads)
    assert done.returncode == 0, done.stderr
    return cwd / name


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], WIDE], ids=["tiny", "wide"])
def test_quiet_and_busy_runs_are_the_same(arguments: list[str], tmp_path: Path) -> None:
    quiet = run("quiet", *arguments, cwd=tmp_path, threads="2")
    with busy(3):
        crowded = run("crowded", *arguments, cwd=tmp_path, threads="2")
    assert history(crowded) == history(quiet)
    assert (crowded / "retrain.csv").read_bytes() == (quiet / "retrain.csv").read_bytes()
    assert result(crowded)["best"] == result(quiet)["best"]
    records = [json.loads((folder / "environment.json").read_text())["execution"] for folder in (quiet, crowded)]
    assert records[0] == records[1]
    assert records[0]["search"]["measured_ms"] == {}
    if arguments:
        assert (records[0]["search"]["scoring_threads"], records[0]["retrain"]["threads"]) == (2, 2)

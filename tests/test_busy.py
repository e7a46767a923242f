"""The same seed finds the same on a quiet machine and on a busy one, with the execution that is the default."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rlnas import job
from rlnas.execution import Execution
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


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_that_waits_for_its_cores_says_so_once(threads: int, caplog: pytest.LogCaptureFixture) -> None:
    """With the option to set where more than one thread waits."""
    shares = [None, 0.05, 0.6, 0.7]
    crowded = object.__new__(job.Job)
    crowded.waiting = SimpleNamespace(share=lambda: shares.pop(0))
    crowded.warned = False
    crowded.executions = {"search": Execution(torch.device("cpu"), torch.float32, True, scoring_threads=threads)}
    crowded._notice_company()
    crowded._notice_company()
    assert not caplog.records
    crowded._notice_company()
    crowded._notice_company()
    [record] = caplog.records
    assert "60 %" in record.getMessage()
    assert ("execution.threads=1" in record.getMessage()) == (threads > 1)

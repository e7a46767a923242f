"""The command line, in this process or one of its own, on a run small enough for a test."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import PIL.Image
import pytest

from rlnas.data import ImageData

T = TypeVar("T")
# digits, shrunken to a few seconds; nothing measured, so that two runs compute alike
TINY = (
    "data.limit=300",
    "space.layers=3",
    "space.filters=4",
    "search.warmup_epochs=1",
    "search.epochs_per_round=0.5",
    "search.architectures_per_round=8",
    "search.random_control=2",
    "budget.rounds=3",
    "controller.episodes=4",
    "select.from_policy=2",
    "select.from_history=2",
    "select.finalists=2",
    "select.references=0",
    "select.controls=0",
    "retrain.epochs=2",
    "retrain.checkpoint_epochs=1",
    "execution.precision=float32",
    "execution.memory_format=channels_last",
    "progress=plain",
    "report=false",
)


def by_default(every: Iterable[T], *chosen: T) -> list[Any]:
    """Parameters of a test: those chosen for the default run, and the others, marked as thorough."""
    return [one if one in chosen else pytest.param(one, marks=pytest.mark.thorough) for one in every]


def environment(**extra: str) -> dict[str, str]:
    """One thread: bit-equality needs a fixed number, and tiny tensors no more."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "1", **extra}


def start(*arguments: str, cwd: Path, **extra: str) -> "subprocess.Popen[str]":
    """`python -m rlnas ...`, running."""
    return subprocess.Popen(
        [sys.executable, "-m", "rlnas", *arguments],
        cwd=cwd,
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell that runs the tests in the background has them, and what they start, ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def in_a_process(*arguments: str, cwd: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    """`python -m rlnas ...`, finished."""
    process = start(*arguments, cwd=cwd, **extra)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def rlnas(*arguments: str, cwd: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    """The same in this process, without the seconds that importing torch takes: the command line's own function."""
    from rlnas.cli import main
    from rlnas.process.caller import torch_unchanged

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), torch_unchanged():
        patch.chdir(cwd)
        for name, value in environment(**extra).items():
            patch.setenv(name, value)
        status = main(arguments)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def history(folder: Path) -> list[dict[str, str]]:
    """history.csv without what a clock wrote."""
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def result(folder: Path) -> dict[str, Any]:
    """result.json."""
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return found


def digits_as_files(root: Path, data: ImageData) -> Path:
    """The splits of `data` as grey PNG files, named so that their order is by class."""
    for split, images in (("train", data.train), ("val", data.valid), ("test", data.test())):
        for number, (pixels, label) in enumerate(zip(images.pixels, images.labels.tolist(), strict=True)):
            folder = root / split / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(pixels[0].numpy()).save(folder / f"{number:04d}.png")
    return root

"""What can go wrong on the command line: a line that helps, no traceback, exit code 1, nothing lost."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from rlnas.runs.checkpoint import load_checkpoint
from tests.command import TINY, history, rlnas


def folder_of_images(root: Path, classes: dict[str, int]) -> Path:
    """Images of one colour a class."""
    for shade, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (60 * shade, number, 0)).save(root / name / f"{number}.png")
    return root


CASES = {
    "unknown group option": (["controller=nope"], ["controller/nope", "reinforce"]),
    "unknown experiment": (["+experiment=nope"], ["experiment/nope", "nasrl_cifar"]),
    "unknown key": (["child.lerning_rate=1"], ["unknown key child.lerning_rate", "did you mean learning_rate"]),
    "unknown key, added": (["+child.lerning_rate=1"], ["unknown key child.lerning_rate", "did you mean learning_rate"]),
    "unknown key of a space": (["+space.layerz=1"], ["unknown key space.layerz", "did you mean layers"]),
    "wrong type": (["space.layers=two"], ["space.layers", "two", "Integer"]),
    "no layers": (["space.layers=0"], ["space.layers is 0", "at least 1"]),
    "negative learning rate": (["child.learning_rate=-0.1"], ["child.learning_rate is -0.1", "above 0"]),
    "negative learning rate of the controller": (
        ["controller.params.learning_rate=-1"],
        ["controller.params.learning_rate is -1", "above 0"],
    ),
    "unknown option of the algorithm": (["+controller.params.lr=1"], ["controller.params.lr", "learning_rate"]),
    "unknown algorithm": (["controller.algorithm=my_module.MyPpo"], ["my_module.MyPpo", "cannot be imported"]),
    "no operators": (["space.operators=[]"], ["space.operators is empty", "conv3x3"]),
    "unknown operator": (["space.operators=[conv3x3,warp3x3]"], ["unknown operator 'warp3x3'", "sep_conv3x3"]),
    "no budget": (["budget.rounds=0"], ["budget.rounds", "never end"]),
    "no such data": (["data=cifar10", "data.path=no/such/folder"], ["no/such/folder", "is not a folder"]),
    "no such run": (["resume=no/such/run"], ["no/such/run", "no such folder"]),
    "architecture of another space": (["architecture='conv3x3 conv3x3'"], ["expected 6 layers"]),
    "final space of other choices": (["+retrain.space.layers=3"], ["retrain.space", "layers=3", "12 or 18"]),
    "new entry without a plus": (["retrain.space={widen: 2}"], ["+retrain.space.NAME=VALUE"]),
    "no such device": (["execution.device=warp"], ["execution.device is 'warp'"]),
    "unwritable output": (["hydra.run.dir=/proc/no/run"], ["/proc/no", "cannot be written", "hydra.run.dir"]),
}


@pytest.mark.variants(10)
@pytest.mark.parametrize("case", CASES)
def test_message_without_traceback_and_exit_code_1(case: str, tmp_path: Path) -> None:
    arguments, words = CASES[case]
    done = rlnas(*arguments, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if "waits for a core" not in line]  # on a busy machine
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("rlnas: error: ")
    for word in words:
        assert word in done.stderr


def test_folder_with_one_class(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path / "images", {"cat": 4})
    done = rlnas("data=folder", f"data.path={images}", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "class" in done.stderr
    assert "images" in done.stderr


def test_folder_with_a_broken_image(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path / "images", {"cat": 30, "dog": 30})
    broken = images / "dog" / "7.png"
    broken.write_bytes(broken.read_bytes()[:40])
    done = rlnas(*(item for item in TINY if "limit" not in item), "data=folder", f"data.path={images}", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "7.png" in done.stderr


def test_resume_of_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    done = rlnas("resume=photos", cwd=tmp_path)
    assert done.returncode == 1
    assert "no run folder" in done.stderr
    assert list((tmp_path / "photos").iterdir()) == []


def test_not_a_number_names_round_and_option_and_keeps_history_and_checkpoint(tmp_path: Path) -> None:
    """One step a round, so that the weights explode after some sound rounds."""
    wild = ["child.learning_rate=10", "child.clip=0", "child.momentum=0.99", "search.warmup_epochs=0"]
    short = [
        "search.epochs_per_round=0.05",
        "search.architectures_per_round=2",
        "controller.episodes=2",
        "budget.rounds=60",
    ]
    done = rlnas(*wild, *short, "search.random_control=0", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    found = re.search(r"round (\d+): the loss of the shared weights is nan", done.stderr)
    assert found is not None, done.stderr
    assert "child.learning_rate" in done.stderr
    assert "child.clip" in done.stderr
    sound = int(found[1]) - 1
    assert sound >= 1
    assert len(history(tmp_path / "run")) == 2 * sound
    state = load_checkpoint(tmp_path / "run" / "checkpoint")
    assert state is not None
    assert state["round"] == sound


def test_a_run_folder_is_not_written_over(tmp_path: Path) -> None:
    first = rlnas(*TINY, "retrain.epochs=0", "hydra.run.dir=run", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    before = history(tmp_path / "run")
    second = rlnas(*TINY, "seed=1", "hydra.run.dir=run", cwd=tmp_path)
    assert second.returncode == 1
    assert "already holds a run" in second.stderr
    assert "resume=run" in second.stderr
    assert history(tmp_path / "run") == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs needs root: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
def test_full_disk_during_a_checkpoint_loses_nothing_and_goes_on_with_space(small_disk: Path, tmp_path: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 700_000)
    done = rlnas(*TINY, "space.filters=24", "hydra.run.dir=disk/run", cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert "no space left" in done.stderr
    assert "resume=" in done.stderr
    os.unlink(ballast)
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    again = rlnas("resume=disk/run", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    other = rlnas(*TINY, "space.filters=24", "hydra.run.dir=other", cwd=tmp_path)
    assert other.returncode == 0, other.stderr
    assert history(small_disk / "run") == history(tmp_path / "other")

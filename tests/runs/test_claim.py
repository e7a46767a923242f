"""Run folders: one run each, whoever else begins one in the same second; locked; reusable if nothing was done."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rlnas.errors import RlnasError, Unwritable
from rlnas.runs.claim import check_unused, claim, give_back, locked
from rlnas.runs.leftovers import OWN_KEYS, holds_work

COMPOSED = json.dumps({key: {} for key in OWN_KEYS})  # YAML, too


def _claim_many(path: str, count: int) -> list[str]:
    return [claim(Path(path), unique=True).path.name for _ in range(count)]


def test_processes_that_ask_at_once_get_different_folders(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        names = [name for many in pool.starmap(_claim_many, [(str(tmp_path / "a" / "run"), 20)] * 3) for name in many]
    assert sorted(names) == sorted(["run", *(f"run-{number}" for number in range(2, 61))])


def test_a_fixed_name_is_taken_as_it_is(tmp_path: Path) -> None:
    assert claim(tmp_path / "x" / "run", unique=False).made == [tmp_path / "x", tmp_path / "x" / "run"]
    again = claim(tmp_path / "x" / "run", unique=False)
    assert (again.path, again.made) == (tmp_path / "x" / "run", [])


def test_a_place_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(Unwritable, match=r"file.* cannot be written"):
            claim(path, unique=False)


def test_the_lock_is_held_by_one_and_ends_with_its_process(tmp_path: Path) -> None:
    hold = "import sys, time; from pathlib import Path; from rlnas.runs.claim import locked\n"
    hold += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RlnasError, match="another process is at work in"), locked(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with locked(tmp_path):
            pass


def test_a_lock_on_a_log_that_was_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder was given back, and taken by another, between opening and locking."""
    import fcntl

    real, taken = fcntl.flock, []

    def flock(number: int, how: int) -> None:
        if not taken:
            taken.append(number)
            (tmp_path / "rlnas.log").unlink()
        real(number, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path) as log:
        assert os.fstat(log.fileno()).st_ino == (tmp_path / "rlnas.log").stat().st_ino


@pytest.mark.parametrize(
    ("name", "content", "work"),
    [
        ("result.json", "{}", True),
        ("checkpoint/000001.checkpoint", "x", True),
        ("history.csv", "index,round\n0,1\n", True),
        ("history.csv", "index,round\n", False),
        ("history.csv", "index,round\n0,", False),  # killed while it wrote its first row
        ("rounds.csv", "round\n0\n", True),
        ("best/architecture.json", "{}", True),
        ("environment.json", f'{{"config": {COMPOSED}}}', False),
        (".hydra/overrides.yaml", "[]", False),
        ("tensorboard/search/events.out.tfevents.1", "", False),
    ],
)
def test_what_is_work(name: str, content: str, work: bool, tmp_path: Path) -> None:
    claimed = claim(tmp_path / "outputs" / "run", unique=True)
    for place, text in ((".hydra/config.yaml", COMPOSED), (name, content)):
        (claimed.path / place).parent.mkdir(parents=True, exist_ok=True)
        (claimed.path / place).write_text(text)
    assert holds_work(claimed.path) is work
    if work:
        with pytest.raises(RlnasError, match="already holds a run; resume it with python -m rlnas resume="):
            check_unused(claimed.path)
    else:
        check_unused(claimed.path)
    give_back(claimed)
    assert (claimed.path / name).exists() is work
    assert (tmp_path / "outputs").exists() is work


def test_other_peoples_files_stay(tmp_path: Path) -> None:
    claimed = claim(tmp_path / "run", unique=False)
    (claimed.path / "slurm.out").write_text("x")
    (claimed.path / "environment.json").write_text(f'{{"config": {COMPOSED}}}')
    give_back(claimed)
    assert [path.name for path in claimed.path.iterdir()] == ["slurm.out"]
    given = claim(tmp_path / "run", unique=False)  # not made for this run: nothing is removed
    (given.path / "rlnas.log").write_text("failed")
    give_back(given)
    assert (given.path / "rlnas.log").exists()


def test_a_folder_is_found_relative_to_where_it_was_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    claimed = claim(Path("outputs/run"), unique=True)
    assert claimed.path == Path("outputs/run")
    give_back(claimed)
    assert not (tmp_path / "outputs").exists()
    assert claim(Path("outputs/run"), unique=True).path == Path("outputs/run")

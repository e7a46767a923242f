"""`python -m rlnas.compare`, and the comparison that a sweep ends with."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlnas import cli
from rlnas.compare import main
from rlnas.config.schema import Config
from rlnas.errors import RlnasError
from rlnas.sweep import Folders, objective
from tests.command import TINY, rlnas
from tests.report.comparison_folders import write_run, write_sweep

FILES = {"comparison.csv", "comparison.html"}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return write_sweep(tmp_path / "sweep", {"random": 0, "ppo": 3}, seeds=2, simulated=False)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_a_sweep_is_compared_in_its_own_folder(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep)]) == 0
    assert files(sweep) == FILES
    out = capsys.readouterr().out
    assert "random search" in out
    assert "warning: Against random no difference can be significant" in out
    assert f"comparison: {sweep / 'comparison.html'}" in out
    assert " ± " in out


def test_single_runs_are_compared_elsewhere(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = sorted(path.relative_to(tmp_path).as_posix() for path in sweep.iterdir())
    assert main(runs) == 0
    assert files(tmp_path / "outputs" / "comparison") == FILES
    assert main([*runs, "--out", "here/there"]) == 0
    assert files(tmp_path / "here" / "there") == FILES
    assert "sweep/0_random_s0 " in (tmp_path / "here" / "there" / "comparison.html").read_text()


def broken(root: Path, kind: str) -> list[str]:
    """Arguments that cannot be followed."""
    if kind == "none":
        root.mkdir()
    elif kind == "file":
        root.write_text("")
    elif kind == "unfinished":
        write_run(root / "a", [1.0], finished=False)
    elif kind == "spaces":
        write_run(root / "a", [1.0])
        write_run(root / "b", [91.0], score=[91.0])
    elif kind == "tables":
        write_run(root / "a", [91.0], score=[91.0], sha256="a" * 64)
        write_run(root / "b", [91.0], score=[91.0], sha256="b" * 64)
    elif kind == "twice":
        write_run(root / "a", [1.0])
        write_run(root / "b", [1.0])
    elif kind in ("lengths", "out"):
        write_run(root / "a", [1.0])
        write_run(root / "b", [1.0, 1.0], seed=1)
    return [str(root), *{"lengths": ["--strict"], "out": ["--out", str(root / "a" / "result.json")]}.get(kind, [])]


ERRORS = {
    "none": "no runs found",
    "absent": "is no folder",
    "file": "is no folder",
    "unfinished": "none of the 1 runs can be compared",
    "spaces": "runs of different spaces: nasrl (1 run), nas_bench_macro (1 run); compare",
    "tables": "runs of different tables",
    "twice": "two runs of ppo with seed 0",
    "lengths": "--strict: The runs are not equally long",
    "out": "choose another folder with --out",
}


@pytest.mark.parametrize("kind", ERRORS)
def test_one_line_and_exit_code_1(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(broken(tmp_path / "given", kind)) == 1
    said = capsys.readouterr()
    assert said.err.startswith("rlnas: error: ")
    assert said.err.count("\n") == 1
    assert ERRORS[kind] in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("threads", "said"), [((1, 2), "1 in 1 run, 2 in 3 runs"), ((2, 2), None), ((None, 2), None)], ids=str
)
def test_runs_with_other_threads_are_named(
    threads: tuple[int | None, int], said: str | None, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when some of them ran under hydra/launcher=joblib, which gives each process fewer."""
    for place, run in enumerate(sorted(sweep.iterdir())):
        record = json.loads((run / "environment.json").read_text())
        record["execution"] = {"device": "cpu", "threads": threads[min(place, 1)]}
        (run / "environment.json").write_text(json.dumps(record))
    assert main([str(sweep)]) == 0
    warning = "The runs were computed by different numbers of threads"
    shown = capsys.readouterr().out
    assert (warning in shown) is (said is not None)
    if said:
        assert f"{warning} ({said})" in shown
        assert "execution.threads" in shown


@pytest.mark.parametrize("option", [["--out", "~/found"], ["--out=~/found"]], ids=str)
def test_home_is_a_place(option: list[str], sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["~/sweep", *option]) == 0
    assert files(tmp_path / "found") == FILES


def test_as_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rlnas.compare", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "python -m rlnas.compare" in done.stdout
    assert "--strict" in done.stdout


# -- after a sweep -------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_reader_that_leaves_early_is_no_error(sweep: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` does
    command = [sys.executable, "-m", "rlnas.compare", str(sweep)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert files(sweep) == FILES


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A sweep's jobs write a synthetic run each, and fail for `ppo` with seed 1."""
    begun: list[str] = []

    def run_job(config: Config, folder: Path) -> dict[str, Any]:
        begun.append(folder.name)
        name, seed = config.controller.name, config.seed
        if (name, seed) == ("ppo", 1):
            raise RlnasError("the weights exploded")
        write_run(folder, [0.1 * seed, 0.5], controller=name, seed=seed)
        return {"best": {"search_accuracy": 0.5}}

    monkeypatch.setattr("rlnas.search.job.run_job", run_job)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rlnas"])
    monkeypatch.setattr(logging, "raiseExceptions", True)
    before = signal.getsignal(signal.SIGTERM)
    yield begun
    signal.signal(signal.SIGTERM, before)


def test_a_sweep_ends_with_its_comparison(jobs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-m", "controller=random,reinforce", "seed=0,1", "hydra.sweep.dir=swept"]) == 0
    assert jobs == ["0_random_s0", "1_random_s1", "2_reinforce_s0", "3_reinforce_s1"]
    assert files(Path("swept")) >= FILES
    assert "comparison: swept/comparison.html" in capsys.readouterr().out


def test_a_sweep_with_a_failed_job_is_compared_and_fails(jobs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["controller=ppo,random", "seed=0,1", "hydra.sweep.dir=swept", "-m"]) == 1
    assert len(jobs) == 4
    text = Path("swept/comparison.html").read_text()
    assert "failed: the weights exploded" in text
    said = capsys.readouterr()
    assert "comparison: swept/comparison.html" in said.out
    assert "Traceback" not in said.err
    assert "rlnas: error: the weights exploded" in said.err


def test_without_a_finished_run_or_without_a_sweep_nothing_is_compared(
    jobs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["-m", "controller=ppo", "seed=1", "hydra.sweep.dir=swept"]) == 1
    assert not FILES & files(Path("swept"))
    assert cli.main(["controller=random", "hydra.run.dir=single"]) == 0
    assert not FILES & files(Path("single"))
    assert "comparison" not in capsys.readouterr().out


def test_a_sweep_that_cannot_be_compared_is_no_failure(jobs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-m", "controller=random", "budget.rounds=1,2", "hydra.sweep.dir=swept"]) == 0
    assert "rlnas: warning: no comparison of swept: two runs of random with seed 0" in capsys.readouterr().err


def test_the_callback_stands_among_the_overrides() -> None:
    own = "+hydra.callbacks.folders._target_=rlnas.sweep.Folders"
    assert Folders.asked(["a=1", "-m"]) == ["a=1", own, "-m"]
    assert Folders.asked(["--multirun", "a=1", "b=2"]) == ["--multirun", "a=1", "b=2", own]
    assert Folders.asked(["--help"]) == ["--help", own]
    assert Folders.asked(["-sc", "install=bash"]) == ["-sc", "install=bash"]


def test_what_a_sweeper_maximises() -> None:
    tabular = {"table": {"optimum": 3}, "best": {"search_accuracy": 2.5, "score": 2.0}}
    assert objective(tabular) == 2.0
    assert objective({"best": {"search_accuracy": 0.4, "valid_accuracy": 0.9}}) == 0.4
    assert objective({"best": {"search_accuracy": None, "valid_accuracy": 0.9}}) == 0.9
    assert objective({"best": {}}) is None


@pytest.mark.slow
def test_jobs_run_in_parallel(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done = rlnas(
        "-m",
        *TINY,
        "retrain.epochs=0",
        "controller=random,ppo",
        "seed=0,1",
        "child.clip=5,-1",
        "hydra.sweep.dir=s",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        cwd=tmp_path,
    )
    assert done.returncode == 1  # of the jobs with child.clip=-1
    assert "Traceback" not in done.stderr
    assert "comparison: s/comparison.html" in done.stdout
    text = (tmp_path / "s" / "comparison.html").read_text()
    assert text.count("failed before it began") == 4
    assert "n = 2 for each controller" in text


@pytest.mark.slow
def test_optuna_maximises_what_a_run_returns(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    asked = [
        "-m",
        *TINY,
        "retrain.epochs=0",
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.n_jobs=1",
        "controller.params.learning_rate=interval(0.001,0.01)",
        "hydra.sweep.dir=s",
    ]
    refused = rlnas(*asked, cwd=tmp_path)
    assert refused.returncode == 1
    assert "add hydra.sweeper.direction=maximize" in refused.stderr
    asked[-1] = "hydra.sweep.dir=t"
    done = rlnas(*asked, "hydra.sweeper.direction=maximize", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 0 < yaml.safe_load((tmp_path / "t" / "optimization_results.yaml").read_text())["best_value"] <= 1
    assert files(tmp_path / "t") >= FILES

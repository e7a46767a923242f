"""Stopped anywhere and resumed: the same history and the same result, bit for bit."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from rlnas.cli import run as run_here
from rlnas.execution import settings as execution
from rlnas.execution.rule import Choice, Layers
from tests.command import TINY, history, result, rlnas, start


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted run."""
    cwd = tmp_path_factory.mktemp("reference")
    done = rlnas(*TINY, "hydra.run.dir=run", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd / "run"


def assert_same_end(folder: Path, reference: Path) -> None:
    assert history(folder) == history(reference)
    assert result(folder)["best"] == result(reference)["best"]
    assert result(folder)["candidates"] == result(reference)["candidates"]
    assert (folder / "best" / "model.safetensors").read_bytes() == (
        reference / "best" / "model.safetensors"
    ).read_bytes()


@pytest.mark.thorough
def test_same_seed_same_history(reference: Path, tmp_path: Path) -> None:
    assert rlnas(*TINY, "hydra.run.dir=run", cwd=tmp_path).returncode == 0
    assert_same_end(tmp_path / "run", reference)


@pytest.mark.slow
def test_other_seed_other_history(reference: Path, tmp_path: Path) -> None:
    assert rlnas(*TINY, "seed=1", "hydra.run.dir=run", cwd=tmp_path).returncode == 0
    assert history(tmp_path / "run") != history(reference)


def run_until(folder: Path, sign: str, cwd: Path, stop: signal.Signals, *arguments: str) -> tuple[int, str]:
    """Start a run (or go on with one) and stop it when the file `sign` appears in its folder."""
    process = start(*(arguments or (*TINY, f"hydra.run.dir={folder.name}")), cwd=cwd)
    while not list(folder.glob(sign)) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(stop)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param("environment.json", marks=pytest.mark.slow),
        pytest.param("checkpoint/*.checkpoint", marks=pytest.mark.slow),
        pytest.param("checkpoint/000002*", marks=pytest.mark.slow),
        "retrain.csv",
        pytest.param("best/*", marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed(sign: str, reference: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_until(folder, sign, tmp_path, signal.SIGKILL)
    assert not (folder / "result.json").exists() or sign == "best/*"
    done = rlnas("resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_end(folder, reference)


@pytest.mark.slow
def test_killed_at_20_random_instants(tmp_path: Path) -> None:
    """The digits experiment itself; each run is killed twice."""
    began = time.monotonic()
    assert rlnas("progress=plain", "hydra.run.dir=whole", cwd=tmp_path).returncode == 0
    whole = time.monotonic() - began
    rng = random.Random(0)
    for number in range(20):
        folder = tmp_path / f"run{number}"
        process = start("progress=plain", f"hydra.run.dir={folder.name}", cwd=tmp_path)
        while not (folder / ".hydra" / "config.yaml").exists():
            time.sleep(0.005)
        for _ in range(2):
            time.sleep(rng.uniform(0, 0.7 * whole))
            process.kill()
            process.communicate()
            process = start(f"resume={folder.name}", "progress=plain", cwd=tmp_path)
        _, err = process.communicate()
        assert process.returncode == 0, err
        assert_same_end(folder, tmp_path / "whole")


@pytest.mark.thorough
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(reference: Path, tmp_path: Path) -> None:
    code, err = run_until(tmp_path / "run", "checkpoint/*.checkpoint", tmp_path, signal.SIGINT)
    assert code == 130
    assert "Traceback" not in err
    assert "resume=run" in err
    assert rlnas("resume=run", cwd=tmp_path).returncode == 0
    assert_same_end(tmp_path / "run", reference)


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["truncated", pytest.param("bit-flipped", marks=pytest.mark.slow)])
def test_damaged_newest_checkpoint_falls_back_and_says_so(how: str, reference: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_until(folder, "checkpoint/000003*", tmp_path, signal.SIGKILL)
    *_, newest = sorted((folder / "checkpoint").glob("*.checkpoint"))
    damage(newest, how)
    done = rlnas("resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert newest.name in done.stderr
    assert "damaged" in done.stderr
    assert_same_end(folder, reference)


@pytest.mark.slow
def test_all_checkpoints_damaged_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_until(folder, "checkpoint/000002*", tmp_path, signal.SIGKILL)
    for path in (folder / "checkpoint").glob("*.checkpoint"):
        damage(path, "truncated")
    done = rlnas("resume=run", cwd=tmp_path)
    assert done.returncode == 1
    assert "every checkpoint" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.thorough
def test_another_configuration_is_refused_and_the_same_one_is_not(reference: Path, tmp_path: Path) -> None:
    run_until(tmp_path / "run", "checkpoint/*.checkpoint", tmp_path, signal.SIGKILL)
    before = history(tmp_path / "run")
    other = rlnas(*TINY, "child.learning_rate=0.01", "resume=run", cwd=tmp_path)
    assert other.returncode == 1
    assert "child.learning_rate is 0.01, was 0.05" in other.stderr
    assert history(tmp_path / "run") == before
    same = rlnas(*TINY, "resume=run", cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert_same_end(tmp_path / "run", reference)


@pytest.mark.slow
def test_progress_alone_may_differ_and_other_data_may_not(reference: Path, tmp_path: Path) -> None:
    run_until(tmp_path / "run", "checkpoint/*.checkpoint", tmp_path, signal.SIGKILL)
    record = json.loads((tmp_path / "run" / "environment.json").read_text())
    other = json.loads(json.dumps(record))
    other["config"]["data"]["limit"] = 200
    (tmp_path / "run" / "environment.json").write_text(json.dumps(other))
    refused = rlnas("resume=run", cwd=tmp_path)
    assert refused.returncode == 1
    assert (
        "the run was trained on digits (270 training images), now digits (180) is found, which differs in sizes"
        in refused.stderr
    )
    (tmp_path / "run" / "environment.json").write_text(json.dumps(record))
    done = rlnas("resume=run", "progress=off", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert_same_end(tmp_path / "run", reference)


@pytest.mark.slow
def test_one_shot_resumes_with_its_remembered_scores(tmp_path: Path) -> None:
    """No training between the rounds: the scores of the rounds before stay valid, and cached."""
    one_shot = [*(item for item in TINY if "epochs_per_round" not in item), "search=one_shot", "retrain.epochs=0"]
    assert rlnas(*one_shot, "hydra.run.dir=whole", cwd=tmp_path).returncode == 0
    run_until(tmp_path / "run", "checkpoint/000003*", tmp_path, signal.SIGKILL, *one_shot, "hydra.run.dir=run")
    assert rlnas("resume=run", cwd=tmp_path).returncode == 0
    assert history(tmp_path / "run") == history(tmp_path / "whole")
    assert any(row["cached"] == "1" for row in history(tmp_path / "run"))


def test_resume_of_a_finished_run_changes_nothing(reference: Path) -> None:
    before = {path: path.read_bytes() for path in reference.rglob("*.csv")}
    written = (reference / "result.json").stat().st_mtime_ns
    done = rlnas(f"resume={reference}", cwd=reference.parent)
    assert done.returncode == 0
    assert "finished" in done.stdout
    assert {path: path.read_bytes() for path in reference.rglob("*.csv")} == before
    assert (reference / "result.json").stat().st_mtime_ns == written


def test_environment_json_holds_the_configuration(reference: Path) -> None:
    record = json.loads((reference / "environment.json").read_text())
    assert record["config"]["space"]["layers"] == 3
    assert record["versions"]["torch"]
    assert record["execution"].keys() == {"search", "retrain"}
    for phase in record["execution"].values():
        assert phase["threads"] == 1
        assert os.sep not in phase["device"]


def test_a_resumed_run_does_not_measure_again_and_keeps_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the probe found when the run began holds to its end, whatever it would find now."""
    asked = []

    def pick(choices: list[Choice], device: torch.device, layers: Layers) -> tuple[Choice, dict[Choice, float]]:
        asked.append(choices)
        assert (layers.channels, layers.size) == (4, (8, 8))  # of the digits, at the space's filters
        assert len(asked) == 1, "measured again"
        return choices[1], {choice: number / 8 for number, choice in enumerate(choices)}

    monkeypatch.setattr(execution, "pick", pick)
    kept = [item for item in TINY if not item.startswith(("execution", "progress", "retrain", "space.layers"))]
    given = ["architecture='conv3x3'", "space.layers=1", "retrain.epochs=1", "progress=off", "report=false"]
    given += ["execution.device=cpu", "execution=measured"]
    folder = run_here([*kept, *given, f"hydra.run.dir={tmp_path}/run"])
    record = json.loads((folder / "environment.json").read_text())
    assert record["execution"].keys() == {"retrain"}  # nothing was searched
    assert record["execution"]["retrain"]["memory_format"] == "contiguous"
    assert record["execution"]["retrain"]["measured_ms"]["float32 contiguous"] == 125.0
    found = result(folder)["best"]
    (folder / "result.json").unlink()  # as if killed before its last word
    assert run_here([f"resume={folder}"]) == folder
    assert json.loads((folder / "environment.json").read_text()) == record
    assert result(folder)["best"] == found
    assert result(folder)["resumed"] == 1

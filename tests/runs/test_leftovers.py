"""What lies in a folder when a run is to begin there: somebody else's files are refused or left, never removed."""

import json
import shutil
from pathlib import Path

import pytest

import rlnas
from rlnas.cli import main
from rlnas.errors import RlnasError
from rlnas.runs.leftovers import OWN_KEYS, clear, foreign_names, holds_work
from tests.test_cli_folders import RUN, write_table

OWN = {"config": {key: {} for key in OWN_KEYS}, "arguments": []}
FOREIGN = {
    "checkpoint/model.pt": "weights",
    "checkpoint/best.checkpoint": "weights",
    "checkpoint/deep/000001.checkpoint": "weights",
    "tensorboard/events.out.tfevents.1.host": "events",
    "tensorboard/search/events.out.tfevents.1.host": "events",
    "environment.json": '{"config": {"lr": 0.1}}',
    ".hydra/config.yaml": "lr: 0.1\n",
    ".hydra/hydra.yaml": "{}\n",
    "history.csv": "index,round\n",
    "rounds.csv": "",
    "retrain.csv": "epoch,loss\n1,2\n",
    "result.json": "{}",
    "report.html": "<p>mine",
    "best/model.safetensors": "weights",
    "figures/mine.svg": "<svg/>",
    "rlnas.log": "a word\n",
}


def put(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def content(folder: Path) -> dict[str, bytes | None]:
    """Everything below the folder; None for a folder."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "t.csv")
    (tmp_path / "d").mkdir()
    return tmp_path / "d"


@pytest.fixture
def failed(d: Path) -> Path:
    """A folder in which a run failed before it did anything."""
    assert main([*RUN, "space.decisions=[a,c]", "hydra.run.dir=d"]) == 1
    assert {path.name for path in d.iterdir()} >= {"environment.json", ".hydra", "rlnas.log"}
    return d


@pytest.mark.variants(7)
@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_with_files_that_a_run_would_write_is_refused(name: str, d: Path) -> None:
    put(d, {name: FOREIGN[name], "mine.txt": "x"})
    before = content(d)
    with pytest.raises(RlnasError, match=rf"d holds {name.partition('/')[0]}, .*choose another hydra.run.dir") as error:
        rlnas.run([*RUN, "hydra.run.dir=d"])
    assert "\n" not in str(error.value)
    assert content(d) == before


@pytest.mark.parametrize("wrong", ["seed=-1", "name=${nowhere}", "no_such=1"])
def test_so_it_is_with_an_error_in_the_configuration(wrong: str, d: Path) -> None:
    put(d, {name: text for name, text in FOREIGN.items() if name != ".hydra/config.yaml"})
    before = content(d)
    with pytest.raises(RlnasError):
        rlnas.run([wrong, "hydra.run.dir=d"])
    assert content(d) == before


@pytest.mark.parametrize("mark", ["environment.json", ".hydra/config.yaml"])
def test_one_own_mark_does_not_make_the_other_ones_file_ours(mark: str, d: Path) -> None:
    put(d, {"environment.json": json.dumps(OWN), ".hydra/config.yaml": json.dumps(OWN["config"])})
    assert foreign_names(d) == []
    put(d, {mark: FOREIGN[mark], "checkpoint/model.pt": "weights"})
    assert foreign_names(d) == ["environment.json", ".hydra", "checkpoint"]


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"config": null}', '{"config": []}', "\0", "3"])
@pytest.mark.parametrize("name", ["environment.json", ".hydra/config.yaml"])
def test_what_cannot_be_read_is_not_ours(name: str, text: str, d: Path) -> None:
    put(d, {name: text})
    assert foreign_names(d) == [name.partition("/")[0]]


def test_empty_folders_and_other_names_are_no_obstacle(d: Path) -> None:
    (d / "checkpoint").mkdir()
    (d / "tensorboard" / "search").mkdir(parents=True)
    put(d, {"slurm.out": "x", "data/environment.json": "{}", "rlnas.log": ""})
    assert main([*RUN, "hydra.run.dir=d"]) == 0
    assert (d / "slurm.out").read_text() == "x"
    assert (d / "data" / "environment.json").read_text() == "{}"


def test_a_link_is_no_empty_folder(d: Path) -> None:
    (d / "best").symlink_to(d / "nowhere")
    assert foreign_names(d) == ["best"]


def test_a_failed_run_makes_room_and_others_files_stay(failed: Path) -> None:
    others = {
        "slurm.out": "x",
        "checkpoint/model.pt": "weights",
        "tensorboard/events.out.tfevents.1.host": "events",
        "tensorboard/mine/events.out.tfevents.1.host": "events",
        ".hydra/notes.txt": "x",
        ".environment.json.tmp": "x",
    }
    put(failed, {**others, "tensorboard/search/events.out.tfevents.1.host": "ours", "rounds.csv": "round\n"})
    put(failed, {"checkpoint/.000001.checkpoint.17.tmp": "ours", ".environment.json.17.tmp": "ours"})
    assert main([*RUN, "seed=2", "hydra.run.dir=d"]) == 0
    left = {name for name, held in content(failed).items() if held is not None}
    assert left >= set(others)
    assert not any(name.endswith((".17.tmp", "search/events.out.tfevents.1.host")) for name in left)
    assert {name: (failed / name).read_text() for name in others} == others
    assert rlnas.load_result(failed)["seed"] == 2


def test_own_folders_that_are_empty_afterwards_go(failed: Path) -> None:
    put(failed, {"tensorboard/search/events.out.tfevents.1.host": "ours"})
    clear(failed)
    assert [path.name for path in failed.iterdir()] == ["rlnas.log"]


@pytest.mark.variants(2)
@pytest.mark.parametrize("wrong", [["seed=-1"], ["name=${nowhere}"], ["space.reward=3", "no_such=1"]])
def test_an_error_in_the_configuration_removes_nothing(wrong: list[str], failed: Path) -> None:
    before = content(failed)
    with pytest.raises(RlnasError):
        rlnas.run([*RUN, *wrong, "hydra.run.dir=d"])
    assert content(failed) == before


@pytest.mark.variants(1)
@pytest.mark.parametrize("name", ["best/model.safetensors", "report.html", "figures/mine.svg", "result.json"])
def test_results_beside_an_own_configuration_are_work(name: str, failed: Path) -> None:
    put(failed, {name: "{}"})
    assert holds_work(failed)
    before = content(failed)
    assert main([*RUN, "hydra.run.dir=d"]) == 1
    assert content(failed) == before


def test_what_somebody_put_into_the_folder_of_a_failing_run_stays(d: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(d)

    def fail(_: object, folder: Path) -> None:
        put(folder, {"checkpoint/model.pt": "weights", "mine.txt": "x"})
        raise RlnasError("failed")

    monkeypatch.setattr("rlnas.search.job.run_job", fail)
    assert main([*RUN, "hydra.run.dir=d"]) == 1
    assert content(d) == {"checkpoint": None, "checkpoint/model.pt": b"weights", "mine.txt": b"x"}


def test_a_job_of_a_sweep_refuses_too(d: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(d / "0_random_s0", {"checkpoint/model.pt": "weights"})
    assert main(["-m", *RUN, "seed=0,1", "hydra.sweep.dir=d"]) == 1
    assert "0_random_s0 holds checkpoint, which" in capsys.readouterr().err
    assert content(d / "0_random_s0") == {"checkpoint": None, "checkpoint/model.pt": b"weights"}
    assert rlnas.load_result(d / "1_random_s1")["seed"] == 1

"""Folders on the command line: one run each, none occupied by a run that did nothing, tables that moved."""

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

import rlnas
from rlnas.cli import main
from rlnas.config.quoting import typed
from tests.command import start

COLUMNS = ["+experiment=table", "space.decisions=[a,b]", "space.reward=x", "budget.architectures=8", "progress=plain"]
RUN = [*COLUMNS, "controller=random", "space.path=t.csv"]


def write_table(path: Path, first: int = 0) -> Path:
    """Nine architectures; `first` is the value of the first."""
    values = [first, *range(1, 9)]
    rows = [f"{place // 3},{place % 3},{value}" for place, value in enumerate(values)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["a,b,x", *rows]) + "\n")
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "t.csv")
    return tmp_path


def record(folder: Path) -> dict:
    return json.loads((folder / "environment.json").read_text())


def assert_one_run(folder: Path, seed: int) -> None:
    """All records of the folder are of the run with this seed."""
    assert record(folder)["config"]["seed"] == rlnas.load_result(folder)["seed"] == seed
    assert f"seed={seed}" in record(folder)["arguments"]
    assert f"seed: {seed}\n" in (folder / ".hydra" / "config.yaml").read_text()
    assert f"- seed={seed}\n" in (folder / ".hydra" / "overrides.yaml").read_text()


@pytest.mark.thorough
def test_runs_begun_at_once_by_a_shell(here: Path) -> None:
    """The name is of the year, so that they are begun in the same one."""
    stamped = "hydra.run.dir=out/${now:%Y}"
    processes = [start(*RUN, f"seed={seed}", stamped, cwd=here) for seed in range(2)]
    assert [process.communicate()[1] for process in processes] == ["", ""]
    folders = sorted((here / "out").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert_one_run(folder, record(folder)["config"]["seed"])
    assert {record(folder)["config"]["seed"] for folder in folders} == {0, 1}


@pytest.mark.thorough
def test_sweeps_begun_at_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamped = "hydra.sweep.dir=out/s_${now:%Y}"
    for seeds in ((0, 1), (2, 3)):
        assert main(["-m", *RUN, f"seed={seeds[0]},{seeds[1]}", stamped]) == 0
    first, second = sorted((here / "out").iterdir())
    assert second.name == f"{first.name}-2"
    for folder, seeds in ((first, (0, 1)), (second, (2, 3))):
        for number, seed in enumerate(seeds):
            assert_one_run(folder / f"{number}_random_s{seed}", seed)
        assert (folder / "comparison.html").exists()
    assert f"comparison: out/{second.name}/comparison.html" in capsys.readouterr().out


@pytest.mark.thorough
def test_a_sweep_into_a_folder_that_is_named_adds_to_it_and_writes_over_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", *RUN, "seed=0", "hydra.sweep.dir=s"]) == 0
    before = (here / "s" / "0_random_s0" / ".hydra" / "config.yaml").read_bytes()
    assert main(["-m", *RUN, "seed=0,1", "budget.architectures=7", "hydra.sweep.dir=s"]) == 1
    assert "s/0_random_s0 already holds a run" in capsys.readouterr().err
    assert (here / "s" / "0_random_s0" / ".hydra" / "config.yaml").read_bytes() == before
    assert_one_run(here / "s" / "1_random_s1", 1)


def test_a_taken_folder_is_not_touched(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "hydra.run.dir=run"]) == 0
    before = {path: path.read_bytes() for path in (here / "run").rglob("*") if path.is_file()}
    assert main([*RUN, "seed=1", "hydra.run.dir=run"]) == 1
    assert "already holds a run; resume it with python -m rlnas resume=run," in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (here / "run").rglob("*") if path.is_file()} == before


WRONG = {
    "table": ["space.decisions=[a,c]"],
    "path": ["space.path=absent.csv"],
    "configuration": ["budget.architectures=-1"],
    "controller": ["controller.algorithm=no.Such"],
    "option": ["+controller.params.no_such=1"],
    "interpolation": ["name=${nowhere}"],
}


@pytest.mark.variants(2)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("folder", [["hydra.run.dir=deep/run"], []], ids=["named", "stamped"])
def test_a_run_that_did_nothing_leaves_nothing(wrong: list[str], folder: list[str], here: Path) -> None:
    kept = [item for item in RUN if item != "controller=random"]
    assert main([*kept, "controller=ppo", *folder, *wrong]) == 1
    assert [path.name for path in here.iterdir()] == ["t.csv"]


def test_the_corrected_command_starts(here: Path) -> None:
    """In a folder that was there before, and by the same process."""
    (here / "run").mkdir()
    (here / "run" / "slurm.out").write_text("")
    assert main([*RUN, "seed=1", "space.decisions=[a,c]", "hydra.run.dir=run"]) == 1
    assert main([*RUN, "seed=2", "hydra.run.dir=run"]) == 0
    assert_one_run(here / "run", 2)
    assert (here / "run" / "slurm.out").exists()


def test_resuming_a_run_that_did_nothing_says_what_to_do(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "r n").mkdir()
    wrong = [*RUN, "space.decisions=[a,c]"]
    assert main([*wrong, "hydra.run.dir='r n'"]) == 1
    capsys.readouterr()
    assert main(["resume='r n'"]) == 1
    said = capsys.readouterr().err
    assert "has no column c" in said
    assert f"start it again with other arguments: python -m rlnas ARGUMENTS {typed('hydra.run.dir', 'r n')}" in said


def interrupted(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped before its first checkpoint."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("rlnas.search.rounds.Rounds.run", stop)
        assert main(arguments) == 130


@pytest.mark.variants(1)
@pytest.mark.parametrize("moved", ["b=c/t.csv", "~/t é.csv"])
def test_a_table_that_moved_is_named(
    moved: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    interrupted([*RUN, "hydra.run.dir=run"], monkeypatch)
    assert "stopped; resume it with: python -m rlnas resume=run\n" in capsys.readouterr().err
    place = Path(moved).expanduser()
    place.parent.mkdir(parents=True)
    shutil.move(here / "t.csv", place)
    assert main(["resume=run"]) == 1
    said = capsys.readouterr().err
    assert "space.path=t.csv: there is no such file" in said
    assert "python -m rlnas resume=run space.path=FILE" in said
    write_table(place.with_name("other.csv"), first=9)
    assert main(["resume=run", f'space.path="{Path(moved).with_name("other.csv")}"']) == 1
    assert "was started with another table" in capsys.readouterr().err
    assert main(["resume=run", f'space.path="{moved}"']) == 0
    assert record(here / "run")["config"]["space"]["path"] == moved
    assert rlnas.load_result(here / "run")["children_evaluated"] == 8


def test_other_arguments_than_places_are_compared(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted([*RUN, "hydra.run.dir=run"], monkeypatch)
    assert main(["resume=run", *RUN, "seed=3"]) == 1
    assert "seed is 3, was 0" in capsys.readouterr().err
    assert main(["resume=run", *RUN, "progress=off"]) == 0
    assert main(["resume=run", "space.pathh=t.csv"]) == 1
    assert "unknown key space.pathh" in capsys.readouterr().err


NAMES = ["a=b(c)", "é 你", "it's", "$HOME;ls", "-m", "~x", "2026_01", "[1,2]", "a\\", "${x}"]


@pytest.mark.variants(2)
@pytest.mark.parametrize("name", NAMES)
def test_printed_commands_name_any_folder(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a shell makes of the printed line, given to the program."""
    interrupted([*RUN, *shlex.split(typed("hydra.run.dir", f"./{name}"))], monkeypatch)
    assert (here / name / "environment.json").exists()
    line = capsys.readouterr().err.strip().partition("resume it with: ")[2]
    *python, word = shlex.split(line)
    assert python == ["python", "-m", "rlnas"]
    assert main([word]) == 0
    printed = capsys.readouterr().out.strip().rpartition("compare it with other runs: ")[2]
    given, others = shlex.split(printed)[3:]
    assert (Path(given).resolve(), others) == (here / name, "OTHER_RUNS")


@pytest.mark.thorough
def test_paths_in_the_home_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    write_table(here / "home" / "t.csv")
    assert main([*COLUMNS, "controller=random", "space.path='~/t.csv'", "hydra.run.dir='~/run'"]) == 0
    assert (here / "home" / "run" / "result.json").exists()
    assert main(["resume='~/run'"]) == 0
    assert main(["-m", *RUN, "seed=0,1", "hydra.sweep.dir='~/s'"]) == 0
    assert (here / "home" / "s" / "comparison.html").exists()
    assert rlnas.load_result("~/run")["seed"] == 0
    assert "~" not in os.listdir(here)


def test_no_home_folder(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A container's user id: no HOME, no entry in the list of users."""

    def unknown(_: object) -> str:
        raise KeyError("uid not found")

    for variable in ("HOME", "HF_HOME", "MPLCONFIGDIR", "RLNAS_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    seen: list[str] = []
    monkeypatch.setattr(
        "rlnas.search.job.run_job", lambda *_: seen.extend(map(os.environ.get, ("HF_HOME", "MPLCONFIGDIR")))
    )
    rlnas.run([*RUN, "hydra.run.dir=run"])
    assert [Path(path).is_absolute() for path in seen] == [True, True]
    assert "HF_HOME" not in os.environ
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert main([*RUN, "space.path='~/t.csv'"]) == 1
    assert "~/t.csv: there is no home folder here" in capsys.readouterr().err

"""Printed commands, really pasted into a shell: for a run folder outside the working directory, too."""

import html
import re
import subprocess
from pathlib import Path

import pytest

import rlnas
from rlnas.children.network import Child
from rlnas.cli import main
from rlnas.compare import main as compare
from rlnas.config.quoting import without_home
from rlnas.report import write_report
from tests.command import TINY
from tests.report.comparison_folders import write_sweep
from tests.test_cli_folders import RUN, write_table

PLACES = {"inside": "cwd/runs", "outside": "elsewhere", "home": "home/somebody/r"}


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cwd").mkdir()
    (tmp_path / "home" / "somebody").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "somebody"))
    monkeypatch.chdir(tmp_path / "cwd")
    write_table(Path("t.csv"))
    return tmp_path / "cwd"


def paste(command: str, capsys: pytest.CaptureFixture[str], shell: str = "sh") -> None:
    """What the shell makes of the command, given to the program, in the working directory."""
    script = f"python() {{ printf '%s\\0' \"$@\"; }}; {command}"
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
    flag, module, *arguments, end = done.stdout.split("\0")
    assert (flag, end) == ("-m", "")
    code = {"rlnas": main, "rlnas.compare": compare}[module](arguments)
    assert code == 0, (command, capsys.readouterr().err)


def written(page: Path, start: str) -> str:
    """The command on a page that starts so."""
    found = re.search(rf"{re.escape(start)}[^<\n]*", html.unescape(re.sub("&lt;", "<", page.read_text())))
    assert found is not None
    return found[0].rstrip()


def unfinished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped before its first checkpoint."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("rlnas.search.rounds.Rounds.run", stop)
        assert main([*RUN, f"hydra.run.dir='{folder}'"]) == 130


@pytest.mark.variants(2)
@pytest.mark.parametrize("name", ["3_ppo_s1", "a=b (c)"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_going_on_with_a_run_that_a_comparison_leaves_out(
    place: str, name: str, cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cwd.parent / place / name
    unfinished(folder, monkeypatch)
    capsys.readouterr()
    assert compare([str(folder)]) == 1
    said = capsys.readouterr().err.strip().rpartition("resume it with ")[2]
    paste(said, capsys)
    assert rlnas.load_result(folder)["children_evaluated"] == 8


@pytest.mark.variants(1)
@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("name", ["sweep", "a=b (c)"])
def test_the_commands_of_a_comparison_work_and_name_no_home(
    name: str, shell: str, cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write_sweep(cwd.parent / "home" / "somebody" / name, {"random": 0.0, "ppo": 3.0}, seeds=2, n=20)
    unfinished(sweep / "9_random_s9", monkeypatch)
    assert compare([str(sweep)]) == 0
    page = sweep / "comparison.html"
    assert "somebody" not in page.read_text() + (sweep / "comparison.csv").read_text()
    before, again = page.read_bytes(), written(page, "python -m rlnas.compare ")
    page.unlink()
    paste(again, capsys, shell)
    assert page.read_bytes() == before
    paste(written(page, "python -m rlnas 'resume=" if " " in name else "python -m rlnas resume="), capsys, shell)
    assert rlnas.load_result(sweep / "9_random_s9")["children_evaluated"] == 8


@pytest.mark.thorough
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_commands_of_a_report(place: str, cwd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = cwd.parent / place / "r n"
    space = rlnas.make_space("nasrl", layers=3, filters=4)
    given = f"architecture='{space.text(space.unrank(0))}'"
    small = [item for item in TINY if not item.startswith(("retrain.epochs", "progress", "report"))]
    assert main([*small, given, "retrain.epochs=1", "progress=off", f"hydra.run.dir='{folder}'"]) == 0
    page = folder / "report.html"
    assert "somebody" not in page.read_text()
    moved = page.rename(cwd.parent / "report.html")
    code = html.unescape(moved.read_text()).partition("import rlnas\n")[2].partition("<")[0]
    names: dict[str, object] = {}
    exec(f"import rlnas\n{code}", names)
    assert isinstance(names["child"], Child)
    retrain = written(moved, "python -m rlnas data.limit")
    assert retrain.endswith("retrain.epochs=300")
    paste(f"{retrain.removesuffix('300')}0 progress=off hydra.run.dir=again", capsys)
    assert rlnas.load_result("again")["best"]["architecture"] == space.text(space.unrank(0))
    assert write_report(folder).exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/u/x", "~/x"),
        ("resume=/home/u", "resume=~"),
        ("'resume=\"/home/u/a b\"'", "'resume=\"~/a b\"'"),
        ("/home/user/x", "/home/user/x"),
        ("/mnt/home/u/x", "/mnt/home/u/x"),
        ("/home/u-2/x /home/u/y", "/home/u-2/x ~/y"),
    ],
)
def test_only_the_home_folder_itself_becomes_a_tilde(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    assert without_home(text) == expected

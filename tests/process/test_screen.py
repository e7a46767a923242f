"""Streams that are closed, broken or know few letters: nothing ends, files keep every letter."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlnas.process.screen import Screen, safe_streams
from tests.command import environment


def stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", r"\xe9\u4f60"), ("cp1252", "é\\u4f60"), ("utf-8", "é你")], ids=str
)
def test_letters_that_an_encoding_lacks_are_escaped(encoding: str, shown: str) -> None:
    inner = stream(encoding)
    screen = Screen(inner)
    assert screen.write("é你") == 2
    screen.flush()
    assert inner.buffer.getvalue().decode(encoding) == shown


def test_a_file_name_that_is_no_text_is_shown_too() -> None:
    inner = stream("utf-8")
    Screen(inner).write("run\udcff")
    inner.flush()
    assert inner.buffer.getvalue() == b"run\\udcff"


def test_no_stream_at_all() -> None:
    screen = Screen(None)
    assert screen.write("lost") == 4
    screen.flush()
    assert not screen.isatty()
    assert not hasattr(screen, "encoding")


def test_the_streams_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with safe_streams():
        print("nowhere")
        with safe_streams():
            assert not isinstance(sys.stdout._stream, Screen)
    assert sys.stdout is None


TABLE = ["+experiment=table", "space.path=t.csv", "space.decisions=[a,b]", "space.reward=x", "controller=random"]
TABLE += ["budget.architectures=8", "progress=plain", "hydra.run.dir=run"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [f"{a},{b}你,{3 * a + n}" for a in range(3) for n, b in enumerate("xyz")]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,x", *rows]) + "\n", encoding="utf-8")
    return tmp_path


def shell(line: str, cwd: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    command = f"{sys.executable} -m rlnas {' '.join(TABLE)} {line}"
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command],
        cwd=cwd,
        env=environment(**extra),
        capture_output=True,
        text=True,
    )


@pytest.mark.variants(1)
@pytest.mark.parametrize(
    "line",
    [
        "<&- >&- 2>&-",
        "| true",
        pytest.param(">&-", marks=pytest.mark.slow),
        pytest.param("> /dev/full", marks=pytest.mark.slow),
    ],
)
def test_a_run_without_standard_output(line: str, table: Path) -> None:
    done = shell(line, table)
    assert (done.returncode, done.stderr) == (0, "")
    assert (table / "run" / "result.json").exists()
    log = (table / "run" / "rlnas.log").read_text(encoding="utf-8")
    assert "search ended by budget.architectures after 8 architectures" in log
    assert log.count("\n") == len([row for row in log.splitlines() if row[:2] == "20"])  # and nobody else's output


@pytest.mark.thorough
@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.slow)])
def test_a_run_whose_screen_lacks_letters(encoding: str, table: Path) -> None:
    done = shell("", table, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u4f60" in done.stdout
    assert "你" in (table / "run" / "history.csv").read_text(encoding="utf-8")
    assert "你" in (table / "run" / "rlnas.log").read_text(encoding="utf-8")


def test_a_reader_that_left_is_given_nothing_more() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1, encoding="utf-8") as pipe:
        screen = Screen(pipe)
        screen.write("one\n")
        assert screen.write("two\n") == 4
        screen.flush()
        with pytest.raises(BrokenPipeError):
            pipe.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)

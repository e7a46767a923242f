"""`python -m rlnas.draw`: architectures of any space as files, and one line for what cannot be drawn."""

import xml.etree.ElementTree as ET

import pytest

from rlnas.cli import CONF
from rlnas.draw import main

OPTIONS = sorted(path.stem for path in (CONF / "space").glob("*.yaml"))
TABLES = ("table", "nas_bench_macro")
SMALL = ["space=nasrl", "space.layers=3"]


def test_a_given_architecture_is_drawn(tmp_path, capsys):
    text = "conv3x3 max_pool3x3 sep_conv5x5+1"
    assert main([*SMALL, "--architecture", text, "--out", str(tmp_path / "new" / "folder")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == text
    assert lines[1:] == [str(tmp_path / "new" / "folder" / "network.svg")]
    words = [element.text for element in ET.parse(lines[1]).getroot().iter("{http://www.w3.org/2000/svg}text")]
    assert "sep conv 5\N{MULTIPLICATION SIGN}5" in words


def test_the_seed_decides_and_a_reference_has_a_name(tmp_path, capsys):
    texts = []
    for extra in (["seed=1"], ["seed=1"], ["seed=2"], ["--reference", "residual_chain"]):
        assert main([*SMALL, *extra, "--out", str(tmp_path)]) == 0
        texts.append(capsys.readouterr().out.splitlines()[0])
    assert texts[0] == texts[1] != texts[2]
    assert texts[3] == "conv3x3 conv3x3 conv3x3+1"


@pytest.mark.variants(1)
@pytest.mark.parametrize("space", [name for name in OPTIONS if name not in (*TABLES, "yours")])
def test_every_option_of_space_is_drawn_or_said_to_have_nothing(space, tmp_path, capsys):
    assert main([f"space={space}", "--out", str(tmp_path)]) == 0
    assert [path.suffix for path in tmp_path.iterdir()] == [".svg"] * (len(capsys.readouterr().out.splitlines()) - 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["space=nowhere"], ["nowhere"]),
        ([*SMALL, "--architecture", "conv3x3"], ["expected 3 layers", "got 1"]),
        ([*SMALL, "--reference", "best"], ["best", "residual_chain"]),
        ([*SMALL, "--size", "0"], ["--size", "0"]),
        (["space=nasrl_bench", "evaluator=tabular", "search=tabular", "--reference", "x"], ["nasrl_bench"]),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line(arguments, words, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("rlnas: error: ")
    assert captured.err.count("\n") == 1
    assert all(word in captured.err for word in words)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([*SMALL, "--out", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err

"""Commands for pasting: what the shell and hydra make of them is the text they were made of."""

import shlex
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rlnas.config.quoting import (
    check_arguments,
    compare_command,
    override,
    overrides_in,
    plain_path,
    run_command,
    shell_word,
    value_of,
)
from rlnas.errors import RlnasError

NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=12),
    st.text("ab\\'\"${}()[],=:~ -é&;|<>*?#!\n1_.", min_size=1, max_size=12),
    st.sampled_from(["null", "true", "1e3", "2026_01", "[a]", "{a: b}", "a,b", "${oc.env:HOME}", "-m", "~", "inf"]),
)


def as_hydra_composes(argument: str) -> str:
    """The value of an override in the composed configuration."""
    parsed = OverridesParser.create().parse_override(argument)
    assert not parsed.is_sweep_override()
    config = OmegaConf.create({"value": parsed.value()})
    value = OmegaConf.to_container(config, resolve=True)["value"]
    assert isinstance(value, str)
    return value


@given(NAMES)
@example("\\")
@example('a\\"b\\')
@example("\\${x}")
@example("'quoted'")
def test_a_pasted_command_names_the_very_folder(name: str) -> None:
    *command, word = shlex.split(run_command(resume=name))
    assert command == ["python", "-m", "rlnas"]
    key, _, _ = word.partition("=")
    assert key == "resume"
    assert as_hydra_composes(word) == plain_path(name)
    assert value_of(word) == plain_path(name)
    check_arguments([word])
    assert shlex.split(compare_command([name])) == ["python", "-m", "rlnas.compare", plain_path(name)]


@given(NAMES)
@example("\\\n")
def test_a_text_that_is_no_path_stays_as_it_is(name: str) -> None:
    assert as_hydra_composes(override("space.reward", name)) == name


@given(NAMES, NAMES)
def test_the_home_folder_is_a_variable(before: str, after: str) -> None:
    word = f"{before}/home/somebody{after}"
    pasted = shell_word(word, home="/home/somebody")
    assert "/home/somebody" not in pasted
    done = subprocess.run(
        ["/bin/sh", "-c", f"printf %s {pasted}"], env={"HOME": "/home/somebody"}, capture_output=True, check=True
    )
    assert done.stdout.decode() == word


def test_in_a_real_shell() -> None:
    """/bin/sh hands each folder's own name to the program, which reads it back."""
    names = ["a=b", "a b", "é(1)", "it's", 'a"b', "$HOME", "-m", "~", "`x`", "a\\", "${x}", "!x", "a\nb", "*"]
    read = "import sys; from rlnas.config.quoting import value_of; print(*map(value_of, sys.argv[1:]), sep='|', end='')"
    words = [run_command(resume=name).removeprefix("python -m rlnas ") for name in names]
    line = " ".join([shlex.quote(sys.executable), "-c", shlex.quote(read), *words])
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.split("|") == [plain_path(name) for name in names]


def test_nothing_is_quoted_that_needs_no_quotes() -> None:
    assert (
        run_command(resume="outputs/a/2026-01-31_12-00-00-2")
        == "python -m rlnas resume=outputs/a/2026-01-31_12-00-00-2"
    )


@pytest.mark.parametrize(
    ("argument", "instead"),
    [
        ("space.path=a=b.csv", "'space.path=\"a=b.csv\"'"),
        ("space.path=é.csv", "'space.path=\"é.csv\"'"),
        ("data.path=~/x", "'data.path=\"~/x\"'"),
        ("data.path=a(1)", "'data.path=\"a(1)\"'"),
        ("data.path='open", "'data.path=\"'\"'\"'open\"'"),
        ("architecture=[a]", "'architecture=\"[a]\"'"),
        ("hydra.run.dir=2026_01", "'hydra.run.dir=\"2026_01\"'"),
        ("data.path=a,b", "'data.path=\"a,b\"'"),
        ("resume=x#é", "'resume=\"x#é\"'"),
        ("+retrain.space.x=ü", "'+retrain.space.x=\"ü\"'"),
    ],
)
def test_an_unreadable_argument_is_named_with_the_line_to_type(argument: str, instead: str) -> None:
    with pytest.raises(RlnasError) as caught:
        check_arguments(["seed=1", argument])
    assert f"argument {argument}: " in str(caught.value)
    assert f"type it as {instead}" in str(caught.value)
    (typed,) = shlex.split(instead)
    check_arguments([typed])


def test_what_is_no_override_is_not_checked() -> None:
    words = ["-cd", "a=(b", "--config-name", "é=", "controller=ppo,random", "-m", "~data", "seed=choice(1,2)"]
    assert overrides_in(words) == ["controller=ppo,random", "~data", "seed=choice(1,2)"]
    check_arguments(words)
    check_arguments(["-sc", "query=("])


@pytest.mark.parametrize("good", ["data.path=2026", "data.path=a b", "data.path=null", "data.path=", "resume='a=b'"])
def test_what_reads_as_typed_passes(good: str) -> None:
    check_arguments([good])


def test_a_value_as_hydra_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", "/scratch")
    assert value_of("resume=${oc.env:SCRATCH}/run") == "/scratch/run"
    assert value_of("resume=2026") == "2026"
    assert value_of("resume=null") is None
    with pytest.raises(RlnasError, match="resume="):
        value_of("resume=${nowhere}")

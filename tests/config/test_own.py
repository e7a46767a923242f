"""Parts of the user's own are found, and what is wrong with them is one line."""

import sys
from pathlib import Path

import pytest

from rlnas.config.own import load_own, make_own
from rlnas.errors import RlnasError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with modules of names that no other test uses."""
    (tmp_path / "own_good.py").write_text("def part(seed, size=1):\n    return (seed, size)\n\nNUMBER = 3\n")
    (tmp_path / "own_broken.py").write_text("def part(:\n")
    (tmp_path / "own_needs.py").write_text("import a_package_nobody_has\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    return tmp_path


def test_the_working_directory_is_searched_and_the_path_stays_as_it_was(here: Path) -> None:
    before = list(sys.path)
    assert load_own("own_good.part", "space.name")(1) == (1, 1)
    assert sys.path == before


def test_a_constructor_gets_its_options_and_the_parts_it_names() -> None:
    assert make_own("own_good.part", "space.name", {"size": 2}, seed=5, space="unused") == (5, 2)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("own_good.absent", r"space.name: own_good.absent cannot be imported: .*absent"),
        ("own_broken.part", r"space.name: own_broken.part cannot be imported: .*own_broken.py, line 1"),
        ("own_needs.part", r"space.name: own_needs.part cannot be imported: .*a_package_nobody_has"),
        ("nowhere.part", r"space.name: nowhere.part cannot be imported: .*nowhere"),
        ("own_good.NUMBER", r"space.name is 'own_good.NUMBER', expected the dotted path of a class or function"),
    ],
)
def test_what_cannot_be_used_is_named(path: str, message: str) -> None:
    with pytest.raises(RlnasError, match=message):
        load_own(path, "space.name")


def test_an_option_that_the_constructor_does_not_know_is_named() -> None:
    with pytest.raises(RlnasError, match=r"space.name=own_good.part refused space.options=.*depth"):
        make_own("own_good.part", "space.name", {"depth": 2}, seed=5)

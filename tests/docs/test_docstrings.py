"""How the API reference shows the lines of a docstring that name arguments."""

import importlib.util

import pytest

from tests.docs.commands import ROOT

pytest.importorskip("griffe", reason="of the extra docs")
SPEC = importlib.util.spec_from_file_location("docstrings", ROOT / "docs" / "docstrings.py")
assert SPEC is not None
assert SPEC.loader is not None
docstrings = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(docstrings)


def test_named_lines_become_list_items() -> None:
    text = "Do it.\n\nx: first,\n    went on. y, z: others\nand more.\nw: last.\n\nEnd: this is prose."
    expected = "Do it.\n\n- `x`: first, went on.\n- `y, z`: others and more.\n- `w`: last.\n\nEnd: this is prose."
    assert docstrings.items(text) == expected


def test_a_list_has_an_empty_line_before_it() -> None:
    assert docstrings.items("These:\nx: first") == "These:\n\n- `x`: first"


def test_a_name_may_have_options() -> None:
    text = "rank: the rank.\npenalty (target): less"
    assert docstrings.items(text) == "- `rank`: the rank.\n- `penalty (target)`: less"


@pytest.mark.parametrize("text", ["One line.", "Code:\n\n    x: int = 1\n    y: int = 2", "A\n\nB: c"])
def test_prose_and_code_stay(text: str) -> None:
    assert docstrings.items(text) == text

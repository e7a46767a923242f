"""The space of a table: text form, masks of columns with fewer values, and its benchmark's order."""

import numpy as np
import pytest

from rlnas.errors import RlnasError
from rlnas.spaces import TableSpace
from rlnas.tabular import Benchmark


@pytest.fixture
def space():
    values = (("2", "4", "16"), ("gelu", "relu"), ("8",))
    score = np.arange(6.0)
    return TableSpace("table", Benchmark("b", "0", ("depth", "act", "width"), values, score[:, None], score))


def test_text_is_the_values_in_column_order(space):
    assert [space.text(space.unrank(code)) for code in range(space.size)] == [
        "2,gelu,8",
        "2,relu,8",
        "4,gelu,8",
        "4,relu,8",
        "16,gelu,8",
        "16,relu,8",
    ]


def test_text_and_rank_are_bijections(space):
    for code in range(space.size):
        architecture = space.unrank(code)
        assert space.parse(space.text(architecture)) == architecture
        assert space.rank(architecture) == code
        assert space.architecture(space.actions(architecture)) == architecture


def test_a_column_with_fewer_values_is_masked(space):
    assert space.nvec == (3,)
    masks = [space.legal([[0]] * step).tolist() for step in range(space.steps)]
    assert masks == [[True, True, True], [True, True, False], [True, False, False]]


@pytest.mark.parametrize(
    ("text", "message"),
    [("2,gelu", "expected 3 values joined by commas"), ("2,tanh,8", "act is 'tanh', expected one of gelu, relu")],
)
def test_a_wrong_text_says_what_is_wrong(space, text, message):
    with pytest.raises(RlnasError, match=message):
        space.parse(text)

"""Texts, listings and the liveness of programs."""

import pytest

from rlnas.errors import RlnasError
from rlnas.programs import Instruction, Program, listing, parse, text
from rlnas.programs.handmade import linear, two_layer
from rlnas.programs.liveness import live

EMPTY = "setup: | predict: | learn:"
LINEAR = "setup: s2=0.1 | predict: s1=dot(v0,v1) | learn: s0=sub(s0,s1); s0=mul(s0,s2); v2=scale(s0,v0); v1=add(v1,v2)"


@pytest.mark.parametrize(
    "line", [EMPTY, LINEAR, text(two_layer(0.1, 0.3)), "setup: v1=uniform(1e-05) | predict: | learn:"]
)
def test_a_text_is_read_back(line: str) -> None:
    assert text(parse(line)) == line


def test_the_values_of_a_text() -> None:
    assert parse(EMPTY) == Program()
    assert parse("setup: m1=gauss(0.5) | predict: s1=dot(v0,v2) | learn: v1=scale(s3,v0)") == Program(
        (Instruction("matrix_gauss", (), 1, 0.5),),
        (Instruction("dot", (0, 2), 1),),
        (Instruction("scalar_vector", (3, 0), 1),),
    )
    assert parse(LINEAR) == linear(0.1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "'' is no program; expected 'setup: "),
        ("setup: | learn: | predict:", "is no program"),
        ("setup: hello | predict: | learn:", "'hello' is no instruction; expected one like s1=dot"),
        (
            "setup: s2=dot(v0,s1) | predict: | learn:",
            "no operation dot with these operands and result; dot has",
        ),
        ("setup: v2=0.5 | predict: | learn:", "'v2=0.5': no operation const"),
        ("setup: s2=x | predict: | learn:", "'s2=x': expected a number, got 'x'"),
        ("setup: s2=fly(v0) | predict: | learn:", "no operation fly"),
        ("setup: s2=dot(v0,7) | predict: | learn:", "expected addresses such as s2, v0 or m1 as operands, got 'v0,7'"),
        ("setup: s2=__import__(v0) | predict: | learn:", "no operation __import__"),
    ],
)
def test_a_wrong_text_is_told(line: str, message: str) -> None:
    with pytest.raises(RlnasError) as error:
        parse(line)
    assert message in str(error.value)


def test_a_listing_is_for_readers() -> None:
    assert listing(parse("setup: s2=0.1 | predict: s1=dot(v0,v1) | learn: v2=scale(s3,v0); v1=add(v1,v2)")) == (
        "def setup():",
        "    s2 = 0.1",
        "def predict():",
        "    s1 = dot(v0, v1)",
        "def learn():",
        "    v2 = s3 * v0",
        "    v1 = v1 + v2",
    )
    assert listing(Program())[:2] == ("def setup():", "    pass")


# -- liveness ----------------------------------------------------------------------------------------------


def places(line: str) -> tuple[list[int], ...]:
    """The places of the live instructions of setup, predict and learn."""
    found = live(parse(line))
    return tuple([place for place, _ in code] for code in found[:3])


@pytest.mark.parametrize(
    ("line", "alive"),
    [
        (EMPTY, ([], [], [])),
        (LINEAR, ([0], [0], [0, 1, 2, 3])),
        # overwritten before it is read; v2 is never read
        ("setup: s2=0.1; s2=0.3 | predict: s1=mul(s2,s2); v2=add(v0,v0) | learn:", ([1], [0], [])),
        # what learn writes is read by the next predict, and s2 of one learn by the next learn
        ("setup: | predict: s1=dot(v0,v1) | learn: v1=scale(s2,v0); s2=add(s2,s0)", ([], [0], [0, 1])),
        # labels and examples are set anew, so writing them in learn or setup has no effect
        ("setup: v0=gauss(0.1); s0=0.1 | predict: s1=mean(v0); s0=0.1 | learn: v0=add(v0,v0); s0=0.3", ([], [0], [])),
        # but predict may change the example that learn reads
        ("setup: | predict: s1=dot(v0,v1); v0=add(v0,v0) | learn: v1=add(v1,v0)", ([], [0, 1], [0])),
        # a prediction that is not written is the value of before: from setup, then from learn
        ("setup: s1=0.1 | predict: | learn: s1=add(s1,s0)", ([0], [], [0])),
        ("setup: s1=0.1 | predict: s1=add(s1,s1) | learn:", ([0], [0], [])),
    ],
)
def test_live_instructions_are_those_that_can_change_a_prediction(line: str, alive) -> None:
    assert places(line) == alive


@pytest.mark.parametrize(
    ("line", "learning"),
    [
        (LINEAR, True),
        ("setup: v1=gauss(0.1) | predict: s1=dot(v0,v1) | learn: v2=add(v1,v0)", False),
        ("setup: | predict: s1=add(s1,s0) | learn:", True),  # by the normalisation of s1
        ("setup: | predict: v1=add(v1,v0); s1=mean(v1) | learn:", True),
    ],
)
def test_whether_an_example_can_change_a_later_prediction(line: str, learning: bool) -> None:
    assert live(parse(line)).learning == learning

"""What a person is told when an architecture, a text or the options of a space are wrong."""

import json

import pytest

from rlnas.config.spaces import NasrlConfig, NasrlFactoredConfig
from rlnas.errors import RlnasError
from rlnas.networks.operators import ENAS_OPERATORS
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace, make_space

NASRL = NasrlSpace(3, ("conv3x3", "max_pool3x3"))
FACTORED = NasrlFactoredSpace(3, (1, 3), (3,), (4, 8))
STRIDED = NasrlFactoredSpace(3, (1, 3), (3,), (4, 8), (1, 2))


@pytest.mark.parametrize("call", [NASRL.check, NASRL.rank, NASRL.text, NASRL.actions, NASRL.to_json])
def test_a_wrong_length_is_refused_everywhere(call):
    with pytest.raises(RlnasError, match=r"of space nasrl has 4 decisions, got 3; was it found in a space of other"):
        call((0, 0, 0))


@pytest.mark.parametrize(("architecture", "position", "value"), [((0, 2, 0, 0), 1, 2), ((0, 0, 0, -1), 3, -1)])
def test_a_decision_out_of_range_is_named(architecture, position, value):
    with pytest.raises(RlnasError, match=rf"decision {position} is {value}, expected 0 to 1"):
        NASRL.rank(architecture)


@pytest.mark.parametrize("code", [-1, 16])
def test_a_number_outside_the_space_is_refused(code):
    with pytest.raises(RlnasError, match=rf"code {code} is outside space nasrl: expected 0 to 15"):
        NASRL.unrank(code)


def test_a_complete_architecture_has_no_next_step():
    with pytest.raises(RlnasError, match="nasrl is complete after 3 steps"):
        NASRL.legal([(0, 0)] * 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv3x3 conv3x3", "expected 3 layers separated by spaces, got 2: 'conv3x3 conv3x3'"),
        ("", "expected 3 layers separated by spaces, got 0"),
        ("conv3x3 conv5x5 conv3x3", "unknown operator 'conv5x5'; this space has conv3x3, max_pool3x3"),
        ("conv3x3+1 conv3x3 conv3x3", r"layer 1, 'conv3x3\+1': the first two layers take no skip"),
        ("conv3x3 conv3x3+1 conv3x3", r"layer 2, 'conv3x3\+1': the first two layers take no skip"),
        ("conv3x3 conv3x3 conv3x3+2", r"layer 3, 'conv3x3\+2': a skip must come from layer 1 to 1"),
        ("conv3x3 conv3x3 conv3x3+3", r"layer 3, 'conv3x3\+3': a skip must come from layer 1 to 1"),
        ("conv3x3 conv3x3 conv3x3+0", r"layer 3, 'conv3x3\+0': a skip must come from layer 1 to 1"),
        ("conv3x3 conv3x3 conv3x3+x", r"layer 3, 'conv3x3\+x': a skip must come from layer 1 to 1"),
        ("conv3x3 conv3x3 conv3x3+", r"layer 3, 'conv3x3\+': a skip must come from layer 1 to 1"),
    ],
)
def test_a_wrong_text_says_which_layer(text, message):
    with pytest.raises(RlnasError, match=message):
        NASRL.parse(text)


@pytest.mark.parametrize(
    ("space", "word", "message"),
    [
        (FACTORED, "conv3x3", "'conv3x3' is no operator of this space; expected a word like 3x5x36"),
        (FACTORED, "3x3x4s1x1", "'3x3x4s1x1' is no operator of this space; expected a word like 3x5x36"),
        (STRIDED, "3x3x4", "'3x3x4' is no operator of this space; expected a word like 3x5x36s2x1"),
        (FACTORED, "5x3x4", r"'5x3x4': 5 is not among \[1, 3\]"),
        (FACTORED, "3x3x5", r"'3x3x5': 5 is not among \[4, 8\]"),
        (STRIDED, "3x3x4s3x1", r"'3x3x4s3x1': 3 is not among \[1, 2\]"),
    ],
)
def test_a_wrong_word_of_the_factored_space(space, word, message):
    with pytest.raises(RlnasError, match=message):
        space.parse(f"{word} {word} {word}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is no architecture in JSON"),
        ("[]", "this is no architecture in JSON"),
        ('{"space": "nasrl"}', "this is no architecture in JSON .*expected what a run writes to best/"),
        ('{"architecture": "conv3x3"}', "this is no architecture in JSON .*space"),
        (json.dumps({"space": "darts", "architecture": "x"}), "is of space darts, the run's space is nasrl"),
        (json.dumps({"space": "nasrl", "architecture": "conv3x3"}), "expected 3 layers separated by spaces, got 1"),
        (json.dumps({"space": "nasrl", "architecture": 5}), "this is no architecture in JSON .*is 5, expected a text"),
        (json.dumps({"space": "nasrl", "architecture": [0, 0, 0, 0]}), "this is no architecture in JSON"),
        (json.dumps({"space": "nasrl", "architecture": "a b c"}), "unknown operator 'a'"),
    ],
)
def test_wrong_json(text, message):
    with pytest.raises(RlnasError, match=message):
        NASRL.from_json(text)


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ((), "space.operators is empty, expected at least one operator"),
        (("conv3x3", "conv3x3"), "space.operators names conv3x3 more than once; list each once"),
        (("conv4x4",), "operator 'conv4x4': kernel sides must be odd and at most 11 pixels"),
        (("conv13x13",), "operator 'conv13x13': kernel sides must be odd and at most 11"),
        (("conv",), "unknown operator 'conv'; expected one like conv1x1"),
        (("stem",), "operator 'stem' is part of every network and cannot be chosen"),
        (("raw_conv1x1",), "operator 'raw_conv1x1' is part of every network and cannot be chosen"),
    ],
)
def test_wrong_operators(operators, message):
    with pytest.raises(RlnasError, match=message):
        NasrlSpace(3, operators)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heights": []}, r"space.heights is \[\], expected at least one, all different and positive"),
        ({"widths": [3, 3]}, r"space.widths is \[3, 3\], expected at least one, all different"),
        ({"filters": [0]}, r"space.filters is \[0\], expected at least one, all different and positive"),
        ({"strides_height": [-1]}, r"space.strides_height is \[-1\]"),
        ({"heights": [2]}, "space.heights and space.widths must be odd and at most 11 pixels"),
        ({"widths": [13]}, "space.heights and space.widths must be odd and at most 11 pixels"),
    ],
)
def test_wrong_options_of_the_factored_space(options, message):
    with pytest.raises(RlnasError, match=message):
        NasrlFactoredSpace(3, **options)


def test_json_of_earlier_versions_is_read_by_its_text():
    """They had the decisions beside it, and read these."""
    earlier = {
        "space": "nasrl",
        "architecture": "conv3x3 max_pool3x3 conv3x3+1",
        "code": "5",
        "decisions": [0, 1, 0, 1],
    }
    assert NASRL.from_json(json.dumps(earlier)) == (0, 1, 0, 1)
    assert json.loads(NASRL.to_json((0, 1, 0, 1))) == earlier


def test_make_space_takes_the_options():
    space = make_space(NasrlConfig(layers=5, filters=7, merge="concat", operators=["conv3x3"]))
    assert isinstance(space, NasrlSpace)
    assert (space.layers, space.filters, space.merge, space.operators) == (5, 7, "concat", ("conv3x3",))
    factored = make_space(NasrlFactoredConfig(layers=2, heights=[1]))
    assert isinstance(factored, NasrlFactoredSpace)
    assert (factored.layers, factored.factors) == (2, (1, 4, 4, 1, 1))


def test_the_default_operators_are_enas():
    assert make_space(NasrlConfig()).operators == ENAS_OPERATORS

"""The space of programs: counting, the decision process, mutations, texts."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.errors import RlnasError
from rlnas.programs import Instruction, Program, parse
from rlnas.spaces import ProgramSpace

EMPTY = Program()
WHOLE = ProgramSpace()
TINY: dict[str, Any] = {"scalars": 2, "vectors": 1, "matrices": 0, "setup": 1, "predict": 2, "learn": 0}
FEW = ["scalar_const", "scalar_abs", "vector_mean", "vector_gauss"]
SMALL = ProgramSpace(**TINY, operations=FEW, constants=[0.1, 1.0, 2.0])
SPACES = [WHOLE, SMALL, ProgramSpace(matrices=0, setup=0, learn=1)]


def programs(space: ProgramSpace) -> st.SearchStrategy[Program]:
    return st.integers(0, 2**32 - 1).map(lambda seed: space.sample(np.random.default_rng(seed)))


def every_program(space: ProgramSpace) -> set[Program]:
    """All that some legal actions build."""
    prefixes: list[list[tuple[int, ...]]] = [[]]
    for _ in range(space.steps):
        longer = []
        for prefix in prefixes:
            parts = np.split(space.legal(prefix), np.cumsum(space.nvec)[:-1])
            longer += [[*prefix, row] for row in itertools.product(*(np.flatnonzero(part).tolist() for part in parts))]
        prefixes = longer
    found = [space.architecture(prefix) for prefix in prefixes]
    assert len(set(found)) == len(found)  # each program has one action sequence
    return set(found)


def test_the_size_is_that_of_an_enumeration() -> None:
    # 2 * 3 constants, 2 * 2 scalar_abs, 2 means; in setup 3 draws into v0 as well
    assert [SMALL.instructions(function) for function in range(3)] == [15, 12, 12]
    assert SMALL.size == (1 + 15) * (1 + 12 + 12**2) * 1 == 2512
    assert len(every_program(SMALL)) == SMALL.size


def test_the_size_of_the_default() -> None:
    """4 scalars, 4 vectors, 2 matrices, 8 constants; counted by kinds of operands and result."""
    elementwise = {kind: 6 * n**3 + 3 * n**2 for kind, n in zip("svm", (4, 4, 2), strict=True)}
    scalars = elementwise["s"] + 8 * 4**2 + 8 * 4  # and eight functions, and constants
    vectors = elementwise["v"] + 4**3 + 4**2 + 4**3 + 3 * 4**2  # s*v, fill; dot, norm, mean, std
    matrices = elementwise["m"] + 4 * 2**2 + 2 * 4**2 + 2 * 4**2 + 2**3 + 2**2  # s*m, outer, m@v, m@m, transpose
    matrices += 3 * 2 * 4 + 4 * 2 * 4 + 2 * 4 * 2  # to scalars, to vectors, from vectors
    count, drawing = scalars + vectors + matrices, 2 * 8 * (4 + 2)
    assert WHOLE.instructions(0) == count + drawing
    assert WHOLE.instructions(1) == WHOLE.instructions(2) == count
    sums = [sum(n**length for length in range(most + 1)) for n, most in ((count + drawing, 4), (count, 4), (count, 8))]
    assert WHOLE.size == sums[0] * sums[1] * sums[2]


@pytest.mark.parametrize("space", SPACES)
@given(data=st.data())
def test_actions_and_texts_are_read_back(space: ProgramSpace, data) -> None:
    program = data.draw(programs(space))
    actions = space.actions(program)
    assert space.architecture(actions) == program
    assert space.parse(space.text(program)) == program
    for step in range(space.steps):
        legal = np.split(space.legal(actions[:step]), np.cumsum(space.nvec)[:-1])
        assert all(mask[value] for mask, value in zip(legal, actions[step], strict=True))


def test_the_trivial_program_is_empty_and_has_actions() -> None:
    assert WHOLE.trivial() == EMPTY
    assert not WHOLE.actions(EMPTY).any()
    assert WHOLE.text(EMPTY) == "setup: | predict: | learn:"


def test_an_action_sequence_as_documented() -> None:
    """predict: the second operation with operands 0 and 1 and result 1."""
    space = ProgramSpace(setup=0, predict=1, learn=0, matrices=0, operations=["scalar_const", "dot"])
    assert space.nvec == (3, 4, 4, 4, 8)
    program = parse("setup: | predict: s1=dot(v0,v1) | learn:")
    assert space.actions(program).tolist() == [[2, 0, 0, 0, 0], [0, 0, 1, 1, 0]]


# -- mutations ---------------------------------------------------------------------------------------------


def distance(a: Program, b: Program) -> int:
    """The number of functions that differ."""
    return sum(x != y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("space", SPACES)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_a_mutation_is_legal_and_changes_one_function(space: ProgramSpace, data, seed: int) -> None:
    parent = data.draw(st.one_of(programs(space), st.just(EMPTY)))
    child = space.mutate(parent, np.random.default_rng(seed))
    assert distance(parent, child) == 1
    assert space.architecture(space.actions(child)) == child


def kind_of(parent: Program, child: Program) -> str:
    before, after = next((a, b) for a, b in zip(parent, child, strict=True) if a != b)
    if len(before) != len(after):
        longer, shorter = sorted((before, after), key=len, reverse=True)
        removed = [(*longer[:place], *longer[place + 1 :]) for place in range(len(longer))]
        assert len(longer) == len(shorter) + 1
        assert shorter in removed
        return "length"
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    if len(changed) == 1 and changed[0][0].operation == changed[0][1].operation:
        a, b = changed[0]
        values = zip((*a.inputs, a.output, a.constant), (*b.inputs, b.output, b.constant), strict=True)
        if sum(x != y for x, y in values) == 1:
            return "argument"
    return "randomise"


def test_the_mutations_of_the_paper_all_occur() -> None:
    rng = np.random.default_rng(0)
    parent = WHOLE.sample(rng)._replace(learn=parse("setup: | predict: | learn: s3=sub(s0,s1); s2=0.1").learn)
    kinds = Counter(kind_of(parent, WHOLE.mutate(parent, rng)) for _ in range(900))
    assert min(kinds["length"], kinds["randomise"], kinds["argument"]) > 200


def test_an_empty_program_can_only_grow() -> None:
    rng = np.random.default_rng(0)
    children = [WHOLE.mutate(EMPTY, rng) for _ in range(50)]
    assert {sum(map(len, child)) for child in children} == {1}


def test_draws_stay_in_setup() -> None:
    rng = np.random.default_rng(0)
    program = EMPTY
    for _ in range(2000):
        program = WHOLE.mutate(program, rng)
        assert not any(one.rule.random for code in program[1:] for one in code)


def test_neighbours_are_distinct_and_one_choice_away() -> None:
    program = parse("setup: s1=0.1 | predict: s1=mean(v0) | learn:")
    found = list(SMALL.neighbours(program))
    assert len(set(found)) == len(found)
    assert program not in found
    # a changed operation resets the arguments; the end of a function, and one after, count too
    assert all(distance(program, one) == 1 for one in found)


def test_crossover_mixes_two_programs() -> None:
    rng = np.random.default_rng(0)
    a, b = WHOLE.sample(rng), WHOLE.sample(rng)
    children = {WHOLE.crossover(a, b, rng) for _ in range(20)}
    assert len(children) > 10
    assert all(WHOLE.architecture(WHOLE.actions(child)) == child for child in children)


# -- forms -------------------------------------------------------------------------------------------------


def test_features_name_the_operation_of_each_place() -> None:
    found = SMALL.features(parse("setup: s1=0.1 | predict: s1=mean(v0) | learn:"))
    assert found == {
        "setup1/operation": "scalar_const",
        "predict1/operation": "vector_mean",
        "predict2/operation": "none",
    }
    assert SMALL.feature_values("operation") == ("none", *FEW)
    assert SMALL.feature_values("other") is None


def test_a_diagram_is_the_listing() -> None:
    (diagram,) = WHOLE.diagrams(parse("setup: | predict: s1=dot(v0,v1) | learn:"))
    assert diagram.lines[2:4] == ("def predict():", "    s1 = dot(v0, v1)")


def test_references_that_the_space_holds() -> None:
    assert list(WHOLE.references()) == ["linear", "two_layer"]
    assert list(ProgramSpace(matrices=0).references()) == ["linear"]
    assert SMALL.references() == {}
    assert "setup: s2=1.0 |" in WHOLE.text(WHOLE.references()["linear"])


def test_matrices_are_left_out_where_there_are_none() -> None:
    assert not any("m" in (*one.inputs, one.output) for one in ProgramSpace(matrices=0).operations)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operations": ["fly"]}, r"space.operations is \['fly'\], expected different names of scalar_const"),
        ({"operations": ["dot", "dot"]}, "expected different names"),
        ({"operations": ["dot", "outer"], "matrices": 0}, "space.operations has outer, but space.matrices is 0"),
        ({"operations": ["vector_gauss"]}, "space.operations has vector_gauss only, which setup alone may use"),
        ({"constants": []}, "space.constants is .*expected finite numbers, at least one, none twice"),
        ({"constants": [0.1, 0.1]}, "none twice"),
        ({"constants": [float("inf")]}, "expected finite numbers"),
    ],
)
def test_wrong_options_are_told(options, message: str) -> None:
    with pytest.raises(RlnasError, match=message):
        ProgramSpace(**options)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "setup: | predict: s1=mean(v0); s1=mean(v0); s1=mean(v0) | learn:",
            "predict has 3 instructions, expected at",
        ),
        ("setup: | predict: s1=mean(v1) | learn:", r"predict: 's1=mean\(v1\)' has the address v1, expected v0 to v0"),
        ("setup: | predict: s2=0.1 | learn:", "has the address s2, expected s0 to s1"),
        ("setup: s1=0.5 | predict: | learn:", r"'s1=0.5': the constant is not among \[0.1, 1.0, 2.0\]"),
        ("setup: | predict: s1=norm(v0) | learn:", "is vector_norm, which this space does not have"),
        (
            "setup: | predict: v0=gauss(0.1) | learn:",
            "is vector_gauss, which this space does not have outside",
        ),
    ],
)
def test_programs_of_other_spaces_are_told(line: str, message: str) -> None:
    with pytest.raises(RlnasError, match=message):
        SMALL.parse(line)


def test_no_step_after_the_last() -> None:
    with pytest.raises(RlnasError, match="complete after 6 steps"):
        SMALL.legal(np.zeros((6, 5), dtype=int))


def test_an_instruction_is_hashable_and_immutable() -> None:
    one = Instruction("dot", (0, 1), 1)
    assert hash(one) == hash(Instruction("dot", (0, 1), 1))
    with pytest.raises(AttributeError):
        one.output = 2  # type: ignore[misc]

"""Every operation against plain numpy on single values, one task at a time."""

import math

import numpy as np
import pytest

from rlnas.programs.operations import OPERATIONS, SIGNATURES, Operation

SHAPES = {"s": (), "v": (3,), "m": (3, 3)}
STORED = {"s": (1,), "v": (3,), "m": (3, 3)}


def column(a):
    return a.reshape(3, 1)


# the value for one task: of floats, (3,) and (3, 3)
BY_HAND = {
    "scalar_vector": lambda a, b: np.array([a * value for value in b]),
    "scalar_matrix": lambda a, b: np.array([[a * value for value in row] for row in b]),
    "scalar_fill": lambda a: np.array([a, a, a]),
    "dot": lambda a, b: sum(x * y for x, y in zip(a, b, strict=True)),
    "outer": lambda a, b: np.array([[x * y for y in b] for x in a]),
    "matrix_vector": lambda a, b: np.array([sum(row * b) for row in a]),
    "matrix_matrix": lambda a, b: np.array([[sum(a[i] * b[:, j]) for j in range(3)] for i in range(3)]),
    "transpose": lambda a: np.array([[a[j, i] for j in range(3)] for i in range(3)]),
    "vector_norm": lambda a: math.sqrt(sum(a**2)),
    "vector_mean": lambda a: sum(a) / 3,
    "vector_std": lambda a: math.sqrt(sum((a - sum(a) / 3) ** 2) / 3),
    "matrix_norm": lambda a: math.sqrt((a**2).sum()),
    "matrix_mean": lambda a: a.sum() / 9,
    "matrix_std": lambda a: math.sqrt(((a - a.sum() / 9) ** 2).sum() / 9),
    "row_mean": lambda a: np.array([sum(row) / 3 for row in a]),
    "row_norm": lambda a: np.array([math.sqrt(sum(row**2)) for row in a]),
    "column_mean": lambda a: np.array([sum(a[:, j]) / 3 for j in range(3)]),
    "column_norm": lambda a: np.array([math.sqrt(sum(a[:, j] ** 2)) for j in range(3)]),
    "fill_rows": lambda a: np.array([a, a, a]),
    "fill_columns": lambda a: np.array([[x, x, x] for x in a]),
}
ELEMENTWISE = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "min": min,
    "max": max,
    "abs": abs,
    "reciprocal": lambda a: 1 / a,
    "heaviside": lambda a: float(a >= 0),
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "arcsin": math.asin,
    "arccos": math.acos,
    "arctan": math.atan,
    "exp": math.exp,
    "log": math.log,
}
COMPUTED = [one for one in OPERATIONS.values() if not one.constant]


def by_hand(rule: Operation, operands):
    if rule.name in BY_HAND:
        return BY_HAND[rule.name](*operands)
    flat = [np.ravel(operand).tolist() for operand in operands]
    values = [ELEMENTWISE[rule.word](*numbers) for numbers in zip(*flat, strict=True)]
    return np.array(values).reshape(SHAPES[rule.output])


@pytest.mark.parametrize("rule", COMPUTED, ids=lambda rule: rule.name)
def test_an_operation_computes_each_task_as_by_hand(rule: Operation) -> None:
    rng = np.random.default_rng(1)
    low = 0.1 if rule.word == "log" else -0.9  # arcsin and arccos are defined on -1..1
    operands = [rng.uniform(low, 0.9, (2, *SHAPES[kind])) for kind in rule.inputs]
    stored = [operand.reshape(2, *STORED[kind]) for operand, kind in zip(operands, rule.inputs, strict=True)]
    found = rule.compute(*stored, **({"features": 3} if rule.sized else {}))
    assert found.shape == (2, *STORED[rule.output])
    for task in range(2):
        wanted = by_hand(rule, [operand[task] for operand in operands])
        np.testing.assert_allclose(found[task].reshape(SHAPES[rule.output]), wanted, rtol=1e-13)


@pytest.mark.parametrize("rule", COMPUTED, ids=lambda rule: rule.name)
def test_tasks_and_examples_broadcast(rule: Operation) -> None:
    """Memory of a task, (t, 1, ...), beside examples, (t, v, ...)."""
    rng = np.random.default_rng(2)
    batches = [(2, 1), (2, 5)][-len(rule.inputs) :]
    operands = [
        rng.uniform(0.1, 0.9, (*batch, *STORED[kind])) for batch, kind in zip(batches, rule.inputs, strict=True)
    ]
    extra = {"features": 3} if rule.sized else {}
    found = rule.compute(*operands, **extra)
    assert found.shape == (2, 5, *STORED[rule.output])
    single = rule.compute(*[operand[1, min(3, operand.shape[1] - 1)][None] for operand in operands], **extra)
    np.testing.assert_allclose(found[1, 3], single[0], rtol=1e-13)


def test_words_are_unique_among_operations_of_the_same_kinds() -> None:
    assert len(SIGNATURES) == len(OPERATIONS) == 60
    assert {one.word for one in OPERATIONS.values() if one.constant} == {"const", "gauss", "uniform"}


def test_heaviside_keeps_what_is_no_number() -> None:
    found = OPERATIONS["vector_heaviside"].compute(np.array([[-1.0, 0.0, np.nan]]))
    np.testing.assert_array_equal(found, [[0.0, 1.0, np.nan]])

"""The operations of programs over scalars, vectors and matrices (Real et al. 2020, "AutoML-Zero", supplement S1).

Every function computes all tasks at once. Axis letters: b batch axes (tasks, or tasks and examples), f features.
A scalar is (b, 1), a vector (b, f), a matrix (b, f, f), so that scalars combine with vectors without a reshape.
Results may be NaN or infinite, without a warning: the interpreter decides what a failure is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
KINDS = ("s", "v", "m")  # scalar, vector, matrix
NAMES_OF_KINDS = {"s": "scalar", "v": "vector", "m": "matrix"}


@dataclass(frozen=True)
class Operation:
    """An operation.

    name: unique, as in the option `space.operations`. word: in texts; unique among operations of the same kinds.
    inputs: kind of each operand. output: kind of the result. compute: of the operands; None for operations without
    operands, whose value is a constant ("const") or drawn ("gauss", "uniform"). sized: `compute` takes the number of
    features as well. symbol: in listings, between two operands.
    """

    name: str
    word: str
    inputs: tuple[str, ...]
    output: str
    compute: Callable[..., Array] | None = None
    sized: bool = False
    symbol: str = ""

    @property
    def random(self) -> bool:
        """Whether its value is drawn."""
        return self.word in ("gauss", "uniform")

    @property
    def constant(self) -> bool:
        """Whether it has a constant."""
        return self.compute is None


def heaviside(a: Array) -> Array:
    """Return 1 where a >= 0, else 0; NaN stays NaN."""
    return np.heaviside(a, 1.0)


def dot(a: Array, b: Array) -> Array:
    """Return the inner products: (b, 1)."""
    return np.add.reduce(a * b, axis=-1, keepdims=True)


def outer(a: Array, b: Array) -> Array:
    """Return the outer products: (b, f, f), rows as `a`."""
    return a[..., :, None] * b[..., None, :]


def matrix_vector(a: Array, b: Array) -> Array:
    """Return the matrix-vector products: (b, f)."""
    product: Array = np.matmul(a, b[..., None])
    return product[..., 0]


def scalar_matrix(a: Array, b: Array) -> Array:
    """Return the matrices times scalars."""
    return a[..., None] * b


def transpose(a: Array) -> Array:
    """Return the transposed matrices."""
    return np.swapaxes(a, -1, -2)


def vector_norm(a: Array) -> Array:
    """Return the Euclidean norms: (b, 1)."""
    return np.sqrt(np.add.reduce(a * a, axis=-1, keepdims=True))


def vector_mean(a: Array) -> Array:
    """Return the means: (b, 1)."""
    mean: Array = np.mean(a, axis=-1, keepdims=True)
    return mean


def vector_std(a: Array) -> Array:
    """Return the population standard deviations: (b, 1)."""
    std: Array = np.std(a, axis=-1, keepdims=True)
    return std


def _flat(a: Array) -> Array:
    return a.reshape(*a.shape[:-2], a.shape[-2] * a.shape[-1])


def matrix_norm(a: Array) -> Array:
    """Return the Frobenius norms: (b, 1)."""
    return vector_norm(_flat(a))


def matrix_mean(a: Array) -> Array:
    """Return the means: (b, 1)."""
    return vector_mean(_flat(a))


def matrix_std(a: Array) -> Array:
    """Return the population standard deviations: (b, 1)."""
    return vector_std(_flat(a))


def row_mean(a: Array) -> Array:
    """Return the mean of each row: (b, f)."""
    mean: Array = np.mean(a, axis=-1)
    return mean


def row_norm(a: Array) -> Array:
    """Return the norm of each row: (b, f)."""
    norm: Array = np.sqrt(np.add.reduce(a * a, axis=-1))
    return norm


def column_mean(a: Array) -> Array:
    """Return the mean of each column: (b, f)."""
    mean: Array = np.mean(a, axis=-2)
    return mean


def column_norm(a: Array) -> Array:
    """Return the norm of each column: (b, f)."""
    norm: Array = np.sqrt(np.add.reduce(a * a, axis=-2))
    return norm


def fill_vector(a: Array, features: int) -> Array:
    """Return vectors whose values all are the scalar: (b, f)."""
    return np.broadcast_to(a, (*a.shape[:-1], features))


def fill_rows(a: Array) -> Array:
    """Return matrices whose rows all are the vector: (b, f, f)."""
    return np.broadcast_to(a[..., None, :], (*a.shape, a.shape[-1]))


def fill_columns(a: Array) -> Array:
    """Return matrices whose columns all are the vector: (b, f, f)."""
    return np.broadcast_to(a[..., :, None], (*a.shape, a.shape[-1]))


def _elementwise() -> list[Operation]:
    """Return the operations that every kind has."""
    found = []
    binary: list[tuple[str, Any, str]] = [
        ("add", np.add, "+"),
        ("sub", np.subtract, "-"),
        ("mul", np.multiply, "*"),
        ("div", np.divide, "/"),
        ("min", np.minimum, ""),
        ("max", np.maximum, ""),
    ]
    unary: list[tuple[str, Any]] = [("abs", np.abs), ("reciprocal", np.reciprocal), ("heaviside", heaviside)]
    for kind, prefix in NAMES_OF_KINDS.items():
        found += [Operation(f"{prefix}_{w}", w, (kind, kind), kind, f, symbol=symbol) for w, f, symbol in binary]
        found += [Operation(f"{prefix}_{w}", w, (kind,), kind, f) for w, f in unary]
    return found


_SCALAR: list[tuple[str, Any]] = [
    ("sin", np.sin),
    ("cos", np.cos),
    ("tan", np.tan),
    ("arcsin", np.arcsin),
    ("arccos", np.arccos),
    ("arctan", np.arctan),
    ("exp", np.exp),
    ("log", np.log),
]

_ALL = (
    Operation("scalar_const", "const", (), "s"),
    *_elementwise(),
    *(Operation(f"scalar_{word}", word, ("s",), "s", compute) for word, compute in _SCALAR),
    Operation("vector_gauss", "gauss", (), "v"),
    Operation("vector_uniform", "uniform", (), "v"),
    Operation("matrix_gauss", "gauss", (), "m"),
    Operation("matrix_uniform", "uniform", (), "m"),
    Operation("scalar_vector", "scale", ("s", "v"), "v", np.multiply, symbol="*"),
    Operation("scalar_matrix", "scale", ("s", "m"), "m", scalar_matrix, symbol="*"),
    Operation("scalar_fill", "fill", ("s",), "v", fill_vector, sized=True),
    Operation("dot", "dot", ("v", "v"), "s", dot),
    Operation("outer", "outer", ("v", "v"), "m", outer),
    Operation("matrix_vector", "matvec", ("m", "v"), "v", matrix_vector, symbol="@"),
    Operation("matrix_matrix", "matmul", ("m", "m"), "m", np.matmul, symbol="@"),
    Operation("transpose", "transpose", ("m",), "m", transpose),
    Operation("vector_norm", "norm", ("v",), "s", vector_norm),
    Operation("vector_mean", "mean", ("v",), "s", vector_mean),
    Operation("vector_std", "std", ("v",), "s", vector_std),
    Operation("matrix_norm", "norm", ("m",), "s", matrix_norm),
    Operation("matrix_mean", "mean", ("m",), "s", matrix_mean),
    Operation("matrix_std", "std", ("m",), "s", matrix_std),
    Operation("row_mean", "row_mean", ("m",), "v", row_mean),
    Operation("row_norm", "row_norm", ("m",), "v", row_norm),
    Operation("column_mean", "column_mean", ("m",), "v", column_mean),
    Operation("column_norm", "column_norm", ("m",), "v", column_norm),
    Operation("fill_rows", "fill_rows", ("v",), "m", fill_rows),
    Operation("fill_columns", "fill_columns", ("v",), "m", fill_columns),
)
OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _ALL}
SIGNATURES: dict[tuple[str, tuple[str, ...], str], Operation] = {
    (operation.word, operation.inputs, operation.output): operation for operation in _ALL
}
assert len(SIGNATURES) == len(OPERATIONS) == len(_ALL)

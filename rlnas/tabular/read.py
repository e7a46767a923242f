"""Read a tabular benchmark from a CSV or Parquet file; any fault in it is a one-line error."""

import hashlib
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.config.spaces import TableConfig
from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.tabular.benchmark import Benchmark
from rlnas.tabular.cells import SUFFIXES, Cells, read_cells

# ASCII digits only: float() also accepts 1_000, nan and the digits of other scripts
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_LARGEST = 2**63 - 1  # largest count, of int64


def read_table(config: TableConfig) -> Benchmark:
    """Read the benchmark in `config.path`, which has one row for each combination of the decisions' values.

    Raises RlnasError for an unreadable file, missing columns, invalid numbers, and combinations that are missing
    or repeated.
    """
    if not config.path:
        raise RlnasError("space=table needs space.path, a CSV or Parquet file with one row for each architecture")
    path = expand(config.path)
    content = _content(path)
    table = _Table(path, read_cells(path, content))
    decisions, observed = _names(config.decisions, "decisions"), _names(config.reward, "reward")
    counts, wanted = {"params": config.params, "flops": config.flops}, [*decisions, *observed]
    wanted += [name for name in (config.score, config.seconds, *counts.values()) if name]
    table.check_columns(wanted)
    shared = set(decisions) & set(wanted[len(decisions) :])
    if shared:
        raise RlnasError(f"space.decisions names {', '.join(sorted(shared))}, which is a measured column too")
    values, chosen = zip(*(table.categories(name) for name in decisions), strict=True)
    order = table.order(decisions, values, np.stack(chosen, axis=1))
    measured = np.stack([table.numbers(name) for name in observed], axis=1)  # (n, k)
    score = table.numbers(config.score) if config.score else table.mean(measured, observed)
    table.check_span(np.column_stack([measured, score]), [*observed, *([config.score] if config.score else [])])
    return Benchmark(
        path.stem,
        hashlib.sha256(content).hexdigest(),
        tuple(decisions),
        tuple(values),
        measured[order],
        score[order],
        table.numbers(config.seconds, low=0)[order] if config.seconds else None,
        params=table.counts(config.params)[order] if config.params else None,
        flops=table.counts(config.flops)[order] if config.flops else None,
    )


def _content(path: Path) -> bytes:
    if path.suffix.lower() not in SUFFIXES:
        raise RlnasError(f"space.path={path}: expected a file that ends in {' or '.join(SUFFIXES)}")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RlnasError(f"space.path={path}: there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise RlnasError(f"space.path={path} cannot be read: {getattr(error, 'strerror', error)}") from None


def _names(given: Any, key: str) -> list[str]:
    """Return one or several column names as a list."""
    names = [given] if isinstance(given, str) else list(given or [])
    if not names or not all(isinstance(name, str) for name in names):
        raise RlnasError(f"space.{key} is {given!r}, expected one column name or several: space.{key}=[a,b]")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise RlnasError(f"space.{key} names {', '.join(repeated)} more than once")
    return names


class _Table:
    """Cells to convert to decisions and numbers; an invalid cell is an RlnasError with its position in the file."""

    def __init__(self, path: Path, cells: Cells):
        if not len(cells):
            raise RlnasError(f"{path} has no rows; expected one for each architecture")
        self.path = path
        self.cells = cells

    def check_columns(self, wanted: list[str]) -> None:
        """Raise RlnasError unless each of these columns exists exactly once."""
        names = self.cells.names
        missing = [name for name in wanted if name not in names]
        if missing:
            raise RlnasError(f"{self.path} has no column {', '.join(missing)}; it has {', '.join(names)}")
        twice = sorted({name for name in wanted if names.count(name) > 1})
        if twice:
            raise RlnasError(f"{self.path} has several columns {', '.join(twice)}; give each a name of its own")

    def _wrong(self, name: str, row: int, expected: str, text: str) -> RlnasError:
        got = repr(text if len(text) <= 60 else text[:57] + "...") if text else "an empty cell"
        advice = ""
        if "," in text:
            advice = "; write decimals with a point, and no mark between thousands"
        elif text.endswith("%"):
            advice = "; leave out the %"
        return RlnasError(
            f"{self.path}, column {name}, {self.cells.place(row)}: expected {expected}, got {got}{advice}"
        )

    def categories(self, name: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return the values of a decision in the order of `_natural`, and the index (n,) of each row's value."""
        texts = self.cells.column(name)
        for row, text in enumerate(texts):
            where = f"{self.path}, column {name}: {self.cells.place(row)}"
            if not text:
                raise RlnasError(f"{where} is empty; every row needs a value")
            if "," in text or len(text.splitlines()) > 1:
                raise RlnasError(
                    f"{where} is {text!r}; values with a comma or a line break cannot be written in an architecture's "
                    "text"
                )
        found = sorted(set(texts), key=_natural)
        self._check_spelling(name, found, texts)
        index = {text: number for number, text in enumerate(found)}
        return tuple(found), np.array([index[text] for text in texts], dtype=np.int64)

    def _check_spelling(self, name: str, found: list[str], texts: list[str]) -> None:
        """Raise RlnasError for one number in two spellings, such as 1 and 1.0. 007 and 7 are different codes."""
        first: dict[Decimal, str] = {}
        for text in found:
            if _NUMBER.fullmatch(text) and not re.match(r"[+-]?0[0-9]", text):
                other = first.setdefault(Decimal(text), text)
                if other != text:
                    places = [self.cells.place(texts.index(one)) for one in (other, text)]
                    raise RlnasError(
                        f"{self.path}, column {name}: {other} ({places[0]}) and {text} ({places[1]}) are one number in "
                        "two spellings, which would be two values; write it in one way"
                    )

    def order(
        self, decisions: list[str], values: tuple[tuple[str, ...], ...], chosen: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the row (n,) of each rank. chosen: (n, d) indices of values."""
        counts = [len(options) for options in values]
        size = math.prod(counts)
        ranks = np.ravel_multi_index(tuple(chosen.T), counts) if size < 2**62 else np.empty(0, np.int64)
        unique, first = np.unique(ranks, return_index=True)
        if size >= 2**62 or (len(unique) < size and len(unique) == len(ranks)):
            absent = "" if size >= 2**62 else f"; the first is {_text(values, _first_absent(unique), counts)}"
            raise RlnasError(
                f"{self.path} has {len(chosen):,} of the {size:,} combinations of {', '.join(decisions)}{absent}; "
                "every combination needs a row"
            )
        if len(ranks) > len(unique):
            later = int(np.setdiff1d(np.arange(len(ranks)), first)[0])
            before = int(np.flatnonzero(ranks == ranks[later])[0])
            raise RlnasError(
                f"{self.path}: {self.cells.place(later)} repeats the combination "
                f"{_text(values, int(ranks[later]), counts)} of {self.cells.place(before)}; give each one once, with "
                "repeated measurements as columns (space.reward=[a,b])"
            )
        return first

    def numbers(self, name: str, low: float = -math.inf) -> NDArray[np.float64]:
        """Return a measured column (n,). Raises RlnasError for the first cell that is not finite or below `low`."""
        expected = "a finite number" if low == -math.inf else f"a number of at least {low:g}"
        found = []
        for row, text in enumerate(self.cells.column(name)):
            value = float(text) if _NUMBER.fullmatch(text) else math.nan
            if not math.isfinite(value) or value < low:
                raise self._wrong(name, row, expected, text)
            found.append(value)
        return np.array(found, dtype=np.float64)

    def counts(self, name: str) -> NDArray[np.int64]:
        """Return a column of counts (n,), whole numbers from 0 to 2^63 - 1. Raises RlnasError for the first other."""
        found = []
        for row, text in enumerate(self.cells.column(name)):
            value = float(text) if _NUMBER.fullmatch(text) else math.nan
            whole = value >= 0 and value.is_integer()  # False for inf, so int() gets at most 309 digits
            count = (int(text) if text.isdecimal() else int(value)) if whole else -1
            if not 0 <= count <= _LARGEST:
                raise self._wrong(name, row, "a whole number (a count, not millions of it) from 0 to 2^63 - 1", text)
            found.append(count)
        return np.array(found, dtype=np.int64)

    def mean(self, measured: NDArray[np.float64], names: list[str]) -> NDArray[np.float64]:
        """Return the mean (n,) of repeats (n, k)."""
        with np.errstate(over="ignore"):
            mean: NDArray[np.float64] = measured.mean(axis=1)
        wrong = ~np.isfinite(mean)
        if wrong.any():
            row = int(wrong.argmax())
            raise RlnasError(
                f"{self.path}, {self.cells.place(row)}: the mean of {', '.join(names)} is no finite number, they are "
                f"{', '.join(f'{value:g}' for value in measured[row])}; give them in another unit"
            )
        return mean

    def check_span(self, measured: NDArray[np.float64], names: list[str]) -> None:
        """Raise RlnasError if a difference of two measurements, such as a regret, would be infinite."""
        low, high = float(measured.min()), float(measured.max())
        if math.isinf(high - low):
            raise RlnasError(
                f"{self.path}: {', '.join(names)} range from {low:g} to {high:g}, and their difference is no finite "
                "number; give them in another unit"
            )


def _natural(text: str) -> tuple[int, float, str]:
    """Return the sort key of a value: numbers by size, then texts by their characters."""
    return (0, float(text), text) if _NUMBER.fullmatch(text) else (1, 0.0, text)


def _first_absent(unique: NDArray[np.int64]) -> int:
    gaps = np.flatnonzero(unique != np.arange(len(unique)))
    return int(gaps[0]) if len(gaps) else len(unique)


def _text(values: tuple[tuple[str, ...], ...], rank: int, counts: list[int]) -> str:
    return ",".join(options[index] for options, index in zip(values, np.unravel_index(rank, counts), strict=True))

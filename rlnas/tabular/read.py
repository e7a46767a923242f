"""A tabular benchmark from a CSV or Parquet file; says in one line what is wrong with it."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rlnas.config import TableConfig
from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.tabular.benchmark import Benchmark


def read_table(config: TableConfig) -> Benchmark:
    """The benchmark in `config.path`: one row for every combination of the decisions' values.

    Raises RlnasError for a file that cannot be read, columns that are not there, numbers that are none, and
    combinations that are missing or given twice.
    """
    if not config.path:
        raise RlnasError("space=table needs space.path, a CSV or Parquet file with one row for each architecture")
    path = expand(config.path)
    frame = _read(path)
    decisions, observed = _names(config.decisions, "decisions"), _names(config.reward, "reward")
    optional = {"seconds": config.seconds, "params": config.params, "flops": config.flops}
    wanted = [*decisions, *observed, *([config.score] if config.score else []), *filter(None, optional.values())]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise RlnasError(f"{path} has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
    shared = set(decisions) & set(wanted[len(decisions) :])
    if shared:
        raise RlnasError(f"space.decisions names {', '.join(sorted(shared))}, which is a measured column too")
    values, chosen = zip(*(_categories(path, frame, name) for name in decisions), strict=True)
    order = _order(path, decisions, values, np.stack(chosen, axis=1))
    measured = np.stack([_numbers(path, frame, name) for name in observed], axis=1)[order]  # (n, k)
    score = _numbers(path, frame, config.score)[order] if config.score else measured.mean(axis=1)
    costs = {key: _numbers(path, frame, name, low=0)[order] for key, name in optional.items() if name}
    return Benchmark(
        path.stem,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        tuple(decisions),
        tuple(values),
        measured,
        score,
        costs.get("seconds"),
        *(costs[key].round().astype(np.int64) if key in costs else None for key in ("params", "flops")),
    )


def _read(path: Path) -> pd.DataFrame:
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise RlnasError(f"space.path={path}: expected a file that ends in .csv or .parquet")
    try:
        # as text: 1 and 1.0 and 01 are what the file says; measured columns become numbers later
        frame = pd.read_csv(path, dtype=str) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except FileNotFoundError:
        raise RlnasError(f"space.path={path}: there is no such file") from None
    except (OSError, ValueError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise RlnasError(f"space.path={path} cannot be read: {str(error).splitlines()[0]}") from None
    if not len(frame):
        raise RlnasError(f"{path} has no rows; expected one for each architecture")
    return frame


def _names(given: Any, key: str) -> list[str]:
    """One column name or several, as a list."""
    names = [given] if isinstance(given, str) else list(given or [])
    if not names or not all(isinstance(name, str) for name in names):
        raise RlnasError(f"space.{key} is {given!r}, expected one column name or several: space.{key}=[a,b]")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise RlnasError(f"space.{key} names {', '.join(repeated)} more than once")
    return names


def _categories(path: Path, frame: pd.DataFrame, name: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The values of a decision, numbers in their order and texts in theirs, and each row's index among them."""
    column = frame[name]
    if column.isna().any():
        raise RlnasError(
            f"{path}, column {name}: row {int(column.isna().argmax()) + 1} is empty; every row needs a value"
        )
    texts = column.astype(str).str.strip()
    if texts.str.contains(",").any():
        raise RlnasError(f"{path}, column {name}: values with a comma cannot be written in an architecture's text")
    found = sorted(texts.unique(), key=_natural)
    index = {text: number for number, text in enumerate(found)}
    return tuple(found), texts.map(index).to_numpy(np.int64)


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)


def _order(
    path: Path, decisions: list[str], values: tuple[tuple[str, ...], ...], chosen: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Which row holds each rank: chosen (n, d) indices of values."""
    counts = [len(options) for options in values]
    size = int(np.prod([float(count) for count in counts]))
    ranks = np.ravel_multi_index(tuple(chosen.T), counts) if size < 2**62 else np.empty(0, np.int64)
    unique, first = np.unique(ranks, return_index=True)
    if size >= 2**62 or (len(unique) < size and len(unique) == len(ranks)):
        absent = "" if size >= 2**62 else f"; the first is {_text(values, _first_absent(unique), counts)}"
        raise RlnasError(
            f"{path} has {len(chosen):,} of the {size:,} combinations of {', '.join(decisions)}{absent}; every "
            "combination needs a row"
        )
    if len(ranks) > len(unique):
        later = np.setdiff1d(np.arange(len(ranks)), first)[0]
        raise RlnasError(
            f"{path}: row {later + 1} repeats the combination {_text(values, int(ranks[later]), counts)}; give each "
            "one once, with repeated measurements as columns (space.reward=[a,b])"
        )
    return first


def _first_absent(unique: NDArray[np.int64]) -> int:
    gaps = np.flatnonzero(unique != np.arange(len(unique)))
    return int(gaps[0]) if len(gaps) else len(unique)


def _text(values: tuple[tuple[str, ...], ...], rank: int, counts: list[int]) -> str:
    return ",".join(options[index] for options, index in zip(values, np.unravel_index(rank, counts), strict=True))


def _numbers(path: Path, frame: pd.DataFrame, name: str, low: float = -np.inf) -> NDArray[np.float64]:
    """A measured column; RlnasError names the first row that is no finite number, or below `low`."""
    numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64)
    wrong = ~np.isfinite(numbers) | (numbers < low)
    if wrong.any():
        row = int(wrong.argmax())
        bounds = "a finite number" if np.isinf(low) else f"a number of at least {low:g}"
        raise RlnasError(f"{path}, column {name}, row {row + 1}: expected {bounds}, got '{frame[name].iloc[row]}'")
    return numbers

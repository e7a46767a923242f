"""Reading the files of a run folder: text, JSON, CSV, each checked. Messages name the file, not its folder."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rlnas.errors import RlnasError

TEXT = (
    "architecture",
    "choice",
    "alternative",
    "code",
)  # code is a big integer: beyond 64 bits, so never a number here


def number(value: Any) -> float | None:
    """A finite number; None for everything else: null, NaN, text, a truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def read_text(path: Path) -> str:
    """The text of a file; RlnasError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RlnasError(f"{path.name} is damaged: it cannot be read ({error})") from None


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object; RlnasError otherwise."""
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise RlnasError(f"{path.name} is damaged: it is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise RlnasError(f"{path.name} is damaged: it holds a JSON {type(value).__name__}, expected an object")
    return value


def read_table(path: Path, columns: Sequence[str], required: Sequence[str]) -> pd.DataFrame:
    """A CSV file whose numbers are numbers.

    columns: present afterwards, NaN (text: empty) where the file lacks them, as one of an older version does.
    required: must be in the file, with a number in each row. An absent or empty file has no rows.
    """
    if not path.is_file() or path.stat().st_size == 0:
        empty = {name: pd.Series(dtype=object if name in TEXT else float) for name in columns}
        nothing: pd.DataFrame = pd.DataFrame(empty)
        return nothing
    try:
        table: pd.DataFrame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' ParserError and UnicodeDecodeError are ValueErrors
        raise RlnasError(f"{path.name} is damaged: {' '.join(str(error).split())}") from None
    missing = [name for name in required if name not in table]
    if missing:
        raise RlnasError(f"{path.name} is damaged: it lacks the column {missing[0]}; expected {', '.join(required)}")
    numbers: dict[str, Any] = {}
    for name in (*table.columns, *columns):
        if name in table and name not in TEXT:
            numbers[name] = _numbers(path, table[name], required=name in required)
        elif name not in table:
            numbers[name] = "" if name in TEXT else math.nan
    result: pd.DataFrame = table.assign(**numbers)
    return result


def _numbers(path: Path, column: "pd.Series[str]", *, required: bool) -> "pd.Series[float]":
    """The column as floats; RlnasError names the first cell that is none, of a required column also an empty one."""
    values = pd.to_numeric(column, errors="coerce")
    bad = values.isna() if required else values.isna() & (column != "") & (column.str.lower() != "nan")
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise RlnasError(
            f"{path.name} is damaged: line {row + 2}: {column.name} is '{column.iloc[row]}', expected a number; was "
            "the file cut off or edited?"
        )
    return values.astype(float)

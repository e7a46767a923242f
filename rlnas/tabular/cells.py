"""The cells of a CSV or Parquet file as text, and where in the file each row stands.

One form for both, so that the same table in either gives the same space. Nothing is interpreted: None, NA, 007 and
1.0 are what the file says. A cell is empty if it holds nothing but white space, or is null (or nan) in Parquet.
"""

import csv
import io
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rlnas.errors import RlnasError

SUFFIXES = (".csv", ".parquet")


class Cells(Protocol):
    """A table of `len()` rows with the columns `names`, in file order."""

    names: list[str]

    def __len__(self) -> int:
        """How many rows it has."""
        ...

    def column(self, name: str) -> list[str]:
        """The texts of a column without white space around them, "" where a cell is empty."""
        ...

    def place(self, row: int) -> str:
        """Where row `row` (from 0) stands, as a person looks for it."""
        ...


def read_cells(path: Path, content: bytes) -> Cells:
    """The table in a file of this `content`, whose name ends in one of SUFFIXES. Raises RlnasError if it is none."""
    return CsvCells(path, content) if path.suffix.lower() == ".csv" else ParquetCells(path, content)


class CsvCells:
    """Comma-separated, UTF-8, the first line with the names; cells may be quoted and then span lines."""

    def __init__(self, path: Path, content: bytes):
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise RlnasError(f"{path}, line {line}: this is not UTF-8; save the table as CSV in UTF-8") from None
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        self.rows: list[list[str]] = []
        self.lines: list[int] = []  # of each row, the first one, from 1
        end = 0  # the line on which the record before ended
        try:
            for cells in reader:
                start, end = end + 1, reader.line_num
                if len(cells) > 1 or "".join(cells).strip():  # else a blank line
                    self.rows.append([cell.strip() for cell in cells])
                    self.lines.append(start)
        except csv.Error as error:
            raise RlnasError(f"{path}, line {end + 1}: {error}; is a quotation mark missing or left over?") from None
        if not self.rows:
            raise RlnasError(f"space.path={path} cannot be read: it is empty")
        self.names = self.rows.pop(0)
        del self.lines[0]
        self._check(path)

    def _check(self, path: Path) -> None:
        """RlnasError for another separator, or a row of another length than the header."""
        if len(self.names) == 1:
            found = next((mark for mark in (";", "\t", "|") if mark in self.names[0]), None)
            if found is not None:
                raise RlnasError(
                    f"{path}: its cells are separated by {found!r}, expected commas (and decimals with a point)"
                )
        for row, cells in enumerate(self.rows):
            if len(cells) != len(self.names):
                raise RlnasError(
                    f"{path}, {self.place(row)}: {len(cells)} cells, expected {len(self.names)} as in the header; "
                    "put a cell with a comma in quotation marks"
                )

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[str]:
        """The texts of a column."""
        index = self.names.index(name)
        return [cells[index] for cells in self.rows]

    def place(self, row: int) -> str:
        """The line of the file, from 1, the header's included."""
        return f"line {self.lines[row]}"


class ParquetCells:
    """Columns of texts, numbers, truth values or dates; an index that pandas stored is a column too."""

    def __init__(self, path: Path, content: bytes):
        import pyarrow  # slow to import, and only needed here
        import pyarrow.parquet

        self.path = path
        try:
            self.table: Any = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise RlnasError(f"space.path={path} cannot be read: {reason}") from None
        self.names = list(self.table.column_names)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> list[str]:
        """The texts of a column, numbers as the shortest ones that mean the same."""
        from pyarrow import types

        values = self.table.column(name)
        kind = values.type.value_type if types.is_dictionary(values.type) else values.type
        if (
            types.is_nested(kind)
            or types.is_binary(kind)
            or types.is_large_binary(kind)
            or types.is_fixed_size_binary(kind)
        ):
            raise RlnasError(f"{self.path}, column {name} holds values of type {kind}, expected texts or numbers")
        found = values.to_pylist()
        if types.is_float32(kind) or types.is_float16(kind):  # 0.1, not 0.10000000149011612
            narrow = np.float32 if types.is_float32(kind) else np.float16
            return ["" if value is None or value != value else str(narrow(value)) for value in found]
        return ["" if value is None or value != value else str(value).strip() for value in found]  # nan != nan

    def place(self, row: int) -> str:
        """The row, from 1."""
        return f"row {row + 1}"

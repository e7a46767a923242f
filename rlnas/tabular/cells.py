"""Read the cells of a CSV or Parquet file as text, with the position of each row in the file.

Both formats give the same cells, so the same table gives the same space. Nothing is interpreted: None, NA, 007 and
1.0 stay as in the file. A cell is empty if it has only white space, or is null (or nan) in Parquet.
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
        """Return the number of rows."""
        ...

    def column(self, name: str) -> list[str]:
        """Return the texts of a column without surrounding white space; "" for an empty cell."""
        ...

    def place(self, row: int) -> str:
        """Return the position of row `row` (from 0) in the file, for a message."""
        ...


def read_cells(path: Path, content: bytes) -> Cells:
    """Parse `content` of the file `path`, whose suffix is one of SUFFIXES. Raises RlnasError if it is not a table."""
    return CsvCells(path, content) if path.suffix.lower() == ".csv" else ParquetCells(path, content)


class CsvCells:
    """Cells of a comma-separated UTF-8 file with a header line; quoted cells may span lines."""

    def __init__(self, path: Path, content: bytes):
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise RlnasError(f"{path}, line {line}: this is not UTF-8; save the table as CSV in UTF-8") from None
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        self.rows: list[list[str]] = []
        self.lines: list[int] = []  # first line of each row, from 1
        end = 0  # last line of the previous record
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
        """Raise RlnasError for another separator, or a row whose length differs from the header's."""
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
        """Return the texts of a column."""
        index = self.names.index(name)
        return [cells[index] for cells in self.rows]

    def place(self, row: int) -> str:
        """Return the line in the file, from 1; the header counts."""
        return f"line {self.lines[row]}"


class ParquetCells:
    """Cells of a Parquet file with texts, numbers, booleans or dates; a pandas index is a column too."""

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
        """Return the texts of a column; a number as the shortest text that reads back equal."""
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
        """Return the row, from 1."""
        return f"row {row + 1}"

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.errors import RlnasError
from rlnas.runs.tables import Table, read_rows

COLUMNS = ("index", "text", "value")


def rows(count: int, first: int = 0) -> list[dict[str, object]]:
    return [{"index": n, "text": f"a+{n}", "value": n / 3} for n in range(first, first + count)]


def test_rows_are_on_disk_once_appended(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.csv", COLUMNS)
    table.append(rows(2))
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == "index,text,value"
    assert read_rows(tmp_path / "t.csv") == table.rows
    table.close()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_equal(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    table = Table(tmp_path_factory.mktemp("t") / "t.csv", COLUMNS)
    table.append([{"index": 0, "text": "", "value": value}])
    table.close()
    assert float(read_rows(table.path)[0]["value"]) == value


def test_nothing_is_written_as_nothing(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.csv", COLUMNS)
    table.append([{"index": 0, "text": None, "value": None}])
    table.close()
    assert read_rows(table.path) == [{"index": "0", "text": "", "value": ""}]


def test_cut_back_and_grown_again_equals_never_cut(tmp_path: Path) -> None:
    whole = Table(tmp_path / "whole.csv", COLUMNS)
    whole.append(rows(5))
    whole.close()
    part = Table(tmp_path / "part.csv", COLUMNS)
    part.append(rows(3))
    part.append([{"index": 99, "text": "to be repeated", "value": 0}])
    part.file.write("98,cut o")  # killed in the middle of a line
    part.close()
    again = Table(tmp_path / "part.csv", COLUMNS, keep=3)
    assert len(again) == 3
    again.append(rows(2, first=3))
    again.close()
    assert part.path.read_bytes() == whole.path.read_bytes()
    assert again.rows == whole.rows


def test_rows_that_were_lost_are_an_error(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.csv", COLUMNS)
    table.append(rows(2))
    table.close()
    with pytest.raises(RlnasError, match="2 rows, but the checkpoint was written after 3"):
        Table(tmp_path / "t.csv", COLUMNS, keep=3)


def test_a_new_table_keeps_nothing(tmp_path: Path) -> None:
    old = Table(tmp_path / "t.csv", COLUMNS)
    old.append(rows(3))
    old.close()
    new = Table(tmp_path / "t.csv", COLUMNS)
    new.close()
    assert read_rows(new.path) == []


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("index,text,value\n0,a,1.0\n1,b")
    assert len(read_rows(tmp_path / "t.csv")) == 1


def test_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(tmp_path / "t.csv", COLUMNS)
    table.close()
    table.file = open("/dev/full", "w")  # noqa: SIM115 - every write fails with ENOSPC
    with pytest.raises(RlnasError, match="no space left"):
        table.append(rows(1))
    with pytest.raises(OSError, match="No space"):
        table.close()


def test_a_table_from_before_a_column_existed_goes_on(tmp_path):
    old = Table(tmp_path / "t.csv", COLUMNS[:-1])
    old.append([dict.fromkeys(COLUMNS[:-1], 1)])
    old.close()
    again = Table(tmp_path / "t.csv", COLUMNS, keep=1)
    again.append([dict.fromkeys(COLUMNS, 2)])
    again.close()
    assert [row[COLUMNS[-1]] for row in read_rows(tmp_path / "t.csv")] == ["", "2"]

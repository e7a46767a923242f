"""What stands in a file is what a table holds: texts as they are, in CSV and Parquet alike, with the right line."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.config.spaces import TableConfig
from rlnas.errors import RlnasError
from rlnas.spaces import make_space
from rlnas.tabular import Benchmark, read_benchmark
from rlnas.tabular.cells import CsvCells, ParquetCells


def read(path: Path, **options) -> Benchmark:
    return read_benchmark(TableConfig(path=str(path), **{"decisions": ["a", "b"], "reward": "r", **options}))


def table(values: list, **columns) -> pd.DataFrame:
    """Every value of `a` with b = x and y, and a reward that says which row it is."""
    rows = list(itertools.product(values, ["x", "y"]))
    return pd.DataFrame(
        {"a": pd.Series([a for a, _ in rows]), "b": [b for _, b in rows], "r": np.arange(len(rows)) / 7, **columns}
    )


def written(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# None, NA, ... : pandas' words for a missing value are values of a text column
WORDS = ["None", "NA", "N/A", "null", "NULL", "nan", "NaN", "n/a", "#N/A", "<NA>", "-nan", "relu"]


@pytest.mark.parametrize("word", [word for word in WORDS if word != "relu"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_words_for_nothing_are_values(word, suffix, tmp_path):
    frame, path = table(["gelu", word]), tmp_path / f"t.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    space = make_space(TableConfig(path=str(path), decisions=["a", "b"], reward="r"))
    assert set(space.benchmark.values[0]) == {"gelu", word}
    for a, b, reward in frame.itertuples(index=False):
        assert space.benchmark.score[space.rank(space.parse(f"{a},{b}"))] == reward


KINDS = {
    "words": WORDS,
    "integers": [1, 2, 10, -3],
    "floats": [1.0, 0.1, 0.1 + 0.2, 1e-7, 1e16, 2.5],
    "truth values": [True, False],
    "zeros in front": ["007", "7", "07", "070"],
    "numbers as texts": ["1", "10", "9"],
    "long numbers": [2**60, 2**60 + 1],
    "letters": ["你", "é", "a b", "x=y", "(1;2)", "'q'"],
    "quotes": ['say "x"', '"', "''"],
    "not numbers": ["1_000", "inf", "Infinity", "0x10", "\u0661", "1e99999"],
}


@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_csv_and_parquet_give_the_same_space(values, tmp_path):
    frame = table(values).sample(frac=1, random_state=1)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    csv, parquet = read(tmp_path / "t.csv"), read(tmp_path / "t.parquet")
    assert csv.values == parquet.values
    assert set(csv.values[0]) == {str(value) for value in values}
    assert csv.observed.tobytes() == parquet.observed.tobytes()  # no digit differs
    assert csv.score.tobytes() == parquet.score.tobytes()


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=6, unique=True))
def test_numbers_are_read_to_the_last_digit(numbers):
    lines = [f"{row},{value!r}" for row, value in enumerate(numbers)]
    cells = CsvCells(Path("t.csv"), "\n".join(["a,r", *lines]).encode())
    assert [float(text) for text in cells.column("r")] == numbers


def test_narrow_floats_are_written_short(tmp_path):
    frame = table([0.1, 0.2]).astype({"a": np.float32})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").values == read(tmp_path / "t.csv").values == (("0.1", "0.2"), ("x", "y"))


def test_an_index_of_pandas_is_a_column(tmp_path):
    table(["u", "v"]).set_index(["a", "b"]).to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").values == (("u", "v"), ("x", "y"))


def test_categories_of_pandas_are_texts(tmp_path):
    table(["u", "v"]).astype({"a": "category"}).to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").values[0] == ("u", "v")


GOOD = "a,b,r\nu,x,1\nu,y,2\nv,x,3\nv,y,4\n"
SAME = {
    "byte order mark": "\ufeff" + GOOD,
    "windows": GOOD.replace("\n", "\r\n"),
    "old mac": GOOD.replace("\n", "\r"),
    "no last line end": GOOD.rstrip(),
    "spaces": GOOD.replace(",", " , ").replace("u", " u "),
    "blank lines": GOOD.replace("\n", "\n\n  \n"),
    "quoted": '"a","b","r"\n' + GOOD[6:].replace("u", '"u"').replace("1", '"1"'),
    "another column": GOOD.replace(",r\n", ",r,note\n")
    .replace("1\n", '1,"x, y"\n')
    .replace("2\n", '2,"p\nq"\n')
    .replace("3\n", "3,\n")
    .replace("4\n", "4,\n"),
    "exponents": GOOD.replace("1\n", "1e0\n").replace("2\n", "+2.\n").replace("3\n", ".3E+1\n"),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_ways_to_write_the_same_csv(text, tmp_path):
    found = read(written(tmp_path, text))
    assert found.values == (("u", "v"), ("x", "y"))
    assert found.score.tolist() == [1, 2, 3, 4]


def replaced(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


WRONG = {
    "semicolons": (GOOD.replace(",", ";"), r"separated by ';', expected commas"),
    "tabs": (GOOD.replace(",", "\t"), r"separated by '\\t', expected commas"),
    "semicolons and decimal commas": (replaced(",", ";").replace("1", "1,5"), r"separated by ';'"),
    "decimal comma": (replaced("x,3", 'x,"3,5"'), r"column r, line 4: expected a finite number, got '3,5'; .*a point"),
    "unquoted decimal comma": (replaced("x,3", "x,3,5"), r"line 4: 4 cells, expected 3"),
    "percent": (replaced("x,3", "x,3%"), r"line 4: expected a finite number, got '3%'; leave out the %"),
    "short row": (replaced("v,x,3", "v,x"), r"line 4: 2 cells, expected 3"),
    "a row of empty cells": (GOOD + ",,\n", r"column a: line 6 is empty"),
    "empty": (replaced("v,x", ",x"), r"column a: line 4 is empty"),
    "white space only": (replaced("v,x", '"  ",x'), r"column a: line 4 is empty"),
    "empty reward": (replaced("x,3", "x,"), r"column r, line 4: expected a finite number, got an empty cell"),
    "None as reward": (replaced("x,3", "x,None"), r"line 4: expected a finite number, got 'None'"),
    "nan as reward": (replaced("x,3", "x,nan"), r"line 4: .* got 'nan'"),
    "truth as reward": (replaced("x,3", "x,True"), r"line 4: .* got 'True'"),
    "underscores": (replaced("x,3", "x,3_000"), r"line 4: .* got '3_000'"),
    "other digits": (replaced("x,3", "x,٣"), r"line 4: .* got '٣'"),
    "too large a number": (replaced("x,3", "x,1e400"), r"line 4: .* got '1e400'"),
    "below a blank line": (replaced("v,x", "\n\n,x"), r"column a: line 6 is empty"),
    "below a cell of two lines": (
        replaced("u,x,1", '"u\nw",x,1'),
        r"line 2 is 'u\\nw'; values with a comma or",
    ),
    "after a cell of two lines": (
        'a,b,r,n\nu,x,1,"p\nq\nr"\nu,y,2,\nv,x,3,\n,y,4,\n',
        r"column a: line 7 is empty",
    ),
    "a comma in a value": (replaced("v,x", '"v,w",x'), r"line 4 is 'v,w'; values with a comma"),
    "open quotation mark": (replaced("v,x", '"v,x'), r"line 4: .*quotation mark"),
    "text behind a quotation mark": (replaced("v,x", '"v"w,x'), r"line 4: .*quotation mark"),
    "two spellings": (
        replaced("u", "1").replace("v", "1.0"),
        r"a: 1 \(line 2\) and 1.0 \(line 4\) are one number",
    ),
    "two spellings, exponent": (replaced("u", "100").replace("v", "1e2"), r"100 \(line 2\) and 1e2 \(line 4\) are one"),
    "a column twice": (replaced("a,b,r", "a,r,r"), "has no column b|several columns r"),
    "the reward twice": ("a,b,r,r\nu,x,1,1\n", "several columns r"),
    "repeated": (GOOD + "u,y,9\n", r"line 6 repeats the combination u,y of line 3"),
    "latin 1": (GOOD.replace("v", "é").encode("latin-1"), r"line 4: this is not UTF-8"),
    "utf-16": (GOOD.encode("utf-16"), r"line 1: this is not UTF-8"),
    "nothing": ("", "cannot be read: it is empty"),
    "a header": ("a,b,r\n", "has no rows"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_csv_is_named_with_its_line(text, message, tmp_path):
    with pytest.raises(RlnasError, match=message) as error:
        read(written(tmp_path, text))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"a": ["u", "u", None, "v"]}, r"column a: row 3 is empty"),
        ({"a": [1.0, 1.0, float("nan"), 2.0]}, r"column a: row 3 is empty"),
        ({"a": [" ", " ", "v", "v"]}, r"column a: row 1 is empty"),
        ({"r": [1.0, None, 3.0, 4.0]}, r"column r, row 2: expected a finite number, got an empty cell"),
        ({"r": [True, False, True, False]}, r"column r, row 1: expected a finite number, got 'True'"),
        ({"r": ["1", "2", "x", "4"]}, r"column r, row 3: .* got 'x'"),
        ({"a": [[1], [1], [2], [2]]}, r"column a holds values of type list<.*expected texts or numbers"),
        ({"a": [b"u", b"u", b"v", b"v"]}, r"column a holds values of type binary"),
    ],
)
def test_what_is_wrong_in_parquet_is_named_with_its_row(column, message, tmp_path):
    columns = {"a": ["u", "u", "v", "v"], "b": ["x", "y", "x", "y"], "r": [1.0, 2.0, 3.0, 4.0], **column}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(RlnasError, match=message):
        read(tmp_path / "t.parquet")


def test_numbers_as_texts_in_parquet_are_numbers(tmp_path):
    table(["u", "v"]).astype({"r": str}).to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").score.tolist() == [k / 7 for k in range(4)]


LIMIT = 2**63 - 1
COUNTS = {
    "largest": (str(LIMIT), LIMIT),
    "exact": (str(2**53 + 1), 2**53 + 1),
    "zero": ("0", 0),
    "float": ("1500000.0", 1_500_000),
    "exponent": ("1.5e6", 1_500_000),
    "beyond": (str(LIMIT + 1), None),
    "far beyond": ("1e30", None),
    "endless": ("9" * 5000, None),
    "infinite": ("inf", None),
    "millions": ("1.53", None),
    "negative": ("-1", None),
    "text": ("many", None),
    "empty": ("", None),
}


@pytest.mark.parametrize("key", ["params", "flops"])
@pytest.mark.parametrize(("text", "expected"), COUNTS.values(), ids=COUNTS)
def test_counts_are_whole_and_fit_64_bits(key, text, expected, tmp_path):
    path = written(tmp_path, f"a,b,r,n\nu,x,1,7\nu,y,2,{text}\nv,x,3,7\nv,y,4,7\n")
    if expected is None:
        with pytest.raises(RlnasError, match=r"column n, line 3: expected a whole number .* from 0 to 2\^63 - 1, got"):
            read(path, **{key: "n"})
        return
    assert getattr(read(path, **{key: "n"}), key).tolist() == [7, expected, 7, 7]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("values", [[1.7e308, 1.7e308], [-1e308, -1.7e308]])
def test_repeats_whose_mean_overflows(values, suffix, tmp_path):
    frame, path = table(["u", "v"], s=2.0), tmp_path / f"t.{suffix}"
    frame.loc[2, ["r", "s"]] = values
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    place = {"csv": "line 4", "parquet": "row 3"}[suffix]
    with pytest.raises(RlnasError, match=f"{place}: the mean of r, s is no finite number"):
        read(path, reward=["r", "s"])
    assert read(path, reward=["r", "s"], score="s").score[2] == values[1]  # where none is needed, none is made


@pytest.mark.parametrize(("key", "column"), [("reward", "r"), ("score", "s")])
def test_differences_that_overflow(key, column, tmp_path):
    """A regret is one, and so is what a running mean is moved by."""
    frame = table(["u", "v"], s=2.0)
    frame[column] = [-1.7e308, 1.0, 1.7e308, 1.0]
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(RlnasError, match=rf"{column} range from -1.7e\+308 to 1.7e\+308, and their difference"):
        read(tmp_path / "t.csv", **{key: column})


def test_the_bytes_that_were_read_are_those_that_are_hashed(tmp_path):
    """And a table of another content has another hash, so that a resumed run notices."""
    found = [read(written(tmp_path, text)).sha256 for text in (GOOD, GOOD.replace("4", "5"), GOOD)]
    assert found[0] == found[2] != found[1]


def test_both_readers_count_rows_alike():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": ["u", "v"]}), sink)
    csv, parquet = (
        CsvCells(Path("t.csv"), b"a\n\nu\nv\n"),
        ParquetCells(Path("t.parquet"), sink.getvalue().to_pybytes()),
    )
    assert [len(csv), len(parquet)] == [2, 2]
    assert [csv.place(1), parquet.place(1)] == ["line 4", "row 2"]
    assert csv.column("a") == parquet.column("a") == ["u", "v"]

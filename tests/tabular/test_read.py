"""A table from a file: ordered by rank, and one clear line for everything that is wrong with it."""

import itertools

import numpy as np
import pandas as pd
import pytest

from rlnas.config.spaces import TableConfig
from rlnas.errors import RlnasError
from rlnas.tabular import read_benchmark


@pytest.fixture
def frame():
    """Twelve architectures: depth (3) x act (2) x width (2), rows shuffled; acc_a = 10 d + 2 a + w, acc_b one more."""
    rows = [
        {"depth": depth, "act": act, "width": width, "acc_a": 10 * d + 2 * a + w, "acc_b": 10 * d + 2 * a + w + 1}
        for (d, depth), (a, act), (w, width) in itertools.product(
            enumerate([2, 4, 16]), enumerate(["gelu", "relu"]), enumerate([8, 64])
        )
    ]
    frame = pd.DataFrame(rows).assign(sec=lambda f: f.acc_a + 0.5, parameters=lambda f: 100 * f.depth)
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture
def read(tmp_path):
    """read(frame, **options): written as CSV (or Parquet) and read back."""

    def call(frame, suffix="csv", **options):
        path = tmp_path / f"bench.{suffix}"
        frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
        default = {"decisions": ["depth", "act", "width"], "reward": ["acc_a", "acc_b"]}
        return read_benchmark(TableConfig(path=str(path), **{**default, **options}))

    return call


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_are_ordered_by_rank(frame, read, suffix):
    table = read(frame, suffix, seconds="sec", params="parameters")
    assert table.decisions == ("depth", "act", "width")
    assert table.values == (("2", "4", "16"), ("gelu", "relu"), ("8", "64"))  # numbers by size, not by letters
    expected = [10 * d + 2 * a + w for d in range(3) for a in range(2) for w in range(2)]
    assert table.observed[:, 0].tolist() == expected
    assert table.score.tolist() == [value + 0.5 for value in expected]  # the mean of the repeats
    assert table.seconds.tolist() == [value + 0.5 for value in expected]
    assert table.params.tolist() == [200] * 4 + [400] * 4 + [1600] * 4
    assert (table.flops, table.networks, table.distinct) == (None, None, 12)
    assert (table.optimum, table.best) == (23.5, 11)


def test_one_reward_column_and_a_score_of_its_own(frame, read):
    table = read(frame.assign(true=-frame.acc_a), reward="acc_b", score="true")
    assert table.observed.shape == (12, 1)
    assert table.best == 0


def test_csv_and_parquet_are_the_same_table(frame, read):
    csv, parquet = read(frame), read(frame, "parquet")
    assert csv.values == parquet.values
    assert np.array_equal(csv.observed, parquet.observed)


WRONG = {
    "missing combinations": (
        lambda f: f[~((f.depth == 4) & (f.act == "relu"))],
        {},
        r"10 of the 12 combinations of depth, act, width; the first is 4,relu,8; every combination needs a row",
    ),
    "duplicate rows": (
        lambda f: pd.concat([f, f.iloc[:1]]),
        {},
        r"line 14 repeats the combination .* of line 2; give each one once",
    ),
    "nan": (
        lambda f: f.assign(acc_a=f.acc_a.where(f.index != 3)),
        {},
        r"column acc_a, line 5: expected a finite number, got an empty cell",
    ),
    "infinite": (lambda f: f.assign(acc_a=f.acc_a.astype(float).where(f.index != 3, np.inf)), {}, "got 'inf'"),
    "text as reward": (lambda f: f.assign(acc_a="good"), {}, r"line 2: expected a finite number, got 'good'"),
    "empty decision": (lambda f: f.assign(act=f.act.where(f.index != 5)), {}, r"column act: line 7 is empty"),
    "comma": (lambda f: f.assign(act=f.act + ",x"), {}, "values with a comma"),
    "wrong column": (lambda f: f, {"reward": "accuracy"}, r"no column accuracy; it has depth, act, width, acc_a"),
    "wrong decision": (lambda f: f, {"decisions": ["depth", "kernel"]}, r"no column kernel"),
    "no decision": (lambda f: f, {"decisions": []}, r"space.decisions is \[\], expected one column name or several"),
    "no reward": (lambda f: f, {"reward": None}, r"space.reward is None, expected one column name or several"),
    "reward twice": (lambda f: f, {"reward": ["acc_a", "acc_a"]}, "space.reward names acc_a more than once"),
    "decision is measured": (
        lambda f: f,
        {"score": "width"},
        "space.decisions names width, which is a measured column",
    ),
    "negative seconds": (
        lambda f: f.assign(sec=-1),
        {"seconds": "sec"},
        "column sec, line 2: expected a number of at least 0",
    ),
    "no rows": (lambda f: f.iloc[:0], {}, "has no rows"),
}


@pytest.mark.parametrize(("change", "options", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(frame, read, change, options, message):
    with pytest.raises(RlnasError, match=message) as error:
        read(change(frame), **options)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    def read(path):
        return read_benchmark(TableConfig(path=path, decisions=["a"], reward="b"))

    with pytest.raises(RlnasError, match=r"needs space.path"):
        read(None)
    with pytest.raises(RlnasError, match="there is no such file"):
        read(str(tmp_path / "absent.csv"))
    with pytest.raises(RlnasError, match=r"ends in .csv or .parquet"):
        read(str(tmp_path / "table.xlsx"))
    for name in ("empty.csv", "broken.parquet"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(RlnasError, match="cannot be read"):
            read(str(tmp_path / name))

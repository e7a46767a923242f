import math
from typing import Any

import pytest

from rlnas.report import text

NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.9341, "93.41 %"), (0, "0.00 %"), (None, "-"), (math.nan, "-"), ("x", "-"), (True, "-")],
)
def test_percent(value: Any, expected: str) -> None:
    assert text.percent(value).replace(NBSP, " ") == expected.replace("-", text.NONE)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, "", "0"),
        (999, "", "999"),
        (1000, "", "1 k"),
        (999_999, "", "1 M"),
        (3_241_000, "", "3.24 M"),
        (1.1e9, "FLOPs", "1.1 GFLOPs"),
        (5e15, "", "5000 T"),
    ],
)
def test_quantity(value: float, unit: str, expected: str) -> None:
    assert text.quantity(value, unit).replace(NBSP, " ") == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0 s"),
        (4.21, "4.2 s"),
        (59.96, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3600, "1 h"),
        (273600, "3 d 4 h"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert text.duration(seconds).replace(NBSP, " ") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("4096", ("4,096", None)), ("999999999", ("999,999,999", None)), (str(6**12 * 2**55), ("7.84", 25))],
)
def test_big(value: str, expected: tuple[str, int | None]) -> None:
    assert text.big(value) == expected


def test_big_carries() -> None:
    assert text.big("9999" + "0" * 10) == ("1.00", 14)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sep_conv3x3", "sep conv 3*3"),
        ("plain_sep_conv3x3", "sep conv 3*3"),
        ("identity", "identity"),
        ("3x5x36", "conv 3*5, 36 filters"),
        ("3x5x36s1x1", "conv 3*5, 36 filters"),
        ("3x5x36s2x1", "conv 3*5, 36 filters, stride 2*1"),
    ],
)
def test_operator(name: str, expected: str) -> None:
    assert text.operator(name) == expected.replace("*", "\N{MULTIPLICATION SIGN}")

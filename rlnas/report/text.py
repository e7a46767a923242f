"""Numbers and names as a person reads them."""

import re
from typing import Any

from rlnas.runs.reader import number

NONE = "\N{EN DASH}"


def percent(value: Any, digits: int = 2) -> str:
    """A share as `93.41 %`; a dash for no number."""
    share = number(value)
    return NONE if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def count(value: Any) -> str:
    """An integer with thousands separated: `12,800`."""
    whole = number(value)
    return NONE if whole is None else f"{int(whole):,}"


def quantity(value: Any, unit: str = "") -> str:
    """Three digits and a prefix: `3.24\N{NO-BREAK SPACE}M`, `1.1\N{NO-BREAK SPACE}GFLOPs`."""
    amount = number(value)
    if amount is None:
        return NONE
    prefix = ""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(amount) < 999.5 or prefix == "T":
            break
        amount /= 1000
    text = f"{amount:.3g}" if abs(amount) < 100 else f"{amount:.0f}"
    return f"{text}\N{NO-BREAK SPACE}{prefix}{unit}".rstrip("\N{NO-BREAK SPACE}")


def duration(value: Any) -> str:
    """Seconds as `4.2 s`, `3 min 20 s`, `2 h 5 min` or `3 d 4 h`."""
    seconds = number(value)
    if seconds is None:
        return NONE
    if seconds < 59.95:
        return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    whole = round(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(index for index, (_, length) in enumerate(units) if whole >= length)
    parts = []
    for name, length in units[first : first + 2]:
        amount, whole = divmod(whole, length)
        if amount:
            parts.append(f"{amount}\N{NO-BREAK SPACE}{name}")
    return " ".join(parts)


def big(value: str) -> tuple[str, int | None]:
    """A big integer: (`4,096`, None), or mantissa and exponent of ten (`1.31`, 26) from a billion on."""
    if not value.isdecimal():
        return value, None
    if len(value) < 10:
        return f"{int(value):,}", None
    exponent = len(value) - 1
    mantissa = f"{int(value[:4]) / 1000:.2f}"
    return ("1.00", exponent + 1) if mantissa == "10.00" else (mantissa, exponent)


def operator(name: str) -> str:
    """`sep_conv3x3` and `plain_sep_conv3x3` as `sep conv 3\N{MULTIPLICATION SIGN}3`, `3x5x36s2x1` as words too."""
    name = name.removeprefix("plain_")
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)(?:s(\d+)x(\d+))?", name)
    if match:
        text = f"conv {match[1]}\N{MULTIPLICATION SIGN}{match[2]}, {match[3]} filters"
        strided = match[4] is not None and (match[4], match[5]) != ("1", "1")
        return text + (f", stride {match[4]}\N{MULTIPLICATION SIGN}{match[5]}" if strided else "")
    name = re.sub(r"^(relu|plain|projected)_|_twice$", "", name)  # how an operator is put together, not what it is
    return re.sub(r"(\d+)x(\d+)", " \\1\N{MULTIPLICATION SIGN}\\2", name).replace("_", " ").replace("  ", " ")


def dataset(name: str) -> str:
    """The data set's name for a heading."""
    return {"cifar10": "CIFAR-10", "digits": "embedded digits"}.get(name, name)

"""Ranges of the fields of a dataclass, kept in their metadata."""

import dataclasses
import math
from dataclasses import field
from typing import Any

from rlnas.errors import RlnasError


def ranged(default: Any, low: float, high: float = math.inf, *, above: bool = False) -> Any:
    """Return a field for a number in [low, high], or in (low, high] with `above`."""
    return field(default=default, metadata={"low": low, "high": high, "above": above})


def one_of(default: str, *choices: str) -> Any:
    """Return a field for a string among `choices`."""
    return field(default=default, metadata={"choices": choices})


def check_ranges(config: Any, prefix: str) -> None:
    """Raise RlnasError for the first value of a dataclass, or a nested one, outside its range or choices.

    prefix: of the keys in the message, with a trailing dot.
    """
    for item in dataclasses.fields(config):
        value, key, rule = getattr(config, item.name), prefix + item.name, item.metadata
        if dataclasses.is_dataclass(value):
            check_ranges(value, f"{key}.")
        elif "choices" in rule and value not in rule["choices"]:
            raise RlnasError(f"{key} is '{value}', expected one of {', '.join(rule['choices'])}")
        elif "low" in rule:
            low, high, above = rule["low"], rule["high"], rule["above"]
            inside = (low < value if above else low <= value) and value <= high
            if not inside:  # also true for nan
                bounds = f"{'above' if above else 'at least'} {low:g}"
                if high < math.inf:
                    bounds += f" and at most {high:g}"
                raise RlnasError(f"{key} is {value}, expected a number {bounds}")

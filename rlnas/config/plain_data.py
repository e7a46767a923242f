"""A configuration as plain data."""

import dataclasses
from typing import Any


def to_dict(config: Any) -> dict[str, Any]:
    """The configuration as plain data, for JSON and for comparing two of them."""
    return dataclasses.asdict(config)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested plain data as dotted keys, as one would write them on the command line."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat

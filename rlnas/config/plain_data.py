"""A configuration as plain data."""

import dataclasses
from typing import Any


def to_dict(config: Any) -> dict[str, Any]:
    """Return the configuration as plain data, for JSON and for comparisons."""
    return dataclasses.asdict(config)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested plain data to dotted keys, as on the command line."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat

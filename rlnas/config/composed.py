"""Read and write a configuration composed by hydra; get and set single values of it."""

import copy
import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from rlnas.errors import RlnasError
from rlnas.files import write_text


def read_composed(path: Path) -> Any:
    """Read a configuration written by `save_composed`. Raises RlnasError if it cannot be read."""
    try:
        return OmegaConf.load(path)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise RlnasError(f"{path} cannot be read as a configuration: {' '.join(str(error).split())}") from None


def read_overrides(path: Path) -> list[str]:
    """Read the overrides written by `save_composed`, as typed. Raises RlnasError if they cannot be read."""
    overrides = OmegaConf.to_container(read_composed(path))
    assert isinstance(overrides, list)
    return [str(item) for item in overrides]


def save_composed(composed: Any, overrides: list[str], folder: Path) -> None:
    """Write `folder`/config.yaml and overrides.yaml, as hydra does, each atomically."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(composed))
    write_text(folder / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(overrides)))


def without_hydra(composed: Any) -> Any:
    """Return a copy of the composed configuration without the group `hydra`."""
    copied = copy.deepcopy(composed)
    with read_write(copied), open_dict(copied):
        copied.pop("hydra", None)
    return copied


def raw(composed: Any, key: str) -> Any:
    """Return the value at a dotted key, without resolving interpolations such as ${now:%H}."""
    group, _, last = key.rpartition(".")
    values = OmegaConf.to_container(OmegaConf.select(composed, group))
    assert isinstance(values, dict)
    return values[last]


def set_value(composed: Any, key: str, value: Any) -> None:
    """Replace the value at a dotted key; interpolations in a text are escaped."""
    if isinstance(value, str):
        value = not_interpolated(value)
    with read_write(composed), open_dict(composed):
        OmegaConf.update(composed, key, value)


def interpolated(text: str) -> str:
    """Return the text with interpolations such as ${oc.env:SCRATCH} resolved. Raises RlnasError for an unknown one."""
    try:
        return str(OmegaConf.create({"value": text}).value)
    except OmegaConfBaseException as error:
        raise RlnasError(str(error).splitlines()[0]) from None


def not_interpolated(text: str) -> str:
    """Escape interpolations, so that OmegaConf reads exactly `text`: an odd number of backslashes escapes ${."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)

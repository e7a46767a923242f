"""The configuration as hydra composed it: on disk, and single values of it."""

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
    """A configuration that `save_composed` wrote; RlnasError if it cannot be read."""
    try:
        return OmegaConf.load(path)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise RlnasError(f"{path} cannot be read as a configuration: {' '.join(str(error).split())}") from None


def read_overrides(path: Path) -> list[str]:
    """The overrides that `save_composed` wrote, as they were typed; RlnasError if they cannot be read."""
    overrides = OmegaConf.to_container(read_composed(path))
    assert isinstance(overrides, list)
    return [str(item) for item in overrides]


def save_composed(composed: Any, overrides: list[str], folder: Path) -> None:
    """Write `folder`/config.yaml and overrides.yaml, as hydra does, each whole or not at all."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(composed))
    write_text(folder / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(overrides)))


def without_hydra(composed: Any) -> Any:
    """The composed configuration without hydra's own part."""
    copied = copy.deepcopy(composed)
    with read_write(copied), open_dict(copied):
        copied.pop("hydra", None)
    return copied


def raw(composed: Any, key: str) -> Any:
    """What the configuration says at a dotted key, its interpolations such as ${now:%H} not resolved."""
    group, _, last = key.rpartition(".")
    values = OmegaConf.to_container(OmegaConf.select(composed, group))
    assert isinstance(values, dict)
    return values[last]


def set_value(composed: Any, key: str, value: Any) -> None:
    """Replace the value at a dotted key, taken as it is: a text has nothing to interpolate."""
    if isinstance(value, str):
        value = not_interpolated(value)
    with read_write(composed), open_dict(composed):
        OmegaConf.update(composed, key, value)


def interpolated(text: str) -> str:
    """The text with interpolations such as ${oc.env:SCRATCH} replaced. Raises RlnasError for an unknown one."""
    try:
        return str(OmegaConf.create({"value": text}).value)
    except OmegaConfBaseException as error:
        raise RlnasError(str(error).splitlines()[0]) from None


def not_interpolated(text: str) -> str:
    """The text as a value that OmegaConf reads as this very text: an odd number of backslashes escapes ${."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)

"""Save and restore the attributes of any algorithm.

stable-baselines3's own `save` pickles. Here every attribute becomes tensors and plain data: numbers, text, containers,
arrays, random generators, objects with a state_dict, and objects made of these. Other values are recorded by name, and
resuming is refused with that name instead of silently starting from a new state.
"""

import dataclasses
import enum
import functools
import random
import types
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (type(None), bool, int, float, str)
# Stateless and rebuilt from the configuration; one that differs from the one at the start is refused.
CONFIGURATION: tuple[type, ...] = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    functools.partial,
    torch.device,
    torch.dtype,
    np.dtype,
    gymnasium.Space,
)
CONTAINERS: dict[str, type] = {
    "deque": deque,
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
}


class Unsavable(Exception):
    """A value that cannot be encoded as plain data or restored; the argument says what it is."""


def encode(value: Any, handled: frozenset[int] = frozenset()) -> Any:
    """Return `value` as tensors and plain data that torch.load(weights_only=True) reads. Raises Unsavable.

    handled: ids of objects that are saved elsewhere or rebuilt; they are left unchanged.
    """
    if type(value) in PLAIN:
        return value
    if id(value) in handled:
        return {"kind": "kept", "value": None}
    if isinstance(value, CONFIGURATION):
        return {"kind": "kept", "value": getattr(value, "__qualname__", None)}
    for encoder in (_encode_leaf, _encode_generator):
        found = encoder(value)
        if found is not None:
            return found
    inside = handled | {id(value)}  # stops the recursion at circular references
    for kind, base in CONTAINERS.items():
        if isinstance(value, base):
            return _encode_container(kind, value, inside)
    if hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
        return {"kind": "state_dict", "value": encode(dict(value.state_dict()), inside)}
    frozen = dataclasses.is_dataclass(value) and getattr(value, "__dataclass_params__").frozen  # noqa: B009
    slotted = any(getattr(parent, "__slots__", ()) for parent in type(value).__mro__)
    if frozen or slotted or not hasattr(value, "__dict__"):
        raise Unsavable(type(value).__name__)
    attributes = {name: encode(item, inside) for name, item in vars(value).items()}
    return {"kind": "object", "value": attributes, "type": type(value).__qualname__}


def _encode_container(kind: str, value: Any, handled: frozenset[int]) -> dict[str, Any]:
    """Encode a container or a subclass of one (Counter, defaultdict, a named tuple)."""
    if kind == "dict":
        items: list[Any] = [(encode(key, handled), encode(item, handled)) for key, item in value.items()]
    else:
        items = [encode(item, handled) for item in value]
    name = type(value).__qualname__
    return {"kind": kind, "value": items, "type": name, "maxlen": getattr(value, "maxlen", None)}


def _encode_leaf(value: Any) -> dict[str, Any] | None:
    """Encode a tensor, array, numpy scalar, bytes or Enum member; return None for anything else."""
    if isinstance(value, Tensor):
        return {"kind": "tensor", "value": value.detach().clone()}
    if isinstance(value, bytes):  # torch.load(weights_only=True) refuses them
        return {"kind": "bytes", "value": list(value)}
    if isinstance(value, enum.Enum):
        return {"kind": "enum", "value": value.name}
    if not isinstance(value, np.ndarray | np.generic):
        return None
    try:
        tensor = torch.from_numpy(np.array(value, copy=True))
    except TypeError:
        raise Unsavable(f"array of {value.dtype}") from None
    return {"kind": "scalar" if isinstance(value, np.generic) else "array", "value": tensor}


def _encode_generator(value: Any) -> dict[str, Any] | None:
    """Encode a random generator; return None for anything else."""
    if isinstance(value, np.random.Generator):
        return {"kind": "numpy_generator", "value": encode(value.bit_generator.state)}
    if isinstance(value, torch.Generator):
        return {"kind": "torch_generator", "value": value.get_state()}
    if isinstance(value, random.Random):
        return {"kind": "python_generator", "value": encode(value.getstate())}
    return None


def restored(current: Any, saved: Any) -> Any:
    """Return the value that `encode` saved, changing `current` in place where possible.

    In place because other code may reference the same tensor, container or object. Raises Unsavable for an object, or
    a container of a user's class, that was created during the run and so does not exist yet.
    """
    if not isinstance(saved, dict):
        return saved
    kind, value = saved["kind"], saved["value"]
    if kind in CONTAINERS:
        return _restored_container(current, saved)
    if kind in _NEEDED and not isinstance(current, _NEEDED[kind]):
        raise Unsavable(f"{kind.replace('_', ' ')} that is not there at the start of a run")
    if kind == "object" and type(current).__qualname__ != saved["type"]:
        raise Unsavable(f"{saved['type']} that is not there at the start of a run")
    found = _RESTORE[kind](current, value)
    return current if found is None else found


def _restored_tensor(current: Any, value: Any) -> Any:
    if isinstance(current, Tensor) and current.shape == value.shape and current.dtype == value.dtype:
        with torch.no_grad():
            return current.copy_(value)
    return value.clone()


def _restored_kept(current: Any, value: str | None) -> None:
    if value is not None and current is not None and getattr(current, "__qualname__", value) != value:
        raise Unsavable(f"{value}, which is {current.__qualname__} at the start of a run")


def _restored_state(current: Any, value: Any) -> None:
    if not hasattr(current, "load_state_dict"):
        raise Unsavable("object with a state_dict that is not there at the start of a run")
    current.load_state_dict(restored(None, value))


def _restored_container(current: Any, saved: dict[str, Any]) -> Any:
    """Restore a container; items are restored in place where `current` has the same keys or length."""
    kind, items = saved["kind"], saved["value"]
    base = CONTAINERS[kind]
    alike = type(current).__qualname__ == saved["type"] and isinstance(current, base)
    if saved["type"] != base.__qualname__ and not alike:
        raise Unsavable(f"{saved['type']} that is not there at the start of a run")
    if kind == "dict":
        there = current if alike else {}
        pairs = [(restored(None, key), item) for key, item in items]
        values: Any = {key: restored(there.get(key), item) for key, item in pairs}
    else:
        same = alike and kind in ("list", "tuple") and len(current) == len(items)
        now = list(current) if same else [None] * len(items)
        values = [restored(old, item) for old, item in zip(now, items, strict=True)]
    if kind == "tuple":
        return type(current)(*values) if alike and hasattr(current, "_fields") else tuple(values)
    if not alike or kind == "frozenset" or (kind == "deque" and current.maxlen != saved["maxlen"]):
        return deque(values, maxlen=saved["maxlen"]) if kind == "deque" else base(values)
    current.clear()
    (current.extend if kind in ("list", "deque") else current.update)(values)
    return current


# Kinds that are only restored in place, and the type that must already exist.
_NEEDED: dict[str, type] = {
    "enum": enum.Enum,
    "numpy_generator": np.random.Generator,
    "torch_generator": torch.Generator,
    "python_generator": random.Random,
}
# Functions that change `current` in place return None.
_RESTORE: dict[str, Callable[[Any, Any], Any]] = {
    "kept": _restored_kept,
    "tensor": _restored_tensor,
    "bytes": lambda current, value: bytes(value),
    "enum": lambda current, value: type(current)[value],
    "array": lambda current, value: value.numpy().copy(),
    "scalar": lambda current, value: value.numpy().copy()[()],
    "numpy_generator": lambda current, value: setattr(current.bit_generator, "state", restored(None, value)),
    "torch_generator": lambda current, value: current.set_state(value) and None,
    "python_generator": lambda current, value: current.setstate(restored(None, value)),
    "state_dict": _restored_state,
    "object": lambda current, value: put_back(current, value),
}


def find(owner: Any, elsewhere: frozenset[str], handled: frozenset[int]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the attributes of `owner` as plain data by name, and the types of those that cannot be encoded.

    elsewhere: names of attributes that are saved elsewhere or rebuilt. handled: see `encode`.
    """
    saved, lost = {}, {}
    for name, value in vars(owner).items():
        if name in elsewhere:
            continue
        try:
            saved[name] = encode(value, handled)
        except Unsavable as error:
            lost[name] = str(error)
    return saved, lost


def put_back(owner: Any, saved: Mapping[str, Any]) -> None:
    """Set the attributes of `owner` that `find` saved. Raises Unsavable with the name of one it cannot restore."""
    for name, item in saved.items():
        if isinstance(item, dict) and item["kind"] == "kept" and not hasattr(owner, name):
            continue  # created during the run, which creates it again
        try:
            setattr(owner, name, restored(getattr(owner, name, None), item))
        except Unsavable as error:
            raise Unsavable(f"{name} ({error})") from None


def identities(*owners: nn.Module) -> frozenset[int]:
    """Return the ids of these modules, their submodules, parameters and buffers."""
    parts = [part for owner in owners for part in (*owner.modules(), *owner.parameters(), *owner.buffers())]
    return frozenset(id(part) for part in parts)

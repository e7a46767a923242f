"""The state that an algorithm keeps in its attributes, found and put back without knowing the algorithm.

stable-baselines3's own `save` pickles. Here every attribute becomes tensors and plain data: numbers, text, containers,
arrays, random generators, whatever has a state_dict, and objects made of these. What cannot be put so is named, and
resuming is refused with that name instead of going on with a state that is silently new.
"""

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
# Made anew from the configuration, and without a state of their own.
CONFIGURATION: tuple[type, ...] = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    torch.device,
    torch.dtype,
    np.dtype,
    gymnasium.Space,
)
CONTAINERS: dict[str, tuple[type, ...]] = {
    "deque": (deque,),
    "list": (list,),
    "tuple": (tuple,),
    "set": (set, frozenset),
}
KEPT = {"kind": "kept", "value": None}


class Unsavable(Exception):
    """A value that is no plain data; the argument says what it is."""


def encode(value: Any, handled: frozenset[int] = frozenset()) -> Any:
    """`value` as tensors and plain data that torch.load(weights_only=True) takes. Raises Unsavable.

    handled: ids of objects that are saved elsewhere, or made anew, and stay as they are.
    """
    if type(value) in PLAIN:
        return value
    if id(value) in handled or isinstance(value, CONFIGURATION):
        return KEPT
    for encoder in (_encode_leaf, _encode_generator):
        found = encoder(value)
        if found is not None:
            return found
    inside = handled | {id(value)}  # an object that leads back to itself is not walked forever
    for kind, classes in CONTAINERS.items():
        if isinstance(value, classes):
            items = [encode(item, inside) for item in value]  # type: ignore[attr-defined]
            return {"kind": kind, "value": items, "maxlen": getattr(value, "maxlen", None)}
    if isinstance(value, Mapping):
        return {"kind": "dict", "value": [(encode(k, inside), encode(v, inside)) for k, v in value.items()]}
    if hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
        return {"kind": "state_dict", "value": encode(value.state_dict(), inside)}
    if hasattr(value, "__dict__"):
        return {"kind": "object", "value": {name: encode(item, inside) for name, item in vars(value).items()}}
    raise Unsavable(type(value).__name__)


def _encode_leaf(value: Any) -> dict[str, Any] | None:
    """A tensor, an array, a number of numpy's, bytes; None for anything else."""
    if isinstance(value, Tensor):
        return {"kind": "tensor", "value": value.detach().clone()}
    if isinstance(value, bytes):  # torch.load(weights_only=True) refuses them
        return {"kind": "bytes", "value": list(value)}
    if not isinstance(value, np.ndarray | np.generic):
        return None
    try:
        tensor = torch.from_numpy(np.array(value, copy=True))
    except TypeError:
        raise Unsavable(f"array of {value.dtype}") from None
    return {"kind": "scalar" if isinstance(value, np.generic) else "array", "value": tensor}


def _encode_generator(value: Any) -> dict[str, Any] | None:
    """A random generator; None for anything else."""
    if isinstance(value, np.random.Generator):
        return {"kind": "numpy_generator", "value": encode(value.bit_generator.state)}
    if isinstance(value, torch.Generator):
        return {"kind": "torch_generator", "value": value.get_state()}
    if isinstance(value, random.Random):
        return {"kind": "python_generator", "value": encode(value.getstate())}
    return None


def restored(current: Any, saved: Any) -> Any:
    """What `encode` saved; tensors, generators and objects that are there already are changed in place.

    In place, because others may hold the same tensor or object.
    """
    if not isinstance(saved, dict):
        return saved
    kind, value = saved["kind"], saved["value"]
    if kind in CONTAINERS:
        return _restored_items(current, saved)
    found = _RESTORE[kind](current, value)
    return current if found is None else found


def _restored_tensor(current: Any, value: Any) -> Any:
    if isinstance(current, Tensor) and current.shape == value.shape and current.dtype == value.dtype:
        with torch.no_grad():
            return current.copy_(value)
    return value.clone()


def _restored_dict(current: Any, value: Any) -> Any:
    there = current if isinstance(current, Mapping) else {}
    pairs = [(restored(None, key), item) for key, item in value]
    return {key: restored(there.get(key), item) for key, item in pairs}


def _restored_items(current: Any, saved: dict[str, Any]) -> Any:
    """A container; its items are restored in place where `current` has as many."""
    kind, items = saved["kind"], saved["value"]
    ordered = kind in ("list", "tuple") and isinstance(current, list | tuple)
    there = list(current) if ordered and len(current) == len(items) else [None] * len(items)
    values = [restored(now, item) for now, item in zip(there, items, strict=True)]
    if kind == "deque":
        return deque(values, maxlen=saved["maxlen"])
    if kind == "set":
        return type(current)(values) if isinstance(current, set | frozenset) else set(values)
    if kind == "tuple":
        return type(current)(*values) if hasattr(current, "_fields") else tuple(values)
    return values


# What changes `current` in place returns None.
_RESTORE: dict[str, Callable[[Any, Any], Any]] = {
    "kept": lambda current, value: None,
    "tensor": _restored_tensor,
    "bytes": lambda current, value: bytes(value),
    "array": lambda current, value: value.numpy().copy(),
    "scalar": lambda current, value: value.numpy().copy()[()],
    "dict": _restored_dict,
    "numpy_generator": lambda current, value: setattr(current.bit_generator, "state", restored(None, value)),
    "torch_generator": lambda current, value: current.set_state(value) and None,
    "python_generator": lambda current, value: current.setstate(restored(None, value)),
    "state_dict": lambda current, value: current.load_state_dict(restored(None, value)) and None,
    "object": lambda current, value: put_back(current, value),
}


def find(owner: Any, elsewhere: frozenset[str], handled: frozenset[int]) -> tuple[dict[str, Any], dict[str, str]]:
    """The attributes of `owner` as plain data by name, and the types of those that cannot be put so.

    elsewhere: names of attributes that are saved otherwise or made anew. handled: see `encode`.
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
    """Give `owner` the attributes that `find` saved."""
    for name, item in saved.items():
        setattr(owner, name, restored(getattr(owner, name, None), item))


def identities(*owners: nn.Module) -> frozenset[int]:
    """Ids of these modules, all inside them, and their parameters and buffers."""
    parts = [part for owner in owners for part in (*owner.modules(), *owner.parameters(), *owner.buffers())]
    return frozenset(id(part) for part in parts)

"""Named, independent random streams from one seed; save and restore the global generators.

Each part of rlnas draws from its own stream, so switching one part off (such as augmentation) does not shift the
draws of another. Only stable-baselines3 and torch's distributions use the global generators, which are saved and
restored with every checkpoint.
"""

import hashlib
import random
from typing import Any

import numpy as np
import torch


def stream_seed(seed: int, name: str) -> int:
    """Return a seed in [0, 2^63) for the stream `name` of the run seeded with `seed`."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_stream(seed: int, name: str) -> np.random.Generator:
    """Return an independent numpy generator for the stream `name`."""
    return np.random.Generator(np.random.PCG64(stream_seed(seed, name)))


def torch_stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return an independent torch generator on `device` for the stream `name`."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, name))


def global_rng_state() -> dict[str, Any]:
    """Return the state of python's, numpy's and torch's global CPU generators, as plain data and tensors.

    GPU generators are not needed: controllers run on the CPU, and all other parts draw from their own streams.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 - SB3 draws from it
    return {
        "python": random.getstate(),
        "numpy": (str(kind), [int(key) for key in keys], int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
    }


def set_global_rng_state(state: dict[str, Any]) -> None:
    """Restore what `global_rng_state` returned. Call it last, after everything that draws."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])

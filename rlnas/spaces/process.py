"""Completes, repairs and changes actions in the decision process of any space."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rlnas.spaces.base import Space

OpenChoice = tuple[int, int, NDArray[np.int64]]  # step, component, its legal values


def legal_values(space: "Space", prefix: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the legal values of each component after the actions of `prefix` (steps so far, len(nvec))."""
    parts = np.split(space.legal(prefix), np.cumsum(space.nvec)[:-1])
    return [np.flatnonzero(part) for part in parts]


def is_legal(space: "Space", actions: NDArray[np.int64]) -> bool:
    """Return whether the decision process allows these actions (steps, len(nvec)) now."""
    starts = np.cumsum((0, *space.nvec[:-1]))
    return all(bool(space.legal(actions[:step])[starts + row].all()) for step, row in enumerate(actions))


def repaired(space: "Space", actions: NDArray[np.int64] | None, rng: np.random.Generator | None) -> NDArray[np.int64]:
    """Return legal actions (steps, len(nvec)): legal values of `actions` are kept, step by step.

    Other values, or all if `actions` is None, are sampled by `rng` uniformly among the legal ones; without a
    generator they become the lowest legal one.
    """
    made = np.zeros((space.steps, len(space.nvec)), dtype=np.int64)
    for step in range(space.steps):
        for component, options in enumerate(legal_values(space, made[:step])):
            if actions is not None and actions[step, component] in options:
                made[step, component] = actions[step, component]
            elif rng is not None and len(options) > 1:
                made[step, component] = options[rng.integers(len(options))]
            else:
                made[step, component] = options[0]
    return made


def open_choices(space: "Space", actions: NDArray[np.int64]) -> list[OpenChoice]:
    """Return the places where these legal actions had more than one legal value, in order."""
    return [
        (step, component, options)
        for step in range(space.steps)
        for component, options in enumerate(legal_values(space, actions[:step]))
        if len(options) > 1
    ]


def changed(
    actions: NDArray[np.int64], step: int, component: int, options: NDArray[np.int64], shift: int
) -> NDArray[np.int64]:
    """Return a copy with one choice moved by `shift` among its legal values, cyclically. It may need `repaired`."""
    copy: NDArray[np.int64] = actions.copy()
    place = int(np.searchsorted(options, copy[step, component]))
    copy[step, component] = options[(place + shift) % len(options)]
    return copy

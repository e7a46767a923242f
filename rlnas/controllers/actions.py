"""Actions that build given architectures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.envs.episodes import Episodes
from rlnas.spaces import Architecture


def building_actions(episodes: Episodes, architectures: list[Architecture]) -> list[NDArray[Any]]:
    """Return for each step the actions that build these n architectures: (n, m) for layers, (n,) for decisions."""
    rows = np.stack([episodes.space.actions(architecture) for architecture in architectures])  # (n, t, m)
    if episodes.step_unit == "layer":
        return [rows[:, step] for step in range(episodes.length)]
    return [rows[:, step, component] for step, component in episodes.order]

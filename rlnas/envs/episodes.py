"""The decision process of n architectures at once; the single and the batched environment both wrap it.

Axes: n episodes, t steps of the space (layers), m components of a step, w = sum(nvec).
"""

from collections.abc import Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rlnas.spaces import Architecture, Space

StepUnit = Literal["layer", "decision"]


class Episodes:
    """n partial architectures that advance together, all at the same position.

    step_unit: `layer`: an action is one step of the space, MultiDiscrete(nvec). `decision`: an action is
    one choice, Discrete(max(nvec)); components with a single legal value are skipped.

    The observation of an episode is float32 (t * w + positions + a,): for every step the one-hot choices so far,
    zeros for later ones, the one-hot position, then the mask of the currently legal choices (a = w for
    layers, max(nvec) for decisions; all ones at the end). It holds the whole partial architecture.

    An illegal choice is replaced by a uniformly random legal one of its component, so an agent without masks that
    acts uniformly builds uniformly random architectures; for the bit of a layer that does not exist the only legal
    choice is 0. The info counts the replaced choices as `illegal`.

    generators: one an episode, for these replacements; seeded 0, 1, 2... by default.
    """

    def __init__(
        self,
        space: Space,
        count: int,
        step_unit: StepUnit = "layer",
        generators: Sequence[np.random.Generator] | None = None,
    ):
        self.space = space
        self.generators = list(generators or (np.random.default_rng(row) for row in range(count)))
        self.count = count
        self.step_unit = step_unit
        self.width = sum(space.nvec)
        self.starts = np.concatenate([[0], np.cumsum(space.nvec)[:-1]]).astype(int)  # (m,)
        self.order = list(space.decisions)  # of step_unit=decision: (step, component)
        if step_unit == "decision" and not self.order:
            self.order = [(0, 0)]  # a space of one architecture still has an episode of one step
        self.length = space.steps if step_unit == "layer" else len(self.order)
        self.illegal = np.zeros(count, dtype=np.int64)
        self.reset()

    # -- spaces ----------------------------------------------------------------------------------------

    def observation_space(self) -> gymnasium.spaces.Box:
        """Return the observation space of one episode."""
        shape = (self.space.steps * self.width + self.length + self.action_width,)
        return gymnasium.spaces.Box(0.0, 1.0, shape, np.float32)

    def action_space(self) -> gymnasium.spaces.Space[Any]:
        """Return the action space of one episode."""
        if self.step_unit == "layer":
            return gymnasium.spaces.MultiDiscrete(list(self.space.nvec))
        return gymnasium.spaces.Discrete(max(self.space.nvec))

    @property
    def action_width(self) -> int:
        """Number of values of a mask."""
        return self.width if self.step_unit == "layer" else max(self.space.nvec)

    # -- stepping --------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Start n new architectures."""
        self.position = 0
        self.actions = np.zeros((self.count, self.space.steps, len(self.space.nvec)), dtype=np.int64)  # (n, t, m)
        self.chosen = np.zeros((self.count, self.space.steps, self.width), dtype=np.float32)  # (n, t, w)
        self.illegal[:] = 0

    @property
    def done(self) -> bool:
        """Whether the architectures are complete."""
        return self.position == self.length

    def observations(self) -> NDArray[np.float32]:
        """Return the observations (n, t * w + positions + a), a new array."""
        position = np.zeros((self.count, self.length), dtype=np.float32)
        if not self.done:
            position[:, self.position] = 1
        parts = [self.chosen.reshape(self.count, -1), position, self.masks().astype(np.float32)]
        return np.concatenate(parts, axis=1)

    def masks(self) -> NDArray[np.bool_]:
        """Return the legal choices, True: (n, w) for layers, (n, max(nvec)) for decisions. All True at the end."""
        if self.done:
            return np.ones((self.count, self.action_width), dtype=bool)
        if self.step_unit == "layer":
            return self._step_masks(self.position)
        step, component = self.order[self.position]
        start, choices = self.starts[component], self.space.nvec[component]
        masks = np.zeros((self.count, max(self.space.nvec)), dtype=bool)
        masks[:, :choices] = self._step_masks(step)[:, start : start + choices]
        return masks

    def _step_masks(self, step: int) -> NDArray[np.bool_]:
        """Return the space's masks for this step of every episode: (n, w)."""
        return np.stack([self.space.legal(prefix) for prefix in self.actions[:, :step]])

    def step(self, actions: NDArray[Any]) -> list[Architecture]:
        """Take one action in every episode: (n, m) for layers, (n,) for decisions.

        Returns the n architectures if this completes them, else an empty list.
        """
        masks = self.masks()
        if self.step_unit == "layer":
            step = self.position
            for component, (start, choices) in enumerate(zip(self.starts, self.space.nvec, strict=True)):
                self._choose(step, component, actions[:, component], masks[:, start : start + choices])
        else:
            step, component = self.order[self.position]
            self._choose(step, component, actions, masks)
        self.position += 1
        if not self.done:
            return []
        return [self.space.architecture(rows) for rows in self.actions]

    def _choose(self, step: int, component: int, values: NDArray[Any], masks: NDArray[np.bool_]) -> None:
        """Write one component of a step: values (n,), masks (n, choices)."""
        rows = np.arange(self.count)
        values = np.asarray(values, dtype=np.int64)
        legal = masks[rows, np.clip(values, 0, masks.shape[1] - 1)] & (values >= 0) & (values < masks.shape[1])
        self.illegal += ~legal
        if not legal.all():
            values = values.copy()
            for row in np.flatnonzero(~legal):
                options = np.flatnonzero(masks[row])
                only = len(options) == 1
                values[row] = options[0 if only else self.generators[row].integers(len(options))]
        self.actions[:, step, component] = values
        self.chosen[rows, step, self.starts[component] + values] = 1

    # -- saving ----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the partial architectures and the generators' states, as plain data."""
        return {
            "position": self.position,
            "actions": self.actions.tolist(),
            "illegal": self.illegal.tolist(),
            "generators": [generator.bit_generator.state for generator in self.generators],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.reset()
        actions = np.array(state["actions"], dtype=np.int64)
        while self.position < state["position"]:
            if self.step_unit == "layer":
                self.step(actions[:, self.position])
            else:
                step, component = self.order[self.position]
                self.step(actions[:, step, component])
        self.illegal[:] = state["illegal"]
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.bit_generator.state = saved

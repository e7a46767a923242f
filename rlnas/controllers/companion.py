"""Callbacks that learn in addition to an algorithm's own updates."""

from typing import Any, Protocol

from stable_baselines3.common.callbacks import BaseCallback


class Companion(Protocol):
    """A callback whose state is part of the controller's state."""

    def state(self) -> dict[str, Any]:
        """Return its whole state as plain data; exact at the start of a rollout."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        ...

    @property
    def callback(self) -> BaseCallback:
        """The callback that stable-baselines3 calls."""
        ...

"""What learns beside an algorithm's own updates."""

from typing import Any, Protocol

from stable_baselines3.common.callbacks import BaseCallback


class Companion(Protocol):
    """A callback whose state is part of the controller's."""

    def state(self) -> dict[str, Any]:
        """Everything it depends on, as plain data; exact at the start of a rollout."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        ...

    @property
    def callback(self) -> BaseCallback:
        """What stable-baselines3 calls."""
        ...

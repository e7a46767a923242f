"""Timer of a run's phases: each second counts once, for the innermost phase."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds by phase, summed over all resumed parts of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[str] = ["rest"]
        self._since = time.perf_counter()

    def _settle(self) -> None:
        now = time.perf_counter()
        phase = self._open[-1]
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._since
        self._since = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time inside the block for phase `name`, not for the enclosing phase."""
        self._settle()
        self._open.append(name)
        try:
            yield
        finally:
            self._settle()
            self._open.pop()

    def read(self) -> dict[str, float]:
        """Return the seconds by phase until now."""
        self._settle()
        return dict(self.seconds)

    @property
    def total(self) -> float:
        """Seconds of all phases until now."""
        return sum(self.read().values())

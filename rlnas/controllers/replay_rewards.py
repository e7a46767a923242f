"""Rescale the rewards in a replay buffer.

With `reward.scale` of rank, mean_rank or standard a reward depends on all rewards so far. An on-policy algorithm uses
it at once; a replay buffer keeps it, and would mix ranks among ten architectures with ranks among a thousand.
"""

from typing import Any

from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback

from rlnas.envs.vector import NASVecEnv
from rlnas.objective import Scale


class ReplayRewards(BaseCallback):
    """Rescales the rewards of all finished architectures in the buffer before each update.

    buffer: SB3's, or a subclass that stores one transition of every environment at `pos`, then advances `pos`.
    """

    def __init__(self, buffer: ReplayBuffer, env: NASVecEnv, scale: Scale):
        super().__init__()
        self.buffer = buffer
        self.env = env
        self.nas_scale = scale
        self.finished: dict[tuple[int, int], tuple[str, float]] = {}  # (position, row) -> architecture, objective
        self._stale = False

    def _on_step(self) -> bool:
        position = self.buffer.pos  # where SB3 will store this transition
        for row, info in enumerate(self.locals["infos"]):
            self.finished.pop((position, row), None)  # a full buffer overwrites its oldest transition
            if "reward" in info:
                self.finished[position, row] = (info["architecture"], float(info["reward"]))
                self._stale = True
        return True

    def _on_rollout_end(self) -> None:
        if self._stale:  # SB3 trains next
            self._stale = False
            self.rescale()

    def rescale(self) -> None:
        """Rescale all rewards; the rewards of unfinished architectures are 0."""
        parse = self.env.nas_space.parse
        for (position, row), (text, value) in self.finished.items():
            self.buffer.rewards[position, row] = self.nas_scale.reward(parse(text), value)

    @property
    def callback(self) -> BaseCallback:
        """This object."""
        return self

    def state(self) -> dict[str, Any]:
        """Return the positions of finished architectures in the buffer."""
        return {"finished": [(*place, *what) for place, what in self.finished.items()], "stale": self._stale}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.finished = {(position, row): (text, value) for position, row, text, value in state["finished"]}
        self._stale = state["stale"]

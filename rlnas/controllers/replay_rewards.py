"""Rewards in a replay buffer follow the scale.

With `reward.scale` of rank, mean_rank or standard a reward depends on all rewards so far. An on-policy algorithm uses
it at once; a replay buffer keeps it, and would mix ranks among ten architectures with ranks among a thousand.
"""

from typing import Any

from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback

from rlnas.envs.vector import NASVecEnv
from rlnas.objective import Scale


class ReplayRewards(BaseCallback):
    """Before each update, the rewards of all finished architectures in the buffer are scaled by what is known now.

    buffer: SB3's, or a subclass that stores one transition of every environment at `pos`, then advances it.
    """

    def __init__(self, buffer: ReplayBuffer, env: NASVecEnv, scale: Scale):
        super().__init__()
        self.buffer = buffer
        self.env = env
        self.nas_scale = scale
        self.finished: dict[tuple[int, int], tuple[str, float]] = {}  # (position, row) -> code, unscaled reward
        self._stale = False

    def _on_step(self) -> bool:
        position = self.buffer.pos  # SB3 stores this transition there, next
        for row, info in enumerate(self.locals["infos"]):
            self.finished.pop((position, row), None)  # a full buffer writes over its oldest transition
            if "reward" in info:
                self.finished[position, row] = (info["code"], float(info["reward"]))
                self._stale = True
        return True

    def _on_rollout_end(self) -> None:
        if self._stale:  # SB3 trains next
            self._stale = False
            self.rescale()

    def rescale(self) -> None:
        """Scale all rewards anew; the rewards of unfinished architectures are 0."""
        unrank = self.env.nas_space.unrank
        for (position, row), (code, reward) in self.finished.items():
            self.buffer.rewards[position, row] = self.nas_scale.value(unrank(int(code)), reward)

    @property
    def callback(self) -> BaseCallback:
        """Itself."""
        return self

    def state(self) -> dict[str, Any]:
        """Where finished architectures lie in the buffer."""
        return {"finished": [(*place, *what) for place, what in self.finished.items()], "stale": self._stale}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.finished = {(position, row): (code, reward) for position, row, code, reward in state["finished"]}
        self._stale = state["stale"]

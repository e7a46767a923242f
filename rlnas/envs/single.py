"""`rlnas/NAS-v0`: one architecture an episode, gymnasium's way."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rlnas.envs.episodes import Episodes, StepUnit
from rlnas.objective import Outcome, Scorer
from rlnas.spaces import Architecture, Space


class NASEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Build a network step by step; be paid for its accuracy.

    ## Description
    One episode builds one architecture of a search space, layer by layer. Only a complete architecture is
    scored, by the evaluator that the environment was given.

    ## Action Space
    `step_unit="layer"`: `MultiDiscrete(space.nvec)`, the operator (or its factors) and one bit for each
    earlier layer but the direct predecessor. `step_unit="decision"`: `Discrete(max(space.nvec))`, one of
    those choices at a time. `action_masks()` says what is legal: (sum(nvec),) or (max(nvec),) bool. An
    illegal choice is replaced by a uniformly random legal one (the bit of a layer that does not exist is ignored).

    ## Observation Space
    `Box(0, 1)` float32: one-hot choices of every step so far, zeros for those to come, one-hot position, and the
    mask of the choices that are legal now.

    ## Starting State
    Nothing is chosen.

    ## Reward
    0 until the last step, then the shaped and scaled accuracy (`rlnas.objective`; the accuracy itself by
    default).

    ## Episode End
    Terminated when the architecture is complete: after `space.steps` layers or as many decisions as there
    are. Never truncated.

    ## Information
    At the end: `architecture` (text), `code` (rank, as a string), `accuracy` (0..1 for images), `images` (on
    how many it rests, None for a table), `reward` (before any scaling for learners), `illegal` (how many
    choices were replaced).

    ## Arguments
    `space`: an rlnas space. `scorer`: evaluator and reward shaping; `rlnas.make_env` builds it.
    `step_unit`: see above.

    ## Version History
    v0: first; the observation ends with the mask, illegal choices land uniformly.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012 - gymnasium's own form

    def __init__(self, space: Space, scorer: Scorer, step_unit: StepUnit = "layer", render_mode: str | None = None):
        self.nas_space = space
        self.scorer = scorer
        self.episodes = Episodes(space, 1, step_unit)
        self.render_mode = render_mode
        self.observation_space: gymnasium.Space[Any] = self.episodes.observation_space()
        self.action_space = self.episodes.action_space()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new architecture. The environment draws only in place of illegal choices."""
        super().reset(seed=seed, options=options)
        self.episodes.generators = [self.np_random]
        self.episodes.reset()
        return self.episodes.observations()[0], {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Choose; see the class."""
        finished = self.episodes.step(np.asarray(action)[None])
        observation = self.episodes.observations()[0]
        if not finished:
            return observation, 0.0, False, False, {}
        outcome = self.scorer.score(finished)[0]
        info = final_info(self.nas_space, finished[0], outcome, int(self.episodes.illegal[0]))
        return observation, outcome.paid, True, False, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Legal choices now, bool; all True once the architecture is complete."""
        masks: NDArray[np.bool_] = self.episodes.masks()[0]
        return masks

    def render(self) -> str | None:
        """The choices so far, one row a step."""
        if self.render_mode is None:
            return None
        done = self.episodes.position if self.episodes.step_unit == "layer" else self.nas_space.steps
        return "\n".join(str(row.tolist()) for row in self.episodes.actions[0, :done])


def final_info(space: Space, architecture: Architecture, outcome: Outcome, illegal: int) -> dict[str, Any]:
    """What the info of a last step says about the architecture."""
    return {
        "architecture": space.text(architecture),
        "code": str(space.rank(architecture)),
        "accuracy": outcome.score.accuracy,
        "images": outcome.score.images,
        "reward": outcome.reward,
        "illegal": illegal,
    }

"""`rlnas/NAS-v0`: the gymnasium environment, one architecture an episode."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rlnas.envs.episodes import Episodes, StepUnit
from rlnas.envs.scorer import Outcome, Scorer
from rlnas.spaces import Space


class NASEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Build a network step by step; the reward is its accuracy or another objective.

    ## Description
    One episode builds one architecture of a search space, layer by layer. The given evaluator scores complete
    architectures only.

    ## Action Space
    `step_unit="layer"`: `MultiDiscrete(space.nvec)`, the operator (or its factors) and one bit for each
    earlier layer except the direct predecessor. `step_unit="decision"`: `Discrete(max(space.nvec))`, one of
    these choices at a time. `action_masks()` returns the legal choices: (sum(nvec),) or (max(nvec),) bool. An
    illegal choice is replaced by a uniformly random legal one (the bit of a layer that does not exist is ignored).

    ## Observation Space
    `Box(0, 1)` float32: one-hot choices of every step so far, zeros for later ones, one-hot position, and the
    mask of the currently legal choices.

    ## Starting State
    No choice is made.

    ## Reward
    0 until the last step, then the objective of the architecture, scaled (`rlnas.objective`; the accuracy itself by
    default).

    ## Episode End
    Terminated when the architecture is complete: after `space.steps` layers, or after all decisions. Never
    truncated.

    ## Information
    At the end: `architecture` (text), `code` (its number, as a string; None in a space without numbers), `accuracy`
    (0..1 for images), `images` (number of images it was measured on, None for a table), `reward` (the objective
    before any scaling for learners), `illegal` (number of replaced choices).

    ## Arguments
    `space`: an rlnas space. `scorer`: evaluator and objective; `rlnas.make_env` builds it.
    `step_unit`: see above.

    ## Version History
    v0: first; the observation ends with the mask, illegal choices are replaced uniformly.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012 - gymnasium's form

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
        """Start a new architecture. The seed only affects the replacement of illegal choices."""
        super().reset(seed=seed, options=options)
        self.episodes.generators = [self.np_random]
        self.episodes.reset()
        return self.episodes.observations()[0], {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Apply one action; see the class."""
        finished = self.episodes.step(np.asarray(action)[None])
        observation = self.episodes.observations()[0]
        if not finished:
            return observation, 0.0, False, False, {}
        outcome = self.scorer.score(finished)[0]
        return (
            observation,
            outcome.reward,
            True,
            False,
            final_info(self.nas_space, outcome, int(self.episodes.illegal[0])),
        )

    def action_masks(self) -> NDArray[np.bool_]:
        """Return the currently legal choices, bool; all True once the architecture is complete."""
        masks: NDArray[np.bool_] = self.episodes.masks()[0]
        return masks

    def render(self) -> str | None:
        """Return the choices so far, one row a step."""
        if self.render_mode is None:
            return None
        done = self.episodes.position if self.episodes.step_unit == "layer" else self.nas_space.steps
        return "\n".join(str(row.tolist()) for row in self.episodes.actions[0, :done])


def final_info(space: Space, outcome: Outcome, illegal: int) -> dict[str, Any]:
    """Return the info of an episode's last step."""
    code = space.code(outcome.architecture)
    return {
        "architecture": space.text(outcome.architecture),
        "code": None if code is None else str(code),
        "accuracy": outcome.score.accuracy,
        "images": outcome.score.images,
        "reward": outcome.objective,
        "illegal": illegal,
    }

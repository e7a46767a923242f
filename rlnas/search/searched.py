"""What a search leaves for later measurements: its evaluator's state and samples of its final policy, in one file.

Checkpoints hold the shared weights only while the search lasts; those of the retraining replace them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlnas.controllers import Controller
from rlnas.evaluators import Evaluator
from rlnas.runs.checkpoint import write_state
from rlnas.runs.leftovers import SHARED_WEIGHTS
from rlnas.seeding import global_rng_state, set_global_rng_state, stream_seed
from rlnas.spaces import Space

SAMPLES = 200  # of the final policy


def save_searched(
    folder: Path, evaluator: Evaluator, controller: Controller, space: Space, seed: int, place: dict[str, Any]
) -> int:
    """Write `SHARED_WEIGHTS`; return its size in bytes. Call it when the controller has done everything else.

    place: `data`, the record of the images, and `table`, the SHA-256 of the space's file. The samples are drawn from a
    stream of their own: the global generators are as before, whatever the controller drew.

    The file has `evaluator` (what Evaluator.restore takes), `policy` (texts of the samples, in order) and `place`.
    """
    before = global_rng_state()
    try:
        own = stream_seed(seed, "gap/policy")
        torch.manual_seed(own)
        np.random.seed(own % 2**32)  # noqa: NPY002 - SB3 draws from it
        samples = [space.text(architecture) for architecture in controller.sample(SAMPLES)]
    finally:
        set_global_rng_state(before)
    path = folder / SHARED_WEIGHTS
    write_state(path, {"evaluator": evaluator.state(), "policy": samples, **place})
    return path.stat().st_size

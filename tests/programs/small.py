"""Small tasks for the tests of programs: Gaussian classes."""

import numpy as np

from rlnas.programs import Memory, Tasks

MEMORY = Memory(4, 4, 2)


def gaussian_tasks(count: int = 3, features: int = 4, train: int = 20, valid: int = 12, seed: int = 0) -> Tasks:
    """Tasks whose two classes differ in their means."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((count, features))
    labels = np.tile([0.0, 1.0], (count, (train + valid) // 2))
    examples = rng.standard_normal((count, train + valid, features)) + (2 * labels - 1)[..., None] * means[:, None]
    return Tasks(
        np.ascontiguousarray(np.swapaxes(examples[:, :train], 0, 1)),
        np.ascontiguousarray(labels[:, :train].T)[..., None],
        examples[:, train:],
        labels[:, train:],
    )

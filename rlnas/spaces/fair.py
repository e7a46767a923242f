"""Fair samples: every choice of a decision equally often, by permutation.

Chu et al. 2021, "FairNAS", strict fairness: in as many consecutive architectures as a decision has choices, each of its
choices appears exactly once. There, the gradients of these architectures are accumulated into one optimizer step;
here each may take a step of its own, so that fairness does not reduce the number of steps.
"""

import numpy as np

from rlnas.spaces.base import Architecture, Space
from rlnas.spaces.process import legal_values

Options = tuple[int, ...]


def random_samples(space: Space, rng: np.random.Generator, count: int, how: str) -> list[Architecture]:
    """Sample `count` architectures independently (how="uniform", see `Space.sample`) or balanced (how="fair")."""
    return fair_samples(space, rng, count) if how == "fair" else [space.sample(rng) for _ in range(count)]


def fair_samples(space: Space, rng: np.random.Generator, count: int) -> list[Architecture]:
    """Sample `count` architectures whose choices are balanced.

    A decision with k legal values takes them in the order of a random permutation, then of a new one, and so on: any
    whole block of k architectures, counted from the first of this call, has each value exactly once. Decisions are
    permuted independently of each other; k may differ between them. Each architecture alone is distributed as
    `Space.sample`.

    Where legality depends on earlier choices, each set of legal values that a decision may have is permuted on its
    own: of the architectures that reach it with the same k legal values, any whole block of k has each once. So every
    draw is legal and nothing needs a repair, but values that are legal after few prefixes remain rarer than others.
    """
    remaining: dict[tuple[int, int, Options], list[int]] = {}  # of the current permutation
    known: dict[tuple[int, bytes], list[Options]] = {}  # legal values of each component by step and mask
    found = []
    for _ in range(count):
        actions = np.zeros((space.steps, len(space.nvec)), dtype=np.int64)
        for step in range(space.steps):
            mask = (step, space.legal(actions[:step]).tobytes())
            if mask not in known:
                known[mask] = [tuple(values.tolist()) for values in legal_values(space, actions[:step])]
            for component, options in enumerate(known[mask]):
                if len(options) == 1:
                    actions[step, component] = options[0]
                    continue
                block = remaining.setdefault((step, component, options), [])
                if not block:
                    block.extend(rng.permutation(options).tolist())
                actions[step, component] = block.pop()
        found.append(space.architecture(actions))
    return found

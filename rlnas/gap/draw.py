"""Draws the architectures that are compared: uniformly, and from samples of the final policy."""

from collections.abc import Callable, Sequence
from itertools import zip_longest

from rlnas.seeding import numpy_stream
from rlnas.spaces import Architecture, Space

TRIES = 500  # draws for each wanted architecture, until the space or its part within the limits counts as exhausted

Allowed = Callable[[Architecture], bool]


def draw_uniform(space: Space, count: int, allowed: Allowed, seed: int) -> list[Architecture]:
    """Return up to `count` different allowed architectures, from a stream of the seed; the first ones of any count.

    Fewer where the space has fewer, or where fewer are found in TRIES draws each.
    """
    rng = numpy_stream(seed, "gap/uniform")
    found: dict[Architecture, None] = {}
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        architecture = space.sample(rng)
        if architecture not in found and allowed(architecture):
            found[architecture] = None
    return list(found)


def draw_policy(space: Space, samples: Sequence[str], count: int, allowed: Allowed) -> list[Architecture]:
    """Return the first `count` different allowed architectures among the samples; fewer where there are fewer."""
    different = dict.fromkeys(map(space.parse, samples))
    return [architecture for architecture in different if allowed(architecture)][:count]


def in_turn(uniform: Sequence[Architecture], policy: Sequence[Architecture]) -> list[Architecture]:
    """Return all, each once, one of each group in turn: a beginning of the list has about as many of both."""
    pairs = zip_longest(uniform, policy)
    return list(dict.fromkeys(one for pair in pairs for one in pair if one is not None))

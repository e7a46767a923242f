"""A custom search space, with decisions that depend on each other.

    python -m rlnas space=yours space.name=examples.space.Funnel
    python -m rlnas space=yours space.name=examples.space.Funnel +space.options.blocks=6 controller=evolution

A space needs five methods: `legal`, `architecture`, `actions`, `text` and `parse`. With `graph` its architectures are
networks that share weights and can be retrained, drawn and exported. The base class derives sampling, mutation,
crossover and neighbours from the decision process.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.networks.graph import INPUT, Graph, GraphBuilder
from rlnas.spaces import Space

Block = tuple[str, int]  # operator, channels
OPERATORS = ("conv3x3", "sep_conv5x5", "max_pool3x3")
STOP = len(OPERATORS)  # the choice that ends the network


class Funnel(Space):
    """One to `blocks` blocks, each at least as wide as the previous one; a wider one halves the resolution.

    A block takes two steps, since its width depends on its operator: first the operator or STOP, then the width. After
    STOP each step has one legal choice.
    """

    name = "funnel"
    builds_networks = True

    def __init__(self, blocks: int = 4, widths: Sequence[int] = (8, 16, 32)):
        if blocks < 1 or list(widths) != sorted(set(widths)):
            raise RlnasError(f"space.options: blocks is {blocks}, widths {list(widths)}; expected >= 1, and ascending")
        self.blocks = blocks
        self.widths = tuple(widths)
        self.steps = 2 * blocks
        self.nvec = (max(STOP + 1, len(self.widths)),)

    def legal(self, prefix: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
        """Return (choices,) bool: an operator or STOP in even steps, a width in odd ones."""
        taken = [int(row[0]) for row in prefix]
        stopped = STOP in taken[::2]
        narrowest = max(taken[1::2], default=0)
        mask = np.zeros(self.nvec[0], dtype=bool)
        if len(taken) % 2:
            mask[narrowest : narrowest + 1 if stopped else len(self.widths)] = True
        elif stopped:
            mask[STOP] = True
        else:
            mask[: STOP + (len(taken) > 0)] = True  # no STOP before the first block
        return mask

    def architecture(self, actions: Sequence[Sequence[int]]) -> tuple[Block, ...]:
        """Return the blocks before STOP."""
        taken = [int(row[0]) for row in actions]
        pairs = zip(taken[::2], taken[1::2], strict=True)
        return tuple((OPERATORS[operator], self.widths[width]) for operator, width in pairs if operator != STOP)

    def actions(self, architecture: Sequence[Block]) -> NDArray[np.int64]:
        """Return the actions (steps, 1) that build the architecture."""
        taken: list[int] = []
        for operator, width in architecture:
            taken += [OPERATORS.index(operator), self.widths.index(width)]
        while len(taken) < self.steps:
            taken += [STOP, taken[-1]]
        return np.array(taken, dtype=np.int64)[:, None]

    def text(self, architecture: Sequence[Block]) -> str:
        """Return a text such as `conv3x3:8 sep_conv5x5:16`."""
        return " ".join(f"{operator}:{width}" for operator, width in architecture)

    def parse(self, text: str) -> tuple[Block, ...]:
        """Return the architecture of a text; raise RlnasError if it is invalid."""
        try:
            pairs = [word.split(":") for word in text.split()]
            found = tuple((operator, int(width)) for operator, width in pairs)
            taken = self.actions(found) if found else np.zeros((0, 1), dtype=np.int64)
        except ValueError as error:
            raise RlnasError(f"'{text}' is no funnel ({error}); expected words such as conv3x3:8") from None
        if not found or len(taken) > self.steps:
            raise RlnasError(f"'{text}' has {len(found)} blocks, expected 1 to {self.blocks}")
        for step in range(self.steps):
            if not self.legal(taken[:step])[taken[step, 0]]:
                raise RlnasError(f"'{text}': block {step // 2 + 1} is narrower than the one before")
        return found

    def features(self, architecture: Sequence[Block]) -> dict[str, str | float]:
        """Return operator and width of each block, and the number of blocks."""
        found: dict[str, str | float] = {"blocks": float(len(architecture))}
        for number, (operator, width) in enumerate(architecture, 1):
            found |= {f"block{number}/operator": operator, f"block{number}/width": str(width)}
        return found

    def graph(self, architecture: Sequence[Block], *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return a chain of blocks. Nodes with equal weight keys share their weights."""
        builder = GraphBuilder(image_channels, (image_size, image_size))
        node, before = builder.add("stem", [INPUT], channels=self.widths[0], key="stem"), self.widths[0]
        for number, (operator, width) in enumerate(architecture, 1):
            node = builder.add(
                operator,
                [node],
                channels=width,
                key=f"block{number}/{operator}/{before}to{width}",
                stride=(2, 2) if width > before else (1, 1),
                layer=number,
            )
            before = width
        builder.add("head", [node], channels=classes, key=f"head{before}")
        return builder.build()

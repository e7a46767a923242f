"""A space of dependent decisions: what is legal depends on earlier choices, lengths differ, nothing is numbered."""

import itertools
from collections.abc import Sequence

import numpy as np

from rlnas.config.schema import ObjectiveConfig
from rlnas.envs.scorer import Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator, Score
from rlnas.objective import Objective
from rlnas.spaces import Space

Block = tuple[int, int]  # width 1..3, and whether it is marked


class StackSpace(Space):
    """One to four blocks of widths 1 to 3 that fit into `room`; a mark needs an earlier block of width 2 or more.

    Width 0 ends the stack; the mark chosen with it changes nothing, so that some stacks are built in two ways.
    """

    name = "stack"
    nvec = (4, 2)
    steps = 4
    room = 6

    def legal(self, prefix):
        rows = [tuple(map(int, row)) for row in prefix]
        if len(rows) >= self.steps:
            raise RlnasError(f"a stack is complete after {self.steps} steps")
        for step, (width, mark) in enumerate(rows):
            assert self._options(rows[:step])[width], f"{rows}: width {width} is illegal"
            assert self._options(rows[:step])[4 + mark], f"{rows}: mark {mark} is illegal"
        return np.array(self._options(rows))

    def _options(self, rows: list[Block]) -> list[bool]:
        if any(width == 0 for width, _ in rows):
            return [True, False, False, False, True, False]
        left = self.room - sum(width for width, _ in rows)
        return [bool(rows), *(width <= left for width in (1, 2, 3)), True, any(width >= 2 for width, _ in rows)]

    def architecture(self, actions) -> tuple[Block, ...]:
        rows = [(int(width), int(mark)) for width, mark in actions]
        return tuple(itertools.takewhile(lambda row: row[0] > 0, rows))

    def actions(self, architecture: Sequence[Block]):
        return np.array([*architecture, *[(0, 0)] * (self.steps - len(architecture))], dtype=np.int64)

    def text(self, architecture: Sequence[Block]) -> str:
        return " ".join(f"{width}{'*' * mark}" for width, mark in architecture)

    def parse(self, text: str) -> tuple[Block, ...]:
        words = text.split()
        if not words or any(word.rstrip("*") not in ("1", "2", "3") for word in words):
            raise RlnasError(f"'{text}' is no stack")
        return self.check(tuple((int(word[0]), int(word.endswith("*"))) for word in words))

    def check(self, architecture: Sequence[Block]) -> tuple[Block, ...]:
        """The stack; AssertionError if it is not legal."""
        rows = self.actions(architecture)
        assert rows.shape == (self.steps, 2)
        self.legal(rows[:-1])
        options = self._options([tuple(row) for row in rows[:-1].tolist()])
        assert options[rows[-1, 0]]
        assert options[4 + rows[-1, 1]]
        return self.architecture(rows)


STACK = StackSpace()


def every_stack() -> list[tuple[Block, ...]]:
    """All of them, by trying every sequence of choices."""
    found: dict[tuple[Block, ...], None] = {}
    rows: list[list[Block]] = [[]]
    for _ in range(STACK.steps):
        longer = []
        for prefix in rows:
            options = STACK._options(prefix)
            longer += [[*prefix, (w, m)] for w in range(4) for m in range(2) if options[w] and options[4 + m]]
        rows = longer
    for row in rows:
        found[STACK.architecture(row)] = None
    return list(found)


BEST = STACK.parse("2 1* 1* 2*")


class Likeness(Evaluator):
    """The accuracy is the share of the canonical choices that are BEST's."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[Block, ...]]] = []

    def evaluate(self, architectures):
        self.calls.append(list(architectures))
        return [Score({"accuracy": float(np.mean(STACK.actions(a) == STACK.actions(BEST)))}) for a in architectures]

    @property
    def seen(self) -> list[tuple[Block, ...]]:
        return [architecture for call in self.calls for architecture in call]


def stack_scorer() -> Scorer:
    return Scorer(Likeness(), Objective(ObjectiveConfig(), STACK))

"""Which instructions of a program can change a prediction; the others need not run.

The analysis is the standard one of compilers, backwards from the predictions: an instruction is live if its result may
be read before it is overwritten. `predict` and `learn` run in turn and keep the memory, so `learn` and `setup` are
followed by `predict`; the sets grow until they no longer change.
"""

from typing import NamedTuple

from rlnas.programs.program import EXAMPLE, LABEL, PREDICTION, Instruction, Program

Address = tuple[str, int]
Placed = tuple[int, Instruction]  # place in its function, from 0; random instructions draw by it


class Live(NamedTuple):
    """The live instructions of each function, in order.

    carried: addresses whose value `predict` may read from before. learning: whether an example changes one of these.
    normalised: whether the normalised prediction is read.
    """

    setup: tuple[Placed, ...]
    predict: tuple[Placed, ...]
    learn: tuple[Placed, ...]
    carried: frozenset[Address]
    learning: bool
    normalised: bool


def live(program: Program) -> Live:
    """Return the live part of a program. It predicts exactly as the whole program does."""
    carried: frozenset[Address] = frozenset()
    while True:
        learn, before_learn = _backwards(program.learn, carried)
        predict, before = _backwards(program.predict, (before_learn - {LABEL}) | {PREDICTION})
        grown = carried | (before - {LABEL, EXAMPLE})  # both are set anew before each prediction
        if grown == carried:
            break
        carried = grown
    setup, _ = _backwards(program.setup, carried)
    written = {one.writes for _, one in (*predict, *learn)}
    if PREDICTION in before_learn or PREDICTION in carried:
        written.add(PREDICTION)  # by its normalisation
    return Live(setup, predict, learn, carried, bool(written & carried), PREDICTION in before_learn)


def _backwards(
    code: tuple[Instruction, ...], after: frozenset[Address]
) -> tuple[tuple[Placed, ...], frozenset[Address]]:
    """Return the live instructions, and the addresses read before they are written."""
    needed, kept = set(after), []
    for place in range(len(code) - 1, -1, -1):
        one = code[place]
        if one.writes in needed:
            needed = (needed - {one.writes}) | one.reads
            kept.append((place, one))
    return tuple(reversed(kept)), frozenset(needed)

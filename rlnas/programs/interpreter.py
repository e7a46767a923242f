"""Runs a program on all tasks at once (Real et al. 2020, figure 1): setup; predict and learn for each training
example; predict for the validation examples.

Axis letters: t tasks, n training examples, v validation examples, f features.

The memory starts as zeros. Before each prediction v0 is the example and s0 is 0, so that `predict` cannot read a label.
After it, s1 becomes 1 / (1 + exp(-s1)) and s0 the label, 0 or 1, for `learn`. Deviation from the paper: each validation
example starts from the memory as training left it, not as the previous example did. So all of them are predicted at
once, their order cannot matter, and nothing passes from one to another.

A program is data: each instruction is one call of a numpy function from a fixed table. Instructions that cannot change
a prediction are left out (rlnas.programs.liveness); random instructions draw by seed and place, so this changes no
value. All tasks get the same draws.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from rlnas.programs.liveness import Live, Placed, live
from rlnas.programs.operations import Array
from rlnas.programs.program import Memory, Program
from rlnas.programs.tasks import Tasks

Registers = list[Array]
Step = Callable[[Registers], None]


class Run:
    """One program on tasks: `train`, then `logits`.

    seed: of the random instructions. most_instructions: a program that would execute more on a task, dead ones
    included, does not run. seconds: limit of the run; it protects against a hanging machine and decides nothing else,
    as results must not depend on a clock.

    failed: why the program has no score: the instruction limit, the time limit, or a prediction that is NaN or infinite
    in any task. None while there is no such reason. recent: predictions before normalisation of the examples trained
    so far, kept for the first `keep` examples.
    """

    def __init__(
        self,
        program: Program,
        tasks: Tasks,
        memory: Memory,
        *,
        seed: int = 0,
        most_instructions: int | None = None,
        seconds: float | None = None,
        keep: int = 0,
    ):
        self.tasks = tasks
        self.memory = memory
        self.live: Live = live(program)
        self.keep = keep
        self.recent: list[Array] = []
        self.failed: str | None = None
        self.timed_out = False
        self._deadline = np.inf if seconds is None else time.perf_counter() + seconds
        needed = instructions(program, tasks)
        if most_instructions is not None and needed > most_instructions:
            self.failed = f"it needs {needed:,} instructions a task, the limit is {most_instructions:,}"
        self._setup, self._predict, self._learn = (
            [_compiled(one, memory, tasks.features, seed) for one in code]
            for code in (self.live.setup, self.live.predict, self.live.learn)
        )
        self._registers = _zeros(memory, tasks.count, tasks.features)
        with np.errstate(all="ignore"):
            _execute(self._setup, self._registers)

    def train(self, start: int, stop: int) -> bool:
        """Train on the examples start..stop-1, after those before `start`; return whether the program has not failed.

        If no example can change a later prediction, all are predicted at once.
        """
        if self.failed is None:
            with np.errstate(all="ignore"):
                if self.live.learning:
                    self._train(start, stop)
                else:
                    self._check(np.swapaxes(self.tasks.train[start:stop], 0, 1), start)
        return self.failed is None

    def _check(self, examples: Array, start: int) -> None:
        logits = self._logits(examples)  # (t, n)
        self.recent += list(logits.T[: max(0, self.keep - len(self.recent))])
        finite = np.isfinite(logits).all(axis=0)
        if not finite.all():
            self._fail(start + int(np.argmin(finite)))

    def _train(self, start: int, stop: int) -> None:
        registers, memory = self._registers, self.memory
        example, prediction = memory.scalars, 1
        predict, learn, tasks, normalised = self._predict, self._learn, self.tasks, self.live.normalised
        zero, clock, isfinite, total = np.zeros((1, 1)), time.perf_counter, np.isfinite, np.add.reduce
        for index in range(start, stop):
            registers[example], registers[0] = tasks.train[index], zero  # (t, f), (1, 1)
            for step in predict:
                step(registers)
            logits = registers[prediction]  # (t, 1) or (1, 1)
            # a finite sum has finite terms, and is the cheaper test
            if not isfinite(total(logits, axis=None)) and not isfinite(logits).all():
                self._fail(index)
                return
            if index < self.keep:
                self.recent.append(np.broadcast_to(logits[:, 0], (tasks.count,)))
            if normalised:
                registers[prediction] = np.reciprocal(1.0 + np.exp(-logits))
            registers[0] = tasks.train_labels[index]  # (t, 1)
            for step in learn:
                step(registers)
            if clock() > self._deadline:
                self.failed, self.timed_out = f"the time limit ended it at training example {index + 1}", True
                return

    def logits(self, examples: Array | None = None) -> Array:
        """Return the predictions before normalisation, (t, v), of `examples` (t, v, f), by default for validation.

        A positive one predicts class 1. Sets `failed` if one is NaN or infinite.
        """
        assert self.failed is None, self.failed
        with np.errstate(all="ignore"):
            found = self._logits(self.tasks.valid if examples is None else examples)
        if not np.isfinite(found).all():
            self.failed = "a prediction of a validation example is NaN or infinite"
        return found

    def _logits(self, examples: Array) -> Array:
        registers = [register[:, None] for register in self._registers]  # (t, 1, ...)
        registers[self.memory.scalars], registers[0] = examples, np.zeros((1, 1, 1))
        _execute(self._predict, registers)
        return np.broadcast_to(registers[1][..., 0], examples.shape[:2])

    def _fail(self, index: int) -> None:
        self.failed = f"the prediction of training example {index + 1} is NaN or infinite"


def instructions(program: Program, tasks: Tasks) -> int:
    """Return how many instructions the whole program executes on one task."""
    trained, validated = len(tasks.train), int(tasks.valid.shape[1])
    return len(program.setup) + trained * len(program.learn) + (trained + validated) * len(program.predict)


def logits_of(program: Program, tasks: Tasks, memory: Memory, *, seed: int = 0) -> Array:
    """Train on all examples and return the logits of the validation examples, (t, v); NaN where the program failed."""
    run = Run(program, tasks, memory, seed=seed)
    if run.train(0, len(tasks.train)):
        return run.logits()
    return np.full(tasks.valid.shape[:2], np.nan)


def _zeros(memory: Memory, tasks: int, features: int) -> Registers:
    shapes = [(tasks, 1)] * memory.scalars + [(tasks, features)] * memory.vectors
    return [np.zeros(shape) for shape in shapes] + [np.zeros((tasks, features, features))] * memory.matrices


def _execute(steps: Sequence[Step], registers: Registers) -> None:
    for step in steps:
        step(registers)


def _compiled(placed: Placed, memory: Memory, features: int, seed: int) -> Step:
    """Return the instruction as a function that replaces one register; no register is ever changed in place."""
    place, one = placed
    first = {"s": 0, "v": memory.scalars, "m": memory.scalars + memory.vectors}
    rule = one.rule
    assert all(address < memory.of(kind) for kind, address in (*one.reads, one.writes)), (one, memory)
    output = first[rule.output] + one.output
    operands = [first[kind] + address for kind, address in zip(rule.inputs, one.inputs, strict=True)]
    compute = rule.compute
    if compute is None:
        assert one.constant is not None
        shape = {"s": (1, 1), "v": (1, features), "m": (1, features, features)}[rule.output]
        return partial(_assign, output, _value(rule.word, one.constant, shape, seed + place))
    if rule.sized:
        compute = partial(compute, features=features)
    if len(operands) == 1:
        return _unary(compute, operands[0], output)
    return _binary(compute, operands[0], operands[1], output)


def _value(word: str, constant: float, shape: tuple[int, ...], seed: int) -> Array:
    if word == "const":
        return np.full(shape, constant)
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rng.standard_normal(shape) if word == "gauss" else rng.uniform(-1.0, 1.0, shape)
    return constant * drawn


def _assign(output: int, value: Array, registers: Registers) -> None:
    registers[output] = value


def _unary(compute: Callable[..., Array], a: int, output: int) -> Step:
    def step(registers: Registers) -> None:
        registers[output] = compute(registers[a])

    return step


def _binary(compute: Callable[..., Array], a: int, b: int, output: int) -> Step:
    def step(registers: Registers) -> None:
        registers[output] = compute(registers[a], registers[b])

    return step

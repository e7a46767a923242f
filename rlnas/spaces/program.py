"""The space of AutoML-Zero (Real et al. 2020): programs that learn, as decisions."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rlnas.config.spaces import ProgramConfig
from rlnas.errors import RlnasError
from rlnas.programs import OPERATIONS, Instruction, Memory, Operation, Program, listing, parse, text
from rlnas.programs.handmade import linear, two_layer
from rlnas.programs.program import FUNCTIONS, instruction_text
from rlnas.spaces.base import Prefix, Space
from rlnas.spaces.diagram import Diagram

DEFAULTS = ProgramConfig()
MUTATIONS = ("length", "randomise", "argument")  # section 3.2, type (i), (ii), (iii)


class ProgramSpace(Space):
    """Programs of the functions setup, predict and learn.

    scalars, vectors, matrices: numbers of addresses; s0 is the label, s1 the prediction, v0 the example.
    setup, predict, learn: the largest number of instructions of each function.
    operations: names of rlnas.programs.OPERATIONS; empty for all. Without matrices those on matrices are left out.
    constants: values that an instruction may set, or by which it multiplies its draws.

    Each place for an instruction is two steps: first the operation or the end of the function, then operands, result
    and constant, whose legal values depend on the operation. After the end all places of the function are empty, so
    each program has one action sequence. Instructions that draw are legal in `setup` only: so a program is a fixed
    function of its examples.
    """

    name = "program"

    def __init__(
        self,
        scalars: int = DEFAULTS.scalars,
        vectors: int = DEFAULTS.vectors,
        matrices: int = DEFAULTS.matrices,
        setup: int = DEFAULTS.setup,
        predict: int = DEFAULTS.predict,
        learn: int = DEFAULTS.learn,
        operations: Sequence[str] = tuple(DEFAULTS.operations),
        constants: Sequence[float] = tuple(DEFAULTS.constants),
    ):
        self.scalars, self.vectors, self.matrices = scalars, vectors, matrices
        self.setup, self.predict, self.learn = setup, predict, learn
        self.memory = Memory(scalars, vectors, matrices)
        self.most = (setup, predict, learn)
        self.constants = tuple(float(value) for value in constants)
        if not self.constants or len(set(self.constants)) < len(self.constants) or not np.isfinite(constants).all():
            raise RlnasError(f"space.constants is {list(constants)}, expected finite numbers, at least one, none twice")
        unknown = [name for name in operations if name not in OPERATIONS]
        if unknown or len(set(operations)) < len(operations):
            raise RlnasError(
                f"space.operations is {list(operations)}, expected different names of {', '.join(OPERATIONS)}; [] for "
                "all"
            )
        chosen = [OPERATIONS[name] for name in operations or OPERATIONS]
        lacking = [one.name for one in chosen if "m" in (*one.inputs, one.output) and not matrices]
        if operations and lacking:
            raise RlnasError(f"space.operations has {', '.join(lacking)}, but space.matrices is 0; raise it")
        self.operations = tuple(one for one in chosen if one.name not in lacking)
        if all(one.random for one in self.operations):
            names = ", ".join(one.name for one in self.operations)
            raise RlnasError(f"space.operations has {names} only, which setup alone may use; add others, such as dot")
        self._place = {one.name: place for place, one in enumerate(self.operations, 1)}  # 0: the end
        most = max(self.memory)
        self.nvec = (len(self.operations) + 1, most, most, most, len(self.constants))
        self.steps = 2 * sum(self.most)
        # function and place in it of each step
        self._layout = [(f, place) for f, count in enumerate(self.most) for place in range(count) for _ in range(2)]
        self._masks = {(one.name if one else None): self._arguments_mask(one) for one in (None, *self.operations)}
        self._first = [self._operation_mask(function) for function in FUNCTIONS]

    @cached_property
    def size(self) -> int:  # type: ignore[override]
        """The number of programs: for each function the sum over its lengths of (number of instructions)^length."""
        total = 1
        for function, most in enumerate(self.most):
            count = self.instructions(function)
            total *= sum(count**length for length in range(most + 1))
        return total

    def instructions(self, function: int) -> int:
        """Return the number of different instructions of a function, by its place in `FUNCTIONS`."""
        return sum(self._variants(one) for one in self._allowed(function))

    def _variants(self, one: Operation) -> int:
        count = self.memory.of(one.output) * (len(self.constants) if one.constant else 1)
        for kind in one.inputs:
            count *= self.memory.of(kind)
        return count

    def _allowed(self, function: int) -> list[Operation]:
        return [one for one in self.operations if function == 0 or not one.random]

    # -- the decision process ------------------------------------------------------------------------

    def _mask(self, counts: Sequence[int]) -> NDArray[np.bool_]:
        """Return a mask of the first `counts` choices of each component."""
        mask: NDArray[np.bool_] = np.concatenate(
            [np.arange(width) < count for width, count in zip(self.nvec, counts, strict=True)]
        )
        mask.setflags(write=False)
        return mask

    def _arguments_mask(self, one: Operation | None) -> NDArray[np.bool_]:
        if one is None:
            return self._mask((1, 1, 1, 1, 1))
        inputs = [self.memory.of(kind) for kind in one.inputs] + [1, 1]
        return self._mask(
            (1, inputs[0], inputs[1], self.memory.of(one.output), len(self.constants) if one.constant else 1)
        )

    def _operation_mask(self, function: str) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self._mask((len(self.operations) + 1, 1, 1, 1, 1)).copy()
        for one in self.operations:
            mask[self._place[one.name]] = function == "setup" or not one.random
        mask.setflags(write=False)
        return mask

    def legal(self, prefix: Prefix) -> NDArray[np.bool_]:
        """Return which choices are legal, (sum(nvec),) bool, read-only."""
        step = len(prefix)
        if step >= self.steps:
            raise RlnasError(f"a program of {self.name} is complete after {self.steps} steps")
        if step % 2:
            chosen = int(prefix[step - 1][0])
            return self._masks[self.operations[chosen - 1].name if chosen else None]
        function, place = self._layout[step]
        if place and int(prefix[step - 2][0]) == 0:  # the function has ended
            return self._masks[None]
        return self._first[function]

    def architecture(self, actions: Prefix) -> Program:
        """Return the program that these actions (steps, 5) build."""
        functions: list[list[Instruction]] = [[], [], []]
        for step in range(0, self.steps, 2):
            chosen = int(actions[step][0])
            if chosen:
                functions[self._layout[step][0]].append(self._instruction(chosen, actions[step + 1]))
        return Program(*(tuple(code) for code in functions))

    def _instruction(self, chosen: int, row: Sequence[int] | NDArray[np.int64]) -> Instruction:
        one = self.operations[chosen - 1]
        inputs = tuple(int(row[1 + place]) for place in range(len(one.inputs)))
        constant = self.constants[int(row[4])] if one.constant else None
        return Instruction(one.name, inputs, int(row[3]), constant)

    def actions(self, architecture: Program) -> NDArray[np.int64]:
        """Return the actions (steps, 5) that build the program."""
        self.check(architecture)
        actions = np.zeros((self.steps, len(self.nvec)), dtype=np.int64)
        first = 0
        for code, most in zip(architecture, self.most, strict=True):
            for place, one in enumerate(code):
                step = first + 2 * place
                actions[step, 0] = self._place[one.operation]
                actions[step + 1, 1 : 1 + len(one.inputs)] = one.inputs
                actions[step + 1, 3] = one.output
                actions[step + 1, 4] = 0 if one.constant is None else self.constants.index(one.constant)
            first += 2 * most
        return actions

    def check(self, program: Program) -> Program:
        """Return the program; raise RlnasError if it is not in this space."""
        for function, (code, most) in enumerate(zip(program, self.most, strict=True)):
            name = FUNCTIONS[function]
            if len(code) > most:
                raise RlnasError(f"{name} has {len(code)} instructions, expected at most space.{name}={most}")
            allowed = {one.name for one in self._allowed(function)}
            for one in code:
                self._check_instruction(one, name, allowed)
        return program

    def _check_instruction(self, one: Instruction, function: str, allowed: set[str]) -> None:
        words = instruction_text(one)
        if one.operation not in allowed:
            only = " outside of setup" if one.rule.random else ""
            raise RlnasError(f"{function}: '{words}' is {one.operation}, which this space does not have{only}")
        for kind, address in (*one.reads, one.writes):
            if address >= self.memory.of(kind):
                raise RlnasError(
                    f"{function}: '{words}' has the address {kind}{address}, expected {kind}0 to "
                    f"{kind}{self.memory.of(kind) - 1}"
                )
        if one.constant is not None and one.constant not in self.constants:
            raise RlnasError(f"{function}: '{words}': the constant is not among {list(self.constants)}")

    # -- sampling and editing ------------------------------------------------------------------------

    def trivial(self) -> Program:
        """Return the empty program, with which the paper's evolution starts."""
        return Program()

    def mutate(self, architecture: Program, rng: np.random.Generator) -> Program:
        """Return another program, by one of the paper's mutations, drawn uniformly (section 3.2):

        (i) insert a random instruction at a random place of a function, or remove one; (ii) replace all instructions
        of a function by random ones; (iii) replace one argument of an instruction: an operand, the result or the
        constant. Random instructions have a uniform operation, then uniform arguments. A mutation that does not apply,
        or changes nothing, is drawn again.
        """
        functions = [function for function, most in enumerate(self.most) if most]
        while True:
            kind = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
            function = functions[int(rng.integers(len(functions)))]
            code = architecture[function]
            changed = {"length": self._resized, "randomise": self._randomised, "argument": self._changed}[kind](
                function, code, rng
            )
            if changed != code:
                found = list(architecture)
                found[function] = changed
                return Program(*found)

    def _resized(
        self, function: int, code: tuple[Instruction, ...], rng: np.random.Generator
    ) -> tuple[Instruction, ...]:
        if rng.random() < 0.5:
            if len(code) == self.most[function]:
                return code
            place = int(rng.integers(len(code) + 1))
            return (*code[:place], self.random_instruction(function, rng), *code[place:])
        if not code:
            return code
        place = int(rng.integers(len(code)))
        return (*code[:place], *code[place + 1 :])

    def _randomised(
        self, function: int, code: tuple[Instruction, ...], rng: np.random.Generator
    ) -> tuple[Instruction, ...]:
        return tuple(self.random_instruction(function, rng) for _ in code)

    def _changed(
        self, function: int, code: tuple[Instruction, ...], rng: np.random.Generator
    ) -> tuple[Instruction, ...]:
        if not code:
            return code
        place = int(rng.integers(len(code)))
        one = code[place]
        arguments = [*range(len(one.inputs)), "output", *(["constant"] if one.constant is not None else [])]
        argument = arguments[int(rng.integers(len(arguments)))]
        if argument == "output":
            one = one._replace(output=int(rng.integers(self.memory.of(one.rule.output))))
        elif argument == "constant":
            one = one._replace(constant=self.constants[int(rng.integers(len(self.constants)))])
        else:
            inputs = list(one.inputs)
            inputs[int(argument)] = int(rng.integers(self.memory.of(one.rule.inputs[int(argument)])))
            one = one._replace(inputs=tuple(inputs))
        return (*code[:place], one, *code[place + 1 :])

    def random_instruction(self, function: int, rng: np.random.Generator) -> Instruction:
        """Draw an instruction of a function: a uniform operation, then uniform arguments."""
        allowed = self._allowed(function)
        one = allowed[int(rng.integers(len(allowed)))]
        inputs = tuple(int(rng.integers(self.memory.of(kind))) for kind in one.inputs)
        output = int(rng.integers(self.memory.of(one.output)))
        constant = self.constants[int(rng.integers(len(self.constants)))] if one.constant else None
        return Instruction(one.name, inputs, output, constant)

    # -- forms ---------------------------------------------------------------------------------------

    def text(self, architecture: Program) -> str:
        """Return `setup: s2=0.1 | predict: s1=dot(v0,v1) | learn: ...`."""
        return text(self.check(architecture))

    def parse(self, text: str) -> Program:
        """Return the program of a text form; RlnasError says what is wrong with it."""
        return self.check(parse(text))

    def features(self, architecture: Program) -> dict[str, str | float]:
        """Return the operation of each place, `predict1/operation`, "none" where it is empty."""
        found: dict[str, str | float] = {}
        for name, code, most in zip(FUNCTIONS, architecture, self.most, strict=True):
            for place in range(most):
                found[f"{name}{place + 1}/operation"] = code[place].operation if place < len(code) else "none"
        return found

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return "none" and the names of the operations."""
        return ("none", *self._place) if factor == "operation" else None

    def references(self) -> dict[str, Program]:
        """Return the linear classifier and the two-layer network, both trained by SGD, that this space has.

        Learning rate and initial standard deviation are the constants nearest to 1 and 0.3: for examples of length 1.
        """
        rate, spread = (min(self.constants, key=lambda value: abs(value - wanted)) for wanted in (1.0, 0.3))
        found = {}
        for name, program in (("linear", linear(rate)), ("two_layer", two_layer(rate, spread))):
            try:
                found[name] = self.check(program)
            except RlnasError:  # too large for this memory, or without an operation
                continue
        return found

    def diagrams(self, architecture: Program) -> tuple[Diagram, ...]:
        """Return the program as a listing."""
        return (Diagram("program", lines=listing(self.check(architecture))),)

"""Programs as values: three functions of instructions, their text and their listing.

Addresses: s0 holds the label, s1 the prediction, v0 the features of the example; all others are free.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from rlnas.errors import RlnasError
from rlnas.programs.operations import OPERATIONS, SIGNATURES, Operation

FUNCTIONS = ("setup", "predict", "learn")
LABEL, PREDICTION, EXAMPLE = ("s", 0), ("s", 1), ("v", 0)  # addresses


class Memory(NamedTuple):
    """Number of addresses of each kind: at least two scalars and one vector."""

    scalars: int
    vectors: int
    matrices: int

    def of(self, kind: str) -> int:
        """Return the number of addresses of a kind: "s", "v" or "m"."""
        return self["svm".index(kind)]


class Instruction(NamedTuple):
    """One assignment.

    operation: a name of OPERATIONS. inputs: address of each operand. output: address of the result. constant: of
    operations without operands: the value, or the standard deviation ("gauss") or half width ("uniform") of the draws.
    """

    operation: str
    inputs: tuple[int, ...]
    output: int
    constant: float | None = None

    @property
    def rule(self) -> Operation:
        """The operation."""
        return OPERATIONS[self.operation]

    @property
    def reads(self) -> set[tuple[str, int]]:
        """Addresses of the operands."""
        return set(zip(self.rule.inputs, self.inputs, strict=True))

    @property
    def writes(self) -> tuple[str, int]:
        """Address of the result."""
        return self.rule.output, self.output


class Program(NamedTuple):
    """A program. setup: runs once. predict: for each example. learn: after `predict` for each training example."""

    setup: tuple[Instruction, ...] = ()
    predict: tuple[Instruction, ...] = ()
    learn: tuple[Instruction, ...] = ()


# -- text ------------------------------------------------------------------------------------------------


def text(program: Program) -> str:
    """Return the program in one line: `setup: s2=0.1 | predict: s1=dot(v0,v1) | learn: v1=add(v1,v0)`.

    A function without instructions is its name and a colon.
    """
    parts = (
        f"{name}: {'; '.join(map(instruction_text, code))}".rstrip()
        for name, code in zip(FUNCTIONS, program, strict=True)
    )
    return " | ".join(parts)


def instruction_text(one: Instruction) -> str:
    """Return an instruction: `s1=dot(v0,v1)`, `s2=0.1`, `v1=gauss(0.1)`."""
    rule = one.rule
    target = f"{rule.output}{one.output}"
    if rule.word == "const":
        return f"{target}={one.constant!r}"
    operands = [repr(one.constant)] if rule.constant else _operands(one)
    return f"{target}={rule.word}({','.join(operands)})"


def _operands(one: Instruction) -> list[str]:
    return [f"{kind}{address}" for kind, address in zip(one.rule.inputs, one.inputs, strict=True)]


def listing(program: Program) -> tuple[str, ...]:
    """Return the lines of a program for readers: `def predict():`, then one line an instruction."""
    lines = []
    for name, code in zip(FUNCTIONS, program, strict=True):
        lines.append(f"def {name}():")
        lines += [f"    {_line(one)}" for one in code] or ["    pass"]
    return tuple(lines)


def _line(one: Instruction) -> str:
    target, _, value = instruction_text(one).partition("=")
    symbol = one.rule.symbol
    return f"{target} = {f' {symbol} '.join(_operands(one)) if symbol else value.replace(',', ', ')}"


_ASSIGNMENT = re.compile(r"([svm])(\d+)\s*=\s*(?:([a-z_]+)\(([^()]*)\)|([^()]+))")
_ADDRESS = re.compile(r"([svm])(\d+)")


def parse(line: str) -> Program:
    """Return the program of a text form. Raises RlnasError saying what is wrong with it."""
    parts = [part.strip() for part in line.split("|")]
    if len(parts) != len(FUNCTIONS) or any(
        not part.startswith(f"{name}:") for part, name in zip(parts, FUNCTIONS, strict=True)
    ):
        raise RlnasError(f"'{line}' is no program; expected 'setup: ... | predict: ... | learn: ...'")
    bodies = [part.partition(":")[2] for part in parts]
    return Program(*(tuple(_parse_all(body)) for body in bodies))


def _parse_all(body: str) -> Iterable[Instruction]:
    return (parse_instruction(word.strip()) for word in body.split(";") if word.strip())


def parse_instruction(word: str) -> Instruction:
    """Return the instruction of its text. Raises RlnasError for an unknown operation or a wrong operand."""
    match = _ASSIGNMENT.fullmatch(word)
    if match is None:
        raise RlnasError(f"'{word}' is no instruction; expected one like s1=dot(v0,v1) or s2=0.1")
    kind, output, name, operands, number = match.groups()
    if number is not None:
        return Instruction(_rule("const", (), kind, word).name, (), int(output), _number(number, word))
    if name in ("gauss", "uniform"):
        return Instruction(_rule(name, (), kind, word).name, (), int(output), _number(operands, word))
    addresses = [_ADDRESS.fullmatch(operand.strip()) for operand in operands.split(",")]
    if any(address is None for address in addresses):
        raise RlnasError(f"'{word}': expected addresses such as s2, v0 or m1 as operands, got '{operands}'")
    found = [(address[1], int(address[2])) for address in addresses if address is not None]
    rule = _rule(name, tuple(kind for kind, _ in found), kind, word)
    return Instruction(rule.name, tuple(address for _, address in found), int(output))


def _rule(name: str, inputs: tuple[str, ...], output: str, word: str) -> Operation:
    rule = SIGNATURES.get((name, inputs, output))
    if rule is None:
        forms = sorted(f"{o}={n}({','.join(i)})" for n, i, o in SIGNATURES if n == name)
        hint = f"{name} has the forms {', '.join(forms)}" if forms else "see rlnas.programs.operations"
        raise RlnasError(f"'{word}': no operation {name} with these operands and result; {hint}")
    return rule


def _number(number: str, word: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise RlnasError(f"'{word}': expected a number, got '{number}'") from None

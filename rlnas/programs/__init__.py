"""Programs of AutoML-Zero (Real et al. 2020): instructions, their interpreter, and tasks to run them on. Torch-free."""

from rlnas.programs.interpreter import Run, logits_of
from rlnas.programs.operations import OPERATIONS, Operation
from rlnas.programs.program import Instruction, Memory, Program, listing, parse, text
from rlnas.programs.tasks import Tasks, make_tasks

__all__ = [
    "OPERATIONS",
    "Instruction",
    "Memory",
    "Operation",
    "Program",
    "Run",
    "Tasks",
    "listing",
    "logits_of",
    "make_tasks",
    "parse",
    "text",
]

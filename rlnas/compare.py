"""`python -m rlnas.compare FOLDER...`: which controller is better, by how much, how surely."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.process.screen import occupy_standard_descriptors, safe_streams

if TYPE_CHECKING:
    from rlnas.report.comparison import Comparison

NARROW = 150  # columns of a terminal that has no room for standard errors
WIDTH = 180  # columns where the output is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Write and show the comparison; the exit status, 1 with one line on stderr on RlnasError."""
    parser = argparse.ArgumentParser(
        prog="python -m rlnas.compare",
        description="Compare runs: tables, tests and curves as comparison.csv and comparison.html.",
    )
    parser.add_argument("folder", nargs="+", help="a run folder, or one that holds some, as a sweep's does")
    parser.add_argument("--out", help="where to write: by default the one sweep folder given, else outputs/comparison")
    parser.add_argument(
        "--strict", action="store_true", help="refuse runs of unequal length and unfinished ones instead of saying so"
    )
    occupy_standard_descriptors()
    given = parser.parse_args(arguments)
    from rlnas.report.comparison import write_comparison  # slow to import, and not needed for --help

    with safe_streams():  # `| head` may have seen enough
        try:
            out = None if given.out is None else expand(given.out)
            comparison, path = write_comparison([expand(folder) for folder in given.folder], out, strict=given.strict)
        except RlnasError as error:
            print(f"rlnas: error: {error}", file=sys.stderr)
            return 1
        show(comparison)
        print(f"comparison: {path}")
    return 0


def show(comparison: "Comparison") -> None:
    """The answer, what limits it, and the table, on the screen."""
    from rich.console import Console

    from rlnas.report.comparison import frame, words
    from rlnas.report.comparison.tables import screen

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(words.answer(comparison), markup=False, soft_wrap=True)
    for warning in comparison.warnings:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    for item in comparison.left_out:
        console.print(f"left out: {item.name}: {item.told}", markup=False, soft_wrap=True)
    console.print(screen(comparison, frame(comparison), narrow=console.width < NARROW))


if __name__ == "__main__":
    sys.exit(main())

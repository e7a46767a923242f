"""The result on a terminal, in the words of the report."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from rlnas.report.run.gap_words import GROUPS, as_sentence, how, sentences, table

WIDTH = 180  # columns where the output is no terminal


def show(result: Mapping[str, Any]) -> None:
    """Print the tables, what they mean, and how they were measured."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    for name, heading in GROUPS:
        if result["groups"][name]["truth"]["n"]:
            console.print(_table(table(result, name, heading)))
    for line in (*sentences(result), *map(as_sentence, result["notes"]), how(result)):
        console.print(line, markup=False)


def _table(content: Mapping[str, Any]) -> Table:
    made = Table(title=f"{content['heading']}: {content['caption']}", title_justify="left")
    for place, heading in enumerate(content["head"]):
        made.add_column(heading, justify="right" if place else "left")
    for row in content["rows"]:
        made.add_row(*row)
    return made

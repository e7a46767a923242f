"""Prepare docstrings for the API reference; loaded by mkdocstrings (mkdocs.yml).

Docstrings of rlnas are prose for the reader of the code: arguments and attributes are lines such as
`seed: of every random stream`. Markdown would run such lines together, so they become list items here. Names that a
package imports from its own modules are shown once, where they are defined.
"""

import re
from typing import Any

import griffe

NAMES = r"[a-z_][a-z0-9_]*(?:, [a-z_][a-z0-9_]*)*(?: \([a-z_, ]+\))?"
ITEM = re.compile(rf"{NAMES}: ")
NEXT = re.compile(rf"(?<=[.)]) (?={NAMES}: )")  # another name, behind the sentence about the one before


def items(text: str) -> str:
    """Turn paragraphs that begin with lower-case names and a colon into lists; prose and indented code stay."""
    lines: list[str] = []
    inside = False  # an item of this paragraph
    for line in text.splitlines():
        if not line.strip():
            inside = False
        elif ITEM.match(line):
            if not inside and lines and lines[-1].strip():
                lines.append("")
            inside = True
        elif inside:
            lines[-1] += f" {line.strip()}"
            continue
        lines.append(line)
    return "\n".join(part for line in lines for part in _listed(line))


def _listed(line: str) -> list[str]:
    """The items of a joined line, one for each name; any other line as it is."""
    if not ITEM.match(line):
        return [line]
    named = [part.split(": ", 1) for part in NEXT.split(line)]
    return [f"- `{name}`: {meaning}" for name, meaning in named]


class Docstrings(griffe.Extension):  # type: ignore[misc,unused-ignore]
    """Apply `items` to every docstring; hide what a package only imports."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one object's docstring."""
        if obj.docstring:
            obj.docstring.value = items(obj.docstring.value)

    def on_module_members(self, *, mod: griffe.Module, **_: Any) -> None:
        """Forget `__all__`: what it lists is imported from a module that has a place of its own."""
        mod.exports = None

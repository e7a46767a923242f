"""Find the commands, links and paths in Markdown text."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "outputs" / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]*src=\"([^\"]+)\"")
COMMAND = re.compile(r"python -m (rlnas|benchmarks)\b")
SNIPPET = re.compile(r"--8<-- \"([^\"]+)\"")
# what stands in this repository, where Markdown names it in a code span
NAMED = re.compile(
    r"(?:docs|examples|rlnas|conf|benchmarks|tests|outputs|\.ci)/[\w./-]*|[\w.-]+\.(?:toml|md|yml)|constraints\.txt"
)


@dataclass(frozen=True)
class Command:
    """A command of a page: `module` is run with `arguments`."""

    page: str
    module: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.module} {' '.join(self.arguments)}"


def name(page: Path) -> str:
    """The page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block, without the indentation of its fence."""
    found = []
    for indent, _, language, content in FENCE.findall(text):
        lines = [line.removeprefix(indent) for line in content.splitlines()]
        found.append((language.strip().partition(" ")[0], "\n".join(lines) + "\n"))
    return found


def prose(text: str) -> str:
    """The text without fenced blocks."""
    return FENCE.sub("", text)


def commands(page: Path) -> list[Command]:
    """Every command that runs a module of this project, in blocks and in code spans."""
    text = page.read_text(encoding="utf-8")
    lines: list[str] = []
    for language, content in blocks(text):
        if language in ("bash", "yaml"):
            lines += content.replace("\\\n", " ").splitlines()
    lines += [" ".join(span.split()) for span in INLINE.findall(prose(text))]
    return [found for line in lines if (found := _command(page, line))]


def _command(page: Path, line: str) -> Command | None:
    start = COMMAND.search(line)
    if start is None or line.lstrip().startswith("#"):
        return None
    words = shlex.split(line[start.start() :].replace("\\|", "|"), comments=True)[2:]
    return Command(name(page), words[0], tuple(word for word in words[1:] if word not in ("...", "…")))


def links(page: Path) -> list[str]:
    """Every relative link, anchors included."""
    found = [first or second for first, second in LINK.findall(prose(page.read_text(encoding="utf-8")))]
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def paths(page: Path) -> list[str]:
    """Every path in this repository that the page names in a code span or includes as a snippet."""
    text = page.read_text(encoding="utf-8")
    spans = [span for span in INLINE.findall(prose(text)) if NAMED.fullmatch(span)]
    return [*spans, *SNIPPET.findall(text)]

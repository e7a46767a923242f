"""The command that trains the found network again, from what the user typed for this run; and paths in it."""

import shlex
from pathlib import Path

from rlnas.report.run import Run

EPOCHS = 300  # long enough for a final number on CIFAR-10
DROPPED = ("resume", "architecture", "retrain.epochs")


def shown_folder(folder: Path) -> str:
    """The folder as it was given; an absolute one relative to the working folder, or its name alone.

    A report travels: it shows no path of the machine that wrote it.
    """
    if not folder.is_absolute():
        return folder.as_posix()
    try:
        return folder.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return folder.name


def retrain_command(run: Run) -> str:
    """`python -m rlnas ...` with the run's own overrides, the found architecture and more epochs."""
    kept = [item for item in run.overrides if item.lstrip("+~").partition("=")[0] not in DROPPED]
    own = f"architecture={shown_folder(run.folder)}/best/architecture.json"
    return " ".join(["python -m rlnas", *(quoted(item) for item in (*kept, own, f"retrain.epochs={EPOCHS}"))])


def load_code(run: Run) -> str:
    """The Python that loads the trained network."""
    return f"import rlnas\n\nchild = rlnas.load_child({shown_folder(run.folder)!r})".replace("'", '"')


def quoted(word: str) -> str:
    """A shell word; the user's home folder becomes $HOME."""
    if without_home(word) == word:
        return shlex.quote(word)
    escaped = "".join("\\" + letter if letter in '\\"`$' else letter for letter in word)
    return '"' + without_home(escaped, "$HOME") + '"'


def without_home(text: str, instead: str = "~") -> str:
    """The text without the path of the user's home folder."""
    home = Path.home()
    return text.replace(str(home), instead) if len(home.parts) > 1 else text

"""The command that trains the found network again, from what the user typed for this run; and paths in it."""

import json
from pathlib import Path

from rlnas.quoting import override, shell_word
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
    own = override("architecture", f"{shown_folder(run.folder)}/best/architecture.json")
    return " ".join(["python -m rlnas", *(quoted(item) for item in (*kept, own, f"retrain.epochs={EPOCHS}"))])


def load_code(run: Run) -> str:
    """The Python that loads the trained network."""
    folder = json.dumps(shown_folder(run.folder), ensure_ascii=False)  # a text of JSON is one of Python
    return f"import rlnas\n\nchild = rlnas.load_child({folder})"


def quoted(word: str) -> str:
    """A shell word; the user's home folder becomes $HOME."""
    return shell_word(word, _home())


def without_home(text: str, instead: str = "~") -> str:
    """The text without the path of the user's home folder."""
    home = _home()
    return text.replace(home, instead) if home else text


def _home() -> str | None:
    """The user's home folder; None if there is none, or it is the root."""
    try:
        home = Path.home()
    except RuntimeError:  # a user id without an entry in the system's list, as in some containers
        return None
    return str(home) if len(home.parts) > 1 else None

"""The command that trains the found network again, from what the user typed for this run; and paths in it."""

import json
import re
from pathlib import Path

from rlnas.config.quoting import override, plain_path, shell_word, shown
from rlnas.runs.reader import Run

EPOCHS = 300  # long enough for a final number on CIFAR-10
DROPPED = ("resume", "architecture", "retrain.epochs")


def shown_folder(folder: Path) -> str:
    """What to call the folder: as it was given, an absolute one relative to the working folder, or its name alone.

    No path: a command has `shown` of rlnas.config.quoting, on paper without the home folder's name.
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
    own = override("architecture", (shown(run.folder) / "best" / "architecture.json").as_posix())
    return " ".join(["python -m rlnas", *(quoted(item) for item in (*kept, own, f"retrain.epochs={EPOCHS}"))])


def resume_command(folder: Path) -> str:
    """The command that goes on with the run of this folder, on screen and on paper: a home folder is $HOME."""
    return f"python -m rlnas {quoted(override('resume', shown(folder).as_posix()))}"


def load_code(run: Run) -> str:
    """The Python that loads the trained network; `load_child` knows ~."""
    path = without_home(plain_path(shown(run.folder).as_posix()))
    text = json.dumps(path, ensure_ascii=False)  # a text of JSON is one of Python
    return f"import rlnas\n\nchild = rlnas.load_child({text})"


def quoted(word: str) -> str:
    """A shell word; the user's home folder becomes $HOME."""
    return shell_word(word, _home())


def without_home(text: str, instead: str = "~") -> str:
    """The text without the path of the user's home folder; a longer path that has it inside is another one."""
    home = _home()
    return re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w.~-])", lambda _: instead, text) if home else text


def _home() -> str | None:
    """The user's home folder; None if there is none, or it is the root."""
    try:
        home = Path.home()
    except RuntimeError:  # a user id without an entry in the system's list, as in some containers
        return None
    return str(home) if len(home.parts) > 1 else None

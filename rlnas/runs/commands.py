"""The commands and the Python code that continue from a run, ready to paste."""

import json
from pathlib import Path

from rlnas.config.quoting import compare_command, override, plain_path, quoted, shown, without_home
from rlnas.runs.run import Run

EPOCHS = 300  # long enough for a final number on CIFAR-10
DROPPED = ("resume", "architecture", "retrain.epochs")


def retrain_command(run: Run) -> str:
    """`python -m rlnas ...` with the run's own overrides, the found architecture and more epochs."""
    kept = [item for item in run.overrides if item.lstrip("+~").partition("=")[0] not in DROPPED]
    own = override("architecture", (shown(run.folder) / "best" / "architecture.json").as_posix())
    return " ".join(["python -m rlnas", *(quoted(item) for item in (*kept, own, f"retrain.epochs={EPOCHS}"))])


def compare_with_others(run: Run) -> str:
    """The command that compares the run with others."""
    return without_home(compare_command([shown(run.folder).as_posix()], "OTHER_RUNS"))


def load_code(run: Run) -> str:
    """The Python that loads the trained network; `load_child` expands ~."""
    path = without_home(plain_path(shown(run.folder).as_posix()))
    text = json.dumps(path, ensure_ascii=False)  # a JSON string is a Python literal
    return f"import rlnas\n\nchild = rlnas.load_child({text})"


def resume_command(folder: Path) -> str:
    """The command that resumes the run of this folder; a home folder is $HOME."""
    return f"python -m rlnas {quoted(override('resume', shown(folder).as_posix()))}"


def gap_command(folder: Path) -> str:
    """The command that measures how well the shared weights of this folder's run rank; a home folder is $HOME."""
    return f"python -m rlnas.gap {quoted(plain_path(shown(folder).as_posix()))}"

"""Writing a comparison: comparison.csv and comparison.html, each whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

from rlnas.config.quoting import shown
from rlnas.errors import RlnasError
from rlnas.files import write_text
from rlnas.report.comparison.compare import compare
from rlnas.report.comparison.figures import draw
from rlnas.report.comparison.frame import frame
from rlnas.report.comparison.page import write_page
from rlnas.report.comparison.results import Comparison
from rlnas.runs.discover import load_runs
from rlnas.runs.reader import MARKS

ELSEWHERE = Path("outputs/comparison")


def write_comparison(
    folders: Sequence[Path], out: Path | None = None, *, strict: bool = False
) -> tuple[Comparison, Path]:
    """Compare the runs in these folders and write both files; returns the comparison and the page's path.

    out: by default the one sweep folder that is given, else outputs/comparison here. The same runs give the
    same bytes. Raises RlnasError for what `load_runs` and `compare` refuse, and if out cannot be written.
    """
    runs, left_out = load_runs(folders)
    comparison = compare(runs, left_out, folders=[shown(folder).as_posix() for folder in folders], strict=strict)
    target = default_out(folders) if out is None else out
    _check_writable(target)
    table = frame(comparison)
    files = {
        "comparison.csv": table.to_csv(index=False, lineterminator="\n"),
        "comparison.html": write_page(comparison, table, draw(comparison)),
    }
    for name, content in files.items():
        try:
            write_text(target / name, content)
        except RlnasError as error:
            raise _unwritable(target, error.__cause__ or error) from None
    return comparison, target / "comparison.html"


def default_out(folders: Sequence[Path]) -> Path:
    """The folder that holds the runs if there is one, else a folder of its own."""
    if len(folders) == 1 and not any((folders[0] / mark).exists() for mark in MARKS):
        return folders[0]
    return ELSEWHERE


def _check_writable(folder: Path) -> None:
    """Before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: BaseException) -> RlnasError:
    reason = getattr(error, "strerror", None) or str(error)
    return RlnasError(f"the comparison cannot be written to {folder}: {reason}; choose another folder with --out")

"""A run of the command line whose search has ended, small enough for a test."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import TINY, rlnas


@pytest.fixture(scope="session")
def searched_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the digits; not to be changed."""
    folder = tmp_path_factory.mktemp("gap")
    done = rlnas("+experiment=nasrl_digits", *TINY, "hydra.run.dir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture
def copied(searched_run: Path, tmp_path: Path) -> Callable[[str], Path]:
    """copied(name): a copy of it that a test may change."""

    def copy(name: str = "run") -> Path:
        return Path(shutil.copytree(searched_run, tmp_path / name))

    return copy

"""Reports of spaces and evaluators that rlnas does not know: what exists is drawn, nothing else is needed."""

import ast
import csv
import json
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rlnas
from rlnas.errors import RlnasError
from rlnas.report import load_run, write_report
from rlnas.spaces import Space

PACKAGE = Path(rlnas.__path__[0])


class Pipeline(Space):
    """Two preprocessing steps of a program: no rank, no size, no graph."""

    nvec = (2,)
    steps = 2

    def legal(self, prefix: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
        return np.ones(2, dtype=bool)

    def architecture(self, actions: Any) -> tuple[str, ...]:
        return tuple("ab"[int(row[0])] for row in actions)

    def actions(self, architecture: tuple[str, ...]) -> NDArray[np.int64]:
        return np.array([["ab".index(step)] for step in architecture])

    def text(self, architecture: tuple[str, ...]) -> str:
        return "<" + ">".join(architecture)

    def parse(self, text: str) -> tuple[str, ...]:
        if not text.startswith("<"):
            raise RlnasError(f"'{text}' is no pipeline")
        return tuple(text[1:].split(">"))

    def features(self, architecture: tuple[str, ...]) -> dict[str, str | float]:
        return {f"step{place}/operation": step for place, step in enumerate(architecture, 1)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of that space by an evaluator of the user's own: no costs, no random control, values above 1."""
    return write_pipeline_run(tmp_path)


def write_pipeline_run(folder: Path, objective: dict[str, Any] | None = None) -> Path:
    rows = [(0, 1, "<a>a", -3.0, 1.5), (1, 1, "<a>b", -1.0, 0.5), (2, 2, "<b>b", -2.0, 2.5), (3, 2, "<a>b", -1.5, 0.4)]
    with open(folder / "history.csv", "w", newline="") as file:
        csv.writer(file).writerows([("index", "round", "architecture", "reward", "accuracy", "seconds")])
        csv.writer(file).writerows([(*row, 0.5) for row in rows])
    result = {
        "name": "pipelines",
        "space": {"name": f"{__name__}.Pipeline", "size": None, "options": {"options": {}}},
        "objective": objective or {"terms": {"accuracy": 1.0, "latency": -2.0}, "limits": {"latency": 3.0}},
        "controller": "evolution",
        "evaluator": "mine.Evaluator",
        "seed": 0,
        "best": {
            "architecture": "<a>b",
            "code": None,
            "search_accuracy": 0.5,
            "objective": -1.0,
            "valid_accuracy": None,
        },
        "children_evaluated": 4,
        "children_unique": 3,
        "seconds": {"evaluation": 2.0, "total": 2.5},
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "environment.json").write_text(json.dumps({"config": {"controller": {"name": "evolution"}}}))
    return folder


def test_a_space_without_rank_and_graph_is_reported(folder: Path) -> None:
    html = unescape(write_report(folder).read_text(encoding="utf-8"))
    names = {path.stem for path in (folder / "figures").iterdir()}
    assert names == {"accuracy", "reward", "best", "operators", "layers", "time"}
    assert "not counted" in html
    assert "<a>b" in html
    assert "Not drawn" not in html
    assert ">-1</dd>" in html
    assert "of accuracy, latency<" in html
    assert "shared weights" not in html
    assert "random, mean" not in (folder / "figures" / "accuracy.svg").read_text()
    assert "objective.terms.latency" in html
    assert "terms.latency=-2.0" in html


def test_the_reward_decides_which_is_best_and_the_curve_shows_its_accuracy(folder: Path) -> None:
    run = load_run(folder)
    assert run.incumbents.tolist() == [0, 1, 1, 1]
    assert run.score.tolist() == [1.5, 0.5, 0.5, 0.5]
    assert "of accuracy 0.5, at architecture 2 of 4" in write_report(folder).read_text()


def test_an_architecture_beyond_a_limit_is_never_the_best(tmp_path: Path) -> None:
    run = load_run(write_pipeline_run(tmp_path, {"terms": {}, "limits": {"accuracy": 0.45}}))
    assert run.incumbents.tolist() == [0, 0, 0, 3]  # the first until one is allowed


def test_no_space_is_asked_for_by_its_class() -> None:
    """Only what all spaces have is used in report and runs."""
    for path in [*(PACKAGE / "report").rglob("*.py"), *(PACKAGE / "runs").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rlnas.spaces")
            for alias in node.names
        }
        assert imported <= {"Space", "Architecture", "make_space", "Diagram"}, path
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not {name for name in names if name.endswith("Space")} - {"Space"}, path

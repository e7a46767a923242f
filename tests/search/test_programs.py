"""Searches for programs on the real command line: every kind of controller, selection, test, report, resume."""

from pathlib import Path
from typing import Any

import pytest

import rlnas
from rlnas.cli import _compose
from rlnas.config.build import build_config
from rlnas.errors import RlnasError
from rlnas.runs.tables import read_rows
from tests.command import history, result
from tests.search.test_job import stop_after

SMALL = [
    "space=program",
    "evaluator=program",
    "search=untrained",
    "data.limit=400",
    "space.setup=2",
    "space.predict=2",
    "space.learn=4",
    "evaluator.tasks=2",
    "evaluator.held_out_tasks=2",
    "evaluator.features=4",
    "evaluator.train_examples=12",
    "evaluator.valid_examples=10",
    "search.architectures_per_round=8",
    "budget.rounds=3",
    "controller.episodes=4",
    "select.from_history=3",
    "progress=off",
]
CONTROLLERS = ("evolution_programs", "ppo", "random")


def run(tmp_path: Path, *more: str) -> Path:
    return rlnas.run([*SMALL, *more, f"hydra.run.dir={tmp_path}/run"])


@pytest.mark.variants(1)
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_killed_and_resumed_it_ends_alike(controller: str, tmp_path: Path, monkeypatch) -> None:
    """With the same scores, the same ones cached, the same selection and the same test."""
    options = [f"controller={controller}", *(["controller.params.population=6"] if "evol" in controller else [])]
    options += ["controller.params.sample=3"] if "evol" in controller else []
    whole = run(tmp_path / "whole", *options, "report=false")
    monkeypatch.setattr("rlnas.evaluators.ProgramEvaluator.checkpoint_seconds", 0.0)
    monkeypatch.setattr("rlnas.search.rounds.Rounds._out_of_time", stop_after(2))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part", *options, "report=false")
    monkeypatch.undo()
    part = rlnas.run([f"resume={tmp_path}/part/run"])
    assert history(part) == history(whole)
    assert result(part)["best"] == result(whole)["best"]
    rows = read_rows(whole / "history.csv")
    assert len(rows) == 24
    if controller == "evolution_programs":
        assert [row["architecture"] for row in rows[:4]] == ["setup: | predict: | learn:"] * 4
        assert [row["cached"] for row in rows[:4]] == ["0", "1", "1", "1"]


@pytest.mark.thorough
def test_what_a_run_writes(tmp_path: Path) -> None:
    folder = run(tmp_path, "controller=random")
    found: dict[str, Any] = result(folder)
    best, controls = found["best"], found["controls"]
    assert found["dataset"] == "digits"
    assert found["space"]["size"] == str(rlnas.make_space("program", setup=2, predict=2, learn=4).size)
    assert 0 < best["test_accuracy"] <= 1
    assert best["valid_accuracy"] is best["params"] is None
    assert len(found["candidates"]) == 3
    assert best["search_accuracy"] == max(one["accuracy"] for one in found["candidates"])
    assert [one["name"] for one in controls if one["kind"] == "reference"] == ["linear"]
    assert len([one for one in controls if one["kind"] == "random"]) == 2
    assert "The found architecture (" in found["verdict"]["text"]
    assert "retrain" not in found["verdict"]["text"]
    assert found["tasks"]["search"]["train_examples"] == 12
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "retrained from scratch, reaches" not in report
    assert "The best one reaches" in report


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["space=program"],
            r"space=program does not go with evaluator=shared_weights.*set evaluator=program",
        ),
        (["evaluator=program"], r"space=nasrl does not go with evaluator=program.*set space=program"),
        (["space=program", "evaluator=tabular", "search=tabular"], "space=program does not go with evaluator=tabular"),
        (["space=program", "evaluator=program"], "programs have no shared weights to train.*set search=untrained"),
        (["space=program", "evaluator=program", "search=untrained", "space.scalars=1"], "space.scalars is 1, expected"),
    ],
)
def test_what_cannot_be_combined_is_told(options: list[str], message: str) -> None:
    with pytest.raises(RlnasError, match=message):
        build_config(_compose(options))


def test_evolution_needs_a_trivial_architecture_to_start_from_one(tmp_path: Path) -> None:
    with pytest.raises(RlnasError, match=r"start=trivial, but space=nas.* has no trivial architecture; set it to"):
        rlnas.run(
            [
                "space=nasrl_bench",
                "evaluator=tabular",
                "search=tabular",
                "controller=evolution",
                "controller.params.start=trivial",
                f"hydra.run.dir={tmp_path}/run",
            ]
        )
    with pytest.raises(RlnasError, match=r"controller.params.start is 'empty', expected one of random, trivial"):
        run(tmp_path / "other", "controller=evolution", "controller.params.start=empty")

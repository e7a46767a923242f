"""A space, a controller, an evaluator, an objective term and a data source from outside the package, end to end."""

import csv
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlnas
from examples.data_source import CLASSES, shapes
from examples.objective_term import pooling_share
from examples.space import STOP, Funnel
from rlnas.errors import RlnasError

ROOT = Path(__file__).resolve().parents[2]
SPACE = ("space=yours", "space.name=examples.space.Funnel", "+space.options.blocks=3", "+space.options.widths=[4,8]")
CONTROLLER = ("controller=yours", "controller.algorithm=examples.controller.HillClimbing")
EVALUATOR = ("evaluator=yours", "evaluator.name=examples.evaluator.Untrained", "search=untrained")
LAYERS = ("space.layers=3", "space.filters=4")
SMALL = (
    "data.limit=200",
    "controller.episodes=4",
    "search.architectures_per_round=8",
    "budget.rounds=3",
    "search.random_control=2",
    "select.from_policy=2",
    "select.from_history=2",
    "select.finalists=2",
    "select.controls=0",
    "retrain.epochs=1",
    "progress=off",
)
TRAINED = ("search.warmup_epochs=1", "search.epochs_per_round=0.5")
RUNS = {
    "space": (*SPACE, *TRAINED, "controller=ppo"),
    "controller": (*CONTROLLER, *TRAINED, *LAYERS),
    "evaluator": (*EVALUATOR, *LAYERS),
    "all three": (*SPACE, *CONTROLLER, *EVALUATOR),
}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is where `examples` lies."""
    monkeypatch.chdir(ROOT)


def rows(folder: Path) -> list[dict[str, str]]:
    """history.csv without its seconds."""
    with open(folder / "history.csv", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.thorough
@pytest.mark.parametrize("name", RUNS)
def test_a_run_with_report_that_resumes_exactly(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rlnas.run([*RUNS[name], *SMALL, f"hydra.run.dir={tmp_path / 'whole'}"])
    result = rlnas.load_result(whole)
    assert result["children_evaluated"] == len(rows(whole)) == 24
    assert 0 <= result["best"]["test_accuracy"] <= 1
    assert result["best"]["architecture"] in (whole / "report.html").read_text(encoding="utf-8")
    assert rlnas.load_child(whole).classes == tuple("0123456789")

    with stopped_after(2, monkeypatch), pytest.raises(KeyboardInterrupt):
        rlnas.run([*RUNS[name], *SMALL, f"hydra.run.dir={tmp_path / 'stopped'}"])
    assert not (tmp_path / "stopped" / "result.json").exists()
    resumed = rlnas.run([f"resume={tmp_path / 'stopped'}"])
    assert rows(resumed) == rows(whole)
    assert rlnas.load_result(resumed)["best"] == result["best"]


class stopped_after:
    """Within, a run is stopped when it has closed so many rounds and is about to go on."""

    def __init__(self, rounds: int, monkeypatch: pytest.MonkeyPatch):
        self.rounds, self.monkeypatch = rounds, monkeypatch

    def __enter__(self) -> None:
        module = importlib.import_module("rlnas.search.rounds")
        opens: Callable[..., None] = module.Rounds._open_round
        limit = self.rounds

        def stop(loop: Any) -> None:
            if loop.round == limit:
                raise KeyboardInterrupt
            opens(loop)

        self.monkeypatch.setattr(module.Rounds, "_open_round", stop)

    def __exit__(self, *_: object) -> None:
        self.monkeypatch.undo()
        self.monkeypatch.chdir(ROOT)


def test_a_data_source_and_an_objective_term(tmp_path: Path) -> None:
    term = "+objective.terms.pooling={weight: -0.2, term: examples.objective_term.pooling_share, most: 0.25}"
    source = ("data=yours", "data.name=examples.data_source.shapes", "+data.options.count=120")
    folder = rlnas.run([*source, term, *LAYERS, *TRAINED, *SMALL, f"hydra.run.dir={tmp_path / 'run'}"])
    result = rlnas.load_result(folder)
    assert result["dataset"] == "shapes16"
    assert tuple(result["images"]["classes"]) == CLASSES
    for row in rows(folder):
        share = row["architecture"].count("pool") / 3
        expected = float(row["accuracy"]) - 0.2 * max(share - 0.25, 0)
        assert float(row["reward"]) == pytest.approx(expected, abs=1e-12)


def test_the_share_of_pooling() -> None:
    features = {"layer1/operator": "max_pool3x3", "layer2/operator": "conv3x3", "skip_rate": 0.5}
    assert pooling_share(features, {}) == 0.5
    assert pooling_share(features, {}, most=0.2) == pytest.approx(0.3)
    assert pooling_share({}, {}) == 0


def test_shapes_are_the_same_for_each_call_and_differ_between_splits() -> None:
    source = shapes(count=30)
    assert source.train().images.digests() == source.train().images.digests()
    assert not set(source.train().images.digests()) & set(source.test().images.digests())


# -- the space's dependent decisions --------------------------------------------------------------------

FUNNEL = Funnel(blocks=4, widths=(4, 8, 16))


@given(st.integers(0, 2**32))
def test_every_drawn_architecture_is_a_funnel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = FUNNEL.sample(rng)
    for architecture in (drawn, FUNNEL.mutate(drawn, rng), FUNNEL.crossover(drawn, FUNNEL.sample(rng), rng)):
        widths = [width for _, width in architecture]
        assert 1 <= len(architecture) <= 4
        assert widths == sorted(widths)
        assert FUNNEL.parse(FUNNEL.text(architecture)) == architecture
        assert FUNNEL.architecture(FUNNEL.actions(architecture)) == architecture


def test_legality_depends_on_earlier_choices() -> None:
    assert FUNNEL.legal([]).tolist() == [True, True, True, False]  # an operator; not to stop at once
    assert FUNNEL.legal([[0]]).tolist() == [True, True, True, False]  # any width
    assert FUNNEL.legal([[0], [1], [2]]).tolist() == [False, True, True, False]  # not narrower
    assert FUNNEL.legal([[0], [1], [STOP]]).tolist() == [False, True, False, False]
    assert FUNNEL.legal([[0], [1], [STOP], [1]]).tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    "text", ["", "conv3x3:5", "conv9:4", "conv3x3", "conv3x3:8 conv3x3:4", " ".join(["conv3x3:4"] * 5)]
)
def test_a_wrong_funnel_is_refused(text: str) -> None:
    with pytest.raises(RlnasError):
        FUNNEL.parse(text)


# -- errors ---------------------------------------------------------------------------------------------


@pytest.mark.variants(4)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("space=yours", "space.name=examples.space.Cone"), r"space.name: examples.space.Cone cannot be imported"),
        (("space=yours", "space.name=nowhere.at_all.Space"), r"space.name: nowhere.at_all.Space cannot be imported"),
        (("space=yours", "space.name=examples.space.STOP"), r"space.name is 'examples.space.STOP'"),
        (("space=yours", "space.name=examples.controller.HillClimbing"), r"space.name=.* refused space.options"),
        ((*SPACE, "+space.options.depth=2"), r"space.options=.*depth"),
        (("space=yours",), r"space.name is '\?\?\?', expected one of"),
        ((*EVALUATOR, "+evaluator.options.batch=2"), r"evaluator.options=.*batch"),
        (("controller=yours", "controller.algorithm=examples.space.Funnel"), r"controller.algorithm is"),
        ((*CONTROLLER, "+controller.params.greed=1"), r"unknown key controller.params.greed; HillClimbing has explore"),
        (("data=yours", "data.name=examples.objective_term.pooling_share"), r"data.name=.* refused data.options"),
        (("+objective.terms.mine={term: examples.objective_term.none}",), r"objective.terms.mine.term: .*cannot"),
        (
            (*SPACE, "evaluator=tabular", "search=tabular", "search.random_control=0"),
            r"evaluator=tabular .*examples.space.Funnel has no table",
        ),
    ],
)
def test_what_is_wrong_with_ones_own_parts_is_told(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(RlnasError, match=message):
        rlnas.run([*SMALL, *arguments, f"hydra.run.dir={tmp_path / 'run'}"])
    assert not (tmp_path / "run").exists()


def test_result_and_history_know_architectures_by_their_text(tmp_path: Path) -> None:
    folder = rlnas.run([*RUNS["all three"], *SMALL, "retrain.epochs=0", f"hydra.run.dir={tmp_path / 'run'}"])
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["space"] == {
        "name": "examples.space.Funnel",
        "size": None,
        "options": {"options": {"blocks": 3, "widths": [4, 8]}},
    }
    assert result["best"]["code"] is None
    assert {row["code"] for row in rows(folder)} == {""}
    found = [row for row in rows(folder) if row["architecture"] == result["best"]["architecture"]]
    assert float(found[0]["reward"]) == max(float(row["reward"]) for row in rows(folder))

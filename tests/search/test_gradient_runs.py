"""Whole runs of gradient controllers on the digits: search, selection, retraining, report, resume, the gap."""

import csv
from pathlib import Path

import pytest

import rlnas
from rlnas.gap.restore import restore_searched
from rlnas.runs.reader import load_run
from tests.command import history, result
from tests.search.test_job import stop_after

SPACES = {
    "nasrl_small": ["space.layers=4", "space.filters=4", "space.reductions=1"],
    "darts_small": ["space.nodes=2", "space.filters=2"],
    "nasnet_small": ["space.nodes=2", "space.filters=2", "space.summarisations=[sum]"],
}
SHORT = [
    "search=gradient",
    "data.limit=200",
    "search.random_control=2",
    "search.architectures_per_round=3",
    "evaluator.images=40",
    "budget.rounds=2",
    "controller.episodes=3",
    "select.from_policy=2",
    "select.from_history=2",
    "select.finalists=1",
    "select.references=0",
    "select.controls=0",
    "retrain.epochs=1",
    "progress=off",
]
CASES = [
    ("nasrl_small", "darts"),
    *((space, "gdas") for space in SPACES),
    ("darts_small", "darts"),
    ("nasnet_small", "darts"),
]


def options(space: str, controller: str) -> list[str]:
    return [f"space={space}", *SPACES[space], f"controller={controller}", *SHORT]


def weights_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "architecture_weights.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.variants(1)
@pytest.mark.parametrize(("space", "controller"), CASES)
def test_a_search_is_reported_and_resumed(
    space: str, controller: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rlnas.run([*options(space, controller), f"hydra.run.dir={tmp_path}/whole"])
    rows, found, weights = history(whole), result(whole), weights_of(whole)
    assert len(rows) == 6
    assert 0 <= found["best"]["test_accuracy"] <= 1
    assert found["controller"] == controller
    assert [row["round"] for row in weights] == sorted(row["round"] for row in weights)
    assert {row["round"] for row in weights} == {"1", "2"}
    drawn = {path.stem for path in (whole / "figures").glob("*weights*.svg")}
    chain = {"architecture_weights", "skip_weights"}
    assert drawn == (chain if space == "nasrl_small" else {"architecture_weights", "architecture_weights_2"})
    assert "weights of the relaxation over rounds" in (whole / "report.html").read_text(encoding="utf-8")
    assert len(load_run(whole).architecture_weights) == len(weights)

    with monkeypatch.context() as patch:
        patch.setattr("rlnas.search.rounds.Rounds._out_of_time", stop_after(1))
        with pytest.raises(KeyboardInterrupt):
            rlnas.run([*options(space, controller), "report=false", f"hydra.run.dir={tmp_path}/part"])
    resumed = rlnas.run([f"resume={tmp_path}/part"])
    assert history(resumed) == rows
    assert weights_of(resumed) == weights
    assert result(resumed)["best"] == found["best"]

    built = restore_searched(whole)  # the shared weights that the relaxation trained score discrete architectures
    last = built.space.parse(rows[-3]["architecture"])
    built.evaluator._cache_version = -1
    assert built.evaluator.evaluate([last])[0].accuracy == float(rows[-3]["accuracy"])


@pytest.mark.thorough
@pytest.mark.parametrize("controller", ["darts", "gdas"])
def test_minutes_end_it_and_a_warm_up_comes_before(controller: str, tmp_path: Path) -> None:
    arguments = [
        *options("nasrl_small", controller),
        "search.warmup_epochs=1",
        "budget.rounds=0",
        "budget.minutes=0.01",
    ]
    folder = rlnas.run([*arguments, f"hydra.run.dir={tmp_path}/run"])
    assert result(folder)["stopped_by"] == "budget.minutes"


@pytest.mark.thorough
def test_the_second_order_and_other_normalisation_run(tmp_path: Path) -> None:
    arguments = [*options("nasrl_small", "darts"), "controller.params.order=2", "evaluator.norm=running"]
    folder = rlnas.run([*arguments, "child.average_epochs=0.5", f"hydra.run.dir={tmp_path}/run"])
    assert len(history(folder)) == 6


def test_other_controllers_have_no_such_table(tmp_path: Path) -> None:
    folder = rlnas.run(
        [
            "space=nasrl_small",
            *SPACES["nasrl_small"],
            "controller=random",
            *SHORT,
            "retrain.epochs=0",
            f"hydra.run.dir={tmp_path}/run",
        ]
    )
    assert not (folder / "architecture_weights.csv").exists()
    assert not list((folder / "figures").glob("*weights*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["space=genetic_cnn", "space.nodes=[3,3]"], "space=genetic_cnn has no relaxation"),
        (["space=nasnet_small"], r"'concat', 'product'\]; set space.summarisations=\[sum\]"),
        (["space=nasrl_small", "space.merge=concat"], "set space.merge=sum"),
        (["space=nasrl_small", "evaluator=standalone"], "evaluator=standalone does not go with it"),
        (["space=nasrl_bench", "evaluator=tabular", "search=tabular"], "evaluator=tabular does not go with it"),
        (["space=nasrl_small", "search=one_shot"], "set search=gradient"),
    ],
    ids=["space", "summarisations", "merge", "standalone", "table", "untrained"],
)
def test_illegal_pairs_say_one_line_before_anything_is_trained(
    changes: list[str], message: str, tmp_path: Path
) -> None:
    layout = [] if any(item.startswith("search=") for item in changes) else ["search=gradient"]
    arguments = ["controller=darts", "progress=off", *layout, *changes]
    with pytest.raises(rlnas.RlnasError, match=message) as error:
        rlnas.run([*arguments, f"hydra.run.dir={tmp_path}/run"])
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "run").glob("checkpoint/*"))

"""Run folders as commit c83e41c wrote them, checked in: they are still reported and compared.

`network` is a search on the embedded digits, `table_*` are searches of small.csv.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rlnas.config.schema import SPACE_CONFIGS, Config
from rlnas.report import write_report
from rlnas.report.comparison import write_comparison
from rlnas.runs.older import LATER, LATER_OF_SPACES, modernized
from rlnas.runs.reader import load_run

OLD = Path(__file__).parent / "old_runs"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folders, in the working directory of the runs."""
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def figures(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "figures").iterdir()}


def test_a_network_run(old: Path) -> None:
    html = write_report(Path("network")).read_text(encoding="utf-8")
    everything = "accuracy best params operators layers skip_rate skips entropy child_loss retraining time architecture"
    assert figures(old / "network") == set(everything.split())
    run = load_run(old / "network")
    assert run.graph is not None
    assert run.objective == {"terms": {"accuracy": 1.0}, "limits": {}}
    assert run.config["reward.scale"] == "auto"
    assert "objective.terms.accuracy" in html
    assert "log_likelihood" not in html  # neither a column of history.csv nor of the candidates
    assert ">objective</th>" not in html
    assert "The accuracy decides" in html
    assert "Not drawn" not in html
    assert "Controls" not in html
    assert "Verdict" not in html


def test_a_table_run(old: Path) -> None:
    html = write_report(Path("table_random")).read_text(encoding="utf-8")
    assert figures(old / "table_random") == {"accuracy", "best", "operators", "layers", "entropy", "time"}
    assert "conv,32" in html
    assert "true score" in html
    assert "shared weights" not in html
    assert "python -m rlnas.compare table_random OTHER_RUNS" in html
    assert "Retrain it" not in html


def test_a_table_that_is_gone_is_told(old: Path) -> None:
    (old / "small.csv").unlink()
    html = write_report(Path("table_random")).read_text(encoding="utf-8")
    assert figures(old / "table_random") == {"accuracy", "best", "entropy", "time"}
    assert html.count("Not drawn: what the controller chose:") == 1
    assert "small.csv" in html


def test_table_runs_are_compared(old: Path) -> None:
    comparison, page = write_comparison([old / "table_random", old / "table_evolution"], old)
    assert {group.label for group in comparison.groups} == {"evolution", "random"}
    assert not comparison.left_out
    assert page.exists()
    table = pd.read_csv(old / "comparison.csv").set_index("controller")
    run = load_run(old / "table_random")
    assert table.loc["random", "score_mean"] == run.score[-1]
    assert table.loc["random", "mean"] == pytest.approx(run.optimum - run.score[-1])


def test_an_old_run_and_a_new_one_of_the_same_settings_are_one_group(old: Path) -> None:
    """A new one has `objective` where an old one had `reward.shape`, and a tabular evaluator has no options."""
    environment = json.loads((old / "table_random" / "environment.json").read_text())
    config = environment["config"]
    config |= {"seed": 1, "report": False, "reward": {"scale": "auto"}, "evaluator": {"name": "tabular"}}
    config["objective"] = {"terms": {"accuracy": 1.0}, "limits": {}}
    shutil.copytree("table_random", "new")
    Path("new/environment.json").write_text(json.dumps(environment))
    result = json.loads(Path("new/result.json").read_text())
    Path("new/result.json").write_text(json.dumps({**result, "seed": 1, "objective": config["objective"]}))
    comparison, _ = write_comparison([old / "table_random", old / "new"], old)
    (group,) = comparison.groups
    assert (group.label, group.seeds) == ("random", (0, 1))


@pytest.mark.parametrize(
    ("reward", "terms"),
    [
        ({"shape": "accuracy_cubed", "skip_weight": 0.0, "skip_target": 0.4}, {"accuracy_cubed": 1.0}),
        (
            {"shape": "accuracy", "skip_weight": 0.1, "skip_target": 0.4},
            {"accuracy": 1.0, "skip_divergence": {"weight": -0.1, "target": 0.4, "search_only": True}},
        ),
    ],
)
def test_the_reward_of_an_old_run_is_an_objective(reward: dict[str, Any], terms: dict[str, Any]) -> None:
    settings = {"reward": {**reward, "scale": "none"}, "seed": 3}
    assert modernized(settings) == {
        "objective": {"terms": terms, "limits": {}},
        "reward": {"scale": "none"},
        "seed": 3,
    }
    assert "shape" in settings["reward"]
    grow = {"grow": {"start": 0, "step": 2, "every": 1600}}
    assert modernized({"space": {"name": "nasrl"}})["space"] == {"name": "nasrl", "sharing": "operator", **grow}
    assert modernized({"space": {"name": "nasrl_factored"}})["space"] == {"name": "nasrl_factored", **grow}
    for space in ({"name": "nasrl", "sharing": "kernel", "grow": {"start": 2}}, {"name": "table"}):
        assert modernized({"space": space})["space"] == space
    for name, values in LATER_OF_SPACES.items():
        assert values.items() <= dataclasses.asdict(SPACE_CONFIGS[name]()).items()
    new = {"objective": {"terms": {"mine": 1.0}}, "reward": {"scale": "rank"}}
    assert modernized(new) == new
    assert modernized({"select": {"finalists": 3}}) == {"select": {"halving": 1, "last_seeds": 1, "finalists": 3}}
    assert modernized({"select": {"halving": 2}})["select"] == {"halving": 2, "last_seeds": 1}
    for group, values in LATER.items():  # so that an old run and a new one are one group of a comparison
        defaults = dataclasses.asdict(getattr(Config(), group))
        assert values.items() <= defaults.items()
        assert modernized({group: {}})[group] == values

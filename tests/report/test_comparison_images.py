"""Searches on images: the retrained network decides, its own supernet never does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from rlnas.report.comparison import Comparison, compare, frame, tables, write_comparison
from rlnas.report.comparison.words import answer
from rlnas.runs.discover import load_runs
from tests.report.comparison_folders import write_run

LOW, HIGH = [0.70, 0.71, 0.73, 0.74, 0.72, 0.75], [0.80, 0.82, 0.81, 0.85, 0.83, 0.84]
RETRAIN = {"retrain.epochs": 2, "retrain.checkpoint_epochs": 1}


def searches(
    root: Path,
    tests: Mapping[str, Sequence[float | None]],
    *,
    first_seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    n: int = 20,
    observed: Mapping[str, float] | None = None,
    **options: Any,
) -> Path:
    """A run for each test accuracy. observed: accuracy with shared weights, by controller."""
    for name, values in tests.items():
        for seed, accuracy in enumerate(values, first_seed):
            write_run(
                root / f"{name}_{seed}",
                [(observed or {}).get(name, 0.4)] * n,
                controller=name,
                seed=seed,
                settings={**RETRAIN, **(settings or {})},
                test=accuracy,
                valid=None if accuracy is None else accuracy + 0.01,
                **options,
            )
    return root


def compared(root: Path) -> Comparison:
    return compare(*load_runs([root]))


def test_the_retrained_network_decides_whatever_the_supernets_say(tmp_path: Path):
    searches(tmp_path, {"random": LOW, "ppo": HIGH}, observed={"random": 0.9, "ppo": 0.1})
    comparison = compared(tmp_path)
    assert comparison.measure == "test accuracy"
    assert [group.label for group in comparison.groups] == ["ppo", "random"]
    (test,) = comparison.tests
    assert (test.verdict, test.paired, test.n) == ("better", True, 6)
    assert test.p == pytest.approx(2 / 2**6)
    assert test.lead == pytest.approx(0.1)
    assert (test.low, test.high) == pytest.approx(tuple(stats.ttest_rel(HIGH, LOW).confidence_interval()))
    assert comparison.cells["ppo", 20].mean == pytest.approx(0.825)
    assert comparison.validation["ppo"].mean == pytest.approx(0.835)
    assert tables.tests(comparison, frame(comparison), "random")[0][2] == "6 pairs"
    assert "After retraining ppo is better than random search: mean test accuracy 0.8250 vs 0.7250" in answer(
        comparison
    )


def test_without_retraining_there_is_no_verdict(tmp_path: Path):
    searches(tmp_path, {"random": [None] * 6, "ppo": [None] * 6}, observed={"random": 0.1, "ppo": 0.9})
    comparison, page = write_comparison([tmp_path])
    assert comparison.tests == ()
    (none,) = comparison.no_verdicts
    assert (none.label, none.baseline) == ("ppo", "random")
    assert "6 of 6 runs of ppo have no retrained network" in none.reason
    assert "do not compare" in none.reason
    assert answer(comparison).startswith("No verdict")
    assert any(none.reason in text for text in comparison.warnings)
    html = page.read_text()
    assert "no verdict" in html
    assert "6 of 6 runs of ppo have no retrained network" in html
    assert "do not compare" in html.partition("<figcaption>")[2].partition("</figcaption>")[0]
    table = pd.read_csv(tmp_path / "comparison.csv").set_index("controller")
    assert table.loc["ppo", "vs_random_verdict"] == "no verdict"
    assert table.loc["ppo", "vs_random_reason"] == none.reason
    assert table["mean"].isna().all()
    assert table.loc["ppo", "own_shared_weights_accuracy_mean"] == pytest.approx(0.9)


def test_one_run_without_a_network_takes_the_verdict_from_its_group_only(tmp_path: Path):
    searches(tmp_path, {"random": LOW, "ppo": HIGH, "dqn": [*HIGH[:5], None]})
    comparison = compared(tmp_path)
    assert [test.label for test in comparison.tests] == ["ppo"]
    assert [(one.label, "1 of 6 runs of dqn" in one.reason) for one in comparison.no_verdicts] == [("dqn", True)]
    assert comparison.groups[-1].label == "dqn"  # no place among the means
    assert "No verdict, for the reason below: dqn." in answer(comparison)


def test_runs_written_before_there_was_a_retrained_network_are_read(tmp_path: Path):
    for name in ("random", "ppo"):
        for seed in range(2):
            write_run(tmp_path / f"{name}{seed}", [0.4] * 9, controller=name, seed=seed, best={"architecture": "a"})
    comparison = compared(tmp_path)
    assert comparison.tests == ()
    assert len(comparison.no_verdicts) == 1


def unpaired(root: Path, kind: str) -> None:
    searches(root, {"random": LOW})
    if kind == "other seeds":
        searches(root, {"ppo": HIGH}, first_seed=100)
    elif kind == "a seed without a partner":
        searches(root, {"ppo": [*HIGH, 0.8]})
    elif kind == "other folder":
        searches(root, {"ppo": HIGH}, settings={"data.path": "elsewhere"})
    elif kind == "fallback":
        searches(root, {"ppo": HIGH}, dataset_note="cifar10 is not there")


@pytest.mark.parametrize("kind", ["other seeds", "a seed without a partner", "other folder", "fallback"])
def test_runs_are_pairs_only_if_all_share_their_images(kind: str, tmp_path: Path):
    unpaired(tmp_path, kind)
    comparison = compared(tmp_path)
    (test,) = comparison.tests
    assert not test.paired
    assert test.n_baseline == 6
    assert test.lead == pytest.approx(comparison.cells["ppo", 20].mean - comparison.cells["random", 20].mean)
    assert test.p == pytest.approx(2 / 924 if test.n == 6 else 1 / 1716)
    assert f"{test.n} and 6 runs" in answer(comparison)


OBSTACLES: dict[str, tuple[dict[str, Any], str]] = {
    "another recipe": ({"settings": {"retrain.epochs": 3}}, "retrained differently: retrain.epochs (3, 2)"),
    "another final network": (
        {"settings": {"retrain.space": {"filters": 64}}},
        "retrained differently: retrain.space.filters (64, unset)",
    ),
    "nasrl_small's final network": (
        {"settings": {"retrain.space": {"stem_stride": 2}}},
        "retrain.space.stem_stride (2, unset)",
    ),
    "longer": ({"n": 30}, "not equally long (20 to 30 architectures)"),
}


@pytest.mark.variants(3)
@pytest.mark.parametrize("kind", OBSTACLES)
def test_what_is_not_the_same_work_has_no_verdict(kind: str, tmp_path: Path):
    options, reason = OBSTACLES[kind]
    searches(tmp_path, {"random": LOW})
    searches(tmp_path, {"ppo": HIGH}, **options)
    comparison = compared(tmp_path)
    assert comparison.tests == ()
    assert reason in comparison.no_verdicts[0].reason


def test_equal_minutes_are_an_equal_budget(tmp_path: Path):
    minutes = {"settings": {"budget.minutes": 5}, "stopped_by": "budget.minutes"}
    searches(tmp_path, {"random": LOW}, n=20, **minutes)
    searches(tmp_path, {"ppo": HIGH}, n=30, **minutes)
    assert compared(tmp_path).tests[0].verdict == "better"


def test_the_retraining_recipe_tells_groups_apart_but_not_when_it_was_saved(tmp_path: Path):
    searches(tmp_path / "a", {"ppo": HIGH, "random": LOW})
    searches(tmp_path / "b", {"ppo": HIGH}, settings={"retrain.epochs": 9})
    searches(tmp_path / "c", {"random": LOW}, first_seed=50, settings={"retrain.checkpoint_epochs": 7})
    labels = [group.label for group in compared(tmp_path).groups]
    assert sorted(labels) == ["ppo epochs=2", "ppo epochs=9", "random"]


def test_one_run_only_has_no_verdict(tmp_path: Path):
    comparison = compared(searches(tmp_path, {"random": [0.7], "ppo": [0.8]}))
    assert comparison.tests == ()
    assert "one run only of ppo and of random" in comparison.no_verdicts[0].reason
    assert "ppo 0.8000 is first" in answer(comparison)

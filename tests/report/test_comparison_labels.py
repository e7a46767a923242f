"""Labels of groups, and which runs may stand side by side."""

from pathlib import Path
from typing import Any

import pytest

from rlnas.config.schema import OPEN_GROUPS
from rlnas.errors import RlnasError
from rlnas.report.comparison.labels import (
    check_same_task,
    differences,
    group_runs,
    other_differences,
    other_values,
)
from rlnas.runs.reader import Run, read_run
from tests.report.comparison_folders import write_run


@pytest.fixture
def run(tmp_path: Path):
    """run(controller, seed, **options): a small tabular run, with settings by dotted key."""
    count = 0

    def make(controller: str = "ppo", seed: int = 0, settings: Any = None, **options: Any) -> Run:
        nonlocal count
        count += 1
        options = {"score": [91.0, 92.0], **options}
        folder = write_run(
            tmp_path / str(count), [91.0, 92.0], controller=controller, seed=seed, settings=settings, **options
        )
        return read_run(folder)

    return make


def test_a_name_alone_is_the_label_whatever_changes_no_number(run):
    free = {"budget.architectures": 9, "progress": "plain", "execution.threads": 3, "space.path": "x", "data.path": "y"}
    groups = group_runs([run("ppo", 1, free), run("ppo", 0), run("random", 0)])
    assert {label: [r.seed for r in runs] for label, runs in groups.items()} == {"ppo": [0, 1], "random": [0]}


def test_runs_of_one_name_are_told_apart_by_the_keys_that_differ(run):
    rate = "controller.params.learning_rate"
    groups = group_runs([run("ppo", 0, {rate: 0.001}), run("ppo", 0, {rate: 0.01}), run("random", 0, {rate: 5})])
    assert list(groups) == ["ppo learning_rate=0.001", "ppo learning_rate=0.01", "random"]


def test_keys_are_shown_whole_where_their_last_part_is_not_enough():
    configs = [{"a.rate": 1, "b.rate": 2, "c.n": None}, {"a.rate": 3, "b.rate": 4}]
    assert differences(configs) == ["a.rate=1 b.rate=2 n=null", "a.rate=3 b.rate=4 n=unset"]


def test_a_seed_given_twice_is_refused_with_both_folders(run):
    with pytest.raises(RlnasError, match=r"two runs of ppo with seed 3: .*1 and .*2; "):
        group_runs([run("ppo", 3), run("ppo", 3)])


def test_what_differs_besides_controller_and_seed(run):
    runs = [run("ppo", 0, {"reward.shape": "accuracy_cubed"}), run("random", 1, {"controller.params.clip": 1})]
    assert other_differences(runs) == [
        "objective.terms.accuracy (unset, 1)",
        "objective.terms.accuracy_cubed (1, unset)",
    ]


def test_runs_of_different_tasks_are_refused(run):
    check_same_task([run(), run("random", 1)])
    cases = {
        r"different spaces: nas_bench_macro \(1 run\), nasrl \(2 runs\); compare": [
            run(),
            run(score=None),
            run(score=None),
        ],
        r"different spaces: nasrl layers=6 .*nasrl layers=9": [
            run(score=None),
            run(score=None, settings={"space.layers": 9}),
        ],
        r"different tables: sha256 686dee83686d.*sha256 ffff": [run(), run(sha256="f" * 64)],
        r"different data sets: digits .*cifar10": [run(score=None), run(score=None, dataset="cifar10")],
        r"different data sets: digits limit=0 .*limit=300": [
            run(score=None),
            run(score=None, settings={"data.limit": 300}),
        ],
    }
    for message, runs in cases.items():
        with pytest.raises(RlnasError, match=message):
            check_same_task(runs)


def test_augmentation_is_no_other_data(run):
    check_same_task([run(score=None), run(score=None, settings={"data.flip": False})])


def test_what_the_shared_weights_share_is_no_other_space_but_tells_groups_apart(run):
    runs = [run(score=None, settings={"space.sharing": form}) for form in ("operator", "kernel")]
    check_same_task(runs)
    assert list(group_runs(runs)) == ["ppo sharing=kernel", "ppo sharing=operator"]


def test_growth_is_no_other_space_but_tells_groups_apart(run):
    runs = [run(score=None, settings={"space.grow.start": start}) for start in (0, 2)]
    check_same_task(runs)
    assert list(group_runs(runs)) == ["ppo start=0", "ppo start=2"]


@pytest.mark.parametrize(
    ("one", "other", "values"),
    [
        ({"retrain.space": {}}, {"retrain.space": {"filters": 64}}, ["retrain.space.filters (unset, 64)"]),
        ({"retrain.space": {}}, {"retrain.space": {"stem_stride": 2}}, ["retrain.space.stem_stride (unset, 2)"]),
        ({"retrain.space": None}, {"retrain.space": {"filters": 64}}, ["retrain.space.filters (unset, 64)"]),
        ({"retrain.epochs": 2}, {"retrain.space": {"filters": 64}}, ["retrain.space.filters (unset, 64)"]),
        (
            {"retrain.space": {"filters": 64}},
            {"retrain.space": {"stem_stride": 1}},
            ["retrain.space.filters (64, unset)", "retrain.space.stem_stride (unset, 1)"],
        ),
        ({"retrain.space": {}}, {"retrain.space": {}}, []),
        ({"retrain.epochs": 2}, {"retrain.epochs": 2, "retrain.space": {}}, []),  # older than the group
        ({"retrain.space": None}, {"retrain.space": {}}, []),
        ({"retrain.epochs": 2}, {"retrain.epochs": 2, "retrain.clip": 5.0}, []),  # older than the key
        ({"retrain.spaces": 1}, {"retrain.epochs": 2}, []),
    ],
)
def test_an_absent_entry_of_an_open_group_is_a_value_and_an_absent_key_is_none(run, one, other, values):
    runs = [run("ppo", 0, one, score=None), run("random", 0, other, score=None)]
    assert other_values(runs, "retrain.") == values


@pytest.mark.parametrize("group", OPEN_GROUPS)
def test_an_open_group_without_entries_is_no_key_of_a_label(run, group):
    groups = group_runs([run("ppo", 0, {group: {}}, score=None), run("ppo", 0, {group: {"x": 1}}, score=None)])
    assert list(groups) == ["ppo x=1", "ppo x=unset"]

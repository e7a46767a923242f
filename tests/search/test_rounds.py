"""The loop, on real tiny children: what is trained when, budgets, tables, and where the time goes."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import rlnas
from rlnas.config.schema import DataConfig
from rlnas.data import load_data
from rlnas.runs.reader import load_run
from rlnas.runs.tables import read_rows
from rlnas.search.statistics import diversity, feature_mean
from rlnas.seeding import numpy_stream
from rlnas.spaces import NasrlSpace
from tests.command import TINY, digits_as_files, history


def run(tmp_path: Path, *overrides: str) -> tuple[Path, dict[str, Any]]:
    """A tiny run without retraining, unless the overrides say otherwise."""
    kept = [item for item in TINY if not item.startswith("progress")]
    names = {item.partition("=")[0] for item in overrides}
    kept = [item for item in kept if item.partition("=")[0] not in names]
    if "search=one_shot" in overrides:
        kept.remove("search.epochs_per_round=0.5")
    folder = rlnas.run([*kept, "progress=off", "retrain.epochs=0", f"hydra.run.dir={tmp_path}/run", *overrides])
    return folder, rlnas.load_result(folder)


def test_alternating_trains_the_shared_weights_in_every_round(tmp_path: Path) -> None:
    folder, _ = run(tmp_path, "budget.rounds=2")
    rows = read_rows(folder / "rounds.csv")
    assert [float(row["epoch"]) for row in rows] == [1.5, 2.0]
    assert all(float(row["child_loss"]) > 0 for row in rows)


def test_one_shot_trains_them_only_before(tmp_path: Path) -> None:
    folder, _ = run(tmp_path, "search=one_shot", "search.warmup_epochs=2", "budget.rounds=2")
    rows = read_rows(folder / "rounds.csv")
    assert [float(row["epoch"]) for row in rows] == [2.0, 2.0]
    assert all(row["child_loss"] == "" for row in rows)


def test_history_has_a_row_for_each_scored_architecture(tmp_path: Path) -> None:
    folder, result = run(tmp_path, "budget.rounds=2")
    rows = read_rows(folder / "history.csv")
    assert [int(row["index"]) for row in rows] == list(range(2 * 2 * 4))
    assert [int(row["round"]) for row in rows] == [1] * 8 + [2] * 8
    assert result["children_evaluated"] == 16
    assert result["children_unique"] == len({row["code"] for row in rows})
    space = rlnas.make_space("nasrl", **result["space"]["options"])
    for row in rows:
        assert space.rank(space.parse(row["architecture"])) == int(row["code"])


def test_the_objective_is_the_accuracy_or_its_cube(tmp_path: Path) -> None:
    folder, _ = run(tmp_path, "budget.rounds=1")
    assert all(row["reward"] == row["accuracy"] for row in read_rows(folder / "history.csv"))
    folder, _ = run(tmp_path / "cubed", "budget.rounds=1", "objective=accuracy_cubed")
    for row in read_rows(folder / "history.csv"):
        assert float(row["reward"]) == pytest.approx(float(row["accuracy"]) ** 3)


NAMED = {
    "log_likelihood_flops": lambda row: row["log_likelihood"] + 0.1 * math.log(row["flops"]),
    "log_likelihood": lambda row: row["log_likelihood"],
    "soft_accuracy": lambda row: row["soft_accuracy"],
}


@pytest.mark.variants(1)
@pytest.mark.parametrize("name", NAMED)
def test_an_objective_by_its_name_is_the_reward_and_decides(name: str, tmp_path: Path) -> None:
    folder, result = run(tmp_path, "budget.rounds=1", f"objective={name}", "report=true")
    value = NAMED[name]
    for text in read_rows(folder / "history.csv"):
        row = {key: float(text[key]) for key in ("reward", "accuracy", "soft_accuracy", "log_likelihood", "flops")}
        assert row["reward"] == pytest.approx(value(row))
        assert 0 < row["soft_accuracy"] < 1
        assert -4 <= row["log_likelihood"] < 0
    finalists = [candidate for candidate in result["candidates"] if candidate["alone_values"]]
    assert len(finalists) == 2
    for candidate in result["candidates"]:
        decided = candidate["alone_values"] or candidate["values"]
        assert candidate["objective"] == pytest.approx(value({**decided, "flops": candidate["flops"]}))
        assert candidate["accuracy"] == candidate["values"]["accuracy"]
    assert finalists == sorted(finalists, key=lambda candidate: -candidate["objective"])
    assert result["best"]["architecture"] == finalists[0]["architecture"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "The accuracy decides" not in page
    shown = "log_likelihood" if "likelihood" in name else name
    for head in ("objective", f"{shown} alone", shown):
        assert f"{head}</th>" in page
    assert f"{finalists[0]['objective']:.4f}" in page


def test_a_budget_that_ends_with_a_batch_is_named_too(tmp_path: Path) -> None:
    _, result = run(tmp_path, "budget.rounds=0", "budget.architectures=12")
    assert (result["children_evaluated"], result["stopped_by"]) == (12, "budget.architectures")


def test_the_skip_penalty_is_logged(tmp_path: Path) -> None:
    folder, _ = run(tmp_path, "budget.rounds=1", "+objective.terms.skip_divergence=-0.5", "space.layers=4")
    row = read_rows(folder / "rounds.csv")[0]
    penalty = float(row["skip_penalty_mean"])
    assert penalty > 0
    assert float(row["accuracy_mean"]) - float(row["reward_mean"]) == pytest.approx(penalty)


def test_the_objective_stands_in_the_result_and_decides(tmp_path: Path) -> None:
    terms = ["+objective.terms.params=-1e-4", "+objective.limits.flops=60000", "select.finalists=1"]
    folder, result = run(tmp_path, "budget.rounds=1", *terms)
    assert result["objective"] == {"terms": {"accuracy": 1.0, "params": -1e-4}, "limits": {"flops": 60000}}
    for row in read_rows(folder / "history.csv"):
        assert float(row["reward"]) == pytest.approx(float(row["accuracy"]) - 1e-4 * float(row["params"]))
    values = [candidate["objective"] for candidate in result["candidates"]]
    assert values == sorted(values, reverse=True)
    assert result["best"]["objective"] == values[0]
    assert all(candidate["flops"] <= 60000 for candidate in result["candidates"])


@pytest.mark.variants(1)
@pytest.mark.parametrize("controller", ["ppo", "evolution"])
def test_children_trained_from_scratch_are_searched(controller: str, tmp_path: Path) -> None:
    options = ["evaluator=standalone", "search=untrained", "evaluator.epochs=1", "search.architectures_per_round=4"]
    names = ("search.", "select.")
    kept = [item for item in TINY if not item.startswith(("progress", *names))]
    arguments = [*kept, *options, f"controller={controller}", "budget.rounds=2", "progress=off", "retrain.epochs=1"]
    folder = rlnas.run([*arguments, "report=false", f"hydra.run.dir={tmp_path}/run"])
    result, rows = rlnas.load_result(folder), read_rows(folder / "history.csv")
    assert len(rows) == result["children_evaluated"] == 8
    assert result["evaluator"] == "standalone"
    best = max(rows, key=lambda row: float(row["accuracy"]))
    assert result["best"]["architecture"] == best["architecture"]
    assert result["best"]["search_accuracy"] == float(best["accuracy"])
    assert 0 <= result["best"]["test_accuracy"] <= 1
    known = {row["architecture"]: row["accuracy"] for row in rows}
    assert all(row["accuracy"] == known[row["architecture"]] for row in rows)
    assert not (folder / "report.html").exists()
    random = next(one for one in result["verdict"]["comparisons"] if one["kind"] == "random")
    assert random["found"] == float(best["accuracy"])  # scored as every architecture was
    assert random["control"] == max(one["accuracy"] for one in result["controls"] if one["kind"] == "random")
    assert "last_seeds" not in result["verdict"]["text"]


def test_the_best_of_successive_halving_is_one_of_the_longest_trained(tmp_path: Path) -> None:
    options = ["evaluator=standalone", "search=untrained", "evaluator.epochs=4", "search.architectures_per_round=4"]
    options += ["controller=successive_halving", "controller.episodes=3", "controller.params.eta=2"]
    names = ("search.", "select.")
    kept = [item for item in TINY if not item.startswith(("progress", "controller", *names))]
    arguments = [*kept, *options, "budget.rounds=0", "budget.architectures=9", "progress=off", "retrain.epochs=1"]
    folder = rlnas.run([*arguments, "report=false", "select.controls=0", f"hydra.run.dir={tmp_path}/run"])
    result, rows = rlnas.load_result(folder), read_rows(folder / "history.csv")
    assert [float(row["epochs"]) for row in rows] == [1, 1, 1, 1, 2, 2, 4, 1, 1]  # the budget ends a second bracket
    assert result["best"]["architecture"] == rows[6]["architecture"]
    assert result["best"]["search_accuracy"] == float(rows[6]["accuracy"])
    different = {(row["architecture"], row["epochs"]): float(row["epochs"]) for row in rows}
    assert result["epochs_trained"] == sum(different.values())


def test_a_controller_that_diverges_names_round_and_option(tmp_path: Path) -> None:
    with pytest.raises(rlnas.RlnasError, match=r"round 1: the controller's policy is nan .*learning_rate"):
        run(tmp_path, "controller.params.learning_rate=1e30")


@pytest.mark.variants(1)
@pytest.mark.parametrize("controller", ["ppo", "random"])
def test_the_budget_of_architectures_is_kept_exactly(controller: str, tmp_path: Path) -> None:
    folder, result = run(tmp_path, f"controller={controller}", "budget.rounds=0", "budget.architectures=13")
    assert result["children_evaluated"] == 13
    assert result["stopped_by"] == "budget.architectures"
    assert int(read_rows(folder / "rounds.csv")[-1]["architectures"]) == 13


def test_whichever_budget_comes_first(tmp_path: Path) -> None:
    _, result = run(tmp_path, "budget.rounds=1", "budget.architectures=1000", "budget.minutes=100")
    assert result["stopped_by"] == "budget.rounds"
    assert result["children_evaluated"] == 8


def test_the_budget_of_minutes_ends_a_search_without_other_limits(tmp_path: Path) -> None:
    _, result = run(tmp_path, "budget.rounds=0", "budget.minutes=0.001")
    assert result["stopped_by"] == "budget.minutes"


def test_seconds_of_the_phases_add_up(tmp_path: Path) -> None:
    _, result = run(tmp_path, "budget.rounds=1")
    seconds = dict(result["seconds"])
    total = seconds.pop("total")
    assert total == pytest.approx(sum(seconds.values()), abs=0.01)
    assert seconds["child"] > 0
    assert seconds["evaluation"] > 0
    assert seconds["controller"] > 0


@pytest.mark.thorough
def test_the_control_is_uniform_and_no_part_of_the_history(tmp_path: Path) -> None:
    folder, result = run(tmp_path, "budget.rounds=1", "search.random_control=5")
    assert read_rows(folder / "rounds.csv")[0]["random_accuracy_mean"] != ""
    without, other = run(tmp_path / "without", "budget.rounds=1", "search.random_control=0")
    assert read_rows(without / "rounds.csv")[0]["random_accuracy_mean"] == ""
    assert result["children_evaluated"] == other["children_evaluated"]


def test_the_best_is_the_first_candidate_and_candidates_are_sorted(tmp_path: Path) -> None:
    options = ("budget.rounds=1", "select.from_policy=3", "select.from_history=3", "select.finalists=1")
    _, result = run(tmp_path, *options)
    accuracies = [candidate["accuracy"] for candidate in result["candidates"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert {candidate["alone_accuracy"] for candidate in result["candidates"]} == {None}
    assert {candidate["source"] for candidate in result["candidates"]} == {"policy", "history"}
    assert result["best"]["code"] == result["candidates"][0]["code"]
    assert result["best"]["search_accuracy"] == accuracies[0]
    assert result["best"]["test_accuracy"] is None


def test_the_best_is_the_best_finalist(tmp_path: Path) -> None:
    options = ("select.from_policy=3", "select.from_history=3", "select.finalists=3", "select.finalist_epochs=0.5")
    _, result = run(tmp_path, "budget.rounds=2", *options)
    alone = [candidate["alone_accuracy"] for candidate in result["candidates"]]
    assert alone[:3] == sorted(alone[:3], reverse=True)
    assert set(alone[3:]) <= {None}
    assert len({candidate["round"] for candidate in result["candidates"][:3]}) == 3  # the policy and two rounds
    assert result["best"]["code"] == result["candidates"][0]["code"]
    assert result["best"]["search_accuracy"] == result["candidates"][0]["accuracy"]


def test_the_last_round_ends_the_cosine(tmp_path: Path) -> None:
    """300 images give 3 steps an epoch here; the last of 1 + 3 x 0.5 epochs is taken at the lowest rate."""
    folder, _ = run(tmp_path, "budget.rounds=3", "child.restart_epochs=2.5", "child.learning_rate=0.1")
    rates = [float(row["learning_rate"]) for row in read_rows(folder / "rounds.csv")]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.02


@pytest.mark.variants(2)
@pytest.mark.parametrize("controller", ["a2c", "maskable_ppo", "recurrent_ppo", "reinforce", "reinforce_enas"])
def test_every_controller_searches(controller: str, tmp_path: Path) -> None:
    _, result = run(tmp_path, f"controller={controller}", "budget.rounds=1", "controller.episodes=4")
    assert result["children_evaluated"] == 8
    assert result["controller"] == controller


@pytest.mark.variants(1)
@pytest.mark.parametrize("algorithm", ["sb3_contrib.TRPO", "stable_baselines3.DQN"])
def test_any_class_by_name_searches(algorithm: str, tmp_path: Path) -> None:
    _, result = run(tmp_path, "controller=sb3", f"controller.algorithm={algorithm}", "budget.rounds=1")
    assert result["children_evaluated"] == 8


@pytest.mark.thorough
def test_the_factored_space_searches(tmp_path: Path) -> None:
    layers = [item for item in TINY if item.startswith("space.")]
    assert layers  # overrides of the other space, to be replaced
    overrides = [
        "data.limit=200",
        "space=nasrl_factored",
        "space.layers=2",
        "space.filters=[4,6]",
        "space.heights=[1,3]",
    ]
    overrides += [
        "search.warmup_epochs=0",
        "search.architectures_per_round=3",
        "budget.rounds=1",
        "controller.episodes=3",
    ]
    overrides += ["select.from_policy=1", "select.from_history=1", "retrain.epochs=1", "progress=off"]
    folder = rlnas.run([*overrides, f"hydra.run.dir={tmp_path}/run"])
    assert 0 <= rlnas.load_result(folder)["best"]["test_accuracy"] <= 1
    assert rlnas.load_child(folder).classes == tuple("0123456789")


def test_a_given_architecture_is_only_retrained(tmp_path: Path) -> None:
    text = "conv3x3 max_pool3x3 sep_conv3x3+1"
    folder, result = run(tmp_path, f"architecture='{text}'", "retrain.epochs=1")
    assert result["best"]["architecture"] == text
    assert result["children_evaluated"] == 0
    assert result["best"]["search_accuracy"] is None
    again, other = run(tmp_path / "again", f"architecture={folder}/best/architecture.json", "retrain.epochs=1")
    assert other["best"] == result["best"]
    assert json.loads((again / "best" / "architecture.json").read_text())["architecture"] == text


def test_the_final_network_can_be_wider(tmp_path: Path) -> None:
    _, narrow = run(tmp_path, "architecture='conv3x3 conv3x3 conv3x3+1'")
    _, wide = run(tmp_path / "wide", "architecture='conv3x3 conv3x3 conv3x3+1'", "+retrain.space.filters=8")
    assert wide["best"]["params"] > 2 * narrow["best"]["params"]
    assert wide["best"]["code"] == narrow["best"]["code"]


def test_diversity_is_1_for_uniform_and_0_for_equal_architectures() -> None:
    space = NasrlSpace(3, ("conv1x1", "conv3x3"))
    everything = [space.unrank(code) for code in range(space.size)]
    assert diversity(space, everything) == pytest.approx(1)
    assert diversity(space, everything[:1] * 5) == 0
    assert diversity(space, [(0, 0, 0, 0), (1, 0, 0, 0)]) == pytest.approx(1 / 4)


def test_skip_rate_by_hand() -> None:
    space = NasrlSpace(4, ("conv1x1",))  # three possible skips
    drawn = [space.parse("conv1x1 conv1x1 conv1x1+1 conv1x1+1")]
    assert feature_mean(space, drawn, "skip_rate") == pytest.approx(2 / 3)
    assert feature_mean(space, [*drawn, (0,) * 7], "skip_rate") == pytest.approx(1 / 3)
    assert feature_mean(NasrlSpace(2, ("conv1x1",)), [(0, 0)], "skip_rate") is None


@pytest.mark.thorough
def test_a_folder_of_the_digits_is_searched_as_the_digits_are(tmp_path: Path) -> None:
    """The same splits as files, which lie class by class: the same history and the same network."""
    options = ["data.limit=300", "data.valid=0.3", "evaluator.images=0", "evaluator.batch_size=20"]
    digits, found = run(tmp_path / "embedded", *options)
    data = load_data(DataConfig(limit=300, valid=0.3), numpy_stream(0, "split"), torch.device("cpu"))
    root = digits_as_files(tmp_path / "files", data)
    files = ["data=folder", f"data.path={root}", "data.size=8", "data.crop=1", "data.flip=false"]
    folder, same = run(tmp_path / "folder", *options[2:], *files, "data.limit=0")
    assert history(folder) == history(digits)
    assert same["best"] == found["best"]


def test_a_limit_that_the_longest_trained_exceeds_leaves_the_longest_of_the_others(tmp_path: Path) -> None:
    """Successive halving whose winners are above a limit still has a result, and the report names the same."""
    options = ["evaluator=standalone", "search=untrained", "evaluator.epochs=2", "search.architectures_per_round=4"]
    options += ["controller=successive_halving", "controller.params.eta=2", "controller.params.rungs=2"]
    options += ["controller.episodes=4"]
    kept = [item for item in TINY if not item.startswith(("progress", "controller", "search.", "select."))]
    arguments = [*kept, *options, "budget.rounds=0", "budget.architectures=12", "progress=off", "retrain.epochs=0"]
    folder = rlnas.run([*arguments, "report=false", "select.controls=0", f"hydra.run.dir={tmp_path}/run"])
    rows = read_rows(folder / "history.csv")
    most = min(float(row["flops"]) for row in rows if float(row["epochs"]) == 2) - 1
    below = [row for row in rows if float(row["flops"]) <= most]
    if not below:  # the cheapest of all was among the longest trained
        most = min(float(row["flops"]) for row in rows)
        below = [row for row in rows if float(row["flops"]) <= most]
    limited = [*arguments, f"+objective.limits.flops={int(most)}", "report=false", "select.controls=0"]
    folder = rlnas.run([*limited, f"hydra.run.dir={tmp_path}/limited"])
    longest = max(float(row["epochs"]) for row in below)
    expected = max((row for row in below if float(row["epochs"]) == longest), key=lambda row: float(row["accuracy"]))
    result = rlnas.load_result(folder)
    assert result["best"]["architecture"] == expected["architecture"]
    run = load_run(folder)
    assert run.history["architecture"].iloc[int(run.incumbents[-1])] == expected["architecture"]

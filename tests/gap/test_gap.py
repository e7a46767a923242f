"""`python -m rlnas.gap` on a tiny run: what was saved, stops and damage, a table as truth, errors in one line."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlnas.errors import RlnasError
from rlnas.gap.__main__ import main
from rlnas.gap.draw import draw_policy, draw_uniform, in_turn
from rlnas.gap.measure import Options, measure
from rlnas.gap.restore import restore_searched
from rlnas.gap.show import show
from rlnas.gap.trainings import Budget, Trainings
from rlnas.report.run.gap import gap_section
from rlnas.runs.checkpoint import read_state
from rlnas.runs.leftovers import SHARED_WEIGHTS
from rlnas.search.searched import SAMPLES, save_searched
from rlnas.spaces import NasrlSpace
from rlnas.tabular import Benchmark
from tests.command import history

Copied = Callable[..., Path]
SMALL = ("--uniform", "4", "--policy", "4", "--epochs", "1")
FILE = "trainings_child_1.csv"
SPACE = NasrlSpace(3, ("conv1x1", "conv3x3"), filters=4)


def silent(line: str) -> None:
    pass


def gap(folder: Path) -> dict[str, Any]:
    """gap.json without what a clock wrote."""
    found = json.loads((folder / "gap" / "gap.json").read_text())
    del found["seconds"]
    return found


def architectures(folder: Path) -> list[dict[str, str]]:
    with open(folder / "gap" / "architectures.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# -- what a search leaves ------------------------------------------------------------------------------------


def test_restored_weights_score_as_the_search_did(searched_run: Path) -> None:
    run = restore_searched(searched_run)
    rows = [row for row in history(searched_run) if row["round"] == "3"]
    run.evaluator._cache.clear()  # computed anew, not read back
    scores = run.evaluator.evaluate([run.space.parse(row["architecture"]) for row in rows])
    assert [score.accuracy for score in scores] == [float(row["accuracy"]) for row in rows]


def test_the_file_holds_samples_of_the_policy(searched_run: Path) -> None:
    saved = read_state(searched_run / SHARED_WEIGHTS)
    assert len(saved["policy"]) == SAMPLES
    assert set(saved) == {"evaluator", "policy", "data", "table"}


class Drawing:
    """A controller that draws from all global generators."""

    def sample(self, count: int) -> list[tuple[int, ...]]:
        torch.rand(3)
        return [SPACE.unrank(int(np.random.randint(SPACE.size))) for _ in range(count)]  # noqa: NPY002


class Stateless:
    def state(self) -> dict[str, Any]:
        return {}


def test_saving_leaves_the_global_generators_as_they_were(tmp_path: Path) -> None:
    texts = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        expected = (torch.rand(2).tolist(), np.random.rand(2).tolist())  # noqa: NPY002
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        size = save_searched(tmp_path, Stateless(), Drawing(), SPACE, 7, {})  # type: ignore[arg-type]
        assert (torch.rand(2).tolist(), np.random.rand(2).tolist()) == expected  # noqa: NPY002
        assert size == (tmp_path / SHARED_WEIGHTS).stat().st_size
        texts.append(read_state(tmp_path / SHARED_WEIGHTS)["policy"])
    assert texts[0] == texts[1]  # of a stream of their own


# -- the command ---------------------------------------------------------------------------------------------


def test_a_stopped_measurement_continues_with_the_same_result(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, stopped = copied("whole"), copied("stopped")
    options = Options(4, 4, budget=Budget(epochs=1))
    measure(restore_searched(whole), options, silent)
    tell = Trainings._tell

    def interrupt(self: Trainings, done: int, *others: Any) -> None:
        tell(self, done, *others)
        if done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainings, "_tell", interrupt)
        assert main([str(stopped), *SMALL]) == 130
    assert not (stopped / "gap" / "gap.json").exists()
    file = stopped / "gap" / FILE
    assert len(file.read_text().splitlines()) == 1 + 3
    with open(file, "a") as text:
        text.write("conv3x3 conv3x3 conv3x3,0.9")  # as a kill leaves it
    capsys.readouterr()
    assert main([str(stopped), *SMALL]) == 0
    out = capsys.readouterr().out
    assert "training 3/" not in out
    assert "training 4/" in out
    assert str(stopped / "report.html") in out
    assert gap(stopped) == gap(whole)
    assert (stopped / "gap" / "architectures.csv").read_bytes() == (whole / "gap" / "architectures.csv").read_bytes()

    # what is known is not trained again for more architectures
    said: list[str] = []
    measure(restore_searched(whole), replace(options, uniform=5), said.append)
    assert not any(line.startswith("training 3/") for line in said)


def test_what_is_written(copied: Copied) -> None:
    folder = copied()
    result = measure(restore_searched(folder), Options(4, 4, budget=Budget(epochs=1)), silent)
    rows = architectures(folder)
    assert len(rows) == result["truth"]["known"] == len(result["architectures"])
    assert sum(int(row["uniform"]) for row in rows) == sum(int(row["policy"]) for row in rows) == 4
    assert {"search_objective", "search_accuracy", "full_objective", "full_accuracy", "flops", "ridge"} <= set(rows[0])
    assert all(0 <= float(row["truth"]) <= 1 for row in rows)
    uniform = result["groups"]["uniform"]["agreement"]
    assert uniform["search_objective"]["tau"]["n"] == 4
    assert set(uniform["search_objective"]["regret"]) == {"1", "3", "5", "10"}
    # 30 validation images are fewer than the reward's: all the same
    assert {one["key"]: one["same_as"] for one in result["predictors"]}["full_accuracy"] == "search_objective"
    assert result["truth"]["options"]["learning_rate"] == 0.05
    assert "regret_to_optimum" not in uniform["flops"]


def test_a_table_is_the_truth_where_the_space_has_one(copied: Copied) -> None:
    run = restore_searched(copied())
    score = np.arange(run.space.size, dtype=float)  # an architecture's code
    run.space.benchmark = Benchmark("codes", "0" * 64, (), (), score[:, None], score)
    result = measure(run, Options(6, 0), silent)
    assert not (run.folder / "gap" / FILE).exists()
    for record in result["architectures"]:
        assert record["truth"] == run.space.code(run.space.parse(record["architecture"]))
    found = result["groups"]["uniform"]["agreement"]["flops"]
    gap_to_best = run.space.size - 1 - result["groups"]["uniform"]["truth"]["best"]
    assert found["regret_to_optimum"]["5"] == found["regret"]["5"] + gap_to_best
    assert result["truth"]["optimum"] == run.space.size - 1


def test_too_few_have_no_tau_and_a_reason(copied: Copied, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied()
    show(measure(restore_searched(folder), Options(2, 0, budget=Budget(epochs=1)), silent))
    assert "none: only 2 architectures" in " ".join(capsys.readouterr().out.split())
    assert gap(folder)["groups"]["policy"]["truth"]["n"] == 0
    section, plots = gap_section(folder)
    assert section is not None
    assert "none: only 2 architectures" in section["tables"][0]["rows"][0]
    assert len(plots) == 2


@pytest.mark.thorough
def test_a_damaged_row_is_trained_again_and_the_file_kept(copied: Copied) -> None:
    folder = copied()
    run, options = restore_searched(folder), Options(3, 0, budget=Budget(epochs=1))
    measure(run, options, silent)
    before = gap(folder)
    file = folder / "gap" / FILE
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], "conv9x9 nothing,0.5,1,", lines[2], "x", lines[3]]) + "\n")
    damaged = file.read_bytes()
    said: list[str] = []
    measure(restore_searched(folder), options, said.append)
    assert any("2 of 5 rows" in line for line in said)
    assert (folder / "gap" / "trainings_child_1.damaged.csv").read_bytes() == damaged
    assert file.read_text().splitlines() == lines
    assert gap(folder) == before


def test_minutes_end_the_trainings_in_a_fixed_order(copied: Copied) -> None:
    folder, said = copied(), []
    truth = measure(restore_searched(folder), Options(4, 4, budget=Budget("child", 1, 1e-9)), said.append)["truth"]
    assert truth["known"] == 1
    assert truth["asked"] > 1
    assert any(f"after 1 of {truth['asked']}" in line for line in said)
    assert [row["truth"] == "" for row in architectures(folder)] == [False] + [True] * (truth["asked"] - 1)


def test_the_other_recipe_has_a_file_of_its_own(copied: Copied) -> None:
    folder = copied()
    result = measure(restore_searched(folder), Options(2, 0, budget=Budget("retrain", 1)), silent)
    assert (folder / "gap" / "trainings_retrain_1.csv").exists()
    assert "warmup" in result["truth"]["options"]  # of retrain alone


def test_a_run_whose_retraining_has_not_ended(copied: Copied, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied()
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "best")
    assert main([str(folder), "--uniform", "3", "--policy", "0", "--epochs", "1"]) == 0
    assert "has not ended" in capsys.readouterr().out
    assert gap(folder)["run"]["finished"] is False


# -- errors --------------------------------------------------------------------------------------------------


def configured(folder: Path, **changes: Any) -> Path:
    """Set keys of the configuration in environment.json; remove what the search left."""
    path = folder / "environment.json"
    record = json.loads(path.read_text())
    record["config"] |= changes
    path.write_text(json.dumps(record))
    (folder / SHARED_WEIGHTS).unlink()
    return folder


def unfinished(folder: Path) -> Path:
    (folder / "result.json").unlink()
    return configured(folder)


def damaged(folder: Path) -> Path:
    path = folder / SHARED_WEIGHTS
    path.write_bytes(path.read_bytes()[:-9])
    return folder


def without_environment(folder: Path) -> Path:
    (folder / "environment.json").unlink()
    return folder


def other_images(folder: Path) -> Path:
    path = folder / "environment.json"
    record = json.loads(path.read_text())
    record["config"]["data"]["limit"] = 299
    path.write_text(json.dumps(record))
    return folder


def blocked(folder: Path) -> Path:
    (folder / "gap").write_text("a file")
    return folder


@pytest.mark.variants(5)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: folder / "absent", ("no folder",)),
        (lambda folder: folder / "checkpoint", ("no run folder", "environment.json")),
        (without_environment, ("no run folder", "environment.json")),
        (lambda folder: configured(folder, evaluator={"name": "tabular"}), ("evaluator=tabular", "shared_weights")),
        (lambda folder: configured(folder, evaluator={"name": "standalone"}), ("evaluator=standalone",)),
        (lambda folder: configured(folder, architecture="conv3x3 conv3x3 conv3x3"), ("architecture=",)),
        (unfinished, ("resume=",)),
        (configured, (SHARED_WEIGHTS, "python -m rlnas +experiment=nasrl_digits", "budget.rounds=3")),
        (damaged, (SHARED_WEIGHTS, "damaged")),
        (other_images, ("digits", "differs in")),
        (blocked, ("gap", "copy the run folder")),
    ],
)
def test_errors_are_one_line(
    copied: Copied, capsys: pytest.CaptureFixture[str], change: Callable[[Path], Path], words: tuple[str, ...]
) -> None:
    assert main([str(change(copied()))]) == 1
    error = capsys.readouterr().err
    assert error.startswith("rlnas: error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error


@pytest.mark.variants(3)
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--uniform", "0", "--policy", "0"], "--policy"),
        (["--uniform", "-1"], "--uniform"),
        (["--epochs", "0"], "--epochs"),
        (["--epochs", "nan"], "--epochs"),
        (["--epochs", "0.5", "--recipe", "retrain"], "--recipe"),
        (["--recipe", "other"], "child, retrain"),
        (["--minutes", "0"], "--minutes"),
        (["--space-path", "table.csv"], "--space-path table.csv: space=nasrl is read from no file"),
    ],
)
def test_options_out_of_range(
    searched_run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    assert main([str(searched_run), *arguments]) == 1
    assert word in capsys.readouterr().err
    assert not (searched_run / "gap").exists()


# -- drawing -------------------------------------------------------------------------------------------------


def test_uniform_draws_are_different_allowed_and_a_beginning_of_more() -> None:
    few, more = (draw_uniform(SPACE, count, lambda a: a[0] == 1, seed=3) for count in (4, 8))
    assert more[:4] == few
    assert len(set(more)) == 8  # all that are allowed
    assert all(architecture[0] == 1 for architecture in more)
    assert draw_uniform(SPACE, 4, lambda _: True, seed=4) != draw_uniform(SPACE, 4, lambda _: True, seed=5)


def test_a_small_space_is_exhausted() -> None:
    tiny = NasrlSpace(1, ("conv1x1", "conv3x3"), filters=4)
    assert len(draw_uniform(tiny, 5, lambda _: True, seed=0)) == 2


def test_samples_of_the_policy_are_taken_once_in_order() -> None:
    texts = ["conv3x3 conv1x1 conv1x1", "conv3x3 conv1x1 conv1x1", "conv1x1 conv1x1 conv1x1", "conv3x3 conv3x3 conv3x3"]
    found = draw_policy(SPACE, texts, 2, lambda architecture: architecture != SPACE.parse(texts[2]))
    assert [SPACE.text(architecture) for architecture in found] == [texts[0], texts[3]]


def test_groups_take_turns() -> None:
    assert in_turn(["a", "b", "c"], ["x", "a"]) == ["a", "x", "b", "c"]


def test_limits_bound_what_is_drawn(copied: Copied) -> None:
    run = restore_searched(copied())
    run.objective.limits = {"flops": 20_000}
    tight = measure(run, Options(5, 5, budget=Budget(epochs=0.1)), silent)
    assert all(record["flops"] <= 20_000 for record in tight["architectures"])
    assert tight["draw"]["within_limits"]
    run.objective.limits = {"flops": 1}
    with pytest.raises(RlnasError, match="--no-limits"):
        measure(run, Options(1, 1), silent)
    loose = measure(run, replace(Options(2, 0, budget=Budget(epochs=0.1)), limits=False), silent)
    assert len(loose["architectures"]) == 2

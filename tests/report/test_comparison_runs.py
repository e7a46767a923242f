"""Which run folders are found, what is read from them, and why some are left out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rlnas.errors import RlnasError
from rlnas.runs.discover import find_runs, load_runs
from rlnas.runs.reader import incumbents, read_run
from tests.report.comparison_folders import OPTIMUM, write_run


def test_the_incumbent_is_the_best_observed_and_the_first_of_equals():
    assert incumbents(np.array([1.0, 3, 3, 2, 4])).tolist() == [0, 1, 1, 1, 4]
    assert incumbents(np.array([-5.0])).tolist() == [0]


def test_a_tabular_run_scores_the_incumbent_by_its_true_score(tmp_path: Path):
    folder = write_run(tmp_path, [91, 93.5, 92], score=[91.2, 91.1, 93], seconds=[10, 20, 30], codes=[5, 5, 7], seed=4)
    run = read_run(folder)
    assert (run.controller, run.seed, len(run)) == ("ppo", 4, 3)
    assert run.score.tolist() == [91.2, 91.1, 91.1]  # the lucky observation stays, its true score counts
    assert run.seconds.tolist() == [10, 30, 60]
    assert run.different.tolist() == [1, 1, 2]
    assert run.optimum == OPTIMUM
    assert run.noise == pytest.approx(np.std([-0.2, 2.4, -1]))


def test_an_older_run_without_the_column_is_scored_by_what_was_observed(tmp_path: Path):
    folder = write_run(tmp_path, [0.2, 0.5, 0.4])
    assert "score" not in (folder / "history.csv").read_text().splitlines()[0]
    run = read_run(folder)
    assert run.score.tolist() == [0.2, 0.5, 0.5]
    assert run.table is run.optimum is None
    assert np.isnan(run.noise)


def test_an_empty_score_is_no_score_of_shared_weights(tmp_path: Path):
    write_run(tmp_path, [0.2, 0.5])
    lines = (tmp_path / "history.csv").read_text().splitlines()
    text = "\n".join([lines[0] + ",score", *(line + "," for line in lines[1:])]) + "\n"
    (tmp_path / "history.csv").write_text(text)
    assert read_run(tmp_path).score.tolist() == [0.2, 0.5]


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def cut(name: str, count: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-count]) and None


def unlink(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def failed(folder: Path) -> None:
    (folder / "result.json").unlink()
    (folder / "rlnas.log").write_text("2026 INFO run folder: x\n2026 INFO failed: the loss is nan\n")


HEAD = "architecture,round,reward,accuracy,seconds,score\n"
DAMAGE = {
    "never began": (
        unlink("environment.json", "result.json", "history.csv"),
        "failed before it began: no environment.json",
    ),
    "no configuration": (unlink("environment.json"), "configuration is not known: no config in environment.json"),
    "not finished": (unlink("result.json"), "not finished: no result.json, 3 architectures scored; resume it with"),
    "nothing yet": (unlink("result.json", "history.csv"), "not finished: no result.json, 0 architectures"),
    "failed": (failed, "3 architectures scored, failed: the loss is nan"),
    "environment cut": (cut("environment.json", 9), "environment.json is damaged"),
    "result cut": (cut("result.json", 9), "result.json is damaged"),
    "result is a list": (lambda folder: (folder / "result.json").write_text("[]") and None, "holds a JSON list"),
    "no seed": (edit("result.json", '"seed"', '"sead"'), "no controller or no seed"),
    "no history": (unlink("history.csv"), "history.csv is missing"),
    "too few rows": (cut("history.csv", 32), "history.csv is damaged: 2 rows, result.json has children_evaluated=3"),
    "no column": (edit("history.csv", ",score", ",skore"), "lacks the column score"),
    "no number": (edit("history.csv", "92.5", "x"), "line 3: reward is 'x'"),
    "not a number": (edit("history.csv", "91.75", "nan"), "line 3: score is 'nan'"),
    "only a head": (
        lambda folder: (folder / "history.csv").write_text(HEAD) and None,
        "0 rows",
    ),
    "an empty file": (
        lambda folder: (folder / "history.csv").write_text("") and None,
        "damaged: 0 rows",
    ),
    "given": (edit("result.json", '"children_evaluated": 3', '"children_evaluated": 0'), "architecture was given"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_run_that_cannot_count_says_why(case: str, tmp_path: Path):
    damage, reason = DAMAGE[case]
    write_run(tmp_path / "a", [91, 92.5, 92], score=[91.5, 91.75, 92])
    write_run(tmp_path / "b", [91, 92.5, 92], score=[91.5, 91.75, 92])
    damage(tmp_path / "b")
    (tmp_path / "b" / ".hydra").mkdir()
    runs, left_out = load_runs([tmp_path])
    assert [run.folder.name for run in runs] == ["a"]
    assert [item.folder.name for item in left_out] == ["b"]
    assert reason in left_out[0].reason
    assert "\n" not in left_out[0].reason


def test_the_controller_of_an_unfinished_run_is_known(tmp_path: Path):
    write_run(tmp_path, [1.0], controller="dqn", finished=False)
    assert load_runs([tmp_path])[1][0].controller == "dqn"


def test_runs_are_found_below_once_and_in_the_order_of_the_jobs(tmp_path: Path):
    for name in ("sweep/10_ppo_s0", "sweep/9_ppo_s1", "other/run"):
        write_run(tmp_path / name, [1.0])
    write_run(tmp_path / "sweep/9_ppo_s1/best/inner", [1.0])  # inside a run folder, so no run of its own
    (tmp_path / "sweep/photos").mkdir()
    names = [path.name for path in find_runs([tmp_path / "sweep", tmp_path, tmp_path / "sweep/9_ppo_s1"])]
    assert names == ["9_ppo_s1", "10_ppo_s0", "run"]


def test_no_runs_and_no_folder_are_refused(tmp_path: Path):
    with pytest.raises(RlnasError, match=r"no runs found in .*environment\.json"):
        find_runs([tmp_path])
    with pytest.raises(RlnasError, match="is no folder"):
        find_runs([tmp_path / "nowhere"])


def test_numbers_are_read_as_they_were_written(tmp_path: Path):
    values = [0.1 + 0.2, 1 / 3, 93.12666320800781]
    assert read_run(write_run(tmp_path, values)).score.tolist() == values
    assert json.loads((tmp_path / "result.json").read_text())["children_evaluated"] == 3

"""Searching a table on the real command line: budgets by hand, the run folder, resuming, errors in one line."""

import itertools
import json
import signal
from pathlib import Path

import pandas as pd
import pytest

import rlnas
from rlnas.cli import _compose
from rlnas.config.build import build_config
from rlnas.controllers import ALGORITHMS, STRATEGIES
from rlnas.errors import RlnasError
from rlnas.runs.tables import read_rows
from tests.command import history
from tests.command import rlnas as command
from tests.runs.test_resume import run_until

# all that search a table: those of shared weights and of short trainings do not; the first four are the default run
ALL = [*ALGORITHMS, *(name for name in STRATEGIES if name != "successive_halving")]
CONTROLLERS = list(dict.fromkeys(["ppo", "evolution", "lanas", "optuna", *ALL]))


@pytest.fixture
def table(tmp_path: Path) -> list[str]:
    """Arguments for 27 architectures; a row takes as many seconds as its number, from 1."""
    rows = [
        {"a": a, "b": b, "c": c, "x": 9 * a + 3 * b + c, "y": 9 * a + 3 * b + c + 1, "sec": 9 * a + 3 * b + c + 1}
        for a, b, c in itertools.product(range(3), repeat=3)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "bench.csv", index=False)
    columns = ["space.decisions=[a,b,c]", "space.reward=[x,y]", "space.seconds=sec"]
    return ["+experiment=table", f"space.path={tmp_path}/bench.csv", *columns, "progress=off"]


def run(tmp_path: Path, arguments: list[str], *more: str) -> tuple[Path, dict]:
    folder = rlnas.run([*arguments, f"hydra.run.dir={tmp_path}/run", *more])
    return folder, rlnas.load_result(folder)


@pytest.mark.variants(4)
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_every_controller_searches_a_table(controller: str, table: list[str], tmp_path: Path) -> None:
    folder, found = run(tmp_path, table, f"controller={controller}", "budget.architectures=40")
    rows = read_rows(folder / "history.csv")
    assert len(rows) == found["children_evaluated"] == 40
    assert found["stopped_by"] == "budget.architectures"
    for row in rows:
        a, b, c = (int(value) for value in row["architecture"].split(","))
        number = 9 * a + 3 * b + c
        assert int(row["code"]) == number
        assert float(row["accuracy"]) - number in (0, 1)
        assert (float(row["score"]), float(row["seconds"])) == (number + 0.5, number + 1)
        assert row["reward"] == row["accuracy"]
    best = max(rows, key=lambda row: float(row["accuracy"]))
    assert found["best"]["architecture"] == best["architecture"]
    assert found["best"]["regret"] == 26.5 - float(best["score"])
    assert (found["table"]["optimum"], found["table"]["optimal_architecture"]) == (26.5, "2,2,2")


def test_the_budget_of_simulated_seconds_is_kept_exactly(table: list[str], tmp_path: Path) -> None:
    folder, found = run(tmp_path, table, "controller=random", "budget.architectures=0", "budget.table_seconds=100")
    spent = [float(row["seconds"]) for row in read_rows(folder / "history.csv")]
    _, unlimited = run(tmp_path / "whole", table, "controller=random", "budget.architectures=40")
    assert found["stopped_by"] == "budget.table_seconds"
    whole = [float(row["seconds"]) for row in read_rows(tmp_path / "whole" / "run" / "history.csv")]
    count = max(n for n in range(1, 41) if sum(whole[:n]) <= 100)
    assert spent == whole[:count]
    assert sum(whole[: count + 1]) > 100
    assert unlimited["stopped_by"] == "budget.architectures"


def test_a_budget_below_the_first_architecture_is_said(table: list[str], tmp_path: Path) -> None:
    with pytest.raises(rlnas.RlnasError, match="before an architecture was scored; give a larger"):
        run(tmp_path, table, "budget.architectures=0", "budget.table_seconds=0.5")


@pytest.mark.thorough
def test_two_runs_of_a_seed_are_equal_and_another_seed_is_not(table: list[str], tmp_path: Path) -> None:
    folders = [run(tmp_path / name, table, f"seed={seed}")[0] for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    first, again, other = ((folder / "history.csv").read_bytes() for folder in folders)
    assert first == again != other


def stop_after(rounds: int):
    def check(loop) -> bool:
        if loop.round == rounds:
            raise KeyboardInterrupt
        return False

    return check


@pytest.mark.variants(2)
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_every_controller_stopped_and_resumed_has_the_history_of_one_that_was_not(
    controller: str, table: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlnas.evaluators.TabularEvaluator.checkpoint_seconds", 0.0)
    sizes = ["search.architectures_per_round=12", "budget.architectures=36", "controller.episodes=4", "report=false"]
    arguments = [*table, f"controller={controller}", *sizes]
    whole, found = run(tmp_path / "whole", arguments)
    with monkeypatch.context() as patch:
        patch.setattr("rlnas.search.rounds.Rounds._out_of_time", stop_after(2))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, arguments)
    resumed = rlnas.run([f"resume={tmp_path}/run"])
    assert history(resumed) == history(whole)
    again = rlnas.load_result(resumed)
    assert (again["best"], again["resumed"]) == (found["best"], 1)


@pytest.mark.slow
def test_stopped_before_the_first_checkpoint(table: list[str], tmp_path: Path) -> None:
    arguments = [*table, "hydra.run.dir=run"]
    run_until(tmp_path / "run", "environment.json", tmp_path, signal.SIGKILL, *arguments)
    done = command("resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(history(tmp_path / "run")) == 300


def test_another_table_is_refused_on_resume(table: list[str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("rlnas.evaluators.TabularEvaluator.checkpoint_seconds", 0.0)
    monkeypatch.setattr("rlnas.search.rounds.Rounds._out_of_time", stop_after(2))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, table)
    monkeypatch.undo()
    path = tmp_path / "bench.csv"
    path.write_text(path.read_text().replace("2,2,2,26", "2,2,2,25"))
    with pytest.raises(rlnas.RlnasError, match=r"with another table: SHA-256 .* space.path=FILE"):
        rlnas.run([f"resume={tmp_path}/run"])


WRONG = {
    "no path": (["space.path=null"], r"space=table needs space.path"),
    "absent": (["space.path=absent.csv"], "there is no such file"),
    "column": (["space.reward=z"], "has no column z; it has a, b, c, x, y, sec"),
    "value": (
        ["objective=log_likelihood"],
        "needs 'log_likelihood', .*; known are accuracy; set an objective of these",
    ),
    "missing rows": (["space.decisions=[a,b]"], "repeats the combination"),
    "images": (["evaluator=shared_weights"], "set evaluator=tabular search=tabular"),
    "training": (["search=alternating"], "set search=tabular"),
}


@pytest.mark.variants(4)
@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_errors_are_one_line(arguments: list[str], message: str, table: list[str], tmp_path: Path) -> None:
    with pytest.raises(rlnas.RlnasError, match=message) as error:
        run(tmp_path, table, *arguments)
    assert "\n" not in str(error.value)


def test_the_command_line_shows_that_line(table: list[str], tmp_path: Path) -> None:
    done = command(*table, "space.reward=z", cwd=tmp_path)
    assert done.returncode == 1
    assert "has no column z; it has a, b, c, x, y, sec" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_nas_bench_macro_by_its_experiment(nas_bench_macro: Path, tmp_path: Path) -> None:
    folder = rlnas.run(
        [
            "+experiment=nas_bench_macro",
            f"space.path={nas_bench_macro}",
            f"hydra.run.dir={tmp_path}/run",
            "progress=off",
        ]
    )
    found = json.loads((folder / "result.json").read_text())
    assert found["table"]["optimum"] == pytest.approx(93.1267, abs=1e-4)
    assert found["networks_unique"] <= found["children_unique"] <= found["children_evaluated"] == 300
    assert found["best"]["regret"] < 0.5
    assert found["best"]["params"] > 1e6


@pytest.mark.variants(1)
@pytest.mark.parametrize("controller", ["ppo", "evolution", "genetic", "dqn", "random", "reinforce"])
def test_a_round_is_as_many_architectures_for_every_controller(
    controller: str, table: list[str], tmp_path: Path
) -> None:
    """100 updates of a controller that scores one at a time were a tenth of those of one that scores ten."""
    options = [*table, f"controller={controller}", "budget.rounds=3", "budget.architectures=0"]
    folder, found = run(tmp_path, [*options, "search.architectures_per_round=35"])
    rows = read_rows(folder / "rounds.csv")
    assert found["children_evaluated"] == 105
    assert found["stopped_by"] == "budget.rounds"
    assert [int(row["round"]) for row in rows] == [1, 2, 3]
    ends = [int(row["architectures"]) for row in rows]
    batch = int(build_config(_compose([*options])).controller.episodes)
    assert all(35 * (i + 1) <= end < 35 * (i + 1) + batch for i, end in enumerate(ends[:-1]))
    assert ends[-1] == 105


def test_a_round_smaller_than_a_batch_is_refused(table: list[str], tmp_path: Path) -> None:
    with pytest.raises(
        RlnasError, match=r"search.architectures_per_round is 7, .*10 architectures.*controller.episodes"
    ):
        run(tmp_path, [*table, "controller=random", "search.architectures_per_round=7"])


def test_an_update_of_more_than_a_round_is_refused(table: list[str], tmp_path: Path) -> None:
    """A rollout of five whole episodes of each of ten environments; a round of 20 would be passed over."""
    options = [*table, "controller=a2c", "controller.episodes=10", "+controller.params.n_steps=15"]
    with pytest.raises(RlnasError, match=r"search.architectures_per_round is 20, .*50 architectures.*n_steps"):
        run(tmp_path, [*options, "search.architectures_per_round=20", "budget.architectures=200"])


# -- what tables and networks have in common ---------------------------------------------------------------


def test_no_report_is_written_where_none_is_wanted(table: list[str], tmp_path: Path) -> None:
    """Not by a run on a table unless it is asked for, and then with all a run on images has."""
    folder, _ = run(tmp_path / "without", table)
    assert not (folder / "report.html").exists()
    for name in ("history.csv", "rounds.csv", "result.json", "environment.json", ".hydra"):
        assert (folder / name).exists()


def test_the_objective_of_a_table_decides(table: list[str], tmp_path: Path) -> None:
    """The smallest is the best where the accuracy counts negatively."""
    folder, found = run(tmp_path, table, "objective.terms.accuracy=-1", "controller=random", "budget.architectures=40")
    rows = read_rows(folder / "history.csv")
    assert all(float(row["reward"]) == -float(row["accuracy"]) for row in rows)
    best = min(rows, key=lambda row: float(row["accuracy"]))
    assert found["best"]["architecture"] == best["architecture"]
    assert found["best"]["objective"] == -float(best["accuracy"])


def test_a_limit_on_a_column_of_a_table(table: list[str], tmp_path: Path) -> None:
    limited = [*table, "space.params=sec", "controller=random", "budget.architectures=60"]
    folder, found = run(tmp_path, limited, "+objective.limits.params=9")
    rows = [row for row in read_rows(folder / "history.csv") if float(row["params"]) <= 9]
    assert found["best"]["params"] <= 9
    assert found["best"]["search_accuracy"] == max(float(row["accuracy"]) for row in rows)
    with pytest.raises(RlnasError, match=r"within objective.limits=.*params.*0.5"):
        run(tmp_path / "none", limited, "+objective.limits.params=0.5")


def test_a_run_that_is_finished_is_not_run_again(table: list[str], tmp_path: Path) -> None:
    folder, found = run(tmp_path, table, "controller=random")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert rlnas.run([f"resume={folder}"]) == folder
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert not {"history.csv", "rounds.csv", "result.json"} & changed
    assert rlnas.load_result(folder) == found

"""benchmarks.sweep: equal grids, tables as they are described, the bare loop is the run, parts are kept."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rlnas
from benchmarks import sweep
from benchmarks.bare import bare_search
from benchmarks.synthetic import TABLES, synthetic_space
from rlnas.config.build import build_config
from rlnas.controllers import ALGORITHMS, STRATEGIES


def test_every_controller_gets_as_many_settings_and_its_default_is_one():
    no_tables = {"random", "successive_halving"}  # no setting; nothing is trained
    assert {*sweep.GRIDS, *no_tables} == {*ALGORITHMS, *STRATEGIES}
    for controller in sweep.GRIDS:
        settings = sweep.settings_of(controller)
        assert len(set(settings)) == sweep.SETTINGS
        configs = [sweep.controller_config(controller, setting) for setting in settings]
        assert len({json.dumps(config) for config in configs}) == sweep.SETTINGS
        assert sweep.controller_config(controller) in configs


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_what_their_recipe_says(name: str):
    recipe, benchmark = TABLES[name], synthetic_space(name).benchmark
    assert tuple(len(values) for values in benchmark.values) == recipe.choices
    assert benchmark.score.mean() == pytest.approx(recipe.offset, abs=1e-9 * recipe.unit)
    assert benchmark.score.std() == pytest.approx(recipe.unit)
    noise = (benchmark.observed - benchmark.score[:, None]).std() / recipe.unit
    assert noise == pytest.approx(recipe.noise, rel=0.05)
    synthetic_space.cache_clear()
    assert synthetic_space(name).benchmark.sha256 == benchmark.sha256


def test_the_trap_has_a_local_optimum_for_every_choice_of_blocks():
    space = synthetic_space("trap")
    score = space.benchmark.score

    def peak(rank: int) -> bool:
        return all(score[space.rank(other)] < score[rank] for other in space.neighbours(space.unrank(rank)))

    peaks = [rank for rank in score.argsort()[-1000:] if peak(int(rank))]
    assert len(peaks) >= 2**4


def write_table(name: str, path: Path) -> list[str]:
    """The table as a file, and the overrides that read it."""
    space = synthetic_space(name)
    benchmark = space.benchmark
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*benchmark.decisions, "a", "b", "c", "truth"])
        for rank in range(space.size):
            rows.writerow(
                [
                    *space.text(space.unrank(rank)).split(","),
                    *map(repr, benchmark.observed[rank].tolist()),
                    repr(float(benchmark.score[rank])),
                ]
            )
    return [
        "+experiment=table",
        f"space.path={path}",
        f"space.decisions=[{','.join(benchmark.decisions)}]",
        "space.reward=[a,b,c]",
        "space.score=truth",
    ]


@pytest.mark.parametrize("controller", ["evolution", "ppo", "dqn"])
def test_the_bare_loop_is_the_run(controller: str, tmp_path: Path):
    asked = [f"controller={controller}", "budget.architectures=25", "budget.rounds=0", "seed=3", "progress=off"]
    folder = rlnas.run([*write_table("unequal", tmp_path / "t.csv"), *asked, f"hydra.run.dir={tmp_path}/run"])
    history = pd.read_csv(folder / "history.csv")
    config = build_config(json.loads((folder / "environment.json").read_text())["config"]).controller
    observed, true = bare_search(synthetic_space("unequal"), config, architectures=25, seed=3)
    assert observed.tolist() == history["accuracy"].tolist()
    assert true.tolist() == history["score"].tolist()


def test_the_least_mean_regret_is_chosen():
    rows = [
        {"controller": "a", "setting": setting, "table": table, "regret": regret}
        for setting, regrets in {"x": (0.1, 0.9), "y": (0.4, 0.5), "z": (0.45, 0.45)}.items()
        for table, regret in zip("tu", regrets, strict=True)
    ]
    assert sweep.choose(pd.DataFrame(rows)) == {"a": "y"}


@pytest.mark.thorough
def test_a_sweep_chooses_reports_fresh_seeds_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(
        sys,
        "argv",
        f"sweep --out {tmp_path} --controllers evolution local_search --tables unequal trap --seeds 2 --fresh-seeds 3 "
        "--checkpoints 10 20 --workers 1".split(),
    )
    sweep.main()
    said = capsys.readouterr().out
    assert "0 of 32 parts are there" in said
    tuning, fresh = pd.read_csv(tmp_path / "tuning.csv"), pd.read_csv(tmp_path / "fresh.csv")
    assert len(tuning) == 2 * sweep.SETTINGS * 2
    assert set(tuning["n"]) == {2}
    assert set(fresh["n"]) == {3}
    assert set(fresh["controller"]) == {"evolution", "local_search", "random"}
    assert np.isfinite(fresh[["regret_10", "error_20"]]).all(axis=None)
    part = json.loads((tmp_path / "parts" / "fresh" / "trap" / "random_default.json").read_text())
    assert part["key"]["seeds"] == [sweep.FRESH_FROM, sweep.FRESH_FROM + 1, sweep.FRESH_FROM + 2]
    first = (tmp_path / "fresh.csv").read_bytes()
    lost = tmp_path / "parts" / "tuning" / "trap" / "evolution_0.json"
    lost.unlink()
    stale = tmp_path / "parts" / "tuning" / "trap" / "evolution_1.json"
    stale.write_text(stale.read_text().replace('"code": "', '"code": "0'))
    sweep.main()
    assert "30 of 32 parts are there" in capsys.readouterr().out
    assert (tmp_path / "fresh.csv").read_bytes() == first


def test_nothing_is_run_when_only_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["sweep", "--out", str(tmp_path / "out"), "--dry-run", "--seeds", "4"])
    sweep.main()
    assert f"{4 * len(sweep.GRIDS) * sweep.SETTINGS * len(TABLES):,} searches" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()

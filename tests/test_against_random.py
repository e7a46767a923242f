"""benchmarks.against_random: the test by hand, the limit on FLOPs, and the whole command."""

import json
import sys
from pathlib import Path

import pytest
from scipy import stats

import rlnas
from benchmarks.against_random import compare, draw, sentence
from benchmarks.against_random import main as against_random
from rlnas.errors import RlnasError
from rlnas.spaces import NasrlSpace
from tests.command import TINY


def test_both_samples_count_by_hand():
    # means 0.8 and 0.75, variances 0.0004 and 0.0025 / 2: squared errors 0.0004 / 3 and 0.00125 / 2
    found, random = [0.78, 0.80, 0.82], [0.725, 0.775]
    summary = compare(found, random)
    assert summary["found"] == {"mean": pytest.approx(0.8), "deviation": pytest.approx(0.02), "n": 3}
    assert summary["random"] == {"mean": pytest.approx(0.75), "deviation": pytest.approx(0.00125**0.5), "n": 2}
    own, other = 0.0004 / 3, 0.00125 / 2
    assert summary["difference"] == pytest.approx(0.05)
    assert summary["t"] == pytest.approx(0.05 / (own + other) ** 0.5)
    assert summary["dof"] == pytest.approx((own + other) ** 2 / (own**2 / 2 + other**2 / 1))
    theirs = stats.ttest_ind(found, random, equal_var=False)
    assert summary["p"] == pytest.approx(theirs.pvalue)
    assert summary["interval"] == pytest.approx(list(theirs.confidence_interval()))


def test_the_noise_of_the_found_network_takes_the_lead_away():
    """One lucky training looks like many standard errors of the random mean; with its spread it is none."""
    random = [0.780, 0.785, 0.790, 0.795, 0.800]
    lucky, as_noisy = compare([0.815, 0.8151, 0.8149], random), compare([0.780, 0.790, 0.815], random)
    assert lucky["p"] < 0.01
    assert as_noisy["p"] > 0.05
    assert "better than random ones" in sentence(lucky)
    assert "not shown to differ" in sentence(as_noisy)
    assert f"n {len(random)}" in sentence(as_noisy)
    assert "worse than random ones" in sentence(compare([0.70, 0.701, 0.702], random))


def test_without_any_spread_there_is_no_test():
    summary = compare([0.5, 0.5], [0.25, 0.25])
    assert (summary["t"], summary["p"]) == (None, None)
    assert "nothing varies" in sentence(summary)
    json.dumps(summary, allow_nan=False)


def test_random_ones_obey_the_limit_too():
    space = NasrlSpace(4)
    free = draw(space, 20, 0, sum, seed=3)
    assert free == draw(space, 20, 0, sum, seed=3)
    limit = sorted(map(sum, free))[5]
    bound = draw(space, 20, limit, sum, seed=3)
    assert max(map(sum, bound)) <= limit < max(map(sum, free))
    with pytest.raises(RlnasError, match=r"objective\.limits\.flops=-1"):
        draw(space, 1, -1, sum, seed=3)


def test_every_training_has_a_seed_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = rlnas.run([*TINY, "retrain.epochs=1", "progress=off", f"hydra.run.dir={tmp_path}/run"])
    capsys.readouterr()
    asked = ["against_random", str(folder), "--count", "2", "--found-seeds", "3"]
    monkeypatch.setattr(sys, "argv", asked)
    against_random()
    first = capsys.readouterr().out
    trained = {
        path.name: json.loads((path / "environment.json").read_text()) for path in (folder / "against_random").iterdir()
    }
    assert sorted(trained) == ["found_s1", "found_s2", "random_0_0", "random_0_1"]
    assert {name: record["config"]["seed"] for name, record in trained.items()} == {
        "found_s1": 1,
        "found_s2": 2,
        "random_0_0": 1000,
        "random_0_1": 1001,
    }
    found = rlnas.load_result(folder)["best"]["architecture"]
    assert all(
        (record["config"]["architecture"] == found) == name.startswith("found") for name, record in trained.items()
    )
    summary = json.loads(first.splitlines()[-1])
    assert (summary["found"]["n"], summary["random"]["n"]) == (3, 2)
    own = [
        rlnas.load_result(folder / "against_random" / name)["best"]["test_accuracy"]
        for name in ("found_s1", "found_s2")
    ]
    own.append(rlnas.load_result(folder)["best"]["test_accuracy"])
    assert summary["found"]["mean"] == pytest.approx(sum(own) / 3)
    against_random()  # what is there is kept
    assert capsys.readouterr().out.splitlines()[-1] == first.splitlines()[-1]


def test_a_run_without_a_retrained_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = rlnas.run([*TINY, "retrain.epochs=0", "progress=off", f"hydra.run.dir={tmp_path}/run"])
    for options, told in (([], "no retrained network"), (["--found-seeds", "1"], "at least 2")):
        monkeypatch.setattr(sys, "argv", ["against_random", str(folder), *options])
        with pytest.raises(SystemExit):
            against_random()
        assert told in capsys.readouterr().err

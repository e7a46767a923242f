"""The comparison of runs whose outcome is known: values by hand, verdicts, cutting, curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rlnas.errors import RlnasError
from rlnas.report.comparison import Comparison, compare
from rlnas.report.comparison.curves import over_architectures, over_seconds
from rlnas.report.comparison.permutation import permutation_test
from rlnas.report.comparison.protocol import protocol
from rlnas.report.comparison.words import answer, p_value
from rlnas.runs.discover import load_runs
from rlnas.seeding import numpy_stream
from tests.report.comparison_folders import OPTIMUM, write_run, write_sweep


def flat(root: Path, regrets: Mapping[str, list[float]], n: int = 60, **options: Any) -> Path:
    """A run for each regret, the seed being its place; every architecture of a run has that regret."""
    for name, values in regrets.items():
        for seed, regret in enumerate(values):
            score = [OPTIMUM - regret] * n
            write_run(root / f"{name}_{seed}", score, score=score, controller=name, seed=seed, **options)
    return root


def compared(root: Path, **options: Any) -> Comparison:
    return compare(*load_runs([root]), **options)


SIX = [0.10, 0.20, 0.30, 0.40, 0.50, 0.60]
BETTER = [0.01, 0.02, 0.03, 0.04, 0.05, 0.61]


def test_values_by_hand(tmp_path: Path):
    comparison = compared(flat(tmp_path, {"random": SIX, "ppo": BETTER}))
    assert comparison.measure == "regret"
    assert comparison.checkpoints == (50,)
    assert [group.label for group in comparison.groups] == ["ppo", "random"]  # best first
    cell = comparison.cells["random", 50]
    assert cell.mean == pytest.approx(0.35)
    assert cell.interquartile_mean == pytest.approx(0.35)
    assert cell.standard_error == pytest.approx(np.std(SIX, ddof=1) / np.sqrt(6))
    assert cell.low < 0.35 < cell.high
    assert cell.n == 6
    (test,) = comparison.tests
    assert (test.label, test.baseline, test.n, test.n_baseline, test.paired) == ("ppo", "random", 6, 6, False)
    assert test.lead == pytest.approx(0.35 - 0.76 / 6)
    expected = stats.ttest_ind(SIX, BETTER, equal_var=False).confidence_interval()
    assert (test.low, test.high) == pytest.approx(tuple(expected))
    assert test.p == test.p_holm == pytest.approx(permutation_test(-column(BETTER), -column(SIX))[0])
    assert test.p_ranks == pytest.approx(stats.mannwhitneyu(SIX, BETTER).pvalue)
    assert test.improvement == pytest.approx(30 / 36)
    assert test.verdict == "not told apart"


def test_better_worse_and_equal(tmp_path: Path):
    low = [value - 1 for value in SIX]  # no overlap: 2 of the 924 ways to deal twelve runs are as far apart
    comparison = compared(flat(tmp_path, {"random": SIX, "ppo": low, "dqn": SIX}))
    verdicts = {test.label: (test.verdict, test.p, test.p_holm) for test in comparison.tests}
    assert verdicts["dqn"] == ("not told apart", 1, 1)
    assert verdicts["ppo"] == ("better", pytest.approx(2 / 924), pytest.approx(2 * 2 / 924))  # two tests
    alone = compared(flat(tmp_path / "alone", {"random": SIX, "ppo": low}))
    assert "At 50 architectures ppo is better than random search: mean regret -0.650 vs 0.350, lead +1.000" in answer(
        alone
    )
    assert "Holm-adjusted p = 0.0022, n = 6 and 6 runs" in answer(alone)
    other = compared(flat(tmp_path / "other", {"random": low, "ppo": SIX}))
    assert other.tests[0].verdict == "worse"
    assert "no controller is shown to be better than random search; the first is ppo" in answer(other)
    assert "lead -1.000" in answer(other)


@pytest.mark.thorough
def test_a_controller_that_fails_badly_in_some_runs_is_not_better(tmp_path: Path):
    """A hundred runs a side, twelve of which fail: most pairs and the median favour the one of the worse mean."""
    rng = numpy_stream(0, "failing")
    often = [0.05 + 0.01 * rng.random() for _ in range(88)]
    regrets = {"random": [0.1 + 0.02 * rng.random() for _ in range(100)], "ppo": [*often, *[1.4] * 12]}
    comparison = compared(flat(tmp_path, regrets, n=5))
    (test,) = comparison.tests
    assert comparison.cells["ppo", 5].mean > 1.9 * comparison.cells["random", 5].mean
    assert (test.verdict, test.lead < 0, test.high < 0) == ("worse", True, True)
    assert test.p_ranks < 0.001  # of ranks it would be better
    assert test.improvement > 0.8


def column(values: list[float]) -> np.ndarray:
    return np.array(values)[:, None]


def test_every_baseline_has_a_family_of_its_own(tmp_path: Path):
    sweep = write_sweep(tmp_path, {"random": 0, "evolution": 2, "ppo": 3, "dqn": 1}, n=210)
    comparison = compared(sweep)
    assert comparison.checkpoints == (50, 100, 200)
    assert comparison.baselines == ["random", "evolution"]
    for baseline in comparison.baselines:
        family = [test for test in comparison.tests if test.baseline == baseline]
        assert len(family) == 3 * 3
        assert baseline not in {test.label for test in family}
        assert min(test.p_holm for test in family) >= min(9 * min(test.p for test in family), 1) - 1e-12


def test_runs_over_a_table_are_independent_whatever_their_seeds(tmp_path: Path):
    flat(tmp_path / "same", {"random": SIX, "ppo": BETTER})
    flat(tmp_path / "other", {"random": SIX})
    for seed, regret in enumerate(BETTER, 100):
        write_run(tmp_path / "other" / f"p{seed}", [OPTIMUM - regret] * 60, score=[OPTIMUM - regret] * 60, seed=seed)
    same, other = compared(tmp_path / "same"), compared(tmp_path / "other")
    assert same.tests == other.tests
    assert not same.tests[0].paired


def test_every_run_counts_in_the_test_as_in_the_mean(tmp_path: Path):
    comparison = compared(flat(tmp_path, {"random": SIX, "ppo": [*BETTER, 9.0]}))
    (test,) = comparison.tests
    assert (test.n, test.n_baseline) == (7, 6)
    assert test.lead == pytest.approx(comparison.cells["random", 50].mean - comparison.cells["ppo", 50].mean)
    assert dict(protocol(comparison))["runs"] == "n = random 6, ppo 7"


def test_too_few_seeds_to_be_significant_are_told(tmp_path: Path):
    comparison = compared(flat(tmp_path, {"random": SIX[:3], "ppo": BETTER[:3]}))
    told = [text for text in comparison.warnings if "no difference can be significant" in text]
    assert told == [
        "Against random no difference can be significant: with 3 and 3 runs and 1 test p (Holm) is at least 0.1; "
        "that takes 4 runs of each"
    ]


def test_one_seed_is_compared_without_bands_and_tests(tmp_path: Path):
    comparison = compared(flat(tmp_path, {"random": [0.2], "ppo": [0.1]}, n=20))
    assert comparison.checkpoints == (20,)
    assert comparison.tests == ()
    assert np.isnan(comparison.cells["ppo", 20].low)
    assert any(text.startswith("One seed only of ppo, random") for text in comparison.warnings)
    assert "ppo 0.100 is first, then random search 0.200" in answer(comparison)


def test_without_a_baseline_nothing_is_tested(tmp_path: Path):
    comparison = compared(flat(tmp_path, {"dqn": SIX, "ppo": BETTER}))
    assert comparison.tests == ()
    assert any("nothing is tested" in text for text in comparison.warnings)


def test_unequal_budgets_are_cut_and_told_or_refused(tmp_path: Path):
    flat(tmp_path, {"random": SIX}, n=120)
    flat(tmp_path, {"ppo": BETTER}, n=60)
    comparison = compared(tmp_path)
    assert comparison.budget == 60
    (told,) = [text for text in comparison.warnings if "not equally long" in text]
    assert "cut to the 60 architectures" in told
    assert "random: 6 runs of 120" in told
    assert "ppo_0 and 5 more" in told
    with pytest.raises(RlnasError, match=r"--strict: .*random: 6 runs of 120"):
        compared(tmp_path, strict=True)
    assert not compared(flat(tmp_path / "equal", {"random": SIX}), strict=True).warnings


def test_strict_refuses_runs_left_out(tmp_path: Path):
    flat(tmp_path, {"random": SIX})
    write_run(tmp_path / "broken", [1.0], score=[1.0], finished=False)
    assert compared(tmp_path).left_out[0].folder.name == "broken"
    with pytest.raises(RlnasError, match=r"--strict: .*broken is left out: not finished"):
        compared(tmp_path, strict=True)


def test_no_finished_run_is_refused_with_the_reasons(tmp_path: Path):
    write_run(tmp_path / "a", [1.0], finished=False)
    with pytest.raises(RlnasError, match=r"none of the 1 runs can be compared: .*a: not finished"):
        compared(tmp_path)


def test_look_ups_have_no_time_unless_the_table_has_it(tmp_path: Path):
    assert compared(flat(tmp_path / "a", {"random": SIX})).has_time
    assert not compared(flat(tmp_path / "b", {"random": SIX}, simulated=False)).has_time


def test_curves_by_hand(tmp_path: Path):
    write_run(tmp_path / "a", [1.0, 3.0], score=[1.0, 3.0], seconds=[10, 10], seed=0)
    write_run(tmp_path / "b", [2.0, 8.0], score=[2.0, 8.0], seconds=[5, 35], seed=1)
    (group,) = compared(tmp_path).groups
    curve = over_architectures(group, 2)
    assert curve.x.tolist() == [1, 2]
    assert curve.mean.tolist() == [1.5, 5.5]
    assert curve.low.tolist() == [1, 3]
    assert curve.high.tolist() == [2, 8]
    time = over_seconds(group, 2)
    assert (time.x[0], time.x[-1]) == (10, 20)  # both have an incumbent; the first has ended
    assert (time.mean[0], time.mean[-2], time.mean[-1]) == (1.5, 1.5, 2.5)


def test_a_group_has_the_same_numbers_whoever_stands_beside_it(tmp_path: Path):
    alone = compared(write_sweep(tmp_path / "alone", {"random": 0}))
    both = compared(write_sweep(tmp_path / "both", {"random": 0, "ppo": 1}))
    assert alone.cells["random", 50] == both.cells["random", 50]


def test_a_p_is_not_rounded_across_the_level():
    assert [p_value(p) for p in (0.0123, 0.04996, 0.05, 0.0501, 0.00001)] == [
        "= 0.012",
        "= 0.04996",
        "= 0.05",
        "= 0.05",
        "< 0.0001",
    ]

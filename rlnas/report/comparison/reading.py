"""The comparison in words: how each number is defined."""

from collections import Counter

from rlnas.report.comparison.permutation import EXACT
from rlnas.report.comparison.permutation import RESAMPLES as ARRANGEMENTS
from rlnas.report.comparison.results import SIGNIFICANT, Comparison
from rlnas.report.comparison.statistics import RESAMPLES
from rlnas.report.comparison.words import spoken


def reading(comparison: Comparison) -> list[str]:
    """How each number is defined."""
    tabular = comparison.tabular
    regret = " Regret is the table's optimum minus that score." if comparison.optimum is not None else ""
    words = [
        "The incumbent after n architectures is the one of the best observed value so far, the first of equal ones."
    ]
    if tabular:
        words[0] += f" Its score is its true score in the table.{regret}"
    else:
        words[0] += (
            " Curves show its accuracy with the shared weights of its own run. They tell how a search went; two runs "
            "train two supernets, whose accuracies do not compare, so no verdict rests on them."
        )
        words.append(
            "Verdicts rest on the test accuracy of the retrained network. A run opens the test split once and chooses "
            "nothing by it. Validation accuracy stands beside it: the validation images chose the architecture, which "
            "favours whoever fitted them more."
        )
    words.append(
        "mean \N{PLUS-MINUS SIGN} standard error over seeds; IQM: mean of the middle half. Bands: 95% percentile "
        f"bootstrap of the mean, {RESAMPLES:,} resamples of whole runs."
    )
    if tabular and not comparison.has_time:
        words.append("The table has no training times, so there are no curves over time.")
    return words + (_reading_tests(comparison) if comparison.tests else [])


def _reading_tests(comparison: Comparison) -> list[str]:
    sizes = Counter(test.baseline for test in comparison.tests)
    families = "; ".join(
        f"against {spoken(name)}: {count // len(comparison.checkpoints)} controllers \N{MULTIPLICATION SIGN} "
        f"{len(comparison.checkpoints)} checkpoints = {count} tests"
        for name, count in sizes.items()
    )
    pairing = (
        "Runs over a table count as independent: each query draws its noise in the order in which it comes, so that "
        "runs of equal seed share at most the architectures with which some controllers begin at random, which makes "
        "the test more cautious."
        if comparison.tabular
        else "Runs on images are pairs if both controllers have the same seeds and the same data settings: runs of "
        "equal seed then share their split. Otherwise all runs count as independent."
    )
    return [
        "Lead: difference of the two means, positive if the controller is better, with its 95% interval by Welch's t "
        "(of pairs: by Student's t), not adjusted for other tests.",
        "p: two-sided permutation test of the means that are printed. Independent runs are dealt anew to the two sides "
        "(statistic: Welch's t), differences of pairs change their signs; every arrangement is computed where there "
        f"are at most {EXACT:,}, else {ARRANGEMENTS:,} are drawn from a fixed random stream. {pairing}",
        "p (Holm) is adjusted over the family of all controllers and all checkpoints of one baseline "
        f"({families}); a verdict needs p (Holm) < {SIGNIFICANT}.",
        "p (ranks): Mann-Whitney's test, of pairs Wilcoxon's signed-rank test; P(better): probability that a run of "
        "the controller beats a run of the baseline, over all pairs of runs, ties half (Agarwal et al. 2021). Both "
        "ignore how far runs differ: a controller that is mostly a little better and sometimes far worse looks good in "
        "them. They decide nothing.",
    ]

"""The comparison in words: which controller is better, by how much, how surely."""

from collections.abc import Sequence

from rlnas.report.comparison.results import SIGNIFICANT, Cell, Comparison, MeanTest
from rlnas.report.text import NONE

NAMES = {"random": "random search"}


def answer(comparison: Comparison) -> str:
    """Which controller is better, by how much, how surely; and the verdicts on the others."""
    return " ".join([headline(comparison), *others(comparison)])


def headline(comparison: Comparison) -> str:
    """The first sentence of the answer: the best controller against the first baseline."""
    place = comparison.checkpoints[-1]
    start = f"At {place:,} architectures" if comparison.tabular else "After retraining"
    groups = comparison.groups
    if len(groups) == 1:
        cell = comparison.cells[groups[0].label, place]
        number = value(comparison, cell.mean)
        if number == NONE:
            return f"{in_words(groups[0].label)} alone, without a retrained network of every run: nothing to compare."
        return f"{start} {in_words(groups[0].label)} has a {comparison.measure} of {number}, {seeds(cell)}."
    if not comparison.baselines:
        return f"{start}, {_ranking(comparison, place)}; not tested."
    baseline = in_words(comparison.baselines[0])
    tests = _last_tests(comparison)
    if not tests:
        return f"No verdict against {baseline}, for the reason below; {_ranking(comparison, place)}."
    leader = _leader(tests)
    if leader.verdict == "better":
        return f"{start} {leader.label} is better than {baseline}: {_against(comparison, leader)}."
    lead = f"the first is {leader.label}: {_against(comparison, leader)}"
    return f"{start} no controller is shown to be better than {baseline}; {lead}."


def others(comparison: Comparison) -> list[str]:
    """The further sentences of the answer: the verdict on each other controller against the first baseline."""
    tests, place, sentences = _last_tests(comparison), comparison.checkpoints[-1], []
    if not tests:
        return []
    leader = _leader(tests)
    for verdict, phrase in (("better", "Also better"), ("not told apart", "Not told apart"), ("worse", "Worse")):
        found = [test for test in tests if test.verdict == verdict and test.label != leader.label]
        if found:
            named = [f"{test.label} ({_mean(comparison, test.label, place)})" for test in found]
            sentences.append(f"{phrase}: {', '.join(named)}.")
    missing = [one.label for one in comparison.no_verdicts if one.baseline == comparison.baselines[0]]
    if missing:
        sentences.append(f"No verdict, for the reason below: {', '.join(missing)}.")
    return sentences


def _last_tests(comparison: Comparison) -> list[MeanTest]:
    """Of the first baseline's family, at the last checkpoint, best controller first."""
    if not comparison.baselines:
        return []
    found = [
        comparison.test(group.label, comparison.baselines[0], comparison.checkpoints[-1]) for group in comparison.groups
    ]
    return [test for test in found if test is not None]


def _leader(tests: Sequence[MeanTest]) -> MeanTest:
    """The best of those that are better than the baseline; without any the best of all."""
    return next((test for test in tests if test.verdict == "better"), tests[0])


def _against(comparison: Comparison, test: MeanTest) -> str:
    mine = _mean(comparison, test.label, test.architectures)
    theirs = _mean(comparison, test.baseline, test.architectures)
    return (
        f"mean {comparison.measure} {mine} vs {theirs}, lead {signed(comparison, test.lead)} (95% interval "
        f"{interval(comparison, test.low, test.high)}), Holm-adjusted p {p_value(test.p_holm)}, n = {runs(test)}"
    )


def runs(test: MeanTest) -> str:
    """`6 pairs of runs`, or `6 and 7 runs`."""
    return f"{test.n} pairs of runs" if test.paired else f"{test.n} and {test.n_baseline} runs"


def interval(comparison: Comparison, low: float, high: float) -> str:
    """`+0.130 to +0.158`."""
    return f"{signed(comparison, low)} to {signed(comparison, high)}"


def _ranking(comparison: Comparison, place: int) -> str:
    cells = [comparison.cells[group.label, place] for group in comparison.groups]
    cells = [cell for cell in cells if cell.mean == cell.mean]
    if not cells:
        return f"no run has a {comparison.measure}"
    first, *rest = [f"{in_words(cell.label)} {value(comparison, cell.mean)}" for cell in cells[:4]]
    more = f", {len(cells) - 4} others follow" if len(cells) > 4 else ""
    told = f"{first} is first, then {', '.join(rest)}{more}" if rest else f"{first} alone has one"
    return f"mean {comparison.measure}: {told} ({seeds(cells[0])})"


def _mean(comparison: Comparison, label: str, place: int) -> str:
    return value(comparison, comparison.cells[label, place].mean)


def in_words(label: str) -> str:
    """The label in a sentence."""
    return NAMES.get(label, label)


def seeds(cell: Cell) -> str:
    """`n = 5 seeds`."""
    return f"n = {cell.n} seed{'s' if cell.n > 1 else ''}"


def value(comparison: Comparison, amount: float) -> str:
    """A score or regret with the digits its unit calls for; a dash for NaN."""
    if amount != amount:
        return NONE
    digits = 3 if max(abs(float(run.score[-1])) for run in comparison.runs[:3]) > 2 else 4  # percent, or a share
    text = f"{amount:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def signed(comparison: Comparison, amount: float) -> str:
    """A difference with its sign: `+0.144`."""
    text = value(comparison, abs(amount))
    return text if text == NONE else ("-" if amount < 0 and float(text) else "+") + text


def p_value(p: float) -> str:
    """`= 0.012`, or `< 0.0001`; with as many digits as it takes to stay on its side of 0.05."""
    if p < 0.0001:
        return "< 0.0001"
    texts = (f"{p:.{digits}g}" for digits in range(2, 17))
    return f"= {next(text for text in texts if (float(text) < SIGNIFICANT) == (p < SIGNIFICANT))}"

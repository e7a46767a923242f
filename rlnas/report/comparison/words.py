"""The comparison in words: the answer, the protocol, how to read the numbers, how to do it again."""

from collections import Counter
from importlib import metadata
from typing import Any

from rlnas.quoting import compare_command
from rlnas.report.command import quoted, shown_folder, without_home
from rlnas.report.comparison.results import SIGNIFICANT, Cell, Comparison, Group, PairedTest
from rlnas.report.comparison.statistics import RESAMPLES
from rlnas.report.text import NONE, dataset

PACKAGES = ("rlnas", "numpy", "scipy", "pandas", "matplotlib")  # that this comparison was computed with
NAMES = {"random": "random search"}


def answer(comparison: Comparison) -> str:
    """Which controller is better, by how much, how surely; and the verdicts on the others."""
    return " ".join([headline(comparison), *others(comparison)])


def headline(comparison: Comparison) -> str:
    """The first sentence of the answer: the best controller against the first baseline."""
    place = comparison.checkpoints[-1]
    start = f"At {place:,} architectures"
    groups = comparison.groups
    if len(groups) == 1:
        cell = comparison.cells[groups[0].label, place]
        number = value(comparison, cell.mean)
        return f"{start} {spoken(groups[0].label)} has a {comparison.measure} of {number}, {seeds(cell)}."
    if not comparison.tests:
        return f"{start}, {_ranking(comparison, place)}; not tested."
    leader, baseline = _leader(comparison), spoken(comparison.baselines[0])
    if leader.verdict == "better":
        return f"{start} {leader.label} is better than {baseline}: {_against(comparison, leader)}."
    lead = f"the first is {leader.label}: {_against(comparison, leader)}"
    return f"{start} no controller is shown to be better than {baseline}; {lead}."


def others(comparison: Comparison) -> list[str]:
    """The further sentences of the answer: how each other controller stands to the first baseline."""
    if not comparison.tests:
        return []
    place, leader, sentences = comparison.checkpoints[-1], _leader(comparison), []
    for verdict, phrase in (("better", "Also better"), ("not told apart", "Not told apart"), ("worse", "Worse")):
        tests = [test for test in _last_tests(comparison) if test.verdict == verdict and test.label != leader.label]
        if tests:
            named = [f"{test.label} ({_mean(comparison, test.label, place)})" for test in tests]
            sentences.append(f"{phrase}: {', '.join(named)}.")
    return sentences


def _last_tests(comparison: Comparison) -> list[PairedTest]:
    """Of the first baseline's family, at the last checkpoint, best controller first."""
    found = [
        comparison.test(group.label, comparison.baselines[0], comparison.checkpoints[-1]) for group in comparison.groups
    ]
    return [test for test in found if test is not None]


def _leader(comparison: Comparison) -> PairedTest:
    """The best of those that are better than the baseline; without any the best of all."""
    tests = _last_tests(comparison)
    return next((test for test in tests if test.verdict == "better"), tests[0])


def _against(comparison: Comparison, test: PairedTest) -> str:
    mine = _mean(comparison, test.label, test.architectures)
    theirs = _mean(comparison, test.baseline, test.architectures)
    sign = p_value(test.p_holm)
    return f"mean {comparison.measure} {mine} vs {theirs}, Holm-adjusted p {sign}, n = {test.pairs} pairs of seeds"


def _ranking(comparison: Comparison, place: int) -> str:
    cells = [comparison.cells[group.label, place] for group in comparison.groups]
    first, *rest = [f"{spoken(cell.label)} {value(comparison, cell.mean)}" for cell in cells[:4]]
    more = f", {len(cells) - 4} others follow" if len(cells) > 4 else ""
    return f"mean {comparison.measure}: {first} is first, then {', '.join(rest)}{more} ({seeds(cells[0])})"


def _mean(comparison: Comparison, label: str, place: int) -> str:
    return value(comparison, comparison.cells[label, place].mean)


def spoken(label: str) -> str:
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


def p_value(p: float) -> str:
    """`= 0.012`, or `< 0.0001`."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}"


# -- how it was done -----------------------------------------------------------------------------------


def protocol(comparison: Comparison) -> list[tuple[str, str]]:
    """What was compared under which conditions: (name, sentence)."""
    run = comparison.runs[0]
    table = run.table
    space = f"{run.result['space']['name']}"
    if run.result["space"].get("size") is not None:
        space += f", {run.result['space']['size']} architectures"
    counts = Counter(len(group.runs) for group in comparison.groups)
    equal = len(counts) == 1
    n = str(next(iter(counts))) if equal else ", ".join(f"{g.label} {len(g.runs)}" for g in comparison.groups)
    rows = [("space", space)]
    if table is not None:
        where = table.get("optimal_architecture")
        optimum = "not known" if comparison.optimum is None else f"{comparison.optimum:.7g}"
        rows += [("table", _table(table)), ("optimum", optimum + (f", of {where}" if where else ""))]
        rows += [("reward noise", _noise(comparison))]
    else:
        rows += [("data", dataset(str(run.result.get("dataset"))))]
    rows += [
        ("seeds" if equal else "runs", f"n = {n}" + (" for each controller" if equal else "")),
        ("budget", f"{comparison.budget:,} architectures scored, the most that all runs have"),
        ("what is observed", ", ".join(_settings(run.config)) or "not recorded"),
    ]
    return rows


def _table(table: dict[str, Any]) -> str:
    name = [str(table["name"])] if table.get("name") else []
    counts = [f"{table[key]:,} {key}" for key in ("architectures", "networks") if isinstance(table.get(key), int)]
    return ", ".join([*name, *counts, f"sha256 {table.get('sha256')}"])


def _noise(comparison: Comparison) -> str:
    noise = max(run.noise for run in comparison.runs)
    if noise < 1e-9:
        return "none: the observed value is the true score"
    mean = sum(run.noise for run in comparison.runs) / len(comparison.runs)
    return f"observed minus true score has a standard deviation of {mean:.3g} over a run's queries"


def _settings(config: dict[str, Any]) -> list[str]:
    """What decides the observed value, but no paths."""
    tabular = config.get("evaluator.name") == "tabular"  # it has no options, but the table's columns
    shown = ("space", "reward") if tabular else ("evaluator", "reward")
    return [
        f"{key}={setting}"
        for key, setting in config.items()
        if key.split(".")[0] in shown and key.split(".")[-1] != "path" and setting is not None
    ]


def reading(comparison: Comparison) -> list[str]:
    """How each number is defined."""
    tabular = comparison.runs[0].table is not None
    regret = " Regret is the table's optimum minus that score." if comparison.optimum is not None else ""
    score = "true score in the table" if tabular else "observed accuracy"
    words = [
        "The incumbent after n architectures is the one of the best observed value so far, the first of equal ones. "
        f"Its score is its {score}.{regret}",
        "mean \N{PLUS-MINUS SIGN} standard error over seeds; IQM: mean of the middle half. Bands: 95% percentile "
        f"bootstrap of the mean, {RESAMPLES:,} resamples of whole runs.",
    ]
    if tabular and not comparison.has_time:
        words.append("The table has no training times, so there are no curves over time.")
    if not comparison.tests:
        return words
    sizes = {name: sum(test.baseline == name for test in comparison.tests) for name in comparison.baselines}
    families = "; ".join(
        f"against {spoken(name)}: {count // len(comparison.checkpoints)} controllers \N{MULTIPLICATION SIGN} "
        f"{len(comparison.checkpoints)} checkpoints = {count} tests"
        for name, count in sizes.items()
    )
    words.append(
        "p: Wilcoxon's signed-rank test of pairs of equal seed, two-sided, at each checkpoint; equal pairs are "
        "dropped, p is 1 if all are. p (Holm) is adjusted over the family of all controllers and all checkpoints "
        f"of one baseline ({families}); a verdict needs p (Holm) < {SIGNIFICANT}."
    )
    words.append(
        "Effect: matched-pairs rank-biserial correlation, (R+ \N{MINUS SIGN} R\N{MINUS SIGN}) / (R+ + R\N{MINUS SIGN}) "
        "of the rank sums of the pairs in which the controller is better and worse; 1 is better in every pair. "
        "P(better): probability that a run of the controller beats a run of the baseline, over all pairs of runs, "
        "ties half (Agarwal et al. 2021)."
    )
    return words


def stopped_by(group: Group) -> str:
    """What ended the searches: `budget.architectures`, or with counts where runs differ."""
    counts = Counter(str(run.result.get("stopped_by") or "unknown") for run in group.runs)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())


def different(group: Group, budget: int) -> float:
    """Mean number of different architectures within the budget."""
    return float(sum(int(run.different[budget - 1]) for run in group.runs) / len(group.runs))


def command(comparison: Comparison) -> str:
    """The command that writes this comparison again."""
    return compare_command(comparison.folders)


def run_commands(comparison: Comparison) -> list[str]:
    """For each group the command of its first run, with the seeds of all."""
    lines = []
    for group in comparison.groups:
        run = group.runs[0]
        if not run.arguments:
            continue
        kept = [item for item in run.arguments if item.partition("=")[0] not in ("seed", "resume")]
        every = ",".join(str(seed) for seed in group.seeds)
        several = "-m " if len(group.seeds) > 1 else ""
        asked = " ".join(quoted(item) for item in [*kept, f"seed={every}"])
        lines.append(f"python -m rlnas {several}{asked}")
    return list(dict.fromkeys(lines))


def versions(comparison: Comparison) -> list[tuple[str, str]]:
    """(what, versions): of the runs, and of what compared them."""
    seen: dict[str, dict[str, None]] = {}
    for run in comparison.runs:
        for name, version in run.versions.items():
            seen.setdefault(name, {})[version] = None
    ran = ", ".join(f"{name} {' and '.join(every)}" for name, every in seen.items())
    here = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    return [("the runs", ran or "not recorded"), ("the comparison", here)]


def left_out(comparison: Comparison) -> list[tuple[str, str, str]]:
    """(folder, controller, reason) of each run that is not compared."""
    return [
        (shown_folder(item.folder), item.controller or NONE, without_home(item.reason)) for item in comparison.left_out
    ]

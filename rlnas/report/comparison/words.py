"""The comparison in words: the answer, the protocol, how to read the numbers, how to do it again."""

from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from rlnas.config.quoting import compare_command
from rlnas.report.command import quoted, shown_folder, without_home
from rlnas.report.comparison.results import SIGNIFICANT, Cell, Comparison, Group, MeanTest
from rlnas.report.text import NONE, dataset

PACKAGES = ("rlnas", "numpy", "scipy", "pandas", "matplotlib")  # that this comparison was computed with
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
            return f"{spoken(groups[0].label)} alone, without a retrained network of every run: nothing to compare."
        return f"{start} {spoken(groups[0].label)} has a {comparison.measure} of {number}, {seeds(cell)}."
    if not comparison.baselines:
        return f"{start}, {_ranking(comparison, place)}; not tested."
    baseline = spoken(comparison.baselines[0])
    tests = _last_tests(comparison)
    if not tests:
        return f"No verdict against {baseline}, for the reason below; {_ranking(comparison, place)}."
    leader = _leader(tests)
    if leader.verdict == "better":
        return f"{start} {leader.label} is better than {baseline}: {_against(comparison, leader)}."
    lead = f"the first is {leader.label}: {_against(comparison, leader)}"
    return f"{start} no controller is shown to be better than {baseline}; {lead}."


def others(comparison: Comparison) -> list[str]:
    """The further sentences of the answer: how each other controller stands to the first baseline."""
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
        f"{interval(comparison, test)}), Holm-adjusted p {p_value(test.p_holm)}, n = {runs(test)}"
    )


def runs(test: MeanTest) -> str:
    """`6 pairs of runs`, or `6 and 7 runs`."""
    return f"{test.n} pairs of runs" if test.paired else f"{test.n} and {test.n_baseline} runs"


def interval(comparison: Comparison, test: MeanTest) -> str:
    """`+0.130 to +0.158`."""
    return f"{signed(comparison, test.low)} to {signed(comparison, test.high)}"


def _ranking(comparison: Comparison, place: int) -> str:
    cells = [comparison.cells[group.label, place] for group in comparison.groups]
    cells = [cell for cell in cells if cell.mean == cell.mean]
    if not cells:
        return f"no run has a {comparison.measure}"
    first, *rest = [f"{spoken(cell.label)} {value(comparison, cell.mean)}" for cell in cells[:4]]
    more = f", {len(cells) - 4} others follow" if len(cells) > 4 else ""
    told = f"{first} is first, then {', '.join(rest)}{more}" if rest else f"{first} alone has one"
    return f"mean {comparison.measure}: {told} ({seeds(cells[0])})"


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
    if table is None:
        rows.append(("what decides", "accuracy of the retrained network on the test split, opened once by each run"))
        recipe = ", ".join(f"{key}={setting}" for key, setting in run.config.items() if key.startswith("retrain."))
        rows.append(("retraining", recipe or "not recorded"))
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
    """The command that writes this comparison again; it knows ~."""
    return without_home(compare_command(comparison.folders))


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

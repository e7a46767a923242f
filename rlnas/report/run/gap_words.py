"""What gap/gap.json says: in sentences, and as the rows of its tables. Nothing is computed here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlnas.errors import RlnasError
from rlnas.report import text
from rlnas.runs.values import number, read_object

FILE = Path("gap") / "gap.json"
FORMAT = 1
REWARD = "search_objective"
GROUPS = (
    ("uniform", "Uniform architectures"),
    ("policy", "Architectures of the final policy"),
    ("all", "Both together"),
)
COLUMNS = (
    ("tau", "tau"),
    ("Spearman", "spearman"),
    ("tau, top \N{VULGAR FRACTION ONE QUARTER}", "top_tau"),
    ("Spearman, top \N{VULGAR FRACTION ONE QUARTER}", "top_spearman"),
    ("tau, equal FLOPs", "equal_flops_tau"),
)
REGRETS = (("regret", "regret"), ("regret to the optimum", "regret_to_optimum"))
Gap = Mapping[str, Any]


def read_gap(folder: Path) -> Gap | None:
    """Return gap.json of a run folder; None without one. Raises RlnasError if it is damaged or of another version."""
    path = folder / FILE
    if not path.is_file():
        return None
    found = read_object(path)
    if found.get("format") != FORMAT:
        raise RlnasError(f"{FILE.as_posix()} is of format {found.get('format')}, this version reads {FORMAT}")
    return found


def sentences(gap: Gap) -> list[str]:
    """Return what the measurement says, in plain words."""
    found = []
    for name, kind in (("uniform", "uniform architectures"), ("policy", "architectures of the final policy")):
        group = gap["groups"][name]
        count = group["truth"]["n"]
        if not count:
            continue
        reward = group["agreement"][REWARD]
        words = f"Over {count} {kind} the reward has Kendall's tau {value_text(reward['tau'])} with {_truth(gap)}"
        controls = [
            f"{label} alone {value_text(group['agreement'][key]['tau'])}"
            for key, label in (("flops", "FLOPs"), ("ridge", "a ridge on features"))
            if key in group["agreement"] and group["agreement"][key]["tau"]["value"] is not None
        ]
        words += f" ({'; '.join(controls)})." if controls else "."
        found.append(words + _verdict(reward["tau_minus_flops"]) + _regret(gap, reward))
    if not found:
        return ["No architecture has a known truth yet."]
    found.append("A tau of 1 is the same order, 0 no relation, -1 the reverse order.")
    return found


def _verdict(difference: Mapping[str, Any]) -> str:
    """Return a sentence on the reward against FLOPs, by the interval of the difference of their taus."""
    low, high = number(difference["low"]), number(difference["high"])
    if low is None or high is None:
        return ""
    if low > 0:
        return " The reward ranks better than FLOPs alone."
    if high < 0:
        return " FLOPs alone rank better than the reward."
    return " Whether it ranks better than FLOPs alone is not decided by so few."


def _regret(gap: Gap, reward: Mapping[str, Any]) -> str:
    first = number(reward["regret"].get("1"))
    if first is None:
        return ""
    if first == 0:
        return " The one with the highest reward is the best of them."
    amount = f"{100 * first:.2f} points" if is_share(gap) else f"{first:.4g}"
    return f" The one with the highest reward is {amount} below the best of them."


def _truth(gap: Gap) -> str:
    truth = gap["truth"]
    if truth["source"] == "table":
        return f"the scores in the table {truth['table']}"
    return f"the validation accuracy of each trained alone, epochs: {truth['epochs']:g}"


def how(gap: Gap) -> str:
    """Return how the numbers came about."""
    truth, statistics, versions = gap["truth"], gap["statistics"], gap["versions"]
    resamples, near = f"{statistics['resamples']:,}", f"{statistics['equal_flops_within']:.0%}"
    quarter = "\N{VULGAR FRACTION ONE QUARTER}"
    words = (
        f"tau: Kendall's tau-b. In brackets: {statistics['level']:.0%} percentile bootstrap, {resamples} resamples of "
        f"the architectures. Top {quarter}: the best quarter by truth. Equal FLOPs: pairs of which one has at most "
        f"{near} more. Regret: the best truth of the sample minus the best among the 1, 3, ... with the highest score. "
        "Reward: the objective on the images of the last round, which the controller saw; objective: on the whole "
        "validation split. Feature ridge: fitted to all other architectures."
    )
    if truth["source"] == "training":
        options = ", ".join(f"{key}={value}" for key, value in truth["options"].items() if key != "epochs")
        words += (
            f" Trained: {truth['known']} of {truth['asked']}, once each, all with the same batches, on the options of "
            f"{truth['recipe']} ({options}), in {text.duration(gap['seconds']['trainings'])} of one thread."
        )
        if truth["diverged"]:
            words += f" {truth['diverged']} diverged and count as 0."
    limits = gap["run"]["limits"] if gap["draw"]["within_limits"] else {}
    if limits:
        words += (
            f" Drawn within {', '.join(f'{name} of at most {text.quantity(most)}' for name, most in limits.items())}."
        )
    return f"{words} Seed {gap['draw']['seed']}; rlnas {versions['rlnas']}, torch {versions['torch']}."


def as_sentence(note: str) -> str:
    """Return the note with a capital letter and a full stop."""
    return note[:1].upper() + note[1:] + "."


def table(gap: Gap, name: str, heading: str) -> dict[str, Any]:
    """Return heading, head, rows and caption of the table of one group: predictors by statistics."""
    group = gap["groups"][name]
    predictors = [one for one in gap["predictors"] if one["same_as"] is None]
    first = group["agreement"][REWARD]
    ks = list(first["regret"])
    regrets = [(title, key) for title, key in REGRETS if key in first]
    rows = []
    for predictor in predictors:
        found = group["agreement"][predictor["key"]]
        cells = [value_text(found[key]) for _, key in COLUMNS]
        cells += [" / ".join(_difference(gap, found[key][k]) for k in ks) for _, key in regrets]
        rows.append([predictor["label"], *cells])
    equal = [one["label"] for one in gap["predictors"] if one["same_as"] == REWARD]
    about = group["truth"]
    caption = f"{about['n']} architectures, {first['top_tau']['n']} of them in the top quarter. "
    caption += f"Truth: {amount(gap, about['mean'])} on average"
    caption += f" (standard deviation {amount(gap, about['sd'])})" if about["sd"] is not None else ""
    caption += f", at best {amount(gap, about['best'])}."
    if equal:
        caption += f" The reward is the same as: {'; '.join(equal)}."
    unit = " (points)" if is_share(gap) else ""
    head = ["score", *(title for title, _ in COLUMNS)]
    head += [f"{title}{unit}, {'/'.join(ks)}" for title, _ in regrets]
    return {"heading": heading, "head": head, "rows": rows, "caption": caption}


def value_text(estimate: Mapping[str, Any]) -> str:
    """Return `0.62 [0.48, 0.73]`, with the number of pairs where they are counted, or none with the reason."""
    value = number(estimate["value"])
    if value is None:
        return f"none: {estimate['reason']}"
    low, high = number(estimate["low"]), number(estimate["high"])
    space = "\N{NO-BREAK SPACE}"  # a narrow cell is broken before the bracket only
    words = f"{value:.2f}" + ("" if low is None or high is None else f" [{low:.2f},{space}{high:.2f}]")
    return words + ("" if estimate["pairs"] is None else f", {estimate['pairs']:,}{space}pairs")


def is_share(gap: Gap) -> bool:
    """Whether the truth is an accuracy in 0..1 rather than a value in a table's unit."""
    return bool(gap["truth"]["source"] == "training")


def amount(gap: Gap, value: Any) -> str:
    """Return a truth in its unit."""
    if number(value) is None:
        return text.NONE
    return text.percent(value) if is_share(gap) else f"{value:.4g}"


def _difference(gap: Gap, value: Any) -> str:
    """Return a difference of two truths, of accuracies in percentage points."""
    if number(value) is None:
        return text.NONE
    return f"{100 * value:.1f}" if is_share(gap) else f"{value:.3g}"

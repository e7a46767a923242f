"""Under which conditions the runs were made, and how to make them and their comparison again."""

from collections import Counter
from importlib import metadata
from typing import Any

from rlnas.config.quoting import compare_command, quoted, without_home
from rlnas.report.comparison.results import Comparison
from rlnas.report.text import dataset

PACKAGES = ("rlnas", "numpy", "scipy", "pandas", "matplotlib")  # that this comparison was computed with


def protocol(comparison: Comparison) -> list[tuple[str, str]]:
    """What was compared under which conditions: (name, sentence)."""
    run = comparison.runs[0]
    size = run.result["space"].get("size")
    counts = Counter(len(group.runs) for group in comparison.groups)
    equal = len(counts) == 1
    n = str(next(iter(counts))) if equal else ", ".join(f"{g.label} {len(g.runs)}" for g in comparison.groups)
    rows = [("space", run.space_name + (f", {size} architectures" if size is not None else ""))]
    if run.table is not None:
        where = run.table.get("optimal_architecture")
        optimum = "not known" if comparison.optimum is None else f"{comparison.optimum:.7g}"
        rows += [("table", _table(run.table)), ("optimum", optimum + (f", of {where}" if where else ""))]
        rows += [("reward noise", _noise(comparison))]
    else:
        rows += [("data", dataset(str(run.result.get("dataset"))))]
    rows += [
        ("seeds" if equal else "runs", f"n = {n}" + (" for each controller" if equal else "")),
        ("budget", f"{comparison.budget:,} architectures scored, the most that all runs have"),
        ("what is observed", ", ".join(_settings(run.config)) or "not recorded"),
    ]
    if run.table is None:
        rows.append(("what decides", "accuracy of the retrained network on the test split, opened once by each run"))
        recipe = ", ".join(f"{key}={setting}" for key, setting in run.config.items() if key.startswith("retrain."))
        rows.append(("retraining", recipe or "not recorded"))
    return rows


def _table(table: dict[str, Any]) -> str:
    name = [str(table["name"])] if table.get("name") else []
    counts = [f"{table[key]:,} {key}" for key in ("architectures", "networks") if isinstance(table.get(key), int)]
    return ", ".join([*name, *counts, f"sha256 {table.get('sha256')}"])


def _noise(comparison: Comparison) -> str:
    noise = [run.noise for run in comparison.runs]
    if max(noise) < 1e-9:
        return "none: the observed value is the true score"
    mean = sum(noise) / len(noise)
    return f"observed minus true score has a standard deviation of {mean:.3g} over a run's queries"


def _settings(config: dict[str, Any]) -> list[str]:
    """What decides the observed value, but no paths."""
    tabular = config.get("evaluator.name") == "tabular"  # it has no options, but the table's columns
    shown = ("space" if tabular else "evaluator", "reward", "objective")
    return [
        f"{key}={setting}"
        for key, setting in config.items()
        if key.split(".")[0] in shown and key.split(".")[-1] != "path" and setting is not None
    ]


def command(comparison: Comparison) -> str:
    """The command that writes this comparison again; a shell expands its ~."""
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

"""What the runs have in common and in what they differ: labels of groups, and whether they may be compared."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rlnas.config.quoting import folder_name
from rlnas.config.schema import OPEN_GROUPS
from rlnas.errors import RlnasError
from rlnas.runs.reader import Run, number

# What changes no number that is compared, up to the common budget, or only says where things are.
FREE = (
    "name",
    "seed",
    "progress",
    "report",
    "resume",
    "architecture",
    "data.when_missing",
    "retrain.checkpoint_epochs",
    "select.references",
    "select.controls",
    "retrain.controls",
)
FREE_GROUPS = ("execution", "budget", "hydra")
AFTER_THE_SEARCH = ("select", "retrain")  # of no effect over a table
AUGMENTATION = ("crop", "flip", "cutout")  # of the training images: no other data
SHARING = ("sharing", "inherit")  # of the shared weights: no other architectures
GROWTH = "space.grow."  # how a search goes through the depths of a space


def group_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by label, sorted by seed.

    The label is the controller's name, with the keys in which runs of that name differ: `ppo
    learning_rate=0.001`. Raises RlnasError if a label has a seed twice.
    """
    groups: dict[str, list[Run]] = {}
    for name in sorted({run.controller for run in runs}):
        own = [run for run in runs if run.controller == name]
        for run, words in zip(own, differences([searched(run) for run in own]), strict=True):
            groups.setdefault(f"{name} {words}".rstrip(), []).append(run)
    for label, members in groups.items():
        members.sort(key=lambda run: run.seed)
        for one, other in pairwise(members):
            if one.seed == other.seed:
                raise RlnasError(
                    f"two runs of {label} with seed {one.seed}: {folder_name(one.folder)} and "
                    f"{folder_name(other.folder)}; the same run must not count twice, leave one of them out"
                )
    return dict(sorted(groups.items()))


def searched(run: Run) -> dict[str, Any]:
    """The part of the configuration that the compared numbers depend on, with dotted keys."""
    free = FREE_GROUPS if run.table is None else FREE_GROUPS + AFTER_THE_SEARCH
    return {
        key: value
        for key, value in run.config.items()
        if key not in FREE
        and key.split(".")[0] not in free
        and key.split(".")[-1] != "path"
        and key not in OPEN_GROUPS  # a group itself is a key where it has no entries
    }


def differences(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each configuration the keys that are not the same in all of them, as `key=value key=value`.

    A key is shown without its groups where its last part says enough.
    """
    keys = differing(configs)
    names = Counter(key.split(".")[-1] for key in keys)
    short = {key: key.split(".")[-1] if names[key.split(".")[-1]] == 1 else key for key in keys}
    return [" ".join(f"{short[key]}={_value(config, key)}" for key in keys) for config in configs]


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that are not the same in all configurations, sorted."""
    every = sorted({key for config in configs for key in config})
    return [key for key in every if len({_value(config, key) for config in configs}) > 1]


def other_differences(runs: Sequence[Run]) -> list[str]:
    """In what the runs differ besides controller and seed, as `key (value, value)`."""
    configs = [searched(run) for run in runs]
    keys = [key for key in differing(configs) if not key.startswith("controller.")]
    return [_named_values(configs, key) for key in keys]


def other_values(runs: Sequence[Run], prefix: str) -> list[str]:
    """The keys with this prefix that have different values, as `key (value, value)`.

    A run without a key was made before there was such a key, so that the key says nothing; but an entry of an open
    group, such as retrain.space.filters, is absent where it is not set, which is a value like others.
    """
    configs = [{key: value for key, value in searched(run).items() if key.startswith(prefix)} for run in runs]
    keys = [key for key in differing(configs) if _is_entry(key) or all(key in config for config in configs)]
    return [_named_values(configs, key) for key in keys]


def check_same_task(runs: Sequence[Run]) -> None:
    """Raise RlnasError unless all runs searched the same space with scores from the same table or data."""
    _check_same("spaces", [run.result["space"]["name"] for run in runs], "")
    spaces = differences([_group(run, "space") for run in runs])
    _check_same("spaces", spaces, f"{runs[0].result['space']['name']} ")
    _check_same("tables", [_table_name(run) for run in runs], "")
    if runs[0].table is None:
        _check_same("data sets", [str(run.result.get("dataset")) for run in runs], "")
        _check_same(
            "data sets", differences([_group(run, "data") for run in runs]), f"{runs[0].result.get('dataset')} "
        )
    optima = {run.optimum for run in runs}
    if len(optima) > 1:
        raise RlnasError(f"runs of one table name different optima ({optima}); was a result.json edited?")


def _is_entry(key: str) -> bool:
    """Whether the key is an entry of an open group."""
    return key.startswith(tuple(f"{group}." for group in OPEN_GROUPS))


def _named_values(configs: Sequence[Mapping[str, Any]], key: str) -> str:
    return f"{key} ({', '.join(dict.fromkeys(_value(config, key) for config in configs))})"


def _check_same(what: str, names: Sequence[str], prefix: str) -> None:
    counts = Counter(names)
    if len(counts) > 1:
        shown = ", ".join(f"{prefix}{name} ({count} run{'s' if count > 1 else ''})" for name, count in counts.items())
        raise RlnasError(f"runs of different {what}: {shown}; compare one at a time: give the folders of one only")


def _group(run: Run, name: str) -> dict[str, Any]:
    """The options of one group of the configuration that matter to the search."""
    keys = {key: value for key, value in searched(run).items() if key.split(".")[0] == name}
    return {
        key: value
        for key, value in keys.items()
        if key.split(".")[-1] not in AUGMENTATION + SHARING and not key.startswith(GROWTH)
    }


def _table_name(run: Run) -> str:
    return "none, trained children" if run.table is None else f"sha256 {str(run.table.get('sha256'))[:12]}"


def _value(config: Mapping[str, Any], key: str) -> str:
    """A value in a word: unset where the key is absent."""
    if key not in config:
        return "unset"
    value = config[key]
    amount = number(value)
    if amount is not None:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))

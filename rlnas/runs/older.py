"""Configurations of earlier versions in today's terms, so that their runs can be compared with new ones."""

from dataclasses import asdict
from typing import Any

from rlnas.config.spaces import GrowConfig, grow_cells

# options that came later, with the value that means as before
LATER: dict[str, dict[str, Any]] = {
    "child": {"average_epochs": 0.0},
    "search": {"sampling": "controller", "warmup_sampling": "uniform"},
    "select": {"halving": 1, "last_seeds": 1},
    "retrain": {"drop_path_schedule": "constant", "auxiliary": 0.0},
}
LATER_OF_SPACES: dict[str, dict[str, Any]] = {
    "nasrl": {"sharing": "operator", "grow": asdict(GrowConfig())},
    "nasrl_factored": {"grow": asdict(GrowConfig())},
    "nasnet": {"grow": asdict(grow_cells())},
    "darts": {"grow": asdict(grow_cells())},
}


def modernized(settings: dict[str, Any]) -> dict[str, Any]:
    """The nested configuration with an objective in place of reward.shape, with options that had one value only, and
    without options that had no effect, and with LATER.
    """
    found = dict(settings)
    reward = dict(found.get("reward") or {})
    if "objective" not in found and "shape" in reward:
        terms: dict[str, Any] = {str(reward.pop("shape")): 1.0}
        weight, target = reward.pop("skip_weight", 0.0), reward.pop("skip_target", None)
        if weight:
            terms["skip_divergence"] = {"weight": -weight, "target": target, "search_only": True}
        found |= {"objective": {"terms": terms, "limits": {}}, "reward": reward}
    evaluator = found.get("evaluator")
    if isinstance(evaluator, dict) and evaluator.get("name") == "tabular":
        found["evaluator"] = {"name": "tabular"}  # earlier it had the options of shared weights
    space = found.get("space")
    if isinstance(space, dict):
        found["space"] = {**LATER_OF_SPACES.get(str(space.get("name")), {}), **space}
    for group, values in LATER.items():
        if isinstance(found.get(group), dict):
            found[group] = {**values, **found[group]}
    return found

"""Configurations of earlier versions in today's terms, so that their runs can be compared with new ones."""

from typing import Any


def modernized(settings: dict[str, Any]) -> dict[str, Any]:
    """The nested configuration with an objective in place of reward.shape, with options that had one value only, and
    without options that had no effect; options of the selection that came later have the value that means as before.
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
    if isinstance(space, dict) and space.get("name") == "nasrl":
        found["space"] = {"sharing": "operator", **space}
    if isinstance(found.get("select"), dict):
        found["select"] = {"halving": 1, "last_seeds": 1, **found["select"]}
    return found

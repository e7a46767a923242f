"""Options of an algorithm's or a strategy's constructor, and their ranges."""

import inspect
import math
from typing import Any

from rlnas.errors import RlnasError

# low, high, whether low is excluded
_RANGES: dict[str, tuple[float, float, bool]] = {
    "learning_rate": (0, math.inf, True),
    "gamma": (0, 1, False),
    "gae_lambda": (0, 1, False),
    "ent_coef": (0, math.inf, False),
    "vf_coef": (0, math.inf, False),
    "clip_range": (0, math.inf, True),
    "max_grad_norm": (0, math.inf, True),
    "n_epochs": (1, math.inf, False),
    "n_steps": (1, math.inf, False),
    "batch_size": (2, math.inf, False),
    "baseline_decay": (0, 0.99999, False),
    "skip_weight": (0, math.inf, False),
    "target_kl": (0, math.inf, True),
    "buffer_size": (1, math.inf, False),
    "learning_starts": (0, math.inf, False),
    "train_freq": (1, math.inf, False),
    "target_update_interval": (1, math.inf, False),
    "exploration_fraction": (0, 1, True),
    "exploration_final_eps": (0, 1, False),
    "population": (1, math.inf, False),
    "sample": (1, math.inf, False),
    "eta": (2, math.inf, False),
    "rungs": (1, math.inf, False),
    "keep": (1, math.inf, False),
    "crossover_rate": (0, 1, False),
    "step_rate": (0, 1, False),
    "mutation_rate": (0, 1, False),
    "decision_rate": (0, 1, False),
    "exploration": (0, math.inf, False),
    "initial": (1, math.inf, False),
    "parents": (1, math.inf, False),
    "candidates": (1, math.inf, False),
    "memory": (2, math.inf, False),
    "beam": (1, math.inf, False),
    "beam_candidates": (1, math.inf, False),
    "height": (1, 12, False),
    "least": (1, math.inf, False),
    "refit": (1, math.inf, False),
    "tries": (1, math.inf, False),
    "order": (1, 2, False),
    "weight_decay": (0, math.inf, False),
    "max_identities": (0, math.inf, False),
    "temperature": (0, math.inf, True),
    "temperature_min": (0, math.inf, True),
    "temperature_epochs": (0, math.inf, True),
}
_WHOLE = (
    *("population", "sample", "eta", "rungs", "keep"),
    *("initial", "parents", "candidates", "memory", "beam", "beam_candidates"),
    *("height", "least", "refit", "tries", "order", "max_identities"),
)


def parameters(algorithm: Any) -> dict[str, inspect.Parameter]:
    """Return the keyword arguments of a constructor, with its parents' where it passes on **kwargs."""
    found: dict[str, inspect.Parameter] = {}
    for cls in algorithm.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(cls.__init__).parameters
        found.update({name: p for name, p in parameters.items() if name not in found})
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            break
    return found


def check_params(algorithm: Any, params: dict[str, Any]) -> None:
    """Raise RlnasError for a name that the constructor does not have, or a number outside its range."""
    accepted = parameters(algorithm)
    taken = {
        "self",
        "policy",
        "env",
        "space",
        "rng",
        "problem",
        "batch",
        "policy_kwargs",
        "seed",
        "kwargs",
        "_init_setup_model",
    }
    known = sorted(set(accepted) - taken)
    # a user's class that is none of these may give a name another meaning
    ranged = any(
        cls.__module__.startswith(("rlnas.", "stable_baselines3.", "sb3_contrib.")) for cls in algorithm.__mro__
    )
    for name, value in params.items():
        if name not in known:
            raise RlnasError(
                f"unknown key controller.params.{name}; {algorithm.__name__} has {', '.join(known) or 'none'}"
            )
        off = value is None and accepted[name].default is None  # e.g. target_kl of PPO
        if ranged and name in _RANGES and not off:
            low, high, above = _RANGES[name]
            number = isinstance(value, int if name in _WHOLE else (int, float)) and not isinstance(value, bool)
            if not number or not (low < value if above else low <= value) or not value <= high:
                kind = "a whole number" if name in _WHOLE else "a number"
                bounds = f"{'above' if above else 'at least'} {low:g}"
                if high < math.inf:
                    bounds += f", at most {high:g}"
                raise RlnasError(f"controller.params.{name} is {value}, expected {kind} {bounds}")

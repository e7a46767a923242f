"""Synthetic run folders for the comparison: the files that a finished search leaves, with invented scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

OPTIMUM = 93.1267


def write_run(
    folder: Path,
    observed: Sequence[float],
    *,
    controller: str = "ppo",
    seed: int = 0,
    score: Sequence[float] | None = None,
    seconds: Sequence[float] | None = None,
    codes: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    sha256: str = "686dee83" * 8,
    simulated: bool = True,
    finished: bool = True,
    test: float | None = None,
    valid: float | None = None,
    **result: Any,
) -> Path:
    """A run of a table if `score` is given, else of shared weights without even the column `score`.

    test, valid: accuracy of the retrained network of a run on images; None if there is none.
    settings: of the configuration, by dotted keys. result: entries of result.json that are other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n, tabular = len(observed), score is not None
    space = {"name": "nas_bench_macro"} if tabular else {"name": "nasrl", "layers": 6}
    config: dict[str, Any] = {
        "name": "test",
        "seed": seed,
        "progress": "off",
        "data": {"name": "digits", "path": None, "flip": True, "limit": 0},
        "space": space,
        "controller": {"name": controller, "params": {"learning_rate": 0.01}},
        "evaluator": {"name": "tabular" if tabular else "shared_weights"},
        "reward": {"shape": "accuracy"},
        "budget": {"architectures": n},
    }
    for key, value in (settings or {}).items():
        *groups, last = key.split(".")
        place = config
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    environment = {
        "config": config,
        "versions": {"python": "3.11", "rlnas": "0.1.0", "torch": "2.13.0"},
        "arguments": ["+experiment=test", f"controller={controller}", f"seed={seed}"],
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    head = ["index", "round", "architecture", "code", "reward", "accuracy", "params", "flops", "seconds", "cached"]
    lines = [",".join(head + (["score"] if tabular else []))]
    for index in range(n):
        code = index if codes is None else codes[index]
        spent = 100.0 if seconds is None else seconds[index]
        row = [index, 1, f"a{code}", code, observed[index], observed[index], 10, 20, spent, 0]
        lines.append(",".join(map(str, row + ([score[index]] if score is not None else []))))
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    table = {
        "sha256": sha256,
        "architectures": 6561,
        "networks": 3969,
        "optimum": OPTIMUM,
        "optimal_architecture": "22212202",
        "simulated_seconds": simulated,
    }
    record: dict[str, Any] = {
        "space": {"name": space["name"], "size": "6561", "options": {}},
        "controller": controller,
        "evaluator": config["evaluator"]["name"],
        "dataset": "cifar10" if tabular else "digits",
        "seed": seed,
        "children_evaluated": n,
        "children_unique": n,
        "stopped_by": "budget.architectures",
        "best": {"architecture": "a0", "code": "0", "valid_accuracy": valid, "test_accuracy": test},
        "table": table if tabular else None,
        **result,
    }
    if finished:
        (folder / "result.json").write_text(json.dumps(record))
    return folder


def write_sweep(
    root: Path,
    controllers: Mapping[str, float],
    *,
    seeds: int = 6,
    n: int = 60,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Path:
    """A sweep folder of tabular runs. controllers: name to how fast it learns, 0 as random search.

    settings: by name, as of `write_run`. A name may have a suffix after a slash, for a second setting.
    """
    for place, (name, speed) in enumerate(controllers.items()):
        for seed in range(seeds):
            rng = np.random.default_rng([place, seed])
            spread = 2.5 * np.exp(-speed * np.arange(n) / n)
            below = np.abs(spread * rng.standard_normal(n)) + 0.1 * spread
            score = OPTIMUM - below
            observed = score + 0.02 * rng.standard_normal(n)
            write_run(
                root / f"{place * seeds + seed}_{name.replace('/', '_')}_s{seed}",
                observed.round(4).tolist(),
                controller=name.partition("/")[0],
                seed=seed,
                score=score.round(4).tolist(),
                seconds=(1000 + 500 * rng.random(n)).round(2).tolist(),
                codes=rng.integers(0, 400, n).tolist(),
                settings=(settings or {}).get(name),
                **options,
            )
    return root

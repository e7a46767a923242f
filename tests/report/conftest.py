"""A synthetic run folder: real architectures of a real space, invented scores."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rlnas.config.build import build_space_config
from rlnas.networks.graph import cost
from rlnas.spaces import make_space

IMAGES: dict[str, Any] = {"channels": 3, "size": 32, "classes": [f"class{i}" for i in range(10)]}
ROUND_COLUMNS = (
    "round,epoch,child_loss,learning_rate,architectures,reward_mean,accuracy_mean,accuracy_best,"
    "random_accuracy_mean,random_reward_mean,entropy,skip_rate,skip_penalty_mean,seconds_child,seconds_evaluation,"
    "seconds_controller,seconds_rest"
)


def _policy_sample(space: Any, rng: np.random.Generator, progress: float) -> tuple[int, ...]:
    """A sample that turns from uniform to one that likes low indices and few skips."""
    values = []
    for count in space.choices:
        weight = np.exp(-3 * progress * np.arange(count))
        values.append(int(rng.choice(count, p=weight / weight.sum())))
    return tuple(values)


def build_run(
    folder: Path,
    *,
    space: dict[str, Any] | None = None,
    rounds: int = 12,
    per_round: int = 20,
    control: bool = True,
    retrain: int = 10,
    cubed: bool = False,
    overrides: tuple[str, ...] = ("+experiment=nasrl_cifar", "seed=3", "data.path=data/cifar 10", "resume=old"),
    **changes: Any,
) -> Path:
    """Write a run folder; `changes` replace entries of result.json."""
    options = space or {"name": "nasrl", "layers": 8}
    searched = make_space(build_space_config(options))
    rng = np.random.default_rng(0)
    (folder / "best").mkdir(parents=True)
    (folder / ".hydra").mkdir()
    history = ["index,round,architecture,code,reward,accuracy,params,flops,seconds,cached"]
    table, top, scored = [ROUND_COLUMNS], 0.0, []
    for number in range(1, rounds + 1):
        progress = (number - 1) / 12
        batch = []
        for _ in range(per_round):
            architecture = _policy_sample(searched, rng, progress)
            graph = searched.graph(architecture, image_channels=3, image_size=32, classes=10)
            accuracy = round(float(np.clip(0.35 + 0.35 * progress + 0.04 * rng.standard_normal(), 0, 1)), 4)
            reward = round(accuracy**3, 6) if cubed else accuracy
            costs, text = cost(graph), searched.text(architecture)
            row = (len(scored), number, text, searched.rank(architecture), reward, accuracy, costs.params, costs.flops)
            history.append(",".join(map(str, row)) + ",0.031,0")
            batch.append(accuracy)
            scored.append((accuracy, text, str(searched.rank(architecture)), costs))
        top = max(top, *batch)
        mean = float(np.mean(batch))
        random = f"{mean - 0.1 * progress:.4f},{(mean - 0.1 * progress) ** (3 if cubed else 1):.4f}" if control else ","
        mean_reward = mean**3 if cubed else mean
        skip_rate = f"{0.5 - 0.4 * progress:.3f}" if searched.skip_bits else ""
        table.append(
            f"{number},{number},{2.2 - progress:.4f},0.05,{len(scored)},{mean_reward:.4f},{mean:.4f},{top:.4f},"
            f"{random},{1 - 0.7 * progress:.3f},{skip_rate},0.0,20.0,6.0,1.5,0.2"
        )
    ranked = sorted(scored, key=lambda entry: -entry[0])[:10]
    if not ranked:
        architecture = _policy_sample(searched, rng, 0.3)
        graph = searched.graph(architecture, image_channels=3, image_size=32, classes=10)
        ranked = [(0.5, searched.text(architecture), str(searched.rank(architecture)), cost(graph))]
    accuracy, text, code, costs = ranked[0]
    result: dict[str, Any] = {
        "name": "nasrl_cifar",
        "space": {"name": options["name"], "size": str(searched.size), "options": options},
        "controller": "ppo",
        "evaluator": "shared_weights",
        "dataset": "cifar10",
        "dataset_note": None,
        "images": IMAGES,
        "seed": 3,
        "best": {
            "architecture": text,
            "code": code,
            "search_accuracy": accuracy if rounds else None,
            "valid_accuracy": 0.9312 if retrain else None,
            "test_accuracy": 0.9268 if retrain else None,
            "params": costs.params,
            "flops": costs.flops,
        },
        "candidates": [
            {
                "architecture": name,
                "code": number,
                "accuracy": value - 0.01,
                "source": "policy" if place % 3 else "history",
                "params": price.params,
                "flops": price.flops,
            }
            for place, (value, name, number, price) in enumerate(ranked)
        ]
        if rounds
        else [],
        "children_evaluated": len(scored),
        "children_unique": max(len(scored) - 3, 0),
        "seconds": {
            "data": 4.2,
            "warmup": 0.0,
            "child": 20.0 * rounds,
            "evaluation": 6.0 * rounds,
            "controller": 1.5 * rounds,
            "select": 8.1,
            "retrain": 14.0 * retrain,
            "rest": 0.2 * rounds,
            "total": 27.7 * rounds + 14.0 * retrain + 12.3,
        },
        "stopped_by": "budget.rounds" if rounds else None,
        "resumed": 1 if rounds else 0,
    }
    result.update(changes)
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "best" / "architecture.json").write_text(searched.to_json(searched.parse(text)))
    if rounds:
        (folder / "history.csv").write_text("\n".join(history) + "\n")
        (folder / "rounds.csv").write_text("\n".join(table) + "\n")
    if retrain:
        (folder / "best" / "model.safetensors").write_bytes(b"")
        lines = ["epoch,loss,learning_rate,valid_accuracy"] + [
            f"{epoch},{2.2 / epoch**0.7:.4f},0.1,{0.9312 - 0.5 / epoch**1.2 + 0.5 / retrain**1.2:.4f}"
            for epoch in range(1, retrain + 1)
        ]
        (folder / "retrain.csv").write_text("\n".join(lines) + "\n")
    config = {"name": "nasrl_cifar", "seed": 3, "space": options, "retrain": {"epochs": retrain, "space": {}}}
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    environment = {"python": "3.12.3", "versions": {"torch": "2.13.0", "numpy": "2.3"}, "device": "cpu", "threads": 2}
    (folder / "environment.json").write_text(json.dumps(environment))
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Build a run folder `run` (or `name`) below tmp_path; see build_run."""

    def make(name: str = "run", **options: Any) -> Path:
        return build_run(tmp_path / name, **options)

    return make

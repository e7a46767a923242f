"""Is the speed of a search over a table limited by its policy, or by rlnas?

    python -m benchmarks.tabular --path nas-bench-macro_cifar10.json --architectures 1000

For each controller: architectures/s of a whole run on NAS-Bench-Macro (one process, after the imports), and the
share of its time in the controller. Then PPO's run, without self-imitation, against the same PPO on a minimal
environment of the table: medians over repeats, alternating. Last line: one JSON object.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

import rlnas
from benchmarks.machine import describe
from rlnas.config.spaces import NasBenchMacroConfig
from rlnas.runs.environment import read_environment
from rlnas.tabular import read_benchmark

CONTROLLERS = ("ppo", "a2c", "trpo", "reinforce", "random", "evolution", "local_search", "genetic")


class Minimal(gymnasium.Env[NDArray[np.float32], int]):
    """Eight steps with one of three actions; the observation has the one-hot actions so far; nothing is recorded."""

    def __init__(self, observed: NDArray[np.float64]):
        self.observed = observed
        self.observation_space = gymnasium.spaces.Box(0, 1, (32,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3)
        self.rng = np.random.default_rng(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode without actions."""
        self.state = np.zeros(32, np.float32)
        self.step_number, self.code = 0, 0
        self.state[24] = 1
        return self.state.copy(), {}

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Choose one layer."""
        self.state[3 * self.step_number + int(action)] = 1
        self.state[24:] = 0
        self.code = 3 * self.code + int(action)
        self.step_number += 1
        if self.step_number < 8:
            self.state[24 + self.step_number] = 1
            return self.state.copy(), 0.0, False, False, {}
        return self.state.copy(), float(self.observed[self.code, self.rng.integers(3)]) / 100, True, False, {}


def run(path: Path, controller: str, architectures: int, *more: str) -> dict[str, Any]:
    """Run rlnas; return result.json, with the wall time of the call as `wall`, in seconds, and its `config`."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        made = rlnas.run(
            [
                "+experiment=nas_bench_macro",
                f"space.path={path}",
                f"controller={controller}",
                f"budget.architectures={architectures}",
                f"hydra.run.dir={folder}/run",
                "progress=off",
                *more,
            ]
        )
        wall = time.perf_counter() - began
        record = read_environment(made)
        assert record is not None
        return {**rlnas.load_result(made), "wall": wall, "config": record["config"]}


def minimal(config: dict[str, Any], observed: NDArray[np.float64], architectures: int) -> float:
    """Return the seconds of the same PPO on the minimal environment."""
    controller = config["controller"]
    envs = DummyVecEnv([lambda: Minimal(observed)] * controller["episodes"])
    params = {"n_steps": 8, "batch_size": 8 * controller["episodes"], "device": "cpu", **controller["params"]}
    began = time.perf_counter()
    PPO("MlpPolicy", envs, seed=0, policy_kwargs=controller["policy_params"], **params).learn(8 * architectures)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, required=True, help="NAS-Bench-Macro's file, or its folder")
    parser.add_argument("--architectures", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    observed = read_benchmark(NasBenchMacroConfig(path=str(arguments.path))).observed
    run(arguments.path, "ppo", 20)  # imports
    table = Table(title=f"{arguments.architectures} architectures of NAS-Bench-Macro, one run each")
    for column in ("controller", "architectures/s", "in the controller"):
        table.add_column(column, justify="left" if column == "controller" else "right")
    shares = {}
    for controller in CONTROLLERS:
        found = run(arguments.path, controller, arguments.architectures)
        shares[controller] = found["seconds"]["controller"] / found["wall"]
        table.add_row(controller, f"{arguments.architectures / found['wall']:.0f}", f"{shares[controller]:.1%}")
    Console(width=100).print(table)
    ours, theirs = [], []
    for _ in range(arguments.repeats):
        # the other side has no self-imitation
        found = run(arguments.path, "ppo", arguments.architectures, "controller.imitation.weight=0")
        ours.append(found["wall"])
        theirs.append(minimal(found["config"], observed, arguments.architectures))
    ratio = median(ours) / median(theirs)
    print(f"ppo: {median(ours):.2f} s here, {median(theirs):.2f} s on the least environment, ratio {ratio:.3f}")
    print(describe())
    print(json.dumps({"ppo_vs_minimal": round(ratio, 3), "ppo_share_in_controller": round(shares["ppo"], 3)}))


if __name__ == "__main__":
    main()

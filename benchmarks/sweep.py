"""The same sweep for every controller: equally many settings, same tables and seeds; results are from fresh seeds.

    python -m benchmarks.sweep --dry-run                               # how many searches, nothing run
    python -m benchmarks.sweep --held-out nas-bench-macro_cifar10.json # hours; resume with the same command
    python -m benchmarks.sweep --controllers ppo evolution --tables trap unequal --seeds 10

1. Every setting of GRIDS searches every synthetic table with seeds 0 to SEEDS - 1.
2. For each controller the setting with the least mean regret is chosen: the regret is divided by the table's spread
   (optimum minus median score, so that 1 is a median architecture), then averaged over checkpoints and tables.
3. The chosen settings, and the defaults of conf/controller/, search every table, and the held-out one, with fresh seeds
   from FRESH_FROM on. Only these numbers compare controllers; the held-out table is not used for the choice.

Writes to --out: parts/ (one file for each setting and table; finished ones are kept unless code, versions, table,
setting or seeds changed), tuning.csv, chosen.json, fresh.csv. No number depends on the number of workers.
"""

import argparse
import copy
import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

import rlnas
from benchmarks.bare import bare_search, regrets
from benchmarks.machine import describe
from benchmarks.synthetic import TABLES, synthetic_space
from rlnas.cli import CONF
from rlnas.config.build import build_config
from rlnas.config.plain_data import to_dict
from rlnas.config.schema import ControllerConfig
from rlnas.config.spaces import NasBenchMacroConfig
from rlnas.files import write_json, write_text
from rlnas.spaces import TableSpace
from rlnas.tabular import read_benchmark

CHECKPOINTS = (50, 100, 200, 300)  # architectures
FRESH_FROM = 100_000  # the first fresh seed
SETTINGS = 8  # of each controller

ON_POLICY = {"params.ent_coef": (0.01, 0.05), "imitation.weight": (0.0, 0.1)}
VALUE = {"params.learning_rate": (0.001, 0.003), "params.train_freq": (1, 2), "params.exploration_fraction": (0.3, 0.5)}
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "ppo": {"episodes": (5, 8), **ON_POLICY},
    "maskable_ppo": {"episodes": (5, 8), **ON_POLICY},
    "a2c": {"params.learning_rate": (0.003, 0.01), **ON_POLICY},
    "trpo": {"params.target_kl": (0.02, 0.05), "episodes": (5, 10), "imitation.weight": (0.0, 0.1)},
    "recurrent_ppo": {"params.learning_rate": (0.001, 0.003), "params.ent_coef": (0.01, 0.05), "episodes": (5, 10)},
    "reinforce": {"params.learning_rate": (0.005, 0.01), **ON_POLICY},
    "dqn": VALUE,
    "qrdqn": VALUE,
    "evolution": {"params.population": (10, 25, 50, 100), "params.sample": (5, 10)},
    "genetic": {"params.population": (10, 20), "params.mutation_rate": (0.4, 0.8), "params.decision_rate": (0.05, 0.2)},
    "surrogate": {
        "params.acquisition": ("thompson", "bound"),
        "params.repeats": (False, True),
        "params.predictor": ("gp", "ridge"),
    },
    "pnas": {
        "params.acquisition": ("mean", "bound"),
        "params.repeats": (False, True),
        "params.predictor": ("gp", "ridge"),
    },
    "lanas": {"params.height": (5, 7), "params.initial": (10, 20), "params.exploration": (0.1, 0.3)},
    "optuna": {
        "params.sampler": ("TPESampler", "NSGAIISampler"),
        "params.repeats": ("neighbour", "random"),
        "episodes": (1, 5),
    },
    "local_search": {"episodes": (1, 2, 3, 4, 5, 6, 8, 10)},  # it has no other option
}
CODE = (
    "controllers",
    "envs",
    "evaluators",
    "search",
    "spaces",
    "tabular",
)  # of rlnas: what a search over a table computes with
FILES = ("objective.py", "seeding.py")
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "stable-baselines3", "sb3-contrib", "gymnasium", "optuna")


@dataclass(frozen=True)
class Part:
    """Searches of one setting on one table, with several seeds. config: the group `controller` as plain data."""

    file: Path
    controller: str
    setting: str
    config: dict[str, Any]
    table: str
    held_out: str | None
    seeds: tuple[int, ...]
    checkpoints: tuple[int, ...]

    def key(self) -> dict[str, Any]:
        """Return everything that the results depend on."""
        return {
            "config": self.config,
            "table": space_of(self.table, self.held_out).benchmark.sha256,
            "seeds": list(self.seeds),
            "checkpoints": list(self.checkpoints),
            "code": code_digest(),
            "versions": {name: metadata.version(name) for name in PACKAGES},
        }


def main() -> None:
    arguments = parse()
    held_out = arguments.held_out
    tuning = tuning_parts(arguments)
    fresh_tables = [*arguments.tables, *(["held_out"] if held_out else [])]
    searches = sum(len(part.seeds) for part in tuning)
    more = (2 * len(arguments.controllers) + 1) * len(fresh_tables) * arguments.fresh_seeds
    print(f"{searches:,} searches to choose settings, at most {more:,} with fresh seeds", flush=True)
    if arguments.dry_run:
        return
    done = run_parts(tuning, arguments.workers)
    rows = pd.DataFrame([row(part, regret) for part, regret in zip(tuning, done, strict=True)])
    write_text(arguments.out / "tuning.csv", rows.to_csv(index=False, lineterminator="\n"))
    chosen = choose(rows)
    write_json(arguments.out / "chosen.json", chosen)
    for controller, setting in chosen.items():
        print(f"chosen for {controller}: {setting or 'it has no options'}")
    parts = fresh_parts(arguments, chosen, fresh_tables)
    done = run_parts(parts, arguments.workers)
    fresh = pd.DataFrame([row(part, regret) for part, regret in zip(parts, done, strict=True)])
    write_text(arguments.out / "fresh.csv", fresh.to_csv(index=False, lineterminator="\n"))
    for table in fresh_tables:
        show(fresh[fresh["table"] == table], table)
    print(describe())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/sweep"))
    parser.add_argument("--controllers", nargs="+", choices=GRIDS, default=list(GRIDS))
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES), help="that choose the settings")
    parser.add_argument(
        "--held-out", help="NAS-Bench-Macro's file, or its folder: searched with the chosen settings only"
    )
    parser.add_argument("--seeds", type=int, default=20, help="that choose the settings, >= 1")
    parser.add_argument("--fresh-seeds", type=int, default=50, help="that are reported, >= 2")
    parser.add_argument("--checkpoints", type=int, nargs="+", default=list(CHECKPOINTS), help="architectures")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args()
    if not 1 <= arguments.seeds <= FRESH_FROM or arguments.fresh_seeds < 2:
        parser.error(f"--seeds is 1 to {FRESH_FROM:,}, --fresh-seeds at least 2")
    return arguments


# -- what is searched ----------------------------------------------------------------------------------


def settings_of(controller: str) -> list[str]:
    """Return every setting of a controller's grid, as overrides of its group: `episodes=5 params.ent_coef=0.01`."""
    grid = GRIDS[controller]
    return [" ".join(f"{key}={value}" for key, value in zip(grid, one, strict=True)) for one in product(*grid.values())]


def controller_config(controller: str, setting: str = "") -> dict[str, Any]:
    """Return the group `controller` of conf/ with these overrides, as plain data."""
    config = copy.deepcopy(_default(controller))
    for item in setting.split():
        key, _, value = item.partition("=")
        *groups, last = key.split(".")
        place = config
        for group in groups:
            place = place[group]
        kind = type(place[last])
        place[last] = (
            value.lower() == "true" if kind is bool else kind(value)
        )  # KeyError for an option that the default does not name
    return config


def typed(values: dict[str, Any]) -> ControllerConfig:
    """Return the checked options of a controller for a search over a table."""
    search = {"warmup_epochs": 0, "epochs_per_round": 0, "random_control": 0}
    whole = {"space": {"name": "nas_bench_macro"}, "evaluator": {"name": "tabular"}, "search": search}
    return build_config({**whole, "controller": values}).controller


@lru_cache(maxsize=32)
def _default(controller: str) -> dict[str, Any]:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        composed = compose("config", ["+experiment=nas_bench_macro", f"controller={controller}"])
    values: dict[str, Any] = to_dict(build_config(composed).controller)
    return values


def tuning_parts(arguments: argparse.Namespace) -> list[Part]:
    """Return all settings on all synthetic tables, with the seeds for the choice."""
    return [
        Part(
            arguments.out / "parts" / "tuning" / table / f"{controller}_{number}.json",
            controller,
            setting,
            controller_config(controller, setting),
            table,
            None,
            tuple(range(arguments.seeds)),
            tuple(arguments.checkpoints),
        )
        for controller in arguments.controllers
        for number, setting in enumerate(settings_of(controller))
        for table in arguments.tables
    ]


def fresh_parts(arguments: argparse.Namespace, chosen: dict[str, str], tables: Sequence[str]) -> list[Part]:
    """Return the chosen settings, the defaults where they differ, and random search, with fresh seeds."""
    wanted = [(controller, setting, controller_config(controller, setting)) for controller, setting in chosen.items()]
    for controller, _, config in list(wanted):
        default = controller_config(controller)
        if default != config:
            wanted.append((controller, "default", default))
    wanted.append(("random", "default", controller_config("random")))
    return [
        Part(
            arguments.out
            / "parts"
            / "fresh"
            / table
            / f"{controller}_{'default' if setting == 'default' else 'chosen'}.json",
            controller,
            setting,
            config,
            table,
            arguments.held_out if table == "held_out" else None,
            tuple(range(FRESH_FROM, FRESH_FROM + arguments.fresh_seeds)),
            tuple(arguments.checkpoints),
        )
        for controller, setting, config in wanted
        for table in tables
    ]


@lru_cache(maxsize=16)
def space_of(table: str, held_out: str | None) -> TableSpace:
    """Return the synthetic table of that name, or NAS-Bench-Macro from the path `held_out`."""
    return (
        synthetic_space(table)
        if held_out is None
        else TableSpace("nas_bench_macro", read_benchmark(NasBenchMacroConfig(path=held_out)))
    )


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the SHA-256 of the source code of a search over a table, and of this benchmark's."""
    package = Path(rlnas.__file__).parent
    paths = [path for folder in CODE for path in (package / folder).rglob("*.py")] + [package / name for name in FILES]
    paths += [Path(__file__).parent / name for name in ("bare.py", "synthetic.py")]
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


# -- searching -----------------------------------------------------------------------------------------


def run_parts(parts: Sequence[Part], workers: int) -> list[list[list[float]]]:
    """Return the regrets (seeds, checkpoints) of each part, in order; compute those that are not on disk."""
    missing = [part for part in parts if kept(part) is None]
    print(f"{len(parts) - len(missing)} of {len(parts)} parts are there", flush=True)
    if workers == 1:
        for part in missing:
            run_part(part)
    elif missing:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            jobs = {pool.submit(run_part, part): part for part in missing}
            for number, job in enumerate(as_completed(jobs), 1):
                job.result()
                part = jobs[job]
                print(f"{number}/{len(missing)}: {part.table} {part.controller} {part.setting}", flush=True)
    return [kept(part) or [] for part in parts]


def kept(part: Part) -> list[list[float]] | None:
    """Read the regrets of a finished part; None if it does not exist or is from other code, seeds or options."""
    try:
        found = json.loads(part.file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    regret: list[list[float]] = found["regret"]
    return regret if found["key"] == json.loads(json.dumps(part.key())) else None


def run_part(part: Part) -> None:
    """Search with every seed of the part, on one thread, and write its file."""
    config = typed(part.config)
    space = space_of(part.table, part.held_out)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        searches = [bare_search(space, config, architectures=max(part.checkpoints), seed=seed) for seed in part.seeds]
    finally:
        torch.set_num_threads(threads)
    regret = [regrets(space, observed, true, part.checkpoints) for observed, true in searches]
    write_json(part.file, {"key": part.key(), "regret": regret})


# -- what came of it -----------------------------------------------------------------------------------


def row(part: Part, regret: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return the mean regret in spreads of the table, and its standard error, at each checkpoint."""
    benchmark = space_of(part.table, part.held_out).benchmark
    values = np.array(regret) / (benchmark.optimum - float(np.median(benchmark.score)))  # (seeds, checkpoints)
    errors = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(values.shape[1], np.nan)
    numbers: dict[str, Any] = {}
    for place, mean, error in zip(part.checkpoints, values.mean(axis=0), errors, strict=True):
        numbers |= {f"regret_{place}": float(mean), f"error_{place}": float(error)}
    named = {"controller": part.controller, "setting": part.setting, "table": part.table, "n": len(values)}
    return {**named, "regret": float(values.mean()), **numbers}


def choose(rows: pd.DataFrame) -> dict[str, str]:
    """Return each controller's setting with the least regret, averaged over tables; the first in case of a tie."""
    means = rows.groupby(["controller", "setting"], sort=False)["regret"].mean()
    return {str(name): str(means[name].idxmin()) for name in dict.fromkeys(rows["controller"])}


def show(rows: pd.DataFrame, table: str) -> None:
    """Print the results of each controller on one table, best first."""
    places = [name.removeprefix("regret_") for name in rows.columns if name.startswith("regret_")]
    shown = Table(title=f"{table}: regret in spreads of the table, mean ± standard error over fresh seeds")
    for name in ("controller", "setting", "n", *places):
        shown.add_column(name, justify="left" if name in ("controller", "setting") else "right")
    for _, one in rows.sort_values(f"regret_{places[-1]}", kind="stable").iterrows():
        cells: Iterable[str] = (f"{one[f'regret_{place}']:.4f} ± {one[f'error_{place}']:.4f}" for place in places)
        shown.add_row(one["controller"], one["setting"], str(one["n"]), *cells)
    Console(width=170).print(shown)


if __name__ == "__main__":
    main()

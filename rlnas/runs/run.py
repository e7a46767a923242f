"""A finished run of any space and evaluator, as its folder records it."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rlnas.config.build import build_space_config
from rlnas.config.plain_data import flatten
from rlnas.networks.graph import Graph, cost
from rlnas.runs.tables import EFFORT
from rlnas.runs.values import number
from rlnas.spaces import Space, make_space
from rlnas.spaces.diagram import Diagram

PHASES = ("data", "warmup", "child", "evaluation", "controller", "select", "retrain")  # then others, then rest
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder.

    folder: as it was given. result: result.json. history, rounds, retrain: the tables, with every column of
    rlnas.runs.tables and no rows where the file is absent; an unknown number is NaN. settings: the composed
    configuration, nested, empty if it is not recorded; composed: its YAML text. overrides: what the user typed
    after `python -m rlnas`. environment: environment.json, empty if absent. weights: whether the found
    network's weights are in the folder. architecture_weights: of a gradient search, in every round the weight of each
    alternative of each choice; no rows for other controllers. A run of n scored architectures has n rows of history.
    """

    folder: Path
    result: dict[str, Any]
    history: pd.DataFrame
    rounds: pd.DataFrame
    retrain: pd.DataFrame
    settings: dict[str, Any]
    composed: str
    overrides: list[str]
    environment: dict[str, Any]
    weights: bool
    architecture_weights: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __len__(self) -> int:
        return len(self.history)

    # -- what was asked for --------------------------------------------------------------------------

    @property
    def controller(self) -> str:
        """Name of the controller; empty if it is not recorded."""
        return str(self.result.get("controller") or "")

    @property
    def seed(self) -> int:
        """The seed; `discover.comparable` makes sure that it is recorded."""
        return int(self.result["seed"])

    @property
    def evaluator(self) -> str:
        """Name of the evaluator; empty if it is not recorded."""
        return str(self.result.get("evaluator") or "")

    @property
    def shares_weights(self) -> bool:
        """Whether accuracies of the search are those with shared weights."""
        return self.evaluator in ("shared_weights", "surrogate")

    @property
    def space_name(self) -> str:
        """Name of the space, for a user's own its dotted path."""
        return str(self.result["space"]["name"])

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration with dotted keys."""
        return flatten(self.settings)

    @property
    def objective(self) -> dict[str, Any]:
        """What the run maximized: its terms and limits; empty if it is not recorded."""
        return self.result.get("objective") or self.settings.get("objective") or {}

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that the run used."""
        return {str(key): str(value) for key, value in (self.environment.get("versions") or {}).items()}

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line arguments; empty if they are not recorded."""
        return tuple(str(item) for item in self.environment.get("arguments") or ())

    @property
    def threads(self) -> int | None:
        """Number of threads of the search; None if it is not recorded."""
        execution = self.environment.get("execution")
        if isinstance(execution, dict) and isinstance(execution.get("search"), dict):
            execution = execution["search"]  # one record for each phase; older runs have one for all
        threads = execution.get("threads") if isinstance(execution, dict) else None
        return threads if isinstance(threads, int) else None

    @property
    def table(self) -> dict[str, Any] | None:
        """What result.json says of the table that gave the scores; None if there was none."""
        table = self.result.get("table")
        return table if isinstance(table, dict) else None

    @property
    def optimum(self) -> float | None:
        """The best score of the table, in its units; None if it is not known."""
        return number((self.table or {}).get("optimum"))

    @property
    def images(self) -> tuple[Any, ...]:
        """What decides which images are in the training, validation and test split; equal for equal splits."""
        data = tuple(sorted((key, str(value)) for key, value in self.config.items() if key.startswith("data.")))
        return (self.seed, self.result.get("dataset"), self.result.get("dataset_note"), data)

    # -- how the search went -------------------------------------------------------------------------

    @cached_property
    def incumbents(self) -> NDArray[np.int64]:
        """Row of the architecture with the highest reward within the objective's limits among the first 1..n: (n,).

        Where trainings alone had different lengths, of the longest trained ones.
        """
        rewards = self.history["reward"].to_numpy(dtype=float)
        for name, most in (self.objective.get("limits") or {}).items():
            if name in self.history:  # an unknown cost is not within its limit, as in rlnas.objective
                rewards = np.where(self.history[name].to_numpy(dtype=float) <= float(most), rewards, -np.inf)
        if EFFORT in self.history and np.isfinite(rewards).any():
            efforts = np.where(np.isfinite(rewards), self.history[EFFORT].fillna(0.0).to_numpy(dtype=float), -1.0)
            _, places = np.unique(np.stack([efforts, rewards], axis=1), axis=0, return_inverse=True)
            rewards = places.reshape(-1).astype(float)  # longest trained first, then by reward
        return incumbents(rewards)

    @cached_property
    def score(self) -> Floats:
        """True score, or without a table the accuracy, of the incumbent after 1..n architectures: (n,)."""
        column = "accuracy" if self.table is None else "score"
        return self.history[column].to_numpy(dtype=float)[self.incumbents]

    @cached_property
    def seconds(self) -> Floats:
        """Evaluation seconds up to and including each architecture: (n,)."""
        return np.cumsum(self.history["seconds"].fillna(0.0).to_numpy(dtype=float))

    @cached_property
    def different(self) -> NDArray[np.int64]:
        """How many different architectures are among the first 1..n: (n,)."""
        return np.cumsum(~self.history["architecture"].duplicated().to_numpy())

    @cached_property
    def noise(self) -> float:
        """Standard deviation of observed minus true value, in the table's units; NaN without true values."""
        if self.table is None:
            return float("nan")
        return float((self.history["accuracy"] - self.history["score"]).to_numpy(dtype=float).std())

    def phases(self) -> dict[str, float]:
        """Seconds of each phase that took any time, in the order of PHASES, without the total."""
        seconds = self.result.get("seconds") or {}
        names = [*PHASES, *(key for key in seconds if key not in (*PHASES, "rest", "total")), "rest"]
        values = {key: number(seconds.get(key)) for key in names}
        return {key: value for key, value in values.items() if value is not None and value >= 0.05}

    # -- what was found ------------------------------------------------------------------------------

    @property
    def best(self) -> dict[str, Any] | None:
        """The found architecture's record; None if the run found none."""
        return self.result.get("best") or None

    def accuracy_of(self, split: str) -> float | None:
        """Accuracy, 0..1, of the retrained network on the split `valid` or `test`; None if none was retrained."""
        return number((self.best or {}).get(f"{split}_accuracy"))

    @property
    def retrained(self) -> bool:
        """Whether the found network was trained from scratch."""
        return len(self.retrain) > 0 or self.accuracy_of("valid") is not None

    @property
    def retrainable(self) -> bool:
        """Whether the found architecture is a network that can be trained again."""
        return (self.folder / "best" / "architecture.json").is_file()

    @cached_property
    def space(self) -> Space:
        """The space that was searched. Raises RlnasError where it cannot be built, e.g. if its table is missing."""
        return self._space({})

    def _space(self, changes: dict[str, Any]) -> Space:
        asked = self.settings.get("space") or {}  # result.json leaves out where the file of a table is
        known = asked if asked.get("name") == self.space_name else {}
        options = {**known, **(self.result["space"].get("options") or {}), **changes, "name": self.space_name}
        return make_space(build_space_config(options))

    @cached_property
    def diagrams(self) -> tuple[Diagram, ...]:
        """The parts of the found architecture that its space draws; none if nothing was found.

        Raises RlnasError where the space cannot be built, or has no such architecture.
        """
        return (
            ()
            if self.best is None or self.table is not None
            else self.space.diagrams(self.space.parse(self.best["architecture"]))
        )

    @cached_property
    def graph(self) -> Graph | None:
        """The found network: the final one if it differs from the one in the search (wider, ...).

        `best.params` tells which of the two was built. None if nothing was found or the space builds no networks.
        Raises RlnasError where the space cannot be built, or has no such architecture.
        """
        if self.best is None or self.table is not None or not self.space.builds_networks:
            return None
        images = self.result.get("images") or {}
        final = self.result.get("final_space") or (self.settings.get("retrain") or {}).get("space") or {}
        graphs = []
        found = self.space.parse(self.best["architecture"])
        for changes in [final, {}] if final else [{}]:
            space = self._space(changes).standalone
            graphs.append(
                space.graph(
                    self.space.transferred(found, space) if changes else found,
                    image_channels=int(images.get("channels", 3)),
                    image_size=int(images.get("size", 32)),
                    classes=max(len(images.get("classes") or []), 1),
                )
            )
        return next((graph for graph in graphs if cost(graph).params == self.best.get("params")), graphs[-1])


def incumbents(rewards: Floats) -> NDArray[np.int64]:
    """The index of the highest reward among the first 1..n: (n,) to (n,); the first of equal ones."""
    before = np.concatenate(([-np.inf], np.maximum.accumulate(rewards)[:-1]))
    better = rewards > before
    better[:1] = True
    result: NDArray[np.int64] = np.maximum.accumulate(np.where(better, np.arange(len(rewards)), 0))
    return result

"""The main job: data -> search -> select -> retrain -> test -> export -> report, in one run folder."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlnas.child.export import save_child
from rlnas.child.retrain import Retraining, accuracy
from rlnas.child.supernet import Supernet
from rlnas.config import TABLE_SPACE_CONFIGS, Config, build_space_config
from rlnas.controllers import make_controller
from rlnas.data import ImageData, load_data
from rlnas.environment import read_environment
from rlnas.errors import RlnasError
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.execution import Execution, set_up, use_device
from rlnas.files import expand, write_json
from rlnas.graph import Graph, cost
from rlnas.history import RETRAIN, Table
from rlnas.probe import Layers
from rlnas.progress import Progress
from rlnas.reward import Shaping
from rlnas.run_folder import RunFolder
from rlnas.search import RecordingScorer, Search
from rlnas.seeding import numpy_stream
from rlnas.select import Candidate, select
from rlnas.spaces import Architecture, NetworkSpace, make_network_space
from rlnas.table_job import run_table_job


def run_job(config: Config, folder: Path) -> dict[str, Any]:
    """Do, or finish, the run of `folder`; returns what its result.json holds.

    Raises RlnasError for what the user can put right.
    """
    result = folder / "result.json"
    if result.exists():
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        say = Progress(config.progress).say
        if config.space.name in TABLE_SPACE_CONFIGS:
            say(f"{folder} is finished")
            return found
        if not (folder / "report.html").exists():  # stopped while it was drawn
            from rlnas.report import write_report  # matplotlib is slow to import

            write_report(folder)
        say(f"{folder} is finished; its report is {folder / 'report.html'}")
        return found
    return run_table_job(config, folder) if config.space.name in TABLE_SPACE_CONFIGS else Job(config, folder).run()


class Job:
    """One run in one folder, new or resumed.

    Phases: `search` (with its warm-up), then `retrain`. Each checkpoint names its phase; what lies behind
    the last one is computed again, to the same end.
    """

    def __init__(self, config: Config, folder: Path):
        self.config = config
        self.folder = RunFolder(folder, config)
        self.clock = self.folder.clock
        self.saved = self.folder.saved
        device = use_device(config.execution)
        self.space = make_network_space(config.space)
        self.final_space = _final_space(config, self.space)
        self.given = None if config.architecture is None else read_architecture(self.space, config.architecture)
        with self.clock.phase("data"):
            self.data: ImageData = load_data(config.data, numpy_stream(config.seed, "split"), device)
        if self.saved is not None:
            _check_same_data(self.saved["data"], _data_record(self.data))
        self.graph_of = self._graphs(self.space)
        record = read_environment(folder)
        self.execution: Execution = set_up(
            config.execution, record["execution"] if record else None, self._first_layers()
        )
        self.folder.open(self.execution.describe())
        self.progress = self.folder.progress

    def _graphs(self, space: NetworkSpace) -> Callable[[Architecture], Graph]:
        data = self.data

        @lru_cache(maxsize=10_000)
        def graph_of(architecture: Architecture) -> Graph:
            return space.graph(
                architecture, image_channels=data.channels, image_size=data.size, classes=len(data.classes)
            )

        return graph_of

    def _first_layers(self) -> Layers:
        """The search's layers at their largest, those before any reduction."""
        first = self.graph_of(self.space.unrank(0)).nodes[0]
        return Layers(self.config.child.batch_size, first.channels, first.size)

    def run(self) -> dict[str, Any]:
        """Do what is left to do; returns what result.json holds."""
        self._greet()
        try:
            if self.saved is not None and self.saved["phase"] == "retrain":
                found = self.saved["found"]
            elif self.given is not None:
                found = self._nothing_searched(self.given)
            else:
                found = self._search()
            result = self._finish(found)
        finally:
            self.folder.close()
        self.folder.write_report()
        return result

    # -- search ------------------------------------------------------------------------------------------

    def _search(self) -> dict[str, Any]:
        """Search and select; returns the findings as plain data."""
        config = self.config
        supernet = Supernet(
            config.child,
            self.data,
            track_statistics=config.evaluator.norm != "batch",
            execution=self.execution,
            seed=config.seed,
        )
        evaluator = SharedWeightsEvaluator(config.evaluator, supernet, self.data, self.graph_of, seed=config.seed)
        history = self.folder.history
        shaping = Shaping(config.reward, self.space)
        scorer = RecordingScorer(evaluator, shaping, history, self.clock, config.budget, self._costs_of)
        # Building a controller seeds the global generators; nothing of ours draws from them.
        controller = make_controller(config.controller, self.space, scorer, seed=config.seed)
        search = Search(
            config.search,
            config.budget,
            space=self.space,
            supernet=supernet,
            scorer=scorer,
            evaluator=evaluator,
            controller=controller,
            graph_of=self.graph_of,
            rounds=self.folder.rounds,
            clock=self.clock,
            progress=self.progress,
            seed=config.seed,
            checkpoint=self._checkpoint_search,
        )
        if self.saved is not None:
            search.restore(self.saved)
        search.run()
        with self.clock.phase("select"):
            self.progress.say(f"search ended by {search.stopped_by} after {len(history)} architectures")
            final_graph_of = self._graphs(self.final_space)
            candidates = select(
                config.select,
                self.space,
                history,
                controller,
                evaluator,
                rng=numpy_stream(config.seed, "select"),
                frozen=config.search.epochs_per_round == 0,
                flops_of=lambda architecture: cost(final_graph_of(architecture)).flops,
                say=self.progress.say,
            )
        return {
            "candidates": [self._describe(candidate) for candidate in candidates],
            "search_accuracy": candidates[0].accuracy,
            "architecture": list(candidates[0].architecture),
            "stopped_by": search.stopped_by,
        }

    def _checkpoint_search(self, state: dict[str, Any]) -> None:
        with self.clock.phase("rest"):
            self._checkpoint("search", state)

    def _costs_of(self, architecture: Architecture) -> dict[str, int | None]:
        return dataclasses.asdict(cost(self.graph_of(architecture)))

    def _describe(self, candidate: Candidate) -> dict[str, Any]:
        return {
            "architecture": self.space.text(candidate.architecture),
            "code": str(self.space.rank(candidate.architecture)),
            "accuracy": candidate.accuracy,
            "alone_accuracy": candidate.alone,
            "source": candidate.source if isinstance(candidate.source, str) else "history",
            "round": None if isinstance(candidate.source, str) else candidate.source,
            **self._costs_of(candidate.architecture),
        }

    def _nothing_searched(self, architecture: Architecture) -> dict[str, Any]:
        """The findings when the architecture was given."""
        return {
            "candidates": [],
            "search_accuracy": None,
            "architecture": list(architecture),
            "stopped_by": "architecture",
        }

    # -- retraining and what follows ---------------------------------------------------------------------

    def _finish(self, found: dict[str, Any]) -> dict[str, Any]:
        """Retrain, test once, export, write result.json."""
        architecture = self.space.check(found["architecture"])
        graph = self._graphs(self.final_space)(architecture)
        price = cost(graph)
        best: dict[str, Any] = {
            "architecture": self.space.text(architecture),
            "code": str(self.space.rank(architecture)),
            "search_accuracy": found["search_accuracy"],
            "valid_accuracy": None,
            "test_accuracy": None,
            "params": price.params,
            "flops": price.flops,
        }
        description = {**self.space.describe(architecture), "options": _options(_final_config(self.config))}
        if self.config.retrain.epochs:
            with self.clock.phase("retrain"):
                child = self._retrain(graph, found)
                best["valid_accuracy"] = accuracy(child, self.data.valid, self.execution)
                best["test_accuracy"] = accuracy(child, self.data.test(), self.execution)
            save_child(child, self.folder.path / "best", description)
        else:
            write_json(self.folder.path / "best" / "architecture.json", description)
        result = self._result(found, best)
        self._say_result(best)
        return result

    def _retrain(self, graph: Graph, found: dict[str, Any]) -> Any:
        """The trained child of `graph`, from scratch or from the last checkpoint of this phase."""
        config = self.config.retrain
        training = Retraining(config, graph, self.data, execution=self.execution, seed=self.config.seed)
        resumed = self.saved is not None and self.saved["phase"] == "retrain"
        rows = 0
        if resumed and self.saved is not None:
            training.restore(self.saved["training"])
            rows = self.saved["retrain_rows"]
        table = Table(self.folder.path / "retrain.csv", RETRAIN, keep=rows)
        self.folder.tables.append(table)

        def checkpoint() -> None:
            state = {"found": found, "training": training.state(), "retrain_rows": len(table)}
            state |= {"history_rows": len(self.folder.history), "rounds_rows": len(self.folder.rounds)}
            state["warm_epochs"] = self.config.search.warmup_epochs
            self._checkpoint("retrain", state)

        def after_epoch(epoch: int, loss: float) -> None:
            valid = accuracy(training.child, self.data.valid, self.execution) if epoch == config.epochs else None
            table.append([{"epoch": epoch, "loss": loss, "valid_accuracy": valid}])
            seconds = self.clock.read().get("retrain", 0.0) / max(epoch, 1)
            self.progress.retrained(epoch, config.epochs, loss, seconds)
            if epoch % config.checkpoint_epochs == 0 or epoch == config.epochs:
                checkpoint()

        if not resumed:
            checkpoint()
        return training.train(after_epoch)

    def _checkpoint(self, phase: str, state: dict[str, Any]) -> None:
        self.folder.checkpoint(phase, {**state, "data": _data_record(self.data)})

    def _result(self, found: dict[str, Any], best: dict[str, Any]) -> dict[str, Any]:
        config = self.config
        return self.folder.write_result(
            {
                "space": {"name": self.space.name, "size": str(self.space.size), "options": _options(config.space)},
                "final_space": _options(_final_config(config)),
                "dataset": self.data.name,
                "dataset_note": self.data.fallback,
                "images": {
                    "channels": self.data.channels,
                    "size": self.data.size,
                    "classes": list(self.data.classes),
                },
                "best": best,
                "candidates": found["candidates"],
                "stopped_by": found["stopped_by"],
            }
        )

    # -- words -------------------------------------------------------------------------------------------

    def _greet(self) -> None:
        config, say = self.config, self.progress.say
        self._warn_of_fallback()
        self.folder.greet()
        say(
            f"data: {self.data.name}, {len(self.data.train):,} training and {len(self.data.valid):,} validation "
            f"images of {self.data.size}x{self.data.size} pixels, {len(self.data.classes)} classes"
        )
        say(
            f"space: {self.space.name}, {_rounded(self.space.size)} architectures; controller: {config.controller.name}"
        )
        about = self.execution.describe()
        say(f"device: {about['device']}, {about['precision']}, {about['threads']} threads")

    def _warn_of_fallback(self) -> None:
        if self.data.fallback:
            self.progress.say(f"\n*** NOT the data you asked for: {self.data.fallback}. ***\n")

    def _say_result(self, best: dict[str, Any]) -> None:
        say = self.progress.say
        say(f"found: {best['architecture']}")
        say(f"parameters {best['params']:,}, FLOPs {best['flops']:,}")
        if best["search_accuracy"] is not None:
            say(f"accuracy with shared weights (validation): {best['search_accuracy']:.4f}")
        if best["test_accuracy"] is not None:
            say(f"retrained from scratch: validation {best['valid_accuracy']:.4f}, test {best['test_accuracy']:.4f}")
        self._warn_of_fallback()


def read_architecture(space: NetworkSpace, given: str) -> Architecture:
    """An architecture from its text form or from the path of an architecture.json."""
    path = expand(given)
    if given.endswith(".json"):
        try:
            return space.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RlnasError(f"architecture={given} cannot be read: {error.strerror}") from None
    return space.parse(given)


def _data_record(data: ImageData) -> dict[str, Any]:
    """What must be equal for a run to go on: the very same training images in the same order."""
    labels = hashlib.sha256(data.train.labels.cpu().numpy().tobytes()).hexdigest()
    sizes = [len(data.train), len(data.valid), data.channels, data.size]
    return {"name": data.name, "sizes": sizes, "classes": list(data.classes), "labels": labels}


def _check_same_data(before: dict[str, Any], now: dict[str, Any]) -> None:
    if before != now:
        raise RlnasError(
            f"the run was trained on {before['name']} ({before['sizes'][0]:,} training images), now {now['name']} "
            f"({now['sizes'][0]:,}) is found, or its images changed; set data.path or RLNAS_DATA as it was"
        )


def _final_config(config: Config) -> Any:
    try:
        return build_space_config({**dataclasses.asdict(config.space), **config.retrain.space})
    except RlnasError as error:
        raise RlnasError(
            f"retrain.space={config.retrain.space} does not go with space={config.space.name}: {error}; set "
            "retrain.space=null, or options that this space has"
        ) from None


def _final_space(config: Config, space: NetworkSpace) -> NetworkSpace:
    """The space of the final network: the search's, with the options of retrain.space replaced."""
    final = make_network_space(_final_config(config))
    if final.choices != space.choices:
        raise RlnasError(
            f"retrain.space={config.retrain.space} changes what there is to choose; it may only change how the "
            "network is built (filters, widen, merge, stem_stride, reductions)"
        )
    return final


def _options(space_config: Any) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(space_config).items() if key != "name"}


def _rounded(size: int) -> str:
    """A possibly huge integer for people: 1,296 or 2.4e+26."""
    return f"{size:,}" if size < 10**9 else f"{float(size):.1e}" if size < 10**300 else f"10^{len(str(size)) - 1}"

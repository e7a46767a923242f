"""The main job: data -> search -> select -> retrain -> test -> export -> report, in one run folder."""

import dataclasses
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlnas.children.export import load_child, save_child
from rlnas.children.network import Child
from rlnas.children.retrain import Retraining, accuracy
from rlnas.children.supernet import Supernet
from rlnas.config.build import build_space_config
from rlnas.config.schema import TABLE_SPACE_CONFIGS, Config
from rlnas.controllers import make_controller
from rlnas.data import ImageData, load_data
from rlnas.data.record import check_same_data, data_record
from rlnas.errors import RlnasError
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.execution.contention import Contention
from rlnas.execution.rule import Layers
from rlnas.execution.settings import Execution, as_overrides, fix_threads, set_up, use_device
from rlnas.files import expand, write_json
from rlnas.networks.graph import Graph, cost
from rlnas.objective import Shaping
from rlnas.runs.environment import read_environment
from rlnas.runs.folder import RunFolder
from rlnas.runs.progress import Progress
from rlnas.runs.tables import RETRAIN, Table
from rlnas.search.rounds import RecordingScorer, Search
from rlnas.search.select import Candidate, select
from rlnas.search.table_job import run_table_job
from rlnas.seeding import numpy_stream
from rlnas.spaces import Architecture, NetworkSpace, make_network_space


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
        fix_threads(config.execution.threads or 1)  # until each phase sets its own
        self.space = make_network_space(config.space)
        self.final_space = _final_space(config, self.space)
        self.given = None if config.architecture is None else read_architecture(self.space, config.architecture)
        with self.clock.phase("data"):
            self.data: ImageData = load_data(config.data, numpy_stream(config.seed, "split"), device)
            self.data_record = data_record(self.data)
        if self.saved is not None:
            check_same_data(self.saved["data"], self.data_record)
        self.graph_of = self._graphs(self.space)
        self.executions = self._settle_executions()
        self.folder.open({phase: execution.describe() for phase, execution in self.executions.items()})
        self.progress = self.folder.progress
        most = max((max(one.threads, one.scoring_threads) for one in self.executions.values()), default=1)
        self.contention = Contention(most)

    def _graphs(self, space: NetworkSpace) -> Callable[[Architecture], Graph]:
        data = self.data

        @lru_cache(maxsize=10_000)
        def graph_of(architecture: Architecture) -> Graph:
            return space.graph(
                architecture, image_channels=data.channels, image_size=data.size, classes=len(data.classes)
            )

        return graph_of

    def _settle_executions(self) -> dict[str, Execution]:
        """How each phase that this run has is computed."""
        config = self.config
        record = read_environment(self.folder.path)
        recorded = record["execution"] if record else None
        phases = {}
        if self.given is None:
            phases["search"] = self._layers(self.space, config.child.batch_size)
        if config.retrain.epochs:
            phases["retrain"] = self._layers(self.final_space, config.retrain.batch_size)
        scored = min(config.evaluator.batch_size, config.evaluator.images or len(self.data.valid))
        return {phase: set_up(config.execution, recorded, layers, phase, scored) for phase, layers in phases.items()}

    def _layers(self, space: NetworkSpace, batch_size: int) -> Layers:
        """A phase's layers at their largest, before any reduction: of the first and the last architecture."""
        ends = [self._graphs(space)(space.unrank(code)).nodes[0] for code in (0, space.size - 1)]
        channels = max(node.channels for node in ends)  # lists of filters are usually sorted
        return Layers(min(batch_size, len(self.data.train)), channels, ends[0].size)

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
        from rlnas.report import write_report  # matplotlib is slow to import

        self.progress.say(f"report: {write_report(self.folder.path)}")
        return result

    # -- search ------------------------------------------------------------------------------------------

    def _search(self) -> dict[str, Any]:
        """Search and select; returns the findings as plain data."""
        config = self.config
        execution = self.executions["search"]
        execution.activate()
        supernet = Supernet(
            config.child,
            self.data,
            track_statistics=config.evaluator.norm != "batch",
            execution=execution,
            seed=config.seed,
        )
        evaluator = SharedWeightsEvaluator(config.evaluator, supernet, self.data, self.graph_of, seed=config.seed)
        history = self.folder.history
        shaping = Shaping(config.reward, self.space)
        scorer = RecordingScorer(evaluator, shaping, history, self.clock, config.search, config.budget, self._costs_of)
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
        self.contention.notice()
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
            execution = self.executions["retrain"]
            execution.activate()
            with self.clock.phase("retrain"):
                child = self._retrain(graph, found)
                save_child(child, self.folder.path / "best", description)
                exported = load_child(self.folder.path / "best", child.mean.device)  # reported is what others will load
                best["valid_accuracy"] = accuracy(exported, self.data.valid)
                said = len(self.data.notes)
                test = self.data.test()
                self._say_notes(said)
                best["test_accuracy"] = accuracy(exported, test)
        else:
            write_json(self.folder.path / "best" / "architecture.json", description)
        result = self._result(found, best)
        self._say_result(best)
        return result

    def _retrain(self, graph: Graph, found: dict[str, Any]) -> Child:
        """The trained child of `graph`, from scratch or from the last checkpoint of this phase."""
        config, execution = self.config.retrain, self.executions["retrain"]
        training = Retraining(config, graph, self.data, execution=execution, seed=self.config.seed)
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
            valid = accuracy(training.child, self.data.valid) if epoch == config.epochs else None
            self.contention.notice()
            table.append([{"epoch": epoch, "loss": loss, "valid_accuracy": valid}])
            seconds = self.clock.read().get("retrain", 0.0) / max(epoch, 1)
            self.progress.retrained(epoch, config.epochs, loss, seconds)
            if epoch % config.checkpoint_epochs == 0 or epoch == config.epochs:
                checkpoint()

        if not resumed:
            checkpoint()
        return training.train(after_epoch)

    def _checkpoint(self, phase: str, state: dict[str, Any]) -> None:
        self.folder.checkpoint(phase, {**state, "data": self.data_record})

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
                    "left_out": self.data.left_out,
                    "notes": self.data.notes,
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
        self._say_notes()
        say(
            f"space: {self.space.name}, {_rounded(self.space.size)} architectures; controller: {config.controller.name}"
        )
        for phase, execution in self.executions.items():
            about = execution.describe()
            threads = f"{about['threads']} thread{'s' if about['threads'] > 1 else ''}"
            scoring = "" if phase == "retrain" else f" ({about['scoring_threads']} in scoring)"
            say(f"{phase}: {about['device']}, {about['precision']}, {about['memory_format']}, {threads}{scoring}")
        if config.execution.measure and self.executions:
            say(
                f"measured; another run computes alike with: execution=auto {as_overrides(self.executions)} (a second "
                "measurement may differ)"
            )
        self.contention.notice()

    def _warn_of_fallback(self) -> None:
        if self.data.fallback:
            self.progress.say(f"\n*** NOT the data you asked for: {self.data.fallback}. ***\n")

    def _say_notes(self, first: int = 0) -> None:
        for note in self.data.notes[first:]:
            self.progress.say(f"data: {note}")

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

"""Executes a run from its configuration to its result: search -> select -> retrain -> test -> export -> report.

Runs differ only in their phases: where architectures are looked up there are no images, no candidates are scored
again, and there is no network to retrain. Programs have images and candidates, but no network either.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlnas.children.export import MODEL
from rlnas.config.schema import Config
from rlnas.controllers import Controller, GradientController, Problem, make_controller
from rlnas.controllers.strategy import StrategyController
from rlnas.data import load_data
from rlnas.data.record import check_same_data, data_record
from rlnas.evaluators import HeldOutEvaluator, SelectingEvaluator
from rlnas.evaluators.alone import to_train
from rlnas.evaluators.make import Trainable, make_evaluator
from rlnas.execution.contention import Contention
from rlnas.execution.rule import Layers
from rlnas.execution.settings import Execution, fix_threads, set_up, use_device
from rlnas.files import write_json
from rlnas.networks.graph import Node
from rlnas.objective import Objective
from rlnas.runs.commands import gap_command
from rlnas.runs.environment import read_environment
from rlnas.runs.folder import RunFolder
from rlnas.runs.leftovers import SHARED_WEIGHTS
from rlnas.runs.progress import Progress
from rlnas.search import words
from rlnas.search.collapse import Collapse
from rlnas.search.confirm import confirmed
from rlnas.search.controls import scored_controls
from rlnas.search.final import Final
from rlnas.search.findings import (
    controls_and_verdict,
    describe_candidate,
    measured_on,
    retrained_controls,
    with_retrained,
)
from rlnas.search.given import (
    check_auxiliary,
    final_config,
    final_space,
    networks_of,
    options,
    read_architecture,
    read_space,
)
from rlnas.search.recorder import Recorder
from rlnas.search.rounds import Rounds
from rlnas.search.searched import save_searched
from rlnas.search.select import Selected, Selection
from rlnas.search.truth import truth
from rlnas.seeding import numpy_stream
from rlnas.spaces import Architecture, Space
from rlnas.spaces.networks import Networks

OF_IMAGES = ("program",)  # evaluators that read images and train no networks


def run_job(config: Config, folder: Path) -> dict[str, Any]:
    """Execute or resume the run of `folder`; return the content of its result.json.

    Raises RlnasError for errors that the user can correct.
    """
    result = folder / "result.json"
    if not result.exists():
        return Job(config, folder).run()
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    report = folder / "report.html"
    _write_card(folder)  # cheap, and it may have been stopped before
    if config.report and not report.exists():  # stopped while the report was written
        _write_report(folder)
    Progress(config.progress).say(f"{folder} is finished" + (f"; its report is {report}" if report.exists() else ""))
    return found


def _write_report(folder: Path) -> Path:
    from rlnas.report import write_report  # matplotlib is slow to import

    return write_report(folder)


def _write_card(folder: Path) -> None:
    if (folder / "best" / MODEL).exists():  # else importing what writes it would be for nothing
        from rlnas.report.card import write_card

        write_card(folder)


class Job:
    """One run in one folder, new or resumed.

    Phases: `search` (with its warm-up), then `retrain`. Each checkpoint names its phase; a resumed run recomputes
    everything after the last checkpoint, with the same result.
    """

    def __init__(self, config: Config, path: Path):
        self.config = config
        self.folder = RunFolder(path, config)
        self.clock = self.folder.clock
        fix_threads(config.execution.threads or 1)  # until a phase sets its own; a policy is too small for two
        with self.clock.phase("data"):
            self.space = read_space(config, self.folder)
            self.objective = Objective(config.objective, self.space)
            self.given = None if config.architecture is None else read_architecture(self.space, config.architecture)
            self.final_space = final_space(config, self.space)
            self.data = None
            self.networks = self.space.builds_networks and (
                self.given is not None or config.evaluator.name != "tabular"
            )
            if self.networks or config.evaluator.name in OF_IMAGES:
                device = use_device(config.execution) if self.networks else torch.device("cpu")
                self.data = load_data(config.data, numpy_stream(config.seed, "split"), device)
        self.data_record = None if self.data is None else data_record(self.data)
        if self.networks:
            drawn = self.space.sample(np.random.default_rng(0))
            check_auxiliary(config, self._networks(self.final_space), drawn)
            if config.evaluator.name == "standalone":  # trains the networks of the search by the same options
                check_auxiliary(config, self._networks(self.space), drawn)
        if self.folder.saved is not None and self.data_record is not None:
            check_same_data(self.folder.saved["data"], self.data_record)
        self.executions = self._settle_executions()
        images = None
        if self.data is not None and self.networks and self.given is None:
            images = Trainable(self.data, self._networks(self.space), self.executions["search"])
        self.evaluator = None if self.given is not None else make_evaluator(config, self.space, images, self.data)
        about = {phase: execution.describe() for phase, execution in self.executions.items()}
        nothing_trained = {"search": {"device": "cpu", "threads": config.execution.threads or 1}}
        values = () if self.evaluator is None else self.evaluator.value_names
        self.folder.open(about or nothing_trained, self.space.fingerprint, values)
        self.progress = self.folder.progress
        if self.evaluator is not None:
            self.evaluator.say = self.progress.say
        most = max((max(one.threads, one.scoring_threads) for one in self.executions.values()), default=1)
        self.contention = Contention(most)

    def _networks(self, space: Space) -> Networks:
        assert self.data is not None
        sizes = {"image_channels": self.data.channels, "image_size": self.data.size, "classes": len(self.data.classes)}
        return networks_of(self.config, space, searched=self.space, **sizes)

    def _settle_executions(self) -> dict[str, Execution]:
        """Return the execution settings of each phase of this run that trains networks."""
        config, phases = self.config, {}
        if not self.networks:
            return {}
        assert self.data is not None
        record = read_environment(self.folder.path)
        recorded = record["execution"] if record else None
        if self.given is None:
            phases["search"] = self._layers(self.space, config.child.batch_size)
        if config.retrain.epochs:
            phases["retrain"] = self._layers(self.final_space, config.retrain.batch_size)
        scored = min(getattr(config.evaluator, "batch_size", 0), len(self.data.valid))
        scored = min(scored, getattr(config.evaluator, "images", 0) or scored)
        return {phase: set_up(config.execution, recorded, layers, phase, scored) for phase, layers in phases.items()}

    def _layers(self, space: Space, batch_size: int) -> Layers:
        """Return the size of a phase's largest layer in eight random architectures."""
        assert self.data is not None
        networks, rng = self._networks(space), np.random.default_rng(0)

        def values(node: Node) -> int:
            return node.channels * node.size[0] * node.size[1]

        largest = [max(networks.graph(self.space.sample(rng)).nodes, key=values) for _ in range(8)]
        node = max(largest, key=values)
        return Layers(min(batch_size, len(self.data.train)), node.channels, node.size)

    def run(self) -> dict[str, Any]:
        """Execute the remaining phases; return the content of result.json."""
        words.greet(self.config, self.folder, self.space, self.data, self.executions)
        self.contention.notice()
        saved = self.folder.saved
        try:
            if saved is not None and saved["phase"] == "retrain":
                found = saved["found"]
            elif self.given is not None:
                found = self._nothing_searched(self.given)
            else:
                found = self._search()
            result = self._finish(found)
        finally:
            self.folder.close()
        _write_card(self.folder.path)
        if self.config.report:
            self.progress.say(f"report: {_write_report(self.folder.path)}")
        return result

    # -- search ------------------------------------------------------------------------------------------

    def _search(self) -> dict[str, Any]:
        """Search and select; return the findings as plain data."""
        config, evaluator = self.config, self.evaluator
        assert evaluator is not None
        if "search" in self.executions:
            self.executions["search"].activate()
        history = self.folder.history
        recorder = Recorder(
            evaluator, self.objective, config.reward.scale, history, self.clock, config.search, config.budget
        )
        # Building a controller seeds the global generators; only its policy draws from them.
        controller = make_controller(config.controller, Problem(self.space, recorder, config.seed))
        by_gradients = isinstance(controller, GradientController)
        rounds = Rounds(
            config.search,
            config.budget,
            space=self.space,
            recorder=recorder,
            evaluator=evaluator,
            controller=controller,
            table=self.folder.rounds,
            clock=self.clock,
            progress=self.progress,
            seed=config.seed,
            collapse=Collapse(
                config, self.space, policy=not (by_gradients or isinstance(controller, StrategyController))
            ),
            checkpoint=self._checkpoint_search,
            weights=self.folder.open_weights() if by_gradients else None,
        )
        if self.folder.saved is not None:
            rounds.restore(self.folder.saved)
        rounds.run()
        self.progress.say(f"search ended by {rounds.stopped_by} after {len(history)} architectures")
        with self.clock.phase("select"):
            selected = self._select(recorder, controller)
        if isinstance(evaluator, SelectingEvaluator):
            with self.clock.phase("rest"):
                place = {"data": self.data_record, "table": self.space.fingerprint}
                size = save_searched(self.folder.path, evaluator, controller, self.space, config.seed, place)
            self.progress.say(
                f"{SHARED_WEIGHTS} ({size / 1e6:.1f} MB) keeps the shared weights; how well they rank: "
                f"{gap_command(self.folder.path)}"
            )
        candidates = selected.candidates
        found = candidates[0]
        about, about_best = evaluator.conclude(found.architecture, recorder.scored)
        compared = controls_and_verdict(selected, evaluator, self.space, config) if self.data is not None else {}
        return {
            "candidates": [describe_candidate(candidate, evaluator, self.space) for candidate in candidates],
            "compared": compared,
            "search_accuracy": found.accuracy,
            "objective": found.value,
            "architecture": self.space.text(found.architecture),
            "stopped_by": rounds.stopped_by,
            "warnings": rounds.collapse.warnings,
            "about": about,
            "about_best": {**truth(self.space, found.architecture), **about_best},
        }

    def _select(self, recorder: Recorder, controller: Controller) -> Selected:
        """Select the found architecture; measure the controls as it was measured."""
        config, evaluator = self.config, self.evaluator
        assert evaluator is not None
        control_rng = numpy_stream(config.seed, "controls")
        if isinstance(evaluator, SelectingEvaluator):
            final = self._networks(self.final_space)
            return Selection(
                config.select,
                self.space,
                self.objective,
                self.folder.history,
                controller,
                evaluator,
                rng=numpy_stream(config.seed, "select"),
                control_rng=control_rng,
                # predictions of different fits are no more comparable than scores of different weights
                frozen=config.search.epochs_per_round == 0 and not getattr(config.evaluator, "refit_rounds", 0),
                costs=lambda architecture: vars(final.cost(architecture)),
                say=self.progress.say,
            ).run()
        if isinstance(evaluator, HeldOutEvaluator):
            return confirmed(config.select, recorder, evaluator, self.objective, control_rng)
        candidates = [recorder.incumbent()]
        if self.data is None:
            return Selected(candidates)
        return Selected(candidates, scored_controls(config.select, evaluator, self.objective, control_rng))

    def _checkpoint_search(self, state: dict[str, Any]) -> None:
        self.contention.notice()
        with self.clock.phase("rest"):
            self._checkpoint("search", state)

    def _nothing_searched(self, architecture: Architecture) -> dict[str, Any]:
        """Return the findings of a run whose architecture was given."""
        return {
            "candidates": [],
            "compared": {},
            "search_accuracy": None,
            "objective": None,
            "architecture": self.space.text(architecture),
            "stopped_by": "architecture",
            "warnings": [],
            "about": {},
            "about_best": truth(self.space, architecture),
        }

    # -- retrain and result ------------------------------------------------------------------------------

    def _finish(self, found: dict[str, Any]) -> dict[str, Any]:
        """Retrain, test once and export if there is a network; write result.json."""
        architecture = self.space.parse(found["architecture"])
        code = self.space.code(architecture)
        best: dict[str, Any] = {
            "architecture": found["architecture"],
            "code": None if code is None else str(code),
            "search_accuracy": found["search_accuracy"],
            "objective": found["objective"],
            "valid_accuracy": None,
            "test_accuracy": None,
            "params": None,
            "flops": None,
            **found["about_best"],
        }
        if not self.networks:
            assert self.evaluator is not None
            best |= self.evaluator.costs(architecture)
        else:
            assert self.data is not None
            networks = self._networks(self.final_space)
            best |= vars(networks.cost(architecture))
            # how images were decoded: a user of the network has to do the same
            described = {"options": options(final_config(self.config)), "background": self.config.data.background}
            description = {**self.space.describe(architecture), **described}
            final_text = self.final_space.text(networks.own(architecture))
            if final_text != found["architecture"]:
                best["final_architecture"] = description["final_architecture"] = final_text
            if self.config.retrain.epochs:
                final = Final(
                    self.config,
                    self.folder,
                    self.data,
                    self.executions["retrain"],
                    self.contention,
                    checkpoint=lambda state: self._checkpoint_final(found, state),
                )
                controls = retrained_controls(found.get("compared", {}), self.config.retrain.controls)
                recipe = self.config.retrain
                trained = {name: to_train(networks, self.space.parse(text), recipe) for name, text in controls.items()}
                reached, of_controls = final.run(to_train(networks, architecture, recipe), description, trained)
                best |= reached
                found = with_retrained(found, reached, of_controls)
            else:
                write_json(self.folder.path / "best" / "architecture.json", description)
        result = self.folder.write_result(self._result(found, best))
        words.tell_result(self.folder, result, self.data)
        return result

    def _checkpoint_final(self, found: dict[str, Any], state: dict[str, Any]) -> None:
        rows = {"history_rows": len(self.folder.history), "rounds_rows": len(self.folder.rounds)}
        done = {"found": found, "warm_epochs": self.config.search.warmup_epochs}
        self._checkpoint("retrain", {**state, **rows, **done})

    def _checkpoint(self, phase: str, state: dict[str, Any]) -> None:
        self.folder.checkpoint(phase, {**state, "data": self.data_record, "table": self.space.fingerprint})

    def _result(self, found: dict[str, Any], best: dict[str, Any]) -> dict[str, Any]:
        config, data, size = self.config, self.data, self.space.size
        space = {
            "name": self.space.name,
            "size": None if size is None else str(size),
            "options": options(config.space),
        }
        result = {"space": space, "objective": dataclasses.asdict(config.objective), **found["about"], "best": best}
        result |= {"candidates": found["candidates"], **found.get("compared", {}), "stopped_by": found["stopped_by"]}
        result["warnings"] = found.get("warnings", [])  # absent of earlier versions
        if data is None:
            return result
        return {
            **result,
            "final_space": options(final_config(config)),
            "dataset": data.name,
            "dataset_note": data.fallback,
            "measured_on": measured_on(data, config, given=self.given is not None),
            "images": {
                "channels": data.channels,
                "size": data.size,
                "classes": list(data.classes),
                "left_out": data.left_out,
                "notes": data.notes,
            },
        }

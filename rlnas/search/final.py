"""The last phase of a run: retrain the found network from scratch, export it and test it once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from rlnas.children.export import load_child, save_child
from rlnas.children.network import Child
from rlnas.children.retrain import Retraining, accuracy
from rlnas.config.schema import Config
from rlnas.data import ImageData, Images
from rlnas.errors import Diverged
from rlnas.evaluators.alone import ToTrain
from rlnas.execution.contention import Contention
from rlnas.execution.settings import Execution
from rlnas.runs.folder import RunFolder
from rlnas.runs.tables import RETRAIN, Table
from rlnas.search.tested import record_test


@dataclass(frozen=True)
class Final:
    """Retrains, exports and tests; resumes from the folder's checkpoint if it is of this phase.

    checkpoint: writes a checkpoint with the given state of this phase.
    """

    config: Config
    folder: RunFolder
    data: ImageData
    execution: Execution
    contention: Contention
    checkpoint: Callable[[dict[str, Any]], None]

    def run(
        self, network: ToTrain, description: dict[str, Any], controls: Mapping[str, ToTrain]
    ) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
        """Return `valid_accuracy` and `test_accuracy` of the network and, by name, of the controls; see `_control`.

        All are measured in float32, whatever they were trained in, as the network is used and exported. Writes it to
        best/ with its description. All networks are trained before the test split is opened.
        """
        self.execution.activate()
        with self.folder.clock.phase("retrain"):
            child = _in_float32(self._retrain(network))
            save_child(child, self.folder.path / "best", description)
            exported = load_child(self.folder.path / "best", child.mean.device)  # report the exported network
            valid = accuracy(exported, self.data.valid)
            trained = {name: self._control(name, control) for name, control in controls.items()}
            said = len(self.data.notes)
            test = self.data.test()
            for note in self.data.notes[said:]:
                self.folder.progress.say(f"data: {note}")
            tested = {name: _measured(one, self.data.valid, test) for name, one in trained.items()}
            return {"valid_accuracy": valid, **record_test(exported, test, self.folder.path / "best")}, tested

    def _training(self, network: ToTrain) -> Retraining:
        return Retraining(
            self.config.retrain,
            network.graph,
            self.data,
            execution=self.execution,
            seed=self.config.seed,
            auxiliary=network.auxiliary,
        )

    def _control(self, name: str, network: ToTrain) -> Child | str:
        """Train a control from scratch as the found network was; return why it failed if its training diverged.

        Writes no checkpoint: a resumed run trains it again.
        """
        self.folder.progress.say(f"retraining the control {name}: {self.config.retrain.epochs} epochs")
        training = self._training(network)
        try:
            return _in_float32(training.train(lambda epoch, loss: self.contention.notice()))
        except Diverged as error:
            self.folder.progress.say(f"the control {name} counts as failed: {error}")
            return str(error)

    def _retrain(self, network: ToTrain) -> Child:
        """Train the child of `network` from scratch or from the last checkpoint of this phase."""
        config, saved = self.config.retrain, self.folder.saved
        training = self._training(network)
        resumed = saved is not None and saved["phase"] == "retrain"
        rows = 0
        if resumed and saved is not None:
            training.restore(saved["training"])
            rows = saved["retrain_rows"]
        table = Table(self.folder.path / "retrain.csv", RETRAIN, keep=rows)
        self.folder.tables.append(table)

        def save() -> None:
            self.checkpoint({"training": training.state(), "retrain_rows": len(table)})

        def after_epoch(epoch: int, loss: float) -> None:
            valid = None
            if epoch == config.epochs:  # only `train` needed another precision
                valid = accuracy(_in_float32(training.child), self.data.valid)
            self.contention.notice()
            table.append([{"epoch": epoch, "loss": loss, "valid_accuracy": valid}])
            seconds = self.folder.clock.read().get("retrain", 0.0) / max(epoch, 1)
            self.folder.progress.retrained(epoch, config.epochs, loss, seconds)
            if epoch % config.checkpoint_epochs == 0 or epoch == config.epochs:
                save()

        if not resumed:
            save()
        return training.train(after_epoch)


def _in_float32(child: Child) -> Child:
    child.dtype = torch.float32
    return child


def _measured(trained: Child | str, valid: Images, test: Images) -> dict[str, Any]:
    """Return `valid_accuracy`, `test_accuracy` and `failed` of a control."""
    if isinstance(trained, str):
        return {"valid_accuracy": None, "test_accuracy": None, "failed": trained}
    return {"valid_accuracy": accuracy(trained, valid), "test_accuracy": accuracy(trained, test), "failed": None}

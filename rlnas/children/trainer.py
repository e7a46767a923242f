"""One gradient step on a set of weights through one or more graphs; shared by search and retraining."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rlnas.children.batches import Batches
from rlnas.children.network import Noise, run_merged
from rlnas.children.weights import Weights, named_tensors, restore
from rlnas.networks.graph import Graph
from rlnas.networks.merge import Merged, merge

Run = Callable[[Merged, Weights, Tensor, Noise], list[Tensor]]


@dataclass(frozen=True)
class Sgd:
    """Nesterov SGD. clip: largest norm of the gradient of the parameters in use, 0 for none."""

    momentum: float
    weight_decay: float
    clip: float
    label_smoothing: float


class Trainer:
    """Steps `weights` on mini-batches.

    A parameter that no graph of the step uses has no gradient (None, not zero), and torch's SGD leaves such
    a parameter and its momentum alone: no weight decay, not one bit of change.

    run: `run_merged`, or what Execution.repeated makes of it.
    """

    def __init__(self, weights: Weights, batches: Batches, noise: Noise, sgd: Sgd, run: Run = run_merged):
        self.weights = weights
        self.batches = batches
        self.noise = noise
        self.sgd = sgd
        self.run = run
        self.steps = 0
        self._optimizer: torch.optim.SGD | None = None
        self._optimized: set[str] = set()
        self._add_new_keys()

    def step(self, graphs: Sequence[Graph], learning_rate: float) -> Tensor:
        """Train on the next batch by the mean loss over `graphs`; returns that loss, a scalar tensor.

        What the graphs have in common is computed, and differentiated, once.
        """
        for graph in graphs:
            self.weights.ensure(graph)
        self._add_new_keys()
        assert self._optimizer is not None
        self._optimizer.param_groups[0]["lr"] = learning_rate
        images, labels = self.batches.next()
        self._optimizer.zero_grad(set_to_none=True)
        with self.batches.execution.autocast():
            scores = self.run(merge(graphs), self.weights, images, self.noise)  # (b, k) each
        smoothing = self.sgd.label_smoothing
        losses = [F.cross_entropy(one, labels, label_smoothing=smoothing) for one in scores]
        loss = torch.stack(losses).mean()
        loss.backward()
        if self.sgd.clip:
            in_use = [parameter for parameter in self.weights.parameters() if parameter.grad is not None]
            torch.nn.utils.clip_grad_norm_(in_use, self.sgd.clip)
        self._optimizer.step()
        self.steps += 1
        return loss.detach()

    def _add_new_keys(self) -> None:
        """Hand parameters made since (here or by an evaluation) to the optimizer, all in its one group."""
        new = [key for key in self.weights.specs if key not in self._optimized]
        self._optimized.update(new)
        parameters = [parameter for key in new for parameter in self.weights.by_key[key].parameters()]
        if not parameters:
            return
        momentum, decay = self.sgd.momentum, self.sgd.weight_decay
        if self._optimizer is None:
            self._optimizer = torch.optim.SGD(
                parameters, lr=0.1, momentum=momentum, weight_decay=decay, nesterov=momentum > 0, fused=True
            )
        else:
            self._optimizer.param_groups[0]["params"].extend(parameters)
        if momentum:
            # the fused kernel takes buffers for all parameters of a step or for none, and parameters enter one by
            # one; from zero, the first step is what it would be without a buffer
            for parameter in parameters:
                self._optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def state(self) -> dict[str, Any]:
        """Weights, momentum, data position and noise, as tensors and plain data."""
        momentum = {}
        for name, parameter in self.weights.named_parameters():
            buffer = self._optimizer.state[parameter].get("momentum_buffer") if self._optimizer else None
            if buffer is not None:
                momentum[name] = buffer.to("cpu")
        return {
            "specs": [(key, spec) for key, spec in self.weights.specs.items()],
            "weights": named_tensors(self.weights),
            "momentum": momentum,
            "batches": self.batches.state(),
            "noise": self.noise.generator.get_state(),
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        restore(self.weights, state["specs"], state["weights"])
        self._add_new_keys()
        for name, parameter in self.weights.named_parameters():
            if name in state["momentum"]:
                assert self._optimizer is not None
                # preserve_format: the kernels for the parameter's memory layout apply to its momentum too
                buffer = torch.empty_like(parameter).copy_(state["momentum"][name])
                self._optimizer.state[parameter]["momentum_buffer"] = buffer.detach()
        self.batches.restore(state["batches"])
        self.noise.generator.set_state(state["noise"])
        self.steps = state["steps"]

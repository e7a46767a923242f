"""Optimizer steps on a set of weights through one or more graphs, for search and retraining."""

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
    """Nesterov SGD. clip: maximum gradient norm of the parameters in use, 0 = off."""

    momentum: float
    weight_decay: float
    clip: float
    label_smoothing: float


class Trainer:
    """Trains `weights` on mini-batches.

    A parameter that no graph of the step uses has no gradient (None, not zero). torch's SGD does not change such a
    parameter or its momentum: no weight decay, bit-identical.

    run: `run_merged`, or the function that Execution.repeated returns for it.
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
        self._merged: tuple[tuple[Graph, ...], Merged | None] = ((), None)
        self._add_new_keys()

    def step(
        self, graphs: Sequence[Graph], learning_rate: float, loss_weights: Sequence[float] | None = None
    ) -> Tensor:
        """Take one step on the next batch with the mean loss over `graphs`; return that loss, a scalar tensor.

        Nodes that the graphs share are computed and differentiated once. loss_weights: of each graph; the loss is then
        their weighted sum.
        """
        for graph in graphs:
            self.weights.ensure(graph)
        smoothing = self.sgd.label_smoothing

        def loss_of(images: Tensor, labels: Tensor) -> Tensor:
            scores = self.run(self._merge(graphs), self.weights, images, self.noise)  # (b, k) each
            losses = [F.cross_entropy(one, labels, label_smoothing=smoothing) for one in scores]
            if loss_weights is None:
                return torch.stack(losses).mean()
            return (torch.stack(losses) * torch.tensor(loss_weights, device=labels.device)).sum()

        return self.descend(loss_of, self.batches.next(), learning_rate)

    def descend(
        self, loss_of: Callable[[Tensor, Tensor], Tensor], batch: tuple[Tensor, Tensor], learning_rate: float
    ) -> Tensor:
        """Take one step on a loss; return it, a scalar tensor.

        loss_of: of normalised images (b, c, h, w) and labels (b,); its parameters exist. batch: those of the step.
        """
        self._add_new_keys()
        assert self._optimizer is not None
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.zero_grad(set_to_none=True)
        with self.batches.execution.autocast():
            loss = loss_of(*batch)
        loss.backward()
        if self.sgd.clip:
            # the optimizer's list: walking the modules takes longer than the step where there are thousands of keys
            every = self._optimizer.param_groups[0]["params"]
            in_use = [parameter for parameter in every if parameter.grad is not None]
            torch.nn.utils.clip_grad_norm_(in_use, self.sgd.clip)
        self._optimizer.step()
        self.steps += 1
        return loss.detach()

    def _merge(self, graphs: Sequence[Graph]) -> Merged:
        """Return the merged graphs: the same object as in the last step for the same graphs.

        Execution.repeated records once for each object, and cannot record the computation of `last_uses`.
        """
        last, merged = self._merged
        if merged is None or len(last) != len(graphs) or any(a is not b for a, b in zip(last, graphs, strict=True)):
            merged = merge(graphs)
            _ = merged.graph.last_uses
            self._merged = (tuple(graphs), merged)
        return merged

    def _add_new_keys(self) -> None:
        """Add parameters created since the last call (here or by an evaluation) to the optimizer's only group."""
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
            # the fused kernel needs buffers for all parameters of a step or for none, and parameters are added
            # gradually; with a zero buffer the first step equals one without a buffer
            for parameter in parameters:
                self._optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def state(self) -> dict[str, Any]:
        """Return weights, momentum, data position and noise, as tensors and plain data."""
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
        """Restore what `state` returned."""
        restore(self.weights, state["specs"], state["weights"])
        self._add_new_keys()
        for name, parameter in self.weights.named_parameters():
            if name in state["momentum"]:
                assert self._optimizer is not None
                # empty_like keeps the parameter's memory format, as the kernels require of its momentum
                buffer = torch.empty_like(parameter).copy_(state["momentum"][name])
                self._optimizer.state[parameter]["momentum_buffer"] = buffer.detach()
        self.batches.restore(state["batches"])
        self.noise.generator.set_state(state["noise"])
        self.steps = state["steps"]

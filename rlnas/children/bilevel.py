"""Bilevel training of a relaxation (Liu et al. 2019, algorithm 1): a step of the architecture parameters on a batch of
the validation split, then one of the shared weights on a batch of the training split, and so on.

Axes: r choices, a alternatives.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rlnas.children.batches import Batches
from rlnas.children.mixing import Mixing
from rlnas.children.network import Noise
from rlnas.children.norm import train_mode, use_batch_statistics
from rlnas.children.relaxed import masked_logits, run_relaxed
from rlnas.children.supernet import Supernet
from rlnas.data import ImageData
from rlnas.errors import Diverged
from rlnas.networks.relaxation import Relaxation
from rlnas.seeding import torch_stream

BETAS = (0.5, 0.999)  # of Adam (DARTS, appendix A.1.1)
INITIAL = 1e-3  # standard deviation of the initial parameters (published code)
RADIUS = 0.01  # eps = RADIUS / norm of the gradient (DARTS, section 2.3, footnote 2)

Batch = tuple[Tensor, Tensor]


class Bilevel:
    """Architecture parameters of a relaxation, trained in turn with the weights of a supernet.

    The weights are trained by the supernet's own optimizer and schedule. Architecture parameters have Adam. Their
    passes have no dropout, and batch statistics in normalisation, so that no validation image enters a buffer.

    mixing: from parameters to shares. order: 1, the gradient at the current weights (xi = 0 in the paper); 2, that
    after one step of plain gradient descent of the weights on the training batch, whose second-order term is a
    difference of two gradients (equations 7 and 8). purpose: names the random streams.

    Deviation of order 2: the inner step has neither momentum nor weight decay nor clipping, as in the paper's equation
    (the published code adds the first two).
    """

    def __init__(
        self,
        supernet: Supernet,
        data: ImageData,
        relaxation: Relaxation,
        mixing: Mixing,
        *,
        order: int,
        learning_rate: float,
        weight_decay: float,
        seed: int,
        purpose: str,
    ):
        self.supernet = supernet
        self.relaxation = relaxation
        self.mixing = mixing
        self.order = order
        self.counts = [len(choice.values) for choice in relaxation.choices]
        shape = (len(self.counts), max(self.counts))
        start = INITIAL * torch.randn(shape, generator=torch_stream(seed, f"{purpose}/architecture"))
        self.parameters = start.to(supernet.execution.device).requires_grad_()  # (r, a)
        self.optimizer = torch.optim.Adam([self.parameters], learning_rate, BETAS, weight_decay=weight_decay)
        self.valid = Batches(
            replace(data, train=data.valid),
            batch_size=supernet.config.batch_size,
            execution=supernet.execution,
            seed=seed,
            purpose=f"{purpose}/valid",
        )

    @property
    def logits(self) -> Tensor:
        """The parameters (r, a), -inf where a choice has no alternative."""
        return masked_logits(self.parameters, self.counts)

    @torch.no_grad()
    def probabilities(self) -> list[list[float]]:
        """Return the softmax of each choice's parameters."""
        rows: list[list[float]] = self.logits.softmax(dim=1).tolist()
        return [row[:count] for row, count in zip(rows, self.counts, strict=True)]

    def train(self, steps: int) -> float:
        """Take `steps` pairs of steps; return the mean loss of the weights' steps.

        Raises Diverged when a loss or a parameter is not finite.
        """
        self.supernet.weights.ensure(self.relaxation.graph)
        try:
            loss = self.supernet.repeat(self._pair_of_steps, steps)
        except Diverged:
            self._check_parameters()  # they may be the cause
            raise
        self._check_parameters()
        return loss

    def _check_parameters(self) -> None:
        if not bool(torch.isfinite(self.parameters).all()):
            raise Diverged(
                "an architecture parameter is not finite; lower controller.params.learning_rate or child.learning_rate"
            )

    def _pair_of_steps(self, learning_rate: float) -> Tensor:
        trainer = self.supernet.trainer
        batch = trainer.batches.next()
        self.step_architecture(batch, self.valid.next(), learning_rate)
        with torch.no_grad():
            shares, chosen = self.mixing(self.logits)

        def loss_of(images: Tensor, labels: Tensor) -> Tensor:
            return self._loss((images, labels), shares, chosen, trainer.noise, trainer.sgd.label_smoothing)

        return trainer.descend(loss_of, batch, learning_rate)

    def step_architecture(self, train: Batch, valid: Batch, learning_rate: float) -> None:
        """Take one step of the architecture parameters. learning_rate: xi, of the inner step for order 2."""
        weights = self.supernet.weights
        if weights.track_statistics:
            use_batch_statistics(weights, self.relaxation.graph)
        if self.order == 2:
            self.parameters.grad = self.second_order(train, valid, learning_rate)
        else:
            # a drawn path of zeros only does not use the parameters: then zeros
            (self.parameters.grad,) = torch.autograd.grad(
                self._forward(valid), [self.parameters], materialize_grads=True
            )
        self.optimizer.step()
        if weights.track_statistics:
            train_mode(weights)

    def second_order(self, train: Batch, valid: Batch, xi: float, radius: float = RADIUS) -> Tensor:
        """Return the approximate gradient (r, a) of L_valid(w - xi dL_train(w, a)/dw, a); the weights are unchanged.

        radius: eps is this divided by the norm of the gradient with respect to the stepped weights.
        """
        keys = {node.key: None for node in self.relaxation.graph.nodes if node.key is not None}
        weights = [parameter for key in keys for parameter in self.supernet.weights.by_key[key].parameters()]
        before = [weight.detach().clone() for weight in weights]

        def move(directions: Sequence[Tensor], by: float) -> None:
            """Set the weights to those before, plus `by` times the directions."""
            with torch.no_grad():
                for weight, old, direction in zip(weights, before, directions, strict=True):
                    weight.copy_(old + by * direction)

        inner = torch.autograd.grad(self._forward(train), weights)
        move(inner, -xi)
        of_parameters, *outer = torch.autograd.grad(self._forward(valid), [self.parameters, *weights])
        norm = float(torch.stack([one.double().norm() for one in outer]).norm())
        if norm > 0:
            eps = radius / norm
            sides = []
            for sign in (1, -1):
                move(outer, sign * eps)
                sides.append(torch.autograd.grad(self._forward(train), self.parameters)[0])
            of_parameters = of_parameters - xi * (sides[0] - sides[1]) / (2 * eps)
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
        return of_parameters

    def _forward(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, differentiable in the architecture parameters."""
        with self.supernet.execution.autocast():
            return self._loss(batch, *self.mixing(self.logits))

    def _loss(
        self,
        batch: Batch,
        shares: Tensor,
        chosen: list[int] | None,
        noise: Noise | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        images, labels = batch
        scores = run_relaxed(self.relaxation, self.supernet.weights, images, shares, noise, chosen)
        return F.cross_entropy(scores, labels, label_smoothing=smoothing)

    def state(self) -> dict[str, Any]:
        """Return all that the next steps depend on except the supernet, as tensors and plain data."""
        adam = {name: value.to("cpu") for name, value in self.optimizer.state.get(self.parameters, {}).items()}
        return {
            "parameters": self.parameters.detach().to("cpu", copy=True),
            "adam": {name: value.clone() for name, value in adam.items()},
            "valid": self.valid.state(),
            "mixing": self.mixing.state(),
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.parameters.copy_(state["parameters"])
        found = {name: value.clone() for name, value in state["adam"].items()}
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": {0: found} if found else {}, "param_groups": groups})
        self.valid.restore(state["valid"])
        self.mixing.restore(state["mixing"])

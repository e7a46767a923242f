"""From architecture parameters to the weights of the alternatives in a step: softmax (DARTS) or one sample (GDAS).

Axes: r choices, a alternatives.
"""

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

Shares = tuple[Tensor, list[int] | None]  # (r, a), and the alternative of each choice if only one is to be run


class Mixing(Protocol):
    """Weights of the alternatives in one forward pass, from logits (r, a), -inf where there is no alternative."""

    def __call__(self, logits: Tensor) -> Shares:
        """Return the shares, differentiable in the logits, and what alone runs, None if everything does."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that the next shares depend on except the logits."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        ...


class Softmax:
    """All alternatives, by the softmax of their parameters (Liu et al. 2019, equation 2)."""

    def __call__(self, logits: Tensor) -> Shares:
        """Return the softmax of each row."""
        return logits.softmax(dim=1), None

    def state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore nothing."""
        return


class GumbelSoftmax:
    """One alternative of each choice, drawn by the Gumbel-max trick; its gradient is that of a softmax.

    Dong & Yang 2019, section 3.2: h = one-hot(argmax(o + g)) in the forward pass, with the gradient of
    softmax((o + g) / temperature) in the backward pass (straight-through). So the share of what is drawn is 1.

    temperature: > 0; it changes the gradient only. generator: on the CPU, of the draws.
    """

    def __init__(self, generator: torch.Generator, temperature: float):
        self.generator = generator
        self.temperature = temperature

    def __call__(self, logits: Tensor) -> Shares:
        """Return the drawn alternatives' one-hot rows, and the alternatives."""
        uniform = torch.rand(logits.shape, generator=self.generator).clamp_min(torch.finfo(torch.float32).tiny)
        perturbed = logits - (-uniform.log()).log().to(logits)  # (r, a)
        soft = (perturbed / self.temperature).softmax(dim=1)
        chosen = perturbed.detach().argmax(dim=1)  # (r,)
        hard = F.one_hot(chosen, logits.shape[1]).to(soft)
        found: list[int] = chosen.tolist()
        return hard - soft.detach() + soft, found

    def state(self) -> dict[str, Any]:
        """Return the generator's state and the temperature."""
        return {"generator": self.generator.get_state(), "temperature": self.temperature}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.generator.set_state(state["generator"])
        self.temperature = state["temperature"]

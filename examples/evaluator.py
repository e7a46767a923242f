"""A custom evaluator: scores networks without training.

    python -m rlnas evaluator=yours evaluator.name=examples.evaluator.Untrained search=untrained
    python -m rlnas +experiment=nasrl_cifar evaluator=yours evaluator.name=examples.evaluator.Untrained search=untrained

The constructor gets its options and those of `space`, `seed`, `data`, `networks` and `execution` that it names.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rlnas.children.retrain import new_child
from rlnas.data import ImageData
from rlnas.evaluators import Evaluator, Score
from rlnas.execution.settings import Execution
from rlnas.spaces import Architecture
from rlnas.spaces.networks import Networks


class Untrained(Evaluator):
    """Scores how differently an untrained network responds to different images (Mellor et al. 2021, "Neural
    Architecture Search without Training", section 3).

    Each ReLU splits its inputs into on and off. Two images with similar patterns are hard to distinguish: the score is
    the log-determinant of the matrix that counts agreements, for one batch of training images. It has no unit; higher
    is better.
    """

    default_scale = "rank"  # so that learners do not depend on the unit

    def __init__(self, networks: Networks, data: ImageData, execution: Execution, seed: int, images: int = 32):
        self.networks = networks
        self.data = data
        self.execution = execution
        self.seed = seed
        self.batch = data.prepare(data.train.pixels[:images], execution.channels_last)  # (b, c, h, w)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return one score for each architecture, in order."""
        return [Score({"accuracy": self._score(architecture)}) for architecture in architectures]

    def costs(self, architecture: Architecture) -> Mapping[str, float | None]:
        """Return costs for history and report, usable in objective.terms and objective.limits."""
        return vars(self.networks.cost(architecture))

    @torch.no_grad()
    def _score(self, architecture: Architecture) -> float:
        child = new_child(self.networks.standalone(architecture), self.data, execution=self.execution, seed=self.seed)
        count = len(self.batch)
        agreements = torch.zeros(count, count, dtype=torch.float64)

        def count_agreements(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            on = (output > 0).flatten(1).double()  # (b, units)
            agreements.add_((on @ on.T + (1 - on) @ (1 - on).T).cpu())

        for module in child.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_hook(count_agreements)
        child(self.batch)
        units = agreements.diagonal().max().clamp(min=1)
        ridge = 1e-6 * torch.eye(count, dtype=torch.float64)  # two images may agree everywhere
        return float(torch.linalg.slogdet(agreements / units + ridge).logabsdet)

"""PNAS's predictor (Liu et al. 2018, section 3.3): an LSTM reads the choices of an architecture."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rlnas.controllers.encoding import Described

Floats = NDArray[np.float64]

MEMBERS = 3
WIDTH = 32  # of embeddings and hidden state; the paper's: 100
STEPS = 60  # of Adam, each with all architectures
LEARNING_RATE = 0.01  # the paper's for one-block cells
UNKNOWN = 0  # token of a name or category that the fit has not seen


class LstmPredictor:
    """An ensemble of `MEMBERS` LSTMs, each fitted to four fifths of the architectures, as in the paper.

    A feature of the space is a token: the embedding of its name plus that of its category, or its number times an
    embedding. The sigmoid of a linear layer on the last hidden state is the score, scaled to 0..1 over the
    architectures of the fit. Weights are drawn from a seed of the given generator; the global one is left as it was.
    """

    def fit(self, described: Sequence[Described], targets: Floats, counts: Floats, rng: np.random.Generator) -> None:
        """Fit every member; an architecture weighs as many times as it was scored."""
        features = [one.features for one in described]
        names = sorted({name for one in features for name in one})
        categories = sorted({value for one in features for value in one.values() if isinstance(value, str)})
        self.names = {name: place for place, name in enumerate(names, UNKNOWN + 1)}
        self.categories = {value: place for place, value in enumerate(categories, UNKNOWN + 1)}
        self.low, self.range = float(targets.min()), float(np.ptp(targets)) or 1.0
        goals = torch.tensor((targets - self.low) / self.range, dtype=torch.float32)  # (n,)
        weights = torch.tensor(counts / counts.mean(), dtype=torch.float32)  # (n,)
        inputs = self._tokens(described)
        self.members = []
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for _ in range(MEMBERS):
                kept = np.sort(rng.permutation(len(targets))[: max(1, len(targets) * 4 // 5)])
                some = torch.from_numpy(kept)
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(int(rng.integers(2**31)))
                    member = _Reader(len(self.names) + 1, len(self.categories) + 1)
                _train(member, [part[some] for part in inputs], goals[some], weights[some])
                self.members.append(member)
        finally:
            torch.set_num_threads(threads)

    def predict(self, described: Sequence[Described]) -> tuple[Floats, Floats]:
        """Return mean and standard deviation over the members."""
        inputs = self._tokens(described)
        with torch.no_grad():
            found = np.array([member(*inputs).double().numpy() for member in self.members])  # (members, m)
        return self.low + self.range * found.mean(axis=0), self.range * found.std(axis=0)

    def _tokens(self, described: Sequence[Described]) -> list[Tensor]:
        """Return names, categories and numbers of the features in the space's order, and their number."""
        lengths = [len(one.features) for one in described]
        shape = (len(described), max([1, *lengths]))
        names, categories = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        numbers = np.zeros(shape, dtype=np.float32)
        for row, one in enumerate(described):
            for place, (name, value) in enumerate(one.features.items()):
                names[row, place] = self.names.get(name, UNKNOWN)
                if isinstance(value, str):
                    categories[row, place] = self.categories.get(value, UNKNOWN)
                else:
                    numbers[row, place] = value
        ends = np.maximum(np.array(lengths, dtype=np.int64), 1)
        return [torch.from_numpy(part) for part in (names, categories, numbers, ends)]


class _Reader(nn.Module):
    """One LSTM over the tokens of an architecture."""

    def __init__(self, names: int, categories: int):
        super().__init__()
        self.name = nn.Embedding(names, WIDTH)
        self.category = nn.Embedding(categories, WIDTH)
        self.number = nn.Embedding(names, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, names: Tensor, categories: Tensor, numbers: Tensor, ends: Tensor) -> Tensor:
        """Return the scores (n,), in 0..1. names, categories, numbers: (n, tokens). ends: (n,) tokens of each."""
        tokens = self.name(names) + self.category(categories) + numbers[..., None] * self.number(names)  # (n, t, w)
        hidden, _ = self.lstm(tokens)  # (n, t, w)
        last = hidden[torch.arange(len(ends)), ends - 1]  # (n, w)
        return torch.sigmoid(self.head(last)[:, 0])


def _train(member: _Reader, inputs: Sequence[Tensor], goals: Tensor, weights: Tensor) -> None:
    optimizer = torch.optim.Adam(member.parameters(), lr=LEARNING_RATE)
    for _ in range(STEPS):
        loss = (weights * (member(*inputs) - goals).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(member.parameters(), 5.0)
        optimizer.step()

"""Successive halving: train many networks for a short time, the best of them longer, down to the last two.

Jamieson & Talwalkar 2016 (arXiv 1502.07943). Each rung restarts every network, from a copy of the shared weights or
from scratch, with a learning rate that follows its own cosine to the end of the rung: a network that continued after
a cosine had ended would be trained with another schedule than one trained for that long at once.

Controls go through the same rungs beside the finalists, each kind ranked among itself, so that the best of each kind is
measured exactly as the found network is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from rlnas.config.schema import SelectConfig
from rlnas.evaluators import Score
from rlnas.search.candidates import Candidate, Trained
from rlnas.spaces import Architecture

LAST = 2  # networks of the last rung
Train = Callable[[Sequence[Architecture], float, Sequence[int]], Iterable[Score]]  # architectures, epochs, repeats


@dataclass(frozen=True)
class Rung:
    """number: from 1. networks: most of a kind that are trained. epochs: of each training. seeds: of each network."""

    number: int
    networks: int
    epochs: float
    seeds: int

    @property
    def repeats(self) -> tuple[int, ...]:
        """Numbers of the random streams: 0, or with several seeds others than those that chose the networks before."""
        return (0,) if self.seeds == 1 else tuple(range(1, self.seeds + 1))

    def describe(self) -> dict[str, Any]:
        """Return the rung as an entry of result.json."""
        return {"rung": self.number, "networks": self.networks, "epochs": self.epochs, "seeds": self.seeds}


def rungs(finalists: int, config: SelectConfig) -> list[Rung]:
    """Return the rungs for this number of finalists (>= 2).

    With `halving` = eta > 1 each rung keeps the best 1/eta, rounded down but at least two, for eta times the epochs;
    with 1 all finalists are trained once. The last two have `last_seeds` trainings, with 1 that of the rung.
    """
    eta, epochs, count = config.halving, config.finalist_epochs, finalists
    found = [Rung(1, count, epochs, 1)]
    while eta > 1 and count > LAST:
        count, epochs = max(LAST, count // eta), epochs * eta
        found.append(Rung(len(found) + 1, count, epochs, 1))
    if config.last_seeds == 1:
        return found
    if count > LAST:  # without halving: the last two once more, for as long
        return [*found, Rung(2, LAST, epochs, config.last_seeds)]
    return [*found[:-1], replace(found[-1], seeds=config.last_seeds)]


@dataclass(frozen=True)
class Halving:
    """Trains groups of networks rung by rung: the finalists first, then the controls of each kind.

    eta: `select.halving`. train: yields the score of each training, in order. value: the objective of an
    architecture's score. said: called with the group's number, the place in it (from 1), the networks of that group in
    the rung and the network, when its trainings of a rung are finished.
    """

    rungs: Sequence[Rung]
    eta: int
    train: Train
    value: Callable[[Architecture, Score], float]
    said: Callable[[int, int, int, Candidate], None]

    def sizes(self, groups: Sequence[int]) -> list[list[int]]:
        """Return for each group of these sizes how many of its networks are trained in each rung.

        The first group are the finalists. Each kind of controls keeps the best 1/eta, at least one.
        """
        found = [[rung.networks for rung in self.rungs]]
        for group in groups[1:]:
            sizes = [group]
            for rung in self.rungs[1:]:
                sizes.append(min(rung.networks, max(1, sizes[-1] // self.eta)) if group else 0)
            found.append(sizes)
        return found

    def epochs(self, groups: Sequence[int]) -> float:
        """Return the epochs of all trainings together, for groups of these sizes."""
        return sum(
            size * rung.epochs * rung.seeds
            for sizes in self.sizes(groups)
            for size, rung in zip(sizes, self.rungs, strict=True)
        )

    def run(self, groups: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
        """Return each group, best first, with the trainings of its members; equals keep their order.

        An architecture of several groups is trained once.
        """
        found = [list(group) for group in groups]
        sizes = self.sizes([len(group) for group in groups])
        for place, rung in enumerate(self.rungs):
            racing = [group[: size[place]] for group, size in zip(found, sizes, strict=True)]
            trained: dict[Architecture, Trained] = {}
            scores = self._scores(rung, list(dict.fromkeys(one.architecture for group in racing for one in group)))
            for number, group in enumerate(racing):
                for position, one in enumerate(group):
                    while one.architecture not in trained:
                        architecture, result = next(scores)
                        trained[architecture] = result
                    group[position] = replace(one, trained=(*one.trained, trained[one.architecture]))
                    self.said(number, position + 1, len(group), group[position])
                found[number][: len(group)] = sorted(group, key=lambda one: one.rank)
        return found

    def _scores(self, rung: Rung, architectures: Sequence[Architecture]) -> Iterator[tuple[Architecture, Trained]]:
        """Yield each architecture with its trainings in this rung."""
        repeats = rung.repeats
        every = [one for one in architectures for _ in repeats]
        scores = iter(self.train(every, rung.epochs, list(repeats) * len(architectures)))
        for architecture in architectures:
            own = tuple(islice(scores, len(repeats)))
            objectives = tuple(None if score.failed else self.value(architecture, score) for score in own)
            yield architecture, Trained(rung.number, rung.epochs, repeats, own, objectives)

"""Base class of search spaces: a decision process with a fixed horizon, and the text of each architecture.

An architecture is an immutable, hashable value that only its own space interprets. Its text is its identity: files,
caches, logs and comparisons identify an architecture by its text only.
"""

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph
from rlnas.networks.relaxation import Relaxation
from rlnas.spaces import process
from rlnas.spaces.diagram import Diagram
from rlnas.tabular.benchmark import Benchmark

Architecture: TypeAlias = Any  # immutable and hashable; each space defines its type
Prefix: TypeAlias = "Sequence[Sequence[int]] | NDArray[np.int64]"  # the actions so far, one row a step

TRIED = 2000  # architectures, at most, that `check_transfer` tries


class Space(ABC):
    """Architectures that are built in `steps` steps of len(nvec) choices each.

    A space must implement `legal`, `architecture`, `actions`, `text` and `parse`. The other methods work for any
    legality through the decision process.

    name: as in the config group `space`, or the dotted path of a user's class.
    nvec: maximum number of choices of each component of a step. steps: fixed; a space with architectures of
    different length has a choice that changes nothing.
    size: the exact number of architectures; None if unknown or unbounded.
    skip_bits: number of last components of a step that are skip bits, one for each earlier layer; policies with
    anchor points (Zoph & Le 2017, section 3.2) attend over the layers to choose them.
    builds_networks: whether `graph` returns a network. has_bypass: whether its skips bypass a layer's operator, whose
    output drop path may then drop (`Node.own`).
    benchmark: measured values of every architecture, row `code(architecture)`, for evaluators that look them up and as
    the truth to compare estimates with; None if there are none.
    fingerprint: SHA-256 of the file the space was read from, if any: a run resumes only with the same content.
    """

    name: str
    nvec: tuple[int, ...]
    steps: int
    size: int | None = None
    skip_bits: int = 0
    builds_networks: bool = False
    has_bypass: bool = False
    benchmark: Benchmark | None = None
    fingerprint: str | None = None

    # -- the decision process ------------------------------------------------------------------------

    @abstractmethod
    def legal(self, prefix: Prefix) -> NDArray[np.bool_]:
        """Return which choices are legal after the actions of `prefix`: (sum(nvec),) bool, True is legal.

        It may depend on all earlier steps, not on other components of this step: components that depend on each
        other must be separate steps. At least one choice of each component is legal; a component that is no
        decision at this step has exactly one. Raises RlnasError after the last step.
        """

    @abstractmethod
    def architecture(self, actions: Prefix) -> Architecture:
        """Return the architecture that these legal actions (steps, len(nvec)) build."""

    @abstractmethod
    def actions(self, architecture: Architecture) -> NDArray[np.int64]:
        """Return the canonical actions (steps, len(nvec)) that build it; `architecture` is the inverse."""

    def advance(self, scored: int) -> None:
        """Learn that the search has scored `scored` architectures; nothing by default.

        A space whose choices grow with the search changes here, and only here, what `legal`, `sample`, `mutate` and
        `crossover` allow from now on, as a function of `scored` alone. So a resumed search continues exactly. What the
        other methods return does not change.
        """
        return  # not abstract

    @property
    def stage(self) -> str | None:
        """What `advance` has reached, in words, such as `6 of 12 layers`; None for a space that does not grow."""
        return None

    def expansions(self, architecture: Architecture, rng: np.random.Generator, count: int) -> "list[Architecture]":
        """Return up to `count` architectures of the current stage that contain this one of an earlier stage.

        Empty by default: a space that does not grow has no stages.
        """
        return []

    @cached_property
    def decisions(self) -> tuple[tuple[int, int], ...]:
        """(step, component) of every place where some prefix leaves more than one legal choice, in order."""
        return tuple(
            (step, component)
            for step in range(self.steps)
            for component, choices in enumerate(self.nvec)
            if choices > 1
        )

    # -- sampling and editing ------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Sample an architecture: each choice uniform among the legal ones.

        Where legality depends on earlier choices this is not uniform over architectures.
        """
        return self.architecture(process.repaired(self, None, rng))

    def trivial(self) -> Architecture | None:
        """Return the architecture with which a search that starts from nothing begins; None if the space has none."""
        return None

    def initial(self, rng: np.random.Generator) -> Architecture:
        """Sample an architecture of the first population of an evolution; `sample` by default."""
        return self.sample(rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return another architecture: one open choice, drawn uniformly, is set to another legal value.

        Later choices that become illegal are resampled. Raises RlnasError if nothing can be changed.
        """
        actions = self.actions(architecture)
        places = process.open_choices(self, actions)
        if not places:
            raise RlnasError(f"space {self.name} holds one architecture only: nothing can be mutated")
        for _ in range(100):  # a changed choice may still build the same architecture
            step, component, options = places[int(rng.integers(len(places)))]
            changed = process.changed(actions, step, component, options, int(rng.integers(1, len(options))))
            found = self.architecture(process.repaired(self, changed, rng))
            if found != architecture:
                return found
        raise RlnasError(f"space {self.name}: 100 changes of one choice left {self.text(architecture)} as it is")

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a child that takes each choice from either parent with equal probability.

        A choice that is illegal after the earlier ones is resampled.
        """
        left, right = self.actions(a), self.actions(b)
        mixed = np.where(rng.random(left.shape) < 0.5, left, right)
        return self.architecture(process.repaired(self, mixed, rng))

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Yield every other architecture that one changed choice gives, in order of the choices.

        Later choices that become illegal are set to the lowest legal value.
        """
        actions = self.actions(architecture)
        seen = {architecture}
        for step, component, options in process.open_choices(self, actions):
            for shift in range(1, len(options)):
                changed = process.changed(actions, step, component, options, shift)
                found = self.architecture(process.repaired(self, changed, None))
                if found not in seen:
                    seen.add(found)
                    yield found

    # -- forms ---------------------------------------------------------------------------------------

    @abstractmethod
    def text(self, architecture: Architecture) -> str:
        """Return the architecture's identity: one unique line that neither starts nor ends with a comma."""

    @abstractmethod
    def parse(self, text: str) -> Architecture:
        """Return the architecture of a text; raise RlnasError saying what is wrong with it."""

    def features(self, architecture: Architecture) -> dict[str, str | float]:
        """Return the architecture's features by name, for statistics, surrogates and figures.

        A name is PLACE/FACTOR, such as layer3/operator, or one word for the whole architecture. A text value is
        categorical, a number numerical. rlnas.objective reads `skip_rate`, the used share of the possible skips in
        0..1.
        """
        return {
            f"step{step + 1}/choice{component + 1}": str(value)
            for step, row in enumerate(self.actions(architecture).tolist())
            for component, value in enumerate(row)
            if self.nvec[component] > 1
        }

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return the ordered categories of the features PLACE/`factor`; None if they have no order."""
        return None

    def code(self, architecture: Architecture) -> int | None:
        """Return the architecture's number in range(size); None if the space does not number them."""
        return None

    def to_json(self, architecture: Architecture) -> str:
        """Return what `describe` returns, as JSON."""
        return json.dumps(self.describe(architecture), indent=2)

    def from_json(self, text: str) -> Architecture:
        """Return the architecture of a JSON form; raise RlnasError if it is invalid or of another space."""
        try:
            record = json.loads(text)
            name, words = record["space"], record["architecture"]
            if not isinstance(words, str):
                raise TypeError(f"architecture is {words}, expected a text")
        except (ValueError, KeyError, TypeError) as error:
            raise RlnasError(
                f"this is no architecture in JSON ({error!r}); expected what a run writes to best/"
            ) from None
        if name != self.name:
            raise RlnasError(f"the architecture is of space {name}, the run's space is {self.name}")
        return self.parse(words)

    def describe(self, architecture: Architecture) -> dict[str, Any]:
        """Return the JSON form: the space's name, the text and the code (a string, as it may exceed 2^53; None if
        there is none).
        """
        code = self.code(architecture)
        return {
            "space": self.name,
            "architecture": self.text(architecture),
            "code": None if code is None else str(code),
        }

    def references(self) -> dict[str, Architecture]:
        """Return hand-made reference architectures by name, best known first: what a search has to beat.

        No two are equal. None by default.
        """
        return {}

    def diagrams(self, architecture: Architecture) -> tuple[Diagram, ...]:
        """Return the parts that a report draws beside the whole network; none by default."""
        return ()

    # -- networks ------------------------------------------------------------------------------------

    @property
    def standalone(self) -> "Space":
        """The space of the same architectures whose `graph` returns stand-alone networks; by default this space.

        A space that cuts operators into nodes so that they share weights returns here one that does not. Both networks
        of an architecture compute the same function with as many parameters.
        """
        return self

    def check_transfer(self, final: "Space") -> None:
        """Raise RlnasError unless every architecture has a network in `final`, this space with other options.

        By default both must have the same choices, and a text must mean an architecture in both.
        """
        if (final.nvec, final.steps, final.size) != (self.nvec, self.steps, self.size):
            raise RlnasError("it changes what there is to choose; it may only change how the network is built")
        self._check_texts(final)

    def _check_texts(self, final: "Space") -> None:
        """Raise RlnasError for a choice that `transferred` cannot take over: tries each on one architecture."""
        first = self.sample(np.random.default_rng(0))
        for architecture in itertools.islice(itertools.chain([first], self.neighbours(first)), TRIED):
            try:
                self.transferred(architecture, final)
            except RlnasError as error:
                raise RlnasError(f"it changes what there is to choose: {error}") from None

    def transferred(self, architecture: Architecture, final: "Space") -> Architecture:
        """Return the architecture of `final` that becomes the final network of `architecture`: the same text.

        final: as in `check_transfer`, which comes first.
        """
        return final.parse(self.text(architecture))

    def auxiliary(
        self, architecture: Architecture, *, image_channels: int, image_size: int, classes: int
    ) -> Graph | None:
        """Return a second network that shares nodes with `graph` and classifies from an earlier place, for training.

        Its loss is added to that of the network (Szegedy et al. 2015; NASNet, DARTS). None if the space has none.
        """
        return None

    def graph(self, architecture: Architecture, *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return the network for images of `image_channels` and `image_size` x `image_size` pixels.

        Raises RlnasError if the space builds no networks.
        """
        raise RlnasError(
            f"space={self.name} has no networks to train; use an evaluator that looks its architectures up or computes "
            "their value, such as evaluator=tabular"
        )

    # -- gradient search -----------------------------------------------------------------------------

    def relaxation(self, *, image_channels: int, image_size: int, classes: int) -> Relaxation:
        """Return the network of all architectures at once, with the weight keys of `graph`.

        Raises RlnasError if the space has none.
        """
        raise RlnasError(
            f"space={self.name} has no relaxation to search by gradients; set space=darts, nasnet or nasrl, or a "
            "controller that chooses architectures"
        )

    def discretised(self, strengths: Sequence[Sequence[float]]) -> Architecture:
        """Return the architecture of the strongest alternatives of the relaxation.

        strengths: for each choice of `relaxation`, a number for each alternative, comparable between choices.
        """
        raise RlnasError(f"space={self.name} has no relaxation")

    def identities(self, architecture: Architecture) -> int:
        """Return the number of operators that are an identity: many are the sign of a collapse of a gradient search."""
        found = self.features(architecture)
        return sum(name.endswith("/operator") and value == "identity" for name, value in found.items())

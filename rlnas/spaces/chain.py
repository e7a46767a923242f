"""Chain-structured spaces with any skips (Zoph & Le 2017; ENAS macro, Pham et al. 2018, section 2.1).

N layers; layer i applies one of C operators to the output of layer i-1, and any other earlier layer may be connected
to it by a skip: C^N * 2^((N-1)(N-2)/2) architectures. ENAS also makes the edge from i-1 optional; here it always
exists (the survey's count).
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.spaces.base import Space
from rlnas.spaces.growable import GrowableSpace
from rlnas.spaces.independent import Decisions


class ChainSpace(GrowableSpace):
    """Layers of factored operators with skip bits; subclasses define the factors.

    layers: N. factors: number of choices of each factor of an operator (one factor: the operator itself).
    A step is a layer; its components are the factors, then one bit for each layer except the last two,
    in layer order: bit j is 1 if layer j+1 is added. The text form has one word a layer: the
    operator's name and `+j` for each skip from layer j (from 1): `conv3x3 max_pool3x3 sep_conv5x5+1`.
    """

    builds_networks = True
    factor_names: tuple[str, ...] = ("operator",)  # in features
    unit = option = "layers"

    def __init__(self, layers: int, factors: Sequence[int]):
        self.layers = layers
        self.factors = tuple(factors)
        self.skip_bits = bits = max(layers - 2, 0)
        layout = [range(len(self.factors) + max(layer - 1, 0)) for layer in range(layers)]
        nvec = self.factors + (2,) * bits
        super().__init__(choices=[nvec[component] for step in layout for component in step], nvec=nvec, layout=layout)

    @property
    def depth(self) -> int:
        """The number of layers."""
        return self.layers

    @property
    def step_units(self) -> tuple[int, ...]:
        """A step is a layer."""
        return tuple(range(self.layers))

    def depth_of(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())

    @abstractmethod
    def operator_name(self, factors: Sequence[int]) -> str:
        """Return the text of an operator given the index of each factor."""

    @abstractmethod
    def operator_factors(self, name: str) -> tuple[int, ...]:
        """Return the index of each factor, the inverse of `operator_name`; RlnasError for an unknown name."""

    def split(self, architecture: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Return for each layer its factors and the layers (from 0) whose outputs are added to it."""
        width = len(self.factors)
        actions: NDArray[np.int64] = self.actions(architecture)
        return [
            (
                tuple(int(value) for value in row[:width]),
                tuple(int(source) for source in np.flatnonzero(row[width:])),
            )
            for row in actions
        ]

    @abstractmethod
    def factor_values(self, factors: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each factor."""

    def features(self, architecture: Sequence[int]) -> dict[str, str | float]:
        """Return layer3/operator (or each factor with a choice), layer3/skip1 as 0 or 1, skip_rate in 0..1."""
        found: dict[str, str | float] = {}
        used = possible = 0
        for layer, (factors, sources) in enumerate(self.split(architecture), 1):
            named = zip(self.factor_names, self.factor_values(factors), self.factors, strict=True)
            found.update({f"layer{layer}/{name}": text for name, text, choices in named if self._drawn(choices)})
            found.update({f"layer{layer}/skip{source}": float(source - 1 in sources) for source in range(1, layer - 1)})
            used, possible = used + len(sources), possible + max(layer - 2, 0)
        if possible:
            found["skip_rate"] = used / possible
        return found

    def _drawn(self, choices: int) -> bool:
        """Return whether a factor with `choices` values is a feature: it has a choice or is the only factor."""
        return choices > 1 or len(self.factors) == 1

    def reference_operators(self) -> dict[str, str]:
        """Return the operators whose chains are references, as texts, each by the end of the references' names."""
        return {}

    def references(self) -> dict[str, Decisions]:
        """Return the chains of each reference operator with three patterns of skips.

        residual: layers 2 and 3, 4 and 5, ... are blocks that add their input to their output, as in ResNet (He et
        al. 2016): every odd layer from 3 on has a skip from two layers before. Layer 1 continues the stem; a last even
        layer is outside of the blocks. dense: all skips. plain: none. Equal architectures are named once.
        """
        patterns: dict[str, dict[int, Sequence[int]]] = {  # layer -> its skips, from 1
            "residual": {layer: (layer - 2,) for layer in range(3, self.layers + 1, 2)},
            "dense": {layer: range(1, layer - 1) for layer in range(3, self.layers + 1)},
            "plain": {},
        }
        found: dict[str, Decisions] = {}
        for end, operator in self.reference_operators().items():
            for pattern, skips in patterns.items():
                if pattern != "plain" and not skips:
                    continue
                words = [
                    operator + "".join(f"+{source}" for source in skips.get(layer, ()))
                    for layer in range(1, self.layers + 1)
                ]
                architecture = self.parse(" ".join(words))
                if architecture not in found.values():
                    found[f"{pattern}_{end}"] = architecture
        return found

    def check_transfer(self, final: Space) -> None:
        """Raise RlnasError unless `final` has the same operators and r >= 1 times as many layers."""
        if not isinstance(final, ChainSpace) or final.layers == self.layers:
            super().check_transfer(final)
            return
        if final.layers % self.layers:
            raise RlnasError(
                f"layers={final.layers} is no multiple of the {self.layers} layers of the search, each of which is "
                f"repeated equally often; take {2 * self.layers} or {3 * self.layers}"
            )
        if final.factors != self.factors:
            raise RlnasError("it changes what there is to choose; it may only change how the network is built")
        self._check_texts(final)

    def transferred(self, architecture: Sequence[int], final: Space) -> Decisions:
        """Return the architecture with each layer repeated in place, r times where `final` has r times the layers.

        Layer i becomes layers (i-1)r+1 to ir with its operator. The last of them takes the layer's skips, each from the
        last copy of its source. So a skip ends and begins where the output of a searched layer was.
        """
        assert isinstance(final, ChainSpace)
        times = final.layers // self.layers
        words = []
        for word in self.text(architecture).split():
            name, *sources = word.split("+")
            last = "+".join([name, *(str(int(source) * times) for source in sources)])
            words += [*[name] * (times - 1), last]
        return final.parse(" ".join(words))

    def text(self, architecture: Sequence[int]) -> str:
        """Return one word a layer: `conv3x3 max_pool3x3 sep_conv5x5+1`."""
        words = [
            self.operator_name(factors) + "".join(f"+{source + 1}" for source in sources)
            for factors, sources in self.split(architecture)
        ]
        return " ".join(words)

    def parse(self, text: str) -> Decisions:
        """Return the architecture of a text form; RlnasError says which layer is wrong."""
        words = text.split()
        if len(words) != self.layers:
            raise RlnasError(f"expected {self.layers} layers separated by spaces, got {len(words)}: '{text}'")
        actions = np.zeros((self.steps, len(self.nvec)), dtype=np.int64)
        for layer, word in enumerate(words):
            name, *sources = word.split("+")
            actions[layer, : len(self.factors)] = self.operator_factors(name)
            for source in sources:
                if not source.isdecimal() or not 1 <= int(source) < layer:
                    raise RlnasError(
                        f"layer {layer + 1}, '{word}': a skip must come from layer 1 to {layer - 1}"
                        if layer > 1
                        else f"layer {layer + 1}, '{word}': the first two layers take no skip"
                    )
                actions[layer, len(self.factors) + int(source) - 1] = 1
        return self.architecture(actions)

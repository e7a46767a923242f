"""Chain-structured spaces with any skips (Zoph & Le 2017; ENAS macro, Pham et al. 2018, section 2.1).

N layers; layer i applies an operator to the output of layer i-1, and any earlier layer but that one may be
connected to it: C^N * 2^((N-1)(N-2)/2) architectures. ENAS also makes the edge from i-1 optional; here it
always exists (the survey's count).
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.spaces.base import Architecture, NetworkSpace


class ChainSpace(NetworkSpace):
    """Layers of factored operators with skip bits; subclasses say what a factor means.

    layers: N. factors: number of choices of each factor of an operator (one factor: the operator itself).
    A step is a layer; its components are the factors, then one bit for each layer but the last two,
    in layer order: bit j says whether layer j+1 is added. The text form has one word a layer, the
    operator's name and `+j` for each skip from layer j (from 1): `conv3x3 max_pool3x3 sep_conv5x5+1`.
    """

    def __init__(self, layers: int, factors: Sequence[int]):
        self.layers = layers
        self.factors = tuple(factors)
        self.skip_bits = bits = max(layers - 2, 0)
        layout = [range(len(self.factors) + max(layer - 1, 0)) for layer in range(layers)]
        nvec = self.factors + (2,) * bits
        super().__init__(choices=[nvec[component] for step in layout for component in step], nvec=nvec, layout=layout)

    @abstractmethod
    def operator_name(self, factors: Sequence[int]) -> str:
        """The text of an operator given the index of each factor."""

    @abstractmethod
    def operator_factors(self, name: str) -> tuple[int, ...]:
        """The inverse of `operator_name`; RlnasError for an unknown name."""

    def split(self, architecture: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """For each layer: its factors, and the layers (from 0) whose outputs are added to it."""
        width = len(self.factors)
        actions: NDArray[np.int64] = self.actions(architecture)
        return [
            (
                tuple(int(value) for value in row[:width]),
                tuple(int(source) for source in np.flatnonzero(row[width:])),
            )
            for row in actions
        ]

    def operator_labels(self, architecture: Sequence[int]) -> list[str]:
        """The operator of each layer."""
        return [self.operator_name(factors) for factors, _ in self.split(architecture)]

    def skips(self, architecture: Sequence[int]) -> list[tuple[int, int]]:
        """The skip connections as (from layer, to layer), layers numbered from 1."""
        return [
            (source + 1, layer + 1) for layer, (_, sources) in enumerate(self.split(architecture)) for source in sources
        ]

    def text(self, architecture: Sequence[int]) -> str:
        """One word a layer: `conv3x3 max_pool3x3 sep_conv5x5+1`."""
        words = [
            self.operator_name(factors) + "".join(f"+{source + 1}" for source in sources)
            for factors, sources in self.split(architecture)
        ]
        return " ".join(words)

    def parse(self, text: str) -> Architecture:
        """The architecture of a text form; RlnasError says which layer is wrong."""
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

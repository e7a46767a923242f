"""Zoph & Le's space (2017, section 3): the controller chooses each factor of a convolution."""

import math
import re
from collections.abc import Sequence

from rlnas.config.spaces import NasrlFactoredConfig
from rlnas.errors import RlnasError
from rlnas.networks.graph import INPUT, Graph, GraphBuilder
from rlnas.spaces.base import Space
from rlnas.spaces.chain import ChainSpace

DEFAULTS = NasrlFactoredConfig()
FACTORS = ("kernel height", "kernel width", "filters", "vertical stride", "horizontal stride")
_WORD = re.compile(r"(\d+)x(\d+)x(\d+)(?:s(\d+)x(\d+))?")


class NasrlFactoredSpace(ChainSpace):
    """A chain of convolutions whose height, width, filters and strides are chosen one by one, with any skips.

    heights, widths: kernel sides in pixels, odd. filters: output channels. strides_height, strides_width:
    the default `[1]` removes the strides from the choices. C is the product of the five lengths.

    The inputs of a layer are concatenated in depth, zero-padded at the bottom and right to the largest
    size (section 3.3); the first layer takes the image. A convolution over a concatenation is computed as
    the sum of one convolution a source, so that architectures that differ in other skips share a source's
    weights. Deviation: the edge from the previous layer always exists (the survey's count), so every layer has an
    input and every output is used.

    Every input of a layer, skips included, passes through its convolution. So no sum has a separate operator output
    that drop path could drop while keeping the skips: drop path is refused (rlnas.config.build).

    There is no option `sharing` as in space=nasrl: no operator starts with a projection that others could share, and as
    the centres of each other 16 kernels would nest seven convolutions deep.
    """

    name = "nasrl_factored"
    factor_names = FACTORS

    def __init__(
        self,
        layers: int = DEFAULTS.layers,
        heights: Sequence[int] = tuple(DEFAULTS.heights),
        widths: Sequence[int] = tuple(DEFAULTS.widths),
        filters: Sequence[int] = tuple(DEFAULTS.filters),
        strides_height: Sequence[int] = tuple(DEFAULTS.strides_height),
        strides_width: Sequence[int] = tuple(DEFAULTS.strides_width),
    ):
        self.values = tuple(tuple(values) for values in (heights, widths, filters, strides_height, strides_width))
        named = zip(("heights", "widths", "filters", "strides_height", "strides_width"), self.values, strict=True)
        for name, values in named:
            if not values or min(values) < 1 or len(set(values)) < len(values):
                raise RlnasError(f"space.{name} is {list(values)}, expected at least one, all different and positive")
        if any(side % 2 == 0 or side > 11 for side in (*heights, *widths)):
            raise RlnasError("space.heights and space.widths must be odd and at most 11 pixels")
        super().__init__(layers, [len(values) for values in self.values])

    def _chosen(self, factors: Sequence[int]) -> tuple[int, ...]:
        return tuple(values[index] for values, index in zip(self.values, factors, strict=True))

    def reference_operators(self) -> dict[str, str]:
        """Return the 3x3 convolutions of most and of fewest filters, with the smallest strides.

        Where 3 is no choice, the smallest side above it, else the largest.
        """
        heights, widths, filters, down, right = self.values
        sides = [min(sides, key=lambda side: (side < 3, abs(side - 3))) for sides in (heights, widths)]
        found = {}
        for name, count in (("chain", max(filters)), ("narrow_chain", min(filters))):
            chosen = (*sides, count, min(down), min(right))
            factors = [values.index(value) for values, value in zip(self.values, chosen, strict=True)]
            found[name] = self.operator_name(factors)
        return found

    def operator_name(self, factors: Sequence[int]) -> str:
        """Return height x width x filters, with the strides where they are choices: `3x5x36` or `3x5x36s2x1`."""
        height, width, filters, down, right = self._chosen(factors)
        strides = f"s{down}x{right}" if self._strided else ""
        return f"{height}x{width}x{filters}{strides}"

    @property
    def _strided(self) -> bool:
        return self.values[3:] != ((1,), (1,))

    def factor_values(self, factors: Sequence[int]) -> tuple[str, ...]:
        """Return the value of each factor."""
        return tuple(str(value) for value in self._chosen(factors))

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return the values of a factor in configuration order."""
        return tuple(map(str, self.values[FACTORS.index(factor)])) if factor in FACTORS else None

    def operator_factors(self, name: str) -> tuple[int, ...]:
        """Return the index of each factor."""
        match = _WORD.fullmatch(name)
        chosen = [int(group or 1) for group in match.groups()] if match else []
        if match is None or (match[4] is not None) != self._strided:
            form = "3x5x36s2x1" if self._strided else "3x5x36"
            raise RlnasError(f"'{name}' is no operator of this space; expected a word like {form}")
        for value, values in zip(chosen, self.values, strict=True):
            if value not in values:
                raise RlnasError(f"'{name}': {value} is not among {list(values)}")
        return tuple(values.index(value) for value, values in zip(chosen, self.values, strict=True))

    def check_transfer(self, final: Space) -> None:
        """Raise RlnasError as in a chain, or if copies of a layer would repeat its strides."""
        if self._strided and isinstance(final, ChainSpace) and final.layers != self.layers:
            raise RlnasError(
                f"layers={final.layers} repeats each layer, and with it the strides that the search may choose; leave "
                "layers out, or set space.strides_height=[1] space.strides_width=[1]"
            )
        super().check_transfer(final)

    def graph(self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return for each layer a `raw_conv` a source, their sum, BN-ReLU. Weight keys: layer, operator, source."""
        builder = GraphBuilder(image_channels, (image_size, image_size))
        outputs: list[int] = []
        for layer, (factors, sources) in enumerate(self.split(architecture)):
            height, width, filters, down, right = self._chosen(factors)
            number, word = layer + 1, self.operator_name(factors)
            inputs = [outputs[layer - 1], *(outputs[source] for source in sources)] if layer else [INPUT]
            names = [layer, *(source + 1 for source in sources)]  # 0: the image
            largest = (
                max(builder.output_size(node)[0] for node in inputs),
                max(builder.output_size(node)[1] for node in inputs),
            )
            operator = f"raw_conv{height}x{width}"
            parts = []
            for node, name in zip(inputs, names, strict=True):
                if builder.output_size(node) != largest:
                    node = builder.add("pad", [node], size=largest, layer=number)
                depth = builder.output_channels(node)
                key = f"layer{number}/{word}/from{name}x{depth}"
                parts.append(
                    builder.add(operator, [node], channels=filters, key=key, stride=(down, right), layer=number)
                )
            joined = parts[0] if len(parts) == 1 else builder.add("sum", parts, layer=number)
            outputs.append(builder.add("norm_relu", [joined], key=f"layer{number}/{word}/norm", layer=number))
        builder.add("head", [outputs[-1]], channels=classes, key=f"head{builder.output_channels(outputs[-1])}")
        return builder.build()

    @property
    def operators_per_layer(self) -> int:
        """C, the number of operators of a layer: the product of the factors' choices."""
        return math.prod(self.factors)

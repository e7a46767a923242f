"""The NAS-RL space with ENAS's operators (Pham et al. 2018, section 2.3 and appendix; FIELD: NAS-RL)."""

from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property, partial

from rlnas.config.spaces import NasrlConfig
from rlnas.errors import RlnasError
from rlnas.networks.graph import INPUT, Graph, GraphBuilder
from rlnas.networks.operators import check_choosable, kernel_of
from rlnas.networks.relaxation import Alternatives, Relaxation, RelaxationBuilder
from rlnas.spaces.chain import ChainSpace
from rlnas.spaces.independent import Decisions
from rlnas.spaces.sharing import add_operator, check_sharing

DEFAULTS = NasrlConfig()
Output = Callable[[int], int]  # a layer, from 0 -> the node of its output


class NasrlSpace(ChainSpace):
    """A chain of layers, each one of C operators, with any skips.

    layers: N >= 1. operators: names, see rlnas.networks.operators. filters: channels of the stem and of every layer
    before the first reduction. reductions: number of times the resolution is halved, before layers
    floor(r N / (reductions + 1)) + 1; every earlier output that is still used is reduced too, so that skips
    have the same size (ENAS: two, after a third and two thirds of the layers). widen: factor on the channels at
    each reduction (ENAS: 1 in search, 2 in the final network). stem_stride: 1 keeps the resolution, 2
    halves it in the first convolution. merge: `sum` adds the skips and normalises (ENAS's search), `concat`
    concatenates them and projects by 1x1 conv-BN-ReLU (ENAS's final networks). sharing: how finely the operators of a
    layer share weights, see rlnas.spaces.sharing; the architectures and their stand-alone networks are the same.
    """

    name = "nasrl"
    has_bypass = True

    def __init__(
        self,
        layers: int = DEFAULTS.layers,
        operators: Sequence[str] = tuple(DEFAULTS.operators),
        filters: int = DEFAULTS.filters,
        reductions: int = DEFAULTS.reductions,
        widen: int = DEFAULTS.widen,
        stem_stride: int = DEFAULTS.stem_stride,
        merge: str = DEFAULTS.merge,
        sharing: str = DEFAULTS.sharing,
    ):
        check_choosable(tuple(operators))
        check_sharing(sharing)
        self.operators = tuple(operators)
        self.filters = filters
        self.reductions = reductions
        self.widen = widen
        self.stem_stride = stem_stride
        self.merge = merge
        self.sharing = sharing
        super().__init__(layers, (len(self.operators),))

    @cached_property
    def levels(self) -> list[int]:
        """Number of reductions before each layer."""
        starts = [r * self.layers // (self.reductions + 1) for r in range(1, self.reductions + 1)]
        return [sum(start <= layer for start in starts) for layer in range(self.layers)]

    @property
    def standalone(self) -> "NasrlSpace":
        """The same space with one node an operator."""
        if self.sharing == "operator":
            return self
        plain = copy(self)
        plain.sharing = "operator"
        return plain

    def reference_operators(self) -> dict[str, str]:
        """Return the operators of the reference chains: conv3x3, and sep_conv3x3 for tight limits.

        Where the space lacks them, the first of their kind, with a kernel larger than 1x1 if there is one.
        """
        found: dict[str, str] = {}
        for end, kinds, preferred in (
            ("chain", ("conv",), "conv3x3"),
            ("sep_chain", ("sep_conv", "dil_conv"), "sep_conv3x3"),
        ):
            kernels = [(operator, kernel_of(operator)) for operator in self.operators]
            ranked = [
                (operator != preferred, kernel[1] == (1, 1), place, operator)
                for place, (operator, kernel) in enumerate(kernels)
                if kernel is not None and kernel[0] in kinds
            ]
            if ranked:
                found[end] = min(ranked)[-1]
        return found

    def operator_name(self, factors: Sequence[int]) -> str:
        """Return the operator's name."""
        return self.operators[factors[0]]

    def factor_values(self, factors: Sequence[int]) -> tuple[str, ...]:
        """Return the operator's name."""
        return (self.operators[factors[0]],)

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return the operators in configuration order."""
        return self.operators if factor == "operator" else None

    def operator_factors(self, name: str) -> tuple[int, ...]:
        """Return the operator's index."""
        if name not in self.operators:
            raise RlnasError(f"unknown operator '{name}'; this space has {', '.join(self.operators)}")
        return (self.operators.index(name),)

    def graph(self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return stem, layers and head. Weight keys: layer and operator or part of it; layer and level for a reduced
        output.
        """
        builder = GraphBuilder(image_channels, (image_size, image_size))
        chosen = self.split(architecture)

        def operator(layer: int, source: int) -> int:
            name = self.operator_name(chosen[layer][0])
            return add_operator(builder, name, source, layer + 1, self.sharing, self.operators)

        def skips(layer: int, output: Output) -> dict[int, int]:
            return {source: output(source) for source in chosen[layer][1]}

        self._build(builder, operator, skips, classes)
        return builder.build()

    def relaxation(self, *, image_channels: int, image_size: int, classes: int) -> Relaxation:
        """Return the network of all operators of each layer and of every skip, which is absent or present.

        Raises RlnasError for merge=concat.
        """
        if self.merge != "sum":
            raise RlnasError(
                f"space=nasrl has a relaxation only if skips are added, but space.merge={self.merge}; set "
                "space.merge=sum, and retrain.space.merge=concat for the final network"
            )
        builder = GraphBuilder(image_channels, (image_size, image_size))
        relaxed = RelaxationBuilder(builder, self._alternatives)
        rows = {alternatives.name: row for row, alternatives in enumerate(self._alternatives)}

        def operator(layer: int, source: int) -> int:
            outputs = {
                place: add_operator(builder, name, source, layer + 1, self.sharing, self.operators)
                for place, name in enumerate(self.operators)
            }
            return relaxed.mixed(rows[f"layer{layer + 1}/operator"], outputs, layer + 1)

        def skips(layer: int, output: Output) -> dict[int, int]:
            return {
                source: relaxed.mixed(rows[f"layer{layer + 1}/skip{source + 1}"], {1: output(source)}, layer + 1)
                for source in range(layer - 1)
            }

        self._build(builder, operator, skips, classes)
        return relaxed.build()

    @cached_property
    def _alternatives(self) -> tuple[Alternatives, ...]:
        """The choices of the relaxation, in the order of the decisions."""
        found = []
        for layer in range(1, self.layers + 1):
            found.append(Alternatives(f"layer{layer}/operator", self.operators))
            skips = range(1, layer - 1)
            found += [Alternatives(f"layer{layer}/skip{source}", ("absent", "present")) for source in skips]
        return tuple(found)

    def discretised(self, strengths: Sequence[Sequence[float]]) -> Decisions:
        """Return the strongest operator of each layer, and the skips that are stronger present than absent."""
        return self.check([max(range(len(row)), key=row.__getitem__) for row in strengths])

    def _build(
        self,
        builder: GraphBuilder,
        operator: Callable[[int, int], int],
        skips: Callable[[int, Output], dict[int, int]],
        classes: int,
    ) -> None:
        """Add stem, layers and head.

        operator: adds that of a layer (from 0) on a node. skips: returns the nodes to merge with it, by layer; it is
        given the function that returns a layer's output in the layer's resolution.
        """
        stem = builder.add(
            "stem", [INPUT], channels=self.filters, key="stem", stride=(self.stem_stride, self.stem_stride)
        )
        # outputs[j][level]: the node of layer j's output (j = -1: the stem's) at that level
        outputs: dict[int, dict[int, int]] = {-1: {0: stem}}

        def output(layer: int, level: int) -> int:
            """Return the output of `layer` at `level`; adds each reduction once, on demand."""
            nodes = outputs[layer]
            if level not in nodes:
                name = "stem" if layer < 0 else f"layer{layer + 1}"
                nodes[level] = builder.add(
                    "reduce",
                    [output(layer, level - 1)],
                    channels=self.filters * self.widen**level,
                    key=f"{name}/reduce{level}",
                    stride=(2, 2),
                    layer=max(layer + 1, 0),
                )
            return nodes[level]

        for layer, level in enumerate(self.levels):
            node = operator(layer, output(layer - 1, level))
            found = skips(layer, partial(output, level=level))
            names = [source + 1 for source in found]
            outputs[layer] = {level: self._merge(builder, node, list(found.values()), names, layer + 1)}
        builder.add("head", [outputs[self.layers - 1][self.levels[-1]]], channels=classes, key="head")

    def _merge(self, builder: GraphBuilder, node: int, skips: list[int], names: list[int], number: int) -> int:
        """Merge the output of layer `number` with its skips, which come from the layers `names`.

        As in ENAS the sum is normalised even without a skip, so that the next layer always receives a normalised
        input; the first two layers cannot have a skip and need no normalisation.
        """
        if number <= 2:
            return node
        if self.merge == "concat" and skips:
            # conv1x1 over a concatenation = sum of one conv1x1 a source: each source has its own weights
            channels = builder.output_channels(node)
            parts = [
                builder.add(
                    "raw_conv1x1",
                    [source],
                    channels=channels,
                    key=f"layer{number}/join/from{name}",
                    layer=number,
                )
                for source, name in zip([node, *skips], [number, *names], strict=True)
            ]
            joined = builder.add("sum", parts, layer=number, own=(0,))
            return builder.add("norm_relu", [joined], key=f"layer{number}/join/norm", layer=number)
        if self.merge == "concat":
            return node
        if skips:
            node = builder.add("sum", [node, *skips], layer=number, own=(0,))
        return builder.add("norm", [node], key=f"layer{number}/norm", layer=number)

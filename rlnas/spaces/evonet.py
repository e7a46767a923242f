"""The open space of Real et al. 2017, "Large-scale evolution of image classifiers": whatever a few edits can build."""

from collections.abc import Iterator, Sequence
from copy import copy
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rlnas.config.spaces import EvonetConfig
from rlnas.errors import RlnasError
from rlnas.networks.graph import Cost, Graph
from rlnas.networks.operators import stages
from rlnas.spaces import edits
from rlnas.spaces.base import Prefix, Space
from rlnas.spaces.edits import KINDS, Edit, Layer, OpenNetwork
from rlnas.spaces.evonet_graph import Shape, compiled, counted
from rlnas.spaces.evonet_parts import chain, features_of, halvings

DEFAULTS = EvonetConfig()
REMEMBERED = 20_000  # networks whose masks and action sequences are kept


class EvonetSpace(Space):
    """Networks that at most `horizon` edits make of `start`.

    A step is one edit (one component; `self.edits` lists the choices, 0 is no edit). So legality depends on the network
    built so far only.

    horizon: edits an episode. start: text of the network before the first edit, `trivial`: pooling and a linear layer
    on the stem. slots: places for layers; a layer keeps its slot, which names its weights. kernels: odd sides in
    pixels. channels: of convolutions. filters, stem_stride: of the stem. max_layers, max_reductions: most layers, and
    most convolutions of stride 2. max_params, max_flops: of the layers and skips, without stem and classifier; FLOPs
    for images of `image_size` pixels a side; 0: no bound. inherit: whether networks share the weights that fit;
    without, the keys hold the whole architecture, so memory grows with each one that is trained.

    Raises RlnasError for options that leave nothing to build, or a start outside of the bounds.
    """

    name = "evonet"
    builds_networks = True
    has_bypass = True

    def __init__(
        self,
        horizon: int = DEFAULTS.horizon,
        start: str = DEFAULTS.start,
        slots: int = DEFAULTS.slots,
        max_layers: int = DEFAULTS.max_layers,
        max_reductions: int = DEFAULTS.max_reductions,
        max_params: int = DEFAULTS.max_params,
        max_flops: int = DEFAULTS.max_flops,
        image_size: int = DEFAULTS.image_size,
        kernels: Sequence[int] = tuple(DEFAULTS.kernels),
        channels: Sequence[int] = tuple(DEFAULTS.channels),
        filters: int = DEFAULTS.filters,
        stem_stride: int = DEFAULTS.stem_stride,
        inherit: bool = DEFAULTS.inherit,
    ):
        self.kernels = _numbers("kernels", kernels)
        self.channels = _numbers("channels", channels)
        for kernel in self.kernels:
            stages(f"plain_conv{kernel}x{kernel}")  # raises for an even or large one
        if horizon < 1 or slots < 1 or max_layers < 1:
            raise RlnasError(
                f"space.horizon={horizon}, space.slots={slots}, space.max_layers={max_layers}: expected at least 1 each"
            )
        self.slots = slots
        self.max_layers = max_layers
        self.max_reductions = max_reductions
        self.max_params = max_params
        self.max_flops = max_flops
        self.inherit = inherit
        self.shape = Shape(filters, stem_stride)
        side = -(-image_size // stem_stride)
        self.pixels = tuple((-(-side // 2**level)) ** 2 for level in range(max_reductions + 1))
        self.edits = edits.catalogue(slots, self.kernels, self.channels)
        self.numbers = {edit: number for number, edit in enumerate(self.edits)}
        self._by_kind = {kind: [edit for edit in self.edits if edit.kind == kind] for kind in KINDS}
        self.nvec = (len(self.edits),)
        self.steps = horizon
        # caches of this space, not of the class: they go with it
        self._legal = lru_cache(REMEMBERED)(self._masked)
        self._path = lru_cache(REMEMBERED)(self._shortest)
        self._check_bounds()
        self.origin = OpenNetwork()
        self.origin = self._placed(edits.parse(start), f"space.start={start}")

    def _check_bounds(self) -> None:
        """Raise RlnasError if no convolution is within the bounds."""
        options = [OpenNetwork((Layer(1, k, s, c),)) for k in self.kernels for c in self.channels for s in (1, 2)]
        allowed = options if self.max_reductions else options[::2]
        if not any(self.fits(network) for network in allowed):
            costs = [self.count(network) for network in allowed]
            raise RlnasError(
                f"space.max_params={self.max_params}, space.max_flops={self.max_flops}: no convolution is within these "
                f"bounds; the smallest has {min(cost.params for cost in costs):,} parameters, the cheapest "
                f"{min(cost.flops for cost in costs):,} FLOPs"
            )

    # -- bounds ----------------------------------------------------------------------------------------

    def count(self, network: OpenNetwork) -> Cost:
        """Return the parameters and FLOPs that the bounds apply to."""
        return counted(network, self.shape.filters, self.pixels)

    def fits(self, network: OpenNetwork) -> bool:
        """Return whether a network of known slots, kernels and channels is within all bounds."""
        layers = network.layers
        if len(layers) > self.max_layers or sum(layer.stride == 2 for layer in layers) > self.max_reductions:
            return False
        if not self.max_params and not self.max_flops:
            return True
        cost = self.count(network)
        return cost.params <= (self.max_params or cost.params) and cost.flops <= (self.max_flops or cost.flops)

    def within_reach(self, network: OpenNetwork) -> bool:
        """Return whether the horizon suffices for the canonical edits of a network within the bounds."""
        if not self.origin.layers:  # one edit for each layer and skip
            return len(network.layers) + len(network.skips) <= self.steps
        anew = len(self.origin.layers) + len(network.layers) + len(network.skips)
        return anew <= self.steps or len(self._path(network)) <= self.steps

    def _shortest(self, network: OpenNetwork) -> tuple[Edit, ...]:
        """Return its canonical edits: those that keep most of the start, if all networks on the way are within the
        bounds, or all layers are removed and it is built anew, which always is; the shorter, if both are possible.
        """
        anew = edits.cleared(self.origin) + edits.built(network)
        direct = edits.transformed(self.origin, network)
        if len(direct) > len(anew):
            return anew
        current: OpenNetwork | None = self.origin
        for edit in direct:
            current = edits.applied(current, edit) if current is not None else None
            if current is None or not self.fits(current):
                return anew
        return direct

    def _after(self, network: OpenNetwork, edit: Edit) -> OpenNetwork | None:
        """Return the network after a legal edit, None if the edit is not legal."""
        found = edits.applied(network, edit)
        if found is None or edit.kind == "none":
            return found
        return found if self.fits(found) and self.within_reach(found) else None

    def _allowed(self, network: OpenNetwork, edit: Edit) -> OpenNetwork | None:
        """Return what `_after` does for a network that no edit can bring beyond max_params and max_flops."""
        found = edits.applied(network, edit)
        if found is None or edit.kind == "none":
            return found
        if len(found.layers) > self.max_layers or halvings(found) > self.max_reductions:
            return None
        return found if self.within_reach(found) else None

    def _roomy(self, network: OpenNetwork) -> bool:
        """Return whether no edit can bring this network beyond max_params and max_flops: so most masks need no counts.

        An edit changes two convolutions and the projections of skips at most; a removed stride makes each map at most
        four times larger.
        """
        most = max(*self.channels, self.shape.filters)
        convolution = max(self.kernels) ** 2 * most**2 + 2 * most
        projection = (self.max_reductions + 1) * (most**2 + 2 * most)
        more = 2 * convolution + (len(network.skips) + 1) * projection
        cost = self.count(network)
        params, flops = cost.params + more, 4 * cost.flops + 2 * more * self.pixels[0]
        return params <= (self.max_params or params) and flops <= (self.max_flops or flops)

    def _placed(self, network: OpenNetwork, what: str) -> OpenNetwork:
        """Return a network if it is one of this space; `what` it is called in errors."""
        for layer in network.layers:
            known = not layer.kernel or (layer.kernel in self.kernels and layer.channels in self.channels)
            if layer.slot > self.slots or not known:
                raise RlnasError(
                    f"{what}: slot {layer.slot} holds {layer.operator} of {layer.channels} channels; this space has "
                    f"slots 1 to {self.slots}, kernels {list(self.kernels)} and channels {list(self.channels)}"
                )
        cost = self.count(network) if halvings(network) <= self.max_reductions else None
        if cost is None or not self.fits(network):
            raise RlnasError(
                f"{what} is over the bounds of this space: {len(network.layers)} layers (space.max_layers="
                f"{self.max_layers}), {halvings(network)} of stride 2 (space.max_reductions="
                f"{self.max_reductions})"
                + (f", {cost.params:,} parameters (space.max_params={self.max_params})" if cost else "")
                + (f", {cost.flops:,} FLOPs (space.max_flops={self.max_flops})" if cost else "")
                + "; raise the bound, 0 is none"
            )
        return network

    # -- the decision process ----------------------------------------------------------------------------

    def legal(self, prefix: Prefix) -> NDArray[np.bool_]:
        """Return which edits are legal for the network built so far: (len(edits),) bool, read-only; 0 always is."""
        if len(prefix) >= self.steps:
            raise RlnasError(f"an architecture of {self.name} is complete after {self.steps} steps")
        return self._legal(self._built(prefix))

    def _masked(self, network: OpenNetwork) -> NDArray[np.bool_]:
        legal = self._allowed if self._roomy(network) else self._after
        mask = np.array([legal(network, edit) is not None for edit in self.edits])
        mask.setflags(write=False)
        return mask

    def _built(self, actions: Prefix) -> OpenNetwork:
        """Return the network after these legal actions."""
        network = self.origin
        for row in actions:
            edit = self.edits[int(row[0])]
            found = edits.applied(network, edit)
            if found is None:
                raise RlnasError(f"{edit} is not legal for the network {self.text(network)}")
            network = found
        return network

    def architecture(self, actions: Prefix) -> OpenNetwork:
        """Return the network that these legal edits (steps, 1) build."""
        return self._built(actions)

    def actions(self, architecture: OpenNetwork) -> NDArray[np.int64]:
        """Return the canonical edits (steps, 1), then no edits; see `path`."""
        path = self.path(architecture)
        actions = np.zeros((self.steps, 1), dtype=np.int64)
        actions[: len(path), 0] = [self.numbers[edit] for edit in path]
        return actions

    def path(self, architecture: OpenNetwork) -> tuple[Edit, ...]:
        """Return the canonical edits that build it from the start, at most `steps`.

        From a trivial start: a layer an edit, in order, then a skip an edit; no shorter sequence exists. From another
        one: `rlnas.spaces.edits.transformed`, or all layers are removed and it is built anew.
        """
        found = self._path(architecture)
        if len(found) > self.steps:
            raise RlnasError(
                f"{self.text(architecture)} takes {len(found)} edits of {self.text(self.origin)}, more than "
                f"space.horizon={self.steps}; raise space.horizon"
            )
        return found

    # -- sampling and editing ----------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator) -> OpenNetwork:
        """Return the network after `horizon` random edits: each of a uniformly drawn kind that applies, no edit among
        them, and uniform within its kind.
        """
        network = self.origin
        for _ in range(self.steps):
            network = self._edited(network, KINDS, rng) or network
        return network

    def initial(self, rng: np.random.Generator) -> OpenNetwork:
        """Return the start with one random edit. The paper starts from equal individuals, which tell nothing apart."""
        return self.mutate(self.origin, rng)

    def trivial(self) -> OpenNetwork:
        """Return the start: all individuals of the paper's first population."""
        return self.origin

    def mutate(self, architecture: OpenNetwork, rng: np.random.Generator) -> OpenNetwork:
        """Return the network with one more edit, as in the paper: of a uniformly drawn kind that applies, and uniform
        within its kind.
        """
        found = self._edited(architecture, KINDS[1:], rng)
        if found is None:
            raise RlnasError(f"no edit of {self.text(architecture)} is within the bounds; raise space.horizon")
        return found

    def _edited(self, network: OpenNetwork, kinds: Sequence[str], rng: np.random.Generator) -> OpenNetwork | None:
        """Return the network after a random legal edit of one of these kinds; None if there is none."""
        # the first in a random order that is legal: uniform among the legal ones, without testing all
        for which in rng.permutation(len(kinds)):
            options = self._options(network, kinds[which])
            for place in rng.permutation(len(options)):
                found = self._after(network, options[place])
                if found is not None:
                    return found
        return None

    def _options(self, network: OpenNetwork, kind: str) -> Sequence[Edit]:
        """Return the edits of one of KINDS; some may not apply to the network."""
        if kind == "remove_skip":
            return [Edit("skip", target, source=source) for source, target in network.skips]
        if kind == "add_skip":
            slots = [layer.slot for layer in network.layers]
            pairs = ((source, slot) for place, slot in enumerate(slots) for source in (0, *slots[:place]))
            return [Edit("skip", slot, source=source) for source, slot in pairs if (source, slot) not in network.skips]
        return self._by_kind[kind]

    def crossover(self, a: OpenNetwork, b: OpenNetwork, rng: np.random.Generator) -> OpenNetwork:
        """Return one of the parents with equal probability: the paper has no crossover."""
        return a if rng.random() < 0.5 else b

    def neighbours(self, architecture: OpenNetwork) -> Iterator[OpenNetwork]:
        """Yield every network that one legal edit makes of this one, in order of the edits; all are distinct."""
        for edit in self.edits[1:]:
            found = self._after(architecture, edit)
            if found is not None:
                yield found

    # -- forms -------------------------------------------------------------------------------------------

    def text(self, architecture: OpenNetwork) -> str:
        """Return a word a layer, `4:conv3x3x16s2+0`: slot, kernel, channels, s2 if strided, sources of skips (0: the
        stem); `trivial` without layers.
        """
        return edits.text(architecture)

    def parse(self, text: str) -> OpenNetwork:
        """Return the network of a text; raise RlnasError if it is wrong or outside of this space."""
        network = self._placed(edits.parse(text), f"'{text}'")
        self.path(network)  # raises beyond the horizon
        return network

    def features(self, architecture: OpenNetwork) -> dict[str, str | float]:
        """Return slot3/operator, slot3/channels and slot3/stride of every slot (`none`, 0 and 0 of an empty one), the
        numbers of layers, reductions and skips, and skip_rate in 0..1.
        """
        return features_of(architecture, self.slots)

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return the operators: none, identity, then the convolutions."""
        return ("none", "identity", *(f"conv{k}x{k}" for k in self.kernels)) if factor == "operator" else None

    def references(self) -> dict[str, OpenNetwork]:
        """Return a residual and a plain chain, as deep as bounds and horizon allow.

        3x3 convolutions (or the nearest kernel) of the middle number of channels, of which the first ones of each equal
        part of the chain halve the maps. In the residual one every second layer adds the output of two layers before.
        """
        kernel = min(self.kernels, key=lambda side: (abs(side - 3), side))
        channels = sorted(self.channels)[len(self.channels) // 2]
        found: dict[str, OpenNetwork] = {}
        for name, residual in (("residual_chain", True), ("plain_chain", False)):
            for depth in range(min(self.max_layers, self.slots), 0, -1):
                network = chain(depth, kernel, channels, self.max_reductions, residual=residual)
                if self.fits(network) and self.within_reach(network):
                    if network not in found.values():
                        found[name] = network
                    break
        return found

    # -- networks ----------------------------------------------------------------------------------------

    @property
    def standalone(self) -> "EvonetSpace":
        """The same space with keys that do not hold the architecture, from which initial weights are drawn."""
        if self.inherit:
            return self
        plain = copy(self)
        plain.inherit = True
        return plain

    def check_transfer(self, final: Space) -> None:
        """Raise RlnasError unless every network of the search is one of `final`.

        The bounds of costs are of the search: another width of the stem or another bound could exclude what was found.
        """
        assert isinstance(final, EvonetSpace)  # retrain.space cannot change the name
        chosen = ("edits", "steps", "max_layers", "max_reductions", "origin")
        if any(getattr(self, name) != getattr(final, name) for name in chosen):
            raise RlnasError("it changes what there is to choose; it may only change filters, stem_stride and bounds")
        own, other = ((s.shape.filters, s.pixels, s.max_params, s.max_flops) for s in (self, final))
        if own != other and (final.max_params or final.max_flops):
            raise RlnasError(
                f"max_params={final.max_params} and max_flops={final.max_flops} bound the search, and with other "
                "options a found network may exceed them; add max_params=0 and max_flops=0 to retrain.space"
            )

    def graph(self, architecture: OpenNetwork, *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return stem, layers and head.

        Weight keys: slot, kernel, input and output channels and stride of a convolution; the ends and the channels of a
        skip's projection; the input channels of the head. Raises RlnasError for images so small that the space has
        networks which halve a map of one pixel.
        """
        side = -(-image_size // self.shape.stem_stride)
        if side <= 2 ** (self.max_reductions - 1):
            raise RlnasError(
                f"space.max_reductions={self.max_reductions}: maps of {side}x{side} pixels after the stem cannot be "
                f"halved so often (images have {image_size} pixels a side, space.stem_stride="
                f"{self.shape.stem_stride}); lower space.max_reductions"
            )
        prefix = "" if self.inherit else f"{self.text(architecture)}/"
        shape = Shape(self.shape.filters, self.shape.stem_stride, prefix)
        return compiled(architecture, shape, image_channels, image_size, classes)


def _numbers(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """Return the values of an option; raise RlnasError unless they are positive, different, and at least one."""
    found = tuple(int(value) for value in values)
    if not found or len(set(found)) < len(found) or min(found) < 1:
        raise RlnasError(f"space.{name} is {list(values)}, expected at least one number, each above 0 and only once")
    return found

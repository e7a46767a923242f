"""Networks of no fixed depth, and the edits that change them (Real et al. 2017, section 3.2).

A network is a chain of layers in numbered slots, and skips between them. The slot is the innovation number of a layer
(as in NEAT, Stanley & Miikkulainen 2002): it never changes while layers are inserted before it or removed, and it does
not depend on what else a run has built.
"""

import re
from bisect import bisect
from typing import NamedTuple

from rlnas.errors import RlnasError

TRIVIAL = "trivial"  # text of the network without layers
WORD = re.compile(r"(\d+):(?:conv(\d+)x(\d+)x(\d+)(s2)?|(identity))((?:\+\d+)*)")


class Layer(NamedTuple):
    """A layer: convolution, BN, ReLU; or the identity.

    slot: its innovation number, from 1. kernel: height and width in pixels; 0: the identity, whose stride is 1 and
    whose channels are 0 (it keeps those of its input). stride: 1 or 2.
    """

    slot: int
    kernel: int = 0
    stride: int = 1
    channels: int = 0

    @property
    def operator(self) -> str:
        """`conv3x3` or `identity`."""
        return f"conv{self.kernel}x{self.kernel}" if self.kernel else "identity"


class OpenNetwork(NamedTuple):
    """An architecture.

    layers: in order of their slots. skips: (source, target) slots in ascending order, source 0 is the stem: the output
    of the source is added to that of the target.
    """

    layers: tuple[Layer, ...] = ()
    skips: tuple[tuple[int, int], ...] = ()


class Edit(NamedTuple):
    """One change of a network.

    kind: `none`; `insert` a convolution (slot, kernel, stride, channels) or the `identity` in a free slot; `remove` the
    layer of a slot with its skips; set the `kernel` or the `channels` of a convolution, or switch its `stride` between
    1 and 2; `skip`: add the skip from `source` to `slot`, or remove it.
    """

    kind: str
    slot: int = 0
    kernel: int = 0
    stride: int = 1
    channels: int = 0
    source: int = 0


KINDS = ("none", "insert", "identity", "remove", "kernel", "stride", "channels", "add_skip", "remove_skip")


def catalogue(slots: int, kernels: tuple[int, ...], channels: tuple[int, ...]) -> tuple[Edit, ...]:
    """Return every edit, `none` first: the choices of a step."""
    places = range(1, slots + 1)
    return (
        Edit("none"),
        *(
            Edit("insert", slot, k, stride, c)
            for slot in places
            for k in kernels
            for stride in (1, 2)
            for c in channels
        ),
        *(Edit("identity", slot) for slot in places),
        *(Edit("remove", slot) for slot in places),
        *(Edit("kernel", slot, kernel=kernel) for slot in places for kernel in kernels),
        *(Edit("stride", slot) for slot in places),
        *(Edit("channels", slot, channels=count) for slot in places for count in channels),
        *(Edit("skip", slot, source=source) for slot in places for source in range(slot)),
    )


def applied(network: OpenNetwork, edit: Edit) -> OpenNetwork | None:
    """Return the edited network; None if the edit does not apply or would change nothing (`none` returns the same)."""
    if edit.kind == "none":
        return network
    layers, skips = network
    slots = [layer.slot for layer in layers]
    if edit.kind in ("insert", "identity"):
        if edit.slot in slots:
            return None
        place = bisect(slots, edit.slot)
        new = Layer(edit.slot, edit.kernel, edit.stride, edit.channels)
        return OpenNetwork((*layers[:place], new, *layers[place:]), skips)
    if edit.slot not in slots:
        return None
    place = slots.index(edit.slot)
    old = layers[place]
    if edit.kind == "remove":
        left = tuple(skip for skip in skips if edit.slot not in skip)
        return OpenNetwork(layers[:place] + layers[place + 1 :], left)
    if edit.kind == "skip":
        return _switched(network, (edit.source, edit.slot)) if edit.source == 0 or edit.source in slots else None
    return _altered(network, place, old, edit)


def _altered(network: OpenNetwork, place: int, old: Layer, edit: Edit) -> OpenNetwork | None:
    """Return the network with another kernel, stride or number of channels in this place; None for an identity."""
    if edit.kind == "stride":
        new = old._replace(stride=3 - old.stride)
    elif edit.kind == "kernel":
        new = old._replace(kernel=edit.kernel)
    else:
        new = old._replace(channels=edit.channels)
    if not old.kernel or new == old:
        return None
    return network._replace(layers=(*network.layers[:place], new, *network.layers[place + 1 :]))


def _switched(network: OpenNetwork, skip: tuple[int, int]) -> OpenNetwork:
    """Return the network with the skip if it had none, without it if it had."""
    if skip in network.skips:
        return network._replace(skips=tuple(other for other in network.skips if other != skip))
    return network._replace(skips=tuple(sorted((*network.skips, skip))))


def built(network: OpenNetwork) -> tuple[Edit, ...]:
    """Return the edits that build it from the network without layers: layers in order, then skips."""
    layers = (Edit("insert" if layer.kernel else "identity", *layer) for layer in network.layers)
    return (*layers, *(Edit("skip", target, source=source) for source, target in network.skips))


def cleared(network: OpenNetwork) -> tuple[Edit, ...]:
    """Return the edits that remove every layer, the last one first."""
    return tuple(Edit("remove", layer.slot) for layer in reversed(network.layers))


def transformed(start: OpenNetwork, target: OpenNetwork) -> tuple[Edit, ...]:
    """Return edits that turn `start` into `target` and keep what both have.

    In this order: remove skips, remove layers from the last to the first, set kernels, strides and channels, insert
    layers from the first to the last, add skips. A convolution in the place of an identity, or the reverse, is removed
    and inserted. The edits to any network on the way are the first ones of these.
    """
    before, after = ({layer.slot: layer for layer in network.layers} for network in (start, target))
    kept = {slot for slot in before if slot in after and bool(before[slot].kernel) == bool(after[slot].kernel)}
    lasting = [skip for skip in start.skips if kept | {0} >= set(skip)]  # the others go with a removed layer
    edits = [Edit("skip", slot, source=source) for source, slot in lasting if (source, slot) not in target.skips]
    edits += [Edit("remove", layer.slot) for layer in reversed(start.layers) if layer.slot not in kept]
    for slot in sorted(kept):
        old, new = before[slot], after[slot]
        if old.kernel != new.kernel:
            edits.append(Edit("kernel", slot, kernel=new.kernel))
        if old.stride != new.stride:
            edits.append(Edit("stride", slot))
        if old.channels != new.channels:
            edits.append(Edit("channels", slot, channels=new.channels))
    fresh = (layer for layer in target.layers if layer.slot not in kept)
    edits += [Edit("insert" if layer.kernel else "identity", *layer) for layer in fresh]
    edits += [Edit("skip", slot, source=source) for source, slot in target.skips if (source, slot) not in lasting]
    return tuple(edits)


def text(network: OpenNetwork) -> str:
    """Return one word a layer, `4:conv3x3x16s2+0+1`: slot, kernel, channels, s2 if strided, sources of skips."""
    words = []
    for layer in network.layers:
        size = f"x{layer.channels}{'s2' if layer.stride == 2 else ''}" if layer.kernel else ""
        skips = "".join(f"+{source}" for source, target in network.skips if target == layer.slot)
        words.append(f"{layer.slot}:{layer.operator}{size}{skips}")
    return " ".join(words) or TRIVIAL


def parse(words: str) -> OpenNetwork:
    """Return the network of a text; raise RlnasError for a wrong word, order or skip."""
    layers: list[Layer] = []
    skips: list[tuple[int, int]] = []
    for word in [] if words.strip() == TRIVIAL else words.split():
        match = WORD.fullmatch(word)
        if match is None or match[2] != match[3]:
            raise RlnasError(f"'{word}' is no layer; expected a word like 4:conv3x3x16, 4:conv3x3x16s2+1 or 4:identity")
        slot = int(match[1])
        if slot < 1 or (layers and slot <= layers[-1].slot):
            raise RlnasError(f"'{word}': slots start at 1 and ascend, each once; got '{words}'")
        sources = [int(source) for source in match[7].split("+")[1:]]
        known = {0, *(layer.slot for layer in layers)}
        if len(set(sources)) < len(sources) or not known >= set(sources):
            raise RlnasError(
                f"'{word}': skips come from different ones of the stem and earlier layers, {sorted(known)}"
            )
        layers.append(Layer(slot) if match[6] else Layer(slot, int(match[2]), 2 if match[5] else 1, int(match[4])))
        skips += [(source, slot) for source in sources]
    if not layers and words.strip() != TRIVIAL:
        raise RlnasError(f"expected '{TRIVIAL}' or words like 4:conv3x3x16 joined by spaces, got '{words}'")
    return OpenNetwork(tuple(layers), tuple(sorted(skips)))

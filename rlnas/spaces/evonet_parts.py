"""What statistics read of an open network, and the chains that are its references."""

from rlnas.spaces.edits import Layer, OpenNetwork


def halvings(network: OpenNetwork) -> int:
    """Return how often the network halves its maps."""
    return sum(layer.stride == 2 for layer in network.layers)


def features_of(network: OpenNetwork, slots: int) -> dict[str, str | float]:
    """Return the features of `EvonetSpace.features` in a space of so many slots."""
    found: dict[str, str | float] = {}
    here = {layer.slot: layer for layer in network.layers}
    for slot in range(1, slots + 1):
        layer = here.get(slot)
        found[f"slot{slot}/operator"] = layer.operator if layer else "none"
        found[f"slot{slot}/channels"] = float(layer.channels if layer else 0)
        found[f"slot{slot}/stride"] = float(layer.stride if layer else 0)
    layers, skips = len(network.layers), len(network.skips)
    found |= {"layers": float(layers), "reductions": float(halvings(network)), "skips": float(skips)}
    found["skip_rate"] = skips / (layers * (layers + 1) / 2) if layers else 0.0
    return found


def chain(depth: int, kernel: int, channels: int, reductions: int, *, residual: bool) -> OpenNetwork:
    """Return a chain of `depth` convolutions in the first slots, of which `reductions` halve the maps.

    residual: every second layer adds the output of two layers before.
    """
    halving = {r * depth // (reductions + 1) + 1 for r in range(1, reductions + 1)}
    layers = [Layer(slot, kernel, 2 if slot in halving else 1, channels) for slot in range(1, depth + 1)]
    return OpenNetwork(tuple(layers), tuple((slot - 2, slot) for slot in range(2, depth + 1, 2)) if residual else ())

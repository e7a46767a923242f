"""How finely the operators of a layer share weights: what each cuts an operator into, as nodes with weight keys.

operator: one node an operator; operators of a layer share nothing.
projection: the 1x1 conv-BN-ReLU in front of every operator is a node that all operators of the layer share.
kernel: as projection, and a kernel is the centre of the next larger one of its kind in the space: a 5x5 convolution is
    the layer's 3x3 convolution plus one by the ring around it. Normalisation and a separable convolution's 1x1 stay
    with the operator, since their inputs differ.

The function, the parameters and the FLOPs of an architecture are the same for all three.
"""

from collections.abc import Sequence

from rlnas.errors import RlnasError
from rlnas.networks.graph import GraphBuilder
from rlnas.networks.operators import kernel_of

SHARING = ("operator", "projection", "kernel")
# kind of an operator -> name of its convolution alone, name of what follows it
CONVOLUTIONS = {
    "conv": ("raw_conv", "norm_relu"),
    "sep_conv": ("raw_depthwise", "pointwise_norm_relu"),
    "dil_conv": ("raw_dil_depthwise", "pointwise_norm_relu"),
}


def check_sharing(sharing: str) -> None:
    """Raise RlnasError for an unknown way of sharing."""
    if sharing not in SHARING:
        raise RlnasError(f"space.sharing is '{sharing}', expected one of {', '.join(SHARING)}")


def add_operator(
    builder: GraphBuilder, operator: str, source: int, layer: int, sharing: str, operators: Sequence[str]
) -> int:
    """Append an operator of a layer that reads node `source`; return the node of its output.

    layer: its number, from 1. operators: those of the space, which decide how kernels are nested.
    """

    def add(name: str, inputs: Sequence[int], key: str) -> int:
        return builder.add(name, inputs, key=f"layer{layer}/{key}", layer=layer)

    found = kernel_of(operator)
    if found is None:  # identity
        return builder.add(operator, [source], layer=layer)
    if sharing == "operator":
        return add(operator, [source], operator)
    projected = add("project", [source], "project")
    if sharing == "projection" or found[0] not in CONVOLUTIONS:
        name = f"projected_{operator}"
        return add(name, [projected], name)
    parts = [add(part, [projected], part) for part in kernel_parts(operator, operators)]
    convolved = parts[0] if len(parts) == 1 else builder.add("sum", parts, layer=layer)
    _, rest = CONVOLUTIONS[found[0]]
    return add(rest, [convolved], f"{operator}/rest")


def kernel_parts(operator: str, operators: Sequence[str]) -> tuple[str, ...]:
    """Return the convolutions, the innermost first, whose sum is an operator's; none for one without parameters.

    The centre of a kernel is the largest smaller one of its kind among `operators` that fits into it.
    """
    found = kernel_of(operator)
    if found is None or found[0] not in CONVOLUTIONS:
        return ()
    kind, (height, width) = found
    name = f"{CONVOLUTIONS[kind][0]}{height}x{width}"
    others = [kernel for other, kernel in filter(None, map(kernel_of, operators)) if other == kind]
    inside = [(h * w, h, w) for h, w in others if h <= height and w <= width and (h, w) != (height, width)]
    if not inside:
        return (name,)
    _, h, w = max(inside)
    return (*kernel_parts(f"{kind}{h}x{w}", operators), f"{name}-{h}x{w}")

"""The stages of each operator name. Torch-free, so that cost counting and model building read one definition.

ENAS's operators (Pham et al. 2018, section 3.2) all start with a 1x1 convolution, batch normalisation and
ReLU. The names are patterns: `conv3x3`, `sep_conv5x5`, `dil_conv3x3`, `avg_pool3x3`, `max_pool3x3`,
`identity`; a kernel's height and width are odd and at most 11 pixels.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from rlnas.errors import RlnasError

ENAS_OPERATORS = ("conv3x3", "conv5x5", "sep_conv3x3", "sep_conv5x5", "avg_pool3x3", "max_pool3x3")
CHOOSABLE = "conv1x1, conv3x3, conv5x5, sep_conv3x3, dil_conv3x3, avg_pool3x3, max_pool3x3, identity, ..."


@dataclass(frozen=True)
class Stage:
    """One primitive of an operator.

    kind: `conv`, `depthwise`, `avg_pool`, `max_pool`, `norm`, `relu`, `linear` (with bias) or
    `global_pool`. kernel: (height, width) in pixels. strided: this stage applies the node's stride.
    widens: this stage maps the node's input channels to its output channels.
    """

    kind: Literal["conv", "depthwise", "avg_pool", "max_pool", "norm", "relu", "linear", "global_pool"]
    kernel: tuple[int, int] = (1, 1)
    dilation: int = 1
    strided: bool = False
    widens: bool = False


NORM, RELU = Stage("norm"), Stage("relu")
PROJECT = (Stage("conv", widens=True), NORM, RELU)  # ENAS's 1x1 conv-BN-ReLU in front of every operator
POINTWISE = Stage("conv")

# Operators that spaces add to every graph; a controller cannot choose them.
STRUCTURAL: dict[str, tuple[Stage, ...]] = {
    "stem": (Stage("conv", (3, 3), strided=True, widens=True), NORM),
    # ENAS reduces by two shifted 1x1 paths; here by a 2x2 mean and one 1x1, which also use every pixel.
    "reduce": (Stage("avg_pool", (2, 2), strided=True), Stage("conv", widens=True), NORM),
    "norm": (NORM,),
    "norm_relu": (NORM, RELU),
    "sum": (),
    "pad": (),
    "head": (Stage("global_pool"), Stage("linear", widens=True)),
}

_PATTERN = re.compile(r"(raw_conv|sep_conv|dil_conv|conv|avg_pool|max_pool)(\d+)x(\d+)")


@cache
def stages(operator: str) -> tuple[Stage, ...]:
    """Return the stages of an operator, in order.

    Raises RlnasError for an unknown name.
    """
    if operator in STRUCTURAL:
        return STRUCTURAL[operator]
    if operator == "identity":
        return ()
    match = _PATTERN.fullmatch(operator)
    if match is None:
        raise RlnasError(f"unknown operator '{operator}'; expected one like {CHOOSABLE}")
    kind, kernel = match[1], (int(match[2]), int(match[3]))
    if any(side % 2 == 0 or side > 11 for side in kernel):
        raise RlnasError(f"operator '{operator}': kernel sides must be odd and at most 11 pixels")
    if kind == "raw_conv":  # one source's part of a convolution over concatenated inputs
        return (Stage("conv", kernel, strided=True, widens=True),)
    if kind == "conv":
        return (*PROJECT, Stage("conv", kernel, strided=True), NORM, RELU)
    if kind in ("sep_conv", "dil_conv"):
        spatial = Stage("depthwise", kernel, dilation=2 if kind == "dil_conv" else 1, strided=True)
        return (*PROJECT, spatial, POINTWISE, NORM, RELU)
    return (*PROJECT, Stage("avg_pool" if kind == "avg_pool" else "max_pool", kernel, strided=True))


def check_choosable(operators: tuple[str, ...]) -> None:
    """Raise RlnasError unless these names can be a space's operators: at least one, known, without repeats."""
    if not operators:
        raise RlnasError(f"space.operators is empty, expected at least one operator; choose from {CHOOSABLE}")
    for operator in operators:
        if operator in STRUCTURAL or operator.startswith("raw_"):
            raise RlnasError(f"operator '{operator}' is part of every network and cannot be chosen; use {CHOOSABLE}")
        stages(operator)
    repeated = sorted({name for name in operators if operators.count(name) > 1})
    if repeated:
        raise RlnasError(f"space.operators names {', '.join(repeated)} more than once; list each once")

"""The stages of each operator name. Torch-free, so that cost counting and model building read one definition.

ENAS's operators (Pham et al. 2018, section 3.2) all start with a 1x1 convolution, batch normalisation and
ReLU. The names are patterns: `conv3x3`, `sep_conv5x5`, `dil_conv3x3`, `avg_pool3x3`, `max_pool3x3`,
`identity`; a kernel's height and width are odd and at most 11 pixels.

Other operators do not start with a projection, so they can change the number of channels themselves:
`plain_conv3x3` and `plain_sep_conv3x3` (convolution, BN, ReLU), `plain_depthwise3x3`, `plain_max_pool3x3`,
`plain_avg_pool3x3`; and those of cells, where the ReLU comes first (NASNet, Zoph et al. 2018, appendix A.4; DARTS, Liu
et al. 2019, section 3.1): `relu_conv3x3`, `relu_conv1x7_7x1` (one after the other), `relu_sep_conv3x3`,
`relu_dil_conv3x3`, `relu_sep_conv3x3_twice` (applied twice, as both papers do).

Parts of operators are nodes of their own where operators share weights (rlnas.spaces.sharing): `project`, the 1x1
convolution in front; `projected_X`, operator X without it; `raw_conv3x3` and `raw_depthwise3x3`, a convolution alone;
`raw_conv5x5-3x3`, one whose 5x5 kernel lacks the 3x3 centre.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from rlnas.errors import RlnasError

ENAS_OPERATORS = ("conv3x3", "conv5x5", "sep_conv3x3", "sep_conv5x5", "avg_pool3x3", "max_pool3x3")
DARTS_OPERATORS = (
    "sep_conv3x3",
    "sep_conv5x5",
    "dil_conv3x3",
    "dil_conv5x5",
    "max_pool3x3",
    "avg_pool3x3",
    "identity",
)
CHOOSABLE = "conv1x1, conv3x3, conv5x5, sep_conv3x3, dil_conv3x3, avg_pool3x3, max_pool3x3, identity, ..."


@dataclass(frozen=True)
class Stage:
    """One primitive of an operator.

    kind: `conv`, `depthwise`, `avg_pool`, `max_pool`, `norm`, `relu`, `linear` (with bias),
    `global_pool` or `grid_pool` (means over the cells of a grid of `kernel` cells, whatever the map's size).
    kernel: (height, width) in pixels. strided: this stage applies the node's stride.
    widens: this stage maps the node's input channels to its output channels. centre: (height, width) of the middle of
    the kernel that has no parameters and counts as zero; (0, 0): the kernel is complete.
    """

    kind: Literal["conv", "depthwise", "avg_pool", "max_pool", "norm", "relu", "linear", "global_pool", "grid_pool"]
    kernel: tuple[int, int] = (1, 1)
    dilation: int = 1
    strided: bool = False
    widens: bool = False
    centre: tuple[int, int] = (0, 0)

    @property
    def positions(self) -> int:
        """Number of positions of the kernel that have parameters."""
        return self.kernel[0] * self.kernel[1] - self.centre[0] * self.centre[1]


NORM, RELU = Stage("norm"), Stage("relu")
PROJECT = (Stage("conv", widens=True), NORM, RELU)  # ENAS's 1x1 conv-BN-ReLU in front of every operator
POINTWISE = Stage("conv")

# Operators that spaces add to every graph; a controller cannot choose them.
STRUCTURAL: dict[str, tuple[Stage, ...]] = {
    "stem": (Stage("conv", (3, 3), strided=True, widens=True), NORM),
    # ENAS reduces by two shifted 1x1 paths; here by a 2x2 mean and one 1x1, which also use every pixel.
    "project": PROJECT,
    "reduce": (Stage("avg_pool", (2, 2), strided=True), Stage("conv", widens=True), NORM),
    "max_reduce": (Stage("max_pool", (2, 2), strided=True),),
    # of cells: in place of two 1x1 convolutions on shifted pixels, with as many parameters
    "relu_reduce": (RELU, Stage("avg_pool", (2, 2), strided=True), Stage("conv", widens=True), NORM),
    # a 1x1 convolution over a concatenation of ReLU outputs is a sum of these, one for each source; and a reduction
    "relu_raw_conv1x1": (RELU, Stage("conv", widens=True)),
    "relu_raw_reduce": (RELU, Stage("avg_pool", (2, 2), strided=True), Stage("conv", widens=True)),
    # of the auxiliary head (NASNet, DARTS): to a 2x2 map, then by a 2x2 convolution to one pixel
    "auxiliary_project": (RELU, Stage("grid_pool", (2, 2), strided=True), *PROJECT),
    "auxiliary_conv": (Stage("conv", (2, 2), strided=True, widens=True), NORM, RELU),
    "norm": (NORM,),
    "norm_relu": (NORM, RELU),
    "pointwise_norm_relu": (POINTWISE, NORM, RELU),
    "sum": (),
    "product": (),  # elementwise
    "concat": (),  # along the channels
    "pad": (),
    "head": (Stage("global_pool"), Stage("linear", widens=True)),
}

JOINS = ("sum", "product", "concat")  # of several inputs, without parameters

_PATTERN = re.compile(r"(sep_conv|dil_conv|conv|avg_pool|max_pool)(\d+)x(\d+)")
_RAW = re.compile(r"raw_(conv|depthwise|dil_depthwise)(\d+)x(\d+)(?:-(\d+)x(\d+))?")
_OTHER = re.compile(
    r"(plain_conv|plain_sep_conv|plain_depthwise|plain_max_pool|plain_avg_pool|relu_conv|relu_sep_conv|relu_dil_conv)"
    r"(\d+)x(\d+)(?:_(?:(twice)|(\d+)x(\d+)))?"
)
PARTS = ("raw_", "projected_", "plain_", "relu_")  # of names that a chain space does not offer


@cache
def stages(operator: str) -> tuple[Stage, ...]:
    """Return the stages of an operator, in order.

    Raises RlnasError for an unknown name.
    """
    if operator in STRUCTURAL:
        return STRUCTURAL[operator]
    if operator == "identity":
        return ()
    if raw := _RAW.fullmatch(operator):
        return (_raw(operator, raw),)
    if other := _OTHER.fullmatch(operator):
        return _other(operator, other)
    whole = operator.removeprefix("projected_")
    found = kernel_of(whole)
    if found is None:
        raise RlnasError(f"unknown operator '{operator}'; expected one like {CHOOSABLE}")
    every = _whole(*found)
    return every if whole == operator else every[len(PROJECT) :]


def kernel_of(operator: str) -> tuple[str, tuple[int, int]] | None:
    """Return kind and kernel, (height, width) in pixels, of an operator: (`sep_conv`, (3, 3)); None if it has none.

    Raises RlnasError for a kernel that does not exist.
    """
    match = _PATTERN.fullmatch(operator)
    return None if match is None else (match[1], _kernel(operator, match[2], match[3]))


def _kernel(operator: str, height: str, width: str) -> tuple[int, int]:
    kernel = (int(height), int(width))
    if any(side % 2 == 0 or side > 11 for side in kernel):
        raise RlnasError(f"operator '{operator}': kernel sides must be odd and at most 11 pixels")
    return kernel


def _raw(operator: str, match: re.Match[str]) -> Stage:
    """Return the only stage of a `raw_` operator."""
    kernel = _kernel(operator, match[2], match[3])
    centre = (0, 0) if match[4] is None else _kernel(operator, match[4], match[5])
    if centre == kernel or any(inner > outer for inner, outer in zip(centre, kernel, strict=True)):
        raise RlnasError(f"operator '{operator}': the centre left out must be smaller than the kernel")
    dense = match[1] == "conv"
    dilation = 2 if match[1] == "dil_depthwise" else 1
    return Stage("conv" if dense else "depthwise", kernel, dilation, strided=True, widens=dense, centre=centre)


def _other(operator: str, match: re.Match[str]) -> tuple[Stage, ...]:
    """Return the stages of a `plain_` or `relu_` operator."""
    front, kind = match[1].split("_", 1)
    kernel = _kernel(operator, match[2], match[3])
    if front == "plain":
        if kind.endswith("pool") and match[4] is None and match[5] is None:
            return (Stage("avg_pool" if kind == "avg_pool" else "max_pool", kernel, strided=True),)
        if match[4] is None and match[5] is None:
            return (*_convolution(kind, kernel, strided=True), NORM, RELU)
    elif match[4] is not None and kind != "conv":
        again = _convolution(kind, kernel, strided=False)
        # the first keeps the channels of its input, as in the published code, and the second widens
        first = (*_convolution(kind, kernel, strided=True)[:-1], POINTWISE)
        return (RELU, *first, NORM, RELU, *again, NORM)
    elif match[4] is None and (match[5] is None or kind == "conv"):
        first = _convolution(kind, kernel, strided=True)
        if match[5] is None:
            return (RELU, *first, NORM)
        second = Stage("conv", _kernel(operator, match[5], match[6]))
        return (RELU, *first, second, NORM)
    raise RlnasError(f"unknown operator '{operator}'; expected one like {CHOOSABLE}")


def _convolution(kind: str, kernel: tuple[int, int], *, strided: bool) -> tuple[Stage, ...]:
    """Return the convolutions of a kind that map the node's input channels to its output channels; depthwise: keep."""
    if kind == "conv":
        return (Stage("conv", kernel, strided=strided, widens=True),)
    spatial = Stage("depthwise", kernel, dilation=2 if kind == "dil_conv" else 1, strided=strided)
    return (spatial,) if kind == "depthwise" else (spatial, Stage("conv", widens=True))


def _whole(kind: str, kernel: tuple[int, int]) -> tuple[Stage, ...]:
    """Return the stages of an operator of this kind and kernel."""
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
        if operator in STRUCTURAL or operator.startswith(PARTS):
            raise RlnasError(f"operator '{operator}' is part of every network and cannot be chosen; use {CHOOSABLE}")
        stages(operator)
    repeated = sorted({name for name in operators if operators.count(name) > 1})
    if repeated:
        raise RlnasError(f"space.operators names {', '.join(repeated)} more than once; list each once")

"""What an operator's name means."""

import pytest

from rlnas.errors import RlnasError
from rlnas.networks.operators import ENAS_OPERATORS, STRUCTURAL, Stage, check_choosable, stages

FRONT = (Stage("conv", widens=True), Stage("norm"), Stage("relu"))  # ENAS: 1x1 convolution, BN, ReLU


@pytest.mark.parametrize("name", [*ENAS_OPERATORS, "conv1x1", "dil_conv3x3"])
def test_every_operator_starts_with_a_1x1_convolution(name):
    assert stages(name)[:3] == FRONT


def test_the_separable_convolution_is_depthwise_then_pointwise():
    depthwise = Stage("depthwise", (3, 5), strided=True)
    assert stages("sep_conv3x5") == (*FRONT, depthwise, Stage("conv"), Stage("norm"), Stage("relu"))


def test_the_dilated_convolution_is_a_dilated_separable_one():
    assert stages("dil_conv5x5")[3] == Stage("depthwise", (5, 5), dilation=2, strided=True)


NORM, RELU = Stage("norm"), Stage("relu")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain_conv3x3", (Stage("conv", (3, 3), strided=True, widens=True), NORM, RELU)),
        (
            "plain_sep_conv5x5",
            (Stage("depthwise", (5, 5), strided=True), Stage("conv", widens=True), NORM, RELU),
        ),
        ("plain_depthwise3x3", (Stage("depthwise", (3, 3), strided=True), NORM, RELU)),
        ("plain_max_pool3x3", (Stage("max_pool", (3, 3), strided=True),)),
        ("relu_conv1x1", (RELU, Stage("conv", widens=True, strided=True), NORM)),
        (
            "relu_conv1x7_7x1",
            (RELU, Stage("conv", (1, 7), strided=True, widens=True), Stage("conv", (7, 1)), NORM),
        ),
        (
            "relu_dil_conv3x3",
            (RELU, Stage("depthwise", (3, 3), dilation=2, strided=True), Stage("conv", widens=True), NORM),
        ),
        (
            "relu_sep_conv3x3_twice",
            (
                *(RELU, Stage("depthwise", (3, 3), strided=True), Stage("conv"), NORM),
                *(RELU, Stage("depthwise", (3, 3)), Stage("conv", widens=True), NORM),
            ),
        ),
    ],
)
def test_operators_without_a_projection(name, expected):
    assert stages(name) == expected


@pytest.mark.parametrize("name", ["plain_conv3x3_twice", "relu_conv3x3_twice", "relu_sep_conv3x3_5x5", "plain_relu3x3"])
def test_an_operator_that_does_not_exist_is_refused(name):
    with pytest.raises(RlnasError, match=f"unknown operator '{name}'"):
        stages(name)


def test_identity_is_nothing():
    assert stages("identity") == ()


@pytest.mark.parametrize("name", [*ENAS_OPERATORS, "raw_conv3x3", "dil_conv3x3"])
def test_one_stage_carries_the_stride_and_one_widens(name):
    assert sum(stage.strided for stage in stages(name)) == 1
    assert sum(stage.widens for stage in stages(name)) == 1


@pytest.mark.parametrize("name", ["", "conv", "conv3", "3x3", "conv3x3 ", "lstm3x3", "conv-3x3", "CONV3x3", "convaxb"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(RlnasError, match=f"unknown operator '{name}'; expected one like conv1x1, conv3x3"):
        stages(name)


@pytest.mark.parametrize("name", ["conv2x3", "conv3x2", "avg_pool4x4", "sep_conv13x1", "conv0x1"])
def test_a_kernel_side_is_odd_and_at_most_eleven(name):
    with pytest.raises(RlnasError, match=f"operator '{name}': kernel sides must be odd and at most 11 pixels"):
        stages(name)


@pytest.mark.parametrize("name", [*ENAS_OPERATORS, "conv1x1", "dil_conv3x3"])
def test_an_operator_is_its_projection_and_the_rest(name):
    assert stages("project") + stages(f"projected_{name}") == stages(name)


@pytest.mark.parametrize(
    ("kind", "rest", "name"),
    [
        ("conv", "norm_relu", "conv5x5"),
        ("depthwise", "pointwise_norm_relu", "sep_conv5x5"),
        ("dil_depthwise", "pointwise_norm_relu", "dil_conv5x5"),
    ],
)
def test_a_convolution_alone_is_the_operator_s(kind, rest, name):
    (alone,) = stages(f"raw_{kind}5x5")
    (spatial,) = stages(f"projected_{name}")[: -len(stages(rest))]
    assert (alone.kind, alone.kernel, alone.dilation) == (spatial.kind, spatial.kernel, spatial.dilation)
    assert stages(f"projected_{name}")[1:] == stages(rest)
    (ring,) = stages(f"raw_{kind}5x5-3x1")
    assert (ring.kind, ring.kernel, ring.dilation) == (alone.kind, alone.kernel, alone.dilation)
    assert (alone.positions, ring.positions, ring.centre) == (25, 22, (3, 1))


@pytest.mark.parametrize("name", ["raw_conv5x5-5x5", "raw_conv3x5-5x3", "raw_depthwise3x3-5x5"])
def test_a_centre_is_smaller_than_its_kernel(name):
    with pytest.raises(RlnasError, match=f"operator '{name}': the centre left out must be smaller than the kernel"):
        stages(name)


@pytest.mark.parametrize("name", ["projected_identity", "projected_raw_conv3x3", "raw_sep_conv3x3", "conv5x5-3x3"])
def test_parts_of_what_has_none_are_unknown(name):
    with pytest.raises(RlnasError, match=f"unknown operator '{name}'"):
        stages(name)


@pytest.mark.parametrize("name", [*STRUCTURAL, "raw_conv3x3", "raw_depthwise5x5-3x3", "projected_conv3x3"])
def test_structural_nodes_cannot_be_chosen(name):
    with pytest.raises(RlnasError, match=f"operator '{name}' is part of every network and cannot be chosen"):
        check_choosable(("conv3x3", name))

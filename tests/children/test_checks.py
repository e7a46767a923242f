"""What is no image for a network is refused, with what was expected, what came and what to do."""

import numpy as np
import pytest
import torch

from rlnas.children.network import Child
from rlnas.children.weights import Weights
from rlnas.errors import RlnasError
from rlnas.spaces import NasrlSpace


def child_for(channels: int, size: int = 8) -> Child:
    space = NasrlSpace(2, ("conv3x3", "max_pool3x3"), filters=4)
    graph = space.graph((0, 1), image_channels=channels, image_size=size, classes=3)
    weights = Weights(0, track_statistics=True, device=torch.device("cpu"), channels_last=False)
    moments = torch.full((channels,), 0.5), torch.full((channels,), 0.25)
    return Child(graph, weights, classes=("a", "b", "c"), mean=moments[0], std=moments[1]).eval()


def pixels(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


GREY, COLOUR = child_for(1), child_for(3)
WRONG = {
    "floats in 0..1": (GREY, pixels(2, 1, 8, 8) / 255, r"uint8 images \(b, 1, 8, 8\), got float32; .*255 \* images"),
    "float64": (GREY, pixels(2, 1, 8, 8).double(), "uint8 .* got float64"),
    "half": (GREY, pixels(2, 1, 8, 8).half(), "uint8 .* got float16"),
    "int64": (GREY, pixels(2, 1, 8, 8).long(), r"uint8 .* got int64; .*pixels.to\(torch.uint8\)"),
    "bool": (GREY, pixels(2, 1, 8, 8) > 0, "uint8 .* got bool"),
    "an array": (GREY, np.zeros((2, 1, 8, 8), np.uint8), r"torch.Tensor, got numpy.ndarray; torch.from_numpy"),
    "a list": (GREY, [[0]], "torch.Tensor, got list"),
    "none": (GREY, None, "torch.Tensor, got NoneType"),
    "one image": (COLOUR, pixels(3, 8, 8), r"\(b, 3, 8, 8\), got shape \(3, 8, 8\); for one image: images\[None\]"),
    "without a channel": (GREY, pixels(5, 8, 8), r"got shape \(5, 8, 8\); the channel is missing: images\[:, None\]"),
    "flat": (GREY, pixels(5, 64), r"got shape \(5, 64\); give a batch"),
    "scalar": (GREY, pixels(), r"got shape \(\); give a batch"),
    "channels last": (COLOUR, pixels(2, 8, 8, 3), r"got shape \(2, 8, 8, 3\); .*permute\(0, 3, 1, 2\)"),
    "larger": (COLOUR, pixels(2, 3, 32, 32), r"got shape \(2, 3, 32, 32\); resize the images to the 8x8 pixels"),
    "not square": (COLOUR, pixels(2, 3, 8, 9), "resize the images to the 8x8 pixels"),
    "grey to colour": (COLOUR, pixels(2, 1, 8, 8), r"got shape \(2, 1, 8, 8\); .*images.expand\(-1, 3, -1, -1\)"),
    "colour to grey": (GREY, pixels(2, 3, 8, 8), r"got shape \(2, 3, 8, 8\); .*convert them"),
    "with alpha": (
        COLOUR,
        pixels(2, 4, 8, 8),
        r"got shape \(2, 4, 8, 8\); .* trained on images of 3 channels",
    ),
}


@pytest.mark.parametrize(("child", "images", "message"), WRONG.values(), ids=WRONG)
def test_predict_refuses(child, images, message):
    with pytest.raises(RlnasError, match=message) as error:
        child.predict(images)
    assert "\n" not in str(error.value)
    assert not child.training


@pytest.mark.parametrize("name", [name for name, (_, x, _) in WRONG.items() if isinstance(x, torch.Tensor)])
def test_the_network_itself_refuses_the_same_shapes_and_whatever_is_no_float(name):
    child, images, message = WRONG[name]
    if "got shape" in message:
        with pytest.raises(RlnasError, match=message[message.index("got shape") :]):
            child(images.float())
    if not images.is_floating_point():
        with pytest.raises(RlnasError, match=r"normalised float images .* got (uint8|int64|bool); child.predict takes"):
            child(images)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("child", [GREY, COLOUR], ids=["grey", "colour"])
def test_what_fits_is_taken(child, count):
    found = child.predict(pixels(count, child.graph.channels, 8, 8))
    assert found.shape == (count, 3)
    assert torch.allclose(found.sum(1), torch.ones(count))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_floats_of_any_width_are_taken(dtype):
    images = torch.ones(2, 1, 8, 8, dtype=dtype)
    assert torch.equal(GREY(images), GREY(images.float()))


def test_a_batch_size_of_nothing():
    with pytest.raises(RlnasError, match="batch_size is 0, expected at least 1"):
        GREY.predict(pixels(2, 1, 8, 8), batch_size=0)

import pytest
import torch

from rlnas.data import Images, prepare
from rlnas.data.images import statistics


def noise(n: int = 50) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_statistics_are_those_of_the_floating_point_images() -> None:
    pixels = noise()
    mean, std = statistics(pixels)
    exact = pixels.double() / 255
    assert torch.allclose(mean.double(), exact.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(std.double(), exact.std((0, 2, 3), correction=0), atol=1e-6)


def test_statistics_do_not_depend_on_the_order_of_the_images() -> None:
    pixels = noise()
    for one, other in zip(statistics(pixels), statistics(pixels.flip(0)), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("channels_last", [False, True])
def test_prepared_images_have_mean_zero_and_spread_one(channels_last: bool) -> None:
    pixels = noise()
    before = pixels.clone()
    out = prepare(pixels, *statistics(pixels), channels_last=channels_last)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert torch.allclose(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(out.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    assert torch.equal(pixels, before)


def test_images_of_one_colour_stay_finite() -> None:
    pixels = torch.full((4, 1, 2, 2), 7, dtype=torch.uint8)
    assert torch.allclose(prepare(pixels, *statistics(pixels)), torch.zeros(4, 1, 2, 2), atol=1e-5)


def test_take_keeps_pixels_and_labels_together() -> None:
    images = Images(noise(4), torch.arange(4))
    taken = images.take(torch.tensor([3, 0, 3]))
    assert len(taken) == 3
    assert taken.labels.tolist() == [3, 0, 3]
    assert torch.equal(taken.pixels[1], images.pixels[0])


def test_shapes_and_types_are_checked() -> None:
    with pytest.raises(AssertionError):
        Images(noise(4).float(), torch.arange(4))
    with pytest.raises(AssertionError):
        Images(noise(4), torch.arange(5))

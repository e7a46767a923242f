import numpy as np
import PIL.Image
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


def test_content_order_is_the_same_for_every_order_the_images_come_in() -> None:
    images = Images(noise(), torch.arange(50) % 7)
    shuffled = images.take(torch.randperm(50, generator=torch.Generator().manual_seed(1)))
    first, second = images.in_content_order(), shuffled.in_content_order()
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(first.labels, second.labels)
    assert not torch.equal(first.pixels, images.pixels)
    assert torch.equal(first.in_content_order().pixels, first.pixels)


def test_content_order_of_equal_images_follows_their_labels() -> None:
    images = Images(noise(1).repeat(4, 1, 1, 1), torch.tensor([2, 0, 3, 1]))
    assert images.in_content_order().labels.tolist() == [0, 1, 2, 3]


def test_content_order_is_no_order_of_classes() -> None:
    labels = torch.arange(500) // 50
    mixed = Images(noise(500), labels).in_content_order().labels
    assert all(len(part.unique()) >= 8 for part in mixed.split(50))


def test_grey_is_pillow_s_luma_and_keeps_equal_channels() -> None:
    images = Images(noise(), torch.zeros(50, dtype=torch.int64))
    expected = [np.asarray(PIL.Image.fromarray(one.permute(1, 2, 0).numpy()).convert("L")) for one in images.pixels]
    assert torch.equal(images.grey().pixels[:, 0], torch.from_numpy(np.stack(expected)))
    equal = Images(images.pixels[:, :1].expand(-1, 3, -1, -1).contiguous(), images.labels)
    assert torch.equal(equal.grey().pixels, images.pixels[:, :1])
    assert (images.coloured, equal.coloured, equal.grey().coloured) == (50, 0, 0)

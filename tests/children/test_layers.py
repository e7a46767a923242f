"""Layers against torch's: values, gradients, and when a short cut is taken."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from rlnas.children.layers import BatchNorm, MaxPool, PointConv, RingConv, _together
from rlnas.children.weights import build_operator

LAST = torch.channels_last
INFINITE = float("inf")


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.sampled_from([1, 3, 5, 7, 11]), st.sampled_from([1, 3, 5, 7, 11])),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    layout=st.sampled_from([torch.channels_last, torch.contiguous_format]),
    special=st.sampled_from([None, float("nan"), INFINITE, -INFINITE]),
    seed=st.integers(0, 2**20),
)
def test_maxima_and_layout_are_those_of_torch(size, kernel, dtype, layout, special, seed):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed)).to(dtype)
    if special is not None:
        x[0, 1, size[0] // 2, size[1] // 2] = special
    x = x.contiguous(memory_format=layout)
    before = x.clone()
    padding = (kernel[0] // 2, kernel[1] // 2)
    expected = F.max_pool2d(x, kernel, 1, padding)
    found = MaxPool(kernel, (1, 1), padding)(x)
    assert torch.equal(found.nan_to_num(12.0), expected.nan_to_num(12.0))
    assert torch.equal(found.isnan(), expected.isnan())
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=layout)
    assert torch.equal(x.nan_to_num(12.0), before.nan_to_num(12.0))


def test_maxima_by_hand():
    rows = torch.tensor([[1.0, 2.0, 3.0, 0.0], [9.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, -1.0], [5.0, 0.0, 0.0, -2.0]])
    expected = torch.tensor([[9.0, 9.0, 4.0, 3.0], [9.0, 9.0, 4.0, 3.0], [9.0, 9.0, 4.0, 0.0], [5.0, 5.0, 0.0, 0.0]])
    assert torch.equal(MaxPool((3, 3), (1, 1), (1, 1))(rows[None, None])[0, 0], expected)


def test_the_gradient_goes_where_torch_sends_it_among_equal_values():
    gradients = []
    for pool in (MaxPool((3, 3), (1, 1), (1, 1)), lambda x: F.max_pool2d(x, 3, 1, 1)):
        x = torch.zeros(1, 1, 4, 4, requires_grad=True)
        pool(x).sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)
    assert gradients[0].max() > 1  # one of the equal values takes all: shares would be fractions


@pytest.mark.parametrize("stride", [1, 2])
def test_it_is_the_pool_of_max_pool_operators(stride):
    operator = build_operator("max_pool3x3", 3, 4, (stride, stride), track_statistics=False)
    assert isinstance(operator[-1], MaxPool)
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(operator[-1](x), F.max_pool2d(x, 3, stride, 1))


def test_no_gradient_no_search_for_places(monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("torch's kernel was called")

    monkeypatch.setattr(torch.nn.MaxPool2d, "forward", forbidden)
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    pool = MaxPool((3, 3), (1, 1), (1, 1))
    with torch.no_grad():
        pool(x)
    pool(x.detach())
    with pytest.raises(AssertionError, match="was called"):
        pool(x)


# -- batch normalisation -----------------------------------------------------------------------------------


def norms(channels: int, seed: int = 0, **options: bool) -> tuple[BatchNorm, torch.nn.BatchNorm2d]:
    """Ours and torch's with the same parameters, told to use the batch's statistics."""
    generator = torch.Generator().manual_seed(seed)
    ours, usual = BatchNorm(channels, **options), torch.nn.BatchNorm2d(channels, **options)
    for norm in (ours, usual):
        norm.weight.data = torch.rand(channels, generator=generator.manual_seed(seed)) + 0.5
        norm.bias.data = torch.randn(channels, generator=generator)
    return ours, usual


@given(
    batch=st.integers(4, 9),
    channels=st.sampled_from([1, 2, 3, 4, 8, 24, 32, 36, 48, 72]),
    size=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    layout=st.sampled_from([torch.channels_last, torch.contiguous_format]),
    shift=st.sampled_from([0.0, 3.0, -8.0]),
    seed=st.integers(0, 2**20),
)
def test_the_batch_is_normalised_as_by_torch(batch, channels, size, dtype, layout, shift, seed):
    """Within the rounding of float32 sums, and of one place of a bfloat16 output."""
    x = torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed)) + shift
    x = x.to(dtype).contiguous(memory_format=layout)
    ours, usual = norms(channels, seed, track_running_stats=False)
    with torch.no_grad():
        found, expected = ours(x), usual(x)
    assert found.dtype == dtype
    assert found.shape == x.shape
    assert found.is_contiguous(memory_format=layout)
    tolerance = 2e-4 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_large_mean_costs_no_accuracy(dtype):
    """The variance is summed from differences; from squares it would be lost in a mean a thousand times larger."""
    x = torch.randn(8, 36, 8, 8, generator=torch.Generator().manual_seed(0)) + 1000
    x = x.contiguous(memory_format=LAST).to(dtype)
    ours, usual = norms(36, track_running_stats=False)
    with torch.no_grad():
        found, expected, exact = ours(x), usual(x), norms(36, track_running_stats=False)[1].double()(x.double())
    errors = [float((one.double() - exact).abs().max()) for one in (found, expected)]
    assert errors[0] <= 2 * errors[1]


def test_statistics_by_hand():
    """Two channels, four pixels: 1, 2, 3, 6 (mean 3, variance 3.5) and twice as much."""
    x = torch.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [6.0, 12.0]]).view(1, 2, 2, 2).permute(0, 3, 1, 2)
    ours = BatchNorm(2, eps=0.0, track_running_stats=False)
    assert _together(2, 4) == 4
    with torch.no_grad():
        found = ours(x)
    expected = (torch.tensor([1.0, 2.0, 3.0, 6.0]) - 3) / 3.5**0.5
    for channel in (0, 1):
        torch.testing.assert_close(found[0, channel].flatten(), expected)


@pytest.mark.parametrize(
    ("channels", "pixels", "together"),
    [(36, 512_000, 8), (32, 512_000, 1), (64, 512_000, 1), (24, 512_000, 4), (72, 512_000, 4), (1, 64, 32), (36, 6, 2)],
)
def test_pixels_are_taken_together_until_registers_are_full(channels, pixels, together):
    assert _together(channels, pixels) == together
    assert _together(channels, 7) == 1


@pytest.mark.parametrize(
    ("layout", "prepare", "short"),
    [
        (LAST, lambda norm: norm.requires_grad_(False), True),
        (LAST, lambda norm: norm, False),  # its parameters want gradients
        (torch.contiguous_format, lambda norm: norm.requires_grad_(False), False),
        (LAST, lambda norm: norm.requires_grad_(False).eval(), False),
    ],
    ids=["scoring", "training", "contiguous", "running statistics"],
)
def test_torch_does_the_rest(layout, prepare, short, monkeypatch):
    x = torch.randn(4, 36, 4, 4, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    ours, usual = norms(36, track_running_stats=not prepare(BatchNorm(36)).training)
    expected = prepare(usual)(x)
    if not short:
        assert torch.equal(prepare(ours)(x), expected)  # to the bit

    def forbidden(*args, **kwargs):
        raise AssertionError("torch's layer was called")

    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", forbidden)
    if short:
        torch.testing.assert_close(prepare(ours)(x), expected)
    else:
        with pytest.raises(AssertionError, match="was called"):
            prepare(ours)(x)


def test_statistics_that_are_kept_are_torchs():
    """Training with running statistics, as a stand-alone child does: also without gradients (recalibration)."""
    x = torch.randn(4, 36, 4, 4, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=LAST)
    ours, usual = norms(36)
    with torch.no_grad():
        assert torch.equal(ours(x), usual(x))
    assert torch.equal(ours.running_mean, usual.running_mean)
    assert torch.equal(ours.running_var, usual.running_var)
    assert ours.running_mean.abs().max() > 0


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(
    ("kernel", "centre", "stride", "dilation", "groups"),
    [
        ((5, 5), (3, 3), (1, 1), 1, 1),
        ((3, 3), (1, 1), (2, 1), 1, 4),
        ((5, 5), (3, 3), (1, 1), 2, 4),
        ((7, 3), (3, 3), (2, 2), 1, 1),
        ((5, 7), (5, 1), (1, 3), 1, 2),
    ],
)
def test_a_ring_and_its_centre_are_the_whole_convolution(kernel, centre, stride, dilation, groups, layout):
    stream = torch.Generator().manual_seed(0)
    ring = RingConv(4, 8, kernel, centre, stride, dilation, groups).double()
    whole = torch.randn(ring.shape, generator=stream, dtype=torch.float64).requires_grad_()
    ring.fill(whole.detach())
    rows, columns = ((slice((k - c) // 2, (k + c) // 2)) for k, c in zip(kernel, centre, strict=True))
    inner = whole.detach()[:, :, rows, columns]
    x = torch.randn(2, 4, 9, 10, generator=stream, dtype=torch.float64).contiguous(memory_format=layout)
    common = {"stride": stride, "dilation": dilation, "groups": groups}

    def padded(sides):
        return tuple(side // 2 * dilation for side in sides)

    expected = F.conv2d(x, whole, padding=padded(kernel), **common)
    found = ring(x) + F.conv2d(x, inner, padding=padded(centre), **common)
    torch.testing.assert_close(found, expected)
    towards = torch.randn(expected.shape, generator=stream, dtype=torch.float64)
    expected.backward(towards)
    found.backward(towards)
    outside = torch.ones(kernel, dtype=torch.bool)
    outside[rows, columns] = False
    torch.testing.assert_close(ring.weight.grad, whole.grad[:, :, outside])
    assert ring.weight.numel() == whole.numel() - inner.numel()
    assert list(ring.state_dict()) == ["weight"]


@pytest.mark.parametrize("channels", [3, 4, 6, 16])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (3, 1)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_a_strided_point_convolution_is_torchs_and_survives_its_backward_pass(channels, stride, layout):
    """torch's own writes out of bounds for few channels in channels_last; the expectation is contiguous."""
    conv = build_operator("raw_conv1x1", channels, 32, stride, track_statistics=False)[0]
    assert isinstance(conv, PointConv)
    torch.nn.init.normal_(conv.weight, generator=torch.Generator().manual_seed(0))
    x = torch.randn(64, channels, 9, 16, generator=torch.Generator().manual_seed(1))
    ours = x.clone(memory_format=layout).requires_grad_()
    theirs = x.double().requires_grad_()
    weight = conv.weight.detach().double().requires_grad_()
    found, expected = conv(ours), F.conv2d(theirs, weight, stride=stride)
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
    found.backward(upstream)
    expected.backward(upstream.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    assert ours.grad is not None
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(conv.weight.grad.double(), weight.grad, rtol=1e-3, atol=1e-3)

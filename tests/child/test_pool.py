"""Max pooling by shifted maxima against torch's: the same values, and torch's gradient."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from rlnas.child.pool import MaxPool
from rlnas.child.weights import build_operator

INFINITE = float("inf")


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.sampled_from([1, 3, 5, 7, 11]), st.sampled_from([1, 3, 5, 7, 11])),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    layout=st.sampled_from([torch.channels_last, torch.contiguous_format]),
    special=st.sampled_from([None, float("nan"), INFINITE, -INFINITE]),
    seed=st.integers(0, 2**20),
)
def test_values_and_layout_are_those_of_torch(size, kernel, dtype, layout, special, seed):
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


def test_by_hand():
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

"""What becomes of an open network after the search: its final network, and the one that is trained alone."""

import numpy as np
import pytest

from rlnas.errors import RlnasError
from rlnas.spaces import EvonetSpace

SEARCHED = {"horizon": 10, "slots": 6, "max_layers": 5, "max_params": 50_000, "kernels": (1, 3), "channels": (16, 32)}
SIZES = {"image_channels": 3, "image_size": 32, "classes": 10}


@pytest.mark.parametrize("other", [{"filters": 64}, {"max_params": 30_000}, {"stem_stride": 2}])
def test_bounds_that_could_exclude_what_is_found_are_refused_before_the_search(other):
    with pytest.raises(RlnasError, match="max_params=0 and max_flops=0"):
        EvonetSpace(**SEARCHED).check_transfer(EvonetSpace(**{**SEARCHED, **other}))


@pytest.mark.parametrize("other", [{"kernels": (3,)}, {"max_layers": 4}, {"start": "1:conv3x3x16"}, {"horizon": 11}])
def test_other_choices_are_refused(other):
    with pytest.raises(RlnasError, match="changes what there is to choose"):
        EvonetSpace(**SEARCHED).check_transfer(EvonetSpace(**{**SEARCHED, **other}))


def test_without_bounds_every_network_of_the_search_has_a_wider_one():
    space = EvonetSpace(**SEARCHED)
    final = EvonetSpace(**{**SEARCHED, "filters": 64, "max_params": 0})
    space.check_transfer(final)
    largest = space.parse(" ".join(f"{slot}:conv3x3x32" for slot in range(1, 6)))
    assert space.text(space.transferred(largest, final)) == space.text(largest)


def test_alone_a_network_starts_from_the_same_weights_whether_others_inherit_or_not():
    shared, own = (EvonetSpace(**SEARCHED, inherit=inherit) for inherit in (True, False))
    network = shared.sample(np.random.default_rng(3))
    graphs = [space.standalone.graph(network, **SIZES) for space in (shared, own)]
    assert graphs[0] == graphs[1] == shared.graph(network, **SIZES) != own.graph(network, **SIZES)


def test_the_trivial_network_is_the_start():
    assert EvonetSpace(**SEARCHED).trivial() == EvonetSpace(**SEARCHED).parse("trivial")

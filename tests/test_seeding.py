"""Streams of random numbers: independent, reproducible, restorable."""

import random

import numpy as np
import pytest
import torch

from rlnas.seeding import global_rng_state, numpy_stream, set_global_rng_state, stream_seed, torch_stream

NAMES = ("data", "child/order", "child/noise", "evaluation/0", "evaluation/1", "controller")


def numbers(kind, seed: int, name: str) -> list[float]:
    stream = kind(seed, name)
    return stream.random(8).tolist() if kind is numpy_stream else torch.rand(8, generator=stream).tolist()


kinds = pytest.mark.parametrize("kind", [numpy_stream, torch_stream])


@kinds
def test_a_stream_depends_on_seed_and_name_alone(kind):
    forward = {name: numbers(kind, 7, name) for name in NAMES}
    backward = {name: numbers(kind, 7, name) for name in reversed(NAMES)}
    assert forward == backward


@kinds
def test_streams_of_other_names_and_seeds_differ(kind):
    found = [numbers(kind, seed, name) for seed in range(5) for name in NAMES]
    assert len({tuple(row) for row in found}) == len(found)


def test_seeds_of_streams_fit_and_do_not_repeat():
    seeds = {stream_seed(seed, name) for seed in (0, 1, 2**63 - 1) for name in NAMES}
    assert len(seeds) == 3 * len(NAMES)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seed_and_name_are_not_run_together():
    assert stream_seed(1, "1/x") != stream_seed(11, "/x") != stream_seed(1, "/1/x")


def test_a_streams_seed_never_changes():
    assert stream_seed(0, "child") == 968331933688455258  # else old runs could not be repeated


def draw() -> tuple[float, float, float, float]:
    return random.gauss(0, 1), random.random(), float(np.random.normal()), float(torch.rand(()))  # noqa: NPY002


def test_the_global_state_round_trips(through_disk):
    draw()  # leaves a second gaussian waiting in python's and numpy's generators
    state = through_disk(global_rng_state())
    expected = [draw() for _ in range(700)]  # more than a block of the Mersenne twister
    draw()
    set_global_rng_state(state)
    assert [draw() for _ in range(700)] == expected


def test_reading_the_global_state_draws_nothing():
    state = global_rng_state()
    first = draw()
    set_global_rng_state(state)
    global_rng_state()
    assert draw() == first


def test_streams_leave_the_global_generators_alone():
    state = global_rng_state()
    expected = draw()
    set_global_rng_state(state)
    for name in NAMES:
        numbers(numpy_stream, 0, name)
        numbers(torch_stream, 0, name)
    assert draw() == expected

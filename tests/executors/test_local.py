"""Pieces of work on threads: in order, stopped early, and the same however many run at once."""

import pickle
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from rlnas.config.schema import RetrainConfig
from rlnas.evaluators.alone import Recipe, train_from_scratch, train_shortly
from rlnas.executors import LocalExecutor
from rlnas.spaces import NasrlSpace


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def waits(shared, item, stopped):
    time.sleep(0.02 * (5 - item))  # the first takes longest
    return shared, item, torch.get_num_threads(), stopped()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order_whatever_the_number_of_workers(workers):
    torch.set_num_threads(3)
    found = list(LocalExecutor(workers).map(waits, "shared", range(5)))
    assert found == [(item, ("shared", item, 1, False)) for item in range(5)]
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_to_do(workers):
    assert list(LocalExecutor(workers).map(waits, None, [])) == []


def test_they_do_run_at_once():
    meeting = threading.Barrier(2, timeout=60)  # nobody passes it alone
    found = list(LocalExecutor(2).map(lambda shared, item, stopped: shared.wait() >= 0, meeting, range(4)))
    assert found == [(item, True) for item in range(4)]


def test_leaving_early_stops_the_others():
    torch.set_num_threads(2)
    ended = []

    def work(shared, item, stopped):
        while item and not stopped():
            time.sleep(0.001)
        shared.append(item)
        return item

    results = LocalExecutor(2).map(work, ended, range(9))
    assert next(results) == (0, 0)
    results.close()
    assert len(ended) < 9
    assert torch.get_num_threads() == 2


def test_one_worker_starts_nothing_before_it_is_asked_for():
    torch.set_num_threads(2)
    begun = []
    results = LocalExecutor(1).map(lambda shared, item, stopped: begun.append(item), None, range(9))
    next(results)
    results.close()
    assert begun == [0]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_one_reaches_the_caller(workers):
    torch.set_num_threads(2)

    def work(shared, item, stopped):
        if item == 1:
            raise ValueError("item 1")
        return item

    with pytest.raises(ValueError, match="item 1"):
        list(LocalExecutor(workers).map(work, None, range(3)))
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("work", [train_from_scratch, train_shortly])
def test_the_work_and_its_items_can_be_sent_elsewhere(work, graph_of):
    """A function of a module by its name, and graphs."""
    space = NasrlSpace(3, ("conv1x1", "conv3x3"), filters=4)
    graph = graph_of(space, space.unrank(3))
    sent, item = pickle.loads(pickle.dumps((work, graph)))
    assert (sent, item) == (work, graph)
    assert sent.__module__ == "rlnas.evaluators.alone"


def test_a_recipe_s_options_can_be_sent_too(data, execution):
    recipe = Recipe(RetrainConfig(epochs=1), data, data.valid, execution, 0, 12)
    for part in (recipe.config, recipe.images, recipe.execution, recipe.seed, recipe.batch_size):
        pickle.dumps(part)

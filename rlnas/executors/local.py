"""Runs independent pieces of work on threads of this process."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import torch

Stopped = Callable[[], bool]
Work = Callable[[Any, Any, Stopped], Any]  # work(shared, item, stopped) -> result


class Executor(Protocol):
    """Runs a function on many items and returns the results in item order.

    So results do not depend on where or in which order they were computed.
    """

    def map(self, work: Work, shared: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (index, work(shared, item, stopped)) of each item, in order.

        work: a module-level function, so that other processes can import it. shared: data for all items, read-only.
        items: small, picklable descriptions of the work. When the iterator is closed early, `stopped()` is True and
        `work` should raise any exception.
        """
        ...


class LocalExecutor:
    """Runs `workers` items at once, each on one thread.

    Small networks hardly gain from a second thread. An item always runs on one thread, so results depend neither on
    the number of threads nor on concurrent items. Torch releases Python's global interpreter lock while it computes.
    """

    def __init__(self, workers: int):
        self.workers = workers

    def map(self, work: Work, shared: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Run `work` on each item; see Executor."""
        threads = torch.get_num_threads()
        stop = threading.Event()

        def alone(item: Any) -> Any:
            torch.set_num_threads(1)  # of this thread
            return work(shared, item, stop.is_set)

        if self.workers == 1:
            try:
                yield from enumerate(map(alone, items))
            finally:
                torch.set_num_threads(threads)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                yield from enumerate(pool.map(alone, items))
            finally:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                torch.set_num_threads(threads)

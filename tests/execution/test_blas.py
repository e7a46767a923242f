"""Linear algebra within `one_thread` has one thread, and as many as before after it."""

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits

from rlnas.execution.blas import one_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_one_thread_within_and_as_before_after() -> None:
    scipy.linalg.cholesky(np.eye(2))
    with threadpool_limits(2):
        before = threads()
        with one_thread():
            assert threads() == {1}
        assert threads() == before

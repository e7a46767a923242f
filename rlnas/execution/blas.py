"""One thread for linear algebra: its results differ in the last bits with the number of threads.

numpy's and scipy's BLAS take as many threads as the machine has cores, whatever torch is told. Where a search depends
on a fit by them, its history would depend on the machine's cores and on who else sets OMP_NUM_THREADS.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Find the libraries once: looking for them takes milliseconds."""
    import scipy.linalg  # noqa: F401 - it brings a BLAS of its own, which has to be loaded to be found

    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS and OpenMP to one thread within this block."""
    with _controller().limit(limits=1):
        yield

"""Cache folders of libraries for users without a home folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# environment variable of a library's cache -> folder name; the caches of other libraries need no home folder
CACHES = {"HF_HOME": "huggingface", "MPLCONFIGDIR": "matplotlib"}


@contextmanager
def caches_elsewhere() -> Iterator[None]:
    """Without a known home folder, set caches in $RLNAS_CACHE, else in a temporary folder removed after the block.

    A container's user id often has neither HOME nor an entry in the system's user list. huggingface_hub would then
    create a folder named ~ in the working directory. Sets the environment; the caller restores it.
    """
    try:
        Path.home()
    except RuntimeError:
        with tempfile.TemporaryDirectory(prefix="rlnas-", ignore_cleanup_errors=True) as temporary:
            for variable, name in CACHES.items():
                os.environ.setdefault(variable, str(Path(os.environ.get("RLNAS_CACHE") or temporary) / name))
            yield
    else:
        yield

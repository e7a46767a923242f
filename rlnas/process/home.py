"""Libraries that keep caches in the home folder, where there is no home folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# variables that name a cache of a library, by folder; the others' caches do without a home
CACHES = {"HF_HOME": "huggingface", "MPLCONFIGDIR": "matplotlib"}


@contextmanager
def caches_elsewhere() -> Iterator[None]:
    """Where no home folder is known, name other places: in $RLNAS_CACHE, else in a folder removed at the end.

    A container's user id often has neither HOME nor an entry in the system's list. huggingface_hub would then make a
    folder called ~ in the working directory. Sets the environment; the caller restores it.
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

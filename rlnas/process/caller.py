"""Restore the process state that a run changes, for programs that call `rlnas.run`."""

import contextlib
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def process_unchanged() -> Iterator[None]:
    """Restore sys.argv, the environment, signal handlers, logging and hydra's global state after the block."""
    argv, environment = sys.argv, dict(os.environ)
    log = logging.getLogger("rlnas")
    level, propagate, raising = log.level, log.propagate, logging.raiseExceptions
    hydra, hydra_config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    main_thread = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        sys.argv = argv
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        for name, value in environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        log.setLevel(level)
        log.propagate, logging.raiseExceptions = propagate, raising
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, hydra_config
        if main_thread:  # only the main thread may set handlers
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) != handler:  # None: not set from Python
                    signal.signal(number, handler)


@contextlib.contextmanager
def torch_unchanged() -> Iterator[None]:
    """Restore the global random streams (Python's, numpy's, torch's) and torch's global settings after the block."""
    import numpy as np
    import torch

    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the caller's, not ours
    cpu, seed = torch.get_rng_state(), torch.initial_seed()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    deterministic, benchmark = cudnn.deterministic, cudnn.benchmark
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        else:  # CUDA is not initialised: set the seed that it will start with, as torch.manual_seed does
            torch.cuda.manual_seed_all(seed)
        torch.set_rng_state(cpu)
        torch.set_num_threads(threads)
        cudnn.deterministic, cudnn.benchmark = deterministic, benchmark

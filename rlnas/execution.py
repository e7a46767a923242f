"""On what and how tensors are computed: device, number format, memory layout, threads, allocator, memory.

The one place that decides it. What is left to `auto` is picked by `rlnas.probe`, recorded in the run's
environment.json, and read back from there when the run is resumed: a second measurement might differ.
"""

import contextlib
import ctypes
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import torch

from rlnas.config import ExecutionConfig
from rlnas.errors import RlnasError
from rlnas.probe import Choice, Layers, pick

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


@dataclass(frozen=True)
class Execution:
    """What was picked.

    dtype: of autocast; float32: no autocast. memory_mb: of the activations of children that are scored in
    one pass. compile: each operator by torch.compile. measured: what `auto` rests on, milliseconds of
    `rlnas.probe`'s step for each choice, empty where nothing was measured. cuda_graphs: see `repeated`.
    """

    device: torch.device
    dtype: torch.dtype
    channels_last: bool
    memory_mb: int = 1024
    compile: bool = False
    keeps_buffers: bool = False
    cuda_graphs: bool = False
    measured: Mapping[str, float] | None = None

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which children run."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def repeated(self, function: Callable[P, R]) -> Callable[P, R]:
        """`function`, for calls that repeat with tensors of the same shapes; with `cuda_graphs` kernels are replayed.

        torch.compile records them, backward included, at the first calls; the processor then launches all at once.
        """
        if not self.cuda_graphs:
            return function
        compiled: Callable[P, R] = torch.compile(function, mode="reduce-overhead", fullgraph=True, dynamic=False)
        return compiled

    @property
    def values_allowed(self) -> int:
        """How many values fill `memory_mb`."""
        return self.memory_mb * 2**20 // self.dtype.itemsize

    def describe(self) -> dict[str, Any]:
        """The choice as plain data, for environment.json."""
        return {
            "device": str(self.device),
            "device_name": _device_name(self.device),
            "precision": _name(self.dtype),
            "memory_format": _format(self.channels_last),
            "threads": torch.get_num_threads(),
            "memory_mb": self.memory_mb,
            "compile": self.compile,
            "keeps_buffers": self.keeps_buffers,
            "cuda_graphs": self.cuda_graphs,
            "measured_ms": dict(self.measured or {}),
        }


def use_device(config: ExecutionConfig) -> torch.device:
    """The device to compute on; sets the number of threads.

    Raises RlnasError for a device that does not exist here.
    """
    try:
        device = _pick_device(config.device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise RlnasError(f"execution.device is '{config.device}', which cannot be used here: {reason}") from None
    if config.threads:
        torch.set_num_threads(config.threads)
    return device


def set_up(
    config: ExecutionConfig, recorded: Mapping[str, Any] | None = None, layers: Layers | None = None
) -> Execution:
    """Set threads and allocator, and settle what the configuration leaves to `auto`.

    recorded: what `describe` said when the run began; its number format and memory layout hold. layers: what
    `auto` is measured with, None for the layers of a small search.

    Raises RlnasError for a device that does not exist here, or CUDA graphs without CUDA.
    """
    device = use_device(config)
    if config.cuda_graphs and device.type != "cuda":
        raise RlnasError(
            f"execution.cuda_graphs=true needs a CUDA device, and this run computes on {device}; leave it out"
        )
    keeps_buffers = config.keep_buffers and device.type == "cpu" and keep_large_buffers()
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True  # the same history for the same seed
        torch.backends.cudnn.benchmark = False
    precision, memory_format, measured = config.precision, config.memory_format, None
    if recorded is not None:
        precision, memory_format, measured = (
            recorded["precision"],
            recorded["memory_format"],
            recorded["measured_ms"],
        )
    elif "auto" in (precision, memory_format):
        allowed = [
            Choice(dtype, channels_last)
            for dtype in (torch.float32, torch.bfloat16)
            for channels_last in (True, False)
            if precision in ("auto", _name(dtype)) and memory_format in ("auto", _format(channels_last))
        ]
        choice, seconds = pick(allowed, device, layers or Layers())
        precision, memory_format = _name(choice.dtype), _format(choice.channels_last)
        measured = {
            f"{_name(c.dtype)} {_format(c.channels_last)}": round(1000 * value, 3) for c, value in seconds.items()
        }
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return Execution(
        device,
        dtype,
        memory_format == "channels_last",
        memory_mb=config.memory_mb,
        compile=config.compile,
        keeps_buffers=keeps_buffers,
        cuda_graphs=config.cuda_graphs,
        measured=measured,
    )


def side_by_side(work: Callable[[T, Callable[[], bool]], R], items: Sequence[T], device: torch.device) -> Iterator[R]:
    """`work(item, stopped)` for each item, in order; on a CPU as many at once as torch has threads, each on one.

    Small networks hardly gain from a second thread of their own. An item is computed by one thread however
    many there are, so results depend on neither their number nor the company. Torch releases Python's lock
    while it computes. `work` should give up, by any exception, when `stopped()`: the iterator was left early.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield from (work(item, lambda: False) for item in items)
        return
    stop = threading.Event()

    def alone(item: T) -> R:
        torch.set_num_threads(1)  # of this thread
        return work(item, stop.is_set)

    with ThreadPoolExecutor(threads) as pool:
        try:
            yield from pool.map(alone, items)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads)


def keep_large_buffers() -> bool:
    """Ask glibc to keep freed activations instead of returning them to the system at every operator.

    Without it each large buffer is mapped and zeroed anew. False where there is no glibc.
    """
    if platform.system() != "Linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * 2**20))
    return all([mallopt(parameter, value) == 1 for parameter, value in settings])


def _pick_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    torch.empty(1, device=device)  # raises where the device is absent
    return device


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _format(channels_last: bool) -> str:
    return "channels_last" if channels_last else "contiguous"


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"

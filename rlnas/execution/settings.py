"""Settings of the computation: device, number format, memory layout, threads, allocator, memory.

The only place that chooses them. `auto` follows the rule of rlnas.execution.rule, or with execution=measured the
measurement of rlnas.execution.probe; each phase of a run, search and retraining, by its own layers. The choice is
recorded in the run's environment.json and read back when the run is resumed, possibly on another machine.
"""

import contextlib
import ctypes
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

import torch

from rlnas.config.schema import ExecutionConfig
from rlnas.errors import RlnasError
from rlnas.execution.probe import pick
from rlnas.execution.processor import cores
from rlnas.execution.rule import Choice, Layers, choose, threads_for

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


@dataclass(frozen=True)
class Execution:
    """The settings of one phase.

    dtype: of autocast; float32: no autocast. memory_mb: limit of the activations of children scored in one pass.
    measured: milliseconds of `rlnas.execution.probe`'s step for each choice,
    empty if nothing was measured. cuda_graphs: see `repeated`. threads, scoring_threads: for one operator on the
    processor, in training and in scoring. workers: number of trainings that run at once; changes no number.
    """

    device: torch.device
    dtype: torch.dtype
    channels_last: bool
    memory_mb: int = 1024
    keeps_buffers: bool = False
    cuda_graphs: bool = False
    measured: Mapping[str, float] | None = None
    threads: int = 1
    scoring_threads: int = 1
    workers: int = 1

    def activate(self) -> None:
        """Set the number of threads; to be called at the start of the phase."""
        fix_threads(self.threads)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which children run."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    @contextlib.contextmanager
    def scoring(self) -> Iterator[None]:
        """Use `scoring_threads` in the block: scoring takes more images than a training step."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.scoring_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def repeated(self, function: Callable[P, R]) -> Callable[P, R]:
        """Wrap a function that is called repeatedly with tensors of the same shapes; with `cuda_graphs` replay kernels.

        torch.compile records the kernels, backward included, at the first calls; later calls launch them all at once.
        """
        if not self.cuda_graphs:
            return function
        compiled: Callable[P, R] = torch.compile(function, mode="reduce-overhead", fullgraph=True, dynamic=False)
        return compiled

    @property
    def values_allowed(self) -> int:
        """Number of values that fill `memory_mb`."""
        return self.memory_mb * 2**20 // self.dtype.itemsize

    def describe(self) -> dict[str, Any]:
        """Return the settings as plain data, for environment.json."""
        return {
            "device": str(self.device),
            "device_name": _device_name(self.device),
            "precision": _name(self.dtype),
            "memory_format": _format(self.channels_last),
            "threads": self.threads,
            "scoring_threads": self.scoring_threads,
            "memory_mb": self.memory_mb,
            "keeps_buffers": self.keeps_buffers,
            "cuda_graphs": self.cuda_graphs,
            "measured_ms": dict(self.measured or {}),
        }


def use_device(config: ExecutionConfig) -> torch.device:
    """Return the configured device.

    Raises RlnasError for a device that does not exist on this machine.
    """
    try:
        return _pick_device(config.device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA raises AssertionError
        reason = str(error).splitlines()[0]
        raise RlnasError(f"execution.device is '{config.device}', which cannot be used here: {reason}") from None


def set_up(
    config: ExecutionConfig,
    recorded: Mapping[str, Any] | None = None,
    layers: Layers | None = None,
    phase: str = "search",
    scored_images: int = 0,
) -> Execution:
    """Set threads and allocator, and resolve the `auto` settings for one phase.

    recorded: environment.json's `execution` of a resumed run; its number format, memory layout and threads are
    used again. layers: of the phase, None for those of a small search. phase: "search" or "retrain".
    scored_images: of a batch in scoring, 0 = as many as in a training step.

    Raises RlnasError for a device that does not exist on this machine, or CUDA graphs without CUDA.
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
    before = recorded_for(recorded, phase) or {}
    layers = layers or Layers()
    available = cores()
    # on another device the processor only prepares batches
    ruled = threads_for(layers, available) if device.type == "cpu" else available
    threads = config.threads or before.get("threads") or ruled
    scored = replace(layers, images=max(layers.images, scored_images))
    ruled = threads_for(scored, available) if device.type == "cpu" else available
    scoring_threads = config.threads or before.get("scoring_threads", before.get("threads")) or ruled
    fix_threads(threads)
    measured: Mapping[str, float] = {}
    if before:
        choice = Choice(getattr(torch, before["precision"]), before["memory_format"] == "channels_last")
        measured = before["measured_ms"]
    else:
        choice, measured = _settle(config, device, layers, phase)
    return Execution(
        device,
        choice.dtype,
        choice.channels_last,
        memory_mb=config.memory_mb,
        keeps_buffers=keeps_buffers,
        cuda_graphs=config.cuda_graphs,
        measured=measured,
        threads=threads,
        scoring_threads=scoring_threads,
        workers=config.threads or available if device.type == "cpu" else 1,
    )


def fix_threads(count: int) -> None:
    """Use exactly `count` threads for each operator, whatever the load."""
    torch.set_num_threads(count)
    if platform.system() == "Linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).omp_set_dynamic(0)  # with OMP_DYNAMIC=true the load determines the number


def _settle(
    config: ExecutionConfig, device: torch.device, layers: Layers, phase: str
) -> tuple[Choice, dict[str, float]]:
    """Return the choice for `phase` by the configuration, and the milliseconds of each choice if measured."""
    precision, memory_format = config.precision, config.memory_format
    if phase == "retrain":
        precision = precision if config.retrain_precision == "same" else config.retrain_precision
        memory_format = memory_format if config.retrain_memory_format == "same" else config.retrain_memory_format
    if "auto" in (precision, memory_format) and config.measure:
        allowed = [
            Choice(dtype, channels_last)
            for dtype in (torch.float32, torch.bfloat16)
            for channels_last in (True, False)
            if precision in ("auto", _name(dtype)) and memory_format in ("auto", _format(channels_last))
        ]
        choice, seconds = pick(allowed, device, layers)
        return choice, {
            f"{_name(c.dtype)} {_format(c.channels_last)}": round(1000 * value, 3) for c, value in seconds.items()
        }
    ruled = choose(device, layers)
    dtype = ruled.dtype if precision == "auto" else getattr(torch, precision)
    channels_last = ruled.channels_last if memory_format == "auto" else memory_format == "channels_last"
    return Choice(dtype, channels_last), {}


def recorded_for(recorded: Mapping[str, Any] | None, phase: str) -> Mapping[str, Any] | None:
    """Return the record of a phase in environment.json's `execution`, or None. Older runs have one record for all."""
    if recorded is None or "precision" in recorded:
        return recorded
    found: Mapping[str, Any] | None = recorded.get(phase)
    return found


def as_overrides(phases: Mapping[str, Execution]) -> str:
    """Return the command-line arguments that give a run the settings of these phases, without `auto`."""
    first, *others = phases.values()
    words = [f"execution.precision={_name(first.dtype)}", f"execution.memory_format={_format(first.channels_last)}"]
    for other in others:  # the retraining
        if other.dtype != first.dtype:
            words.append(f"execution.retrain_precision={_name(other.dtype)}")
        if other.channels_last != first.channels_last:
            words.append(f"execution.retrain_memory_format={_format(other.channels_last)}")
    return " ".join(words)


def keep_large_buffers() -> bool:
    """Make glibc keep freed activations instead of returning them to the system at every operator.

    Otherwise each large buffer is mapped and zeroed again. Returns False without glibc.
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

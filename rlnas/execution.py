"""On what and how tensors are computed: device, number format, memory layout, threads, allocator."""

import contextlib
import ctypes
import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from rlnas.config import ExecutionConfig
from rlnas.errors import RlnasError

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


@dataclass(frozen=True)
class Execution:
    """What was picked: device, autocast dtype (float32: no autocast) and memory format."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which children run."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def describe(self) -> dict[str, Any]:
        """The choice as plain data, for environment.json."""
        return {
            "device": str(self.device),
            "device_name": _device_name(self.device),
            "precision": str(self.dtype).removeprefix("torch."),
            "channels_last": self.channels_last,
            "threads": torch.get_num_threads(),
        }


def set_up(config: ExecutionConfig) -> Execution:
    """Pick the device and number format, set the threads, and keep large buffers in the process.

    Raises RlnasError for a device that does not exist here.
    """
    try:
        device = _pick_device(config.device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise RlnasError(f"execution.device is '{config.device}', which cannot be used here: {reason}") from None
    if config.threads:
        torch.set_num_threads(config.threads)
    if device.type == "cpu":
        keep_large_buffers()
    else:
        torch.backends.cudnn.deterministic = True  # the same history for the same seed
        torch.backends.cudnn.benchmark = False
    dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    if config.precision == "auto" and _has_native_bfloat16(device):
        dtype = torch.bfloat16
    return Execution(device, dtype, config.channels_last)


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


def _has_native_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware; emulated it is several times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # no public query exists
    return device.type == "cpu" and supported is not None and bool(supported())


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"

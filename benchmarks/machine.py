"""Description of the machine, to be printed with measured numbers."""

import os
import platform
from importlib import metadata
from pathlib import Path

import torch


def describe() -> str:
    """Return processor, threads, versions and current load, in one line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
    return (
        f"{device} ({torch.backends.cpu.get_cpu_capability()}), {torch.get_num_threads()} threads, load {load}, "
        f"rlnas {metadata.version('rlnas')}, torch {torch.__version__}, Python {platform.python_version()}"
    )

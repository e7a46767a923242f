"""Capabilities of the processor, whatever its load, and the time this process waits for it.

The capabilities determine the execution settings (rlnas.execution.rule); the waiting time only causes a warning.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

ROOT = Path("/")
LONG_ENOUGH = 30.0  # seconds of running and waiting, so that waiting while libraries are loaded causes no warning


def native_bfloat16(root: Path = ROOT) -> str:
    """Return the unit that multiplies bfloat16: "amx", "avx512", or "" where it is emulated or unknown."""
    if not torch.backends.mkldnn.is_available():
        return ""
    if hasattr(torch.cpu, "get_capabilities"):  # public since torch 2.10 or so
        found = {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    else:
        flags = [line for line in _read(root / "proc/cpuinfo").splitlines() if line.startswith("flags")]
        found = set(flags[0].split()) if flags else set()
    return "amx" if "amx_bf16" in found else "avx512" if "avx512_bf16" in found else ""


def cores(root: Path = ROOT) -> int:
    """Return how many threads can compute at once without sharing a core, >= 1; independent of the load.

    OMP_NUM_THREADS if it is set, else the number of physical cores this process may run on, at most the processor
    quota of its container, rounded down.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if given.isdigit() and int(given) > 0:
        return int(given)
    usable = _allowed()
    topology = root / "sys/devices/system/cpu"
    siblings = [_read(topology / f"cpu{number}" / "topology" / "thread_siblings_list").strip() for number in usable]
    physical = len(set(siblings)) if all(siblings) else len(usable)
    return max(1, min([physical, *(int(quota) for quota in _quotas(root))]))


class Waiting:
    """Share of the time since the last call in which the main thread was ready to run but had no core."""

    def __init__(self, root: Path = ROOT):
        self._file = root / "proc/self/schedstat"
        self._before = (0, 0)

    def share(self) -> float | None:
        """Return the share, 0..1; None if the system does not report it, or after less than LONG_ENOUGH."""
        words = _read(self._file).split()
        if len(words) != 3:
            return None
        now = (int(words[0]), int(words[1]))  # nanoseconds on a core, and waiting for one
        ran, waited = now[0] - self._before[0], now[1] - self._before[1]
        if ran + waited < 1e9 * LONG_ENOUGH:
            return None
        self._before = now
        return waited / (ran + waited)


def _allowed() -> list[int]:
    """Return the numbers of the logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in processors, of this process's control groups, of cgroup versions 1 and 2."""
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        bases = [mount, mount / "unified"] if not controllers else [mount / "cpu", mount / controllers]
        for base in bases:
            # in a container the path may be the host's, of which only the top is mounted
            group = base / path.strip("/")
            while group != mount.parent:
                yield from _quota(group)
                group = group.parent


def _quota(group: Path) -> Iterator[float]:
    words = _read(group / "cpu.max").split() or [
        _read(group / "cpu.cfs_quota_us").strip(),
        _read(group / "cpu.cfs_period_us").strip(),
    ]
    if len(words) == 2 and all(word.isdigit() and int(word) > 0 for word in words):  # neither "max" nor -1
        yield int(words[0]) / int(words[1])


def _read(path: Path) -> str:
    """Return the text of a file; "" if it does not exist or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

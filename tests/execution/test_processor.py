"""What the processor offers, read from made-up system files."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlnas.execution import processor
from rlnas.execution.processor import Waiting, cores, native_bfloat16


@pytest.fixture(autouse=True)
def _not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """system(allowed, {path: text}) makes the root of a system on whose `allowed` processors one may run."""

    def make(allowed: int, files: dict[str, str]) -> Path:
        monkeypatch.setattr(processor, "_allowed", lambda: list(range(allowed)))
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


def siblings(*groups: str) -> dict[str, str]:
    return {
        f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list": f"{group}\n"
        for number, group in enumerate(groups)
    }


V2 = {"proc/self/cgroup": "0::/\n"}
NESTED = {"proc/self/cgroup": "0::/slice/run\n"}
V1 = {"proc/self/cgroup": "5:devices:/\n4:cpu,cpuacct:/docker/0a\n0::/\n"}


@pytest.mark.parametrize(
    ("allowed", "files", "expected"),
    [
        (8, {}, 8),
        (4, siblings("0,2", "1,3", "0,2", "1,3"), 2),  # two threads a core
        (2, siblings("0,4", "1,5"), 2),  # one of each core
        (8, {**V2, "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        (8, {**V2, "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2),
        (8, {**V2, "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        (8, {**V2, "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        (2, {**V2, "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 2),
        (
            8,
            {**NESTED, "sys/fs/cgroup/slice/cpu.max": "300000 100000\n", "sys/fs/cgroup/slice/run/cpu.max": "max 1"},
            3,
        ),
        (8, {**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 8),
        (8, {**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 3),
        (
            8,
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/docker/0a/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu,cpuacct/docker/0a/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (8, {**V2, "sys/fs/cgroup/cpu.max": "nonsense"}, 8),
    ],
)
def test_cores(allowed: int, files: dict[str, str], expected: int, system: Any) -> None:
    assert cores(system(allowed, files)) == expected


@pytest.mark.parametrize(("told", "expected"), [("3", 3), ("4,2", 4), ("", 8), ("0", 8), ("many", 8)])
def test_openmps_own_variable_wins(told: str, expected: int, system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert cores(system(8, {})) == expected


def test_cores_of_this_machine() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"amx_bf16", "avx512_bf16"}, "amx"),
        ({"avx512_bf16"}, "avx512"),
        ({"avx512_f", "avx2"}, ""),
        (set(), ""),
    ],
)
@pytest.mark.parametrize("public", [True, False])
def test_native_bfloat16(
    flags: set[str], expected: str, public: bool, system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By torch's own word, or by /proc/cpuinfo with a torch that has none."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    capabilities = {name: name in flags for name in ("amx_bf16", "avx512_bf16")} | {"cpu_name": "amx_bf16"}
    cpu = SimpleNamespace(get_capabilities=lambda: capabilities) if public else SimpleNamespace()
    monkeypatch.setattr(torch, "cpu", cpu)
    words = " ".join(sorted(flags))
    root = system(1, {"proc/cpuinfo": f"processor\t: 0\nflags\t\t: fpu {words}\nflags\t\t: fpu\n"})
    assert native_bfloat16(root) == expected
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert native_bfloat16(root) == ""


@given(ran=st.integers(0, 10**12), waited=st.integers(0, 10**12))
def test_the_share_of_waiting(ran: int, waited: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("system")
    (root / "proc/self").mkdir(parents=True)
    file = root / "proc/self/schedstat"
    waiting = Waiting(root)
    file.write_text(f"{ran} {waited} 17\n")
    first = waiting.share()
    if ran + waited < 30e9:  # too short to say, and the time counts on
        assert first is None
        file.write_text(f"{ran} {waited + 30 * 10**9} 17\n")
        assert waiting.share() == (waited + 30 * 10**9) / (ran + waited + 30 * 10**9)
        return
    assert first == waited / (ran + waited)
    assert waiting.share() is None
    file.write_text(f"{ran + 30 * 10**9} {waited + 10 * 10**9} 17\n")
    assert waiting.share() == 0.25


def test_no_share_where_the_system_does_not_say(tmp_path: Path) -> None:
    assert Waiting(tmp_path).share() is None

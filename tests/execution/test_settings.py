import ctypes
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from rlnas.cli import _compose, _wait_without_spinning
from rlnas.config.build import build_config
from rlnas.config.schema import ExecutionConfig
from rlnas.errors import RlnasError
from rlnas.execution import rule as execution_rule
from rlnas.execution import settings as module
from rlnas.execution.rule import Choice, Layers
from rlnas.execution.settings import Execution, as_overrides, recorded_for, set_up

CPU = torch.device("cpu")
PHASES = ("search", "retrain")
DTYPES = (torch.float32, torch.bfloat16)
FIXED = {"device": "cpu", "precision": "float32", "memory_format": "channels_last"}


def never(*_: Any) -> Any:
    raise AssertionError("called")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[Choice]]:
    """The choices that the probe is given; it takes the last one, at 1, 2, ... milliseconds."""
    given: list[list[Choice]] = []

    def pick(choices: list[Choice], device: torch.device, layers: Layers) -> tuple[Choice, dict[Choice, float]]:
        assert (device, layers) == (CPU, Layers())
        given.append(choices)
        return choices[-1], {choice: number / 1000 for number, choice in enumerate(choices, 1)}

    monkeypatch.setattr(module, "pick", pick)
    return given


def test_cpu_by_name_and_number_format() -> None:
    execution = set_up(ExecutionConfig(**{**FIXED, "precision": "bfloat16"}))
    assert execution.device == CPU
    with execution.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with set_up(ExecutionConfig(**FIXED)).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_threads_are_set() -> None:
    set_up(ExecutionConfig(**FIXED, threads=2))
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("device", ["warp", "cuda:99"])
def test_a_device_that_is_not_there(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "pick", never)
    with pytest.raises(RlnasError, match=f"execution.device is '{device}'"):
        set_up(ExecutionConfig(device=device))


def test_the_description_is_plain_data() -> None:
    about = set_up(ExecutionConfig(**FIXED, memory_mb=7, keep_buffers=False)).describe()
    assert json.loads(json.dumps(about)) == about
    assert about["device"] == "cpu"
    assert about["precision"] == "float32"
    assert about["memory_format"] == "channels_last"
    assert (about["memory_mb"], about["keeps_buffers"]) == (7, False)
    assert about["measured_ms"] == {}


# -- what is left to auto ----------------------------------------------------------------------------------

SMALL, LARGE = Layers(64, 16, (8, 8)), Layers(128, 36, (32, 32))


@pytest.fixture
def amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with AMX and eight cores."""
    monkeypatch.setattr(execution_rule, "native_bfloat16", lambda: "amx")
    monkeypatch.setattr(module, "cores", lambda: 8)


def test_the_rule_consults_no_clock(monkeypatch: pytest.MonkeyPatch, amx: None) -> None:
    """Nor the load: set_up gives the same with every clock and load average out of order."""
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"):
        monkeypatch.setattr(time, name, never)
    monkeypatch.setattr(os, "getloadavg", never)
    monkeypatch.setattr(module, "pick", never)
    about = [set_up(ExecutionConfig("cpu"), layers=layers).describe() for layers in (SMALL, LARGE)]
    assert [(one["precision"], one["memory_format"], one["threads"]) for one in about] == [
        ("float32", "channels_last", 1),
        ("bfloat16", "channels_last", 8),
    ]
    assert [one["measured_ms"] for one in about] == [{}, {}]


def test_only_execution_measured_measures(asked: list[list[Choice]]) -> None:
    default, named = (build_config(_compose(given)).execution for given in ([], ["execution=measured"]))
    assert (default.measure, named.measure) == (False, True)
    set_up(replace(default, device="cpu"))
    assert asked == []
    set_up(replace(named, device="cpu"))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("precision", "memory_format", "choices"),
    [
        (
            "auto",
            "auto",
            ["float32 channels_last", "float32 contiguous", "bfloat16 channels_last", "bfloat16 contiguous"],
        ),
        ("float32", "auto", ["float32 channels_last", "float32 contiguous"]),
        ("bfloat16", "auto", ["bfloat16 channels_last", "bfloat16 contiguous"]),
        ("auto", "channels_last", ["float32 channels_last", "bfloat16 channels_last"]),
        ("auto", "contiguous", ["float32 contiguous", "bfloat16 contiguous"]),
    ],
)
def test_the_probe_decides_what_is_auto_and_nothing_else(
    precision: str, memory_format: str, choices: list[str], asked: list[list[Choice]]
) -> None:
    """The usual choice stands first: float32, then channels_last."""
    config = ExecutionConfig("cpu", precision=precision, memory_format=memory_format, measure=True)
    execution = set_up(config)
    [given] = asked
    words = [name.split() for name in choices]
    assert given == [Choice(getattr(torch, dtype), layout == "channels_last") for dtype, layout in words]
    assert (execution.dtype, execution.channels_last) == (given[-1].dtype, given[-1].channels_last)
    about = execution.describe()
    assert f"{about['precision']} {about['memory_format']}" == choices[-1]
    assert list(about["measured_ms"].items()) == [(name, float(at)) for at, name in enumerate(choices, 1)]


@pytest.mark.parametrize("measure", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_where_nothing_is_auto_nothing_is_measured(
    precision: str, memory_format: str, measure: bool, monkeypatch: pytest.MonkeyPatch, amx: None
) -> None:
    monkeypatch.setattr(module, "pick", never)
    config = ExecutionConfig("cpu", precision=precision, memory_format=memory_format, measure=measure)
    for layers in (SMALL, LARGE):
        execution = set_up(config, layers=layers)
        assert execution.dtype == getattr(torch, precision)
        assert execution.channels_last == (memory_format == "channels_last")
        assert execution.describe()["measured_ms"] == {}


@pytest.mark.parametrize("measure", [True, False])
def test_what_was_recorded_wins(measure: bool, asked: list[list[Choice]], monkeypatch: pytest.MonkeyPatch) -> None:
    """On hardware for which rule and probe would answer otherwise now."""
    monkeypatch.setattr(module, "cores", lambda: 3)
    config = ExecutionConfig("cpu", measure=measure)
    first = set_up(config, layers=Layers() if measure else LARGE)
    recorded = {"search": json.loads(json.dumps(first.describe()))}
    monkeypatch.setattr(module, "pick", never)
    monkeypatch.setattr(execution_rule, "native_bfloat16", lambda: "amx")
    monkeypatch.setattr(module, "cores", lambda: 2)
    again = set_up(config, recorded, LARGE)
    assert again == replace(first, workers=2)  # which change no number
    assert again.describe() == first.describe()
    assert torch.get_num_threads() == first.threads
    if not measure:
        fresh = set_up(config, None, LARGE)
        assert (fresh.dtype, fresh.threads) == (torch.bfloat16, 2)


def test_a_record_of_before_there_were_phases_holds_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"precision": "bfloat16", "memory_format": "contiguous", "threads": 3, "measured_ms": {"a": 1.5}}
    for phase in ("search", "retrain"):
        assert recorded_for(old, phase) == old
        execution = set_up(ExecutionConfig("cpu"), old, SMALL, phase)
        assert (execution.dtype, execution.channels_last, execution.threads) == (torch.bfloat16, False, 3)
    assert recorded_for({"search": old}, "retrain") is None
    assert recorded_for(None, "search") is None


# -- the phases ----------------------------------------------------------------------------------------------


def test_each_phase_is_ruled_by_its_own_layers(amx: None) -> None:
    config = ExecutionConfig("cpu")
    search, retrain = (set_up(config, None, at, of) for at, of in ((SMALL, "search"), (LARGE, "retrain")))
    assert (search.dtype, search.threads) == (torch.float32, 1)
    assert (retrain.dtype, retrain.threads) == (torch.bfloat16, 8)
    assert (search.workers, retrain.workers) == (8, 8)
    for phase in (search, retrain, search):
        phase.activate()
        assert torch.get_num_threads() == phase.threads


@pytest.mark.parametrize(
    ("given", "search", "retrain"),
    [
        ({"precision": "float32"}, "float32", "float32"),
        ({"precision": "bfloat16"}, "bfloat16", "bfloat16"),
        ({"precision": "float32", "retrain_precision": "auto"}, "float32", "bfloat16"),
        ({"precision": "bfloat16", "retrain_precision": "float32"}, "bfloat16", "float32"),
        ({"retrain_precision": "float32"}, "float32", "float32"),
    ],
)
def test_retraining_follows_the_search_unless_told(given: Any, search: str, retrain: str, amx: None) -> None:
    found = [set_up(ExecutionConfig("cpu", **given), None, LARGE if p == "retrain" else SMALL, p) for p in PHASES]
    assert [one.describe()["precision"] for one in found] == [search, retrain]


def test_the_layout_of_retraining_can_differ() -> None:
    config = ExecutionConfig("cpu", memory_format="contiguous", retrain_memory_format="channels_last")
    assert [set_up(config, None, SMALL, phase).channels_last for phase in PHASES] == [False, True]


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.bfloat16)])
@pytest.mark.parametrize("layouts", [(True, False), (False, False)])
def test_the_printed_arguments_compute_alike(dtypes: Any, layouts: Any) -> None:
    wanted = {p: Execution(CPU, d, c) for p, d, c in zip(PHASES, dtypes, layouts, strict=True)}
    config = build_config(_compose(["execution.device=cpu", *as_overrides(wanted).split()])).execution
    found = {phase: set_up(config, None, SMALL, phase) for phase in PHASES}
    assert {p: (e.dtype, e.channels_last) for p, e in found.items()} == {
        p: (e.dtype, e.channels_last) for p, e in wanted.items()
    }


# -- threads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_for", "recorded", "layers", "threads", "workers"),
    [
        (0, None, SMALL, 1, 8),
        (0, None, LARGE, 8, 8),
        (3, None, SMALL, 3, 3),
        (3, {"threads": 5}, LARGE, 3, 3),  # what is asked for wins: benchmarks compare beside other work
        (0, {"threads": 5}, SMALL, 5, 8),
    ],
)
def test_how_many_threads(asked_for: int, recorded: Any, layers: Layers, threads: int, workers: int, amx: None) -> None:
    if recorded:
        recorded = {"search": {"precision": "float32", "memory_format": "contiguous", "measured_ms": {}, **recorded}}
    execution = set_up(ExecutionConfig("cpu", threads=asked_for), recorded, layers)
    assert (execution.threads, execution.workers) == (threads, workers)
    assert torch.get_num_threads() == threads == execution.describe()["threads"]


@pytest.mark.parametrize(
    ("asked_for", "images", "expected"), [(0, 0, (1, 1)), (0, 500, (1, 3)), (2, 500, (2, 2)), (0, 10**6, (1, 8))]
)
def test_scoring_has_threads_of_its_own(asked_for: int, images: int, expected: tuple[int, int], amx: None) -> None:
    """500 x 16 x 8 x 8 values are 3.9 times 2**17."""
    config = ExecutionConfig("cpu", threads=asked_for)
    execution = set_up(config, None, SMALL, scored_images=images)
    assert (execution.threads, execution.scoring_threads) == expected
    with execution.scoring():
        assert torch.get_num_threads() == expected[1]
    assert torch.get_num_threads() == expected[0]
    again = set_up(config, {"search": execution.describe()}, LARGE, scored_images=1)
    assert (again.threads, again.scoring_threads) == expected


@pytest.mark.skipif(platform.system() != "Linux", reason="libgomp's own call")
def test_openmp_may_not_choose_threads_by_the_load() -> None:
    libgomp = ctypes.CDLL(None)
    libgomp.omp_set_dynamic(1)  # as OMP_DYNAMIC=true does
    set_up(ExecutionConfig(**FIXED))
    assert libgomp.omp_get_dynamic() == 0


def test_threads_give_up_their_core_when_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in (
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ):
        for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        _wait_without_spinning()
        assert os.environ.get("GOMP_SPINCOUNT") == expected
        monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)


# -- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "memory_mb", "values"),
    [
        (torch.float32, 1, 262_144),  # 2**20 bytes, four a value
        (torch.bfloat16, 1, 524_288),
        (torch.float32, 1024, 268_435_456),
        (torch.bfloat16, 1024, 536_870_912),
    ],
)
def test_how_many_values_fit(dtype: torch.dtype, memory_mb: int, values: int) -> None:
    assert Execution(CPU, dtype, channels_last=True, memory_mb=memory_mb).values_allowed == values


@pytest.mark.parametrize("works", [True, False])
def test_buffers_are_kept_where_asked_for_and_possible(works: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "keep_large_buffers", lambda: works)
    assert set_up(ExecutionConfig(**FIXED)).describe()["keeps_buffers"] == works
    monkeypatch.setattr(module, "keep_large_buffers", never)
    assert not set_up(ExecutionConfig(**FIXED, keep_buffers=False)).keeps_buffers


# -- the configuration group -------------------------------------------------------------------------------


def test_plain_is_torch_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pick", "keep_large_buffers"):
        monkeypatch.setattr(module, name, never)
    config = build_config(_compose(["execution=plain", "execution.device=cpu"])).execution
    execution = set_up(config)
    assert execution == Execution(CPU, torch.float32, channels_last=False, measured={}, workers=execution.workers)
    assert (config.threads, config.keep_buffers, config.measure) == (0, False, False)


def test_auto_is_the_default_of_the_schema_and_of_a_bare_run() -> None:
    bare, named = (build_config(_compose(arguments)).execution for arguments in ([], ["execution=auto"]))
    assert bare == named == ExecutionConfig()


# -- CUDA graphs --------------------------------------------------------------------------------------------


def test_cuda_graphs_need_cuda() -> None:
    with pytest.raises(RlnasError, match=r"execution\.cuda_graphs=true needs a CUDA device, .* computes on cpu"):
        set_up(ExecutionConfig(**FIXED, cuda_graphs=True))
    assert set_up(ExecutionConfig(**FIXED)).describe()["cuda_graphs"] is False


def test_a_repeated_function_is_recorded_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def record(function: Any, **options: Any) -> Any:
        asked.append(options)
        return lambda x: function(x) + 1

    monkeypatch.setattr(torch, "compile", record)
    assert Execution(CPU, torch.float32, channels_last=True).repeated(abs) is abs
    assert not asked
    assert Execution(CPU, torch.float32, channels_last=True, cuda_graphs=True).repeated(abs)(-2) == 3
    assert asked == [{"mode": "reduce-overhead", "fullgraph": True, "dynamic": False}]

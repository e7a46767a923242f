import json
import threading
import time
from typing import Any

import pytest
import torch

from rlnas import execution as module
from rlnas.cli import _compose
from rlnas.config import ExecutionConfig, build_config
from rlnas.errors import RlnasError
from rlnas.execution import Execution, set_up, side_by_side
from rlnas.probe import Choice, Layers

CPU = torch.device("cpu")
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


def test_threads_are_set() -> None:
    before = torch.get_num_threads()
    try:
        set_up(ExecutionConfig(**FIXED, threads=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


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
    assert (about["memory_mb"], about["compile"], about["keeps_buffers"]) == (7, False, False)
    assert about["measured_ms"] == {}


# -- what is left to auto ----------------------------------------------------------------------------------


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
    execution = set_up(ExecutionConfig("cpu", precision=precision, memory_format=memory_format))
    [given] = asked
    words = [name.split() for name in choices]
    assert given == [Choice(getattr(torch, dtype), layout == "channels_last") for dtype, layout in words]
    assert (execution.dtype, execution.channels_last) == (given[-1].dtype, given[-1].channels_last)
    about = execution.describe()
    assert f"{about['precision']} {about['memory_format']}" == choices[-1]
    assert list(about["measured_ms"].items()) == [(name, float(at)) for at, name in enumerate(choices, 1)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_where_nothing_is_auto_nothing_is_measured(
    precision: str, memory_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "pick", never)
    execution = set_up(ExecutionConfig("cpu", precision=precision, memory_format=memory_format))
    assert execution.dtype == getattr(torch, precision)
    assert execution.channels_last == (memory_format == "channels_last")
    assert execution.describe()["measured_ms"] == {}


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_what_was_recorded_wins_over_the_probe(
    precision: str, asked: list[list[Choice]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe picked the last choice then and, asked again, would raise."""
    config = ExecutionConfig("cpu", precision=precision)
    first = set_up(config)
    assert not first.channels_last
    monkeypatch.setattr(module, "pick", never)
    recorded = json.loads(json.dumps(first.describe()))
    again = set_up(config, recorded)
    assert again == first
    assert again.describe() == first.describe()
    with pytest.raises(AssertionError, match="called"):
        set_up(config)


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
    assert execution == Execution(CPU, torch.float32, channels_last=False)
    assert (config.threads, config.compile, config.keep_buffers) == (0, False, False)


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


# -- several small trainings at once -------------------------------------------------------------------------


@pytest.fixture
def threads():
    """threads(count): of torch; afterwards as before."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_results_come_in_order_whatever_the_number_of_threads(threads, count):
    threads(count)

    def work(item, stopped):
        time.sleep(0.02 * (5 - item))  # the first takes longest
        return item, torch.get_num_threads(), stopped()

    assert list(side_by_side(work, range(5), torch.device("cpu"))) == [(item, 1, False) for item in range(5)]
    assert torch.get_num_threads() == count


def test_they_do_run_at_once(threads):
    threads(2)
    meeting = threading.Barrier(2, timeout=60)  # nobody passes it alone
    assert list(side_by_side(lambda item, _: meeting.wait() >= 0, range(4), torch.device("cpu"))) == [True] * 4


def test_leaving_early_stops_the_others(threads):
    threads(2)
    ended = []

    def work(item, stopped):
        while item and not stopped():
            time.sleep(0.001)
        ended.append(item)
        return item

    results = side_by_side(work, range(9), torch.device("cpu"))
    assert next(results) == 0
    results.close()
    assert len(ended) < 9
    assert torch.get_num_threads() == 2


def test_an_error_of_one_reaches_the_caller(threads):
    threads(2)

    def work(item, stopped):
        if item == 1:
            raise ValueError("item 1")
        return item

    with pytest.raises(ValueError, match="item 1"):
        list(side_by_side(work, range(3), torch.device("cpu")))
    assert torch.get_num_threads() == 2

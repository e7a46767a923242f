"""The rule of `auto`: by hardware and layer sizes alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlnas.execution import rule as execution_rule
from rlnas.execution.rule import VALUES_PER_THREAD, Choice, Layers, choose, threads_for

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("unit", "size", "dtype"),
    [
        ("amx", (8, 8), torch.float32),
        ("amx", (15, 17), torch.float32),
        ("amx", (16, 16), torch.bfloat16),
        ("amx", (8, 32), torch.bfloat16),
        ("avx512", (16, 16), torch.float32),
        ("avx512", (32, 32), torch.bfloat16),
        ("", (224, 224), torch.float32),
    ],
)
def test_the_number_format(
    unit: str, size: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_rule, "native_bfloat16", lambda: unit)
    assert choose(CPU, Layers(128, 36, size)) == Choice(dtype, channels_last=True)


@pytest.mark.parametrize(
    ("capability", "size", "dtype"),
    [((7, 5), (32, 32), torch.float32), ((8, 0), (32, 32), torch.bfloat16), ((9, 0), (8, 8), torch.float32)],
)
def test_on_a_card(
    capability: tuple[int, int], size: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert choose(torch.device("cuda"), Layers(128, 36, size)).dtype == dtype


def test_on_an_unknown_device_nothing_is_guessed() -> None:
    assert choose(torch.device("meta"), Layers(128, 36, (64, 64))) == Choice(torch.float32, channels_last=True)


@pytest.mark.parametrize(
    ("layers", "cores", "threads"),
    [
        (Layers(64, 16, (8, 8)), 2, 1),  # the digits
        (Layers(64, 32, (8, 8)), 2, 1),  # nasrl_cifar's search
        (Layers(128, 32, (16, 16)), 2, 2),  # its retraining
        (Layers(128, 32, (16, 16)), 64, 8),
        (Layers(128, 36, (32, 32)), 16, 16),  # ENAS's
        (Layers(1, 1, (1, 1)), 16, 1),
    ],
)
def test_threads_of_known_layers(layers: Layers, cores: int, threads: int) -> None:
    assert threads_for(layers, cores) == threads


@given(images=st.integers(1, 512), channels=st.integers(1, 512), side=st.integers(1, 64), cores=st.integers(1, 256))
def test_threads_are_at_most_the_cores_and_have_enough_to_do(images: int, channels: int, side: int, cores: int) -> None:
    layers = Layers(images, channels, (side, side))
    count = threads_for(layers, cores)
    assert 1 <= count <= cores
    assert count == 1 or count * VALUES_PER_THREAD <= layers.values
    assert threads_for(layers, cores + 1) >= count

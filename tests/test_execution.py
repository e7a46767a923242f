import pytest
import torch

from rlnas.config import ExecutionConfig
from rlnas.errors import RlnasError
from rlnas.execution import set_up


def test_cpu_by_name_and_number_format() -> None:
    execution = set_up(ExecutionConfig(device="cpu", precision="bfloat16"))
    assert execution.device == torch.device("cpu")
    with execution.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with set_up(ExecutionConfig(device="cpu", precision="float32")).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_threads_are_set() -> None:
    before = torch.get_num_threads()
    try:
        set_up(ExecutionConfig(device="cpu", threads=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("device", ["warp", "cuda:99"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(RlnasError, match=f"execution.device is '{device}'"):
        set_up(ExecutionConfig(device=device))


def test_the_description_is_plain_data() -> None:
    about = set_up(ExecutionConfig(device="cpu", precision="float32")).describe()
    assert about["device"] == "cpu"
    assert about["precision"] == "float32"

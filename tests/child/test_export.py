from pathlib import Path

import pytest
import torch

from rlnas.child.export import load_child, save_child
from rlnas.child.retrain import new_child
from rlnas.data import ImageData
from rlnas.errors import RlnasError
from rlnas.execution import Execution
from rlnas.spaces import NasrlSpace


@pytest.fixture
def saved(tmp_path: Path, data: ImageData, execution: Execution) -> tuple[Path, torch.Tensor]:
    """A run folder with best/, and what the child in it says of the validation images."""
    space = NasrlSpace(4, ("conv3x3", "max_pool3x3"), filters=4)
    graph = space.graph(space.unrank(77), image_channels=1, image_size=8, classes=3)
    child = new_child(graph, data, execution=execution, seed=3)
    child.train()
    child(data.prepare(data.train.pixels))  # BN statistics that are not the first ones
    child.eval()
    save_child(child, tmp_path / "best", {"space": "nasrl"})
    return tmp_path, child.predict(data.valid.pixels)


def test_a_loaded_child_predicts_the_same(saved: tuple[Path, torch.Tensor], data: ImageData) -> None:
    folder, expected = saved
    for path in (folder, folder / "best", str(folder)):
        child = load_child(path)
        assert torch.equal(child.predict(data.valid.pixels), expected)
        assert child.classes == ("dark", "grey", "light")
        assert not child.training


def test_predict_gives_probabilities_and_leaves_the_mode(saved: tuple[Path, torch.Tensor], data: ImageData) -> None:
    child = load_child(saved[0]).train()
    probabilities = child.predict(data.valid.pixels)
    assert torch.allclose(probabilities.sum(1), torch.ones(len(data.valid)))
    assert child.training


@pytest.mark.parametrize("name", ["architecture.json", "model.safetensors"])
def test_damaged_or_missing_files_are_named(name: str, saved: tuple[Path, torch.Tensor]) -> None:
    path = saved[0] / "best" / name
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RlnasError, match="damaged"):
        load_child(saved[0])
    path.unlink()
    with pytest.raises(RlnasError, match=name):
        load_child(saved[0])


def test_a_folder_without_a_network(tmp_path: Path) -> None:
    with pytest.raises(RlnasError, match="run folder"):
        load_child(tmp_path)

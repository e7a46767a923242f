import dataclasses
import json
from pathlib import Path

import pytest
import torch

from rlnas.children.export import load_child, save_child
from rlnas.children.retrain import Retraining, accuracy, new_child
from rlnas.config.schema import RetrainConfig
from rlnas.data import ImageData
from rlnas.errors import RlnasError
from rlnas.execution.settings import Execution
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


EXECUTIONS = [(dtype, layout) for dtype in (torch.float32, torch.bfloat16) for layout in (False, True)]


@pytest.fixture(params=EXECUTIONS, ids=lambda pair: f"{pair[0]}, channels_last={pair[1]}")
def trained(request, tmp_path: Path, data: ImageData, execution: Execution):
    """A child that learned a little in some precision and memory format, and the folder it was exported to."""
    dtype, channels_last = request.param
    execution = dataclasses.replace(execution, dtype=dtype, channels_last=channels_last)
    space = NasrlSpace(4, ("conv3x3", "sep_conv3x3", "max_pool3x3"), filters=6, reductions=1)
    graph = space.graph(space.unrank(500), image_channels=1, image_size=8, classes=3)
    config = RetrainConfig(epochs=2, batch_size=16)
    child = Retraining(config, graph, data, execution=execution, seed=0).train(lambda *_: None)
    save_child(child, tmp_path, {"space": "nasrl"})
    return child, tmp_path, execution


def test_a_loaded_child_computes_as_it_was_trained(trained, data: ImageData) -> None:
    child, folder, execution = trained
    loaded = load_child(folder)
    assert (loaded.dtype, loaded.weights.channels_last) == (execution.dtype, execution.channels_last)
    assert torch.equal(loaded.predict(data.valid.pixels), child.predict(data.valid.pixels))
    assert accuracy(loaded, data.valid) == accuracy(child, data.valid)
    normalised = data.prepare(data.valid.pixels)
    assert torch.equal(loaded(normalised).softmax(1), loaded.predict(data.valid.pixels))  # one path
    assert loaded(normalised).dtype == torch.float32


def test_the_precision_is_that_of_training(trained, data: ImageData) -> None:
    """Contrast: in float32, a network trained in bfloat16 gives other probabilities."""
    _, folder, execution = trained
    record = json.loads((folder / "architecture.json").read_text())
    assert record["execution"] == {
        "precision": str(execution.dtype).removeprefix("torch."),
        "memory_format": "channels_last" if execution.channels_last else "contiguous",
    }
    before = load_child(folder).predict(data.valid.pixels)
    record["execution"]["precision"] = "float32"
    (folder / "architecture.json").write_text(json.dumps(record))
    same = torch.equal(load_child(folder).predict(data.valid.pixels), before)
    assert same == (execution.dtype == torch.float32)


def test_accuracy_is_the_share_of_highest_probabilities(trained, data: ImageData) -> None:
    child, _, _ = trained
    right = child.predict(data.valid.pixels).argmax(1) == data.valid.labels
    assert accuracy(child, data.valid) == right.float().mean().item()


def test_a_network_exported_before_precision_was_recorded_loads(saved: tuple[Path, torch.Tensor], data) -> None:
    folder, expected = saved
    path = folder / "best" / "architecture.json"
    record = json.loads(path.read_text())
    del record["execution"]
    for node in record["graph"]:
        del node["own"]
    path.write_text(json.dumps(record))
    assert torch.equal(load_child(folder).predict(data.valid.pixels), expected)


@pytest.mark.parametrize("record", [{"precision": "float8"}, {}, 3, None])
def test_a_precision_nobody_knows_is_damage(record, saved: tuple[Path, torch.Tensor]) -> None:
    path = saved[0] / "best" / "architecture.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "execution": record}))
    with pytest.raises(RlnasError, match="damaged or of another version"):
        load_child(saved[0])


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "meta:x"])
def test_a_device_that_is_not_there(device: str, saved: tuple[Path, torch.Tensor]) -> None:
    with pytest.raises(RlnasError, match=rf"device '{device}' cannot be used here"):
        load_child(saved[0], device)

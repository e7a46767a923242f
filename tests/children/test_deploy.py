"""The exported network gives the probabilities of the network: every operator, every space, any number of images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rlnas.children.deploy import Deployed, example, export
from rlnas.children.network import Child, run
from rlnas.children.weights import Weights
from rlnas.data import prepare
from rlnas.networks.graph import INPUT, Graph, Node
from tests.spaces.small import SMALL

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

CHANNELS = 4
OPERATORS = (  # that keep the size of a map
    *("conv3x3", "conv1x5", "sep_conv3x3", "dil_conv5x5", "avg_pool3x3", "max_pool3x3", "identity", "project"),
    *("plain_conv3x3", "plain_sep_conv5x5", "plain_depthwise3x3", "plain_max_pool3x3", "plain_avg_pool3x3"),
    *("relu_conv3x3", "relu_conv1x7_7x1", "relu_sep_conv3x3", "relu_dil_conv3x3", "relu_sep_conv3x3_twice"),
    *("projected_conv3x3", "raw_conv3x3", "raw_depthwise3x3", "raw_conv5x5-3x3", "relu_raw_conv1x1"),
    *("norm", "norm_relu", "pointwise_norm_relu"),
)
REDUCING = ("reduce", "max_reduce", "relu_reduce", "relu_raw_reduce", "conv3x3", "plain_max_pool3x3", "sep_conv3x3")


def every_operator() -> Graph:
    """All operators behind each other, with normalisation, then all that halve a map, joined in all ways."""
    size = (16, 16)
    nodes = [Node("stem", (INPUT,), CHANNELS, size, key="stem")]

    def add(operator: str, inputs: tuple[int, ...], channels: int, size: tuple[int, int], **more) -> int:
        key = None if operator in ("sum", "product", "concat", "pad", "identity") else f"{operator}_{len(nodes)}"
        nodes.append(Node(operator, inputs, channels, size, key=key.replace(".", "_") if key else None, **more))
        return len(nodes) - 1

    last = 0
    for operator in OPERATORS:
        last = add("norm", (add(operator, (last,), CHANNELS, size),), CHANNELS, size)
    halves = [add(operator, (last,), CHANNELS, (8, 8), stride=(2, 2)) for operator in REDUCING]
    products = [add("product", (halves[0], one), CHANNELS, (8, 8)) for one in halves[1:]]
    total = add("sum", tuple(halves), CHANNELS, (8, 8))
    together = add("concat", (*products, total), CHANNELS * (len(products) + 1), (8, 8))
    padded = add("pad", (together,), CHANNELS * (len(products) + 1), (9, 10))
    add("head", (padded,), 3, (1, 1))
    return Graph(tuple(nodes), 3, (16, 16))


def child_of(graph: Graph, dtype: torch.dtype = torch.float32) -> Child:
    """A network with random weights and the running statistics of random images."""
    torch.manual_seed(0)
    weights = Weights(0, track_statistics=True, device=torch.device("cpu"), channels_last=True)
    mean, std = torch.tensor([0.4, 0.5, 0.6])[: graph.channels], torch.tensor([0.2, 0.25, 0.3])[: graph.channels]
    child = Child(graph, weights, classes=("a", "b", "c"), mean=mean, std=std, dtype=dtype)
    for module in weights.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    images = prepare(example(child, 16), child.mean, child.std)
    with torch.no_grad():
        weights.train()
        run(graph, weights, images)
    return child.eval()


def check_onnx(graph: Graph, file: Path) -> None:
    child = child_of(graph)
    export(child, "onnx", file, {"space": "some"})
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [(one.name, one.shape[1:], one.type) for one in session.get_inputs()] == [
        ("images", [graph.channels, *graph.size], "tensor(uint8)")
    ]
    for count in (1, 5):
        images = example(child, count)
        (found,) = session.run(["probabilities"], {"images": images.numpy()})
        expected = child.predict(images).numpy()
        assert np.abs(found - expected).max() < 1e-5
    assert expected.std(0).max() > 1e-4  # the images are told apart


@pytest.mark.thorough
def test_every_operator_is_exported_to_onnx(tmp_path: Path) -> None:
    check_onnx(every_operator(), tmp_path / "every.onnx")


@pytest.mark.thorough
@pytest.mark.parametrize("name", SMALL)
def test_architectures_of_every_space_are_exported_to_onnx(name: str, tmp_path: Path) -> None:
    space = SMALL[name].standalone
    architecture = space.sample(np.random.default_rng(3))
    check_onnx(space.graph(architecture, image_channels=1, image_size=8, classes=3), tmp_path / "one.onnx")


def test_the_deployed_network_is_the_child_in_float32() -> None:
    graph = every_operator()
    images = example(child_of(graph), 4)
    with torch.no_grad():
        found = Deployed(child_of(graph, torch.bfloat16))(images)
    torch.testing.assert_close(found, child_of(graph).predict(images), rtol=1e-5, atol=1e-6)
    assert found.dtype == torch.float32


@pytest.mark.thorough
def test_exporting_leaves_the_child_as_it_was(tmp_path: Path) -> None:
    child = child_of(every_operator())
    images = example(child, 4)
    before = child.predict(images)
    for kind in ("torchexport", "safetensors"):
        export(child, kind, tmp_path / kind, {})
    assert torch.equal(child.predict(images), before)
    assert any(type(module).__name__ == "MaxPool" for module in child.modules())


def test_files_hold_the_architecture(tmp_path: Path) -> None:
    from safetensors import safe_open

    space = SMALL["nasrl"]
    child = child_of(space.graph(space.unrank(5), image_channels=1, image_size=8, classes=3))
    export(child, "safetensors", tmp_path / "a", {"architecture": "some"})
    with safe_open(tmp_path / "a", "pt") as file:
        assert json.loads(file.metadata()["rlnas"]) == {"architecture": "some"}
        names = set(file.keys())
    assert names == set(child.weights.state_dict())
    export(child, "torchexport", tmp_path / "b.pt2", {"architecture": "some"})
    extra = {"rlnas.json": ""}
    module = torch.export.load(tmp_path / "b.pt2", extra_files=extra).module()
    assert json.loads(extra["rlnas.json"]) == {"architecture": "some"}
    with torch.no_grad():
        torch.testing.assert_close(module(example(child, 3)), child.predict(example(child, 3)))

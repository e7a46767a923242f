"""Save and load the found network: weights in safetensors, everything else in JSON. Nothing is pickled."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from rlnas.children.network import Child
from rlnas.children.weights import Weights, named_tensors
from rlnas.errors import RlnasError
from rlnas.files import expand, write_bytes, write_json
from rlnas.networks.graph import Graph, Node

ARCHITECTURE, MODEL = "architecture.json", "model.safetensors"


def save_child(child: Child, folder: Path, description: dict[str, Any]) -> None:
    """Write `folder`/architecture.json (the description, the graph, classes, normalisation, precision) and weights."""
    graph = child.graph
    record = {
        **description,
        "classes": list(child.classes),
        "mean": child.mean.tolist(),
        "std": child.std.tolist(),
        "image": {"channels": graph.channels, "height": graph.size[0], "width": graph.size[1]},
        "execution": {"precision": _name(child.dtype), "memory_format": _format(child.weights.channels_last)},
        "graph": [vars(node) for node in graph.nodes],
    }
    write_json(folder / ARCHITECTURE, record)
    write_bytes(folder / MODEL, save_safetensors(named_tensors(child.weights)))


def load_child(path: str | Path, device: str | torch.device = "cpu") -> Child:
    """Load the network that a run found, with its trained weights, in eval mode.

    path: a run folder, or its best/. The child maps normalised float images (b, c, h, w) to class
    scores (b, k); `child.predict` maps uint8 images to probabilities.

    It computes in the precision and memory format it was trained in, so that on the same kind of device `predict`
    reproduces the accuracies of result.json. On a CPU without bfloat16 torch emulates it, more slowly. A network
    exported before these were recorded computes in float32.

    Raises RlnasError if there is no network, a file is damaged, or the device cannot be used.
    """
    folder = network_folder(path)
    _check_device(device)
    try:
        record = json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8"))
        graph = _graph(record)
        dtype, channels_last = _execution(record)
        weights = Weights(0, track_statistics=True, device=torch.device(device), channels_last=channels_last)
        child = Child(
            graph,
            weights,
            classes=tuple(record["classes"]),
            mean=torch.tensor(record["mean"]),
            std=torch.tensor(record["std"]),
            dtype=dtype,
        )
        weights.load_state_dict(load_safetensors((folder / MODEL).read_bytes()), strict=True)
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise RlnasError(f"{folder} is damaged or of another version: {reason}") from error
    return child.to(device).eval()


def network_folder(path: str | Path) -> Path:
    """Return the folder that holds a network: `path` or its best/. Raises RlnasError if there is no network."""
    folder = expand(path)
    if not (folder / ARCHITECTURE).exists() and (folder / "best").is_dir():
        folder = folder / "best"
    if not (folder / ARCHITECTURE).exists():
        raise RlnasError(f"{path} holds no {ARCHITECTURE}; expected a run folder or its best/")
    if not (folder / MODEL).exists():
        raise RlnasError(f"{folder} holds no {MODEL}: the run has not retrained its network (retrain.epochs=0?)")
    return folder


def _graph(record: dict[str, Any]) -> Graph:
    """Build the graph of an architecture.json."""
    nodes = tuple(
        Node(
            operator=node["operator"],
            inputs=tuple(node["inputs"]),
            channels=node["channels"],
            size=(node["size"][0], node["size"][1]),
            stride=(node["stride"][0], node["stride"][1]),
            key=node["key"],
            layer=node["layer"],
            own=_own(node.get("own")),
        )
        for node in record["graph"]
    )
    image = record["image"]
    return Graph(nodes, image["channels"], (image["height"], image["width"]))


def _own(found: Any) -> tuple[int, ...]:
    """Return `Node.own`, which only training uses. Networks exported by older versions lack it or have one number."""
    return (found,) if isinstance(found, int) else tuple(found or ())


def _check_device(device: str | torch.device) -> None:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise RlnasError(f"device '{device}' cannot be used here: {reason}; leave it out for the CPU") from None


def _execution(record: dict[str, Any]) -> tuple[torch.dtype, bool]:
    """Return the dtype in which the network of an architecture.json computes, and whether in channels_last."""
    found = record.get("execution", {"precision": "float32", "memory_format": "contiguous"})
    dtypes = {_name(dtype): dtype for dtype in (torch.float32, torch.bfloat16)}
    layouts = {_format(channels_last): channels_last for channels_last in (False, True)}
    return dtypes[found["precision"]], layouts[found["memory_format"]]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _format(channels_last: bool) -> str:
    return "channels_last" if channels_last else "contiguous"

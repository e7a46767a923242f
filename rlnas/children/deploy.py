"""The found network for use without rlnas: raw images in, class probabilities out.

The network that is exported takes uint8 images as they are decoded, (b, c, h, w) with any b, holds the normalisation,
computes in float32 and returns the probabilities of the classes, (b, k).
"""

import copy
import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from rlnas.children.layers import MaxPool
from rlnas.children.network import Child, run
from rlnas.children.weights import named_tensors
from rlnas.files import write_bytes

OPSET = 18  # of the ONNX file: read by onnxruntime 1.14 (2023) and later
FORMATS = {"onnx": ".onnx", "torchexport": ".pt2", "safetensors": ".safetensors"}  # name -> suffix of the file
INPUT_NAME, OUTPUT_NAME = "images", "probabilities"


class Deployed(nn.Module):
    """A copy of a child on the CPU in float32 that takes uint8 images (b, c, h, w) and returns probabilities (b, k)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, child: Child):
        super().__init__()
        own = copy.deepcopy(child).cpu().float()
        self.graph, self.weights = own.graph, own.weights
        for module in own.weights.modules():
            if isinstance(module, MaxPool):  # the same values; its shifted copies would fill the exported graph
                module.__class__ = nn.MaxPool2d  # type: ignore[assignment]
        self.register_buffer("scale", (1 / (255 * own.std)).view(-1, 1, 1))
        self.register_buffer("shift", (own.mean / own.std).view(-1, 1, 1))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 (b, c, h, w) to probabilities (b, k)."""
        return run(self.graph, self.weights, images.float() * self.scale - self.shift).softmax(dim=1)


def example(child: Child, count: int) -> Tensor:
    """Return random images of the child's shape, the same at every call: uint8 (count, c, h, w)."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, child.graph.channels, *child.graph.size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def export(child: Child, kind: str, file: Path, record: dict[str, Any]) -> None:
    """Write the network as `kind`, a name of FORMATS, to `file`, whole or not at all.

    record: architecture.json; the file holds it as its metadata `rlnas`. Raises RlnasError if it cannot be written.
    """
    writers = {"onnx": _onnx, "torchexport": _torchexport, "safetensors": _safetensors}
    with _quiet():
        content = writers[kind](child, json.dumps(record))
    write_bytes(file, content)


def needed(kind: str) -> tuple[str, ...]:
    """Return the packages, none of rlnas's own requirements, that writing and checking this format takes."""
    return ("onnx", "onnxscript", "onnxruntime") if kind == "onnx" else ()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch's exporter says of packages that nothing here needs, and of its own deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _onnx(child: Child, record: str) -> bytes:
    program = torch.onnx.export(
        Deployed(child),
        (example(child, 2),),
        dynamo=True,
        opset_version=OPSET,
        input_names=[INPUT_NAME],
        output_names=[OUTPUT_NAME],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    for key, value in {"rlnas": record, "classes": json.dumps(list(child.classes))}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString())


def _torchexport(child: Child, record: str) -> bytes:
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(Deployed(child), (example(child, 2),), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={"rlnas.json": record})
    return buffer.getvalue()


def _safetensors(child: Child, record: str) -> bytes:
    return save_safetensors(named_tensors(child.weights), metadata={"rlnas": record})

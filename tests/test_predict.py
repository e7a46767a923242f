"""From a run to its predictions: what load_child(...).predict says of the test images is what result.json reports."""

import json
from pathlib import Path

import pytest
import torch

import rlnas
from rlnas.cli import _compose
from rlnas.config.build import build_config
from rlnas.data import Images, load_data
from rlnas.seeding import numpy_stream
from tests.command import TINY


@pytest.mark.variants(1)
@pytest.mark.parametrize(("precision", "layout"), [("bfloat16", "channels_last"), ("float32", "contiguous")])
def test_predict_gives_the_reported_accuracies(precision: str, layout: str, tmp_path: Path) -> None:
    options = ["architecture='conv3x3 max_pool3x3 sep_conv3x3+1'", *TINY, "progress=off", "retrain.epochs=2"]
    options += [f"execution.precision={precision}", f"execution.memory_format={layout}"]
    options = list({item.partition("=")[0]: item for item in options}.values())
    best = rlnas.load_result(folder := rlnas.run([*options, f"hydra.run.dir={tmp_path}/run"]))["best"]
    config = build_config(_compose(options))
    data = load_data(config.data, numpy_stream(config.seed, "split"), torch.device("cpu"))
    child = rlnas.load_child(folder)
    assert json.loads((folder / "best" / "architecture.json").read_text())["execution"] == {
        "precision": "float32",  # whatever it was trained in
        "memory_format": layout,
    }

    def share_right(images: Images, batch: int) -> float:
        found = torch.cat([child.predict(part) for part in images.pixels.split(batch)]).argmax(dim=1)
        return int((found == images.labels).sum()) / len(images)

    for batch in (1000, 64):
        assert share_right(data.test(), batch) == best["test_accuracy"]
        assert share_right(data.valid, batch) == best["valid_accuracy"]

"""What a run says of its data, and which data it accepts on resuming."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from rlnas.cli import run
from rlnas.data import ImageData, Images
from rlnas.data.record import check_same_data, data_record
from rlnas.errors import RlnasError
from tests.command import result


def changed(data: ImageData, split: str, part: str) -> ImageData:
    """A copy with one pixel or one label of a split changed."""
    images: Images = getattr(data, split)
    tensors = {"pixels": images.pixels.clone(), "labels": images.labels.clone()}
    tensors[part].view(-1)[-1] += 1
    return dataclasses.replace(data, **{split: Images(**tensors)})


def test_the_same_data_under_another_name_are_accepted(data: ImageData) -> None:
    check_same_data(data_record(data), data_record(dataclasses.replace(data, name="folder:moved")))


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize("part", ["pixels", "labels"])
def test_one_other_pixel_or_label_is_refused(data: ImageData, split: str, part: str) -> None:
    with pytest.raises(RlnasError, match=rf"trained on shades \(48 training images\).* differs in {part};"):
        check_same_data(data_record(data), data_record(changed(data, split, part)))


def test_another_order_is_refused(data: ImageData) -> None:
    order = torch.arange(len(data.train)).flip(0)
    other = dataclasses.replace(data, train=data.train.take(order))
    with pytest.raises(RlnasError, match="differs in labels, pixels"):
        check_same_data(data_record(data), data_record(other))


def test_a_record_without_pixels_is_refused(data: ImageData) -> None:
    """As older checkpoints have it: nothing says that the images are the same."""
    record: dict[str, Any] = data_record(data)
    with pytest.raises(RlnasError, match="differs in pixels"):
        check_same_data({key: record[key] for key in record if key != "pixels"}, record)


def build(root: Path) -> Path:
    """Two classes; a hidden folder with copies, a text, and in dog a copy of each image of cat."""
    generator = np.random.default_rng(0)
    for name in ("cat", "dog", "cat/.ipynb_checkpoints"):
        (root / name).mkdir(parents=True)
    for i in range(20):
        image = PIL.Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        for name in ("cat", "dog", "cat/.ipynb_checkpoints"):
            image.save(root / name / f"{i}.bmp")
    (root / "dog" / "notes.txt").write_text("no image")
    return root


def test_a_run_says_what_it_left_out_and_refuses_other_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLNAS_CACHE", str(tmp_path / "cache"))
    images = build(tmp_path / "images")
    given = ["architecture=conv3x3", "space.layers=1", "space.filters=4", "retrain.epochs=1", "execution=plain"]
    folder = run(["data=folder", f"data.path={images}", *given, "progress=plain", f"hydra.run.dir={tmp_path}/run"])
    found, screen = result(folder), capsys.readouterr().out
    assert found["images"]["left_out"] == {"hidden": 20, "suffix": 1}
    notes = found["images"]["notes"]
    for words in ("21 files are left out", "(.txt: 1)", "exact copies of training images", "of the 6 test images are"):
        (note,) = [note for note in notes if words in note]
        assert f"data: {note}" in screen
        assert f"data: {note}" in (folder / "rlnas.log").read_text(encoding="utf-8")
        assert note in (folder / "report.html").read_text(encoding="utf-8")

    (folder / "result.json").unlink()  # as if killed before its last word
    for file in images.rglob("*.bmp"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    with pytest.raises(RlnasError, match=r"differs in (labels, )?pixels; set data.path"):
        run([f"resume={folder}"])
    assert not (folder / "result.json").exists()
    for file in images.rglob("*.bmp"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    moved = images.rename(tmp_path / "moved")
    run([f"resume={folder}", f"data.path={moved}"])
    assert result(folder)["best"] == found["best"]
    assert result(folder)["images"] == found["images"]

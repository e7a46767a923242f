"""`python -m rlnas.predict` and `python -m rlnas.export`, as a user of a finished run calls them."""

import csv
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import rlnas
from rlnas import export, predict
from rlnas.children.export import save_child
from rlnas.data.sources import digits
from tests.children.test_deploy import child_of
from tests.command import TINY
from tests.spaces.small import SMALL

SPACE = SMALL["nasrl"]


@pytest.fixture
def network(tmp_path: Path):
    """network(channels=3, background="white"): a folder with best/ of an untrained network for 8x8 images."""

    def make(channels: int = 3, background: str = "white") -> Path:
        graph = SPACE.graph(SPACE.unrank(77), image_channels=channels, image_size=8, classes=3)
        child = child_of(graph)
        save_child(child, tmp_path / "run" / "best", {"space": "nasrl", "background": background})
        return tmp_path / "run"

    return make


def picture(path: Path, seed: int = 0, size: int = 8, mode: str = "RGB") -> Path:
    values = torch.randint(0, 256, (size, size, 3), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(values.numpy()).convert(mode).save(path)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_a_file_a_folder_a_pattern_and_a_list_name_images_once(tmp_path, network, capsys, monkeypatch) -> None:
    run = network()
    files = [picture(tmp_path / "new" / name, seed) for seed, name in enumerate(("b.png", "sub/a.jpg", "c.webp"))]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{files[2]}\n\n{files[0]}\n"))
    paths = [str(files[1]), str(tmp_path / "new"), str(tmp_path / "new" / "*.png"), "-"]
    assert predict.main([str(run), *paths, "--csv", str(tmp_path / "out.csv"), "--top", "2"]) == 0
    rows = rows_of(tmp_path / "out.csv")
    assert [row["path"] for row in rows] == [str(files[1]), str(files[0]), str(files[2])]
    child = rlnas.load_child(run)
    for row in rows:
        pixels = torch.from_numpy(np.array(PIL.Image.open(row["path"]).convert("RGB")))
        (expected,) = child.predict(pixels.permute(2, 0, 1)[None])
        values, places = expected.topk(2)
        assert [row["class"], row["class2"]] == [child.classes[place] for place in places.tolist()]
        found = [float(row["probability"]), float(row["probability2"])]
        assert found == pytest.approx(values.tolist(), abs=2e-6)
        assert row["error"] == ""
    assert "3 images" in capsys.readouterr().out


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_classified(tmp_path, network, capsys) -> None:
    picture(tmp_path / "new" / "a.png")
    (tmp_path / "new" / "b.png").write_bytes(b"no image")
    (tmp_path / "new" / "notes.txt").write_text("x")
    assert predict.main([str(network()), str(tmp_path / "new"), "--csv", str(tmp_path / "out.csv")]) == 1
    said = capsys.readouterr()
    assert "b.png cannot be read" in said.err
    assert "1 of 2 images could not be read" in said.err
    assert "1 file is left out" in said.out
    first, second = rows_of(tmp_path / "out.csv")
    assert (first["error"], second["class"]) == ("", "")
    assert "b.png cannot be read" in second["error"]


def test_images_are_decoded_as_those_of_training(tmp_path, network) -> None:
    """Another size, transparency on the run's background, grey for a network of one channel."""
    large = picture(tmp_path / "large.png", size=20)
    clear = tmp_path / "clear.png"
    PIL.Image.new("RGBA", (8, 8), (9, 9, 9, 0)).save(clear)
    child = rlnas.load_child(run := network(background="#ff0000"))
    found = predict.predict_files(child, [large, clear], predict.background_of(run))
    resized = PIL.Image.open(large).resize((8, 8), PIL.Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1)
    red = torch.zeros(3, 8, 8, dtype=torch.uint8)
    red[0] = 255
    torch.testing.assert_close(found.probabilities[0], child.predict(torch.stack([pixels, red])))
    child = rlnas.load_child(network(channels=1))
    found = predict.predict_files(child, [large])
    grey = torch.from_numpy(np.array(resized.convert("L")))
    torch.testing.assert_close(found.probabilities[0], child.predict(grey[None, None]))


def test_folders_named_after_classes_give_an_accuracy(tmp_path, network, capsys) -> None:
    child = rlnas.load_child(run := network())
    for seed in range(6):
        file = picture(tmp_path / "pile" / f"{seed}.png", seed)
        found = predict.predict_files(child, [file]).probabilities[0]
        label = child.classes[int(found.argmax())] if seed else child.classes[int(found.argmin())]
        picture(tmp_path / "sorted" / label / f"{seed}.png", seed)
    assert predict.main([str(run), str(tmp_path / "pile")]) == 0
    assert "accuracy" not in capsys.readouterr().out
    assert predict.main([str(run), str(tmp_path / "sorted")]) == 0
    assert "accuracy by the names of their folders: 0.8333 (5 of 6)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "nothing"], "nothing does not exist, and as a pattern it matches nothing"),
        (["RUN", "empty"], "no image in empty: 1 file is left out"),
        (["empty", "a.png"], "empty holds no architecture.json; expected a run folder or its best/"),
        (["RUN", "a.png", "--top", "0"], "--top is 0, expected at least 1"),
        (["RUN", "a.png", "--device", "cuda:77"], "device 'cuda:77' cannot be used here"),
        (["RUN", "a.png", "--csv", "empty/notes.txt/out.csv"], "--csv empty/notes.txt/out.csv: there is no folder"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, network, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    picture(tmp_path / "a.png")
    run = str(network())
    assert predict.main([run if item == "RUN" else item for item in arguments]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


# -- export ------------------------------------------------------------------------------------------------


def test_an_export_is_checked_and_says_on_what(tmp_path, network, capsys) -> None:
    run = network()
    assert export.main([str(run), "--format", "safetensors"]) == 0
    said = capsys.readouterr().out
    assert f"written: {run}/best/network.safetensors" in said
    assert "on 500 random images" in said
    assert "largest difference of a probability" in said


def test_a_file_that_differs_from_the_network_is_refused(tmp_path, network, capsys, monkeypatch) -> None:
    monkeypatch.setitem(export.READERS, "safetensors", lambda file, child: lambda images: child.predict(images) + 0.01)
    assert export.main([str(network()), "--format", "safetensors"]) == 1
    assert "would differ from the network by 0.01, expected at most 0.0001, and was not" in capsys.readouterr().err


def test_a_missing_package_is_named_before_anything_is_written(tmp_path, network, capsys, monkeypatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else find_spec(name))
    run = network()
    assert export.main([str(run)]) == 1
    assert "needs the package onnxscript: pip install" in capsys.readouterr().err
    assert not list(run.rglob("*.onnx"))


def test_a_run_without_weights_is_refused(tmp_path, capsys) -> None:
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "architecture.json").write_text("{}")
    assert export.main([str(tmp_path)]) == 1
    assert "the run has not retrained its network (retrain.epochs=0?)" in capsys.readouterr().err


ALONE = """
import json, sys
import numpy as np, onnxruntime
images, labels = np.load(sys.argv[2]), np.load(sys.argv[3])
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
right = session.run(None, {"images": images})[0].argmax(1) == labels
assert not any(name.split(".")[0] in ("rlnas", "torch") for name in sys.modules)
print(json.dumps(int(right.sum()) / len(labels)))
"""


@pytest.mark.thorough
def test_the_test_accuracy_is_reproduced_without_rlnas(tmp_path: Path, capsys) -> None:
    """By onnxruntime alone on the test images, and by `predict` on the same images as files."""
    options = [item for item in TINY if not item.startswith("data.")]
    folder = rlnas.run([*options, "data=digits", "architecture='conv3x3 max_pool3x3 sep_conv3x3+1'", "progress=off",
                        f"hydra.run.dir={tmp_path}/run"])  # fmt: skip
    expected = rlnas.load_result(folder)["best"]["test_accuracy"]
    assert export.main([str(folder)]) == 0
    assert "validation images of digits" in capsys.readouterr().out
    test = digits().test()
    np.save(tmp_path / "images.npy", test.images.pixels.numpy())
    np.save(tmp_path / "labels.npy", test.images.labels.numpy())
    arguments = [str(folder / "best" / "model.onnx"), str(tmp_path / "images.npy"), str(tmp_path / "labels.npy")]
    done = subprocess.run([sys.executable, "-c", ALONE, *arguments], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected
    for number, (pixels, label) in enumerate(zip(test.images.pixels, test.images.labels.tolist(), strict=True)):
        file = tmp_path / "files" / test.classes[label] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels[0].numpy()).save(file)
    assert predict.main([str(folder), str(tmp_path / "files")]) == 0
    assert f"{expected:.4f} ({round(expected * 297)} of 297)" in capsys.readouterr().out

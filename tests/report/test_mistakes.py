"""The section on mistakes and the model card, of a run whose test images are made up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rlnas.data import Images
from rlnas.report import load_run, write_report
from rlnas.report.card import card, write_card
from rlnas.report.run import mistakes
from rlnas.runs.reader import Run
from rlnas.search.tested import record_test

CLASSES = ("cat", 'dog | "x"', "<b>bird</b>")


class Fixed:
    """A network whose probabilities are given."""

    def __init__(self, classes: tuple[str, ...], probabilities: torch.Tensor):
        self.classes = classes
        self.probabilities = probabilities

    def predict(self, pixels):
        return self.probabilities


def recorded(folder: Path, classes: tuple[str, ...] = CLASSES, count: int = 60) -> Path:
    """Records a test of random answers in the folder."""
    stream = torch.Generator().manual_seed(0)
    probabilities = torch.rand(count, len(classes), generator=stream).softmax(1)
    labels = torch.arange(count) % len(classes)
    pixels = torch.randint(0, 256, (count, 3, 4, 4), generator=stream).to(torch.uint8)
    record_test(Fixed(classes, probabilities), Images(pixels, labels), folder / "best")  # type: ignore[arg-type]
    return folder


def test_recall_and_precision_by_hand(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    (folder / "best").mkdir(exist_ok=True)
    (folder / "best" / "test_confusion.csv").write_text("class,class,b,c\nclass,3,1,0\nb,2,2,0\nc,0,0,0\n")
    run = load_run(folder)
    classes, counts = mistakes.confusion(run) or ([], np.zeros(0))
    assert (classes, counts.tolist()) == (["class", "b", "c"], [[3, 1, 0], [2, 2, 0], [0, 0, 0]])
    table = mistakes.classes_table(run) or {}
    assert table["rows"] == [
        ("c", "0", "\N{EN DASH}", "\N{EN DASH}", ""),
        ("b", "4", "50.0 %", "66.7 %", "class (2)"),
        ("class", "4", "75.0 %", "60.0 %", "b (1)"),
    ]
    assert table["balanced"] == "62.5 %"


def test_the_page_shows_what_the_network_gets_wrong_and_escapes_names(make_run: Callable[..., Path]) -> None:
    html = write_report(recorded(folder := make_run())).read_text(encoding="utf-8")
    assert "What the network gets wrong" in html
    assert "&lt;b&gt;bird&lt;/b&gt;" in html
    assert "<b>bird" not in html
    assert {"confusion", "mistakes"} <= {path.stem for path in (folder / "figures").iterdir()}


def test_without_a_recorded_test_there_is_no_such_section(make_run: Callable[..., Path]) -> None:
    assert "What the network gets wrong" not in write_report(make_run()).read_text(encoding="utf-8")


def test_of_many_classes_the_worst_are_listed_and_no_matrix_is_drawn(make_run: Callable[..., Path]) -> None:
    folder = recorded(make_run(), tuple(f"class {number}" for number in range(40)), 400)
    html = write_report(folder).read_text(encoding="utf-8")
    assert "The 20 worst classes; all are in best/README.md" in html
    assert "confusion" not in {path.stem for path in (folder / "figures").iterdir()}


def with_weights(folder: Path) -> Run:
    (folder / "best").mkdir(exist_ok=True)
    (folder / "best" / "model.safetensors").write_bytes(b"")
    return load_run(folder)


def test_the_card_says_accuracy_with_interval_cost_and_use(make_run: Callable[..., Path]) -> None:
    run = with_weights(recorded(make_run()))
    assert run.best is not None
    run.best.update(test_accuracy=0.8, test_images=100, test_balanced_accuracy=0.75)
    text = card(run)
    # Wilson's interval of 80 of 100
    assert "| test | 80.00 % (95 % interval 71.12 % to 86.66 %, Wilson; 100 images) |" in text
    assert "| test, mean over classes | 75.00 % |" in text
    assert f"| parameters | {run.best['params']:,} |" in text
    assert '| dog \\| "x" |' in text
    assert "python -m rlnas.predict RUN IMAGES..." in text
    for line in text.splitlines():  # every table is whole
        if line.startswith("| cat"):
            assert line.replace("\\|", "").count("|") in (5, 6)


def test_a_run_without_a_network_has_no_card(make_run: Callable[..., Path]) -> None:
    folder = make_run(retrain=0)
    assert write_card(folder) is None
    assert not (folder / "best" / "README.md").exists()


@pytest.mark.parametrize("limits", [{}, {"flops": 2e6, "params": 10000}])
def test_the_card_names_the_limits(make_run: Callable[..., Path], limits) -> None:
    run = with_weights(make_run())
    run.result["objective"] = {"terms": {"accuracy": 1.0}, "limits": limits}
    found = [line for line in card(run).splitlines() if line.startswith("| limit")]
    assert len(found) == len(limits)

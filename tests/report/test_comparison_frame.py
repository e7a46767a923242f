"""comparison.csv, the page and the terminal show the numbers of one frame."""

import io
import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from rlnas.report.comparison import compare, frame, tables, words, write_comparison
from rlnas.runs.discover import load_runs
from tests.report.comparison_folders import write_run, write_sweep


def sweep(root: Path, kind: str) -> Path:
    if kind == "table":
        write_sweep(root, {"random": 0, "evolution": 2, "ppo": 4}, seeds=6, n=110)
        return root
    for name, accuracies in {"random": [0.70, 0.71, 0.73], "ppo": [0.80, 0.82, 0.81], "dqn": [0.8, 0.7, None]}.items():
        for seed, accuracy in enumerate(accuracies):
            valid = None if accuracy is None else accuracy + 0.01
            write_run(root / f"{name}{seed}", [0.4] * 20, controller=name, seed=seed, test=accuracy, valid=valid)
    return root


@pytest.mark.variants(1)
@pytest.mark.parametrize("kind", ["table", "images"])
def test_every_output_has_the_numbers_of_the_frame(kind: str, tmp_path: Path) -> None:
    comparison, page = write_comparison([sweep(tmp_path, kind)])
    table = frame(comparison)
    read = pd.read_csv(tmp_path / "comparison.csv")
    assert list(read) == list(table)
    for column in table:
        assert [None if pd.isna(cell) else cell for cell in read[column]] == [
            None if pd.isna(cell) else cell for cell in table[column]
        ]
    html = re.sub(r"<br>", " ", page.read_text(encoding="utf-8"))
    cells = [unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", html)]
    console = Console(width=200, file=io.StringIO())
    console.print(tables.screen(comparison, table))
    terminal = console.file.getvalue()
    prefixes = ["", "validation_accuracy_"] if kind == "images" else [""]
    for _, row in table.iterrows():
        for prefix in prefixes:
            mean, error, middle = (
                words.value(comparison, row[f"{prefix}{name}"])
                for name in ("mean", "standard_error", "interquartile_mean")
            )
            known = row[f"{prefix}standard_error"] == row[f"{prefix}standard_error"]
            shown = f"{mean} ± {error}" if known else mean
            assert (f"{shown} ({middle})" if known else shown) in cells
            assert shown in terminal
        for baseline in comparison.baselines:
            if isinstance(row[f"vs_{baseline}_verdict"], str) and row[f"vs_{baseline}_verdict"] != "no verdict":
                for name in ("p", "p_holm", "p_ranks"):
                    assert tables.probability(row[f"vs_{baseline}_{name}"]) in cells
                assert words.signed(comparison, row[f"vs_{baseline}_lead"]) in cells
                if row["architectures"] == comparison.checkpoints[-1]:
                    assert tables.probability(row[f"vs_{baseline}_p_holm"]) in terminal


def test_the_frame_is_a_pure_function(tmp_path: Path) -> None:
    comparison = compare(*load_runs([sweep(tmp_path, "table")]))
    pd.testing.assert_frame_equal(frame(comparison), frame(comparison))
    assert not (tmp_path / "comparison.csv").exists()


def test_names_on_the_page_are_escaped(tmp_path: Path) -> None:
    root = sweep(tmp_path / "<script>", "images")
    write_run(root / "x", [0.5], controller="<script>alert(1)</script>", finished=False)
    html = write_comparison([root])[1].read_text(encoding="utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html

"""The section on the gap: read from gap.json alone, absent without shared weights, never the end of the report."""

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from rlnas.gap.statistics import agreement
from rlnas.report import write_report
from rlnas.report.run.gap import FIGURES
from rlnas.report.run.gap_words import sentences
from rlnas.runs.leftovers import SHARED_WEIGHTS

MakeRun = Callable[..., Path]
SMALL: dict[str, Any] = {"rounds": 0, "retrain": 0}  # a run with few other figures
KEYS = {"search_objective": "reward, 500 images", "search_accuracy": "accuracy, 500 images", "flops": "FLOPs"}


def write_gap(folder: Path, *, table: bool = False, **changes: Any) -> dict[str, Any]:
    """Write a gap.json of ten uniform architectures whose reward ranks in order and whose FLOPs in reverse."""
    truth = [0.5 + place / 100 for place in range(10)]
    scores = {"search_objective": truth, "search_accuracy": truth, "flops": [100.0 - place for place in range(10)]}
    optimum = 0.9 if table else None

    def group(n: int) -> dict[str, Any]:
        about = {"n": n, "mean": 0.545 if n else None, "sd": 0.03 if n else None, "best": 0.59 if n else None}
        found = {
            key: agreement(values[:n], truth[:n], flops=scores["flops"][:n], seed=0, optimum=optimum)
            for key, values in scores.items()
        }
        return {"truth": about, "agreement": found}

    training = {
        "source": "training",
        "recipe": "child",
        "epochs": 3,
        "options": {"clip": 5.0},
        "known": 10,
        "asked": 12,
    }
    record: dict[str, Any] = {
        "format": 1,
        "run": {"limits": {"flops": 4e6}},
        "draw": {"seed": 0, "within_limits": True},
        "truth": {"source": "table", "table": "bench"} if table else {**training, "diverged": 1},
        "statistics": {"resamples": 2000, "level": 0.95, "equal_flops_within": 0.1, "seed": 0},
        "predictors": [
            {"key": key, "label": label, "same_as": "search_objective" if key == "search_accuracy" else None}
            for key, label in KEYS.items()
        ],
        "groups": {"uniform": group(10), "policy": group(0), "all": group(10)},
        "notes": ["0 of 10 architectures of the policy"],
        "architectures": [
            {"groups": ["uniform"], "truth": truth[place], **{key: values[place] for key, values in scores.items()}}
            for place in range(10)
        ]
        + [{"groups": ["uniform"], "truth": None, "search_objective": 0.1, "flops": 7.0}],
        "versions": {"rlnas": "0.1.0", "torch": "2.13.0"},
        "seconds": {"trainings": 75.0},
        **changes,
    }
    (folder / "gap").mkdir(exist_ok=True)
    (folder / "gap" / "gap.json").write_text(json.dumps(record))
    return record


def page(folder: Path) -> str:
    return unescape(write_report(folder).read_text(encoding="utf-8"))


def test_the_section_follows_the_summary(make_run: MakeRun) -> None:
    folder = make_run(**SMALL)
    record = write_gap(folder)
    html = page(folder)
    assert html.index("Result in numbers") < html.index("The gap:") < html.index("The network that was found")
    for sentence in sentences(record):
        assert sentence in html
    assert "12 architectures" not in html  # what is not known is not counted
    assert "10 of 12, once each" in html
    assert "1 diverged" in html
    assert "Drawn within flops of at most 4\N{NO-BREAK SPACE}M." in html
    assert not re.search(r"\b(nan|NaN|None)\b", re.sub(r"<details>.*?</details>", "", html, flags=re.DOTALL))
    for name in FIGURES:
        assert (folder / "figures" / f"{name}.svg").is_file()
    assert html.count("Truth against the reward: 10 architectures") == 1  # for screen readers
    assert page(folder) == html


def test_the_words_by_hand(make_run: MakeRun) -> None:
    first = sentences(write_gap(make_run(**SMALL)))[0]
    assert "Over 10 uniform architectures" in first
    assert "tau 1.00 [1.00,\N{NO-BREAK SPACE}1.00]" in first
    assert "FLOPs alone -1.00" in first
    assert "The reward ranks better than FLOPs alone." in first
    assert "is the best of them" in first


def test_a_table_has_a_regret_to_its_optimum(make_run: MakeRun) -> None:
    folder = make_run(**SMALL)
    write_gap(folder, table=True)
    html = page(folder)
    assert "the scores in the table bench" in html
    assert "regret to the optimum, 1/3/5/10" in html
    assert "0.31 / 0.31 / 0.31 / 0.31" in html  # 0.9 - 0.59


def test_without_a_measurement_the_command_stands_there(make_run: MakeRun) -> None:
    folder = make_run("my run", **SMALL)
    assert "rlnas.gap" not in page(folder)  # nothing to measure: no shared weights were kept
    (folder / SHARED_WEIGHTS).write_bytes(b"")
    html = page(folder)
    assert re.search(r"<code>python -m rlnas\.gap '.*my run'</code>", html)
    assert "The gap:" not in html


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": 2}', '{"format": 1}', '{"format": 1, "groups": []}'])
def test_a_damaged_file_is_named_and_the_report_written(make_run: MakeRun, content: str) -> None:
    folder = make_run(**SMALL)
    (folder / "gap").mkdir()
    (folder / "gap" / "gap.json").write_text(content)
    (folder / "figures").mkdir()
    for name in FIGURES:
        (folder / "figures" / f"{name}.svg").write_text("of an earlier report")
    html = page(folder)
    assert "The gap is not shown" in html
    assert "gap.json is" in html
    assert "The network that was found" in html
    assert not any((folder / "figures" / f"{name}.svg").exists() for name in FIGURES)


def test_nothing_known_yet(make_run: MakeRun) -> None:
    folder = make_run(**SMALL)
    record = write_gap(folder)
    nothing = record["groups"]["policy"]
    write_gap(folder, groups=dict.fromkeys(("uniform", "policy", "all"), nothing), architectures=[])
    assert "No architecture has a known truth yet." in page(folder)

"""The whole report of synthetic runs: complete, self-contained, the same each time, and never with a nan."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rlnas.config.build import build_space_config
from rlnas.config.quoting import quoted
from rlnas.errors import RlnasError
from rlnas.networks.graph import cost
from rlnas.report import load_run, write_report
from rlnas.report.__main__ import main
from rlnas.report.run import curves
from rlnas.report.run.drawing import rows
from rlnas.report.run.figures import ENTRIES
from rlnas.report.style import plain_style, to_svg
from rlnas.spaces import make_space

MakeRun = Callable[..., Path]
STRIDED = {"name": "nasrl_factored", "layers": 5, "heights": [3], "strides_height": [1, 2]}
CASES: dict[str, dict[str, Any]] = {
    "whole": {"cubed": True},
    "one architecture, no retraining": {"rounds": 1, "per_round": 1, "retrain": 0},
    "given architecture": {"rounds": 0},
    "neither skips nor control": {
        "rounds": 2,
        "retrain": 0,
        "control": False,
        "space": {"name": "nasrl", "layers": 2, "reductions": 0},
    },
    "factored": {"rounds": 2, "per_round": 5, "retrain": 0, "space": STRIDED},
    "nothing found": {"rounds": 0, "retrain": 0, "best": None},
    "bare": {"rounds": 0, "retrain": 0, "seconds": None, "images": None, "controller": None, "stopped_by": None},
}


class Outline(HTMLParser):
    """Tags in order, checking that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.variants(2)
@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_run_has_a_page(make_run: MakeRun, case: str) -> None:
    html = write_report(make_run(**CASES[case])).read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(html)
    assert not outline.open
    assert not re.search(r"https?:|//www|@import|<script|<img|<link|javascript:", html)
    assert not re.search(r"\b(nan|NaN|None|null)\b", re.sub(r"<details>.*?</details>", "", html, flags=re.DOTALL))
    headings = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    pictures = [attributes for tag, attributes in outline.tags if tag == "svg"]
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in pictures)
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for target in re.findall(r'(?:url\(|href=")#([^)"]+)', html):
        assert target in ids


def figures(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "figures").iterdir()}


def wanted(folder: Path) -> set[str]:
    run = load_run(folder)
    return {entry.name for entry in ENTRIES if entry.wanted(run)}


def test_which_figures_a_run_has(make_run: MakeRun) -> None:
    everything = "accuracy reward best params entropy operators layers skip_rate skips child_loss retraining time"
    assert wanted(make_run("a", cubed=True, rounds=2)) == set(everything.split())
    left_out = {"skips", "skip_rate", "reward", "retraining"}
    assert wanted(make_run("b", **CASES["neither skips nor control"])) == set(everything.split()) - left_out


def with_variety(folder: Path, pools: bool) -> Path:
    """The columns that tell of a collapse, as a run writes them."""
    table = pd.read_csv(folder / "rounds.csv")
    falling = 1 - table["round"] / (len(table) + 1)
    table = table.assign(unique_share=falling, unique_share_total=falling**0.5, pool_share="", identity_share="")
    if pools:
        table = table.assign(pool_share=1 - falling, identity_share=0.1)
    table.to_csv(folder / "rounds.csv", index=False)
    return folder


@pytest.mark.parametrize("pools", [True, False])
def test_the_variety_is_drawn_where_it_is_known(make_run: MakeRun, pools: bool) -> None:
    folder = make_run(rounds=3, per_round=5)
    assert "variety" not in wanted(folder)  # an older run
    run = load_run(with_variety(folder, pools))
    assert "variety" in wanted(folder)
    with plain_style("variety"):
        svg = to_svg(curves.variety(run))
    assert "different, so far" in svg
    assert ("identities" in svg) == pools
    caption = next(entry.caption(run) for entry in ENTRIES if entry.name == "variety")
    assert ("Pools and identities" in caption) == pools


def test_warnings_of_a_collapse_are_on_the_page(make_run: MakeRun) -> None:
    warning = {"kind": "repeats", "round": 2, "text": "round 2: <3> of 50 architectures are different"}
    html = write_report(make_run(rounds=0, warnings=[warning])).read_text(encoding="utf-8")
    (banner,) = re.findall(r'class="banner" role="alert">(.*?)</p>', html)
    assert "Round 2: &lt;3&gt; of 50 architectures are different." in banner
    assert 'class="banner"' not in write_report(make_run("none", rounds=0, warnings=[])).read_text()


def test_old_figures_are_removed(make_run: MakeRun) -> None:
    folder = make_run(rounds=0)
    (folder / "figures").mkdir()
    (folder / "figures" / "accuracy.svg").touch()
    (folder / "figures" / "mine.svg").touch()
    write_report(folder)
    assert figures(folder) == {"architecture", "retraining", "time", "mine"}


@pytest.mark.parametrize("control", [True, False])
def test_random_control_is_drawn_if_there_is_one(make_run: MakeRun, control: bool) -> None:
    run = load_run(make_run(rounds=2, control=control))
    with plain_style("accuracy"):
        svg = to_svg(curves.accuracy(run))
    assert ("random, mean" in svg) == control
    caption = next(entry.caption(run) for entry in ENTRIES if entry.name == "accuracy")
    assert ("uniformly random" in caption) == control


def test_same_folder_same_bytes(make_run: MakeRun) -> None:
    folder = make_run(rounds=2, per_round=5)
    contents = []
    for _ in range(2):
        write_report(folder)
        paths = sorted([folder / "report.html", *(folder / "figures").iterdir()])
        contents.append({path: path.read_bytes() for path in paths})
    assert contents[0] == contents[1]
    assert not [path for path in folder.rglob("*") if path.name.startswith(".report")]


def test_the_page_says_what_was_found(make_run: MakeRun) -> None:
    folder = make_run(
        dataset="digits", dataset_note="CIFAR-10 is not here.", rounds=0, children_evaluated=40, children_unique=37
    )
    html = write_report(folder).read_text().replace("\N{NO-BREAK SPACE}", " ")
    for words in ("92.68 %", "93.12 %", "with shared weights", "retrained from scratch", "ranking signal"):
        assert words in html
    assert re.search(r'class="banner" role="alert">.*CIFAR-10 is not here', html)
    assert "embedded digits" in html
    assert ">40</dd>" in html
    assert "37 different" in html
    assert 'class="banner"' not in write_report(make_run("other", rounds=0)).read_text()


def with_values(folder: Path, terms: dict[str, Any]) -> str:
    """The report of a run whose candidates have values beside the accuracy; the first two were finalists."""
    candidates = json.loads((folder / "result.json").read_text())["candidates"]
    for place, item in enumerate(candidates):
        item |= {
            "values": {"accuracy": 0.5, "log_likelihood": -2.0 - place},
            "alone_values": None,
            "objective": -1.23456,
        }
        if place < 2:
            item |= {"alone_values": {"accuracy": 0.6, "log_likelihood": -0.5 - place}, "alone_accuracy": 0.6}
    replace_result(folder, candidates=candidates, objective={"terms": terms, "limits": {}})
    return write_report(folder).read_text(encoding="utf-8")


def test_candidates_show_the_objective_that_decided(make_run: MakeRun) -> None:
    html = with_values(make_run("nats", rounds=1), {"log_likelihood": 1.0, "accuracy": {"weight": 0.1}})
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", html.partition("Best candidates")[2])
    values = ["log_likelihood alone", "log_likelihood", "accuracy alone", "accuracy"]
    assert heads[:6] == ["place", "objective", *values]
    for cell in ("-1.2346", "-0.5000", "-1.5000", "-2.0000", "-11.0000"):
        assert f">{cell}</td>" in html
    assert "The objective (log_likelihood, accuracy) decides: of the finalists after training alone" in html
    assert "The accuracy decides" not in html


@pytest.mark.thorough
def test_where_the_accuracy_decides_candidates_show_no_other_objective(make_run: MakeRun) -> None:
    """A term that counts in the search only does not decide."""
    for name, terms in (
        ("plain", {"accuracy": 1.0}),
        ("search_only", {"accuracy": 1.0, "skip_divergence": {"weight": -0.15, "search_only": True}}),
    ):
        html = with_values(make_run(name, rounds=1), terms)
        heads = re.findall(r"<th[^>]*>([^<]*)</th>", html.partition("Best candidates")[2])
        assert heads[:3] == ["place", "alone", "shared weights"]
        assert "The accuracy decides: of the finalists after training alone" in html


def test_everything_is_escaped(make_run: MakeRun) -> None:
    evil = "<b><script>&\"'{x}"
    folder = make_run(
        rounds=1,
        retrain=0,
        name=evil,
        controller=evil,
        dataset=evil,
        dataset_note=evil,
        stopped_by=evil,
        overrides=(f"data.path={evil}",),
    )
    (folder / "environment.json").write_text(json.dumps({evil: evil}))
    (folder / ".hydra" / "config.yaml").write_text(f"name: |-\n  {evil}\n")
    result = json.loads((folder / "result.json").read_text())
    result["best"]["architecture"] = result["candidates"][0]["architecture"] = result["candidates"][0]["source"] = evil
    replace_result(folder, best=result["best"], candidates=result["candidates"])
    html = write_report(folder.rename(folder.with_name("<script>&"))).read_text()
    assert "<b>" not in html
    assert "<script" not in html
    assert html.count("&lt;b&gt;&lt;script&gt;&amp;") >= 10
    assert "&lt;script&gt;&amp;/best" in html


def test_retrain_command(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_run(
        overrides=("+experiment=nasrl_cifar", "data.path=data/cifar 10", "resume=x", "retrain.epochs=9"),
        rounds=0,
        retrain=1,
    )
    monkeypatch.chdir(tmp_path)
    for given in (Path("run"), tmp_path / "run"):
        html = write_report(given).read_text()
        assert (
            "python -m rlnas +experiment=nasrl_cifar &#39;data.path=data/cifar 10&#39; "
            "architecture=run/best/architecture.json retrain.epochs=300<" in html
        )
        assert "child = rlnas.load_child(&#34;run&#34;)" in html
        assert str(tmp_path) not in html
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    os.remove(tmp_path / "run" / "best" / "model.safetensors")
    html = write_report(tmp_path / "run").read_text()
    assert f"architecture={tmp_path}/run/best" in html
    assert f"<code>{tmp_path}/run</code> is this run" in html
    assert "load_child" not in html


def test_home_is_not_shown(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert quoted("data.path=/home/somebody/my $x") == "data.path=\"$HOME\"'/my $x'"
    folder = make_run(rounds=0, retrain=0, overrides=("data.path=/home/somebody/images",))
    (folder / ".hydra" / "config.yaml").write_text("data: {path: /home/somebody/images}\n")
    (folder / "environment.json").write_text('{"executable": "/home/somebody/venv/bin/python"}')
    assert "/home/somebody" not in write_report(folder).read_text()


def test_the_final_network_is_drawn(make_run: MakeRun) -> None:
    folder = make_run(rounds=1)
    (folder / ".hydra" / "config.yaml").write_text("retrain: {space: {filters: 72, merge: concat}}\n")
    run = load_run(folder)
    assert run.best is not None
    assert run.graph is not None
    assert run.graph.nodes[0].channels == 16  # best.params are those of the network in the search
    result = json.loads((folder / "result.json").read_text())
    wide = make_space(build_space_config({"name": "nasrl", "layers": 8, "filters": 72, "merge": "concat"}))
    graph = wide.graph(wide.parse(result["best"]["architecture"]), image_channels=3, image_size=32, classes=10)
    result["best"]["params"] = cost(graph).params
    (folder / "result.json").write_text(json.dumps(result))
    assert load_run(folder).graph == graph
    (folder / ".hydra" / "config.yaml").unlink()
    replace_result(folder, final_space={"layers": 8, "filters": 72, "merge": "concat"})
    assert load_run(folder).graph == graph


@pytest.mark.parametrize("sharing", ["projection", "kernel"])
def test_the_plain_network_is_drawn_whatever_was_shared(make_run: MakeRun, sharing: str) -> None:
    options = {"name": "nasrl", "layers": 5}
    run, plain = (
        load_run(make_run(name, rounds=1, retrain=0, space={**options, **more}))
        for name, more in (("run", {"sharing": sharing}), ("plain", {}))
    )
    assert run.space.sharing == sharing  # type: ignore[attr-defined]
    assert plain.space.sharing == "operator"  # type: ignore[attr-defined]
    assert run.graph is not None
    assert run.graph == plain.graph
    assert [row.number for row in rows(run.graph) if row.number] == [1, 2, 3, 4, 5]


def test_codes_stay_exact(make_run: MakeRun) -> None:
    run = load_run(make_run(rounds=1, space={"name": "nasrl", "layers": 20}))
    code = run.history["code"].iloc[0]
    assert isinstance(code, str)
    assert int(code) > 2**64
    assert run.space.text(run.space.unrank(int(code))) == run.history["architecture"].iloc[0]


def replace_result(folder: Path, **changes: Any) -> None:
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, **changes}))


def cut(folder: Path) -> None:
    text = (folder / "history.csv").read_text()
    (folder / "history.csv").write_text(text[: text.rindex(",0.031")])


ERRORS: dict[str, tuple[Callable[[Path], object], str]] = {
    "unfinished": (
        lambda folder: (folder / "result.json").unlink(),
        "no result.json, 20 architectures scored.*resume=",
    ),
    "damaged json": (lambda folder: (folder / "result.json").write_text('{"a":'), "is no JSON"),
    "a list": (lambda folder: (folder / "result.json").write_text("[]"), "JSON list, expected an object"),
    "no space": (lambda folder: replace_result(folder, space=None), "no space.name"),
    "no architecture": (lambda folder: replace_result(folder, best={"code": 1}), "no best.architecture"),
    "no column": (
        lambda folder: (folder / "rounds.csv").write_text("round\n1\n"),
        "rounds.csv is .*column architectures",
    ),
    "cut off": (cut, "line 21: seconds is '.*', expected a number"),
    "not a number": (
        lambda folder: (folder / "retrain.csv").write_text("epoch,loss,valid_accuracy\n1,abc,\n"),
        "line 2: loss is 'abc'",
    ),
    "not utf-8": (lambda folder: (folder / "environment.json").write_bytes(b"\xff\xfe"), "cannot be read"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_damaged_runs_are_refused(make_run: MakeRun, case: str) -> None:
    damage, message = ERRORS[case]
    folder = make_run(rounds=1)
    damage(folder)
    with pytest.raises(RlnasError, match=message):
        write_report(folder)


NO_SPACE = {
    "unknown space": ({"name": "x"}, "space.name is 'x'"),
    "own space that is not here": (
        {"name": "nowhere.spaces.Mine"},
        "space.name: nowhere.spaces.Mine cannot",
    ),
    "options of another space": ({"name": "nasrl", "options": {"layers": 3}}, "expected 3 layers"),
}


@pytest.mark.variants(1)
@pytest.mark.parametrize("case", NO_SPACE)
def test_what_needs_a_space_that_is_not_here_is_left_out_and_the_page_says_so(make_run: MakeRun, case: str) -> None:
    space, reason = NO_SPACE[case]
    folder = make_run(rounds=2, per_round=5)
    replace_result(folder, space=space)
    html = html_text(write_report(folder))
    assert figures(folder) == {"accuracy", "best", "params", "skip_rate", "entropy", "child_loss", "retraining", "time"}
    assert re.search("Not drawn: the network.*what the controller chose", html, flags=re.DOTALL)
    assert f": {reason}" in html
    assert json.loads((folder / "result.json").read_text())["best"]["architecture"] in html


def test_the_fit_of_a_surrogate_is_a_sentence(make_run: MakeRun) -> None:
    fits = [{"labels": 24, "tau": 0.5, "flops_tau": 0.4, "shared_tau": {"accuracy": 0.3}}]
    fits += [{"labels": 48, "tau": 0.614, "flops_tau": None, "shared_tau": {"accuracy": 0.55, "log_likelihood": 0.6}}]
    page = write_report(make_run(rounds=1, per_round=2, retrain=0, evaluator="surrogate", surrogate={"fits": fits}))
    assert "fitted to 48 trainings alone" in html_text(page)
    assert "prediction 0.61, FLOPs none, shared accuracy 0.55, shared log likelihood 0.60." in html_text(page)
    assert "score with shared weights" in html_text(page)
    assert "surrogate was fitted" not in html_text(write_report(make_run("other", rounds=0)))


def html_text(page: Path) -> str:
    return unescape(page.read_text(encoding="utf-8"))


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RlnasError, match="is no folder"):
        load_run(tmp_path / "missing")
    (tmp_path / "picture.png").touch()
    with pytest.raises(RlnasError, match=r"expected result.json, found picture.png"):
        load_run(tmp_path)


def test_empty_tables_are_no_rows(make_run: MakeRun) -> None:
    folder = make_run(rounds=1)
    header = (folder / "rounds.csv").read_text().splitlines()[0]
    (folder / "rounds.csv").write_text(header + "\n")
    (folder / "history.csv").write_text("")
    write_report(folder)
    assert figures(folder) == {"architecture", "retraining", "time"}


def test_command_line(make_run: MakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = make_run(rounds=0)
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    done = subprocess.run(
        [sys.executable, "-m", "rlnas.report", str(tmp_path / "missing")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("rlnas: ")
    assert done.stderr.count("\n") == 1


def test_phases_have_an_order(make_run: MakeRun) -> None:
    seconds = {"rest": 1.0, "retrain": 2.0, "data": 3.0, "total": 10.0, "warmup": 0.0, "new": 4.0, "child": None}
    phases = load_run(make_run(rounds=0, seconds=seconds)).phases()
    assert list(phases.items()) == [("data", 3.0), ("retrain", 2.0), ("new", 4.0), ("rest", 1.0)]

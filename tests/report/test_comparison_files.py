"""comparison.csv and .html: complete, self-contained, the same each time; names at curve ends keep apart."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rlnas.report.comparison import compare, frame, write_comparison
from rlnas.report.comparison.figures import MOST_CURVES, _caption, drawn, line
from rlnas.report.comparison.tables import screen
from rlnas.report.ends import shortened, spread
from rlnas.runs.discover import load_runs
from tests.report.comparison_folders import write_run, write_sweep

RATE = "controller.params.learning_rate"
MANY = (
    "random",
    "evolution",
    "a2c",
    "ppo/1",
    "ppo/2",
    "trpo",
    "dqn",
    "qrdqn",
    "genetic",
    "local_search",
    "sb3",
    "reinforce",
)
SETTINGS = {"ppo/1": {RATE: 0.001}, "ppo/2": {RATE: 0.003}}


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


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve groups of three seeds, one run more that did not finish, compared."""
    root = tmp_path_factory.mktemp("many")
    speeds = {name: place / 4 for place, name in enumerate(MANY)}
    write_sweep(root, speeds, seeds=3, n=110, settings=SETTINGS, simulated=False)
    write_run(root / "99_broken", [91.0], score=[91.0], controller="a<b>", finished=False)
    write_comparison([root])
    return root


def small(root: Path, kind: str) -> Path:
    if kind == "one run":
        return write_run(root / "run", [90.0], score=[90.0]).parent
    if kind == "optimum from the start":
        for seed in range(2):
            write_run(root / f"r{seed}", [93.1267] * 3, score=[93.1267] * 3, seed=seed)
    if kind == "trained children":
        write_run(root / "a", [0.5, 0.6, 0.4], controller="ppo<b>")
        write_run(root / "b", [0.5, 0.7, 0.4], controller="random")
    return root


@pytest.mark.variants(1)
@pytest.mark.parametrize("kind", ["many", "one run", "optimum from the start", "trained children"])
def test_the_page_is_whole_and_stands_alone(kind: str, many: Path, tmp_path: Path):
    page = many / "comparison.html" if kind == "many" else write_comparison([small(tmp_path, kind)])[1]
    html = page.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(html)
    assert not outline.open
    assert not re.search(r"https?:|//www|@import|<script|<img|<link|javascript:", html)
    assert not re.search(r"\b(nan|NaN|None|null)\b", html)
    assert [tag for tag, _ in outline.tags if tag == "h1"] == ["h1"]
    pictures = [attributes for tag, attributes in outline.tags if tag == "svg" and "role" in attributes]
    assert len(pictures) == {"many": 2, "trained children": 2}.get(kind, 4)
    assert all(picture["aria-label"] for picture in pictures)
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "<b>" not in html


def test_every_output_names_groups_and_runs_left_out(many: Path):
    for name in ("comparison.csv", "comparison.html"):
        text = (many / name).read_text(encoding="utf-8")
        for label in (*(label for label in MANY if "/" not in label), "ppo learning_rate=0.001"):
            assert label in text
        assert "99_broken" in text
        assert "not finished: no result.json, 1 architectures scored" in text


def test_every_curve_is_named_at_its_end_and_in_the_legend(many: Path):
    html = (many / "comparison.html").read_text(encoding="utf-8")
    first = re.findall(r'<svg class="plot".*?</svg>', html, flags=re.DOTALL)[0]
    names = re.findall(r">([^<>]+)</text>", first)
    assert names.count("ppo learning_rate=0.001") == 2
    assert names.count("random") == 2


def test_the_csv_reads_back(many: Path):
    table = pd.read_csv(many / "comparison.csv")
    kept = table[table["left_out"].isna()]
    assert len(kept) == 12 * 2
    assert set(kept["measure"]) == {"regret"}
    assert set(kept["architectures"]) == {50, 100}
    row = kept[(kept["controller"] == "dqn") & (kept["architectures"] == 100)].iloc[0]
    assert row["band_low"] <= row["mean"] <= row["band_high"]
    assert row["mean"] + row["score_mean"] == pytest.approx(93.1267)
    assert row["vs_random_p_holm"] >= row["vs_random_p"]
    assert kept[kept["controller"] == "random"]["vs_random_p"].isna().all()
    assert list(table[table["left_out"].notna()]["controller"]) == ["a<b>"]


def test_the_page_says_how_it_was_done(many: Path):
    html = re.sub(r"\s+", " ", (many / "comparison.html").read_text(encoding="utf-8"))
    tested = ("permutation test of the means", "Holm", "Mann-Whitney", "11 controllers")
    for words in (*tested, "93.1267", "3,969 networks", "seed=0,1,2"):
        assert words in html


@pytest.mark.parametrize(("width", "narrow"), [(80, True), (150, False)])
def test_the_screen_shows_every_column(width: int, narrow: bool, tmp_path: Path):
    sweep = write_sweep(tmp_path, {"random": 0, "evolution": 2, "maskable_ppo": 1}, seeds=2, n=1000)
    console = Console(width=width, file=io.StringIO())
    comparison = compare(*load_runs([sweep]))
    console.print(screen(comparison, frame(comparison), narrow=narrow))
    text = console.file.getvalue()
    heads = next(line.split() for line in text.splitlines() if "1,000" in line and "random" in line)
    assert heads[-9:] == ["n", "50", "100", "200", "300", "500", "1,000", "random", "evolution"]
    assert ("\N{PLUS-MINUS SIGN} 0." in text) != narrow


def test_same_runs_same_bytes(tmp_path: Path):
    small(tmp_path, "trained children")
    names = ("comparison.csv", "comparison.html")
    contents = []
    for _ in range(2):
        write_comparison([tmp_path])
        contents.append([(tmp_path / name).read_bytes() for name in names])
    assert contents[0] == contents[1]
    assert not list(tmp_path.glob(".*"))


def test_lines_are_told_apart_and_baselines_always_drawn(tmp_path: Path):
    rates = {f"ppo/{place}": {RATE: place} for place in range(14)}
    write_sweep(tmp_path, dict.fromkeys([*rates, "random"], 0.5), seeds=2, n=12, settings=rates)
    comparison = compare(*load_runs([tmp_path]))
    groups = drawn(comparison)
    assert len(groups) == MOST_CURVES
    assert "random" in {group.label for group in groups}
    assert len({line(group) for group in groups}) == MOST_CURVES
    assert "3 of 15 groups have no curve" in _caption(comparison, "regret", "architectures", len(groups))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.2))
def test_names_keep_apart_in_order_and_inside_where_they_fit(wanted: list[float], step: float):
    places = spread(wanted, step)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(np.array(places)[order]) >= step - 1e-9).all()
    if (len(wanted) - 1) * step <= 1:
        assert min(places) >= -1e-9
        assert max(places) <= 1 + 1e-9


def test_names_move_only_where_they_must():
    assert spread([0.9, 0.1, 0.5], 0.1) == pytest.approx([0.9, 0.1, 0.5])
    assert spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert spread([0.0, 0.02, 0.9], 0.1) == pytest.approx([0.0, 0.1, 0.9])


def test_long_names_keep_what_tells_them_apart():
    assert shortened("ppo") == "ppo"
    short = {shortened(f"maskable_ppo learning_rate={rate}") for rate in (0.001, 0.003)}
    assert len(short) == 2
    assert max(map(len, short)) <= 24

"""The figures of a gradient search's weights, from a written table."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rlnas.report.run import weights
from rlnas.report.style import plain_style
from rlnas.runs.tables import WEIGHTS
from rlnas.runs.values import read_table

OPERATORS = ("zero", "sep_conv3x3", "sep_conv5x5", "identity")


def write(path: Path, choices: dict[str, tuple[str, ...]], rounds: int) -> SimpleNamespace:
    lines = [",".join(WEIGHTS)]
    for number in range(1, rounds + 1):
        for place, (choice, values) in enumerate(choices.items()):
            rng = np.random.default_rng((number, place))
            for value, weight in zip(values, rng.dirichlet(np.ones(len(values))), strict=True):
                lines.append(f"{number},{choice},{value},{weight:.6f}")
    path.write_text("\n".join(lines) + "\n")
    return SimpleNamespace(architecture_weights=read_table(path, WEIGHTS, WEIGHTS[:1]))


@pytest.fixture
def cells(tmp_path: Path) -> SimpleNamespace:
    edges = [(number, source) for number in (2, 3, 4, 5) for source in range(number)]
    names = [f"{kind}{number}/from{source}" for kind in ("normal", "reduce") for number, source in edges]
    return write(tmp_path / "weights.csv", dict.fromkeys(names, OPERATORS), 4)


@pytest.fixture
def chain(tmp_path: Path) -> SimpleNamespace:
    names = {f"layer{layer}/operator": ("conv3x3", "max_pool3x3") for layer in range(1, 7)}
    skips = {f"layer{to}/skip{source}": ("absent", "present") for to in range(3, 7) for source in range(1, to - 1)}
    return write(tmp_path / "weights.csv", names | skips, 30)


def test_the_table_is_read_as_written(cells):
    first = weights.choices(cells)[0]
    assert (first.kind, first.number, first.end, first.source) == ("normal", 2, "from", "0")
    assert first.values == OPERATORS
    assert first.rounds.tolist() == [1, 2, 3, 4]
    expected = np.random.default_rng((3, 0)).dirichlet(np.ones(4))
    np.testing.assert_allclose(first.weights[2], expected, atol=1e-6)


def test_a_panel_of_a_cell_stands_at_its_nodes(cells):
    normal, reduce = weights.parts(cells)
    assert (normal.title, reduce.title) == ("Normal cell", "Reduction cell")
    assert set(normal.panels) == {(row, column) for row in range(4) for column in range(row + 2)}
    assert normal.left_out == 0
    with plain_style("test"):
        figure = weights.panels(cells, 1)
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert len(shown) == 14
    assert len({ax.get_ylim() for ax in shown}) == 1
    lines = shown[0].get_lines()[1:]  # after the one of equal weights
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(OPERATORS)
    assert shown[0].get_title() == "0 \N{RIGHTWARDS ARROW} 2"


def test_a_chain_has_panels_of_layers_and_a_figure_of_skips(chain):
    (part,) = weights.parts(chain)
    assert list(part.panels) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    assert len(weights.skips_of(chain)) == 10
    with plain_style("test"):
        figure = weights.skips(chain)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels[0] == "1"
    assert labels[-1] == "30"
    assert len(labels) == weights.MOST_SHOWN


def test_one_round_is_drawn(tmp_path):
    run = write(tmp_path / "one.csv", {"layer1/operator": ("conv3x3", "identity")}, 1)
    with plain_style("test"):
        figure = weights.panels(run, 0)
    assert figure.axes[0].get_lines()[1].get_marker() == "."


def test_what_has_no_room_is_counted(tmp_path):
    run = write(tmp_path / "many.csv", {f"layer{layer}/operator": ("conv3x3", "identity") for layer in range(1, 41)}, 2)
    (part,) = weights.parts(run)
    assert (len(part.panels), part.left_out) == (32, 8)


def test_other_runs_have_none(tmp_path):
    run = SimpleNamespace(architecture_weights=read_table(tmp_path / "none.csv", WEIGHTS, WEIGHTS[:1]))
    assert weights.parts(run) == []
    assert weights.skips_of(run) == []

"""Depth transfer: the final network repeats each searched layer; what does not fit is refused before anything runs."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rlnas
from rlnas.config.build import build_config
from rlnas.errors import RlnasError
from rlnas.report import load_run
from rlnas.search.given import final_space, networks_of
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace, Space, make_space
from rlnas.spaces.networks import Networks
from tests.command import TINY, result

OPERATORS = ("conv3x3", "max_pool3x3", "identity")


def deeper(text: str, times: int) -> str:
    layers = len(text.split())
    space, final = (NasrlSpace(count, OPERATORS) for count in (layers, times * layers))
    return final.text(space.transferred(space.parse(text), final))


@pytest.mark.parametrize(
    ("text", "times", "expected"),
    [
        ("conv3x3", 3, "conv3x3 conv3x3 conv3x3"),
        (
            "conv3x3 max_pool3x3 identity+1",
            2,
            "conv3x3 conv3x3 max_pool3x3 max_pool3x3 identity identity+2",
        ),
        (
            "conv3x3 max_pool3x3 identity+1 conv3x3+1+2",
            2,
            "conv3x3 conv3x3 max_pool3x3 max_pool3x3 identity identity+2 conv3x3 conv3x3+2+4",
        ),
        (
            "conv3x3 max_pool3x3 identity+1",
            3,
            "conv3x3 conv3x3 conv3x3 max_pool3x3 max_pool3x3 max_pool3x3 identity identity identity+3",
        ),
        ("conv3x3 max_pool3x3 identity+1", 1, "conv3x3 max_pool3x3 identity+1"),
    ],
)
def test_which_layers_and_skips_result(text: str, times: int, expected: str) -> None:
    assert deeper(text, times) == expected


def test_factored_operators_are_repeated_too() -> None:
    space, final = (NasrlFactoredSpace(layers, (1, 3), (3,), (4, 8)) for layers in (3, 6))
    text = final.text(space.transferred(space.parse("1x3x4 3x3x8 3x3x4+1"), final))
    assert text == "1x3x4 1x3x4 3x3x8 3x3x8 3x3x4 3x3x4+2"


@settings(max_examples=30)
@given(st.data(), st.integers(1, 5), st.integers(1, 4))
def test_it_is_one_to_one_and_skips_are_as_many(data: st.DataObject, layers: int, times: int) -> None:
    space, final = (NasrlSpace(count, OPERATORS) for count in (layers, times * layers))
    codes = data.draw(st.lists(st.integers(0, space.size - 1), min_size=1, max_size=2, unique=True))
    found = [space.transferred(space.unrank(code), final) for code in codes]
    assert len(set(found)) == len(codes)
    for code, architecture in zip(codes, found, strict=True):
        counts = [
            sum(len(skips) for _, skips in one.split(a))
            for one, a in ((space, space.unrank(code)), (final, architecture))
        ]
        assert counts[0] == counts[1]


def final_of(name: str, options: dict[str, object], changes: dict[str, object]) -> tuple[Space, Space]:
    config = build_config({"space": {"name": name, **options}, "retrain": {"space": changes}})
    space = make_space(config.space)
    return space, final_space(config, space)


def test_the_final_space_takes_more_layers_and_more_filters() -> None:
    space, final = final_of("nasrl", {"layers": 3, "sharing": "kernel"}, {"layers": 6, "filters": 8, "widen": 2})
    text = "conv3x3 max_pool3x3 conv5x5+1"
    assert final.text(space.transferred(space.parse(text), final)) == (
        "conv3x3 conv3x3 max_pool3x3 max_pool3x3 conv5x5 conv5x5+2"
    )
    config = build_config({"retrain": {"space": {"layers": 6}}})
    sizes = {"image_channels": 1, "image_size": 8, "classes": 3}
    networks = networks_of(config, final, searched=space, **sizes)
    plain = rlnas.make_space("nasrl", layers=6, filters=8, widen=2)
    expected = plain.graph(plain.parse("conv3x3 conv3x3 max_pool3x3 max_pool3x3 conv5x5 conv5x5+2"), **sizes)
    assert networks.graph(space.parse(text)) == networks.standalone(space.parse(text)) == expected
    searching = networks_of(config, space, searched=space, **sizes)
    assert len(searching.graph(space.parse(text)).nodes) < len(expected.nodes) + 20
    assert searching.searched is None
    assert Networks(space, 1, 8, 3).own(space.parse(text)) == space.parse(text)


@pytest.mark.parametrize(
    ("name", "options", "changes", "message"),
    [
        (
            "nasrl",
            {"layers": 6},
            {"layers": 8},
            r"layers=8 is no multiple of the 6 layers of the search.*take 12 or 18",
        ),
        ("nasrl", {"layers": 6}, {"layers": 3}, r"layers=3 is no multiple of the 6 layers of the search"),
        ("nasrl", {"layers": 3}, {"layers": 0}, r"space.layers is 0, expected a number at least 1"),
        ("nasrl", {"layers": 3}, {"layer": 6}, r"unknown key space.layer; did you mean layers\?"),
        ("nasrl", {"layers": 3}, {"cells": 6}, r"retrain.space={'cells': 6} does not go with space=nasrl: unknown key"),
        ("nasrl", {"layers": 3}, {"layers": 6, "operators": ["conv3x3"]}, r"it changes what there is to choose"),
        (
            "nasrl",
            {"layers": 3, "operators": ["conv3x3", "conv5x5"]},
            {"operators": ["conv3x3", "identity"]},
            r"does not go with the search: it changes what there is to choose: unknown operator 'conv5x5'",
        ),
        (
            "nasrl",
            {"layers": 3, "operators": ["conv3x3", "conv5x5"]},
            {"layers": 6, "operators": ["conv3x3", "identity"]},
            r"does not go with the search: it changes what there is to choose: unknown operator 'conv5x5'",
        ),
        (
            "nasrl_factored",
            {"layers": 3},
            {"filters": [24, 36, 48, 60]},
            r"it changes what there is to choose: .* 64 is",
        ),
        (
            "nasrl_factored",
            {"layers": 3, "strides_width": [1, 2]},
            {"layers": 6},
            r"layers=6 repeats each layer, and with it the strides that the search may choose",
        ),
        ("nasrl", {"layers": 4, "grow": {"start": 2, "every": 10}}, {"layers": 8}, r"changes the depths through which"),
        (
            "nasrl_factored",
            {"layers": 3},
            {"heights": [2]},
            r"retrain.space={'heights': \[2\]} does not go with the search: space.heights and space.widths must be odd",
        ),
        ("nasrl", {"layers": 4}, {"grow": {"start": 2}}, r"it changes what there is to choose"),
    ],
)
def test_what_does_not_fit_is_refused(
    name: str, options: dict[str, object], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(RlnasError, match=message):
        final_of(name, options, changes)


@pytest.mark.parametrize("changes", [{"filters": 8}, {"merge": "concat", "stem_stride": 2}])
def test_a_space_that_grows_takes_what_changes_no_choice(changes: dict[str, object]) -> None:
    space, final = final_of("nasrl", {"layers": 4, "grow": {"start": 2, "every": 10}}, changes)
    architecture = space.parse("conv3x3 conv3x3")
    assert final.text(space.transferred(architecture, final)) == "conv3x3 conv3x3"


def test_operators_in_another_order_are_the_same_ones() -> None:
    """A text says which; the numbers of the choices do not."""
    space, final = final_of(
        "nasrl", {"layers": 2, "operators": ["conv3x3", "conv5x5"]}, {"operators": ["conv5x5", "conv3x3"]}
    )
    assert final.text(space.transferred(space.parse("conv3x3 conv5x5"), final)) == "conv3x3 conv5x5"


def test_nothing_is_trained_before_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RlnasError, match="layers=5 is no multiple of the 3 layers"):
        rlnas.run([*TINY, "+retrain.space.layers=5", f"hydra.run.dir={tmp_path / 'run'}"])
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_a_run_with_a_deeper_final_network(tmp_path: Path) -> None:
    arguments = [*TINY, "budget.rounds=1", "+retrain.space.layers=6", "+retrain.space.filters=6"]
    folder = rlnas.run([*arguments, "report=true", f"hydra.run.dir={tmp_path / 'run'}"])
    best, run = result(folder)["best"], load_run(folder)
    assert len(best["architecture"].split()) == 3
    assert best["final_architecture"] == deeper_of(best["architecture"])
    assert best["final_architecture"] in (folder / "report.html").read_text(encoding="utf-8")
    child = rlnas.load_child(folder)
    assert run.graph == child.graph
    assert {node.layer for node in child.graph.nodes} == set(range(7))
    assert sum(p.numel() for p in child.parameters()) == best["params"]
    again = rlnas.run(
        [*arguments, f"architecture={folder}/best/architecture.json", f"hydra.run.dir={tmp_path / 'again'}"]
    )
    for key in ("architecture", "final_architecture", "test_accuracy"):
        assert result(again)["best"][key] == best[key]


def deeper_of(text: str) -> str:
    space, final = rlnas.make_space("nasrl", layers=3), rlnas.make_space("nasrl", layers=6)
    return final.text(space.transferred(space.parse(text), final))

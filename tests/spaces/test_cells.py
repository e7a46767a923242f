"""Cell spaces: how many cells there are, their texts, what they are told to be, and their drawings."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlnas
from rlnas.errors import RlnasError
from rlnas.networks.graph import cost
from rlnas.spaces import CellSpace, DartsSpace, NasnetSpace
from rlnas.spaces.cell_network import SUMMARISATIONS, loose
from rlnas.spaces.cells import PUBLISHED

OPERATORS = ("identity", "sep_conv3x3", "max_pool3x3", "conv1x7_7x1", "conv1x1", "dil_conv5x5")
PLACE = Path(__file__).parent / "published"


def published(name: str) -> str:
    return (PLACE / f"{name}.txt").read_text(encoding="utf-8").strip()


def formula(operators: int, summarisations: int, nodes: int, extra: int = 0) -> int:
    """Architectures of one cell; extra: 1 if a node may read one predecessor twice."""
    pairs = math.prod(math.comb(k + extra, 2) for k in range(2, nodes + 2))
    return (operators**2 * summarisations) ** nodes * pairs


def cells_by_brute_force(operators: int, summarisations: int, nodes: int, pairs: str) -> set[tuple]:
    """Every cell, from the definition: sets of two nodes with smaller numbers, functions, summarisations."""
    choices = []
    for number in range(2, nodes + 2):
        ends = itertools.product(range(number), repeat=2)
        kept = [(a, b) for a, b in ends if a < b or (pairs == "any" and a == b)]
        parts = (kept, range(operators), range(operators), range(summarisations))
        choices.append(list(itertools.product(*parts)))
    return set(itertools.product(*choices))


@st.composite
def spaces(draw: st.DrawFn) -> CellSpace:
    operators = draw(st.permutations(OPERATORS))[: draw(st.integers(1, len(OPERATORS)))]
    if draw(st.integers(0, 3)) == 0:
        return DartsSpace(operators, nodes=draw(st.integers(1, 6)))
    return NasnetSpace(
        operators,
        draw(st.permutations(SUMMARISATIONS))[: draw(st.integers(1, 3))],
        nodes=draw(st.integers(1, 6)),
        output=draw(st.sampled_from(["all", "loose"])),
        pairs=draw(st.sampled_from(["distinct", "any"])),
        tied=draw(st.booleans()),
    )


@st.composite
def chosen(draw: st.DrawFn) -> tuple:
    space = draw(spaces())
    return space, tuple(draw(st.integers(0, choices - 1)) for choices in space.choices)


@pytest.mark.parametrize("nodes", range(1, 7))
@pytest.mark.parametrize("operators", [1, 4, 6])
@pytest.mark.parametrize("summarisations", [1, 3])
def test_the_size_is_the_surveys(nodes, operators, summarisations):
    for pairs, tied in itertools.product(("distinct", "any"), (False, True)):
        names = (OPERATORS[:operators], SUMMARISATIONS[:summarisations])
        space = NasnetSpace(*names, nodes=nodes, pairs=pairs, tied=tied)
        one = formula(operators, summarisations, nodes, extra=int(pairs == "any"))
        assert space.size == (one if tied else one**2)


@pytest.mark.parametrize("pairs", ["distinct", "any"])
@pytest.mark.parametrize(("operators", "summarisations", "nodes"), [(2, 1, 1), (2, 3, 1), (2, 1, 2), (1, 2, 3)])
def test_small_spaces_are_those_of_brute_force(pairs, operators, summarisations, nodes):
    names = (OPERATORS[:operators], SUMMARISATIONS[:summarisations])
    space = NasnetSpace(*names, nodes=nodes, pairs=pairs, tied=True)
    every = cells_by_brute_force(operators, summarisations, nodes, pairs)
    found = [space.unrank(code) for code in range(space.size)]
    assert [space.rank(architecture) for architecture in found] == list(range(space.size))

    def numbers(node) -> tuple:
        first, second = map(names[0].index, node.operators)
        return (node.sources, first, second, names[1].index(node.summarisation))

    assert {tuple(map(numbers, space.cells_of(one)[0])) for one in found} == every
    assert len({space.text(one) for one in found}) == space.size == len(every)


def test_the_darts_cell_has_the_published_number():
    assert DartsSpace().size == 1_037_664_180**2
    assert formula(7, 1, 4) == 1_037_664_180


def test_presets_have_the_sizes_of_their_papers():
    assert rlnas.make_space("nasnet").size == formula(4, 3, 4) ** 2
    assert rlnas.make_space("pnas").size == formula(8, 1, 5, extra=1)
    assert len(rlnas.make_space("nasnet_a").operators) == 13
    assert rlnas.make_space("amoebanet").size == formula(8, 1, 5, extra=1) ** 2


@given(chosen())
def test_forms_round_trip(drawn):
    space, architecture = drawn
    assert space.unrank(space.rank(architecture)) == architecture
    assert space.architecture(space.actions(architecture)) == architecture
    text = space.text(architecture)
    assert space.parse(text) == architecture
    assert "," not in text
    assert "\n" not in text
    assert text == text.strip()
    assert space.from_json(space.to_json(architecture)) == architecture


@given(chosen(), st.integers(0, 2**32))
def test_an_edit_changes_one_decision(drawn, seed):
    space, architecture = drawn
    if space.size == 1:
        return
    mutated = space.mutate(architecture, np.random.default_rng(seed))
    assert sum(a != b for a, b in zip(architecture, mutated, strict=True)) == 1
    neighbours = list(itertools.islice(space.neighbours(architecture), 200))
    assert len(set(neighbours)) == len(neighbours)
    assert all(sum(a != b for a, b in zip(architecture, one, strict=True)) == 1 for one in neighbours)


@given(chosen())
def test_features_and_diagrams_are_of_this_architecture(drawn):
    space, architecture = drawn
    for name, value in space.features(architecture).items():
        assert value in space.feature_values(name.partition("/")[2])
    found = space.diagrams(architecture)
    assert len(found) == (1 if space.tied else 2)
    for diagram, cell in zip(found, space.cells_of(architecture), strict=True):
        inner = [arrow for arrow in diagram.arrows if arrow.target != "output"]
        wanted = [(str(s), o) for node in cell for s, o in zip(node.sources, node.operators, strict=True)]
        assert [(arrow.source, arrow.operator) for arrow in inner] == wanted
        outer = {arrow.source for arrow in diagram.arrows if arrow.target == "output"}
        numbers = range(2, space.nodes + 2) if space.output == "all" else loose(cell)
        assert outer == set(map(str, numbers))


def test_a_small_cell_by_hand():
    space = NasnetSpace(("identity", "conv3x3"), ("sum", "product"), nodes=2)
    text = "normal: 0.identity+1.conv3x3=sum 1.conv3x3+2.identity=product | "
    text += "reduce: 0.conv3x3+1.conv3x3=product 0.identity+1.identity=sum"
    # pairs in order: 0+1, 0+2, 1+2
    assert space.parse(text) == (0, 0, 1, 0, 2, 1, 0, 1, 0, 1, 1, 1, 0, 0, 0, 0)
    assert space.text(space.parse(text)) == text
    assert space.features(space.parse(text)) == {
        "normal2a/operator": "identity",
        "normal2b/operator": "conv3x3",
        "normal2/summarisation": "sum",
        "normal3/inputs": "1+2",
        "normal3a/operator": "conv3x3",
        "normal3b/operator": "identity",
        "normal3/summarisation": "product",
        "reduce2a/operator": "conv3x3",
        "reduce2b/operator": "conv3x3",
        "reduce2/summarisation": "product",
        "reduce3/inputs": "0+1",
        "reduce3a/operator": "identity",
        "reduce3b/operator": "identity",
        "reduce3/summarisation": "sum",
    }


def test_predecessors_in_any_order_are_the_same_architecture():
    space = DartsSpace(("identity", "max_pool3x3"), nodes=1)
    one, other = (
        f"normal: {word} | reduce: {word}" for word in ("0.identity+1.max_pool3x3", "1.max_pool3x3+0.identity")
    )
    assert space.parse(one) == space.parse(other)
    assert space.text(space.parse(other)) == one
    # the same predecessor twice: the order of the operators counts
    twice = NasnetSpace(("identity", "max_pool3x3"), ("sum",), nodes=1, pairs="any", tied=True)
    texts = ("cell: 0.identity+0.max_pool3x3", "cell: 0.max_pool3x3+0.identity")
    assert [twice.text(twice.parse(text)) for text in texts] == list(texts)


SMALL = NasnetSpace(("identity", "conv3x3"), ("sum", "product"), nodes=2)
WORD = "0.identity+1.conv3x3=sum"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected 'normal: NODE NODE ... \| reduce: NODE NODE ...', got ''"),
        (f"cell: {WORD} {WORD}", r"expected 'normal: NODE NODE ... \| reduce: NODE NODE ...'"),
        (f"normal: {WORD} {WORD} | reduce {WORD} {WORD}", r"expected 'normal: NODE"),
        (f"normal: {WORD} | reduce: {WORD} {WORD}", "normal: expected 2 hidden nodes separated by spaces, got 1"),
        (
            f"normal: {WORD} {WORD} | reduce: {WORD} x",
            "reduce, node 3, 'x': expected a word like 0.identity.1.identity=sum",
        ),
        (
            f"normal: {WORD} 0.identity+3.identity=sum | reduce: {WORD} {WORD}",
            "normal, node 3, .* must be 0 to 2, got 3",
        ),
        (
            f"normal: 0.conv5x5+1.identity=sum {WORD} | reduce: {WORD} {WORD}",
            "normal, node 2, .*unknown operator 'conv5x5'",
        ),
        (
            f"normal: {WORD} 1.identity+1.identity=sum | reduce: {WORD} {WORD}",
            "node 3, .*must differ, unless space.pairs=any",
        ),
        (
            f"normal: {WORD} 0.identity+1.identity | reduce: {WORD} {WORD}",
            "node 3, .*expected =SUMMARISATION .*sum, product",
        ),
        (
            f"normal: {WORD} 0.identity+1.identity=mean | reduce: {WORD} {WORD}",
            "node 3, .*unknown summarisation 'mean'",
        ),
    ],
)
def test_a_wrong_text_says_which_node(text, message):
    with pytest.raises(RlnasError, match=message):
        SMALL.parse(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operators": ()}, "space.operators is empty, expected at least one; choose from identity, conv1x1"),
        (
            {"summarisations": ()},
            "space.summarisations is empty, expected at least one; choose from sum, concat, product",
        ),
        ({"operators": ("conv1x1", "conv1x1")}, "space.operators names conv1x1 more than once"),
        ({"summarisations": ("sum", "sum")}, "space.summarisations names sum more than once"),
        ({"summarisations": ("mean",)}, "unknown summarisation 'mean'"),
        ({"operators": ("none",)}, "unknown operator 'none'; expected one like identity, conv1x1"),
        ({"operators": ("relu_conv3x3",)}, "unknown operator 'relu_conv3x3'"),
        ({"operators": ("stem",)}, "unknown operator 'stem'"),
        ({"operators": ("conv4x4",)}, "kernel sides must be odd and at most 11"),
        ({"operators": ("conv1x7_8x1",)}, "kernel sides must be odd and at most 11"),
        ({"nodes": 0}, "space.nodes is 0, expected at least 1"),
        ({"cells": 0}, "space.cells is 0, expected at least 3: one before the first of space.reductions=2 reduction"),
        ({"cells": 2}, "space.cells is 2, expected at least 3"),
        ({"cells": 4, "reductions": 4}, "space.cells is 4, expected at least 5"),
        ({"output": "none"}, "space.output is 'none', expected all or loose"),
        ({"pairs": "all"}, "space.pairs is 'all', expected distinct or any"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(RlnasError, match=message):
        NasnetSpace(**options)


def test_images_too_small_for_the_reductions_are_refused():
    space = DartsSpace(stem_stride=4)
    with pytest.raises(
        RlnasError, match=r"images of 8 pixels are one pixel wide before reduction cell 2 of 2 with .*=4"
    ):
        space.graph(space.unrank(0), image_channels=1, image_size=8, classes=3)
    assert space.graph(space.unrank(0), image_channels=1, image_size=9, classes=3)


# -- published cells ---------------------------------------------------------------------------------

PARAMETERS = {  # preset, filters at the published width with 20 cells, parameters, those of the paper in millions
    "darts_v2": ("darts", 36, 3_349_342, 3.3),
    "nasnet_a": ("nasnet_a", 32, 3_061_738, 3.3),
    "amoebanet_a": ("amoebanet", 36, 3_145_078, 3.2),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_cells_have_the_published_size(name):
    """DARTS_V2 exactly as its published code; docs/spaces/nasnet.md explains the others line by line."""
    preset, filters, parameters, of_paper = PARAMETERS[name]
    space = rlnas.make_space(preset, cells=20, filters=filters)
    architecture = space.parse(published(name))
    found = cost(space.graph(architecture, image_channels=3, image_size=32, classes=10)).params
    print(f"{name}: {found:,} parameters, paper {of_paper} million")
    assert found == parameters
    assert abs(found / 1e6 - of_paper) < 0.25
    assert space.references()[name] == architecture


def test_nasnet_a_with_its_inputs_in_the_output_would_have_the_published_size():
    """The published normal cell also outputs its older input: so many weights more in what reads it."""
    space = rlnas.make_space("nasnet_a", cells=20, filters=32)
    found = cost(space.graph(space.parse(published("nasnet_a")), image_channels=3, image_size=32, classes=10)).params
    channels = [32 * 2 ** space.plan.level(place) for place in range(20)]
    normal = [place for place in range(20) if place not in space.plan.reduction_cells]
    more = sum(
        channels[place] * channels[reader] for place in normal for reader in (place + 1, place + 2) if reader < 20
    )
    assert round((found + more + 10 * channels[-1]) / 1e6, 1) == 3.3


def test_the_outputs_of_published_cells_are_the_published_ones():
    space = rlnas.make_space("nasnet_a")
    assert [loose(cell) for cell in space.cells_of(space.parse(published("nasnet_a")))] == [(2, 3, 4, 5, 6), (4, 5, 6)]
    space = rlnas.make_space("amoebanet")
    assert [loose(cell) for cell in space.cells_of(space.parse(published("amoebanet_a")))] == [(4, 5, 6), (3, 4, 6)]


def test_references_are_members_and_differ():
    for name, wanted in {
        "darts": ["darts_v2", "separable", "residual"],
        "nasnet_a": ["nasnet_a", "amoebanet_a", "separable", "residual"],
        "amoebanet": ["nasnet_a", "amoebanet_a", "separable", "residual"],
        "nasnet": ["separable", "residual"],
        "pnas": ["separable", "residual"],
    }.items():
        space = rlnas.make_space(name)
        found = space.references()
        assert list(found) == wanted
        assert all(space.parse(space.text(one)) == one for one in found.values())
    assert NasnetSpace(("max_pool3x3",)).references() == {}
    only = NasnetSpace(("conv5x5", "conv3x3"), ("product",), nodes=1).references()
    assert list(only) == ["separable"]


def test_the_published_texts_of_the_package_are_those_of_the_tests():
    assert set(PUBLISHED) == set(PARAMETERS) == {path.stem for path in PLACE.glob("*.txt")} - {"enas_macro"}

"""Cells that grow node by node: their architectures, their decision process at each size, and what sizes share."""

import itertools

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import rlnas
from rlnas.children.weights import Weights
from rlnas.config.build import build_config
from rlnas.errors import RlnasError
from rlnas.spaces import DartsSpace, GrowingSpace
from rlnas.spaces.process import is_legal
from tests.spaces.test_counting import walks

PAIR = ["sep_conv3x3", "identity"]
KINDS = {
    "darts": ("darts", {"operators": PAIR}),
    "tied": ("nasnet", {"operators": PAIR, "summarisations": ["sum"], "pairs": "any", "output": "loose", "tied": True}),
    "summarisations": ("nasnet", {"operators": ["identity"], "summarisations": ["sum", "concat"]}),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def grown(kind: str = "darts", nodes: int = 2, start: int = 1, every: int = 10, **more) -> GrowingSpace:
    name, options = KINDS[kind]
    space = rlnas.make_space(name, nodes=nodes, grow={"start": start, "every": every}, **options, **more)
    assert isinstance(space, GrowingSpace)
    return space


def test_all_cells_have_the_size_of_the_schedule_by_hand():
    space = grown(nodes=3)
    sizes = []
    for scored in (0, 9, 10, 20, 1000):
        space.advance(scored)
        sizes.append([len(cell.split()) - 1 for cell in space.text(space.sample(np.random.default_rng(0))).split("|")])
    assert sizes == [[1, 1], [1, 1], [2, 2], [3, 3], [3, 3]]
    assert space.stage == "3 of 3 hidden nodes"
    assert type(rlnas.make_space("darts")) is DartsSpace


@kinds
def test_at_each_size_the_masks_build_exactly_the_architectures_of_the_plain_space(kind):
    space = grown(kind, 2)
    name, options = KINDS[kind]
    for nodes in (1, 2):
        space.advance(10 * (nodes - 1))
        plain = rlnas.make_space(name, nodes=nodes, **options)
        if plain.size < 3000:
            built = [space.text(space.architecture(walk)) for walk in walks(space)]
            assert sorted(built) == sorted(plain.text(plain.unrank(code)) for code in range(plain.size))
    assert space.size == sum(rlnas.make_space(name, nodes=nodes, **options).size for nodes in (1, 2))


@settings(max_examples=40)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2**32), st.integers(0, 30), st.integers(0, 30))
def test_codes_texts_actions_and_edits(kind, seed, before, scored):
    space, rng = grown(kind, 3), np.random.default_rng(seed)
    space.advance(min(before, scored))
    parents = [space.sample(rng) for _ in range(2)]
    space.advance(max(before, scored))
    children = [space.mutate(parents[0], rng), space.crossover(*parents, rng), space.sample(rng)]
    assert all(is_legal(space, space.actions(child)) for child in children)
    for one in (*parents, *children):
        assert space.unrank(space.code(one)) == space.parse(space.text(one)) == one
        assert space.architecture(space.actions(one)) == one
    assert all(space.features(child)["nodes"] == space.depth for child in children)
    if space.member(parents[0]).depth < space.depth:  # the mutation is the growth
        for old, new in zip(space.text(parents[0]).split(" | "), space.text(children[0]).split(" | "), strict=True):
            assert new.startswith(old + " ")
        assert not is_legal(space, space.actions(parents[0]))


@kinds
def test_expansions_are_all_larger_architectures_with_the_same_nodes(kind):
    space, rng = grown(kind, 2), np.random.default_rng(0)
    one = space.sample(rng)
    assert space.expansions(one, rng, 1000) == []
    space.advance(10)
    found = space.expansions(one, rng, 10**5)
    expected = {"darts": (2**2 * 3) ** 2, "tied": 2**2 * 6, "summarisations": (3 * 2) ** 2}[kind]
    assert len(found) == len(set(found)) == expected
    for larger in found:
        assert is_legal(space, space.actions(larger))
        pairs = zip(space.text(one).split(" | "), space.text(larger).split(" | "), strict=True)
        assert all(new.startswith(old + " ") for old, new in pairs)
    some = space.expansions(one, rng, 5)
    assert len(some) <= 5
    assert set(some) < set(found)


def test_expansions_of_chains_and_of_spaces_that_do_not_grow():
    rng = np.random.default_rng(0)
    chain = rlnas.make_space(
        "nasrl", layers=4, operators=["conv3x3", "identity"], grow={"start": 2, "step": 1, "every": 5}
    )
    one = chain.sample(rng)
    chain.advance(5)
    assert len(chain.expansions(one, rng, 100)) == 2 * 2  # an operator and a skip
    chain.advance(10)
    assert len(chain.expansions(one, rng, 100)) == 2 * 2 * 2 * 4
    plain = rlnas.make_space("nasrl", layers=4)
    assert plain.expansions(plain.sample(rng), rng, 100) == []


@kinds
def test_the_network_is_that_of_the_plain_space_of_its_size(kind):
    space, rng = grown(kind, 3), np.random.default_rng(0)
    sizes = {"image_channels": 1, "image_size": 8, "classes": 3}
    for nodes in (1, 2, 3):
        space.advance(10 * (nodes - 1))
        one = space.sample(rng)
        plain = rlnas.make_space(KINDS[kind][0], nodes=nodes, **KINDS[kind][1])
        theirs = plain.graph(plain.parse(space.text(one)), **sizes)
        ours = space.graph(one, **sizes)
        for mine, other in zip(ours.nodes, theirs.nodes, strict=True):
            assert (mine.operator, mine.inputs, mine.channels, mine.stride) == (
                other.operator,
                other.inputs,
                other.channels,
                other.stride,
            )
            assert (mine.key or "").rpartition("/")[0] == (other.key or "")


@kinds
def test_no_key_means_two_things(kind):
    space, rng = grown(kind, 3, filters=2), np.random.default_rng(0)
    weights = Weights(0, track_statistics=False, device=torch.device("cpu"), channels_last=False)
    for scored in (0, 10, 20):
        space.advance(scored)
        for _ in range(20):
            one = space.sample(rng)
            sizes = {"image_channels": 1, "image_size": 16, "classes": 3}
            weights.ensure(space.graph(one, **sizes))
            auxiliary = space.auxiliary(one, **sizes)
            if auxiliary is not None:
                weights.ensure(auxiliary)


@kinds
@pytest.mark.parametrize("unit", ["layer", "decision"])
@pytest.mark.filterwarnings("ignore")
def test_the_environment_checks(kind, unit):
    space = grown(kind, 2)
    env = rlnas.make_env(space, lambda architecture: len(architecture) / 20, step_unit=unit)
    check_env(env, skip_render_check=True)
    starts = np.cumsum((0, *space.nvec[:-1]))
    for scored, nodes in ((0, 1), (10, 2)):
        space.advance(scored)
        env.reset(seed=0)
        done, info = False, {}
        while not done:
            masks = env.action_masks()
            parts = np.split(masks, starts[1:])
            last = (
                [int(np.flatnonzero(part)[-1]) for part in parts] if unit == "layer" else int(np.flatnonzero(masks)[-1])
            )
            _, _, done, _, info = env.step(last)
        assert space.member(space.parse(info["architecture"])).depth == nodes
        assert info["illegal"] == 0


def test_wrong_texts_actions_and_options_are_named():
    space = grown(nodes=3)
    with pytest.raises(RlnasError, match="expected 1 or 2 or 3 hidden nodes separated by spaces, got 0"):
        space.parse("normal: | reduce: ")
    words = "0.identity+1.identity 0.identity+2.identity"
    with pytest.raises(RlnasError, match="reduce: expected 2 hidden nodes"):
        space.parse(f"normal: {words} | reduce: 0.identity+1.identity")
    actions = space.actions(space.sample(np.random.default_rng(0)))
    actions[1, 0] = 0  # a second node of the normal cell alone
    with pytest.raises(RlnasError, match=r"hidden nodes \[1, 2, 1\] are present, expected the first 1 or 2 or 3"):
        space.architecture(actions)
    for start in (3, 4):
        with pytest.raises(RlnasError, match=rf"space.grow.start is {start}, expected less than space.nodes=3"):
            grown(nodes=3, start=start)
    with pytest.raises(RlnasError, match=r"space.grow.every is 240, expected a multiple of controller.episodes=7"):
        build_config({"space": {"name": "darts", "grow": {"start": 1}}, "controller": {"episodes": 7}})


@pytest.mark.parametrize("name", ["darts", "nasnet"])
def test_growth_is_off_by_default(name):
    spaces = [rlnas.make_space(name), rlnas.make_space(name, grow={"start": 1})]
    assert [space.stage for space in spaces] == [None, "1 of 4 hidden nodes"]
    assert list(itertools.islice(spaces[1].members, 9)) == [1, 2, 3, 4]

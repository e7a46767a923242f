"""Chain spaces that grow: their architectures, their decision process at each depth, and what depths share."""

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
from rlnas.networks.graph import Graph
from rlnas.spaces import GrowingSpace, NasrlSpace, Space
from rlnas.spaces.process import is_legal
from tests.spaces.test_counting import formula, walks

PAIR = ["conv3x3", "max_pool3x3"]
FACTORED = {"heights": [1, 3], "widths": [3], "filters": [4, 8]}
KINDS = {
    "nasrl": ("nasrl", {"operators": PAIR}, 2),
    "one operator": ("nasrl", {"operators": ["conv3x3"]}, 1),
    "nasrl_factored": ("nasrl_factored", FACTORED, 4),
}


def grown(kind: str = "nasrl", layers: int = 5, start: int = 2, step: int = 2, every: int = 10, **more) -> GrowingSpace:
    name, options, _ = KINDS[kind]
    grow = {"start": start, "step": step, "every": every}
    space = rlnas.make_space(name, layers=layers, grow=grow, **options, **more)
    assert isinstance(space, GrowingSpace)
    return space


kinds = pytest.mark.parametrize("kind", KINDS)


def graph(space: Space, text: str) -> Graph:
    return space.graph(space.parse(text), image_channels=1, image_size=8, classes=3)


def test_the_depth_by_hand():
    space = grown(layers=5, start=2, step=2, every=10)
    depths = []
    for scored in (0, 9, 10, 19, 20, 29, 30, 1000):
        space.advance(scored)
        depths.append(space.depth)
    assert depths == [2, 2, 4, 4, 5, 5, 5, 5]
    assert space.stage == "5 of 5 layers"
    space.advance(3)  # a function of the number alone
    assert space.stage == "2 of 5 layers"


def test_zoph_and_le_s_schedule():
    space = rlnas.make_space("nasrl", layers=12, grow={"start": 6})
    space.advance(1599)
    assert space.depth == 6
    space.advance(1600)
    assert space.depth == 8
    space.advance(3 * 1600)
    assert space.depth == 12


def test_without_growth_it_is_the_plain_space():
    assert type(rlnas.make_space("nasrl")) is NasrlSpace
    assert rlnas.make_space("nasrl").stage is None
    plain = rlnas.make_space("nasrl", layers=5, operators=PAIR)
    before = [plain.legal([()] * step).tolist() for step in range(5)]
    plain.advance(10**6)
    assert [plain.legal([()] * step).tolist() for step in range(5)] == before


@kinds
def test_the_size_is_the_sum_over_the_depths(kind):
    operators = KINDS[kind][2]
    assert grown(kind, 5).size == sum(formula(operators, depth) for depth in (2, 4, 5))


@kinds
def test_codes_texts_and_actions_are_bijections(kind):
    space = grown(kind, 4, start=2, step=1)
    everything = [space.unrank(code) for code in range(space.size)]
    assert [space.code(one) for one in everything] == list(range(space.size))
    texts = [space.text(one) for one in everything]
    assert len(set(texts)) == space.size
    assert [space.parse(text) for text in texts] == everything
    for scored in (0, 1000):  # whatever the depth is
        space.advance(scored)
        assert [space.architecture(space.actions(one)) for one in everything] == everything
    for code in (-1, space.size):
        with pytest.raises(RlnasError, match="is outside space"):
            space.unrank(code)


@kinds
def test_at_each_depth_the_masks_build_exactly_the_architectures_of_the_plain_space(kind):
    name, options, _ = KINDS[kind]
    space = grown(kind, 3, start=1, step=1)
    for depth in (1, 2, 3):
        space.advance(10 * (depth - 1))
        plain = rlnas.make_space(name, layers=depth, **options)
        built = [space.text(space.architecture(walk)) for walk in walks(space)]
        assert sorted(built) == sorted(plain.text(plain.unrank(code)) for code in range(plain.size))
        assert len(set(built)) == len(built)


@kinds
def test_the_process_has_one_legal_value_beyond_the_depth(kind):
    space = grown(kind, 5)
    for step, component in itertools.product(range(5), range(len(space.nvec))):
        parts = np.split(space.legal([()] * step), np.cumsum(space.nvec)[:-1])
        legal = np.flatnonzero(parts[component]).tolist()
        if step >= 2:
            assert legal == ([space.nvec[0] - 1] if component == 0 else [0])
        elif component == 0:
            assert space.nvec[0] - 1 not in legal


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from(["nasrl", "nasrl_factored"]), st.integers(0, 40), st.integers(0, 40))
def test_samples_mutations_and_crossovers_have_the_current_depth(seed, kind, before, scored):
    space, rng = grown(kind, 6), np.random.default_rng(seed)
    space.advance(min(before, scored))
    parents = [space.sample(rng) for _ in range(2)]
    space.advance(max(before, scored))
    children = [space.mutate(parents[0], rng), space.crossover(*parents, rng), space.sample(rng)]
    assert {len(space.text(child).split()) for child in children} == {space.depth}
    assert all(is_legal(space, space.actions(child)) for child in children)
    if len(parents[0]) < len(children[0]):
        assert children[0][: len(parents[0])] == parents[0]  # the mutation is the growth
        assert not is_legal(space, space.actions(parents[0]))
    else:
        assert sum(a != b for a, b in zip(parents[0], children[0], strict=True)) == 1


@kinds
def test_added_layers_are_sampled_not_empty(kind):
    space, rng = grown(kind, 4), np.random.default_rng(0)
    parent = space.sample(rng)
    space.advance(10)
    children = {space.mutate(parent, rng) for _ in range(600)}
    expected = {1: 2**3, 2: 4 * 2**3, 4: 16 * 2**3}[KINDS[kind][2]]  # operators of two layers, three bits
    assert len(children) == expected


@kinds
def test_neighbours_have_the_same_depth_and_differ_once(kind):
    space = grown(kind, 5)
    for depth in (2, 4):
        one = space.members[depth].unrank(0)
        found = list(space.neighbours(one))
        assert len(set(found)) == len(found)
        assert all(sum(a != b for a, b in zip(one, other, strict=True)) == 1 for other in found)


def test_the_network_is_that_of_the_plain_space_of_its_depth():
    space = grown(layers=5, widen=2)
    text = "conv3x3 max_pool3x3 conv3x3+1 conv3x3+2"
    plain = rlnas.make_space("nasrl", layers=4, operators=PAIR, widen=2)
    ours, theirs = graph(space, text), graph(plain, text)

    def without_keys(found: Graph) -> list[tuple]:
        return [(n.operator, n.inputs, n.channels, n.size, n.stride, n.layer, n.own) for n in found.nodes]

    assert without_keys(ours) == without_keys(theirs)
    assert [node.key.split("/")[-1] for node in ours.nodes if node.operator == "head"] == ["64to3"]
    assert {node.key.rpartition("/")[0] for node in ours.nodes if node.key} == {n.key for n in theirs.nodes if n.key}


def test_two_depths_share_the_layers_of_the_same_number_and_channels():
    space = grown(layers=4, reductions=1, widen=1, filters=4)
    shallow, deep = (graph(space, text) for text in ("conv3x3 conv3x3", "conv3x3 conv3x3 conv3x3 conv3x3"))
    keys = [{node.key for node in found.nodes if node.key} for found in (shallow, deep)]
    shared = {"stem/1to4", "layer1/conv3x3/4to4", "layer2/conv3x3/4to4", "head/4to3"}
    assert keys[0] & keys[1] == shared
    wider = grown(layers=4, reductions=1, widen=2, filters=4)  # layer 2 comes after the reduction, then before it
    keys = [
        {node.key for node in graph(wider, text).nodes if node.key}
        for text in ("conv3x3 conv3x3", "conv3x3 conv3x3 conv3x3 conv3x3")
    ]
    assert keys[0] & keys[1] == {"stem/1to4", "layer1/conv3x3/4to4", "head/8to3"}


@pytest.mark.parametrize("options", [{"widen": 2}, {"sharing": "kernel"}, {"merge": "concat", "widen": 2}])
def test_no_key_means_two_things(options):
    space, rng = grown(layers=7, filters=2, **options), np.random.default_rng(0)
    weights = Weights(0, track_statistics=False, device=torch.device("cpu"), channels_last=False)
    for scored in (0, 10, 20, 30):
        space.advance(scored)
        for _ in range(20):
            weights.ensure(graph(space, space.text(space.sample(rng))))


def test_the_stand_alone_form():
    space = grown(layers=4, sharing="kernel")
    text = "conv3x3 max_pool3x3 conv3x3 conv3x3+1"
    assert graph(space.standalone, text) == graph(grown(layers=4), text) != graph(space, text)


def test_features_and_references():
    space = grown()
    assert space.features(space.parse("conv3x3 max_pool3x3"))["layers"] == 2.0
    assert space.features(space.parse("conv3x3 max_pool3x3 conv3x3 conv3x3+1"))["skip_rate"] == pytest.approx(1 / 3)
    assert space.feature_values("operator") == tuple(PAIR)
    space.advance(10)
    assert {len(space.text(one).split()) for one in space.references().values()} == {4}
    described = space.describe(space.parse("conv3x3 max_pool3x3"))
    assert described["code"] == "1"
    assert space.from_json(space.to_json(space.parse("conv3x3 max_pool3x3"))) == space.parse("conv3x3 max_pool3x3")


@kinds
@pytest.mark.parametrize("unit", ["layer", "decision"])
@pytest.mark.filterwarnings("ignore")
def test_the_environment_checks(kind, unit):
    space = grown(kind, 4)
    env = rlnas.make_env(space, lambda architecture: len(architecture) / 20, step_unit=unit)
    check_env(env, skip_render_check=True)
    for scored, depth in ((0, 2), (10, 4)):
        space.advance(scored)
        env.reset(seed=0)
        done, info = False, {}
        while not done:
            starts = np.cumsum((0, *space.nvec[:-1]))
            masks = env.action_masks()
            action = (
                [int(np.flatnonzero(part)[-1]) for part in np.split(masks, starts[1:])]
                if unit == "layer"
                else int(np.flatnonzero(masks)[-1])
            )
            _, _, done, _, info = env.step(action)
        assert len(info["architecture"].split()) == depth
        assert info["illegal"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv3x3 conv3x3 conv3x3", r"expected 2 or 4 or 5 layers separated by spaces, got 3"),
        ("", r"expected 2 or 4 or 5 layers separated by spaces, got 0"),
        ("conv3x3 conv9x9", r"unknown operator 'conv9x9'"),
    ],
)
def test_a_wrong_text_is_named(text, message):
    with pytest.raises(RlnasError, match=message):
        grown().parse(text)


def test_wrong_architectures_and_actions_are_named():
    space = grown()
    with pytest.raises(RlnasError, match=r"has 2 or 7 or 11 decisions, got 3; was it found"):
        space.text((0, 0, 0))
    actions = space.actions(space.parse("conv3x3 conv3x3"))
    actions[3, 0] = 0
    with pytest.raises(RlnasError, match=r"layers \[1, 2, 4\] are present, expected the first 2 or 4 or 5"):
        space.architecture(actions)
    with pytest.raises(RlnasError, match="complete after 5 steps"):
        space.legal([()] * 5)


@pytest.mark.parametrize("name", ["nasrl", "nasrl_factored"])
@pytest.mark.parametrize("start", [6, 7])
def test_a_space_that_would_not_grow_is_refused(name, start):
    with pytest.raises(RlnasError, match=rf"space.grow.start is {start}, expected less than space.layers=6"):
        rlnas.make_space(name, grow={"start": start})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controller": {"algorithm": "local_search"}}, r"space.grow.start=2: controller local_search goes on with"),
        *(
            ({"controller": {"algorithm": name}}, rf"space.grow.start=2: controller {name} goes on with")
            for name in ("genetic", "successive_halving")
        ),
        ({"controller": {"algorithm": "genetic"}}, r"space.grow.start=2: controller genetic goes on with"),
        ({"controller": {"episodes": 7}}, r"space.grow.every is 100, expected a multiple of controller.episodes=7"),
    ],
)
def test_what_does_not_go_with_growth_is_refused(changes, message):
    space = {"name": "nasrl", "grow": {"start": 2, "every": 100}}
    with pytest.raises(RlnasError, match=message):
        build_config({"space": space, **changes})
    build_config({"space": space})
    build_config({"space": {"name": "nasrl"}, **changes})

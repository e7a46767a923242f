"""The open space: every network is a sequence of legal edits of the start, and its text is its identity."""

import math
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from rlnas.config.build import build_space_config
from rlnas.config.schema import ObjectiveConfig
from rlnas.controllers.evolution import Evolution
from rlnas.envs import NASEnv
from rlnas.envs.scorer import Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator, Score
from rlnas.networks.graph import cost
from rlnas.objective import Objective
from rlnas.spaces import EvonetSpace
from rlnas.spaces.edits import Edit, Layer, OpenNetwork, applied, transformed

LIMITS = {"slots": 4, "max_layers": 3, "max_reductions": 1, "kernels": (1, 3), "channels": (4, 8), "filters": 4}
START = "1:conv1x1x8 2:conv1x1x4+1 3:conv3x3x8s2+0"
SPACES = {
    "trivial": EvonetSpace(8, **LIMITS),
    "bounded": EvonetSpace(8, max_params=500, max_flops=40_000, image_size=8, **LIMITS),
    "short": EvonetSpace(2, **LIMITS),
    "given": EvonetSpace(7, start=START, **LIMITS),
    "given, bounded": EvonetSpace(9, start=START, max_params=600, max_flops=90_000, image_size=8, **LIMITS),
}
every = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
seeds = st.integers(0, 2**32)
named = st.sampled_from(sorted(SPACES))


def drawn(space: EvonetSpace, seed: int) -> OpenNetwork:
    """A network after masked-legal edits, uniform among them: further from the start than `sample`."""
    rng, actions = np.random.default_rng(seed), []
    for _ in range(space.steps):
        actions.append((rng.choice(np.flatnonzero(space.legal(actions))),))
    return space.architecture(actions)


# -- edits ---------------------------------------------------------------------------------------------


def test_a_sequence_of_edits_by_hand():
    space = EvonetSpace(8, **LIMITS)
    steps = [
        (Edit("insert", 3, 3, 1, 8), "3:conv3x3x8"),
        (Edit("identity", 1), "1:identity 3:conv3x3x8"),
        (Edit("skip", 3, source=1), "1:identity 3:conv3x3x8+1"),
        (Edit("insert", 2, 1, 1, 4), "1:identity 2:conv1x1x4 3:conv3x3x8+1"),
        (Edit("stride", 3), "1:identity 2:conv1x1x4 3:conv3x3x8s2+1"),
        (Edit("kernel", 2, kernel=3), "1:identity 2:conv3x3x4 3:conv3x3x8s2+1"),
        (Edit("channels", 3, channels=4), "1:identity 2:conv3x3x4 3:conv3x3x4s2+1"),
        (Edit("remove", 1), "2:conv3x3x4 3:conv3x3x4s2"),
    ]
    actions: list[tuple[int]] = []
    for edit, text in steps:
        number = space.numbers[edit]
        assert space.legal(actions)[number]
        actions.append((number,))
        built = space.architecture([*actions, *[(0,)] * (8 - len(actions))])
        assert space.text(built) == text
    assert [edit.kind for edit in space.path(built)] == ["insert", "insert"]  # what was removed is not built again


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (Edit("insert", 1, 3, 1, 4), "the slot is taken"),
        (Edit("identity", 2), "the slot is taken"),
        (Edit("remove", 3), "nothing is there"),
        (Edit("kernel", 1, kernel=3), "it has this kernel"),
        (Edit("channels", 1, channels=4), "it has these channels"),
        (Edit("kernel", 2, kernel=1), "the identity has no kernel"),
        (Edit("stride", 2), "the identity has no stride"),
        (Edit("skip", 3), "no layer receives it"),
        (Edit("skip", 4, source=2), "no layer receives it"),
    ],
)
def test_an_edit_that_does_not_apply_is_forbidden(edit, why):
    space = EvonetSpace(8, start="1:conv3x3x4 2:identity", **LIMITS)
    assert not space.legal([])[space.numbers[edit]], why
    with pytest.raises(RlnasError, match="is not legal for the network 1:conv3x3x4 2:identity"):
        space.architecture([(space.numbers[edit],)])


@pytest.mark.parametrize(
    ("options", "start", "edit"),
    [
        ({"max_layers": 1}, "1:identity", Edit("identity", 2)),
        ({"max_reductions": 0}, "1:conv3x3x4", Edit("stride", 1)),
        ({"max_params": 9 * 16 + 8}, "1:conv3x3x4", Edit("channels", 1, channels=8)),
        ({"max_flops": 2 * 9 * 16 * 16, "image_size": 4}, "1:conv3x3x4", Edit("identity", 2)),
    ],
)
def test_bounds_forbid_what_would_exceed_them(options, start, edit):
    """The last edit costs nothing: it stays legal at exactly the bound."""
    space = EvonetSpace(8, start=start, **{**LIMITS, **options})
    assert space.legal([])[0]
    assert space.legal([])[space.numbers[edit]] == ("max_flops" in options)
    assert EvonetSpace(8, start=start, **LIMITS).legal([])[space.numbers[edit]]


@every
@settings(max_examples=25)
@given(seed=seeds)
def test_masks_allow_exactly_the_edits_that_apply_within_the_bounds(space, seed):
    network = drawn(space, seed)
    for number, edit in enumerate(space.edits):
        found = applied(network, edit)
        inside = found is not None and space.fits(found) and len(space._path(found)) <= space.steps
        assert bool(space._legal(network)[number]) == (inside or number == 0)


@given(named, seeds)
def test_no_edit_is_always_legal_and_changes_nothing(name, seed):
    space = SPACES[name]
    assert space.legal(space.actions(drawn(space, seed))[:-1])[0]
    assert space.architecture([(0,)] * space.steps) == space.origin


# -- identity --------------------------------------------------------------------------------------------


@given(named, seeds)
def test_text_round_trips(name, seed):
    space = SPACES[name]
    network = drawn(space, seed)
    assert space.parse(space.text(network)) == network
    assert space.from_json(space.to_json(network)) == network
    assert "," not in space.text(network)


@given(named, seeds)
def test_the_canonical_edits_are_legal_and_build_it(name, seed):
    space = SPACES[name]
    for network in (drawn(space, seed), space.sample(np.random.default_rng(seed))):
        actions = space.actions(network)
        assert actions.shape == (space.steps, 1)
        for step, (number,) in enumerate(actions):
            assert space.legal(actions[:step])[number]
        assert space.architecture(actions) == network


@st.composite
def networks(draw: st.DrawFn) -> OpenNetwork:
    """Any network of these slots, kernels and channels."""
    layers = []
    for slot in sorted(draw(st.sets(st.integers(1, 4), max_size=4))):
        conv = st.builds(
            Layer, st.just(slot), st.sampled_from([1, 3]), st.sampled_from([1, 2]), st.sampled_from([4, 8])
        )
        layers.append(draw(st.one_of(conv, st.just(Layer(slot)))))
    slots = [0, *(layer.slot for layer in layers)]
    pairs = [(source, target) for source in slots for target in slots if source < target]
    chosen = draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    return OpenNetwork(tuple(layers), tuple(sorted(chosen)))


@settings(max_examples=50)
@given(networks())
def test_any_network_within_the_bounds_can_be_built_from_the_trivial_one(network):
    space = EvonetSpace(14, **LIMITS)
    assume(space.fits(network))
    network = space.parse(space.text(network))
    actions = space.actions(network)
    assert np.count_nonzero(actions) == len(network.layers) + len(network.skips)
    for step, (number,) in enumerate(actions):
        assert space.legal(actions[:step])[number]
    assert space.architecture(actions) == network


@given(networks(), networks())
def test_edits_turn_any_network_into_any_other_and_no_prefix_of_them_could_be_otherwise(start, target):
    path = transformed(start, target)
    network = start
    for count, edit in enumerate(path):
        assert transformed(start, network) == path[:count]
        after = applied(network, edit)
        assert after is not None
        network = after
    assert network == target


def test_the_order_of_the_edits_does_not_matter_for_the_identity():
    space = EvonetSpace(6, **LIMITS)
    first, second, skip = Edit("insert", 1, 3, 1, 4), Edit("insert", 3, 1, 1, 8), Edit("skip", 3, source=1)
    detour = [Edit("identity", 2), Edit("remove", 2)]
    orders = [[first, second, skip], [second, first, skip], [*detour, second, first, skip]]
    texts = set()
    for order in orders:
        actions = [(space.numbers[edit],) for edit in order] + [(0,)] * (6 - len(order))
        texts.add(space.text(space.architecture(actions)))
    assert texts == {"1:conv3x3x4 3:conv1x1x8+1"}


# -- evolution -------------------------------------------------------------------------------------------


@given(named, seeds)
def test_a_mutation_is_one_legal_edit(name, seed):
    space, rng = SPACES[name], np.random.default_rng(seed)
    network = drawn(space, seed)
    mutated = space.mutate(network, rng)
    assert mutated != network
    assert space.parse(space.text(mutated)) == mutated
    assert mutated in set(space.neighbours(network))


@settings(max_examples=25)
@given(named, seeds)
def test_neighbours_are_distinct_and_at_one_edit(name, seed):
    space = SPACES[name]
    network = drawn(space, seed)
    found = list(space.neighbours(network))
    legal = space._legal(network).sum() - 1
    assert len(found) == len(set(found)) == legal
    assert network not in found
    assert all(any(applied(network, edit) == other for edit in space.edits) for other in found)


def test_every_kind_of_mutation_is_equally_likely():
    """Of the seven that apply to one convolution; within a kind, each edit."""
    space, rng = EvonetSpace(8, start="1:conv3x3x4", **LIMITS), np.random.default_rng(0)
    origin, count = space.origin, 3500
    found = [space.mutate(origin, rng) for _ in range(count)]
    inserted = sum(len(one.layers) == 2 and bool(one.layers[1].kernel) for one in found)
    removed = sum(not one.layers for one in found)
    skipped = sum(bool(one.skips) for one in found)
    for kind in (inserted, removed, skipped):
        assert abs(kind / count - 1 / 7) < 4 * np.sqrt(1 / 7 * 6 / 7 / count)
    assert set(found) == set(space.neighbours(origin))


def test_evolution_starts_one_edit_from_the_start_and_crossover_returns_a_parent():
    space, rng = SPACES["given"], np.random.default_rng(0)
    assert set(Evolution(space, rng).ask(20)) <= set(space.neighbours(space.origin))
    a, b = space.sample(rng), space.mutate(space.origin, rng)
    assert {space.crossover(a, b, rng) for _ in range(50)} == {a, b}


# -- forms -----------------------------------------------------------------------------------------------


def test_features_by_hand():
    space = EvonetSpace(8, **LIMITS)
    features = space.features(space.parse("2:conv3x3x8s2+0 4:identity"))
    assert features["slot1/operator"] == "none"
    assert (features["slot2/operator"], features["slot2/channels"], features["slot2/stride"]) == ("conv3x3", 8, 2)
    assert features["slot4/operator"] == "identity"
    assert (features["layers"], features["reductions"], features["skips"]) == (2, 1, 1)
    assert features["skip_rate"] == pytest.approx(1 / 3)
    assert set(space.features(space.origin)) == set(features)
    assert space.feature_values("operator") == ("none", "identity", "conv1x1", "conv3x3")


@every
def test_references_are_in_the_space(space):
    found = space.references()
    assert len(set(found.values())) == len(found) > 0
    for network in found.values():
        assert space.parse(space.text(network)) == network


def test_the_reference_chains():
    space = EvonetSpace(16, slots=4, max_layers=4, max_reductions=1, channels=(8,))
    assert {name: space.text(network) for name, network in space.references().items()} == {
        "residual_chain": "1:conv3x3x8 2:conv3x3x8+0 3:conv3x3x8s2 4:conv3x3x8+2",
        "plain_chain": "1:conv3x3x8 2:conv3x3x8 3:conv3x3x8s2 4:conv3x3x8",
    }


def test_it_has_no_size_and_no_numbers():
    assert SPACES["trivial"].size is None
    assert SPACES["trivial"].code(SPACES["trivial"].origin) is None


class Depth(Evaluator):
    """The accuracy is the share of the layers that could be there."""

    def evaluate(self, architectures):
        return [Score({"accuracy": len(one.layers) / 3}) for one in architectures]


@pytest.mark.parametrize("unit", ["layer", "decision"])
def test_gymnasium_and_stable_baselines3_accept_the_environment(unit):
    space = SPACES["bounded"]
    scorer = Scorer(Depth(), Objective(ObjectiveConfig(), space))
    env = NASEnv(space, scorer, unit, render_mode="ansi")
    env.spec = gymnasium.envs.registration.EnvSpec("NAS-v0", lambda **options: NASEnv(space, scorer, **options))
    env.spec.kwargs = {"step_unit": unit}
    check_env(env)
    check_env_for_sb3(NASEnv(space, scorer, unit))


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "space.horizon=0, .*expected at least 1"),
        ({"slots": 0}, "space.slots=0, .*expected at least 1"),
        ({"max_layers": 0}, "space.max_layers=0: expected at least 1"),
        ({"kernels": ()}, r"space.kernels is \[\], expected at least one number"),
        ({"kernels": (3, 3)}, r"space.kernels is \[3, 3\], expected .* only once"),
        ({"kernels": (2,)}, "kernel sides must be odd"),
        ({"channels": (0, 4)}, r"space.channels is \[0, 4\], expected .* above 0"),
        ({"max_params": 23}, "no convolution is within these bounds; the smallest has 24 parameters"),
        ({"max_flops": 2047, "image_size": 16}, "no convolution is within .* the cheapest 2,048 FLOPs"),
        ({"start": "5:conv3x3x4"}, "space.start=5:conv3x3x4: slot 5 holds conv3x3 of 4 channels; .* slots 1 to 4"),
        ({"start": "1:conv5x5x4"}, r"slot 1 holds conv5x5 of 4 channels; .* kernels \[1, 3\]"),
        ({"start": "1:conv3x3x5"}, r"conv3x3 of 5 channels; .* channels \[4, 8\]"),
        ({"start": "conv3x3x4"}, "'conv3x3x4' is no layer; expected a word like"),
        ({"start": ""}, "expected 'trivial' or words"),
        ({"start": "1:conv3x3x8", "max_params": 300}, "304 parameters .space.max_params=300."),
        ({"start": "1:conv1x1x4s2 2:conv1x1x4s2"}, "2 of stride 2 .space.max_reductions=1."),
        ({"start": "1:identity 2:identity 3:identity 4:identity"}, "4 layers .space.max_layers=3."),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(RlnasError, match=message):
        EvonetSpace(**{**LIMITS, **options})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1:conv3x1x4", "'1:conv3x1x4' is no layer"),
        ("1:conv3x3", "'1:conv3x3' is no layer"),
        ("1:identityx4", "'1:identityx4' is no layer"),
        ("0:identity", "slots start at 1 and ascend"),
        ("2:identity 1:identity", "slots start at 1 and ascend"),
        ("1:identity 1:identity", "slots start at 1 and ascend"),
        ("1:identity+1", r"earlier layers, \[0\]"),
        ("1:identity 3:identity+2", r"earlier layers, \[0, 1\]"),
        ("1:identity+0+0", r"different ones of the stem and earlier layers"),
        ("1:identity+0 2:identity+0+1", r"takes 5 edits of trivial, more than space.horizon=4; raise space.horizon"),
        ("trivial 1:identity", "'trivial' is no layer"),
    ],
)
def test_a_wrong_text_is_refused(text, message):
    with pytest.raises(RlnasError, match=message):
        EvonetSpace(4, **LIMITS).parse(text)


def test_a_horizon_of_no_edits_is_refused_in_the_configuration():
    with pytest.raises(RlnasError, match=r"space\.horizon is 0, expected a number at least 1"):
        build_space_config({"name": "evonet", "horizon": 0})


def test_a_map_of_one_pixel_is_not_halved():
    space = EvonetSpace(4, **{**LIMITS, "max_reductions": 2})
    sizes = {"image_channels": 1, "classes": 3}
    assert cost(space.graph(space.origin, image_size=3, **sizes)).params > 0
    with pytest.raises(RlnasError, match="maps of 2x2 pixels after the stem cannot be halved so often"):
        space.graph(space.origin, image_size=2, **sizes)


def test_an_episode_ends_at_the_horizon():
    with pytest.raises(RlnasError, match="evonet is complete after 2 steps"):
        SPACES["short"].legal([(0,), (0,)])


def count(slots: int, most: int, reductions: int, variants: int, horizon: int) -> int:
    """Networks without bounds on parameters and FLOPs, as docs/spaces/evonet.md derives them."""
    total = 0
    for layers in range(min(slots, most, horizon) + 1):
        pairs = layers * (layers + 1) // 2
        skips = sum(math.comb(pairs, chosen) for chosen in range(min(pairs, horizon - layers) + 1))
        for convolutions in range(layers + 1):
            strided = sum(math.comb(convolutions, chosen) for chosen in range(min(reductions, convolutions) + 1))
            kinds = math.comb(layers, convolutions) * variants**convolutions * strided
            total += math.comb(slots, layers) * kinds * skips
    return total


@pytest.mark.parametrize(
    ("slots", "most", "reductions", "kernels", "channels", "horizon"),
    [(2, 2, 1, (1, 3), (4,), 5), (2, 2, 2, (3,), (4, 8), 3), (3, 2, 0, (3,), (4,), 4), (3, 3, 1, (3,), (4,), 2)],
)
def test_the_networks_that_edits_reach_are_as_many_as_derived(slots, most, reductions, kernels, channels, horizon):
    space = EvonetSpace(horizon, "trivial", slots, most, reductions, 0, 0, kernels=kernels, channels=channels)
    reached, border = {space.origin}, [space.origin]
    for _ in range(horizon):
        border = [other for network in border for other in space.neighbours(network) if other not in reached]
        border = list(dict.fromkeys(border))
        reached |= set(border)
    assert len(reached) == count(slots, most, reductions, len(kernels) * len(channels), horizon)


def test_the_counts_that_the_page_of_the_space_states():
    text = (Path(__file__).parents[2] / "docs" / "spaces" / "evonet.md").read_text(encoding="utf-8")
    sizes = {"evonet": (12, 8, 2, 9, 16), "evonet_small": (6, 5, 2, 4, 10), "evonet_cifar": (10, 8, 2, 6, 16)}
    for name, options in sizes.items():
        assert f"| `{name}` | {count(*options):.2e} |" in text

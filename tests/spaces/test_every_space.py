"""What holds in every space of networks, in the small settings of tests/spaces/small.py."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3
from torch.utils.flop_counter import FlopCounterMode

from rlnas.children.network import run, run_merged
from rlnas.children.weights import Weights
from rlnas.config.spaces import SPACE_CONFIGS
from rlnas.envs import NASEnv
from rlnas.networks.graph import INPUT, Graph, cost
from rlnas.networks.merge import merge
from rlnas.networks.operators import JOINS
from rlnas.spaces import Space
from tests.spaces.small import SMALL

OTHERS = ("table", "nas_bench_macro", "nasrl_bench", "program")  # nasrl_bench builds networks of nasrl
every = pytest.mark.parametrize("space", SMALL.values(), ids=SMALL)
names = st.sampled_from(sorted(SMALL))
seeds = st.integers(0, 2**32)


def graphs(space: Space, count: int = 6, size: int = 9) -> list[Graph]:
    """Networks of random architectures and of the references, for images of an odd size."""
    rng = np.random.default_rng(0)
    chosen = [*(space.sample(rng) for _ in range(count)), *space.references().values()]
    return [space.graph(one, image_channels=2, image_size=size, classes=5) for one in chosen]


def weights_of(*made: Graph) -> Weights:
    weights = Weights(0, track_statistics=False, device=torch.device("cpu"), channels_last=False)
    for graph in made:
        weights.ensure(graph)
    return weights


def test_every_space_of_networks_is_here():
    assert {space.name for space in SMALL.values()} == set(SPACE_CONFIGS) - set(OTHERS)


# -- architectures ---------------------------------------------------------------------------------------------


@given(names, seeds)
def test_forms_are_inverses(name, seed):
    space = SMALL[name]
    one = space.sample(np.random.default_rng(seed))
    assert space.architecture(space.actions(one)) == one
    assert space.parse(space.text(one)) == one
    assert space.from_json(space.to_json(one)) == one


@given(names, seeds)
def test_mutations_and_neighbours_change_one_decision(name, seed):
    space, rng = SMALL[name], np.random.default_rng(seed)
    one = space.sample(rng)
    found = list(space.neighbours(one))
    assert len(set(found)) == len(found) > 0
    assert space.mutate(one, rng) in found
    assert one not in found
    if space.size is not None:  # a product of decisions
        for other in found[:20]:
            assert np.not_equal(space.actions(one), space.actions(other)).sum() == 1


@given(names, seeds)
def test_features_have_the_values_that_are_promised(name, seed):
    space = SMALL[name]
    features = space.features(space.sample(np.random.default_rng(seed)))
    for key, value in features.items():
        known = space.feature_values(key.partition("/")[2])
        assert isinstance(value, float) if known is None else value in known
    assert 0 <= features.get("skip_rate", 0) <= 1


@every
def test_references_are_different_members(space):
    found = space.references()
    assert len(set(found.values())) == len(found) > 0
    for one in found.values():
        assert space.parse(space.text(one)) == one


@every
def test_diagrams_can_be_made(space):
    """Diagram itself checks names and directions."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        for diagram in space.diagrams(space.sample(rng)):
            assert diagram.boxes or diagram.lines


# -- environments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["layer", "decision"])
@every
def test_both_libraries_accept_the_environment(space, scorer, unit):
    target = space.sample(np.random.default_rng(0))
    env = NASEnv(space, scorer(space, target), unit, render_mode="ansi")
    env.spec = gymnasium.envs.registration.EnvSpec(
        "NAS-v0", lambda **options: NASEnv(space, scorer(space, target), **options)
    )
    env.spec.kwargs = {"step_unit": unit}
    check_env(env)
    check_env_for_sb3(NASEnv(space, scorer(space, target), unit))


# -- networks --------------------------------------------------------------------------------------------------


@every
def test_nodes_come_after_their_inputs_and_all_are_used(space):
    for graph in graphs(space):
        assert all(INPUT <= source < index for index, node in enumerate(graph.nodes) for source in node.inputs)
        used = {source for node in graph.nodes for source in node.inputs}
        assert used == set(range(INPUT, len(graph.nodes) - 1))


@every
def test_a_key_stands_for_one_thing_in_all_architectures(space):
    rng, meaning = np.random.default_rng(1), {}
    for _ in range(60):
        graph = space.graph(space.sample(rng), image_channels=2, image_size=9, classes=5)
        keys = [node.key for node in graph.nodes if node.key is not None]
        assert len(set(keys)) == len(keys)
        assert not any("." in key for key in keys)
        for node in graph.nodes:
            what = (node.operator, graph.in_channels(node), node.channels, node.stride)
            assert node.key is None or meaning.setdefault(node.key, what) == what
            assert node.key is not None or node.operator in (*JOINS, "pad", "identity")


@every
def test_costs_are_those_of_the_real_network(space):
    for graph in graphs(space, 4):
        weights = weights_of(graph).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            scores = run(graph, weights, torch.zeros(1, 2, 9, 9))
        assert scores.shape == (1, 5)
        assert cost(graph).params == sum(p.numel() for p in weights.parameters())
        assert cost(graph).flops == counter.get_total_flops()


@every
@torch.no_grad()
def test_merged_graphs_compute_what_each_computes(space):
    several = graphs(space)
    shared = weights_of(*several)
    images = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(1))
    for graph, scores in zip(several, run_merged(merge(several), shared, images), strict=True):
        assert torch.equal(scores, run(graph, shared, images))


@every
@torch.no_grad()
def test_a_stand_alone_child_with_the_same_weights_gives_the_same_scores(space):
    several = graphs(space)
    shared = weights_of(*several)
    images = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(1))
    for graph in several:
        alone = weights_of(graph)
        tensors = shared.state_dict()
        alone.load_state_dict({name: tensors[name] for name in alone.state_dict()})
        assert torch.equal(run(graph, alone, images), run(graph, shared, images))


@every
def test_exactly_a_childs_parameters_get_a_gradient(space):
    several = graphs(space)
    shared = weights_of(*several)
    images = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(1))
    for graph in several:
        shared.zero_grad(set_to_none=True)
        run(graph, shared, images).square().sum().backward()
        own = {id(p) for node in graph.nodes if node.key for p in shared.by_key[node.key].parameters()}
        assert {id(p) for p in shared.parameters() if p.grad is not None} == own
        assert all(p.grad.isfinite().all() for p in shared.parameters() if p.grad is not None)

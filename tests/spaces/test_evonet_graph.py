"""Networks of the open space: they run, cost what is counted, and inherit exactly the weights that fit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from rlnas.children.network import Child, run
from rlnas.children.supernet import Supernet
from rlnas.children.weights import Weights, named_tensors
from rlnas.config.schema import ChildConfig, SharedWeightsConfig
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.networks.graph import Graph, cost
from rlnas.spaces import EvonetSpace

LIMITS = {"slots": 4, "max_layers": 3, "max_reductions": 2, "kernels": (1, 3), "channels": (4, 8), "filters": 4}
SPACE = EvonetSpace(8, **LIMITS)
PARENT = "1:conv3x3x4 3:conv3x3x8s2+0"
OF_PARENT = {
    "stem",
    "slot1/conv3x3/4to4",
    "slot3/conv3x3/4to8/s2",
    "skip0to3/4to8/reduce1",
    "head/8",
}


def graph_of(space: EvonetSpace, text: str, size: int = 9) -> Graph:
    return space.graph(space.parse(text), image_channels=2, image_size=size, classes=5)


def keys(graph: Graph) -> set[str]:
    found = [node.key for node in graph.nodes if node.key is not None]
    assert len(set(found)) == len(found)
    return set(found)


def weights_of(*graphs: Graph, seed: int = 0) -> Weights:
    weights = Weights(seed, track_statistics=True, device=torch.device("cpu"), channels_last=False)
    for graph in graphs:
        weights.ensure(graph)
    return weights


def test_a_network_by_hand():
    graph = graph_of(SPACE, "1:conv3x3x8 2:identity+0 3:conv1x1x4s2+0+1", size=9)
    found = [(node.operator, node.inputs, node.channels, node.size, node.layer) for node in graph.nodes]
    assert found == [
        ("stem", (-1,), 4, (9, 9), 0),
        ("plain_conv3x3", (0,), 8, (9, 9), 1),
        ("identity", (1,), 8, (9, 9), 2),
        ("raw_conv1x1", (0,), 8, (9, 9), 2),
        ("norm", (3,), 8, (9, 9), 2),
        ("sum", (2, 4), 8, (9, 9), 2),
        ("plain_conv1x1", (5,), 4, (5, 5), 3),
        ("reduce", (0,), 4, (5, 5), 3),
        ("reduce", (1,), 4, (5, 5), 3),
        ("sum", (6, 7, 8), 4, (5, 5), 3),
        ("head", (9,), 5, (5, 5), 0),
    ]
    assert [node.own for node in graph.nodes if node.operator == "sum"] == [(0,), (0,)]


def test_the_trivial_network_pools_the_stem():
    assert [node.operator for node in graph_of(SPACE, "trivial").nodes] == ["stem", "head"]


# -- what a child inherits -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("child", "lost", "new"),
    [
        ("1:conv3x3x4 2:identity 3:conv3x3x8s2+0", set(), set()),
        ("1:conv3x3x4 2:conv1x1x4 3:conv3x3x8s2+0", set(), {"slot2/conv1x1/4to4"}),
        # another number of channels in front of a convolution: its kernel does not fit
        (
            "1:conv3x3x4 2:conv1x1x8 3:conv3x3x8s2+0",
            {"slot3/conv3x3/4to8/s2"},
            {"slot2/conv1x1/4to8", "slot3/conv3x3/8to8/s2"},
        ),
        ("3:conv3x3x8s2+0", {"slot1/conv3x3/4to4"}, set()),
        ("1:conv1x1x4 3:conv3x3x8s2+0", {"slot1/conv3x3/4to4"}, {"slot1/conv1x1/4to4"}),
        (
            "1:conv3x3x4 3:conv3x3x8+0",
            {"slot3/conv3x3/4to8/s2", "skip0to3/4to8/reduce1"},
            {"slot3/conv3x3/4to8", "skip0to3/4to8/project", "skip0to3/4to8/norm"},
        ),
        (
            "1:conv3x3x4 3:conv3x3x4s2+0",
            {"slot3/conv3x3/4to8/s2", "skip0to3/4to8/reduce1", "head/8"},
            {"slot3/conv3x3/4to4/s2", "skip0to3/4to4/reduce1", "head/4"},
        ),
        ("1:conv3x3x4+0 3:conv3x3x8s2+0", set(), set()),  # the shapes fit: nothing is projected
        ("1:conv3x3x4 3:conv3x3x8s2+0+1", set(), {"skip1to3/4to8/reduce1"}),
        ("1:conv3x3x4 3:conv3x3x8s2", {"skip0to3/4to8/reduce1"}, set()),
    ],
    ids=[
        "identity",
        "insert",
        "insert wider",
        "remove",
        "kernel",
        "stride",
        "channels",
        "skip",
        "skip down",
        "no skip",
    ],
)
def test_a_child_inherits_exactly_the_weights_that_fit(child, lost, new):
    parent, other = graph_of(SPACE, PARENT), graph_of(SPACE, child)
    assert SPACE.parse(child) in set(SPACE.neighbours(SPACE.parse(PARENT)))
    assert keys(parent) == OF_PARENT
    assert keys(other) == (OF_PARENT - lost) | new
    weights = weights_of(parent)
    before = {key: list(weights.by_key[key].parameters()) for key in keys(parent)}
    weights.ensure(other)
    for key in keys(other) & keys(parent):
        assert all(a is b for a, b in zip(weights.by_key[key].parameters(), before[key], strict=True))


def test_without_inheritance_nothing_is_shared_and_the_network_is_the_same():
    alone = EvonetSpace(8, inherit=False, **LIMITS)
    parent, child = (graph_of(alone, text) for text in (PARENT, "1:conv3x3x4 2:identity 3:conv3x3x8s2+0"))
    assert not keys(parent) & keys(child)
    assert keys(parent) == {f"{PARENT}/{key}" for key in OF_PARENT}
    shared = graph_of(SPACE, PARENT)
    assert cost(parent) == cost(shared)
    assert [(node.operator, node.inputs) for node in parent.nodes] == [(n.operator, n.inputs) for n in shared.nodes]
    weights_of(parent, child)


# -- every network ---------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from([8, 9]))
def test_every_network_runs_and_costs_what_torch_counts(seed, size):
    rng = np.random.default_rng(seed)
    network = SPACE.sample(rng)
    for one in (network, SPACE.mutate(network, rng)):
        graph = SPACE.graph(one, image_channels=2, image_size=size, classes=5)
        weights = weights_of(graph)
        weights.eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            scores = run(graph, weights, torch.zeros(1, 2, size, size))
        assert scores.shape == (1, 5)
        assert cost(graph).flops == counter.get_total_flops()
        assert cost(graph).params == sum(p.numel() for p in weights.parameters())


@given(st.integers(0, 2**32), st.integers(1, 2))
def test_bounds_count_the_network_without_stem_and_head(seed, stem_stride):
    space = EvonetSpace(8, image_size=9, stem_stride=stem_stride, **LIMITS)
    network = space.sample(np.random.default_rng(seed))
    whole = cost(space.graph(network, image_channels=2, image_size=9, classes=5))
    ends = [layer.channels for layer in network.layers if layer.kernel]
    last, pixels = ends[-1] if ends else 4, (9 // stem_stride + 9 % stem_stride) ** 2
    assert space.count(network).params == whole.params - (2 * 9 * 4 + 8) - (last * 5 + 5)
    assert space.count(network).flops == whole.flops - 2 * 2 * 9 * 4 * pixels - 2 * last * 5


def test_a_key_stands_for_one_thing_in_all_networks():
    rng = np.random.default_rng(1)
    graphs = [SPACE.graph(SPACE.sample(rng), image_channels=2, image_size=9, classes=5) for _ in range(300)]
    weights_of(*graphs)  # raises if a key stands for two things
    assert not any("." in key for graph in graphs for key in keys(graph))


def test_every_part_changes_the_output_and_gets_a_gradient():
    texts = [
        PARENT,
        "1:conv3x3x4 3:conv3x3x8s2",
        "1:conv3x3x4 3:conv3x3x8+0",
        "1:conv1x1x4 3:conv3x3x8s2+0",
        "1:conv3x3x4+0 3:conv3x3x8s2+0",
        "1:conv3x3x4 3:conv3x3x8s2+0+1",
        "3:conv3x3x8s2+0",
        "1:conv3x3x4 2:conv3x3x4 3:conv3x3x8s2+0",
    ]
    graphs = [graph_of(SPACE, text, 8) for text in texts]
    weights = weights_of(*graphs)
    images = torch.randn(8, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs: list[torch.Tensor] = []
    for graph in graphs:
        weights.zero_grad(set_to_none=True)
        scores = run(graph, weights, images)
        F.cross_entropy(scores, torch.arange(8) % 5).backward()
        moved = {name for name, p in weights.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        own = {name for name, _ in weights.named_parameters() if name.split(".")[1] in keys(graph)}
        assert moved == own
        assert not any(torch.equal(scores, other) for other in outputs)
        outputs.append(scores.detach())


def test_a_stand_alone_network_equals_the_shared_one_given_its_weights(data):
    space = EvonetSpace(8, **LIMITS)
    rng = np.random.default_rng(3)
    graphs = [space.graph(space.sample(rng), image_channels=1, image_size=8, classes=3) for _ in range(8)]
    shared = weights_of(*graphs)
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    shared.eval()
    for graph in graphs:
        own = weights_of(graph, seed=9)
        own.load_state_dict({name: named_tensors(shared)[name] for name in named_tensors(own)})
        child = Child(graph, own, classes=data.classes, mean=data.mean, std=data.std).eval()
        assert torch.equal(child(images), run(graph, shared, images))


@pytest.mark.parametrize("inherit", [True, False])
def test_scores_together_are_bit_equal_to_one_by_one(data, execution, networks, inherit):
    space, rng = EvonetSpace(8, inherit=inherit, **LIMITS), np.random.default_rng(0)
    parent = space.sample(rng)
    family = list(dict.fromkeys([parent, *(space.mutate(parent, rng) for _ in range(6)), space.sample(rng)]))

    def evaluator() -> SharedWeightsEvaluator:
        net = Supernet(ChildConfig(batch_size=16), data, track_statistics=False, execution=execution, seed=0)
        made = SharedWeightsEvaluator(SharedWeightsConfig(batch_size=12), net, data, networks(space), seed=0)
        net.train((networks(space).graph(one) for _ in range(3) for one in family), 2 * len(family))
        return made

    together, alone = evaluator(), evaluator()
    scores = [score.values for score in together.evaluate(family)]
    assert scores == [alone.evaluate([one])[0].values for one in family]

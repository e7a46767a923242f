"""Networks of cells: what a choice changes, what architectures share, drop path, and the auxiliary head."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from rlnas.children.network import Child, Noise, run, run_merged
from rlnas.children.norm import use_batch_statistics
from rlnas.children.weights import Weights
from rlnas.networks.graph import Graph, cost
from rlnas.networks.merge import merge
from rlnas.spaces import CellSpace, DartsSpace, NasnetSpace

OPERATORS = ("identity", "sep_conv3x3", "dil_conv3x3", "conv3x3", "conv1x7_7x1", "avg_pool3x3", "max_pool3x3")
EVERY = NasnetSpace(OPERATORS, nodes=2, pairs="any", cells=3, filters=3)
LOOSE = NasnetSpace(OPERATORS, nodes=2, output="loose", pairs="any", cells=5, filters=3)
START = "normal: 0.conv3x3+1.identity=sum 0.conv3x3+2.identity=sum | "
START += "reduce: 0.conv3x3+1.identity=sum 0.conv3x3+2.identity=sum"


def weights_for(*graphs: Graph) -> Weights:
    weights = Weights(0, track_statistics=True, device=torch.device("cpu"), channels_last=False)
    for graph in graphs:
        weights.ensure(graph)
    return weights


def graphs_of(space: CellSpace, *texts: str) -> list[Graph]:
    return [space.graph(space.parse(text), image_channels=1, image_size=8, classes=3) for text in texts]


def gradients(graph: Graph, weights: Weights, images: Tensor) -> dict[str, Tensor]:
    """The largest gradient of each key's parameters that has one."""
    weights.zero_grad(set_to_none=True)
    F.cross_entropy(run(graph, weights, images), torch.arange(len(images)) % 3).backward()
    found = {}
    for key, module in weights.by_key.items():
        grads = [p.grad.abs().max() for p in module.parameters() if p.grad is not None]
        if grads:
            found[key] = max(grads)
    return found


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("space", [EVERY, LOOSE], ids=["all", "loose"])
def test_every_choice_changes_the_output(space, images):
    """Each neighbour of an architecture: another operator, pair of predecessors or summarisation, in either cell."""
    start = space.parse(START)
    graphs = [space.graph(one, image_channels=1, image_size=8, classes=3) for one in (start, *space.neighbours(start))]
    weights = weights_for(*graphs)
    use_batch_statistics(weights, graphs[0])
    outputs = [run(graph, weights, images).detach() for graph in graphs]
    assert all(output.isfinite().all() for output in outputs)
    assert not any(torch.equal(outputs[0], output) for output in outputs[1:])


@pytest.mark.parametrize("operator", OPERATORS[1:5])
@pytest.mark.parametrize("summarisation", ["sum", "concat", "product"])
def test_an_operator_gets_its_own_gradient(operator, summarisation, images):
    others = [
        START.replace("conv3x3", name).replace("=sum", f"={joined}")
        for name, joined in itertools.product(OPERATORS, ("sum", "concat", "product"))
    ]
    chosen = START.replace("conv3x3", operator).replace("=sum", f"={summarisation}")
    weights = weights_for(*graphs_of(EVERY, *others))
    graph = graphs_of(EVERY, chosen)[0]
    found = gradients(graph, weights, images)
    assert set(found) == {node.key for node in graph.nodes if node.key and list(weights.of(node).parameters())}
    assert f"cell1/normal/node2/from0/{operator}" in found
    assert f"cell3/reduce/node3/from0/{operator}" in found
    assert all(size > 0 for size in found.values())


def test_what_two_architectures_share_by_hand():
    one = "normal: 0.conv3x3+1.identity=sum 0.conv3x3+2.max_pool3x3=concat | "
    one += "reduce: 0.conv3x3+1.identity=sum 0.conv3x3+1.identity=sum"
    other = "normal: 0.conv3x3+1.conv3x3=sum 0.conv3x3+1.max_pool3x3=concat | "
    other += "reduce: 0.conv3x3+1.identity=sum 0.conv3x3+2.conv3x3=sum"
    keys = [{node.key for node in graph.nodes if node.key} for graph in graphs_of(EVERY, one, other)]
    both = {"stem", "head", *(f"cell{cell}/input{source}" for cell in (1, 2, 3) for source in (0, 1))}
    both |= {"cell1/normal/node2/from0/conv3x3", "cell1/normal/node3/from0/conv3x3"}
    both |= {"cell1/normal/node3/concat/from0", "cell1/normal/node3/concat/norm"}
    for cell in (2, 3):  # an identity with a stride has weights
        both |= {f"cell{cell}/reduce/node{node}/from0/conv3x3" for node in (2, 3)}
        both |= {f"cell{cell}/reduce/node2/from1/identity"}
    assert keys[0] & keys[1] == both
    only = {"cell1/normal/node3/from2/max_pool3x3", "cell1/normal/node3/concat/from2"}
    assert keys[0] - both == only | {f"cell{cell}/reduce/node3/from1/identity" for cell in (2, 3)}


def test_with_loose_ends_weights_are_kept_by_source():
    """The node that both output is read with the same weights, whatever else the cells output."""
    one = "normal: 0.conv3x3+1.identity=sum 0.conv3x3+1.identity=sum | "
    one += "reduce: 0.conv3x3+1.conv3x3=sum 0.conv3x3+1.identity=sum"
    other = one.replace("0.conv3x3+1.identity=sum |", "0.conv3x3+2.identity=sum |")
    keys = [{node.key for node in graph.nodes if node.key} for graph in graphs_of(LOOSE, one, other)]
    shared = {key for key in keys[0] & keys[1] if "/input" in key and "norm" not in key}
    assert "cell2/input1/from3" in shared
    assert "cell2/input1/from2" in keys[0] - keys[1]
    assert "head/from2_3" in keys[0]
    assert "head/from3" in keys[1]


def test_the_same_operator_twice_on_one_predecessor_has_weights_twice():
    space = NasnetSpace(("conv3x3", "max_pool3x3"), ("sum", "concat"), nodes=1, pairs="any", tied=True, cells=3)
    graphs = graphs_of(space, "cell: 1.conv3x3+1.conv3x3=concat", "cell: 1.conv3x3+1.max_pool3x3=concat")
    keys = [{node.key for node in graph.nodes if node.key} for graph in graphs]
    front = "cell1/normal/node2"
    assert keys[0] - keys[1] >= {f"{front}/from1/conv3x3/again"}
    assert {f"{front}/from1/conv3x3", f"{front}/concat/from1", f"{front}/concat/from1/again"} <= keys[0] & keys[1]
    assert not any("/input0" in key for key in keys[0])  # no node reads it


def test_cells_that_nothing_reads_are_left_out():
    space = NasnetSpace(("conv3x3",), ("sum",), nodes=1, pairs="any", tied=True, cells=6)
    (graph,) = graphs_of(space, "cell: 0.conv3x3+0.conv3x3")
    assert {node.layer for node in graph.nodes} == {0, 2, 4, 6}
    assert space.auxiliary((0, 0, 0, 0), image_channels=1, image_size=8, classes=3) is not None


@pytest.mark.variants(1)
@pytest.mark.parametrize(
    "space", [EVERY, LOOSE, DartsSpace(nodes=3, cells=3, filters=3)], ids=["all", "loose", "darts"]
)
@torch.no_grad()
def test_a_stand_alone_child_with_the_same_weights_is_the_shared_child(space, images):
    rng = np.random.default_rng(0)
    graphs = [space.graph(space.sample(rng), image_channels=1, image_size=8, classes=3) for _ in range(6)]
    shared = weights_for(*graphs)
    for graph in graphs:
        alone = weights_for(graph)
        alone.load_state_dict(
            {name: value for name, value in shared.state_dict().items() if name in alone.state_dict()}
        )
        child = Child(graph, alone, classes=("a", "b", "c"), mean=torch.zeros(1), std=torch.ones(1))
        child.train()
        use_batch_statistics(shared, graph)
        assert torch.equal(child(images), run(graph, shared, images))
    merged = merge(graphs)
    use_batch_statistics(shared, merged.graph)
    for graph, scores in zip(graphs, run_merged(merged, shared, images), strict=True):
        assert torch.equal(scores, run(graph, shared, images))


def test_drop_path_drops_operators_other_than_the_identity(monkeypatch, images):
    """As DARTS does; an identity with a stride has weights, and is dropped too."""
    (graph,) = graphs_of(EVERY, START)
    sums = [node for node in graph.nodes if node.operator == "sum"]
    # cell 1: normal; cells 2 and 3: reduction, where node 3 reads node 2 without stride
    assert [node.own for node in sums] == [(0,), (0,), (0, 1), (0,), (0, 1), (0,)]
    weights = weights_for(graph)
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))  # every draw drops
    dropped = run(graph, weights, images, Noise(0.0, 0.5, torch.Generator()))
    assert not torch.equal(dropped, run(graph, weights, images))
    for name, parameter in weights.named_parameters():
        if "conv3x3" in name:
            parameter.data.mul_(-3)
    assert torch.equal(dropped, run(graph, weights, images, Noise(0.0, 0.5, torch.Generator())))


def test_products_are_not_dropped_and_a_space_of_products_refuses_drop_path():
    (graph,) = graphs_of(EVERY, START.replace("=sum", "=product"))
    assert not any(node.own for node in graph.nodes)
    assert not NasnetSpace(summarisations=("product",)).has_bypass
    assert NasnetSpace().has_bypass
    assert DartsSpace().has_bypass


# -- auxiliary head ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [EVERY, LOOSE], ids=["all", "loose"])
def test_the_auxiliary_head_shares_the_cells_before_it(space, images):
    architecture = space.parse(START)
    whole = space.graph(architecture, image_channels=1, image_size=9, classes=3)
    side = space.auxiliary(architecture, image_channels=1, image_size=9, classes=3)
    assert side is not None
    own = [node for node in side.nodes if node.key and node.key.startswith("auxiliary")]
    assert [node.operator for node in own] == ["auxiliary_project", "auxiliary_conv", "head"]
    assert {node.key for node in side.nodes} - {node.key for node in own} <= {node.key for node in whole.nodes}
    assert len(merge([whole, side]).graph.nodes) <= len(whole.nodes) + len(own) + 1  # and a concatenation
    weights = weights_for(whole, side)
    images = F.pad(images, (0, 1, 0, 1))
    scores = run_merged(merge([whole, side]), weights, images)
    assert [tuple(one.shape) for one in scores] == [(6, 3), (6, 3)]
    torch.stack(scores).sum().backward()
    assert all(p.grad is not None for node in own for p in weights.of(node).parameters())


def test_the_auxiliary_head_has_the_published_parameters_and_flops_are_those_torch_counts():
    space = DartsSpace(cells=20, filters=36)
    architecture = space.references()["darts_v2"]
    side = space.auxiliary(architecture, image_channels=3, image_size=32, classes=10)
    assert side is not None
    last = [node for node in side.nodes if node.key and node.key.startswith("auxiliary")]
    weights = weights_for(side).eval()
    found = sum(p.numel() for node in last for p in weights.of(node).parameters())
    assert found == 576 * 128 + 2 * 128 + 128 * 768 * 4 + 2 * 768 + 768 * 10 + 10
    small = DartsSpace(cells=3, filters=2)
    side = small.auxiliary(small.unrank(7), image_channels=2, image_size=11, classes=5)
    assert side is not None
    weights = weights_for(side).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(side, weights, torch.zeros(1, 2, 11, 11))
    assert cost(side).flops == counter.get_total_flops()
    assert cost(side).params == sum(p.numel() for p in weights.parameters())


def test_there_is_no_auxiliary_head_on_one_pixel_or_in_two_cells():
    sizes = {"image_channels": 1, "classes": 3}
    assert EVERY.auxiliary(EVERY.unrank(0), image_size=4, **sizes) is None
    assert EVERY.auxiliary(EVERY.unrank(0), image_size=5, **sizes) is not None
    two = DartsSpace(cells=2, reductions=1)
    assert two.auxiliary(two.unrank(0), image_size=8, **sizes) is None

"""The interpreter of relaxations: outputs and gradients are those of loops over the alternatives written by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rlnas.children.network import run
from rlnas.children.relaxed import masked_logits, run_relaxed
from rlnas.children.weights import Weights
from rlnas.networks.relaxation import Relaxation
from rlnas.spaces import DartsSpace, NasrlSpace

IMAGES = {"image_channels": 1, "image_size": 8, "classes": 3}
CELL = DartsSpace(("sep_conv3x3", "avg_pool3x3", "identity"), nodes=2, cells=2, filters=2, reductions=1)
CHAIN = NasrlSpace(4, ("conv3x3", "max_pool3x3", "identity"), filters=3, reductions=1)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()


def doubles(relaxation: Relaxation) -> Weights:
    weights = Weights(0, track_statistics=False, device=torch.device("cpu"), channels_last=False)
    weights.ensure(relaxation.graph)
    return weights.double().train()


def logits_for(relaxation: Relaxation) -> Tensor:
    size = (len(relaxation.choices), max(len(choice.values) for choice in relaxation.choices))
    return torch.randn(size, generator=torch.Generator().manual_seed(2)).double().requires_grad_()


def shares_of(relaxation: Relaxation, logits: Tensor) -> Tensor:
    return masked_logits(logits, [len(choice.values) for choice in relaxation.choices]).softmax(dim=1)


def gradients(loss: Tensor, weights: Weights, logits: Tensor) -> dict[str, Tensor]:
    named = dict(weights.named_parameters())
    found = torch.autograd.grad(loss, [logits, *named.values()])
    return dict(zip(["logits", *named], found, strict=True))


def cell_by_hand(weights: Weights, images: Tensor, logits: Tensor) -> Tensor:
    """Two cells of two hidden nodes, written as the paper's equation (2)."""
    module = weights.by_key
    stem = module["stem"](images)
    outputs = [stem, stem]
    for layer, kind in ((1, "normal"), (2, "reduce")):
        nodes = [module[f"cell{layer}/input0"](outputs[-2]), module[f"cell{layer}/input1"](outputs[-1])]
        row = 0 if kind == "normal" else 5
        for number in (2, 3):
            total = torch.zeros(())
            for source, x in enumerate(list(nodes)):
                front = f"cell{layer}/{kind}/node{number}/from{source}"
                strided = kind == "reduce" and source < 2
                exponentials = logits[row].exp()
                row += 1
                parts = [
                    module[f"{front}/sep_conv3x3"](x),
                    module[f"{front}/avg_pool3x3"](x),
                    module[f"{front}/identity"](x) if strided else x,
                ]
                for place, part in enumerate(parts, 1):  # zero, at 0, adds nothing
                    total = total + exponentials[place] / exponentials.sum() * part
            nodes.append(total)
        outputs.append(torch.cat(nodes[2:], dim=1))
    return module["head"](outputs[-1])


def chain_by_hand(weights: Weights, images: Tensor, logits: Tensor) -> Tensor:
    """Four layers, of which the third begins at half the resolution."""
    module = weights.by_key
    outputs = [module["stem"](images)]
    row = 0
    for layer in (1, 2, 3, 4):
        if layer == 3:
            names = ["stem", "layer1", "layer2"]
            outputs = [
                module[f"{name}/reduce1"](x) if name != "stem" else x for name, x in zip(names, outputs, strict=True)
            ]
        share = logits[row, :3].softmax(0)
        row += 1
        x = outputs[-1]
        total = share[0] * module[f"layer{layer}/conv3x3"](x) + share[1] * module[f"layer{layer}/max_pool3x3"](x)
        total = total + share[2] * x
        for source in range(1, layer - 1):
            total = total + logits[row, :2].softmax(0)[1] * outputs[source]
            row += 1
        outputs.append(module[f"layer{layer}/norm"](total) if layer > 2 else total)
    return module["head"](outputs[-1])


@pytest.mark.parametrize(("space", "by_hand"), [(CELL, cell_by_hand), (CHAIN, chain_by_hand)], ids=["cell", "chain"])
def test_outputs_and_gradients_are_those_of_a_loop(space, by_hand, images):
    relaxation = space.relaxation(**IMAGES)
    weights, logits = doubles(relaxation), logits_for(relaxation)
    labels = torch.arange(6) % 3
    found = run_relaxed(relaxation, weights, images, shares_of(relaxation, logits))
    expected = by_hand(weights, images, logits)
    torch.testing.assert_close(found, expected)
    ours = gradients(F.cross_entropy(found, labels), weights, logits)
    theirs = gradients(F.cross_entropy(expected, labels), weights, logits)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, msg=lambda text, name=name: f"{name}: {text}")
    assert ours["logits"].abs().sum() > 0


def test_shares_of_one_alternative_give_its_discrete_network(images):
    """All the weight on one operator a layer and one state a skip: the child of that architecture."""
    relaxation = CHAIN.relaxation(**IMAGES)
    weights = doubles(relaxation)
    chosen = [0, 1, 2, 1, 0, 0, 1]
    shares = torch.eye(3, dtype=torch.float64)[chosen]
    graph = CHAIN.graph(
        CHAIN.discretised([row[: len(c.values)].tolist() for row, c in zip(shares, relaxation.choices, strict=True)]),
        **IMAGES,
    )
    expected = run(graph, weights, images)
    torch.testing.assert_close(run_relaxed(relaxation, weights, images, shares), expected)
    torch.testing.assert_close(run_relaxed(relaxation, weights, images, shares, chosen=chosen), expected)


def test_a_chosen_zero_is_a_node_of_zeros(images):
    """Every edge of the first cell chooses zero: its output is 0, whatever the image."""
    relaxation = CELL.relaxation(**IMAGES)
    weights = doubles(relaxation)
    shares = torch.eye(4, dtype=torch.float64)[[0] * 10]
    found = run_relaxed(relaxation, weights, images, shares, chosen=[0] * 10)
    assert torch.equal(found, found[:1].expand_as(found))
    torch.testing.assert_close(found, run_relaxed(relaxation, weights, images, shares))


def test_logits_past_the_alternatives_have_no_share():
    shares = masked_logits(torch.zeros(2, 3), [2, 3]).softmax(1)
    torch.testing.assert_close(shares, torch.tensor([[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]]))

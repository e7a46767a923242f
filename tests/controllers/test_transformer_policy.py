"""The transformer's distribution is legal, and knows layers by their embedding and skips as edges only."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rlnas.controllers.masked_policy import IMPOSSIBLE
from rlnas.controllers.transformer_policy import Block, TransformerPolicy
from rlnas.envs.episodes import Episodes
from rlnas.spaces import GeneticCnnSpace, NasrlFactoredSpace, NasrlSpace
from tests.turns import controller_of, run

TINY = {
    "nasrl": NasrlSpace(5, ("conv1x1", "conv3x3", "conv5x5")),
    "no skips": NasrlSpace(2, ("conv1x1", "conv3x3")),
    "factored": NasrlFactoredSpace(3, (1, 3), (3,), (4, 8)),
    "stages": GeneticCnnSpace((2, 3)),
}
tiny = pytest.mark.parametrize("space", TINY.values(), ids=TINY.keys())
units = pytest.mark.parametrize("unit", ["layer", "decision"])


def policy_of(episodes: Episodes, **options) -> TransformerPolicy:
    """With weights so large that its choices are far from uniform."""
    torch.manual_seed(0)
    places = tuple(episodes.order) if episodes.step_unit == "decision" else None
    policy = TransformerPolicy(
        episodes.observation_space(),
        episodes.action_space(),
        lambda _: 1e-3,
        space=episodes.space,
        places=places,
        **{"units": 16, **options},
    )
    network = policy.mlp_extractor
    with torch.no_grad():
        for layer in (network.choose, network.query, network.skip):
            layer.weight.mul_(200)
        network.edges.copy_(torch.randn_like(network.edges))
    return policy


def built(space, unit, count=40):
    """Random architectures, and observations and actions of every step on the way to them."""
    rng = np.random.default_rng(0)
    episodes, steps = Episodes(space, count, unit), []
    rows = np.stack([space.actions(space.sample(rng)) for _ in range(count)])  # (n, t, m)
    while not episodes.done:
        if unit == "layer":
            actions = rows[:, episodes.position]
        else:
            step, component = episodes.order[episodes.position]
            actions = rows[:, step, component]
        steps.append((torch.from_numpy(episodes.observations()), torch.from_numpy(actions)))
        episodes.step(actions)
    return steps


@torch.no_grad()
@tiny
@units
def test_illegal_choices_have_probability_zero_and_are_never_drawn(space, unit):
    episodes = Episodes(space, 200, unit)
    policy = policy_of(episodes)
    while not episodes.done:
        observations = torch.from_numpy(episodes.observations())
        logits = policy.mlp_extractor(observations)[0]
        masks = torch.from_numpy(episodes.masks())
        assert (logits[~masks] == IMPOSSIBLE).all()
        assert (logits[masks].abs() < 1e4).all()
        episodes.step(policy(observations)[0].numpy())
    assert episodes.illegal.sum() == 0


@torch.no_grad()
@tiny
@units
def test_the_choices_of_later_layers_have_no_effect_and_earlier_ones_have(space, unit):
    policy = policy_of(Episodes(space, 1, unit))
    (first, actions), *_, (last, _) = built(space, unit)
    logits = policy.mlp_extractor(last)[0]
    free = logits[0] > IMPOSSIBLE
    assert logits[:, free].std(0).max() > 1e-2  # architectures differ before the last step
    assert torch.equal(*[policy.mlp_extractor(rows)[0] for rows in (first[:1], first[1:2])])
    filled = first.clone()
    filled[:, : space.steps * sum(space.nvec)] = last[:, : space.steps * sum(space.nvec)]
    filled[:, : sum(space.nvec)] = first[:, : sum(space.nvec)]
    expected, found = (policy.evaluate_actions(rows, actions) for rows in (first, filled))
    torch.testing.assert_close(found[1], expected[1])


@torch.no_grad()
@pytest.mark.parametrize("blocks", [1, 2])
def test_permuting_layers_with_their_embeddings_permutes_the_outputs(blocks):
    space = NasrlSpace(6, ("conv1x1", "conv3x3", "conv5x5"))
    policy = policy_of(Episodes(space, 1), blocks=blocks)
    network, width = policy.mlp_extractor, sum(space.nvec)
    observation = built(space, "layer", 8)[-1][0]
    order = torch.tensor([2, 0, 3, 1, 4, 5])  # of the layers from which the last may take a skip: 0 to 3
    grid = observation[:, : space.steps * width].view(-1, space.steps, width)  # (b, t, w)
    bits = grid[:, :, 3:].unflatten(2, (-1, 2))  # (b, t, k, 2)
    moved = torch.cat([grid[:, :, :3], bits[:, :, order[: space.skip_bits]].flatten(2)], dim=2)[:, order]
    permuted = torch.cat([moved.flatten(1), observation[:, space.steps * width :]], dim=1)
    expected = network(observation)[0]
    network.layer.copy_(network.layer[order])
    found = network(permuted)[0]
    torch.testing.assert_close(found[:, :3], expected[:, :3], rtol=1e-4, atol=1e-4)
    skips = expected[:, 3:].unflatten(1, (-1, 2))[:, order[:4]].flatten(1)
    torch.testing.assert_close(found[:, 3:], skips, rtol=1e-4, atol=1e-4)
    network.layer.copy_(network.layer[order])  # other embeddings than the layers'
    assert (network(permuted)[0][:, :3] - expected[:, :3]).abs().max() > 1e-3


@torch.no_grad()
def test_a_skip_changes_the_choices_of_later_layers_by_the_edge_alone():
    space = NasrlSpace(5, ("conv1x1", "conv3x3"))
    policy = policy_of(Episodes(space, 1))
    episodes = Episodes(space, 2)
    for step in range(4):
        actions = np.zeros((2, len(space.nvec)), dtype=np.int64)
        actions[1, 1] = step == 2  # the third layer takes the first one's output
        episodes.step(actions)
    logits = policy.mlp_extractor(torch.from_numpy(episodes.observations()))[0]
    assert (logits[0] - logits[1]).abs().max() > 1e-3
    policy.mlp_extractor.edges.zero_()
    logits = policy.mlp_extractor(torch.from_numpy(episodes.observations()))[0]
    assert torch.equal(logits[0], logits[1])


@torch.no_grad()
def test_a_block_is_attention_then_two_layers_by_hand():
    torch.manual_seed(0)
    block, tokens, bias = Block(4, 2).double(), torch.randn(3, 5, 4).double(), torch.randn(3, 2, 5, 5).double()
    inputs = F.layer_norm(tokens, (4,))
    query, key, value = (inputs @ block.attend.weight.T).split(4, dim=2)
    mixed = torch.zeros_like(tokens)
    for row in range(3):
        for head in range(2):
            part = slice(2 * head, 2 * head + 2)
            scores = query[row, :, part] @ key[row, :, part].T / 2**0.5 + bias[row, head]
            mixed[row, :, part] = torch.softmax(scores, dim=1) @ value[row, :, part]
    between = tokens + mixed @ block.join.weight.T + block.join.bias
    wide = F.layer_norm(between, (4,)) @ block.widen.weight.T + block.widen.bias
    expected = between + F.gelu(wide) @ block.narrow.weight.T + block.narrow.bias
    torch.testing.assert_close(block(tokens, bias), expected)


@torch.no_grad()
def test_a_fresh_policy_is_nearly_uniform():
    episodes = Episodes(TINY["nasrl"], 1)
    torch.manual_seed(0)
    policy = TransformerPolicy(
        episodes.observation_space(), episodes.action_space(), lambda _: 1e-3, space=TINY["nasrl"]
    )
    for observations, actions in built(TINY["nasrl"], "layer"):
        log_prob = policy.evaluate_actions(observations, actions)[1]
        assert log_prob.max() - log_prob.min() < 0.2


@pytest.mark.variants(2)
@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "trpo", "reinforce"])
@units
def test_every_on_policy_algorithm_trains_all_of_it(scorer, algorithm, unit):
    space = TINY["nasrl"]
    options = {"algorithm": algorithm, "policy": "transformer", "step_unit": unit, "episodes": 8}
    controller = controller_of(scorer(space, space.sample(np.random.default_rng(3))), **options)
    policy = controller.model.policy
    before = {name: value.clone() for name, value in policy.named_parameters()}
    run(controller, 32)
    same = [name for name, value in policy.named_parameters() if torch.equal(value, before[name])]
    no_critic = ["value_net.weight", "value_net.bias"] if algorithm == "reinforce" else []
    assert same == no_critic


def test_its_size_hardly_grows_with_the_depth():
    sizes = []
    for layers in (6, 12):
        episodes = Episodes(NasrlSpace(layers, ("conv1x1", "conv3x3")), 1)
        sizes.append(sum(value.numel() for value in policy_of(episodes).parameters()))
    assert sizes[1] - sizes[0] == 6 * 16  # an embedding a layer

"""The autoregressive policy is a distribution over the architectures of a space, whoever asks and in which order."""

import numpy as np
import pytest
import torch

from rlnas.controllers.lstm_policy import LstmPolicy
from rlnas.envs.episodes import Episodes
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace

TINY = {
    "nasrl": NasrlSpace(4, ("conv1x1", "conv3x3")),
    "no skips": NasrlSpace(2, ("conv1x1", "conv3x3", "conv5x5")),
    "factored": NasrlFactoredSpace(3, (1, 3), (3,), (4, 8)),
}
tiny = pytest.mark.parametrize("space", TINY.values(), ids=TINY.keys())


def policy_of(space, **options) -> LstmPolicy:
    """With weights so large that its choices are far from uniform."""
    torch.manual_seed(0)
    episodes = Episodes(space, 1)
    options = {"hidden_size": 12, "init_range": 1.5, **options}
    return LstmPolicy(episodes.observation_space(), episodes.action_space(), lambda _: 1e-3, space=space, **options)


def walked(space, architectures) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Observations and actions of every step on the way to these architectures."""
    episodes, steps = Episodes(space, len(architectures)), []
    actions = np.stack([space.actions(a) for a in architectures])
    for step in range(space.steps):
        steps.append((torch.from_numpy(episodes.observations()), torch.from_numpy(actions[:, step])))
        episodes.step(actions[:, step])
    return steps


def everything(space) -> list:
    return [space.unrank(code) for code in range(space.size)]


def log_probs(policy, space, architectures) -> torch.Tensor:
    return sum(policy.evaluate_actions(*step)[1] for step in walked(space, architectures))


@torch.no_grad()
@tiny
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"tanh_constant": 0.0}, {"temperature": 5.0}])
def test_the_probabilities_of_all_architectures_sum_to_one(space, options):
    probabilities = log_probs(policy_of(space, **options), space, everything(space)).exp()
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-5)
    assert probabilities.min() > 0
    assert probabilities.max() > 2 * probabilities.min()


@torch.no_grad()
def test_samples_come_with_the_probabilities_claimed():
    space = TINY["no skips"]
    policy = policy_of(space)
    expected = log_probs(policy, space, everything(space)).exp().numpy()
    episodes, finished = Episodes(space, 9000), []
    while not finished:
        finished = episodes.step(policy(torch.from_numpy(episodes.observations()))[0].numpy())
    found = np.bincount([space.rank(a) for a in finished], minlength=space.size) / 9000
    assert np.abs(found - expected).max() < 5 * np.sqrt(expected.max() / 9000)


@torch.no_grad()
@tiny
def test_forward_and_evaluate_actions_agree(space):
    policy = policy_of(space)
    for observations, _ in walked(space, everything(space)):
        actions, values, log_prob = policy(observations)
        again = policy.evaluate_actions(observations, actions)
        torch.testing.assert_close(values, again[0])
        torch.testing.assert_close(log_prob, again[1])
        torch.testing.assert_close(values, policy.predict_values(observations))


@torch.no_grad()
@tiny
def test_drawn_actions_are_legal(space):
    policy = policy_of(space)
    episodes = Episodes(space, 300)
    for _ in range(space.steps):
        actions = policy(torch.from_numpy(episodes.observations()))[0].numpy()
        step = episodes.position
        padding = [c for c in range(len(space.nvec)) if c not in space.layout[step]]
        assert not actions[:, padding].any()
        if space.skip_bits and step == space.steps - 1:
            assert len(np.unique(actions, axis=0)) > 4
        episodes.step(actions)
    assert episodes.illegal.sum() == 0


@torch.no_grad()
@tiny
def test_shuffled_steps_give_the_same(space):
    policy = policy_of(space)
    steps = walked(space, everything(space)[::3])
    observations, actions = (torch.cat(parts) for parts in zip(*steps, strict=True))
    apart = [torch.cat(parts) for parts in zip(*(policy.evaluate_actions(*step) for step in steps), strict=True)]
    order = torch.randperm(len(actions), generator=torch.Generator().manual_seed(0))
    for one, other in zip(policy.evaluate_actions(observations[order], actions[order]), apart, strict=True):
        torch.testing.assert_close(one, other[order], rtol=1e-4, atol=1e-5)


@torch.no_grad()
@tiny
def test_episodes_at_different_layers_choose_as_if_alone(space):
    policy = policy_of(space)
    steps = [observations for observations, _ in walked(space, everything(space)[::3])]
    apart = torch.cat([policy(observations, deterministic=True)[0] for observations in steps])
    order = torch.randperm(len(apart), generator=torch.Generator().manual_seed(0))
    assert torch.equal(policy(torch.cat(steps)[order], deterministic=True)[0], apart[order])


@torch.no_grad()
@tiny
def test_the_entropy_is_that_of_the_step(space):
    policy = policy_of(space)
    first = walked(space, everything(space))[0]
    observations = first[0][:1]
    count = int(np.prod([space.nvec[c] for c in space.layout[0]]))
    choices = torch.cartesian_prod(*(torch.arange(space.nvec[c]) for c in space.layout[0])).reshape(count, -1)
    actions = torch.zeros(count, len(space.nvec), dtype=torch.int64)
    actions[:, list(space.layout[0])] = choices
    _, log_prob, _ = policy.evaluate_actions(observations.expand(count, -1), actions)
    if len(space.layout[0]) == 1:  # with several factors the entropy given is of the path taken
        _, _, entropy = policy.evaluate_actions(observations, actions[:1])
        assert float(entropy) == pytest.approx(float(-(log_prob.exp() * log_prob).sum()), rel=1e-4)
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-5)


@torch.no_grad()
@tiny
def test_the_likeliest_choice_is_repeated(space):
    policy = policy_of(space)
    for observations, _ in walked(space, everything(space)[::5]):
        first, again = (policy(observations, deterministic=True)[0] for _ in range(2))
        assert torch.equal(first, again)
        drawn = policy._predict(observations, deterministic=True)
        assert torch.equal(first, drawn)


@torch.no_grad()
def test_choices_of_a_layer_depend_on_the_choices_before():
    space = TINY["nasrl"]
    policy = policy_of(space)
    observations, actions = walked(space, everything(space))[-1]
    actions[:] = 0
    _, log_prob, _ = policy.evaluate_actions(observations, actions)
    prefixes = len(np.unique(observations.numpy(), axis=0))
    assert len(np.unique(log_prob.numpy().round(6))) > prefixes / 2


@torch.no_grad()
def test_operator_and_skips_of_one_layer_depend_on_each_other():
    space = TINY["nasrl"]
    policy = policy_of(space)
    observations = walked(space, [space.unrank(0)])[-1][0]
    table = []
    for operator in (0, 1):
        rows = torch.tensor([[operator, a, b] for a in (0, 1) for b in (0, 1)])
        table.append(policy.evaluate_actions(observations.expand(4, -1), rows)[1].softmax(0))
    assert not torch.allclose(*table, atol=1e-3)


@torch.no_grad()
def test_tanh_constant_and_temperature_flatten_the_choices():
    space = TINY["nasrl"]
    spread = {}
    for name, constant, temperature in (("free", 0.0, 1.0), ("bounded", 0.1, 1.0), ("hot", 0.0, 1e6)):
        first = walked(space, [(0,) * 7, (1,) + (0,) * 6])[0]
        policy = policy_of(space, tanh_constant=constant, temperature=temperature)
        log_prob = policy.evaluate_actions(*first)[1]
        spread[name] = float((log_prob[0] - log_prob[1]).abs())
    assert spread["hot"] < 1e-4
    assert spread["bounded"] <= 0.2
    assert spread["free"] > 0.2


def test_every_parameter_but_the_critic_gets_a_gradient():
    space = TINY["nasrl"]
    policy = policy_of(space)
    log_probs(policy, space, everything(space)[1::7]).sum().backward()
    without = {name for name, p in policy.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    assert without == {"value.weight", "value.bias"}


def test_weights_start_within_the_range():
    policy = policy_of(TINY["nasrl"], init_range=0.08)
    values = torch.cat([p.detach().flatten() for name, p in policy.named_parameters() if "value" not in name])
    assert values.abs().max() <= 0.08
    assert values.abs().max() > 0.07


@torch.no_grad()
def test_the_divergence_from_the_target_is_zero_only_there():
    space = TINY["nasrl"]
    observations, actions = walked(space, [space.unrank(0)])[-1]
    policy = policy_of(space, skip_target=0.4)
    choices = torch.tensor([[0, a, b] for a in (0, 1) for b in (0, 1)])
    rates = policy.evaluate_actions(observations.expand(4, -1), choices)[1].softmax(0)
    expected = 0.0
    for rate in (float(rates[2] + rates[3]), float(rates[1] + rates[3])):
        expected += rate * np.log(rate / 0.4) + (1 - rate) * np.log((1 - rate) / 0.6)
    assert float(policy.walk(observations, actions).skip_divergence) == pytest.approx(expected, rel=1e-3)
    assert expected > 0.01

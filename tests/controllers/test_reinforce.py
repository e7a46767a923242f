"""REINFORCE's gradient and baseline, against formulas computed from episodes recorded here."""

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from rlnas.spaces import NasrlSpace
from tests.turns import controller_of, run

SPACE = NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
EPISODES, ENTROPY, DECAY = 5, 0.3, 0.8


class Recorder(BaseCallback):
    """Before each update the gradient that the formula gives for the episodes seen; after it the one used."""

    def __init__(self):
        super().__init__()
        self.steps: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.rewards: list[list[float]] = []
        self.baseline: float | None = None
        self.baselines: list[float] = []
        self.expected: list[list[torch.Tensor]] = []
        self.used: list[list[torch.Tensor]] = []

    def _on_step(self) -> bool:
        observations, actions = self.locals["obs_tensor"].clone(), torch.as_tensor(self.locals["actions"]).clone()
        self.steps.append((observations, actions))
        if self.locals["dones"].all():
            self.rewards.append(self.locals["rewards"].tolist())
        return True

    def _on_rollout_end(self) -> None:
        rewards, policy = self.rewards[-1], self.model.policy
        if self.baseline is None:
            self.baseline = sum(rewards) / len(rewards)
        advantages = torch.tensor(rewards) - self.baseline
        for reward in rewards:
            self.baseline = DECAY * self.baseline + (1 - DECAY) * reward
        self.baselines.append(self.baseline)
        parameters = list(policy.parameters())
        total = [torch.zeros_like(p) for p in parameters]
        log_probs, entropies = torch.zeros(EPISODES), torch.zeros(EPISODES)
        for observations, actions in self.steps:
            _, log_prob, entropy = policy.evaluate_actions(observations, actions)
            log_probs, entropies = log_probs + log_prob, entropies + entropy
        for episode in range(EPISODES):
            gradient = torch.autograd.grad(log_probs[episode], parameters, retain_graph=True, allow_unused=True)
            for sum_, part in zip(total, gradient, strict=True):
                sum_ -= (0 if part is None else part) * advantages[episode] / EPISODES
        for sum_, part in zip(total, torch.autograd.grad(entropies.mean(), parameters, allow_unused=True), strict=True):
            sum_ -= ENTROPY * (0 if part is None else part)
        self.expected.append(total)
        self.steps = []

    def _on_rollout_start(self) -> None:
        if self.expected:
            self.take()

    def _on_training_end(self) -> None:
        self.take()

    def take(self) -> None:
        self.used.append(
            [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in self.model.policy.parameters()]
        )


@pytest.fixture(params=["lstm", "MlpPolicy"])
def recorded(request, scorer) -> tuple[Any, Recorder]:
    """Three updates, with the clipping of gradients out of reach."""
    params = {"ent_coef": ENTROPY, "baseline_decay": DECAY, "max_grad_norm": 1e9, "learning_rate": 0.05}
    options = {"policy": request.param, "episodes": EPISODES, "params": params}
    controller, recorder = controller_of(scorer(SPACE), algorithm="reinforce", **options), Recorder()
    controller.model.learn(3 * EPISODES * SPACE.layers, recorder)
    return controller, recorder


def test_the_gradient_is_that_of_the_formula(recorded):
    _, recorder = recorded
    assert len(recorder.used) == len(recorder.expected) == 3
    for used, expected in zip(recorder.used, recorder.expected, strict=True):
        assert sum(float(g.abs().sum()) for g in expected) > 1e-3
        for one, other in zip(used, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_baseline_is_a_moving_average_from_the_first_mean(recorded):
    controller, recorder = recorded
    assert controller.model.baseline == pytest.approx(recorder.baselines[-1])
    assert controller.logged()["train/baseline"] == pytest.approx(recorder.baselines[-1])
    assert len(set(recorder.baselines)) == 3


def test_the_baseline_by_hand():
    from rlnas.controllers.reinforce import Reinforce

    assert Reinforce.expected(type("First", (), {"baseline": None})(), [0.25, 0.75]) == 0.5
    assert Reinforce.expected(type("Later", (), {"baseline": 0.3})(), [0.25, 0.75]) == 0.3


def one_batch(scorer, **params) -> Any:
    options = {"policy": "lstm", "episodes": 2, "params": {"baseline_decay": 0.5, **params}}
    controller = controller_of(scorer(SPACE), 3, algorithm="reinforce", **options)
    run(controller, 2)
    return controller


def test_the_baseline_after_two_rewards(scorer):
    controller = one_batch(scorer)
    target = controller.env.scorer.evaluator.target
    a, b = (float(np.mean(np.equal(x, target))) for x in controller.env.scorer.evaluator.seen)
    start = (a + b) / 2
    assert controller.model.baseline == pytest.approx(0.5 * (0.5 * start + 0.5 * a) + 0.5 * b)


def test_the_gradient_is_clipped(scorer):
    norms = []
    for largest in (1e9, 1e-3):
        model = one_batch(scorer, max_grad_norm=largest).model
        gradients = [p.grad for p in model.policy.parameters() if p.grad is not None]
        norms.append(float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt()))
    assert norms[1] == pytest.approx(1e-3, rel=1e-2) != pytest.approx(norms[0], rel=1e-2)


@pytest.mark.variants(1)
@pytest.mark.parametrize(("weight", "target"), [(0.0, 0.4), (1.0, 0.1), (1.0, 0.85)])
def test_skip_weight_pulls_the_skip_rate_to_its_target(scorer, weight, target):
    space = NasrlSpace(6, ("conv1x1", "conv3x3"), filters=4)
    all_worth_nothing = scorer(space, (-1,) * len(space.choices))
    controller = controller_of(
        all_worth_nothing,
        algorithm="reinforce",
        policy="lstm",
        episodes=8,
        params={"learning_rate": 0.02, "skip_weight": weight},
        policy_params={"hidden_size": 16, "skip_target": target, "init_range": 0.3},
    )

    def rate() -> float:
        return float(np.mean([space.features(a)["skip_rate"] for a in controller.sample(200)]))

    before = rate()
    run(controller, 40 * 8)
    assert abs(before - 0.5) < 0.1
    assert abs(rate() - (target if weight else before)) < 0.08


def test_the_entropy_bonus_is_of_the_loss_not_of_the_reward(scorer):
    controller = one_batch(scorer, ent_coef=100.0)
    assert 0 <= controller.model.baseline <= 1

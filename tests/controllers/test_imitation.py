"""Self-imitation: its gradient by hand, its queue, its exact state, what it costs when off, and what it is good for."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlnas.config.schema import ImitationConfig, ObjectiveConfig
from rlnas.envs import NASEnv, NASVecEnv
from rlnas.envs.scorer import Scorer
from rlnas.evaluators import Evaluator, Score
from rlnas.objective import Means, Objective
from rlnas.spaces import NasrlSpace
from tests.controllers.test_learning import SPACE, goes_on_exactly, learn, make
from tests.turns import controller_of, run

WEIGHT = 0.7
EPISODES = 6
LSTM = {"policy": "lstm", "policy_params": {"hidden_size": 8}}
IMITATORS: dict[str, dict[str, Any]] = {
    "ppo": {"algorithm": "ppo", "params": {"n_epochs": 2}},
    "ppo_lstm": {"algorithm": "ppo", "params": {"n_epochs": 1}, **LSTM},
    "ppo_decisions": {"algorithm": "ppo", "params": {"n_epochs": 1}, "step_unit": "decision"},
    "maskable_ppo": {"algorithm": "maskable_ppo", "params": {"n_epochs": 1}},
    "maskable_ppo_decisions": {"algorithm": "maskable_ppo", "params": {"n_epochs": 1}, "step_unit": "decision"},
    "a2c": {"algorithm": "a2c"},
    "trpo": {"algorithm": "trpo"},
    "reinforce": {"algorithm": "reinforce"},
    "reinforce_lstm": {"algorithm": "reinforce", **LSTM},
}


def imitator(scorer, name: str, seed: int = 0, **imitation: Any):
    options = {**IMITATORS[name], "imitation": ImitationConfig(**{"weight": WEIGHT, **imitation})}
    return make(scorer, options, episodes=EPISODES, seed=seed)


def ready(scorer, name: str, values: dict[int, float], **imitation: Any):
    """One that has not learned yet, with a queue of these."""
    controller = imitator(scorer, name, **imitation)
    controller.companions[0].init_callback(controller.model)
    for code, value in values.items():
        controller.companions[0].means.add(SPACE.unrank(code), value)
    return controller


def log_prob(controller, architecture) -> torch.Tensor:
    """log pi of the actions that build it, step by step in the single environment."""
    policy, unit = controller.model.policy, controller.env.episodes.step_unit
    env = NASEnv(SPACE, controller.env.scorer, unit)
    observation, _ = env.reset()
    rows, total = SPACE.actions(architecture), torch.zeros(())
    order = [(step, slice(None)) for step in range(SPACE.steps)] if unit == "layer" else env.episodes.order
    for where in order:
        action = rows[where]
        masks = {"action_masks": env.action_masks()[None]} if controller._takes_masks else {}
        given = torch.as_tensor(np.array([action]))
        _, log_probability, _ = policy.evaluate_actions(torch.as_tensor(observation[None]), given, **masks)
        total = total + log_probability[0]
        observation = env.step(action)[0]
    return total


QUEUE = {5: 0.1, 17: 0.9, 300: 0.4, 555: 0.8, 640: 0.7}


@pytest.mark.parametrize("name", IMITATORS)
def test_the_gradient_is_that_of_the_formula(scorer, name):
    controller = ready(scorer, name, QUEUE, best=3)
    parameters = list(controller.model.policy.parameters())
    loss = -WEIGHT * torch.stack([log_prob(controller, SPACE.unrank(code)) for code in (17, 555, 640)]).mean()
    expected = torch.autograd.grad(loss, parameters, allow_unused=True)
    before = [parameter.detach().clone() for parameter in parameters]
    controller.companions[0].imitate()
    assert any(part is not None and part.abs().max() > 1e-3 for part in expected)
    for parameter, part in zip(parameters, expected, strict=True):
        if part is None:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, part, rtol=1e-4, atol=1e-6)
    moved = [not torch.equal(old, new) for old, new in zip(before, parameters, strict=True)]
    assert moved == [part is not None and bool(part.any()) for part in expected]  # the critic stays as it is
    logged = controller.model.logger.name_to_value["train/imitation_loss"]
    assert logged == pytest.approx(float(loss.detach()), rel=1e-4)


def test_the_steps_are_those_of_the_policy_s_own_optimizer_and_as_many_as_asked(scorer):
    def steps(passes: int) -> int:
        controller = imitator(scorer, "ppo", passes=passes)
        learn(controller, 4 * EPISODES)
        state = controller.model.policy.optimizer.state
        return int(state[controller.model.policy.action_net.layer.weight]["step"])

    assert [steps(1), steps(3)] == [4 * (2 + 1), 4 * (2 + 3)]  # updates x (epochs of a single batch + passes)


def test_imitation_alone_makes_the_queue_s_architectures_likely(scorer):
    controller = ready(scorer, "ppo", {123: 1.0}, passes=200)
    controller.model.policy.optimizer.param_groups[0]["lr"] = 0.01
    controller.companions[0].imitate()
    assert controller.sample(50).count(SPACE.unrank(123)) > 40


def test_before_the_first_architecture_nothing_is_done(scorer):
    controller = ready(scorer, "ppo", {})
    before = {key: value.clone() for key, value in controller.model.policy.state_dict().items()}
    controller.companions[0].imitate()
    assert all(torch.equal(value, before[key]) for key, value in controller.model.policy.state_dict().items())


@pytest.mark.parametrize("name", ["ppo", "maskable_ppo_decisions"])
def test_the_queue_holds_the_mean_of_the_unscaled_rewards(scorer, name, monkeypatch):
    step = NASVecEnv.step_wait

    def scaled(self):
        observations, rewards, dones, infos = step(self)
        return observations, 7 - 3 * rewards, dones, infos

    monkeypatch.setattr(NASVecEnv, "step_wait", scaled)
    controller = imitator(scorer, name)
    learn(controller, 5 * EPISODES)
    expected = Means()
    for architecture in controller.env.scorer.evaluator.seen:
        expected.add(architecture, float(np.mean(np.equal(architecture, controller.env.scorer.evaluator.target))))
    assert controller.companions[0].means.known == expected.known
    assert sum(count for _, count in expected.known.values()) == 5 * EPISODES


@pytest.mark.variants(4)
@pytest.mark.parametrize("name", IMITATORS)
def test_it_goes_on_bit_for_bit(scorer, through_disk, name):
    options = {**IMITATORS[name], "imitation": ImitationConfig(weight=WEIGHT, best=3)}
    through, resumed = goes_on_exactly(scorer, through_disk, options, 2, 5 * EPISODES, EPISODES)
    assert through.companions[0].means.known == resumed.companions[0].means.known
    for expected, found in zip(through.model.policy.parameters(), resumed.model.policy.parameters(), strict=True):
        assert torch.equal(expected, found)


def test_without_its_queue_it_would_not_go_on_bit_for_bit(scorer, through_disk):
    """The contrast to the test above."""

    def forgetful(state: dict[str, Any]) -> dict[str, Any]:
        state = through_disk(state)
        state["controller"]["companions"] = [{"means": []}]
        return state

    options = {**IMITATORS["ppo"], "imitation": ImitationConfig(weight=WEIGHT, best=3)}
    with pytest.raises(AssertionError):
        goes_on_exactly(scorer, forgetful, options, 2, 10 * EPISODES, EPISODES)


@pytest.mark.parametrize("name", ["ppo", "a2c", "reinforce_lstm"])
def test_off_it_is_as_if_it_did_not_exist(scorer, name):
    off = imitator(scorer, name, weight=0.0)
    assert off.companions == []
    learn(off, 5 * EPISODES)
    bare = imitator(scorer, name, weight=0.0).model  # driven by stable-baselines3 alone
    bare.learn(5 * EPISODES * off.env.episodes.length)
    on = imitator(scorer, name)
    learn(on, 5 * EPISODES)
    parameters = [list(model.policy.parameters()) for model in (off.model, bare, on.model)]
    assert all(torch.equal(a, b) for a, b in zip(parameters[0], parameters[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(parameters[0], parameters[2], strict=True))
    assert off.env.scorer.evaluator.seen == bare.env.scorer.evaluator.seen


class Rare(Evaluator):
    """The eighth power of the share of decisions that are the target's: nearly all architectures are worth nothing."""

    def __init__(self, target):
        self.target = target
        self.seen: list[Any] = []

    def evaluate(self, architectures) -> list[Score]:
        self.seen += architectures
        return [Score({"accuracy": float(np.mean(np.equal(one, self.target)) ** 8)}) for one in architectures]


@pytest.mark.thorough
def test_a_rare_optimum_is_found_sooner_than_without():
    space = NasrlSpace(5, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)  # 15,552 architectures
    limit = 150

    def until_found(weight: float, seed: int) -> int:
        rare = Rare(space.unrank(2 * space.size // 3))
        controller = controller_of(
            Scorer(rare, Objective(ObjectiveConfig(), space)),
            seed,
            algorithm="a2c",
            params={"learning_rate": 0.003, "gamma": 1.0, "normalize_advantage": True},
            imitation=ImitationConfig(weight=weight),
        )
        run(controller, limit)
        return rare.seen.index(rare.target) if rare.target in rare.seen else limit

    seeds = range(5)
    with_it, without = ([until_found(weight, seed) for seed in seeds] for weight in (0.5, 0.0))
    assert np.median(with_it) < np.median(without) / 2


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-2, 2)), max_size=40), st.integers(0, 7))
def test_the_best_are_in_order_of_their_means_then_of_age(seen, count):
    means = Means()
    for code, value in seen:
        means.add(SPACE.unrank(code), value)
    expected = sorted(means.known, key=lambda one: -means.mean(one))  # stable: the first seen stays in front
    assert means.best(count) == expected[:count]
    again = Means()
    again.restore(means.state(SPACE), SPACE)
    assert again.best(count) == expected[:count]
    for each in (means, again):
        each.add(SPACE.unrank(3), 1.5)
    assert means.best(6) == again.best(6)

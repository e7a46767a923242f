"""Columns of unequal width: what a fresh controller draws, row by row, and what a replay buffer keeps."""

from typing import Any

import numpy as np
import pytest
import torch

from rlnas.config.schema import ObjectiveConfig
from rlnas.controllers.replay_rewards import ReplayRewards
from rlnas.envs.scorer import Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator, Score
from rlnas.objective import Objective
from rlnas.spaces import Architecture, IndependentSpace, NasrlSpace, Space
from tests.turns import controller_of, run


class Columns(IndependentSpace):
    """Decisions of different widths, one a step, as in a table."""

    name = "columns"

    def __init__(self, *choices: int):
        super().__init__(choices, nvec=(max(choices),), layout=[(0,)] * len(choices))

    def text(self, architecture):
        return ",".join(map(str, architecture))

    def parse(self, text):
        return self.check([int(value) for value in text.split(",")])


class Sums(Evaluator):
    """The reward is the sum of the choices, the same at every query."""

    def evaluate(self, architectures):
        return [Score({"accuracy": float(sum(architecture))}) for architecture in architectures]


def made(space: Space, scale: str = "none", **options: Any):
    return controller_of(Scorer(Sums(), Objective(ObjectiveConfig(), space), scale), **options)


def first_choices(drawn: list[Architecture], column: int, choices: int) -> list[float]:
    return (np.bincount([architecture[column] for architecture in drawn], minlength=choices) / len(drawn)).tolist()


SMALL = {"buffer_size": 200, "learning_starts": 10}
FRESH = [
    *(
        {"algorithm": name, "masked": masked}
        for name in ("ppo", "a2c", "trpo", "reinforce")
        for masked in (True, False)
    ),
    {"algorithm": "recurrent_ppo", "policy": "MlpLstmPolicy", "policy_params": {"lstm_hidden_size": 8}},
    *({"algorithm": name, "params": SMALL, "masked": masked} for name in ("dqn", "qrdqn") for masked in (True, False)),
    {"algorithm": "stable_baselines3.DQN", "params": SMALL},
    {"algorithm": "stable_baselines3.PPO"},
    {"algorithm": "maskable_ppo"},
    {"algorithm": "random"},
]


@pytest.mark.parametrize("options", FRESH, ids=lambda options: f"{options['algorithm']}-{options.get('masked', True)}")
def test_a_fresh_controller_draws_each_option_equally_often(options):
    """An untrained network's logits are nearly equal; "the lowest legal one" gave 0.87 for option 0 of two."""
    drawn = made(Columns(8, 2, 3), **options).sample(600)
    for column, choices in enumerate((8, 2, 3)):
        assert np.abs(np.array(first_choices(drawn, column, choices)) - 1 / choices).max() < 0.12
    assert len(set(drawn)) > 40  # of 48


@pytest.mark.parametrize("name", ["dqn", "qrdqn", "stable_baselines3.DQN"])
def test_every_row_throws_its_own_exploration_coin(name):
    space = Columns(6, 6, 6, 6)
    controller = made(space, algorithm=name, params=SMALL)
    controller.model.exploration_rate = 0.0
    greedy = set(controller.sample(50))
    assert len(greedy) == 1
    controller.model.exploration_rate = 0.5
    drawn = controller.sample(400)
    kept = np.mean([np.equal(architecture, *greedy) for architecture in drawn], axis=0)[0]
    assert 0.5 < kept < 0.67  # 1/2 greedy and 1/12 by chance
    assert len(set(drawn)) > 100


def test_dead_skip_bits_are_no_part_of_the_policy():
    """Bits of layers that do not exist have probability 1, hence no entropy and no share of PPO's ratio."""
    space = NasrlSpace(5, ("conv1x1", "conv3x3"), filters=4, reductions=0)
    policies = {masked: made(space, algorithm="ppo", masked=masked).model.policy for masked in (True, False)}
    env = made(space, algorithm="ppo").env
    observations = torch.from_numpy(env.reset())
    actions = torch.zeros(len(observations), len(space.nvec), dtype=torch.int64)
    _, log_prob, entropy = policies[True].evaluate_actions(observations, actions)
    assert torch.allclose(entropy, torch.full_like(entropy, np.log(2)), atol=0.01)  # the operator alone
    assert torch.allclose(log_prob, torch.full_like(entropy, -np.log(2)), atol=0.1)
    _, _, entropy = policies[False].evaluate_actions(observations, actions)
    assert torch.allclose(entropy, torch.full_like(entropy, 4 * np.log(2)), atol=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "maskable_ppo"},
        {"algorithm": "ppo", "policy": "lstm", "step_unit": "layer"},
        {"algorithm": "random"},
        {"algorithm": "evolution"},
    ],
)
def test_masks_cannot_be_left_out_where_they_are_built_in(options):
    with pytest.raises(RlnasError, match=r"controller\.masked=false"):
        made(Columns(3, 2), masked=False, **options)


# -- rewards in a replay buffer ----------------------------------------------------------------------------


class Values(Evaluator):
    """Rewards that rise from query to query, so that early ranks fall."""

    def __init__(self):
        self.count = 0
        self.seen: list[Architecture] = []
        self.values: list[float] = []

    def evaluate(self, architectures):
        self.count += len(architectures)
        values = [float(sum(architecture)) + 0.01 * self.count for architecture in architectures]
        self.seen += architectures
        self.values += values
        return [Score({"accuracy": value}) for value in values]


def learned(scale: str, buffer_size: int = 400, algorithm: str = "dqn"):
    space = Columns(4, 2, 3)
    scorer = Scorer(Values(), Objective(ObjectiveConfig(), space), scale)
    controller = controller_of(
        scorer,
        algorithm=algorithm,
        episodes=2,
        params={"buffer_size": buffer_size, "learning_starts": 10, "batch_size": 8, "train_freq": 3},
    )
    run(controller, 2 * 60)
    finished = list(zip(scorer.evaluator.seen, scorer.evaluator.values, strict=True))
    return controller, scorer.scale, finished


@pytest.mark.variants(3)
@pytest.mark.parametrize("scale", ["rank", "mean_rank", "standard"])
@pytest.mark.parametrize("buffer_size", [400, 50])
@pytest.mark.parametrize("algorithm", ["dqn", "stable_baselines3.DQN"])
def test_stored_rewards_are_those_of_today_s_scale(scale, buffer_size, algorithm):
    controller, today, finished = learned(scale, buffer_size, algorithm)
    buffer = controller.model.replay_buffer
    assert buffer.full == (buffer_size == 50)
    stored = buffer.rewards[buffer.dones == 1]
    expected = [today.reward(architecture, reward) for architecture, reward in finished]
    np.testing.assert_allclose(np.sort(stored), np.sort(np.float32(expected[-len(stored) :])), rtol=1e-6)
    assert (buffer.rewards[buffer.dones == 0] == 0).all()


def test_as_they_were_stored_the_rewards_would_be_stale(monkeypatch):
    monkeypatch.setattr(ReplayRewards, "rescale", lambda self: None)
    controller, today, finished = learned("rank")
    buffer = controller.model.replay_buffer
    expected = [today.reward(architecture, reward) for architecture, reward in finished]
    assert np.abs(np.sort(buffer.rewards[buffer.dones == 1]) - np.sort(expected)).max() > 0.1

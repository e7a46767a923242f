"""Every kind of controller on a space in which what is legal depends on earlier choices, and nothing is numbered."""

from typing import Any

import numpy as np
import pytest
import torch

from rlnas.config.schema import ImitationConfig
from rlnas.controllers import STRATEGIES
from rlnas.controllers.lstm_policy import LstmPolicy
from rlnas.envs.episodes import Episodes
from rlnas.objective import Means
from tests.command import by_default
from tests.stack import BEST, STACK, every_stack, stack_scorer
from tests.turns import Illegal, controller_of, goes_on_exactly, run

SMALL = {"buffer_size": 200, "learning_starts": 12, "batch_size": 8, "train_freq": 2}
LSTM = {"policy": "lstm", "policy_params": {"hidden_size": 8}}
RECURRENT = {"policy": "MlpLstmPolicy", "policy_params": {"lstm_hidden_size": 4}, "params": {"n_epochs": 1}}
CONTROLLERS: dict[str, dict[str, Any]] = {
    "random": {"algorithm": "random"},
    "evolution": {"algorithm": "evolution", "params": {"population": 6, "sample": 2}},
    "local_search": {"algorithm": "local_search"},
    "optuna": {"algorithm": "optuna"},
    "lanas": {"algorithm": "lanas", "params": {"initial": 8, "tries": 16}},
    "genetic": {"algorithm": "genetic", "params": {"population": 6, "crossover_rate": 0.5, "decision_rate": 0.3}},
    "surrogate": {"algorithm": "surrogate", "params": {"initial": 6, "candidates": 20, "parents": 4}},
    "surrogate_ridge": {"algorithm": "surrogate", "params": {"predictor": "ridge", "initial": 6, "candidates": 20}},
    "pnas": {"algorithm": "pnas", "params": {"initial": 6, "candidates": 20, "repeats": True}},
    "pnas_lstm": {"algorithm": "pnas", "params": {"predictor": "lstm", "initial": 10, "candidates": 20}},
    "ppo": {"algorithm": "ppo", "params": {"n_epochs": 2}},
    "ppo_decisions": {"algorithm": "ppo", "params": {"n_epochs": 2}, "step_unit": "decision"},
    "ppo_imitation": {"algorithm": "ppo", "params": {"n_epochs": 1}, "imitation": ImitationConfig(0.5, best=3)},
    "ppo_lstm": {"algorithm": "ppo", "params": {"n_epochs": 1}, **LSTM},
    "maskable_ppo": {"algorithm": "maskable_ppo", "params": {"n_epochs": 2}},
    "maskable_ppo_decisions": {"algorithm": "maskable_ppo", "params": {"n_epochs": 2}, "step_unit": "decision"},
    "recurrent_ppo": {"algorithm": "recurrent_ppo", **RECURRENT},
    "a2c": {"algorithm": "a2c"},
    "trpo": {"algorithm": "trpo"},
    "reinforce": {"algorithm": "reinforce"},
    "reinforce_lstm": {"algorithm": "reinforce", **LSTM},
    "reinforce_imitation": {"algorithm": "reinforce", "imitation": ImitationConfig(0.5, best=3), **LSTM},
    "dqn": {"algorithm": "dqn", "params": SMALL},
    "qrdqn": {"algorithm": "qrdqn", "params": SMALL, "policy_params": {"n_quantiles": 4}},
}
every = pytest.mark.parametrize("name", CONTROLLERS)


def made(name: str, seed: int = 0, episodes: int = 4, **more: Any) -> Any:
    return controller_of(stack_scorer(), seed, episodes=episodes, **{**CONTROLLERS[name], **more})


@pytest.mark.variants(5)
@every
def test_it_scores_and_samples_legal_stacks_only(name):
    controller = made(name)
    scored = run(controller, 40)
    assert len(scored) == 40
    drawn = controller.sample(20)
    assert len(drawn) == 20
    assert [STACK.check(stack) for stack in scored + drawn] == scored + drawn
    assert len(set(scored)) > 3


@pytest.mark.variants(5)
@pytest.mark.parametrize("name", [n for n, options in CONTROLLERS.items() if options["algorithm"] not in STRATEGIES])
def test_a_masked_policy_never_chooses_what_is_illegal(name):
    controller, seen = made(name), Illegal()
    controller.model.learn(40 * controller.env.episodes.length, seen)
    assert len(seen.counts) >= 40
    assert not any(seen.counts)


@pytest.mark.parametrize("name", ["ppo", "ppo_decisions", "a2c", "dqn", "qrdqn"])
def test_without_masks_it_does(name):
    """The contrast to the test above."""
    controller, seen = made(name, masked=False), Illegal()
    controller.model.learn(40 * controller.env.episodes.length, seen)
    assert any(seen.counts)


@pytest.mark.variants(2)
@every
@pytest.mark.parametrize("boundaries", by_default([5, 8], 5))
def test_it_goes_on_bit_for_bit(through_disk, name, boundaries):
    goes_on_exactly(lambda: made(name), through_disk, boundaries, 40)


@pytest.mark.variants(2)
@pytest.mark.parametrize("name", ["evolution", "local_search", "genetic", "ppo", "reinforce_lstm"])
def test_it_finds_a_best_one(name):
    better = {
        "ppo": {"params": {"learning_rate": 3e-3, "gamma": 1.0, "n_epochs": 4}, "episodes": 16},
        "reinforce_lstm": {"params": {"learning_rate": 2e-2}, "episodes": 16},
    }
    scored = run(made(name, **better.get(name, {})), 500)
    assert BEST in scored
    later = np.mean([np.mean(STACK.actions(stack) == STACK.actions(BEST)) for stack in scored[-100:]])
    random = np.mean([np.mean(STACK.actions(stack) == STACK.actions(BEST)) for stack in run(made("random"), 500)])
    assert later > random


def policy_of(space) -> LstmPolicy:
    """With weights so large that its choices are far from uniform."""
    torch.manual_seed(0)
    episodes = Episodes(space, 1)
    return LstmPolicy(
        episodes.observation_space(),
        episodes.action_space(),
        lambda _: 1e-3,
        space=space,
        hidden_size=12,
        init_range=1.5,
    )


@torch.no_grad()
def test_the_lstm_s_probabilities_of_all_sequences_of_choices_sum_to_one():
    policy = policy_of(STACK)
    rows: list[list[tuple[int, int]]] = [[]]
    for _ in range(STACK.steps):
        options = [(prefix, STACK._options(prefix)) for prefix in rows]
        rows = [[*prefix, (w, m)] for prefix, o in options for w in range(4) for m in range(2) if o[w] and o[4 + m]]
    actions, episodes = np.array(rows), Episodes(STACK, len(rows))
    total = torch.zeros(len(rows))
    for step in range(STACK.steps):
        taken = torch.from_numpy(actions[:, step])
        total += policy.evaluate_actions(torch.from_numpy(episodes.observations()), taken)[1]
        finished = episodes.step(actions[:, step])
    assert set(finished) == set(every_stack())
    assert float(total.exp().sum()) == pytest.approx(1, abs=1e-5)
    assert total.exp().max() > 2 * total.exp().min()


def test_imitation_makes_the_queue_s_stacks_likely():
    controller = made("ppo_imitation", imitation=ImitationConfig(0.5, best=1, passes=200))
    controller.companions[0].init_callback(controller.model)
    controller.companions[0].means.add(BEST, 1.0)
    controller.model.policy.optimizer.param_groups[0]["lr"] = 0.01
    before = controller.sample(50).count(BEST)
    controller.companions[0].imitate()
    assert controller.sample(50).count(BEST) > 40 > before


def test_means_of_stacks_of_different_lengths_are_saved_by_their_text(through_disk):
    means = Means()
    for number, stack in enumerate(every_stack()[:20]):
        means.add(stack, float(number % 3))
        means.add(stack, 1.0)
    again = Means()
    again.restore(through_disk(means.state(STACK)), STACK)
    assert again.known == means.known
    assert again.best(20) == means.best(20)

"""A search of a growing space: every architecture has the depth of the schedule, for any controller, resumed or not."""

from pathlib import Path

import numpy as np
import pytest
import torch

import rlnas
from rlnas.config.schema import ControllerConfig, ImitationConfig
from rlnas.controllers.lstm_policy import LstmPolicy
from rlnas.envs.episodes import Episodes
from rlnas.gap.restore import restore_searched
from rlnas.spaces import Space
from tests.command import TINY, by_default, history, result
from tests.search.loop import Computed, search
from tests.search.test_job import stop_after

IMITATION = ImitationConfig(weight=0.1, best=3)
SMALL = {"buffer_size": 200, "learning_starts": 8, "batch_size": 8}
CONTROLLERS = {
    "random": ControllerConfig(algorithm="random", episodes=5),
    "evolution": ControllerConfig(algorithm="evolution", episodes=5, params={"population": 4, "sample": 2}),
    "surrogate": ControllerConfig(algorithm="surrogate", episodes=5, params={"initial": 8, "candidates": 20}),
    "pnas": ControllerConfig(algorithm="pnas", episodes=5, params={"beam": 4, "beam_candidates": 60}),
    "ppo": ControllerConfig(algorithm="ppo", episodes=5, imitation=IMITATION, params={"n_epochs": 2}),
    "reinforce": ControllerConfig(
        algorithm="reinforce", policy="lstm", episodes=5, imitation=IMITATION, policy_params={"hidden_size": 8}
    ),
    "dqn": ControllerConfig(algorithm="dqn", episodes=5, params=SMALL),
    "a2c": ControllerConfig(algorithm="a2c", episodes=5),
    "maskable_ppo": ControllerConfig(algorithm="maskable_ppo", episodes=5, params={"n_epochs": 2}),
    "recurrent_ppo": ControllerConfig(algorithm="recurrent_ppo", policy="MlpLstmPolicy", episodes=5),
}
every_controller = pytest.mark.parametrize(
    "name", by_default(CONTROLLERS, "random", "evolution", "pnas", "ppo", "reinforce")
)
SCHEDULE = [2] * 15 + [4] * 15 + [5] * 10  # start 2, step 2, every 15


def space_of(*, grows: bool = True) -> Space:
    grow = {"start": 2 if grows else 0, "step": 2, "every": 15}
    return rlnas.make_space("nasrl", layers=5, operators=["conv3x3", "max_pool3x3", "identity"], grow=grow)


def value(architecture: tuple[int, ...]) -> float:
    return 0.5 + 0.04 * (architecture[0] - architecture[1]) + 0.01 * len(architecture)


def depths(folder: Path) -> list[int]:
    return [len(row["architecture"].split()) for row in history(folder)]


@every_controller
@pytest.mark.filterwarnings("ignore")
def test_every_architecture_has_the_depth_of_the_schedule_and_a_resumed_search_goes_on_the_same(name, tmp_path):
    budget = {"rounds": 4}
    whole = search(tmp_path, space_of(), Computed(value), budget=budget, controller=CONTROLLERS[name])
    assert depths(tmp_path) == SCHEDULE
    expected = [row["architecture"] for row in history(tmp_path)]
    for saved in whole.checkpoints[:3:2]:  # type: ignore[attr-defined]  # before the first growth, and after the second
        assert saved["history_rows"] in (10, 30)
        evaluator = Computed(value)
        search(tmp_path, space_of(), evaluator, budget=budget, controller=CONTROLLERS[name], saved=saved)
        assert [row["architecture"] for row in history(tmp_path)] == expected
        assert {len(one) for one in evaluator.trained[-1]} == {len(space_of().parse(expected[-1]))}


def test_without_growth_all_have_all_layers(tmp_path):
    search(tmp_path, space_of(grows=False), Computed(value), budget={"rounds": 4})
    assert depths(tmp_path) == [5] * 40


def test_the_weights_train_and_the_control_is_drawn_at_the_depth_of_the_round(tmp_path):
    class Remembers(Computed):
        controls: list[set[int]] = []  # noqa: RUF012

        def evaluate(self, architectures):
            if len(architectures) == 7:
                self.controls.append({len(one) for one in architectures})
            return super().evaluate(architectures)

    evaluator, space = Remembers(value), space_of()
    search(tmp_path, space, evaluator, budget={"rounds": 4}, options={"random_control": 7, "warmup_epochs": 1})
    length = {depth: len(space.members[depth].choices) for depth in (2, 4, 5)}
    trained = [{len(one) for one in drawn} for drawn in evaluator.trained]
    assert trained == [{length[2]}, {length[2]}, {length[2]}, {length[4]}, {length[5]}]  # the warm-up first
    assert evaluator.controls == [{length[2]}, {length[2]}, {length[4]}, {length[5]}]


def test_a_growth_is_told(tmp_path):
    told = search(tmp_path, space_of(), Computed(value), budget={"rounds": 4}).progress.lines
    said = [line for line in told if "the space is at" in line]
    assert said == [
        "round 1: the space is at 2 of 5 layers",
        "round 3: the space is at 4 of 5 layers",
        "round 4: the space is at 5 of 5 layers",
    ]


@torch.no_grad()
@pytest.mark.parametrize("scored", [0, 15, 30])
def test_the_probabilities_of_the_lstm_sum_to_one_at_each_depth(scored):
    """Layers that are absent have one choice and no share of the probability."""
    grow = {"start": 2, "step": 1, "every": 15}
    space = rlnas.make_space("nasrl", layers=4, operators=["conv3x3", "identity"], grow=grow)
    space.advance(scored)
    torch.manual_seed(0)
    episodes = Episodes(space, 1)
    policy = LstmPolicy(
        episodes.observation_space(), episodes.action_space(), lambda _: 1e-3, space=space, init_range=1.5
    )
    everything = [space.current.unrank(code) for code in range(space.current.size)]
    episodes, total = Episodes(space, len(everything)), torch.zeros(len(everything))
    actions = np.stack([space.actions(one) for one in everything])
    for step in range(space.steps):
        observations = torch.from_numpy(episodes.observations())
        _, log_prob, entropy = policy.evaluate_actions(observations, torch.from_numpy(actions[:, step]))
        total += log_prob
        if step >= space.depth:
            assert not log_prob.any()
            assert not entropy.any()
            assert not policy.walk(observations).skip_divergence.any()
            assert (policy(observations)[0][:, 0] == space.absent).all()
        episodes.step(actions[:, step])
    assert float(total.exp().sum()) == pytest.approx(1, abs=1e-5)
    assert episodes.illegal.sum() == 0


@pytest.mark.thorough
def test_a_run_with_shared_weights_that_grows_and_resumes_exactly(tmp_path, monkeypatch):
    arguments = [*TINY, "space.layers=4", "space.grow.start=2", "space.grow.every=8", "controller=evolution"]
    whole = rlnas.run([*arguments, "report=true", f"hydra.run.dir={tmp_path / 'whole'}"])
    assert [len(row["architecture"].split()) for row in history(whole)] == [2] * 8 + [4] * 16
    assert "<html" in (whole / "report.html").read_text(encoding="utf-8")
    monkeypatch.setattr("rlnas.evaluators.SharedWeightsEvaluator.checkpoint_seconds", 0.0)
    monkeypatch.setattr("rlnas.search.rounds.Rounds._out_of_time", stop_after(2))
    with pytest.raises(KeyboardInterrupt):
        rlnas.run([*arguments, f"hydra.run.dir={tmp_path / 'part'}"])
    monkeypatch.undo()
    part = rlnas.run([f"resume={tmp_path / 'part'}"])
    assert history(part) == history(whole)
    assert result(part)["best"] == result(whole)["best"]
    assert restore_searched(whole).space.stage == "4 of 4 layers"
    assert result(whole)["space"]["options"]["grow"] == {"start": 2, "step": 2, "every": 8}

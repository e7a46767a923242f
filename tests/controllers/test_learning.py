"""Do the controllers learn? A table of known rewards, with contrasts; exact states; building them by name."""

from typing import Any

import numpy as np
import pytest
import stable_baselines3
import torch
import yaml

from rlnas.cli import CONF
from rlnas.config.build import build_config
from rlnas.config.schema import ImitationConfig
from rlnas.controllers import ALGORITHMS, STRATEGIES, Problem, make_controller
from rlnas.errors import RlnasError
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace
from tests import turns
from tests.command import by_default
from tests.turns import controller_of, run, scorer_of

SPACE = NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)  # 648 architectures
TARGET = SPACE.parse("conv3x3 max_pool3x3 conv1x1+1 max_pool3x3+2")
EPISODES = 16

LSTM = {"policy": "lstm", "policy_params": {"hidden_size": 32}}
LEARNERS: dict[str, dict[str, Any]] = {
    "ppo": {"algorithm": "ppo", "params": {"learning_rate": 3e-3, "gamma": 1.0, "ent_coef": 0.005, "n_epochs": 4}},
    "maskable_ppo": {
        "algorithm": "maskable_ppo",
        "params": {"learning_rate": 3e-3, "gamma": 1.0, "ent_coef": 0.005, "n_epochs": 4},
    },
    "recurrent_ppo": {
        "algorithm": "recurrent_ppo",
        "policy": "MlpLstmPolicy",
        "policy_params": {"lstm_hidden_size": 16},
        "params": {"learning_rate": 3e-3, "gamma": 1.0, "ent_coef": 0.005, "n_epochs": 4},
    },
    "a2c": {"algorithm": "a2c", "params": {"learning_rate": 3e-3, "gamma": 1.0, "ent_coef": 0.01}},
    "reinforce_lstm": {"algorithm": "reinforce", "params": {"learning_rate": 1e-2, "baseline_decay": 0.95}, **LSTM},
    "ppo_transformer": {
        "algorithm": "ppo",
        "policy": "transformer",
        "policy_params": {"units": 16},
        "params": {"learning_rate": 3e-3, "gamma": 1.0, "ent_coef": 0.005, "n_epochs": 4},
    },
    "reinforce_mlp": {"algorithm": "reinforce", "params": {"learning_rate": 5e-3, "baseline_decay": 0.95}},
}
RANDOM = {"algorithm": "random"}
SEARCHES: dict[str, dict[str, Any]] = {name: {"algorithm": name} for name in STRATEGIES if name != "random"}
EVERY = {**LEARNERS, **SEARCHES, "random": RANDOM, "trpo": {"algorithm": "trpo", "params": {"batch_size": 32}}}
OFF_POLICY: dict[str, dict[str, Any]] = {
    name: {
        "algorithm": name,
        "params": {"learning_starts": 64, "buffer_size": 256, "target_update_interval": 32, "batch_size": 16},
    }
    for name in ("dqn", "qrdqn")
}
OFF_POLICY["qrdqn"]["policy_params"] = {"n_quantiles": 8}
SHIPPED = ["evolution", "local_search", "genetic", "lanas", "trpo", "dqn", "qrdqn"]


def make(scorer, options: dict[str, Any], *, space=SPACE, target=TARGET, seed: int = 0, episodes: int = EPISODES):
    return controller_of(scorer(space, target), seed, episodes=episodes, **options)


def learn(controller, architectures: int) -> np.ndarray:
    """The accuracy of every architecture scored while learning on so many of them."""
    target = scorer_of(controller).evaluator.target
    return np.array([np.mean(np.equal(a, target)) for a in run(controller, architectures)])


@pytest.mark.variants(1)
@pytest.mark.parametrize("name", by_default(LEARNERS, "ppo", "reinforce_lstm"))
def test_a_learner_finds_the_best_and_ends_far_above_random(scorer, name):
    controller = make(scorer, LEARNERS[name])
    rewards = learn(controller, 640)
    assert len(rewards) == 640
    assert rewards.max() == 1.0
    assert rewards[-160:].mean() > 0.65
    assert np.mean(np.equal(controller.sample(100), TARGET)) > 0.65  # samples follow what was learned


def test_random_search_finds_the_best_but_does_not_get_better(scorer):
    rewards = learn(make(scorer, RANDOM), 3200)
    assert rewards.max() == 1.0
    expected = np.mean([1 / count for count in SPACE.choices])
    assert abs(rewards.mean() - expected) < 0.02  # standard error 0.0035
    assert abs(rewards[-640:].mean() - expected) < 0.04


@pytest.mark.parametrize("name", by_default(SHIPPED, "evolution", "trpo"))
def test_the_shipped_settings_find_the_best_within_hundreds(scorer, name):
    values = yaml.safe_load((CONF / "controller" / f"{name}.yaml").read_text(encoding="utf-8"))
    config = build_config({"controller": values}).controller
    controller = make_controller(config, Problem(SPACE, scorer(SPACE, TARGET), 0))
    rewards = learn(controller, 200 if name in OFF_POLICY else 120)
    assert rewards.max() == 1.0
    late = rewards[20:60] if name == "lanas" else rewards[-40:]  # it proposes nothing twice: the best ones come first
    assert late.mean() > 0.55  # random: 0.40


@pytest.mark.parametrize("name", by_default(LEARNERS, "ppo"))
def test_without_a_learning_rate_nothing_is_learned(scorer, name):
    options = {**LEARNERS[name], "params": {**LEARNERS[name]["params"], "learning_rate": 1e-12}}
    assert learn(make(scorer, options), 320)[-160:].mean() < 0.5


@pytest.mark.parametrize("name", by_default(["ppo", "reinforce_lstm"], "ppo"))
def test_a_factored_space_is_learned_too(scorer, name):
    space = NasrlFactoredSpace(3, (1, 3), (1, 3), (4, 8))
    rewards = learn(make(scorer, LEARNERS[name], space=space, target=space.unrank(700)), 640)
    assert rewards[-160:].mean() > 0.75  # random: one half


@pytest.mark.parametrize("algorithm", by_default(["maskable_ppo", "a2c"], "a2c"))
def test_decisions_one_by_one_are_learned_too(scorer, algorithm):
    rewards = learn(make(scorer, {**LEARNERS[algorithm], "step_unit": "decision"}), 640)
    assert rewards[-160:].mean() > 0.6


@pytest.mark.parametrize("name", EVERY)
def test_samples_are_architectures_drawn_without_learning_or_scoring(scorer, name):
    controller = make(scorer, EVERY[name])
    learn(controller, EPISODES)
    evaluator = scorer_of(controller).evaluator
    before = len(evaluator.calls)
    drawn = controller.sample(33)
    assert [SPACE.check(architecture) for architecture in drawn] == drawn
    assert len(drawn) == 33
    assert len(set(drawn)) > 10
    assert len(evaluator.calls) == before


@pytest.mark.parametrize("name", LEARNERS)
def test_the_last_update_is_logged_by_name(scorer, name):
    controller = make(scorer, LEARNERS[name])
    learn(controller, 2 * EPISODES)
    logged = controller.logged()
    assert logged
    assert all(key.startswith("train/") and np.isfinite(value) for key, value in logged.items())


def test_the_same_seed_gives_the_same_rewards(scorer):
    rewards = [learn(make(scorer, LEARNERS["ppo"], seed=seed), 64).tolist() for seed in (1, 1, 2)]
    assert rewards[0] == rewards[1] != rewards[2]


class Endless(turns.Turns):
    """No budget but a clock: as many batches as one likes."""

    def batches(self, size: int) -> int:
        return 10**9


@pytest.mark.parametrize("name", ["ppo", "recurrent_ppo", "evolution", "dqn"])
def test_a_search_ends_where_the_loop_says(scorer, name):
    controller = make(scorer, {**EVERY, **OFF_POLICY}[name], episodes=4)
    loop = Endless(scorer_of(controller), 20)
    controller.run(loop)
    assert len(scorer_of(controller).evaluator.seen) == 20


@pytest.mark.parametrize("name", ["ppo", "maskable_ppo", "evolution"])
def test_the_loop_is_asked_before_each_batch(scorer, name):
    controller, scored = make(scorer, EVERY[name], episodes=4), []
    run(controller, 20, lambda number: scored.append(len(scorer_of(controller).evaluator.seen)))
    assert scored == [0, 4, 8, 12, 16, 20]


# -- exact states ------------------------------------------------------------------------------------------


def goes_on_exactly(scorer, through_disk, options: dict[str, Any], rollouts: int, architectures: int, episodes: int):
    return turns.goes_on_exactly(
        lambda: make(scorer, options, episodes=episodes), through_disk, rollouts, architectures
    )


@pytest.mark.variants(2)
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rollouts", [1, 3])
def test_a_restored_controller_goes_on_bit_for_bit(scorer, through_disk, name, rollouts):
    goes_on_exactly(scorer, through_disk, EVERY[name], rollouts, 96, EPISODES)


def test_a_rollout_may_end_in_the_middle_of_an_episode(scorer, through_disk):
    options = {"algorithm": "maskable_ppo", "params": {"n_steps": 3, "batch_size": 12, "n_epochs": 2}}
    goes_on_exactly(scorer, through_disk, options, 2, 48, 4)


@pytest.mark.variants(4)
@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize(("episodes", "rollouts"), [(1, 3), (1, 60), (7, 9)])
def test_a_search_goes_on_bit_for_bit_in_any_batch_and_at_any_time(scorer, through_disk, name, episodes, rollouts):
    goes_on_exactly(scorer, through_disk, SEARCHES[name], rollouts, 105, episodes)


@pytest.mark.variants(3)
@pytest.mark.parametrize("name", OFF_POLICY)
@pytest.mark.parametrize(("episodes", "rollouts"), [(4, 5), (4, 40), (1, 50)])
def test_an_off_policy_algorithm_goes_on_bit_for_bit(scorer, through_disk, name, episodes, rollouts):
    through, resumed = goes_on_exactly(scorer, through_disk, OFF_POLICY[name], rollouts, 32 * episodes, episodes)
    expected, found = through.model.policy.state_dict(), resumed.model.policy.state_dict()
    assert any("target" in key for key in expected)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert through.model._n_updates == resumed.model._n_updates > 0
    assert through.model.exploration_rate == resumed.model.exploration_rate < 1


def test_the_mean_of_recent_episodes_is_restored_too(scorer, through_disk):
    through, resumed = goes_on_exactly(scorer, through_disk, LEARNERS["ppo"], 2, 96, EPISODES)
    assert list(through.model.ep_info_buffer) == list(resumed.model.ep_info_buffer)


# -- by name, and what is refused --------------------------------------------------------------------------


def test_any_sb3_class_works_by_its_dotted_name(scorer):
    controller = make(scorer, {"algorithm": "sb3_contrib.TRPO"})
    assert controller.env.episodes.step_unit == "layer"
    assert len(learn(controller, 32)) == 32


def test_an_algorithm_of_discrete_actions_gets_decisions_by_itself(scorer):
    controller = make(scorer, OFF_POLICY["dqn"])
    assert isinstance(controller.model, stable_baselines3.DQN)
    assert controller.env.episodes.step_unit == "decision"
    assert len(learn(controller, 32)) == 32


@pytest.mark.parametrize(
    ("options", "unit"),
    [({}, "decision"), ({"step_unit": "layer"}, "layer"), (LSTM, "layer"), ({"algorithm": "a2c"}, "decision")],
)
def test_where_a_layer_is_one_decision_the_actions_are_discrete(scorer, options, unit):
    narrow = NasrlSpace(1, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=0)
    assert len(narrow.nvec) == 1
    controller = make(scorer, {"algorithm": "reinforce", **options}, space=narrow, target=(1,))
    assert controller.env.episodes.step_unit == unit
    assert controller.env.episodes.length == 1


def test_off_policy_defaults_stay_those_of_the_algorithm(scorer):
    model = make(scorer, {"algorithm": "stable_baselines3.DQN"}).model
    assert (model.n_steps, model.batch_size) == (1, 32)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name not in OFF_POLICY])
def test_a_rollout_is_one_whole_episode_by_default(scorer, name):
    policy = "MlpLstmPolicy" if name == "recurrent_ppo" else "MlpPolicy"
    controller = make(scorer, {"algorithm": name, "policy": policy})
    assert controller.model.n_steps == controller.env.episodes.length == 4
    assert controller.model.device.type == "cpu"


SOME = ImitationConfig(weight=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"algorithm": "pppo"},
            "controller.algorithm is 'pppo', expected ppo, a2c, .*trpo, .*evolution, .*gdas or the dotted path of a",
        ),
        ({"algorithm": "no.such.thing"}, "controller.algorithm: no.such.thing cannot be imported: No module named"),
        ({"algorithm": "stable_baselines3.PPOO"}, "controller.algorithm: stable_baselines3.PPOO cannot be imported"),
        ({"algorithm": "collections.OrderedDict"}, "controller.algorithm is 'collections.OrderedDict', expected"),
        ({"params": {"learning_rat": 1}}, "unknown key controller.params.learning_rat; PPO has .*learning_rate"),
        ({"params": {"env": 1}}, "unknown key controller.params.env"),
        ({"params": {"learning_rate": -1}}, "controller.params.learning_rate is -1, expected a number above 0"),
        ({"params": {"learning_rate": 0}}, "controller.params.learning_rate is 0, expected a number above 0"),
        ({"params": {"learning_rate": "fast"}}, "controller.params.learning_rate is fast, expected a number above 0"),
        ({"params": {"learning_rate": float("nan")}}, "controller.params.learning_rate is nan, expected a number"),
        ({"params": {"gamma": 1.5}}, "controller.params.gamma is 1.5, expected a number at least 0, at most 1"),
        ({"params": {"ent_coef": True}}, "controller.params.ent_coef is True, expected a number at least 0"),
        ({"params": {"n_epochs": 0}}, "controller.params.n_epochs is 0, expected a number at least 1"),
        ({"params": {"batch_size": 1}}, "controller.params.batch_size is 1, expected a number at least 2"),
        (
            {"params": {"batch_size": 63}},
            "controller.params.batch_size is 63: a rollout of 64 steps would leave a last mini-batch of one",
        ),
        (
            {"algorithm": "maskable_ppo", "params": {"batch_size": 9}},
            "controller.params.batch_size is 9: .*whose normalised advantage is nan; choose a divisor",
        ),
        (
            {"algorithm": "reinforce", "policy": "lstm", "step_unit": "decision"},
            "controller.policy=lstm chooses layer by layer; it needs controller.step_unit=layer",
        ),
        *(
            ({"algorithm": name, "policy": "transformer"}, "controller.policy=transformer is for on-policy algorithms")
            for name in ("maskable_ppo", "recurrent_ppo", "dqn")
        ),
        (
            {"policy": "transformer", "policy_params": {"units": 7}},
            "controller.policy_params.units is 7, expected a multiple of heads=2",
        ),
        (
            {"policy": "transformer", "policy_params": {"net_arch": [8]}},
            "unknown key controller.policy_params.net_arch; controller.policy=transformer has blocks, heads, .*units",
        ),
        (
            {"policy": "transformer", "policy_params": {"blocks": 0}},
            "controller.policy_params.blocks is 0, expected a whole number at least 1",
        ),
        (
            {"algorithm": "stable_baselines3.DQN", "step_unit": "layer"},
            "controller.algorithm=stable_baselines3.DQN cannot use step_unit=layer",
        ),
        ({"policy": "NoPolicy"}, "controller ppo with policy NoPolicy refused its options"),
        ({"policy_params": {"depth": 1}}, "controller ppo with policy MlpPolicy refused its options: .*depth"),
        (
            {"algorithm": "reinforce", "params": {"skip_weight": 0.5}},
            "controller.params.skip_weight needs controller.policy=lstm; .*objective.terms.skip_divergence",
        ),
        (
            {"algorithm": "reinforce", "params": {"baseline_decay": 1.0}},
            "controller.params.baseline_decay is 1.0, expected a number at least 0, at most 0.99999",
        ),
        ({"algorithm": "random", "params": {"size": 1}}, "unknown key controller.params.size; RandomSearch has none"),
        (
            {"algorithm": "evolution", "params": {"populatio": 1}},
            "unknown key controller.params.populatio; Evolution has population, sample",
        ),
        (
            {"algorithm": "evolution", "policy_params": {"net_arch": [8]}},
            r"controller.policy_params is .*, but controller evolution has no policy; leave it empty",
        ),
        (
            {"algorithm": "evolution", "params": {"population": 0}},
            "controller.params.population is 0, expected a whole number at least 1",
        ),
        (
            {"algorithm": "genetic", "params": {"population": 2.5}},
            "controller.params.population is 2.5, expected a whole number at least 1",
        ),
        (
            {"algorithm": "evolution", "params": {"sample": 0}},
            "controller.params.sample is 0, expected a whole number at least 1",
        ),
        (
            {"algorithm": "evolution", "params": {"sample": 26}},
            r"controller.params.sample is 26, expected at most population \(25\): a tournament draws without",
        ),
        *[
            (
                {"algorithm": "genetic", "params": {f"{name}_rate": value}},
                f"controller.params.{name}_rate is {value}, expected a number at least 0, at most 1",
            )
            for name, value in [("mutation", 2), ("crossover", -0.1), ("step", float("nan")), ("decision", None)]
        ],
        (
            {"algorithm": "genetic", "params": {"reevaluate": "often"}},
            "controller.params.reevaluate is often, expected true or false",
        ),
        ({"algorithm": "local_search", "params": {"restarts": 1}}, "params.restarts; LocalSearch has none"),
        (
            {"algorithm": "trpo", "params": {"target_kl": 0}},
            "controller.params.target_kl is 0, expected a number above",
        ),
        (
            {"algorithm": "qrdqn", "params": {"exploration_fraction": 2}},
            "controller.params.exploration_fraction is 2, expected a number above 0, at most 1",
        ),
        *[
            (
                {"algorithm": name, "imitation": SOME, **({"policy": "MlpLstmPolicy"} if "rec" in name else {})},
                f"controller.imitation.weight is 0.5, but {name} has no policy without memory .*; set it to 0, or use",
            )
            for name in ("recurrent_ppo", "dqn", "qrdqn", *STRATEGIES, "gdas")
        ],
    ],
)
def test_wrong_options_are_refused_with_a_reason(scorer, options, message):
    with pytest.raises(RlnasError, match=message):
        make(scorer, options)


def test_reinforce_refuses_rollouts_of_part_of_an_episode(scorer):
    controller = make(scorer, {"algorithm": "reinforce", "params": {"n_steps": 3}})
    with pytest.raises(RlnasError, match="REINFORCE needs rollouts of one whole episode each, got n_steps=3"):
        learn(controller, 64)

"""The environments: gymnasium's and stable-baselines3's contracts, and that n together are n alone."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from rlnas.controllers.masked_policy import IMPOSSIBLE
from rlnas.envs import NASEnv, NASVecEnv
from rlnas.envs.episodes import Episodes
from rlnas.spaces import IndependentSpace, NasrlSpace
from tests.turns import Illegal, controller_of

units = pytest.mark.parametrize("unit", ["layer", "decision"])
seeded = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Columns(IndependentSpace):
    """Decisions of different widths, one a step, as in a table."""

    name = "columns"

    def __init__(self, choices: list[int]):
        super().__init__(choices, nvec=(max(choices),), layout=[(0,)] * len(choices))

    def text(self, architecture):
        return ",".join(map(str, architecture))

    def parse(self, text):
        return self.check([int(value) for value in text.split(",")])


def parts(masks: np.ndarray, episodes: Episodes) -> list[np.ndarray]:
    """Masks of n episodes, one array (n, choices) a component."""
    if episodes.step_unit == "decision":
        return [masks]
    return np.split(masks, np.cumsum(episodes.space.nvec)[:-1], axis=1)


def any_actions(episodes: Episodes, rng: np.random.Generator) -> np.ndarray:
    """Random actions of n episodes, legal or not."""
    if episodes.step_unit == "layer":
        return rng.integers(0, episodes.space.nvec, (episodes.count, len(episodes.space.nvec)))
    return rng.integers(0, max(episodes.space.nvec), episodes.count)


@units
def test_gymnasium_accepts_the_environment(space, scorer, unit):
    env = NASEnv(space, scorer(space), unit, render_mode="ansi")
    env.spec = gymnasium.envs.registration.EnvSpec("NAS-v0", lambda **options: NASEnv(space, scorer(space), **options))
    env.spec.kwargs = {"step_unit": unit}
    check_env(env)


@units
def test_stable_baselines3_accepts_the_environment(space, scorer, unit):
    check_env_for_sb3(NASEnv(space, scorer(space), unit))


@units
@seeded
@given(seed=st.integers(0, 2**32), count=st.integers(1, 5))
def test_n_episodes_together_equal_n_alone(space, scorer, unit, seed, count):
    rng, rewards_of = np.random.default_rng(seed), scorer(space)
    together = NASVecEnv(space, rewards_of, count, unit)
    alone = [NASEnv(space, rewards_of, unit) for _ in range(count)]
    together.seed(seed)
    np.testing.assert_array_equal(together.reset(), [env.reset(seed=seed + i)[0] for i, env in enumerate(alone)])
    for _ in range(2 * together.episodes.length):
        np.testing.assert_array_equal(together.action_masks(), [env.action_masks() for env in alone])
        actions = any_actions(together.episodes, rng)
        observations, rewards, dones, infos = together.step(actions)
        for i, env in enumerate(alone):
            observation, reward, terminated, truncated, info = env.step(actions[i])
            assert not truncated
            assert (rewards[i], dones[i]) == (np.float32(reward), terminated)
            assert info == {key: infos[i].get(key) for key in info}
            if terminated:
                np.testing.assert_array_equal(infos[i]["terminal_observation"], observation)
                assert infos[i]["episode"] == {"r": reward, "l": together.episodes.length, "t": 0.0}
                observation, _ = env.reset()
            else:
                assert infos[i] == {}
            np.testing.assert_array_equal(observations[i], observation)


@units
def test_finished_architectures_reach_the_evaluator_in_one_call(space, scorer, unit):
    rewards_of, rng = scorer(space), np.random.default_rng(0)
    env = NASVecEnv(space, rewards_of, 6, unit)
    env.reset()
    for step in range(2 * env.episodes.length):
        assert len(rewards_of.evaluator.calls) == step // env.episodes.length
        _, _, dones, infos = env.step(any_actions(env.episodes, rng))
        assert dones.all() == dones.any() == ((step + 1) % env.episodes.length == 0)
    assert [len(call) for call in rewards_of.evaluator.calls] == [6, 6]
    assert [space.text(a) for a in rewards_of.evaluator.calls[-1]] == [info["architecture"] for info in infos]


@units
def test_the_target_s_reward_is_full_and_comes_at_the_end_only(space, scorer, unit):
    target = space.unrank(space.size // 2)
    env = NASEnv(space, scorer(space, target), unit)
    env.reset()
    actions, rewards = space.actions(target), []
    steps = actions if unit == "layer" else [actions[step, component] for step, component in env.episodes.order]
    for action in steps:
        _, reward, terminated, _, info = env.step(action)
        rewards.append(reward)
    assert rewards == [0.0] * (len(rewards) - 1) + [1.0]
    assert terminated
    assert info == {
        "architecture": space.text(target),
        "code": str(space.rank(target)),
        "accuracy": 1.0,
        "images": None,
        "reward": 1.0,
        "illegal": 0,
    }


@units
def test_what_the_batch_returns_is_fresh(space, scorer, unit):
    rng = np.random.default_rng(0)
    spoiled, clean = (NASVecEnv(space, scorer(space), 3, unit) for _ in range(2))
    spoiled.reset()[:] = 7
    clean.reset()
    for _ in range(2 * clean.episodes.length):
        actions = any_actions(clean.episodes, rng)
        spoiled.action_masks()[:] = False
        np.testing.assert_array_equal(spoiled.action_masks(), clean.action_masks())
        (observations, rewards, dones, infos), expected = spoiled.step(actions), clean.step(actions)
        np.testing.assert_array_equal(observations, expected[0])
        np.testing.assert_array_equal(rewards, expected[1])
        assert dones.tolist() == expected[2].tolist()
        observations[:], rewards[:], dones[:] = 7, 7, True
        for info in infos:
            info.clear()


@units
def test_what_one_environment_returns_is_fresh(space, scorer, unit):
    spoiled, clean = (NASEnv(space, scorer(space), unit) for _ in range(2))
    spoiled.reset()[0][:] = 7
    clean.reset()
    for _ in range(clean.episodes.length):
        spoiled.action_masks()[:] = False
        np.testing.assert_array_equal(spoiled.action_masks(), clean.action_masks())
        observation = spoiled.step(clean.action_space.sample() * 0)[0]
        np.testing.assert_array_equal(observation, clean.step(clean.action_space.sample() * 0)[0])
        observation[:] = 7


@units
def test_every_component_has_a_legal_value(space, unit):
    episodes, rng = Episodes(space, 4, unit), np.random.default_rng(0)
    while not episodes.done:
        for part in parts(episodes.masks(), episodes):
            assert part.any(axis=1).all()
        episodes.step(any_actions(episodes, rng))


@units
def test_masks_keep_their_width_after_the_end(space, scorer, unit):
    env = NASEnv(space, scorer(space), unit)
    env.reset()
    widths = {env.action_masks().shape}
    for _ in range(env.episodes.length):
        env.step(env.action_space.sample())
        widths.add(env.action_masks().shape)
    assert len(widths) == 1
    assert env.action_masks().all()


@units
def test_illegal_choices_become_legal_ones_and_are_counted(space, unit):
    wild, rng = Episodes(space, 4, unit), np.random.default_rng(0)
    counted = np.zeros(4, dtype=int)
    while not wild.done:
        masks, actions = parts(wild.masks(), wild), any_actions(wild, rng)
        position = wild.position
        wild.step(actions)
        for column, (values, mask) in enumerate(zip(actions.reshape(4, -1).T, masks, strict=True)):
            where = (position, column) if unit == "layer" else wild.order[position]
            landed = wild.actions[(slice(None), *where)]
            legal = mask[np.arange(4), values]
            np.testing.assert_array_equal(landed[legal], values[legal])
            assert mask[np.arange(4), landed].all()
            counted += ~legal
    assert counted.sum() > 0
    assert wild.illegal.tolist() == counted.tolist()


@pytest.mark.variants(1)
@pytest.mark.parametrize(("choices", "widest"), [(2, 8), (3, 8), (5, 8), (8, 8), (3, 4)])
def test_a_uniform_agent_without_masks_builds_uniform_architectures(choices, widest):
    """8 is no multiple of 3 or 5: no fixed map of illegal values is uniform."""
    space = Columns([widest, choices])
    rng = np.random.default_rng(0)
    episodes = Episodes(space, 20_000, "decision")
    while not episodes.done:
        episodes.step(any_actions(episodes, rng))
    values = episodes.actions[:, :, 0] if episodes.actions.shape[2] == 1 else episodes.actions.max(axis=2)
    for column, count in enumerate((widest, choices)):
        share = np.bincount(values[:, column], minlength=count) / 20_000
        assert np.abs(share - 1 / count).max() < 5 * np.sqrt(1 / count / 20_000)


@units
def test_the_observation_ends_with_the_mask(space, unit):
    episodes, rng = Episodes(space, 3, unit), np.random.default_rng(0)
    while True:
        masks = episodes.masks()
        np.testing.assert_array_equal(episodes.observations()[:, -masks.shape[1] :], masks)
        if episodes.done:
            assert masks.all()
            break
        episodes.step(any_actions(episodes, rng))


@pytest.mark.parametrize("value", [-1, 3, 99])
def test_a_value_outside_the_component_is_illegal_too(value):
    episodes = Episodes(NasrlSpace(1, ("conv1x1", "conv3x3", "conv5x5")), 1)
    (architecture,) = episodes.step(np.array([[value]]))
    assert architecture in {(0,), (1,), (2,)}
    assert episodes.illegal.tolist() == [1]


def test_every_value_outside_the_component_lands_uniformly():
    episodes = Episodes(NasrlSpace(1, ("conv1x1", "conv3x3", "conv5x5")), 3000)
    episodes.step(np.full((3000, 1), 7))
    assert (np.bincount(episodes.actions[:, 0, 0], minlength=3) > 900).all()


def test_the_bit_of_a_layer_that_does_not_exist_is_ignored():
    episodes = Episodes(NasrlSpace(3, ("conv1x1", "conv3x3")), 2)
    episodes.step(np.array([[1, 1], [1, 0]]))
    np.testing.assert_array_equal(*episodes.observations())


@units
def test_the_observation_holds_the_whole_partial_architecture(space, unit):
    codes = np.random.default_rng(0).choice(space.size, 100, replace=False)
    actions = np.stack([space.actions(space.unrank(int(code))) for code in codes])
    episodes, rows = Episodes(space, len(codes), unit), []
    for position in range(episodes.length):
        where = (position,) if unit == "layer" else episodes.order[position]
        episodes.step(actions[(slice(None), *where)])
        rows.append(np.unique(episodes.observations(), axis=0).shape[0])
        prefixes = np.unique(episodes.actions.reshape(len(codes), -1), axis=0).shape[0]
        assert rows[-1] == prefixes
    assert rows[-1] == len(codes)


@units
def test_observations_fit_their_space(space, unit):
    episodes, rng = Episodes(space, 2, unit), np.random.default_rng(0)
    seen = [episodes.observations()]
    while not episodes.done:
        episodes.step(any_actions(episodes, rng))
        seen.append(episodes.observations())
    assert all(episodes.observation_space().contains(row) for rows in seen for row in rows)
    assert len(np.unique([rows[0] for rows in seen], axis=0)) == episodes.length + 1


@units
@pytest.mark.parametrize("taken", range(4))
def test_a_saved_partial_episode_goes_on_the_same(space, through_disk, unit, taken):
    rng = np.random.default_rng(taken)
    original, resumed = Episodes(space, 3, unit), Episodes(space, 3, unit)
    for _ in range(taken):
        original.step(any_actions(original, rng))
    resumed.step(any_actions(resumed, rng))  # what it was doing before does not matter
    resumed.restore(through_disk(original.state()))
    while True:
        np.testing.assert_array_equal(resumed.observations(), original.observations())
        assert resumed.illegal.tolist() == original.illegal.tolist()
        assert resumed.position == original.position
        if original.done:
            break
        np.testing.assert_array_equal(resumed.masks(), original.masks())
        actions = any_actions(original, rng)
        assert resumed.step(actions) == original.step(actions)


def test_restoring_takes_the_actions_not_the_arrays(space):
    original = Episodes(space, 2)
    original.step(np.zeros((2, len(space.nvec))))
    state = original.state()
    original.step(np.ones((2, len(space.nvec))))
    resumed = Episodes(space, 2)
    resumed.restore(state)
    assert resumed.position == 1


def test_a_space_of_one_architecture_has_an_episode_of_one_decision(scorer):
    space = NasrlSpace(2, ("conv3x3",))
    env = NASEnv(space, scorer(space, (0, 0)), "decision")
    env.reset()
    _, reward, terminated, _, _ = env.step(0)
    assert (reward, terminated) == (1.0, True)


@units
def test_rendering_shows_the_choices_so_far(space, scorer, unit):
    env = NASEnv(space, scorer(space), unit, render_mode="ansi")
    env.reset()
    assert isinstance(env.render(), str)
    env.step(np.ones(len(space.nvec)) if unit == "layer" else 1)
    assert env.render().splitlines()[0].startswith("[1, ")
    assert NASEnv(space, scorer(space), unit).render() is None


def test_the_batch_answers_what_sb3_asks(space, scorer):
    env = NASVecEnv(space, scorer(space), 3)
    env.reset()
    assert env.has_attr("action_masks")
    assert not env.has_attr("nothing_like_it")
    assert len(env.env_method("action_masks")) == 3
    np.testing.assert_array_equal(env.env_method("action_masks", indices=[1]), env.action_masks()[1:2])
    assert env.env_is_wrapped(gymnasium.Wrapper) == [False] * 3
    assert env.get_attr("num_envs", indices=[0, 2]) == [3, 3]
    env.set_attr("render_mode", "ansi")
    assert env.render_mode == "ansi"


@pytest.mark.variants(1)
@pytest.mark.parametrize("algorithm", ["dqn", "qrdqn"])
def test_a_value_based_agent_stays_legal_too(space, scorer, algorithm):
    params = {"learning_starts": 20, "buffer_size": 200, "batch_size": 8, "train_freq": 2}
    controller = controller_of(scorer(space), algorithm=algorithm, episodes=2, params=params)
    callback = Illegal()
    controller.model.learn(60 * controller.env.episodes.length, callback)
    assert len(callback.counts) >= 50
    assert not any(callback.counts)


@pytest.mark.parametrize("algorithm", ["dqn", "qrdqn"])
def test_illegal_choices_have_no_value_and_without_masks_they_have(space, scorer, algorithm):
    rng, lowest = np.random.default_rng(0), {}
    for masked in (True, False):
        options = {"masked": masked, "params": {"buffer_size": 100}}
        policy = controller_of(scorer(space), algorithm=algorithm, **options).model.policy
        network = policy.q_net if algorithm == "dqn" else policy.quantile_net
        episodes, seen = Episodes(space, 5, "decision"), []
        while not episodes.done:
            values = network(torch.from_numpy(episodes.observations())).detach()
            values = values if values.ndim == 2 else values.mean(1)  # (n, choices)
            seen += values[torch.from_numpy(~episodes.masks())].tolist()
            assert (values[torch.from_numpy(episodes.masks())] > IMPOSSIBLE).all()
            episodes.step(any_actions(episodes, rng))
        lowest[masked] = max(seen)
    assert lowest[True] == IMPOSSIBLE < -1000 < lowest[False]


@pytest.mark.variants(3)
@units
@pytest.mark.parametrize(
    ("algorithm", "masked", "some"),
    [
        ("maskable_ppo", True, False),
        *((name, masked, not masked) for name in ("ppo", "a2c", "trpo", "recurrent_ppo") for masked in (True, False)),
    ],
)
def test_masks_keep_an_agent_legal_and_nothing_else_does(space, scorer, unit, algorithm, masked, some):
    small = {"policy": "MlpLstmPolicy", "policy_params": {"lstm_hidden_size": 4}, "params": {"n_epochs": 1}}
    options = small if algorithm == "recurrent_ppo" else {}
    options |= {"step_unit": unit, "episodes": 8, "masked": masked}
    controller = controller_of(scorer(space), algorithm=algorithm, **options)
    callback = Illegal()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        controller.model.learn(5 * 8 * controller.env.episodes.length, callback)
    assert len(callback.counts) == 40
    assert any(callback.counts) == some

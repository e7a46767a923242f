"""Environments of a space in which what is legal depends on earlier choices."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from rlnas.envs import NASEnv, NASVecEnv
from rlnas.envs.episodes import Episodes
from rlnas.spaces.process import legal_values
from tests.envs.test_episodes import any_actions
from tests.stack import BEST, STACK, every_stack, stack_scorer

units = pytest.mark.parametrize("unit", ["layer", "decision"])


@units
def test_gymnasium_and_stable_baselines3_accept_the_environment(unit):
    env = NASEnv(STACK, stack_scorer(), unit, render_mode="ansi")
    env.spec = gymnasium.envs.registration.EnvSpec("NAS-v0", lambda **options: NASEnv(STACK, stack_scorer(), **options))
    env.spec.kwargs = {"step_unit": unit}
    check_env(env)
    check_env_for_sb3(NASEnv(STACK, stack_scorer(), unit))


@units
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 5))
def test_n_episodes_together_equal_n_alone_and_build_legal_stacks(unit, seed, count):
    rng, scorer = np.random.default_rng(seed), stack_scorer()
    together = NASVecEnv(STACK, scorer, count, unit)
    alone = [NASEnv(STACK, scorer, unit) for _ in range(count)]
    together.seed(seed)
    np.testing.assert_array_equal(together.reset(), [env.reset(seed=seed + i)[0] for i, env in enumerate(alone)])
    for _ in range(2 * together.episodes.length):
        np.testing.assert_array_equal(together.action_masks(), [env.action_masks() for env in alone])
        actions = any_actions(together.episodes, rng)
        observations, rewards, dones, infos = together.step(actions)
        for i, env in enumerate(alone):
            observation, reward, terminated, _, info = env.step(actions[i])
            assert (rewards[i], dones[i]) == (np.float32(reward), terminated)
            assert info == {key: infos[i].get(key) for key in info}
            if terminated:
                assert info["code"] is None
                STACK.check(STACK.parse(info["architecture"]))
                np.testing.assert_array_equal(infos[i]["terminal_observation"], observation)
                observation, _ = env.reset()
            np.testing.assert_array_equal(observations[i], observation)


@units
@given(stack=st.sampled_from(every_stack()))
def test_masks_are_those_of_each_episode_s_own_choices(unit, stack):
    episodes, rows = Episodes(STACK, 2, unit), [STACK.actions(stack), STACK.actions(BEST)]
    finished = []
    while not finished:
        step, component = (episodes.position, None) if unit == "layer" else episodes.order[episodes.position]
        for mask, own in zip(episodes.masks(), rows, strict=True):
            if component is None:
                np.testing.assert_array_equal(mask, STACK.legal(own[:step]))
            else:
                assert np.flatnonzero(mask).tolist() == legal_values(STACK, own[:step])[component].tolist()
        taken = [own[step] if component is None else own[step, component] for own in rows]
        finished = episodes.step(np.array(taken))
    assert finished == [stack, BEST]
    assert episodes.illegal.tolist() == [0, 0]


@units
def test_illegal_choices_become_legal_ones_and_are_counted(unit):
    episodes, finished = Episodes(STACK, 50, unit), []
    while not finished:
        wild = np.tile([3, 1], (50, 1)) if unit == "layer" else np.full(50, 3)
        finished = episodes.step(wild)
    assert all(STACK.check(stack) for stack in finished)
    assert (episodes.illegal > 0).all()
    assert (len(set(finished)) > 1) == (unit == "decision")  # 3 and 3 fill the room: nothing is left to draw


@units
@pytest.mark.parametrize("taken", range(4))
def test_a_saved_partial_stack_goes_on_the_same(through_disk, unit, taken):
    rng = np.random.default_rng(taken)
    original, resumed = Episodes(STACK, 3, unit), Episodes(STACK, 3, unit)
    for _ in range(taken):
        original.step(any_actions(original, rng))
    resumed.restore(through_disk(original.state()))
    finished = []
    while not finished:
        np.testing.assert_array_equal(resumed.observations(), original.observations())
        np.testing.assert_array_equal(resumed.masks(), original.masks())
        actions = any_actions(original, rng)
        finished = original.step(actions)
        assert resumed.step(actions) == finished

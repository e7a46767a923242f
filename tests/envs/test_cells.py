"""Environments of cell spaces: both libraries' checks."""

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from rlnas.envs import NASEnv
from rlnas.spaces import DartsSpace, NasnetSpace

SPACES = {"darts": DartsSpace(nodes=2), "nasnet": NasnetSpace(nodes=3, pairs="any", tied=True)}


@pytest.mark.parametrize("unit", ["layer", "decision"])
@pytest.mark.parametrize("name", SPACES)
def test_both_libraries_accept_the_environment(name, unit, scorer):
    space = SPACES[name]
    env = NASEnv(space, scorer(space), unit, render_mode="ansi")
    env.spec = gymnasium.envs.registration.EnvSpec("NAS-v0", lambda **options: NASEnv(space, scorer(space), **options))
    env.spec.kwargs = {"step_unit": unit}
    check_env(env)
    check_env_for_sb3(NASEnv(space, scorer(space), unit))

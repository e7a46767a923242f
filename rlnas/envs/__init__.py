"""Building a network as an environment: gymnasium's single one and stable-baselines3's batched one."""

from rlnas.envs.single import NASEnv
from rlnas.envs.vector import NASVecEnv

__all__ = ["NASEnv", "NASVecEnv"]

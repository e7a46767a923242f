"""Environments that build architectures: a single one for gymnasium, a batched one for stable-baselines3."""

from rlnas.envs.single import NASEnv
from rlnas.envs.vector import NASVecEnv

__all__ = ["NASEnv", "NASVecEnv"]

"""Controllers: choose the architectures to score."""

from rlnas.controllers.base import Controller, GradientController, Problem, Strategy
from rlnas.controllers.make import ALGORITHMS, GRADIENTS, STRATEGIES, load_algorithm, make_controller

__all__ = [
    "ALGORITHMS",
    "GRADIENTS",
    "STRATEGIES",
    "Controller",
    "GradientController",
    "Problem",
    "Strategy",
    "load_algorithm",
    "make_controller",
]

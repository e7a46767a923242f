"""Controllers: choose the architectures to score."""

from rlnas.controllers.base import Controller, Problem, Strategy
from rlnas.controllers.make import ALGORITHMS, STRATEGIES, load_algorithm, make_controller

__all__ = ["ALGORITHMS", "STRATEGIES", "Controller", "Problem", "Strategy", "load_algorithm", "make_controller"]

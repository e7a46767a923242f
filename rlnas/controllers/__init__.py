"""Controllers: who chooses."""

from rlnas.controllers.make import ALGORITHMS, STRATEGIES, Controller, make_controller

__all__ = ["ALGORITHMS", "STRATEGIES", "Controller", "make_controller"]

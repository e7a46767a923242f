"""Controllers: who chooses."""

from rlnas.controllers.make import ALGORITHMS, Controller, make_controller

__all__ = ["ALGORITHMS", "Controller", "make_controller"]

"""Evaluators: score architectures."""

from rlnas.evaluators.base import Evaluator, HeldOutEvaluator, Score, SelectingEvaluator, Training
from rlnas.evaluators.program import ProgramEvaluator
from rlnas.evaluators.shared_weights import SharedWeightsEvaluator
from rlnas.evaluators.standalone import StandaloneEvaluator
from rlnas.evaluators.surrogate import SurrogateEvaluator
from rlnas.evaluators.tabular import TabularEvaluator

__all__ = [
    "Evaluator",
    "HeldOutEvaluator",
    "ProgramEvaluator",
    "Score",
    "SelectingEvaluator",
    "SharedWeightsEvaluator",
    "StandaloneEvaluator",
    "SurrogateEvaluator",
    "TabularEvaluator",
    "Training",
]

"""Evaluators: architectures -> scores."""

from rlnas.evaluators.score import Evaluator, ResumableEvaluator, Score
from rlnas.evaluators.shared_weights import SharedWeightsEvaluator
from rlnas.evaluators.tabular import TabularEvaluator

__all__ = ["Evaluator", "ResumableEvaluator", "Score", "SharedWeightsEvaluator", "TabularEvaluator"]

"""Evaluators: architectures -> scores."""

from rlnas.evaluators.score import Evaluator, Score
from rlnas.evaluators.shared_weights import SharedWeightsEvaluator

__all__ = ["Evaluator", "Score", "SharedWeightsEvaluator"]

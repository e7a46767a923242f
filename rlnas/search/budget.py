"""Budgets that end a search."""

from rlnas.config.schema import BudgetConfig, SearchConfig

UNLIMITED = 10**12  # architectures, where only a time limit ends the search


class BudgetSpent(Exception):
    """Raised when a batch cannot be scored completely; the argument names the budget."""


def architectures_allowed(config: SearchConfig, budget: BudgetConfig) -> tuple[int, str]:
    """Return the number of architectures that may be scored and the budget that sets it; 0 if only time is limited.

    A round is a number of architectures, so that equal rounds are equal budgets for every controller.
    """
    limits = [(budget.architectures, "budget.architectures")] if budget.architectures else []
    if budget.rounds:
        limits.append((budget.rounds * config.architectures_per_round, "budget.rounds"))
    return min(limits, default=(0, ""))

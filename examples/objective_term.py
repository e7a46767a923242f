"""A custom term of the objective: a function of an architecture's features and values.

python -m rlnas '+objective.terms.pooling={weight: -0.2, term: examples.objective_term.pooling_share, most: 0.25}'
"""

from collections.abc import Mapping


def pooling_share(features: Mapping[str, str | float], values: Mapping[str, float | None], most: float = 0.0) -> float:
    """Return by how much the share of pooling among the operators exceeds `most`, in 0..1.

    features: of the space, such as layer3/operator. values: measurements and costs of the architecture, such as
    accuracy, params, flops.
    """
    operators = [value for name, value in features.items() if name.endswith("/operator")]
    share = sum("pool" in str(operator) for operator in operators) / max(len(operators), 1)
    return max(share - most, 0.0)

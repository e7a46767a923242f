"""The control of a score: a ridge regression on an architecture's features and costs, which needs no shared weights."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALPHAS = tuple(10.0**power for power in range(-1, 4))  # penalties to choose from, for standardised features


def design(features: Sequence[Mapping[str, str | float]], costs: Sequence[Sequence[float | None]]) -> Floats:
    """Return the matrix (n, columns) of a regression, in standard units: text features one-hot, numbers as they are.

    costs: positive numbers of each architecture, taken by their logarithm; one that is not known of all is left out.
    """
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.preprocessing import StandardScaler

    rows = []
    known = [all(row[place] for row in costs) for place in range(len(costs[0]))]
    for chosen, row in zip(features, costs, strict=True):
        logs = {f"log cost {place}": math.log(value) for place, value in enumerate(row) if known[place] and value}
        rows.append({**chosen, **logs})
    matrix: Floats = DictVectorizer(sparse=False).fit_transform(rows)
    scaled: Floats = StandardScaler().fit_transform(matrix)
    return scaled


def left_out_predictions(matrix: Floats, truth: Floats) -> Floats:
    """Return for each architecture the prediction (n,) of a ridge that was fitted to all others.

    Its penalty is chosen among ALPHAS by leave-one-out on those others alone. Predictions are relative to the mean of
    the others, plus the mean of all: without a high value the mean of the others is lower, so that plain leave-one-out
    predictions rank in reverse wherever the features tell little.
    """
    from sklearn.linear_model import RidgeCV

    found = np.empty(len(truth))
    for place in range(len(truth)):
        others = np.arange(len(truth)) != place
        model = RidgeCV(alphas=ALPHAS).fit(matrix[others], truth[others])
        found[place] = float(model.predict(matrix[[place]])[0]) - truth[others].mean() + truth.mean()
    return found

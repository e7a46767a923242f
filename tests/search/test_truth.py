"""What a benchmark says about the found architecture."""

import numpy as np

from rlnas.search.truth import truth
from rlnas.spaces import NasrlSpace, TableSpace
from rlnas.tabular import Benchmark


def test_score_regret_and_place_by_hand():
    score = np.array([3.0, 9.0, 5.0, 9.0])
    space = TableSpace("table", Benchmark("b", "0", ("x",), (("a", "b", "c", "d"),), score[:, None], score))
    assert truth(space, (2,)) == {"score": 5.0, "regret": 4.0, "place": 3}
    assert truth(space, (3,)) == {"score": 9.0, "regret": 0.0, "place": 1}  # both best ones are first


def test_a_space_without_a_benchmark_says_nothing():
    space = NasrlSpace(2)
    assert truth(space, space.unrank(0)) == {}

"""The shipped table: complete, of its own space's networks, and with less noise than differences."""

import numpy as np
import pytest

from benchmarks.nasrl_bench import noise
from rlnas.config.spaces import NasrlBenchConfig
from rlnas.errors import RlnasError
from rlnas.spaces import make_space
from rlnas.spaces.networks import Networks
from rlnas.tabular.nasrl_bench import FILE


@pytest.fixture(scope="module")
def space():
    return make_space(NasrlBenchConfig())


def test_row_r_is_the_architecture_of_rank_r_with_its_costs(space):
    assert space.size == 4**4 * 2**3 == 2048
    texts = space.benchmark.values[0]
    networks = Networks(space, 3, 32, 10)
    for rank in range(0, space.size, 61):
        architecture = space.unrank(rank)
        assert space.text(architecture) == texts[rank]
        cost = networks.cost(architecture)
        assert (cost.params, cost.flops) == (space.benchmark.params[rank], space.benchmark.flops[rank])
    assert len(set(texts)) == space.size


def test_the_table_is_small_enough_to_ship():
    assert FILE.stat().st_size < 500_000


@pytest.mark.parametrize("name", ["accuracy", "log_likelihood"])
def test_noise_between_seeds_is_below_the_spread_between_architectures(space, name):
    values = space.benchmark.observed if name == "accuracy" else space.benchmark.others[name]
    found = noise(values)
    assert values.shape[1] >= 2
    assert found["noise"] < found["spread"] / 1.5
    assert found["tau"] > 0.45


def test_a_query_returns_values_of_one_training(space):
    from rlnas.evaluators import TabularEvaluator

    evaluator = TabularEvaluator(space, seed=0)
    assert evaluator.value_names == ("log_likelihood",)
    architecture = space.unrank(77)
    benchmark = space.benchmark
    trainings = set(zip(benchmark.observed[77], benchmark.others["log_likelihood"][77], strict=True))
    drawn = {(score.accuracy, score.values["log_likelihood"]) for score in evaluator.evaluate([architecture] * 40)}
    assert drawn == trainings


def test_the_table_is_not_a_trivial_one(space):
    """The best architecture is not simply the most expensive one."""
    benchmark = space.benchmark
    assert np.argmax(benchmark.score) != np.argmax(benchmark.flops)


def test_another_table_is_read_and_a_damaged_one_refused(tmp_path):
    copy = tmp_path / "copy.csv"
    copy.write_bytes(FILE.read_bytes())
    assert make_space(NasrlBenchConfig(path=str(copy))).fingerprint == make_space(NasrlBenchConfig()).fingerprint
    lines = FILE.read_text().splitlines()
    copy.write_text("\n".join(lines[:-1]))
    with pytest.raises(RlnasError, match=r"copy.csv is no table of nasrl_bench: 2047 rows"):
        make_space(NasrlBenchConfig(path=str(copy)))
    copy.write_text("\n".join([lines[0], *lines[1:-1], lines[-1].replace(",", ",x", 1)]))
    with pytest.raises(RlnasError, match="column params"):
        make_space(NasrlBenchConfig(path=str(copy)))
    copy.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    with pytest.raises(RlnasError, match=r"row 1 is '.*', expected '.*'; rows must be in the order"):
        make_space(NasrlBenchConfig(path=str(copy)))
    with pytest.raises(RlnasError, match="cannot be read"):
        make_space(NasrlBenchConfig(path=str(tmp_path / "none.csv")))

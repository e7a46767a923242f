"""The public file as it is: numbers that its authors and its readers published."""

import numpy as np
import pytest

from rlnas.config.spaces import NasBenchMacroConfig
from rlnas.errors import RlnasError
from rlnas.spaces import make_space
from rlnas.tabular.nas_bench_macro import network


@pytest.fixture(scope="module")
def space(nas_bench_macro):
    return make_space(NasBenchMacroConfig(path=str(nas_bench_macro)))


def test_size_optimum_and_classes(space):
    table = space.benchmark
    assert (space.size, table.distinct) == (6561, 3969)
    assert table.optimum == pytest.approx(93.1267, abs=1e-4)
    best = [space.text(space.unrank(int(rank))) for rank in np.flatnonzero(table.score == table.score.max())]
    assert best == ["2,2,2,1,2,2,0,2", "2,2,2,1,2,2,2,0"]
    assert table.observed[table.best].tolist() == pytest.approx([93.28, 93.33, 92.77], abs=1e-4)
    assert np.median(table.score) == pytest.approx(90.99, abs=0.01)
    assert space.text(space.unrank(int(table.score.argmin()))) == "0,0,0,0,0,0,0,0"
    assert (table.params[table.best], round(table.flops[table.best] / 1e6, 1)) == (1985514, 85.2)


def test_keys_of_one_network_have_equal_rows(space):
    table = space.benchmark
    sizes = np.bincount(np.unique(table.networks, return_inverse=True)[1])
    assert np.bincount(sizes).tolist() == [0, 2025, 1620, 0, 324]
    for number in np.unique(table.networks)[::50]:
        rows = table.observed[table.networks == number]
        assert (rows == rows[0]).all()


@pytest.mark.parametrize(
    ("key", "same"), [("01012010", "01012010"), ("20201002", "20210020"), ("00010001", "00010010")]
)
def test_identities_move_to_the_end_of_their_stage(key, same):
    """Stages of 2, 3 and 3: 20|201|002 is 20|210|020."""
    assert network(key) == same == network(same)


def test_a_missing_file_says_where_to_get_it(tmp_path, monkeypatch):
    with pytest.raises(RlnasError, match="GitHub repository xiusu/NAS-Bench-Macro"):
        make_space(NasBenchMacroConfig(path=str(tmp_path / "x.json")))
    monkeypatch.delenv("RLNAS_DATA", raising=False)
    with pytest.raises(RlnasError, match=r"set space.path, or put it into"):
        make_space(NasBenchMacroConfig())


def test_another_file_of_that_name_is_refused(tmp_path):
    (tmp_path / "nas-bench-macro_cifar10.json").write_text("{}")
    with pytest.raises(RlnasError, match="is not the published file"):
        make_space(NasBenchMacroConfig(path=str(tmp_path)))


def test_the_environment_variable_is_looked_at(nas_bench_macro, monkeypatch):
    monkeypatch.setenv("RLNAS_DATA", str(nas_bench_macro.parent))
    assert make_space(NasBenchMacroConfig()).size == 6561

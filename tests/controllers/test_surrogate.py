"""Search with a predictor: what it is fitted to, what it proposes, and that its knowledge is what helps."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import rlnas
from benchmarks.bare import bare_search, regrets
from benchmarks.sweep import controller_config, typed
from benchmarks.synthetic import synthetic_space
from rlnas.config.spaces import NasBenchMacroConfig
from rlnas.controllers.encoding import Described, Encoding
from rlnas.controllers.pnas import Pnas
from rlnas.controllers.predictors import PREDICTORS, GaussianProcess
from rlnas.controllers.surrogate import Surrogate
from rlnas.envs.scorer import Outcome
from rlnas.errors import RlnasError
from rlnas.evaluators import Score
from rlnas.evaluators.prediction import kendall
from rlnas.spaces import NasrlSpace, TableSpace
from rlnas.tabular import Benchmark, read_benchmark

SPACE = NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)  # 648 architectures


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def value(architecture) -> float:
    """Best at all twos and ones; the skips count too."""
    return float(np.sum(architecture)) / 10


def told(strategy, asked, values=None) -> None:
    values = [value(one) for one in asked] if values is None else values
    strategy.tell([Outcome(a, Score({"accuracy": v}), v, 0.0) for a, v in zip(asked, values, strict=True)])


def play(strategy, batches: int, count: int = 4) -> list[Any]:
    played = []
    for _ in range(batches):
        asked = strategy.ask(count)
        told(strategy, asked)
        played += asked
    return played


def table(choices: tuple[int, ...]) -> TableSpace:
    """The sum of the decisions, without noise."""
    rows = np.array(list(itertools.product(*map(range, choices))), dtype=float)
    names = tuple(f"c{number}" for number in range(len(choices)))
    values = tuple(tuple(map(str, range(count))) for count in choices)
    score = rows.sum(axis=1)
    return TableSpace("table", Benchmark("sum", "", names, values, score[:, None], score))


# -- inputs and predictors ---------------------------------------------------------------------------------


def test_squared_distances_count_differences_by_hand():
    rows = [Described({"a/x": "p", "b/y": "q", "size": 0.0}), Described({"a/x": "r", "b/y": "q", "size": 4.0})]
    rows.append(Described({"a/x": "p", "b/y": "s", "size": 2.0}))
    encoding = Encoding(rows)
    inputs = encoding(rows)
    own = [place for name, place in encoding.names.items() if "/" in name or name == "size"]
    columns = [list(encoding.kept).index(place) for place in own]
    squared = np.square(inputs[:, None] - inputs[None])[..., columns].sum(axis=2)
    np.testing.assert_allclose(squared, [[0, 2, 1.25], [2, 0, 2.25], [1.25, 2.25, 0]])  # 4 is the range of size
    unseen = encoding([Described({"a/x": "new", "b/y": "q", "size": 0.0})])
    assert unseen.shape == (1, inputs.shape[1])


def test_the_process_has_the_posterior_of_the_formula():
    rng = generator()
    some = [SPACE.unrank(int(code)) for code in rng.choice(SPACE.size, 30, replace=False)]
    described = [Described(SPACE.features(one)) for one in some]
    targets, counts = np.array([value(one) for one in some]), rng.integers(1, 4, size=30).astype(float)
    process = GaussianProcess()
    process.fit(described[:20], targets[:20], counts[:20], rng)
    mean, deviation = process.predict(described[20:])
    known, new = process.encoding(described[:20]), process.encoding(described[20:])

    def kernel(a, b):
        return np.exp(-np.square(a[:, None] - b[None]).sum(axis=2) / (2 * process.length**2))

    inverse = np.linalg.inv(kernel(known, known) + np.diag(process.noise / counts[:20] + 1e-8))
    weights = kernel(new, known) @ inverse
    centred = targets[:20] - targets[:20].mean()
    np.testing.assert_allclose(mean, targets[:20].mean() + weights @ centred, atol=1e-6)
    variance = process.scale * (1 - np.sum(weights * kernel(new, known), axis=1)) * targets[:20].var()
    np.testing.assert_allclose(np.square(deviation), variance, atol=1e-6)


@pytest.mark.parametrize("name", ["gp", "ridge", pytest.param("lstm", marks=pytest.mark.thorough)])
def test_a_predictor_ranks_what_it_has_not_seen_is_deterministic_and_leaves_the_global_generator(name):
    some = [SPACE.unrank(int(code)) for code in generator().choice(SPACE.size, 120, replace=False)]
    described, targets = [Described(SPACE.features(one)) for one in some], np.array([value(one) for one in some])
    torch.manual_seed(5)
    before = torch.get_rng_state()
    found = []
    for _ in range(2):
        predictor = PREDICTORS[name]()
        predictor.fit(described[:60], targets[:60], np.ones(60), generator(1))
        found.append(predictor.predict(described[60:]))
    np.testing.assert_array_equal(found[0], found[1])
    assert torch.equal(torch.get_rng_state(), before)
    mean, deviation = found[0]
    assert (kendall(mean.tolist(), targets[60:].tolist()) or 0) > 0.6
    assert (deviation >= 0).all()


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_predictor_takes_few_and_equal_values(name, count):
    described = [Described(SPACE.features(SPACE.unrank(7 * code))) for code in range(count)]
    predictor = PREDICTORS[name]()
    predictor.fit(described, np.full(count, 0.5), np.ones(count), generator())
    mean, deviation = predictor.predict([Described(SPACE.features(SPACE.unrank(300)))])
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()
    if name in ("gp", "ridge"):
        assert mean[0] == pytest.approx(0.5)


# -- proposals ---------------------------------------------------------------------------------------------


class Stub:
    """Knows mean and deviation by the first two decisions."""

    def fit(self, described, targets, counts, rng) -> None:
        pass

    def predict(self, described):
        rows = [SPACE.parse(one.features["text"]) for one in described]
        return np.array([row[0] for row in rows], dtype=float), np.array([row[1] for row in rows], dtype=float)


@pytest.mark.parametrize(("options", "best"), [({"acquisition": "mean"}, 2.0), ({"exploration": 3.0}, 8.0)])
def test_candidates_are_ranked_by_their_acquisition(monkeypatch, options, best):
    monkeypatch.setitem(PREDICTORS, "gp", Stub)
    monkeypatch.setattr(SPACE, "features", lambda one: {"text": SPACE.text(one)}, raising=False)
    search = Surrogate(SPACE, generator(), initial=4, **options)
    play(search, 1)
    factor = options.get("exploration", 0.0)
    assert {one[0] + factor * one[1] for one in search.ask(4)} == {best}


def test_of_a_thompson_draw_the_uncertain_ones_win_sometimes(monkeypatch):
    monkeypatch.setitem(PREDICTORS, "gp", Stub)
    monkeypatch.setattr(SPACE, "features", lambda one: {"text": SPACE.text(one)}, raising=False)
    search = Surrogate(SPACE, generator(), initial=4, acquisition="thompson")
    play(search, 1)
    sure, unsure = SPACE.unrank(SPACE.rank((1, 0, *SPACE.unrank(0)[2:]))), (0, 2, *SPACE.unrank(0)[2:])
    first = [search.ranked([sure, unsure], 1)[0] for _ in range(2000)]
    # P(2 z > 1) = 0.3085
    assert abs(np.mean([one == unsure for one in first]) - 0.3085) < 0.04


def test_first_random_then_never_twice_until_all_are_scored():
    space = table((3, 3, 2))
    search = Surrogate(space, generator(), initial=4, candidates=30)
    played = []
    for _ in range(3):
        asked = search.ask(5)
        played += asked
        told(search, asked)
    assert len(set(played)) == 15
    for _ in range(3):  # fewer than a batch are left, then none
        asked = search.ask(5)
        assert len(asked) == 5
        told(search, asked)
    assert len(search.values.known) >= 17


@pytest.mark.parametrize("cls", [Surrogate, Pnas])
@pytest.mark.parametrize("choices", [(1,), (2,), (1, 2)])
def test_a_space_smaller_than_a_batch_does_not_hang(cls, choices):
    space = table(choices)
    search = cls(space, generator(), initial=1, candidates=8)
    for _ in range(4):
        asked = search.ask(6)
        assert len(asked) == 6
        assert len(search.sample(3)) == 3
        told(search, asked)
    assert len(search.values.known) == space.size


def test_with_repeats_noisy_ones_are_scored_again():
    noisy = generator(3)

    def scored_often(repeats: bool) -> int:
        search = Surrogate(SPACE, generator(), initial=10, candidates=20, repeats=repeats)
        for _ in range(15):
            asked = search.ask(4)
            told(search, asked, [value(one) + noisy.normal() for one in asked])
        return max(count for _, count in search.values.known.values())

    assert scored_often(True) > 1
    assert scored_often(False) == 1


def test_the_predictor_is_fitted_to_the_latest_scores_once_a_batch(monkeypatch):
    fits = []

    class Counting(GaussianProcess):
        def fit(self, described, targets, counts, rng) -> None:
            fits.append(len(targets))
            super().fit(described, targets, counts, rng)

    monkeypatch.setitem(PREDICTORS, "gp", Counting)
    search = Surrogate(SPACE, generator(), initial=8, candidates=20, memory=14)
    play(search, 5)
    search.sample(10)
    assert fits == [8, 12, 14]


def test_a_failed_one_counts_as_the_worst():
    search = Surrogate(SPACE, generator(), initial=4, candidates=20)
    asked = search.ask(4)
    told(search, asked, [1.0, -np.inf, 3.0, 2.0])
    other = Surrogate(SPACE, generator(), initial=4, candidates=20)
    told(other, other.ask(4), [1.0, 1.0, 3.0, 2.0])
    assert search.ask(4) == other.ask(4)


@pytest.mark.parametrize("cls", [Surrogate, Pnas])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predictor": "tree"}, "controller.params.predictor is 'tree', expected one of gp, ridge, lstm, noise"),
        ({"acquisition": "best"}, "acquisition is 'best', expected one of bound, thompson, mean"),
        ({"repeats": 1}, "repeats is 1, expected true or false"),
    ],
)
def test_wrong_options_are_named(cls, options, message):
    with pytest.raises(RlnasError, match=message):
        cls(SPACE, generator(), **options)


# -- progression -------------------------------------------------------------------------------------------


def growing(every: int = 12):
    return rlnas.make_space(
        "nasrl", layers=4, operators=["conv3x3", "conv5x5", "identity"], grow={"start": 2, "step": 1, "every": every}
    )


def progress(search: Pnas, batches: int, count: int = 4, worth=value) -> list[Any]:
    played = []
    for _ in range(batches):
        search.space.advance(len(played))
        asked = search.ask(count)
        told(search, asked, [worth(one) for one in asked])
        played += asked
    return played


def test_at_each_stage_expansions_of_the_best_are_scored():
    space = growing(every=8)
    played = progress(Pnas(space, generator(), beam=2), 6)
    words = [space.text(one).split() for one in played]
    assert [len(one) for one in words] == [2] * 8 + [3] * 8 + [4] * 8
    for stage in (8, 16):
        before = list(dict.fromkeys(played[stage - 8 : stage]))
        best = [space.text(one) for one in sorted(before, key=value, reverse=True)[:2]]
        for one in words[stage : stage + 8]:
            assert " ".join(one[:-1]) in best
    assert len(set(played)) == 24 - (8 - len(set(played[:8])))


def test_the_first_stage_is_random_and_every_architecture_of_it_may_be_scored():
    space = growing(every=12)
    played = progress(Pnas(space, generator(), initial=1), 3)
    assert len(set(played)) > 7  # of nine


def test_expansions_are_sampled_where_there_are_too_many():
    search = Pnas(growing(every=8), generator(), beam=4, beam_candidates=8)
    progress(search, 3)
    assert 0 < len(search.expansions) <= 8


def test_the_state_in_the_middle_of_a_stage_is_exact():
    first = Pnas(growing(every=8), generator(), beam=3)
    progress(first, 3)
    second = Pnas(growing(every=8), generator(9), beam=3)
    second.space.advance(12)
    second.restore(first.state())
    second.rng.bit_generator.state = first.rng.bit_generator.state
    for batch in range(3, 6):
        for one in (first, second):
            one.space.advance(4 * batch)
        asked = first.ask(4)
        assert second.ask(4) == asked
        for one in (first, second):
            told(one, asked)
        assert second.state() == first.state()


def test_without_growth_pnas_is_the_surrogate_search():
    one, other = (cls(SPACE, generator(), acquisition="mean", initial=8, candidates=40) for cls in (Surrogate, Pnas))
    assert play(one, 6) == play(other, 6)


# -- contrasts ---------------------------------------------------------------------------------------------


def regret(table: str, controller: str, setting: str, architectures: int, seeds: range) -> np.ndarray:
    space, config = synthetic_space(table), typed(controller_config(controller, setting))
    searches = [bare_search(space, config, architectures=architectures, seed=seed) for seed in seeds]
    return np.array([regrets(space, *found, [architectures])[0] for found in searches])


SEARCHES = [("surrogate", "episodes=10"), ("pnas", "episodes=10")]


@pytest.mark.variants(1)
@pytest.mark.parametrize(("controller", "setting"), SEARCHES)
def test_the_predictor_is_what_helps_and_random_search_has_twice_the_regret(controller, setting):
    seeds = range(5)
    found = regret("wide", controller, setting, 200, seeds)
    blind = regret("wide", controller, f"{setting} params.predictor=noise", 200, seeds)
    random = regret("wide", "random", "", 200, seeds)
    assert found.mean() <= random.mean() / 2
    assert found.mean() < blind.mean()
    assert (found <= blind).mean() >= 0.8


def test_progress_with_a_predictor_finds_better_ones_than_with_noise():
    rng = np.random.default_rng(0)
    gains = rng.normal(size=(40, 2))

    def worth(one) -> float:
        return float(sum(gains[place, min(choice, 1)] for place, choice in enumerate(one)))

    def best(predictor: str, seed: int) -> float:
        space = rlnas.make_space(
            "nasrl", layers=6, operators=["conv3x3", "identity"], grow={"start": 3, "step": 1, "every": 16}
        )
        search = Pnas(space, generator(seed), predictor=predictor, beam=8, beam_candidates=200)
        return max(worth(one) for one in progress(search, 16, worth=worth))

    leads = [best("gp", seed) - best("noise", seed) for seed in range(6)]
    assert np.mean(leads) > 0
    assert sum(lead > 0 for lead in leads) >= 5


@pytest.mark.thorough
@pytest.mark.parametrize("setting", ["", "params.repeats=true", "params.predictor=ridge"])
def test_on_nas_bench_macro_random_search_has_twice_the_regret(nas_bench_macro, setting):
    space = TableSpace("nas_bench_macro", read_benchmark(NasBenchMacroConfig(path=str(nas_bench_macro))))
    means = []
    for name, options in (("surrogate", setting), ("random", "")):
        config = typed(controller_config(name, options))
        searches = [bare_search(space, config, architectures=200, seed=seed) for seed in range(10)]
        means.append(np.mean([regrets(space, *found, [200])[0] for found in searches]))
    assert means[0] <= means[1] / 2

"""From candidates to finalists to one, on an evaluator that knows every accuracy."""

import numpy as np
import pytest

from rlnas.config.schema import ObjectiveConfig, SelectConfig
from rlnas.errors import RlnasError
from rlnas.evaluators import Score, SelectingEvaluator
from rlnas.objective import Objective
from rlnas.runs.tables import HISTORY, Table
from rlnas.search.candidates import distinct, in_turn
from rlnas.search.select import Selection
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(2, ("conv1x1", "conv3x3", "max_pool3x3"))  # nine architectures
A, B, C, D, E = (SPACE.unrank(code) for code in range(5))
SHARED: dict = {A: 0.5, B: 0.4, C: 0.3, D: 0.2, E: 0.1}
FLOPS = {A: 900, B: 100, C: 800, D: 200, E: 300}


class Known(SelectingEvaluator):
    """An evaluator: SHARED on the whole split, `alone` after a short training (None: it diverges).

    nats, nats_alone: log-likelihoods, of the same; None where it measures the accuracy only.
    """

    def __init__(self, alone, nats=None, nats_alone=None):
        self.alone = alone
        self.nats = nats
        self.nats_alone = nats_alone
        self.trained = []
        self.started = set()

    def evaluate(self, architectures):
        raise AssertionError("candidates are scored on the whole split")

    def evaluate_fully(self, architectures):
        return [Score(self.values(architecture, SHARED[architecture], self.nats)) for architecture in architectures]

    def values(self, architecture, accuracy, nats):
        return {"accuracy": accuracy} if nats is None else {"accuracy": accuracy, "log_likelihood": nats[architecture]}

    def evaluate_alone(self, architectures, epochs, *, from_shared=True, repeats=None):
        self.started.add("shared" if from_shared else "scratch")
        for architecture in architectures:
            self.trained.append((architecture, epochs))
            accuracy = self.alone[architecture]
            failed = "the loss is nan" if accuracy is None else None
            yield Score(self.values(architecture, accuracy or 0.0, self.nats_alone), failed=failed)

    def costs(self, architecture):
        return {"params": 7, "flops": FLOPS.get(architecture, 1000)}


class Policy:
    """A controller that draws these."""

    def __init__(self, *drawn):
        self.drawn = list(drawn)

    def sample(self, count):
        return self.drawn[:count]


@pytest.fixture
def history(tmp_path):
    """history((round, architecture, accuracy in the search), ...)"""

    tables = []

    def make(*rows):
        table = Table(tmp_path / "history.csv", HISTORY)
        tables.append(table)
        empty = dict.fromkeys(HISTORY)
        table.append(
            [
                {**empty, "round": r, "architecture": SPACE.text(a), "accuracy": accuracy, "flops": FLOPS[a]}
                for r, a, accuracy in rows
            ]
        )
        return table

    yield make
    for table in tables:
        table.close()


def choose(history, policy=(), frozen=False, alone=None, terms=None, limits=None, nats=(None, None), **config):
    """The candidates and the evaluator that was asked."""
    evaluator, said = Known(alone or SHARED, *nats), []
    found = Selection(
        SelectConfig(**{"references": 0, "controls": 0, **config}),
        SPACE,
        Objective(ObjectiveConfig(terms or {"accuracy": 1.0}, limits or {}), SPACE),
        history,
        Policy(*policy),
        evaluator,
        rng=np.random.default_rng(0),
        control_rng=np.random.default_rng(1),
        frozen=frozen,
        costs=lambda one: {"flops": FLOPS[one], "params": 10 * FLOPS[one]},
        say=said.append,
    ).run()
    return found.candidates, evaluator, said


def test_in_turn_by_hand():
    assert in_turn(["a1", "a2", "b1", "a3", "b2", "c1"], lambda item: item[0]) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert in_turn([], len) == []
    assert in_turn([None, 1, None], lambda item: item is None) == [None, 1, None]


def test_distinct_keeps_the_first_of_each():
    rows = [{"architecture": text, "n": str(n)} for n, text in enumerate("aabac")]
    assert [row["n"] for row in distinct(rows)] == ["0", "2", "4"]


def test_without_finalists_the_best_by_shared_weights_is_found(history):
    found, evaluator, said = choose(history((1, C, 0.9), (1, A, 0.1)), from_policy=0, finalists=1)
    assert [(c.architecture, c.accuracy, c.alone) for c in found] == [(A, 0.5, None), (C, 0.3, None)]
    assert (evaluator.trained, said) == ([], [])


def test_the_best_finalist_is_found_and_the_others_follow(history):
    rows = history((1, A, 0.5), (1, B, 0.4), (1, C, 0.3), (1, D, 0.2))
    found, evaluator, said = choose(
        rows, from_policy=0, finalists=3, finalist_epochs=0.5, alone={A: 0.6, B: 0.7, C: 0.65}
    )
    assert [(c.architecture, c.alone) for c in found] == [(B, 0.7), (C, 0.65), (A, 0.6), (D, None)]
    assert evaluator.trained == [(A, 0.5), (B, 0.5), (C, 0.5)]
    assert evaluator.started == {"shared"}
    assert len(said) == 4


def test_finalists_start_where_the_configuration_says(history):
    for start in ("shared", "scratch"):
        rows = history((1, A, 0.5), (1, B, 0.4))
        _, evaluator, said = choose(rows, from_policy=0, finalists=2, finalist_start=start)
        assert evaluator.started == {start}
        assert start in said[0]


def test_a_finalist_that_diverges_counts_as_zero_and_is_named(history):
    found, _, said = choose(history((1, A, 0.5), (1, B, 0.4)), from_policy=0, finalists=2, alone={A: None, B: 0.2})
    assert [(c.architecture, c.alone) for c in found] == [(B, 0.2), (A, 0.0)]
    assert any("the loss is nan" in line for line in said)


def test_candidates_come_from_all_rounds_in_turn_the_last_first(history):
    rows = history((1, A, 0.9), (1, B, 0.8), (2, C, 0.2), (2, D, 0.3), (2, E, 0.1))
    found, *_ = choose(rows, from_policy=0, from_history=3, finalists=1)
    assert {c.architecture: c.source for c in found} == {D: 2, A: 1, C: 2}


def test_with_frozen_weights_only_the_scores_decide(history):
    rows = history((1, A, 0.9), (1, B, 0.8), (1, C, 0.7), (2, D, 0.3))
    found, *_ = choose(rows, from_policy=0, from_history=3, finalists=1, frozen=True)
    assert {c.architecture for c in found} == {A, B, C}


def test_finalists_are_the_best_of_each_round_and_of_the_policy(history):
    rows = history((1, D, 0.9), (1, C, 0.8), (2, B, 0.9), (2, E, 0.8))
    _, evaluator, _ = choose(rows, policy=[A], finalists=3)
    assert [architecture for architecture, _ in evaluator.trained] == [A, B, C]
    _, evaluator, _ = choose(rows, policy=[A], finalists=4)
    assert [architecture for architecture, _ in evaluator.trained] == [A, B, C, E]


def test_with_frozen_weights_finalists_are_the_best(history):
    _, evaluator, _ = choose(history((1, A, 0.5), (1, B, 0.4), (2, C, 0.3)), from_policy=0, finalists=2, frozen=True)
    assert [architecture for architecture, _ in evaluator.trained] == [A, B]


def test_an_architecture_of_both_sources_is_the_policys(history):
    found, *_ = choose(history((1, A, 0.5), (1, B, 0.4)), policy=[A, A], finalists=1)
    assert [(c.architecture, c.source) for c in found] == [(A, "policy"), (B, 1)]


def test_there_is_always_a_candidate(history):
    found, *_ = choose(history((1, A, 0.5), (1, B, 0.4)), from_policy=0, from_history=0)
    assert [c.architecture for c in found] == [A]


def test_nothing_scored_and_nothing_drawn_is_an_error(history):
    with pytest.raises(RlnasError, match="there is no candidate; give a larger budget"):
        choose(history(), from_policy=0)


def test_random_candidates_are_finalists_too(history):
    """One for the policy, one for the round, and each random one, before any of them has a second."""
    rows = history((1, A, 0.9), (1, B, 0.8))
    everything = {SPACE.unrank(code): 0.01 * code for code in range(9)}
    SHARED.update({one: 0.05 for one in everything if one not in SHARED})
    found, evaluator, _ = choose(rows, policy=[C, D], from_random=3, finalists=5, alone=everything)
    sources = {c.architecture: c.source for c in found}
    drawn = [one for one, source in sources.items() if source == "random"]
    assert 1 <= len(drawn) <= 3
    trained = [architecture for architecture, _ in evaluator.trained]
    assert set(drawn) < set(trained)
    first = trained[: 2 + len(drawn)]
    assert [sources[one] for one in first].count("policy") == 1
    again, *_ = choose(rows, policy=[C, D], from_random=3, finalists=5, alone=everything)
    assert again == found


def test_what_costs_too_much_is_no_candidate(history):
    rows = history((1, A, 0.5), (1, B, 0.4), (1, C, 0.3), (1, D, 0.2))
    found, _, _ = choose(rows, policy=[C, E], from_policy=2, from_history=2, limits={"flops": 300}, finalists=1)
    assert {one.architecture for one in found} == {B, D, E}  # two of the history all the same
    found, _, _ = choose(rows, policy=[C, E], from_policy=2, from_history=2, finalists=1)
    assert {one.architecture for one in found} == {A, B, C, E}


def test_a_limit_that_nothing_keeps(history):
    with pytest.raises(RlnasError, match=r"is within objective.limits.flops=50 \(lowest 100\)"):
        choose(history((1, A, 0.5), (1, B, 0.4)), from_policy=0, limits={"flops": 50})


def test_limits_are_on_what_the_final_network_costs(history):
    """The evaluator's parameters, in the search, are 7 for all."""
    rows = history((1, A, 0.5), (1, B, 0.4), (1, D, 0.2))
    found, *_ = choose(rows, from_policy=0, limits={"params": 2000}, finalists=1)
    assert {one.architecture for one in found} == {B, D}


# -- by the objective --------------------------------------------------------------------------------------

CHEAP = {"accuracy": 1.0, "flops": -0.001}  # A -0.4, B 0.3, C -0.5, D 0, E -0.2


def test_candidates_and_finalists_are_in_order_of_the_objective(history):
    rows = history((1, A, 0.5), (1, B, 0.4), (1, C, 0.3), (1, D, 0.2))
    found, *_ = choose(rows, from_policy=0, finalists=1, terms=CHEAP)
    assert [c.architecture for c in found] == [B, D, A, C]
    assert [c.value for c in found] == pytest.approx([0.3, 0.0, -0.4, -0.5])
    found, evaluator, _ = choose(rows, from_policy=0, finalists=2, terms=CHEAP, alone={B: 0.3, D: 0.6})
    assert [architecture for architecture, _ in evaluator.trained] == [B, D]
    assert [(c.architecture, c.alone) for c in found[:2]] == [(D, 0.6), (B, 0.3)]
    assert [c.alone_value for c in found[:2]] == pytest.approx([0.4, 0.2])


def test_the_best_of_the_history_are_those_of_the_highest_objective(history):
    rows = history((1, A, 0.9), (1, B, 0.4), (1, D, 0.7))  # 0, 0.3 and 0.5 with what they cost
    found, *_ = choose(rows, from_policy=0, from_history=2, finalists=1, terms=CHEAP)
    assert {c.architecture for c in found} == {B, D}


def test_terms_for_the_search_alone_do_not_count(history):
    rows = history((1, A, 0.5), (1, B, 0.4), (1, C, 0.3), (1, D, 0.2))
    terms = {"accuracy": 1.0, "flops": {"weight": -0.001, "search_only": True}}
    found, *_ = choose(rows, from_policy=0, from_history=2, finalists=1, terms=terms)
    assert [c.architecture for c in found] == [A, B]


# A and B have the most right, C and D are surest of the right classes; alone D is, which has the fewest right
NATS = {A: -2.0, B: -1.9, C: -1.2, D: -1.1}
NATS_ALONE = {A: -1.8, B: -1.7, C: -1.5, D: -1.0}
ALONE = {A: 0.6, B: 0.7, C: 0.5, D: 0.4}


def test_the_log_likelihood_selects_another_candidate_than_the_accuracy(history):
    rows = history((1, A, 0.5), (1, B, 0.4), (1, C, 0.3), (1, D, 0.2))
    rows.rows = [{**row, "log_likelihood": str(NATS[SPACE.parse(row["architecture"])])} for row in rows.rows]
    options = {"from_policy": 0, "finalists": 2, "alone": ALONE, "nats": (NATS, NATS_ALONE)}
    by_accuracy, evaluator, said = choose(rows, **options)
    assert [architecture for architecture, _ in evaluator.trained] == [A, B]
    assert by_accuracy[0].architecture == B
    assert not any("objective" in line for line in said)
    by_nats, evaluator, said = choose(rows, terms={"log_likelihood": 1.0}, **options)
    assert [architecture for architecture, _ in evaluator.trained] == [D, C]
    assert [c.architecture for c in by_nats] == [D, C, B, A]
    assert [c.value for c in by_nats] == [-1.1, -1.2, -1.9, -2.0]
    assert by_nats[0].values == {"accuracy": 0.2, "log_likelihood": -1.1}
    assert (by_nats[0].alone_value, by_nats[0].alone_values) == (-1.0, {"accuracy": 0.4, "log_likelihood": -1.0})
    assert by_nats[2].alone_values == {}
    # the log names what decided
    assert "objective -1.1000 (accuracy 0.2000)" in said[0]
    assert "objective -1.0000 (accuracy 0.4000) alone, objective -1.1000 (accuracy 0.2000) with" in said[1]


def test_the_prior_of_flops_decides_among_equal_likelihoods(history):
    rows = history((1, B, 0.4), (1, D, 0.2), (1, A, 0.5))
    rows.rows = [{**row, "log_likelihood": "-1.0"} for row in rows.rows]
    same = dict.fromkeys(NATS, -1.0)
    terms = {"log_likelihood": 1.0, "log_flops": 0.1}
    found, *_ = choose(rows, from_policy=0, finalists=1, terms=terms, nats=(same, same))
    assert [c.architecture for c in found] == [A, D, B]  # 900, 200 and 100 FLOPs


# -- beside controls ---------------------------------------------------------------------------------------


def test_a_better_control_is_trained_but_never_selected(history, monkeypatch):
    everything = {SPACE.unrank(code): 0.05 for code in range(9)}
    monkeypatch.setattr(
        Known, "evaluate_fully", lambda self, every: [Score({"accuracy": everything[a]}) for a in every]
    )
    monkeypatch.setattr(SPACE, "references", lambda: {"hand": E, "costly": C}, raising=False)
    alone = {one: 0.9 for one in everything} | {A: 0.2, B: 0.3, E: 0.99}
    rows = [(1, A, 0.5), (1, B, 0.4)]
    limits = {"flops": 900}
    monkeypatch.setattr("tests.search.test_select.FLOPS", FLOPS | {C: 901})
    monkeypatch.setattr(SPACE, "sample", lambda rng: (D, A, E)[int(rng.integers(3))], raising=False)
    settings = {"from_policy": 0, "references": 2, "controls": 2, "limits": limits, "alone": alone}
    found, evaluator, said = choose(history(*rows), finalists=2, **settings)
    assert [(one.architecture, one.alone) for one in found] == [(B, 0.3), (A, 0.2)]
    trained = [architecture for architecture, _ in evaluator.trained]
    assert trained[:3] == [A, B, E]
    assert len(set(trained)) == len(trained)
    assert not {C} & set(trained)
    assert any("costly is no control: beyond objective.limits: flops 901" in line for line in said)
    assert any(line.startswith("reference 1/1: 0.9900 alone") and "hand: " in line for line in said)


def test_nothing_is_trained_for_controls_alone(history):
    _, evaluator, _ = choose(history((1, A, 0.5), (1, B, 0.4)), from_policy=0, finalists=1, controls=2)
    assert evaluator.trained == []
    _, evaluator, _ = choose(history((1, A, 0.5)), from_policy=0, finalists=3, controls=2)
    assert evaluator.trained == []


def test_what_it_costs_is_said_ahead(history):
    rows = history((1, A, 0.5), (1, B, 0.4), (1, C, 0.3), (1, D, 0.2))
    _, evaluator, said = choose(rows, from_policy=0, finalists=4, halving=2, finalist_epochs=0.5, last_seeds=2)
    assert "4 for 0.5 epochs, then 2 for 1 epoch with 2 seeds each; 6 epochs in total" in said[0]
    assert sum(epochs for _, epochs in evaluator.trained) == 6
    assert "rung 2/2, finalist 1/2: 0.5000 (mean of 0.5000, 0.5000) alone" in said[-2]


def test_a_failed_finalist_is_last_whatever_its_objective(history):
    """A diverged training has no log-likelihood."""
    rows = history((1, A, 0.5), (1, B, 0.4))
    terms = {"accuracy": 1.0, "flops": -0.001}  # 0 accuracy of B at 100 FLOPs is more than 0.5 of A at 900
    found, *_ = choose(rows, from_policy=0, finalists=2, terms=terms, alone={A: 0.5, B: None})
    assert [(one.architecture, one.alone_value) for one in found] == [(A, pytest.approx(-0.4)), (B, None)]

"""From measured values to the objective, and from objectives to rewards, by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.config.schema import ObjectiveConfig
from rlnas.envs.scorer import Outcome, Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator, Score, TabularEvaluator
from rlnas.objective import TERMS, Objective, Scale, deciding, skip_divergence
from rlnas.spaces import NasrlSpace, TableSpace
from rlnas.tabular import Benchmark
from tests.stack import STACK

SPACE = NasrlSpace(4, ("conv3x3",))  # three possible skips
ONE_SKIP = SPACE.parse("conv3x3 conv3x3 conv3x3 conv3x3+1")
DIVERGENCE = 1 / 3 * math.log(1 / 3 / 0.4) + 2 / 3 * math.log(2 / 3 / 0.6)  # of its rate of one third


def objective(limits: dict[str, Any] | None = None, space=SPACE, **terms: Any) -> Objective:
    return Objective(ObjectiveConfig(terms or {"accuracy": 1.0}, limits or {}), space)


class Fixed(Evaluator):
    """Scores and costs that are given beforehand."""

    def __init__(self, *accuracies: float, **costs: float):
        self.accuracies = accuracies
        self.known = costs

    def evaluate(self, architectures):
        return [Score({"accuracy": accuracy}) for accuracy in self.accuracies]

    def costs(self, architecture):
        return self.known


# -- terms -------------------------------------------------------------------------------------------------


def test_the_objective_is_the_accuracy_by_default():
    assert Objective(ObjectiveConfig(), SPACE)(ONE_SKIP, {"accuracy": 0.7}) == 0.7


def test_the_cube_of_the_accuracy():
    assert objective(accuracy_cubed=1.0)(ONE_SKIP, {"accuracy": 0.5}) == 0.125


def test_values_of_images_are_terms_by_their_names():
    values = {"accuracy": 0.5, "soft_accuracy": 0.25, "log_likelihood": -1.5}
    assert objective(soft_accuracy=2.0)(ONE_SKIP, values) == 0.5
    assert objective(log_likelihood=1.0)(ONE_SKIP, values) == -1.5
    assert objective(log_likelihood=1.0, accuracy=0.5)(ONE_SKIP, values) == -1.25


@pytest.mark.parametrize("cost", ["flops", "params"])
def test_the_logarithm_of_a_cost(cost):
    """e times the cost is worth the weight."""
    combined = objective(log_likelihood=1.0, **{f"log_{cost}": 0.1})
    found = [combined(ONE_SKIP, {"log_likelihood": -1.5, cost: amount}) for amount in (1, 1e6, 1e6 * math.e)]
    assert found[0] == -1.5
    assert found[1] == pytest.approx(-1.5 + 0.1 * math.log(1e6))
    assert found[2] - found[1] == pytest.approx(0.1)


@pytest.mark.parametrize("cost", ["flops", "params"])
def test_the_logarithm_of_a_cost_that_is_0_or_unknown_is_refused(cost):
    term = objective(**{f"log_{cost}": 0.1})
    with pytest.raises(RlnasError, match=rf"objective.terms.log_{cost}: .* {cost}=0, .*the term {cost} instead"):
        term(ONE_SKIP, {cost: 0})
    with pytest.raises(RlnasError, match=f"the objective needs '{cost}', which is not known"):
        term(ONE_SKIP, {cost: None})


def test_terms_without_options_name_those_given():
    with pytest.raises(RlnasError, match=r"objective.terms.log_flops with \{'base': 2\}: .*base"):
        objective(log_flops={"weight": 0.1, "base": 2})(ONE_SKIP, {"flops": 8})


def test_a_value_that_the_evaluator_lacks_is_named_with_those_known():
    with pytest.raises(RlnasError, match=r"needs 'log_likelihood', .*known are accuracy, flops; set") as error:
        objective(log_likelihood=1.0)(ONE_SKIP, {"accuracy": 0.5, "flops": 8})
    assert "\n" not in str(error.value)


def test_the_skip_divergence_by_hand():
    penalised = objective(accuracy=1.0, skip_divergence={"weight": -0.5, "target": 0.4})
    assert penalised.penalty(ONE_SKIP) == pytest.approx(0.5 * DIVERGENCE)
    assert penalised(ONE_SKIP, {"accuracy": 0.7}) == pytest.approx(0.7 - 0.5 * DIVERGENCE)
    assert objective(skip_divergence=-0.5)(ONE_SKIP, {}) == pytest.approx(-0.5 * DIVERGENCE)  # 0.4 is the default
    assert objective().penalty(ONE_SKIP) == 0


def test_any_value_or_cost_is_a_term_by_its_name():
    costly = objective(accuracy=2.0, params=-1e-3, my_value={"weight": 10})
    values = {"accuracy": 0.5, "params": 200, "my_value": 0.01}
    assert costly(ONE_SKIP, values) == pytest.approx(2 * 0.5 - 0.2 + 0.1)
    assert costly.terms(ONE_SKIP, values) == pytest.approx({"accuracy": 1.0, "params": -0.2, "my_value": 0.1})


def test_a_term_for_the_search_alone_does_not_count_at_the_end():
    searched = objective(accuracy=1.0, params={"weight": -0.01, "search_only": True})
    values = {"accuracy": 0.5, "params": 10}
    assert searched(ONE_SKIP, values) == pytest.approx(0.4)
    assert searched(ONE_SKIP, values, final=True) == 0.5
    assert searched.terms(ONE_SKIP, values, final=True) == {"accuracy": 0.5}
    assert searched(ONE_SKIP, {"accuracy": 0.5}, final=True) == 0.5  # it may even be unknown by then
    assert deciding({"accuracy": 1.0, "params": {"weight": -0.01, "search_only": True}}) == ["accuracy"]
    assert deciding({"log_likelihood": {"weight": 1.0}, "log_flops": 0.1}) == ["log_likelihood", "log_flops"]


def pools_used(features, values, at_most: int = 1) -> float:
    """A term of a user's own: how many layers beyond `at_most` are not convolutions."""
    operators = [text for name, text in features.items() if name.endswith("/operator")]
    return max(0.0, sum("conv" not in text for text in operators) - at_most) + 0 * values["accuracy"]


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """The dotted path by which a function of this file is found, whatever name the test runner gave the file."""
    import sys
    import types

    module = types.ModuleType("own_terms_of_a_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def path(function: Any) -> str:
        setattr(module, function.__name__, function)
        return f"{module.__name__}.{function.__name__}"

    return path


def test_a_term_of_one_s_own_reads_features_and_values(importable):
    space = NasrlSpace(3, ("conv3x3", "max_pool3x3"))
    pools = space.parse("max_pool3x3 max_pool3x3 max_pool3x3")
    own = objective(space=space, pools={"term": importable(pools_used), "weight": -0.5})
    assert own(pools, {"accuracy": 0.5}) == -0.5 * 2
    own = objective(space=space, accuracy=1.0, pools={"term": importable(pools_used), "at_most": 3})
    assert own(pools, {"accuracy": 0.5}) == 0.5


def test_wrong_options_of_a_term_of_one_s_own_are_named(importable):
    own = objective(pools={"term": importable(pools_used), "at_least": 3})
    with pytest.raises(RlnasError, match=r"objective.terms.pools with \{'at_least': 3\}: .*at_least"):
        own(ONE_SKIP, {"accuracy": 0.5})


@pytest.mark.parametrize(
    ("rate", "target", "nats"), [(0.4, 0.4, 0), (0, 0.4, -math.log(0.6)), (1, 0.4, -math.log(0.4))]
)
def test_the_divergence_at_target_and_ends(rate, target, nats):
    assert skip_divergence(rate, target) == pytest.approx(nats)


@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 0.9, 1])
def test_the_divergence_grows_away_from_the_target(rate):
    assert skip_divergence(rate, 0.4) > skip_divergence((rate + 0.4) / 2, 0.4) >= 0


@pytest.mark.parametrize("space", [NasrlSpace(1, ("conv3x3",)), NasrlSpace(2, ("conv3x3",)), STACK])
def test_a_space_without_skips_has_no_penalty(space):
    architecture = space.sample(np.random.default_rng(0))
    penalised = objective(space=space, accuracy=1.0, skip_divergence=-5)
    assert penalised(architecture, {"accuracy": 0.7}) == 0.7
    assert penalised.penalty(architecture) == 0


# -- limits ------------------------------------------------------------------------------------------------


def test_what_is_within_all_limits_is_allowed():
    limited = objective({"flops": 100, "params": 10})
    assert limited.allows(ONE_SKIP, {"flops": 100, "params": 10})
    assert not limited.allows(ONE_SKIP, {"flops": 101, "params": 10})
    assert not limited.allows(ONE_SKIP, {"flops": 1, "params": 11})
    assert objective().allows(ONE_SKIP, {})


@pytest.mark.parametrize("costs", [{}, {"flops": None}, {"params": 1}])
def test_a_limit_on_what_is_not_known_is_said(costs):
    with pytest.raises(RlnasError, match="the objective needs 'flops', which is not known"):
        objective({"flops": 100}).allows(ONE_SKIP, costs)


# -- what is refused ---------------------------------------------------------------------------------------


def test_an_unknown_value_says_what_is_known():
    with pytest.raises(RlnasError, match=r"needs 'acuracy', .*known are accuracy, params, .*accuracy_cubed"):
        objective(acuracy=1.0)(ONE_SKIP, {"params": 3, "accuracy": 0.5, "flops": None})


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"accuracy": "much"}, r"objective.terms.accuracy.weight is much, expected a number"),
        ({"accuracy": None}, r"objective.terms.accuracy.weight is None, expected a number"),
        ({"accuracy": True}, r"objective.terms.accuracy.weight is True, expected a number"),
        ({"params": math.nan}, r"objective.terms.params.weight is nan, expected a number"),
        ({"params": {"weight": math.inf}}, r"objective.terms.params.weight is inf, expected a number"),
        ({"params": {"weight": 1, "target": 3}}, r"objective.terms.params has target, .*skip_divergence"),
        ({"params": {"search_only": "yes"}}, r"objective.terms.params.search_only is yes, expected true or false"),
        ({"mine": {"term": "no.such.thing"}}, r"objective.terms.mine.term: no.such.thing cannot be imported"),
        ({"mine": {"term": "math.pi"}}, r"objective.terms.mine.term is 'math.pi', expected the dotted path"),
    ],
)
def test_a_wrong_term_is_refused_when_it_is_made(terms, message):
    with pytest.raises(RlnasError, match=message):
        objective(**terms)


@pytest.mark.parametrize("target", [0, 1, -0.1, 2])
def test_a_target_outside_of_0_to_1_is_refused(target):
    with pytest.raises(RlnasError, match=rf"objective.terms.skip_divergence.target is {target}, expected a number bet"):
        objective(skip_divergence={"weight": -1, "target": target})(ONE_SKIP, {})


def test_options_that_a_term_does_not_have_are_named():
    with pytest.raises(RlnasError, match=r"objective.terms.skip_divergence with \{'aim': 0.4\}: .*aim"):
        objective(skip_divergence={"weight": -1, "aim": 0.4})(ONE_SKIP, {})


@pytest.mark.parametrize("most", ["few", None, math.nan, False])
def test_a_limit_is_a_number(most):
    with pytest.raises(RlnasError, match=rf"objective.limits.flops is {most}, expected a number"):
        objective({"flops": most})


def test_these_terms_are_documented():
    from rlnas import objective as module

    assert all(f"\n{name}" in str(module.__doc__) for name in TERMS)


# -- scores and rewards ------------------------------------------------------------------------------------


def test_a_scorer_pairs_scores_and_rewards_in_order():
    scorer = Scorer(Fixed(0.5, 1.0), objective(accuracy_cubed=1.0))
    assert scorer.score([ONE_SKIP, ONE_SKIP]) == [
        Outcome(ONE_SKIP, Score({"accuracy": 0.5}), 0.125, 0.125),
        Outcome(ONE_SKIP, Score({"accuracy": 1.0}), 1.0, 1.0),
    ]


def test_a_scorer_adds_the_costs_to_the_values_and_scales_the_reward():
    scorer = Scorer(Fixed(0.5, 1.0, params=20, flops=None), objective(accuracy=1.0, params=-0.01), "rank")
    found = scorer.score([ONE_SKIP, ONE_SKIP])
    assert [outcome.objective for outcome in found] == pytest.approx([0.3, 0.8])
    assert [outcome.reward for outcome in found] == [0.25, 0.75]


def test_a_missing_score_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        Scorer(Fixed(0.5), objective()).score([ONE_SKIP, ONE_SKIP])


A, B, C = (0, 0), (0, 1), (1, 0)


def scaled(scale: Scale, values):
    """For architectures that are all different."""
    start = len(scale._sorted)
    return scale.batch([(start + i,) for i in range(len(values))], values)


def test_ranks_by_hand():
    scale = Scale("rank")
    assert scale.batch([A], [5.0]) == [0.5]
    assert scale.batch([B, A], [9.0, 1.0]) == [2.5 / 3, 0.5 / 3]  # 1 < 5 < 9
    assert scale.batch([A], [5.0]) == [2 / 4]  # 1 < 5 = 5 < 9: one below, half of two equal


def test_ranks_of_means_by_hand():
    scale = Scale("mean_rank")
    assert scale.batch([A], [5.0]) == [0.5]
    assert scale.batch([B, A], [9.0, 1.0]) == [2.5 / 3, 1 / 3]  # A's mean is 3: 1 < (3) < 5 < 9
    assert scale.batch([A, C], [9.0, 5.0]) == [2 / 5, 2 / 5]  # A's mean is 5: 1 < 5 = 5 < 9 = 9


@given(rewards=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40))
def test_without_repetition_the_rank_of_the_mean_is_the_rank(rewards):
    assert scaled(Scale("mean_rank"), rewards) == scaled(Scale("rank"), rewards)


@given(
    drawn=st.lists(st.integers(0, 5), min_size=1, max_size=60), values=st.lists(st.floats(0, 1), min_size=6, max_size=6)
)
def test_without_noise_the_rank_of_the_mean_is_the_rank(drawn, values):
    architectures, rewards = [(one,) for one in drawn], [values[one] for one in drawn]
    assert Scale("mean_rank").batch(architectures, rewards) == Scale("rank").batch(architectures, rewards)


def test_standard_scores_by_hand():
    scale = Scale("standard")
    assert scaled(scale, [3.0]) == [0.0]
    assert scaled(scale, [1.0, 5.0]) == pytest.approx([-2 / (8 / 3) ** 0.5, 2 / (8 / 3) ** 0.5])


@given(
    rewards=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=40),
    a=st.integers(1, 50),
    b=st.integers(-99, 99),
)
def test_a_tables_unit_does_not_matter_to_ranks(rewards, a, b):
    plain, other = Scale("rank"), Scale("rank")
    for start in range(0, len(rewards), 7):
        batch = rewards[start : start + 7]
        found = scaled(plain, batch)
        assert found == scaled(other, [a * reward + b for reward in batch])
        assert all(0 < value < 1 for value in found)


@given(rewards=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40))
def test_standard_scores_equal_numpys(rewards):
    found = scaled(Scale("standard"), rewards)
    deviation = np.std(rewards)
    expected = (np.array(rewards) - np.mean(rewards)) / deviation if deviation > 1e-6 else None
    if expected is not None:
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "standard", "rank", "mean_rank"])
def test_a_scale_goes_on_from_the_objectives_seen(kind):
    through, seen = Scale(kind), [(A, 0.3), (B, 0.9), (A, 0.1), (C, 0.3)]
    through.batch(*zip(*seen, strict=True))
    expected = through.batch([B, A], [0.5, 0.2])
    assert Scale(kind, seen).batch([B, A], [0.5, 0.2]) == pytest.approx(expected)
    if kind != "none":
        assert Scale(kind).batch([B, A], [0.5, 0.4]) != pytest.approx(Scale(kind, seen).batch([B, A], [0.5, 0.4]))


def test_a_scorer_hands_what_was_seen_to_its_scale():
    seen = [(A, 0.3), (B, 0.9)]
    scorer = Scorer(Fixed(0.5), objective(), "rank", seen)
    assert scorer.score([ONE_SKIP])[0].reward == 0.5  # the middle one of three


def test_rewards_of_tables_are_ranks_and_those_of_children_are_as_they_are(scorer, space):
    assert scorer(space).scale.kind == "none"
    benchmark = Benchmark("b", "0", ("x",), (("a", "b"),), np.ones((2, 1)), np.ones(2))
    table = TableSpace("table", benchmark)
    looked_up = TabularEvaluator(table, seed=0)
    assert Scorer(looked_up, objective(space=table)).scale.kind == "mean_rank"
    assert Scorer(looked_up, objective(space=table), "none").scale.kind == "none"

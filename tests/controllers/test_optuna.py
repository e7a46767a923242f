"""Optuna's samplers as strategies: parameters, objectives, exact states, silence, and clear refusals."""

import importlib
import random
import sys
import warnings
from typing import Any

import numpy as np
import pytest

from rlnas.config.schema import ControllerConfig, ObjectiveConfig
from rlnas.controllers import Problem, make_controller
from rlnas.envs.scorer import Outcome, Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import Score
from rlnas.objective import Objective
from rlnas.spaces import NasrlSpace
from tests.controllers.test_strategies import BOWL, SPACE, generator, likeness, play
from tests.stack import STACK

optuna = pytest.importorskip("optuna")
OptunaSearch = importlib.import_module("rlnas.controllers.optuna").OptunaSearch

CASES: dict[str, dict[str, Any]] = {
    "TPESampler": {},
    "TPESampler, multivariate": {"options": {"multivariate": True, "n_startup_trials": 5}},
    "TPESampler, of integers": {"parameters": "integer"},
    "TPESampler, with repeats": {"repeats": "keep"},
    "RandomSampler": {},
    "NSGAIISampler": {"options": {"population_size": 6}},
    "GridSampler": {},
    "QMCSampler": {"parameters": "integer"},
    "GPSampler": {"options": {"n_startup_trials": 5}},
    "BruteForceSampler": {},
}


def made(case: str, space: Any = SPACE, seed: int = 0, **more: Any) -> Any:
    name = case.partition(",")[0]
    if not hasattr(optuna.samplers, name):
        pytest.skip(f"optuna {optuna.__version__} has no {name}")
    return OptunaSearch(space, generator(seed), sampler=name, **{**CASES[case], **more})


# -- proposals ---------------------------------------------------------------------------------------------


@pytest.mark.variants(4)
@pytest.mark.parametrize("case", CASES)
def test_a_restored_search_proposes_the_same(case, through_disk):
    search, other = made(case), made(case, seed=9)
    play(search, 6, count=3)
    other.restore(through_disk(search.state()))
    other.rng.bit_generator.state = search.rng.bit_generator.state
    assert other.state() == search.state()
    assert play(search, 4, count=3) == play(other, 4, count=3)
    assert other.state() == search.state()


@pytest.mark.variants(2)
@pytest.mark.parametrize("case", [case for case in CASES if case != "GridSampler"])
def test_every_trial_is_a_legal_architecture_where_legality_depends_on_earlier_choices(case):
    batches = play(made(case, STACK), 8, count=3, value=lambda stack: float(len(stack)))
    assert [STACK.check(one) for batch in batches for one in batch] == [one for batch in batches for one in batch]


def test_a_parameter_s_name_holds_the_choices_that_are_legal():
    search = OptunaSearch(STACK, generator(), sampler="RandomSampler")
    play(search, 30, value=len)
    names = {name for trial in search.study.trials for name in trial.params}
    assert {"step1/choice1: 1,2,3", "step2/choice2: 0,1", "step2/choice1: 0,1,2,3"} <= names
    assert "step1/choice2: 0" not in names  # no decision


def test_by_default_nothing_is_proposed_twice_and_with_repeats_it_is():
    def drawn(**options: Any) -> list[Any]:
        return [one for batch in play(OptunaSearch(SPACE, generator(), **options), 40) for one in batch]

    assert len(set(drawn())) == 40
    assert len(set(drawn(repeats="keep"))) < 30


def test_a_space_that_is_used_up_is_proposed_again():
    space = NasrlSpace(2, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)  # nine architectures
    batches = play(OptunaSearch(space, generator()), 7, count=3, value=lambda one: float(sum(one)))
    assert len({one for batch in batches[:4] for one in batch}) == space.size == 9
    assert [len(batch) for batch in batches] == [3] * 7


@pytest.mark.parametrize("parameters", ["categorical", "integer"])
@pytest.mark.parametrize("repeats", ["random", "neighbour"])
def test_in_place_of_a_repeat_comes_a_neighbour_or_a_random_one(parameters, repeats):
    search = OptunaSearch(SPACE, generator(), parameters=parameters, repeats=repeats)
    play(search, 40)
    failed = [trial.number for trial in search.study.trials if trial.state.name == "FAIL"]
    assert failed
    distances = []
    for number in failed:
        repeat, other = search.study.trials[number : number + 2]
        assert other.state.name == "COMPLETE"
        distances.append(sum(other.params[name] != value for name, value in repeat.params.items()))
    assert np.mean(distances) < 2 if repeats == "neighbour" else np.mean(distances) > 2


def test_the_grid_is_the_space():
    space = NasrlSpace(2, ("conv1x1", "conv3x3"), filters=4, reductions=1)
    batches = play(OptunaSearch(space, generator(), sampler="GridSampler"), space.size, value=lambda one: 0.0)
    assert {one for batch in batches for one in batch} == {space.unrank(code) for code in range(space.size)}


@pytest.mark.variants(1)
@pytest.mark.parametrize("case", ["TPESampler, multivariate", "TPESampler", "NSGAIISampler"])
def test_it_gets_better_than_random(case):
    def mean(case: str) -> float:
        batches = play(made(case), 70)
        return float(np.mean([likeness(one) for batch in batches[-20:] for one in batch]))

    assert mean(case) > mean("RandomSampler") + 0.3


# -- objectives --------------------------------------------------------------------------------------------


def told(search: Any, count: int = 4, batches: int = 6, **costs: float | None) -> None:
    for _ in range(batches):
        asked = search.ask(count)
        search.tell(
            [
                Outcome(one, Score({"accuracy": likeness(one)}), 7.0, 0.0, {"flops": float(sum(one)), **costs})
                for one in asked
            ]
        )


@pytest.mark.parametrize("sampler", ["NSGAIISampler", "TPESampler"])
def test_two_objectives_are_told_with_their_signs(sampler):
    search = OptunaSearch(SPACE, generator(), sampler=sampler, objectives=["accuracy", "-flops"])
    told(search)
    for trial in search.study.trials:
        if trial.values is not None:
            accuracy, flops = trial.values
            assert accuracy <= 0
            assert flops <= 0
    assert all(trial.values[0] != 7.0 for trial in search.study.best_trials)
    front = {tuple(trial.values) for trial in search.study.best_trials}
    assert not any(a != b and a[0] >= b[0] and a[1] >= b[1] for a in front for b in front)


def test_the_objective_itself_is_a_name():
    search = OptunaSearch(SPACE, generator(), objectives=["objective"])
    told(search, batches=1)
    assert [trial.values for trial in search.study.trials] == [[7.0]] * 4


def test_an_objective_that_no_score_has_is_refused_with_those_that_are_known():
    search = OptunaSearch(SPACE, generator(), objectives=["accuracy", "-params"])
    with pytest.raises(RlnasError, match="has params, which no score has; known are accuracy, flops, objective"):
        told(search, params=None)


def test_a_value_that_is_not_finite_is_a_failed_trial():
    search = OptunaSearch(SPACE, generator())
    play(search, 3, value=lambda one: float("nan"))
    assert [trial.state.name for trial in search.study.trials] == ["FAIL"] * 3
    assert len(search.state()["trials"]) == 3


def test_a_scorer_hands_the_costs_to_a_strategy(scorer):
    found = scorer(SPACE, BOWL)
    found.evaluator.costs = lambda architecture: {"flops": 5.0, "params": None}
    with_costs = Scorer(found.evaluator, Objective(ObjectiveConfig(terms={"accuracy": 1.0, "flops": -0.1}), SPACE))
    (outcome,) = with_costs.score([BOWL])
    assert outcome.costs == {"flops": 5.0, "params": None}
    assert outcome.objective == 0.5


# -- what it leaves alone ----------------------------------------------------------------------------------


def test_it_is_silent_and_leaves_the_global_generators_alone(capfd):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    level = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for case in ("TPESampler, multivariate", "GridSampler", "NSGAIISampler"):
            search = made(case)
            play(search, 4, count=3)
            search.sample(2)
    assert capfd.readouterr() == ("", "")
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    assert optuna.logging.get_verbosity() == level


def test_sampling_leaves_the_study_as_it_is():
    search = made("NSGAIISampler")
    play(search, 5, count=4)
    before = search.state()
    assert len(search.sample(12)) == 12
    assert search.state() == before


# -- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "BestSampler"}, "sampler is 'BestSampler', expected a class of optuna.samplers .*TPESampler"),
        ({"options": {"seed": 3}}, "unknown key controller.params.options.seed; TPESampler has"),
        ({"sampler": "RandomSampler", "options": {"x": 1}}, "options.x; RandomSampler has none"),
        ({"sampler": "NSGAIISampler", "options": {"population_size": 1}}, "NSGAIISampler refused .*population_size"),
        ({"sampler": "QMCSampler"}, "at random; set controller.params.parameters=integer|expected a class of optuna"),
        ({"sampler": "CmaEsSampler", "parameters": "integer"}, "keeps its state as a pickle"),
        ({"options": None}, "controller.params.options is None, expected arguments of the sampler by name"),
        ({"sampler": "PartialFixedSampler"}, "cannot be constructed without fixed_params, base_sampler"),
        ({"parameters": "float"}, "parameters is 'float', expected categorical or integer"),
        ({"objectives": "accuracy"}, "objectives is accuracy, expected names such as"),
        ({"objectives": []}, "objectives is .*, expected names such as"),
        ({"repeats": "no"}, "repeats is 'no', expected one of keep, random, neighbour"),
    ],
)
def test_wrong_options_are_refused_with_a_reason(options, message):
    with pytest.raises(RlnasError, match=message):
        OptunaSearch(SPACE, generator(), **options)


def test_a_grid_of_dependent_decisions_is_refused():
    with pytest.raises(RlnasError, match=r"GridSampler lists the whole space: .*space=stack"):
        OptunaSearch(STACK, generator(), sampler="GridSampler")


def test_without_optuna_the_error_says_what_to_install(scorer, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    found = scorer(SPACE)
    with pytest.raises(RlnasError, match=r"pip install -e '.\[optuna\]'"):
        make_controller(ControllerConfig(algorithm="optuna"), Problem(SPACE, found, 0))

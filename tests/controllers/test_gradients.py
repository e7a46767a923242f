"""darts and gdas in the search loop: what a round scores, determinism, resume, early stopping, what they refuse."""

import csv
import re

import pytest
import torch

from rlnas.config.build import build_config
from rlnas.config.schema import ControllerConfig, ObjectiveConfig, SharedWeightsConfig
from rlnas.controllers import GradientController, Problem, make_controller
from rlnas.controllers.make import GRADIENTS
from rlnas.envs.scorer import Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.objective import Objective
from rlnas.spaces import DartsSpace, GeneticCnnSpace, NasnetSpace, NasrlSpace
from tests.search.loop import Computed, search

OPERATORS = ("sep_conv3x3", "max_pool3x3", "identity")
DARTS = DartsSpace(OPERATORS, nodes=2, cells=2, filters=2, reductions=1)
NASNET = NasnetSpace(OPERATORS, ("sum",), nodes=2, cells=2, filters=2, reductions=1)
NASRL = NasrlSpace(3, ("conv3x3", "max_pool3x3", "identity"), filters=2, reductions=0)
SPACES = {"darts": DARTS, "nasnet": NASNET, "nasrl": NASRL}
NAMES = list(GRADIENTS)


@pytest.fixture
def evaluator(supernet, data, networks):
    """evaluator(space): shared weights of the small images; each call anew."""
    return lambda space: SharedWeightsEvaluator(SharedWeightsConfig(), supernet(), data, networks(space), seed=3)


@pytest.fixture
def controller(evaluator):
    """controller(name, space, **params): alone, without a loop."""

    def make(name, space, **params):
        config = ControllerConfig(name=name, algorithm=name, episodes=3, params=params)
        scorer = Scorer(evaluator(space), Objective(ObjectiveConfig(), space))
        return make_controller(config, Problem(space, scorer, 7))

    return make


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(folder, space, evaluator, name="darts", *, rounds=3, saved=None, **params):
    """A whole search of three architectures a round."""
    folder.mkdir(exist_ok=True)
    return search(
        folder,
        space,
        evaluator(space),
        options={"architectures_per_round": 3, "random_control": 2},
        budget={"rounds": rounds},
        controller=ControllerConfig(name=name, algorithm=name, episodes=3, params=params),
        saved=saved,
    )


def same(folder):
    """history.csv and rounds.csv without seconds."""
    return [
        [{key: value for key, value in row.items() if "seconds" not in key} for row in rows_of(folder / name)]
        for name in ("history.csv", "rounds.csv")
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_round_scores_the_discretised_architecture_and_samples(name, space, evaluator, tmp_path):
    rounds = run(tmp_path, space, evaluator, name)
    history, table = rows_of(tmp_path / "history.csv"), rows_of(tmp_path / "rounds.csv")
    assert len(history) == 9
    assert rounds.stopped_by == "budget.rounds"
    assert [float(row["epoch"]) for row in table] == [1, 2, 3]
    assert all(float(row["child_loss"]) > 0 for row in table)
    assert history[6]["architecture"] == space.text(rounds.controller.discretised())
    for row in history:
        space.parse(row["architecture"])


@pytest.mark.parametrize("name", NAMES)
def test_two_runs_are_identical_and_a_resumed_one_ends_alike(name, evaluator, tmp_path):
    whole = run(tmp_path / "whole", NASRL, evaluator, name)
    run(tmp_path / "again", NASRL, evaluator, name)
    assert same(tmp_path / "again") == same(tmp_path / "whole")
    for number, saved in enumerate(whole.checkpoints):
        folder = tmp_path / f"resumed{number}"
        folder.mkdir()
        for table in ("history.csv", "rounds.csv"):
            (folder / table).write_bytes((tmp_path / "whole" / table).read_bytes())
        rounds = run(folder, NASRL, evaluator, name, saved=saved)
        assert same(folder) == same(tmp_path / "whole")
        ours, theirs = rounds.controller.bilevel, whole.controller.bilevel
        assert torch.equal(ours.parameters, theirs.parameters)
    assert len(whole.checkpoints) >= 3


def test_seed_and_name_decide_where_it_starts(controller):
    first, again, other = (controller(name, NASRL).bilevel.parameters for name in ("darts", "darts", "gdas"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_samples_follow_the_probabilities(controller):
    """The first sample is the discretised architecture; of the others each operator comes by its probability."""
    made = controller("darts", NASRL)
    with torch.no_grad():
        made.bilevel.parameters.copy_(
            torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.5, 0.3, 0.2], [0.75, 0.25, 1]]).log()
        )
    found = made.sample(3001)
    assert NASRL.text(found[0]) == "conv3x3 identity conv3x3"
    features = [NASRL.features(architecture) for architecture in found[1:]]
    share = sum(one["layer1/operator"] == "conv3x3" for one in features) / 3000
    assert share == pytest.approx(0.7, abs=0.03)
    assert sum(one["layer3/skip1"] for one in features) / 3000 == pytest.approx(0.25, abs=0.03)
    assert made.sample(0) == []


def test_samples_of_cells_are_of_the_two_strongest_noisy_edges(controller):
    made = controller("darts", DARTS)
    with torch.no_grad():
        made.bilevel.parameters.zero_()
        made.bilevel.parameters[:, 3] = 20.0  # identity everywhere
        made.bilevel.parameters[4] = torch.tensor([20.0, 0, 0, 0])  # zero on the normal cell's edge from 2 to 3
    for architecture in made.sample(20):
        assert DARTS.text(architecture).startswith("normal: 0.identity+1.identity 0.identity+1.identity |")


def test_architecture_weights_name_every_alternative(controller):
    rows = controller("darts", NASRL).architecture_weights()
    assert len(rows) == 3 * 3 + 2
    assert rows[0] | {"weight": 0} == {"choice": "layer1/operator", "alternative": "conv3x3", "weight": 0}
    assert [row["alternative"] for row in rows[-2:]] == ["absent", "present"]
    for choice in {row["choice"] for row in rows}:
        assert sum(row["weight"] for row in rows if row["choice"] == choice) == pytest.approx(1, abs=1e-5)


def test_the_entropy_is_one_for_equal_and_zero_for_certain_choices(controller):
    made = controller("darts", NASRL)
    assert made.logged()["architecture_entropy"] == pytest.approx(1, abs=1e-3)
    with torch.no_grad():
        made.bilevel.parameters.zero_()
        made.bilevel.parameters[:, 1] = 50
    assert made.logged()["architecture_entropy"] == pytest.approx(0, abs=1e-3)


def test_temperature_falls_linearly(controller):
    """From 10 to 0.1 over two epochs of three batches, set when a round begins: after 0, 2, 3 and 6 steps of 6."""
    made = controller("gdas", NASRL, temperature_epochs=2)
    assert made.supernet.batches.per_epoch == 3
    found = []
    for epoch in (0.6, 1, 2, 3):
        made.train_weights(epoch)
        found.append(made.logged()["temperature"])
    assert found == pytest.approx([10, 10 - 9.9 / 3, 10 - 9.9 / 2, 0.1])


# -- early stopping ----------------------------------------------------------------------------------------


def set_identities(controller, count):
    """Make `count` of the three layers identities."""
    with torch.no_grad():
        controller.bilevel.parameters.zero_()
        for row in range(3):
            controller.bilevel.parameters[row, 2 if row < count else 0] = 5.0


def test_too_many_identities_end_the_search_with_the_architecture_before(evaluator, tmp_path, monkeypatch):
    """None, one, two: at max_identities=2 the third round ends the search."""
    made = []

    def train(self, steps):
        made.append(self)
        with torch.no_grad():
            self.parameters.zero_()
            for row in range(3):
                self.parameters[row, 2 if row < len(made) - 1 else 0] = 5.0
        return 1.0

    monkeypatch.setattr("rlnas.children.bilevel.Bilevel.train", train)
    rounds = run(tmp_path, NASRL, evaluator, rounds=5, max_identities=2)
    assert rounds.stopped_by == "controller.params.max_identities"
    assert rounds.round == 2
    assert len(rows_of(tmp_path / "history.csv")) == 6
    assert NASRL.text(rounds.controller.sample(1)[0]) == "identity conv3x3 conv3x3"
    (warning,) = rounds.collapse.warnings
    assert warning["kind"] == "stopped"
    assert re.search(
        r"round 3: .* has 2 identities, .*max_identities is 2: .*'identity identity conv3x3'", warning["text"]
    )
    assert any(warning["text"] in line for line in rounds.progress.lines)


@pytest.mark.parametrize(("limit", "stops"), [(0, False), (4, False), (3, False), (1, False)])
def test_what_does_not_end_the_search(controller, limit, stops):
    """Off; never reached; and reached from the start, before which there is nothing to go back to."""
    made = controller("darts", NASRL, max_identities=limit)
    for _ in range(2):
        set_identities(made, 2 if limit != 1 else 1)
        made._look_for_collapse(made.bilevel.parameters.detach().clone())
    assert bool(made.collapsed) is stops


# -- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_space_without_a_relaxation_is_refused(name, controller):
    with pytest.raises(RlnasError, match="space=genetic_cnn has no relaxation") as error:
        controller(name, GeneticCnnSpace((2,), filters=2))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_an_evaluator_without_shared_weights_is_refused(name):
    scorer = Scorer(Computed(lambda architecture: 0.5), Objective(ObjectiveConfig(), NASRL))
    with pytest.raises(RlnasError, match=f"controller {name} trains shared weights .* set evaluator=shared_weights"):
        make_controller(ControllerConfig(algorithm=name), Problem(NASRL, scorer, 0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluator": {"name": "standalone"}}, "evaluator=standalone does not go with it"),
        ({"evaluator": {"name": "surrogate"}}, "evaluator=surrogate does not go with it"),
        (
            {"search": {"epochs_per_round": 0}},
            "search.epochs_per_round is 0, but controller gdas .* set search=gradient",
        ),
    ],
)
def test_illegal_configurations_say_what_to_do(changes, message):
    with pytest.raises(RlnasError, match=message) as error:
        build_config({"controller": {"name": "gdas", "algorithm": "gdas"}, **changes})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"order": 3}, "params.order is 3, expected a whole number at least 1, at most 2"),
        ({"order": 1.5}, "expected a whole number"),
        ({"learning_rate": 0}, "above 0"),
        ({"max_identities": -1}, "at least 0"),
        ({"temperature": 1}, "unknown key controller.params.temperature; Darts has"),
    ],
)
def test_options_have_ranges(controller, params, message):
    with pytest.raises(RlnasError, match=message):
        controller("darts", NASRL, **params)


def test_the_temperature_does_not_rise(controller):
    with pytest.raises(RlnasError, match=r"temperature_min is 1\.0, expected at most the temperature, 0\.5"):
        controller("gdas", NASRL, temperature=0.5, temperature_min=1.0)


def test_a_policys_options_are_refused(evaluator):
    scorer = Scorer(evaluator(NASRL), Objective(ObjectiveConfig(), NASRL))
    for options in ({"policy_params": {"net_arch": []}}, {"masked": False}, {"step_unit": "layer"}):
        with pytest.raises(RlnasError, match="controller darts"):
            make_controller(ControllerConfig(algorithm="darts", **options), Problem(NASRL, scorer, 0))


def test_they_are_gradient_controllers(controller):
    assert all(isinstance(controller(name, NASRL), GradientController) for name in NAMES)
    assert not isinstance(controller("random", NASRL), GradientController)

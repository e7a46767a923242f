"""Predictions on top of another evaluator: when labels are measured, what they are, what a resumed search repeats."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rlnas
from rlnas.config.build import build_config
from rlnas.config.schema import EVALUATOR_CONFIGS, Config, ObjectiveConfig, SurrogateConfig
from rlnas.errors import RlnasError
from rlnas.evaluators import Score, SelectingEvaluator, SurrogateEvaluator, Training, labels
from rlnas.evaluators.prediction import fit, kendall
from rlnas.search import words
from rlnas.search.rounds import Rounds
from rlnas.spaces import NasrlSpace
from tests.command import TINY, history, result
from tests.search.test_job import stop_after

SPACE = NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
EVERY = [SPACE.unrank(code) for code in range(SPACE.size)]


def truth(architecture) -> float:
    """Linear in the number of conv3x3 and of pools."""
    words = SPACE.text(architecture)
    return 0.4 + 0.1 * words.count("conv3x3") - 0.02 * words.count("max_pool")


class MadeUp(SelectingEvaluator):
    """Shared scores are the code alone, which says little; a training alone measures the truth.

    diverging: share of the trainings alone that diverge. trained: the calls of `evaluate_alone`.
    """

    value_names = ("margin",)

    def __init__(self, diverging: float = 0.0):
        self.diverging = diverging
        self.trained: list[list] = []
        self.version = 0

    def train(self, draw, epoch):
        self.version += 1
        return Training(1.0, epoch, 0.1)

    def evaluate(self, architectures):
        return [self._score(SPACE.rank(one) % 17 / 17 + self.version, 0.1) for one in architectures]

    def evaluate_fully(self, architectures):
        return [self._score(SPACE.rank(one) % 17 / 34, 0.2) for one in architectures]

    def _score(self, accuracy: float, margin: float) -> Score:
        return Score({"accuracy": accuracy, "margin": margin}, images=7)

    def evaluate_alone(self, architectures, epochs, *, from_shared=True, repeats=None):
        self.trained.append([from_shared, epochs, *architectures])
        for place, one in enumerate(architectures):
            if place < self.diverging * len(architectures):
                yield Score({"accuracy": 0.0}, failed="the loss is nan")
            else:
                yield Score({"accuracy": truth(one), "margin": 3.0})

    def state(self):
        return {"version": self.version}

    def restore(self, state):
        self.version = state["version"]


@pytest.fixture(autouse=True)
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer samples to draw labels from, for speed."""
    monkeypatch.setattr(labels, "POOL", 200)


@pytest.fixture
def evaluator(networks):
    """evaluator(inner=MadeUp(), **config)."""

    def make(inner: SelectingEvaluator | None = None, **config) -> SurrogateEvaluator:
        made = SurrogateEvaluator(SurrogateConfig(**config), inner or MadeUp(), networks(SPACE), seed=0)
        made.lines = []
        made.say = made.lines.append
        return made

    return make


def rounds(evaluator: SurrogateEvaluator, count: int, first: int = 0) -> list:
    """The values of rounds of eight architectures and two random ones, as the search asks for them."""
    found = []
    for number in range(first, first + count):
        evaluator.train(lambda n: [], number + 1)
        for start in (0, 4, 8):
            rng = np.random.default_rng((number, start))
            batch = [EVERY[place] for place in rng.integers(len(EVERY), size=4)]
            found.append([dict(score.values) for score in evaluator.evaluate(batch)])
    return found


@pytest.mark.parametrize("model", ["ridge", "gaussian_process"])
def test_held_out_architectures_are_ranked_and_the_optimum_found(evaluator, model):
    made = evaluator(model=model, caution=0.0)
    made.evaluate(EVERY[:1])  # measures the labels
    rest = [one for one in EVERY[::4] if one not in made.inner.trained[0]]
    scores, values = made.evaluate(rest), [truth(one) for one in rest]
    surrogates = [score.values["surrogate"] for score in scores]
    tau = kendall(surrogates, values)
    assert tau is not None
    assert tau > 0.75
    assert values[int(np.argmax(surrogates))] == max(values)
    shared = kendall([score.accuracy for score in scores], values)
    assert shared is not None
    assert abs(shared) < 0.3


def test_a_score_keeps_the_inner_values_and_adds_three(evaluator):
    made = evaluator(caution=2.0)
    [score] = made.evaluate([EVERY[40]])
    assert made.value_names == ("margin", "predicted", "uncertainty", "surrogate")
    assert (score.accuracy, score.values["margin"], score.images) == (40 % 17 / 17, 0.1, 7)
    values = score.values
    assert values["uncertainty"] > 0
    assert values["surrogate"] == values["predicted"] - 2 * values["uncertainty"]
    [fully] = made.evaluate_fully([EVERY[40]])
    assert (fully.accuracy, fully.values["margin"]) == (40 % 17 / 34, 0.2)
    assert fully.values["predicted"] == pytest.approx(values["predicted"], abs=0.1)


def test_a_training_alone_is_its_own_surrogate(evaluator):
    made = evaluator(MadeUp(diverging=0.5), target="margin")
    made._labels = {EVERY[0]: (-1.5, "random"), EVERY[1]: (2.0, "random")}
    failed, trained = made.evaluate_alone(EVERY[:2], 2.5)
    assert made.inner.trained == [[True, 2.5, *EVERY[:2]]]
    assert trained.values == {"accuracy": truth(EVERY[1]), "margin": 3.0} | {
        "predicted": 3.0,
        "uncertainty": 0.0,
        "surrogate": 3.0,
    }
    assert (failed.values["surrogate"], failed.failed) == (-1.5, "the loss is nan")


def test_labels_are_measured_before_the_first_score_and_every_so_many_rounds(evaluator):
    made = evaluator(labels=8, refit_rounds=2, epochs=0.5, random_share=0.5)
    for epoch in (1, 2, 3):
        made.train(lambda n: [], epoch)  # the warm-up
    assert made.inner.trained == []
    counts = []
    for number in range(5):
        rounds(made, 1, number)
        counts.append(len(made.inner.trained))
    assert counts == [1, 1, 2, 2, 3]
    assert all(call[:2] == [False, 0.5] for call in made.inner.trained)
    about, _ = made.conclude(EVERY[0], [])
    sources = [label["source"] for label in about["surrogate"]["labels"]]
    assert sources == ["random"] * 8 + (["best"] * 4 + ["random"] * 4) * 2
    assert len({label["architecture"] for label in about["surrogate"]["labels"]}) == 24
    assert [found["labels"] for found in about["surrogate"]["fits"]] == [8, 16, 24]
    assert len([line for line in made.lines if "leave-one-out tau" in line]) == 3


def test_the_best_labels_are_those_predicted_best_since_the_last_ones(evaluator):
    made = evaluator(labels=8, refit_rounds=1)
    rounds(made, 1)
    first = set(made.inner.trained[0][2:])
    predicted = {}
    for architecture in EVERY[:30]:
        predicted[architecture] = made.evaluate([architecture])[0].values["predicted"]
    predicted |= made._scored
    rounds(made, 1, 1)
    new = [one for one in predicted if one not in first]
    expected = sorted(predicted[one] for one in new)[-4:]
    assert sorted(predicted[one] for one in made.inner.trained[1][2:6]) == expected


def test_never_again_with_refit_rounds_0(evaluator):
    made = evaluator(labels=6, refit_rounds=0)
    rounds(made, 6)
    assert len(made.inner.trained) == 1


def test_nothing_is_measured_for_no_architectures_but_for_the_selection(evaluator):
    made = evaluator(labels=6)
    assert made.evaluate([]) == []
    assert made.inner.trained == []
    made.evaluate_fully(EVERY[:2])
    made.evaluate_fully(EVERY[2:4])
    assert len(made.inner.trained) == 1


def test_the_version_changes_with_weights_and_labels_alone(evaluator):
    made = evaluator(labels=6, refit_rounds=1)
    before = made.version
    made.evaluate(EVERY[:2])
    assert made.version == before  # the labels it had announced
    made.train(lambda n: [], 1.0)
    after = made.version
    assert after > before
    made.evaluate(EVERY[:2])
    assert made.version == after


def test_the_model_follows_the_weights_between_two_measurements(evaluator):
    """The shared accuracy of every architecture rises by one with each version: predictions stay."""
    made = evaluator(labels=12, refit_rounds=0)
    before = made.evaluate(EVERY[:5])
    made.train(lambda n: [], 1.0)
    after = made.evaluate(EVERY[:5])
    assert [score.accuracy for score in after] == pytest.approx([score.accuracy + 1 for score in before])
    expected = [score.values["predicted"] for score in before]
    assert [score.values["predicted"] for score in after] == pytest.approx(expected)


@pytest.mark.variants(1)
@pytest.mark.parametrize(("stop", "model"), [(2, "ridge"), (1, "gaussian_process"), (3, "ridge")])
def test_restored_anywhere_it_goes_on_to_the_bit(evaluator, through_disk, stop, model):
    options = {"labels": 8, "refit_rounds": 2, "model": model}
    whole = evaluator(**options)
    expected = rounds(whole, 5)
    part, other = evaluator(**options), evaluator(**options)
    begun = rounds(part, stop)
    other.restore(through_disk(part.state()))
    assert begun + rounds(other, 5 - stop, stop) == expected
    fully = [[score.values for score in made.evaluate_fully(EVERY[:9])] for made in (whole, other)]
    assert fully[0] == fully[1]
    assert whole.conclude(EVERY[0], []) == other.conclude(EVERY[0], [])
    assert len(other.inner.trained) < len(whole.inner.trained)


def test_labels_that_were_not_all_measured_are_measured_again(evaluator):
    made, whole = evaluator(labels=8), evaluator(labels=8)
    measure = made.inner.evaluate_alone

    def stopped(architectures, epochs, *, from_shared):
        yield from list(measure(architectures, epochs, from_shared=from_shared))[:3]
        raise KeyboardInterrupt

    made.inner.evaluate_alone = stopped
    before = made.state()
    with pytest.raises(KeyboardInterrupt):
        made.evaluate(EVERY[:4])
    assert made.state() == before
    made.inner.evaluate_alone = measure
    assert made.evaluate(EVERY[:4]) == whole.evaluate(EVERY[:4])
    assert made.inner.trained[0] == made.inner.trained[1] == whole.inner.trained[0]


def test_the_line_of_a_fit_by_hand(evaluator, networks):
    made = evaluator(labels=10)
    made.evaluate(EVERY[:1])
    known = made.inner.trained[0][2:]
    values = [truth(one) for one in known]
    flops = kendall([networks(SPACE).cost(one).flops for one in known], values)
    shared = kendall([SPACE.rank(one) % 17 for one in known], values)
    [found] = made.conclude(EVERY[0], [])[0]["surrogate"]["fits"]
    assert (found["flops_tau"], found["shared_tau"]) == (flops, {"accuracy": shared, "margin": None})
    assert (found["labels"], found["diverged"], found["columns"]) == (10, 0, "compact")
    assert made.lines[-1] == (
        f"surrogate: 10 labels, leave-one-out tau {found['tau']:.2f}, FLOPs {flops:.2f}, "
        f"shared accuracy {shared:.2f}, shared margin none"
    )


def test_equal_labels_predict_a_constant(evaluator, monkeypatch):
    monkeypatch.setattr("tests.evaluators.test_surrogate.truth", lambda architecture: 0.5)
    made = evaluator(labels=6)
    assert {score.values["surrogate"] for score in made.evaluate(EVERY[:4])} == {0.5}
    assert made.conclude(EVERY[0], [])[0]["surrogate"]["fits"][0]["tau"] is None
    assert "leave-one-out tau none, FLOPs none" in made.lines[-1]


def test_diverged_trainings_are_left_out_and_not_repeated(evaluator):
    made = evaluator(MadeUp(diverging=0.25), labels=8, refit_rounds=1)
    rounds(made, 2)
    assert sum("left out: the loss is nan" in line for line in made.lines) == 4
    about = made.conclude(EVERY[0], [])[0]["surrogate"]
    assert [(found["labels"], found["diverged"]) for found in about["fits"]] == [(6, 2), (12, 4)]
    assert sum(label["value"] is None for label in about["labels"]) == 4
    assert len({label["architecture"] for label in about["labels"]}) == 16


def test_too_few_labels_end_the_run_with_the_cause(evaluator, networks):
    with pytest.raises(RlnasError, match=r"3 usable labels of 12, expected at least 4; .*child\.learning_rate"):
        evaluator(MadeUp(diverging=0.75), labels=12).evaluate(EVERY[:1])
    tiny = NasrlSpace(1, ("conv1x1", "conv3x3"), filters=4, reductions=0)
    inner = MadeUp()
    inner.evaluate_alone = lambda some, epochs, from_shared: (Score({"accuracy": 0.5}) for _ in some)
    made = SurrogateEvaluator(SurrogateConfig(), inner, networks(tiny), seed=0)
    with pytest.raises(RlnasError, match=r"2 usable labels of 2, .*space=nasrl has too few architectures"):
        made.evaluate([tiny.unrank(0)])


def test_an_unknown_target_names_the_known_ones(evaluator):
    with pytest.raises(RlnasError, match=r"evaluator\.target is 'loss', .*known are accuracy, margin"):
        evaluator(target="loss").evaluate(EVERY[:1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluator": {"name": "surrogate", "labels": 3}}, r"evaluator\.labels is 3, expected .* at least 4"),
        ({"evaluator": {"name": "surrogate", "model": "forest"}}, r"evaluator\.model is 'forest', .*gaussian_process"),
        ({"objective": {"terms": {"surrogate": 1.0}}}, r"objective\.terms\.surrogate .*set evaluator=surrogate"),
        (
            {"evaluator": {"name": "surrogate"}, "search": {"warmup_epochs": 0, "epochs_per_round": 0}},
            "nothing would train the shared weights",
        ),
    ],
    ids=["labels", "model", "objective", "search"],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(RlnasError, match=message):
        build_config(options)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"accuracy": 1.0}, True),
        ({"surrogate": 1.0}, False),
        ({"accuracy": 1.0, "predicted": 0.5}, False),
        ({"mine": {"weight": 1.0, "term": "examples.objective_term.deep"}}, False),
    ],
    ids=["accuracy", "surrogate", "predicted", "own"],
)
def test_labels_that_nothing_reads_are_said(terms, said):
    lines: list[str] = []
    folder: Any = SimpleNamespace(progress=SimpleNamespace(say=lines.append))
    for evaluator in ("surrogate", "shared_weights"):
        config = Config(evaluator=EVALUATOR_CONFIGS[evaluator](), objective=ObjectiveConfig(terms))
        words._hint_at_unread_prediction(config, folder)
    assert ["objective=surrogate" in line for line in lines] == [True] * said


REPLACED = ("progress", "retrain.epochs", "search.random", "search.architectures", "budget")  # of TINY


@pytest.mark.thorough
def test_a_run_stopped_and_resumed_ends_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [item for item in TINY if not item.startswith(REPLACED)]
    options = ["evaluator=surrogate", "objective=surrogate", "evaluator.labels=4", "evaluator.refit_rounds=1"]
    options += [
        "budget.rounds=2",
        "search.architectures_per_round=4",
        "evaluator.epochs=0.5",
        "search.random_control=1",
        "retrain.epochs=0",
        "progress=off",
    ]
    whole = rlnas.run([*kept, *options, f"hydra.run.dir={tmp_path}/whole"])
    rows = history(whole)
    for row in rows:
        assert row["reward"] == row["surrogate"]
        assert float(row["surrogate"]) == float(row["predicted"]) - 0.5 * float(row["uncertainty"])
    found = result(whole)["surrogate"]
    assert [one["labels"] for one in found["fits"]] == [4, 8]
    assert all(one["value"] is None or 0 <= one["value"] <= 1 for one in found["labels"])
    assert all(math.isfinite(one["objective"]) for one in result(whole)["candidates"])
    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "_out_of_time", stop_after(1))
        with pytest.raises(KeyboardInterrupt):
            rlnas.run([*kept, *options, f"hydra.run.dir={tmp_path}/part"])
    part = rlnas.run([f"resume={tmp_path}/part"])
    assert history(part) == rows
    for key in ("best", "candidates", "surrogate"):
        assert result(part)[key] == result(whole)[key]


def test_the_predictions_are_those_of_the_regression(evaluator):
    """Ridge on the columns of the documentation."""
    made = evaluator(labels=10, caution=0.0)
    [score] = made.evaluate([EVERY[7]])
    known = made.inner.trained[0][2:]
    rows = [made._row(one, made.inner.evaluate([one])[0].values, full=False) for one in [*known, EVERY[7]]]
    columns = {"skip", "skip_rate", "log_params", "log_flops", "shared/accuracy", "shared/margin"}
    assert {name for name in rows[-1] if "=" not in name} == columns
    mean, _ = fit("ridge", rows[:-1], [truth(one) for one in known]).predict(rows[-1:])[0]
    assert score.values["surrogate"] == score.values["predicted"] == mean


def test_labelled_architectures_are_no_fair_test_of_the_ranking(evaluator):
    made = evaluator()
    assert made.fitted_to() == frozenset()
    made._labels = {EVERY[3]: (0.5, "random"), EVERY[5]: (0.7, "best")}
    assert made.fitted_to() == {EVERY[3], EVERY[5]}

"""Programs scored on tasks of images: by hand, failures, functional equivalence, held-out and test tasks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rlnas.config.schema import ProgramEvaluatorConfig
from rlnas.data import ImageData
from rlnas.data.images import Decoded, Images
from rlnas.errors import RlnasError
from rlnas.evaluators import ProgramEvaluator
from rlnas.programs import Program, logits_of, parse
from rlnas.programs.handmade import linear, two_layer
from rlnas.spaces import ProgramSpace

SPACE = ProgramSpace(vectors=4, matrices=2)
SMALL = {"tasks": 3, "held_out_tasks": 2, "features": 4, "train_examples": 16, "valid_examples": 10}


@pytest.fixture
def patterns(data: ImageData) -> ImageData:
    """60 training, 30 validation and 30 test images of three classes, each a pattern and noise."""
    stream = torch.Generator().manual_seed(1)
    shapes = torch.randint(0, 120, (3, 1, 8, 8), generator=stream)

    def images(count: int) -> Images:
        labels = torch.arange(count) % 3
        noise = torch.randint(0, 100, (count, 1, 8, 8), generator=stream)
        return Images((noise + shapes[labels]).to(torch.uint8), labels)

    test = images(30)
    return replace(data, train=images(60), valid=images(30), read_test=lambda: Decoded(test, data.classes))


@pytest.fixture
def evaluator(patterns: ImageData):
    """evaluator(seed=0, **config)"""

    def make(seed: int = 0, **config) -> ProgramEvaluator:
        return ProgramEvaluator(ProgramEvaluatorConfig(**{**SMALL, **config}), SPACE.memory, patterns, seed=seed)

    return make


def evolved(count: int, seed: int = 0) -> list[Program]:
    """Random programs, empty ones, and long chains of mutations of both and of programs that learn."""
    rng = np.random.default_rng(seed)
    found = [Program(), linear(1.0), two_layer(0.1, 0.3), SPACE.sample(rng)]
    while len(found) < count:
        found.append(SPACE.mutate(found[int(rng.integers(len(found)))], rng))
    return found


def test_the_accuracy_is_the_mean_over_tasks(evaluator) -> None:
    made = evaluator()
    (score,) = made.evaluate([linear(1.0)])
    logits = logits_of(linear(1.0), made.tasks, SPACE.memory)
    assert score.accuracy == pytest.approx(((logits > 0) == (made.tasks.valid_labels == 1)).mean())
    assert score.accuracy > 0.75
    assert score.failed is None
    assert made.evaluate([Program()])[0].accuracy == 0.5  # a constant prediction is right for one of two classes


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("setup: | predict: s1=log(s2) | learn:", "the prediction of training example 1 is NaN or infinite"),
        ("setup: s2=1.0 | predict: s1=mean(v1) | learn: s2=exp(s2); v1=scale(s2,v0)", "is NaN or infinite"),
    ],
)
def test_a_failed_program_has_accuracy_zero_and_a_reason(evaluator, line: str, reason: str) -> None:
    made = evaluator()
    for cached in (False, True):
        (score,) = made.evaluate([parse(line)])
        assert (score.accuracy, score.cached) == (0.0, cached)
        assert reason in str(score.failed)


def test_the_limits_are_those_of_the_options(evaluator) -> None:
    (score,) = evaluator(max_instructions=50).evaluate([linear(1.0)])
    assert score.failed == "it needs 91 instructions a task, the limit is 50"
    made = evaluator(max_seconds=1e-9)
    for _ in range(2):  # a clock's verdict is not kept
        (score,) = made.evaluate([linear(1.0)])
        assert "time limit" in str(score.failed)
        assert not score.cached


# -- functional equivalence ----------------------------------------------------------------------------------


def test_equivalent_programs_are_run_once(evaluator) -> None:
    made = evaluator()
    dead = parse("setup: s2=1.0; s3=0.3 | predict: s1=dot(v0,v1) | learn:")._replace(learn=linear(1.0).learn)
    renamed = parse(
        "setup: s2=1.0 | predict: s1=dot(v3,v0) | learn: s3=sub(s0,s1); s3=mul(s3,s2); v2=scale(s3,v0); v3=add(v3,v2)"
    )
    scores = made.evaluate([linear(1.0), linear(1.0), dead, renamed, linear(0.3)])
    assert [score.cached for score in scores] == [False, True, True, True, False]
    assert len({score.accuracy for score in scores[:4]}) == 1


def test_the_scores_are_the_same_without_it(evaluator) -> None:
    programs = evolved(250)
    on, off = (evaluator(equivalence=flag, equivalence_examples=4).evaluate(programs) for flag in (True, False))
    assert [score.accuracy for score in on] == [score.accuracy for score in off]
    assert [score.failed is None for score in on] == [score.failed is None for score in off]
    assert sum(score.cached for score in on) > 50
    assert not any(score.cached for score in off)
    assert len({score.accuracy for score in on}) > 5


def test_the_cache_is_part_of_the_state(evaluator) -> None:
    first, second = evaluator(), evaluator()
    programs = evolved(60)
    first.evaluate(programs[:40])
    second.restore(first.state())
    scores = [
        [(score.accuracy, score.cached, score.failed) for score in one.evaluate(programs)] for one in (first, second)
    ]
    assert scores[0] == scores[1]


def test_the_oldest_results_leave_a_full_cache(evaluator, monkeypatch) -> None:
    monkeypatch.setattr("rlnas.evaluators.program.MOST_KNOWN", 4)
    made = evaluator()
    programs = [linear(rate) for rate in (1.0, 0.2, 0.3, 0.4)]
    made.evaluate(programs)
    assert len(made.state()["known"]) == 4
    assert [score.cached for score in made.evaluate([programs[3], programs[0]])] == [True, False]


# -- tasks ---------------------------------------------------------------------------------------------------


def test_tasks_depend_on_the_seed_only(evaluator) -> None:
    np.testing.assert_array_equal(evaluator().tasks.train, evaluator().tasks.train)
    assert not np.array_equal(evaluator().tasks.train, evaluator(seed=1).tasks.train)


def test_held_out_tasks_validate_on_the_validation_split(evaluator) -> None:
    made = evaluator(valid_examples=100)
    assert made.tasks.train.shape[0] + made.tasks.valid.shape[1] <= 40  # both from 20 training images a class
    assert made.selection_tasks.valid.shape == (2, 20, 4)  # 10 validation images a class
    (score,) = made.evaluate_held_out([linear(1.0)])
    wanted = made.selection_tasks.accuracies(logits_of(linear(1.0), made.selection_tasks, SPACE.memory)).mean()
    assert score.accuracy == pytest.approx(wanted)
    assert not score.cached


def test_the_test_split_is_read_once_at_the_end(patterns: ImageData) -> None:
    reads = []

    def read() -> Decoded:
        reads.append(1)
        return patterns.read_test()

    data = replace(patterns, read_test=read)
    made = ProgramEvaluator(ProgramEvaluatorConfig(**SMALL), SPACE.memory, data, seed=0)
    made.evaluate([linear(1.0)])
    made.evaluate_held_out([linear(1.0)])
    assert not reads
    about, best = made.conclude(linear(1.0), [])
    assert len(reads) == 1
    assert 0.6 < best["test_accuracy"] <= 1
    assert set(about["tasks"]) == {"search", "selection", "test"}
    assert about["tasks"]["search"] | {"pairs": []} == {
        "tasks": 3,
        "features": 4,
        "train_examples": 16,
        "valid_examples": 10,
        "pairs": [],
    }


def test_too_few_images_are_told(patterns: ImageData) -> None:
    few = replace(patterns, train=patterns.train.take(torch.arange(7)))
    with pytest.raises(RlnasError, match=r"examples of a class, expected at least 2 of each; give more images"):
        ProgramEvaluator(ProgramEvaluatorConfig(**SMALL), SPACE.memory, few, seed=0)

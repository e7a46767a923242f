"""Scores with shared weights: comparable, remembered for as long as they hold, and right."""

import pytest
import torch

from rlnas.child.network import run
from rlnas.child.supernet import Supernet
from rlnas.config import EvaluatorConfig
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
ARCHITECTURES = [SPACE.unrank(code) for code in (0, 7, 21, 30, 44, 53)]


@pytest.fixture
def evaluator(data, execution, child_config, graph_of):
    """evaluator(seed=0, **config): over a supernet that has been trained a little, the same every time."""

    def make(seed: int = 0, **config) -> SharedWeightsEvaluator:
        net = Supernet(child_config(), data, track_statistics=True, execution=execution, seed=0)
        net.train([graph_of(SPACE, a) for a in ARCHITECTURES], 6, what="test")
        options = {"images": 13, "batch_size": 6, **config}
        return SharedWeightsEvaluator(
            EvaluatorConfig(**options), net, data, lambda architecture: graph_of(SPACE, architecture), seed=seed
        )

    return make


def accuracies(scores) -> list[float]:
    return [score.accuracy for score in scores]


def train(evaluator: SharedWeightsEvaluator, steps: int = 1) -> None:
    evaluator.supernet.train([evaluator.graph_of(ARCHITECTURES[0])] * steps, steps, what="test")


norms = pytest.mark.parametrize("norm", ["batch", "recalibrate", "running"])


@norms
def test_the_order_of_architectures_does_not_matter(evaluator, norm):
    forward = accuracies(evaluator(norm=norm).evaluate(ARCHITECTURES))
    backward = accuracies(evaluator(norm=norm).evaluate(ARCHITECTURES[::-1]))
    assert forward == backward[::-1]
    assert len(set(forward)) > 1


@norms
def test_a_child_alone_scores_as_in_company(evaluator, norm):
    together = accuracies(evaluator(norm=norm).evaluate(ARCHITECTURES))
    one_by_one = evaluator(norm=norm)
    assert [one_by_one.evaluate([a])[0].accuracy for a in ARCHITECTURES] == together


def test_every_child_of_a_version_sees_the_same_images(evaluator, monkeypatch):
    scored, seen = evaluator(), []

    def spy(graph, weights, images, *rest):
        seen.append(images.clone())
        return run(graph, weights, images, *rest)

    monkeypatch.setattr("rlnas.evaluators.shared_weights.run", spy)
    scored.evaluate(ARCHITECTURES[:2])
    scored.evaluate(ARCHITECTURES[2:3])
    assert len(seen) == 9  # 13 images in three batches of at most 6
    for first, second in ((0, 3), (0, 6)):
        for batch in range(3):
            assert torch.equal(seen[first + batch], seen[second + batch])
    train(scored)
    scored.evaluate(ARCHITECTURES[:1])
    assert not torch.equal(seen[9], seen[0])


def test_the_second_answer_is_remembered(evaluator):
    scored = evaluator()
    first, second = scored.evaluate(ARCHITECTURES), scored.evaluate(ARCHITECTURES)
    assert accuracies(first) == accuracies(second)
    assert [s.cached for s in first] == [False] * 6
    assert [s.cached for s in second] == [True] * 6


def test_of_equal_architectures_in_one_call_one_is_computed(evaluator):
    scores = evaluator().evaluate([ARCHITECTURES[1]] * 3)
    assert [s.cached for s in scores] == [False, True, True]
    assert len(set(accuracies(scores))) == 1


def test_training_invalidates_what_was_remembered(evaluator):
    scored = evaluator(images=0)
    before = scored.evaluate(ARCHITECTURES)
    train(scored, 30)
    after = scored.evaluate(ARCHITECTURES)
    assert not any(score.cached for score in after)
    assert accuracies(before) != accuracies(after)


def test_the_draw_depends_on_seed_and_version(evaluator):
    draws = []
    for seed, trainings in ((0, 0), (0, 1), (1, 0), (0, 0)):
        scored = evaluator(seed)
        for _ in range(trainings):
            train(scored)
        scored.evaluate([])
        draws.append(torch.cat([images for images, _ in scored._batches]))
    assert torch.equal(draws[0], draws[3])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_images_are_drawn_without_repetition(evaluator, data):
    scored = evaluator(images=23)
    scored.evaluate([])
    rows = torch.cat([images for images, _ in scored._batches]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows) == 23
    everything = data.prepare(data.valid.pixels).flatten(1)
    assert (torch.cdist(rows, everything).min(1).values < 1e-4).all()


def test_the_accuracy_equals_a_hand_computation(evaluator, data):
    scored = evaluator(images=0, batch_size=24)
    weights, architecture = scored.supernet.weights, ARCHITECTURES[2]
    found = scored.evaluate([architecture])[0].accuracy
    weights.train()
    with torch.no_grad():
        scores = run(scored.graph_of(architecture), weights, data.prepare(data.valid.pixels))
    hits = [int(row.argmax()) == int(label) for row, label in zip(scores, data.valid.labels, strict=True)]
    assert found == sum(hits) / 24
    assert 0 < found < 1


def test_a_rest_is_spread_over_the_batches(evaluator):
    scored = evaluator(images=13, batch_size=12)
    scored.evaluate([])
    assert sorted(len(labels) for _, labels in scored._batches) == [6, 7]


@pytest.mark.parametrize("images", [0, 24, 1000])
def test_all_validation_images_when_asked_for_all(evaluator, images):
    scored = evaluator(images=images)
    assert accuracies(scored.evaluate(ARCHITECTURES)) == accuracies(scored.evaluate_fully(ARCHITECTURES))


def test_full_scores_are_not_remembered_and_do_not_disturb(evaluator):
    scored = evaluator()
    before = accuracies(scored.evaluate(ARCHITECTURES))
    full = scored.evaluate_fully(ARCHITECTURES)
    assert not any(score.cached for score in full + scored.evaluate_fully(ARCHITECTURES))
    assert accuracies(scored.evaluate(ARCHITECTURES)) == before
    assert accuracies(full) != before


def test_recalibration_uses_the_same_training_images_for_every_child(evaluator):
    scored = evaluator(norm="recalibrate", recalibrate_batches=2)
    draws = [torch.cat(list(scored._training_batches())) for _ in range(2)]
    assert torch.equal(*draws)
    assert len(draws[0]) == 12
    train(scored)
    assert not torch.equal(torch.cat(list(scored._training_batches())), draws[0])


def test_scoring_a_new_architecture_makes_its_weights(evaluator):
    scored, new = evaluator(), SPACE.parse("max_pool3x3 max_pool3x3 conv3x3+1")
    missing = {node.key for node in scored.graph_of(new).nodes if node.key} - set(scored.supernet.weights.specs)
    scored.evaluate([new])
    assert missing <= set(scored.supernet.weights.specs)


def test_scores_carry_no_gradient(evaluator):
    scored = evaluator()
    for parameter in scored.supernet.weights.parameters():
        parameter.grad = None
    scored.evaluate(ARCHITECTURES)
    assert all(parameter.grad is None for parameter in scored.supernet.weights.parameters())

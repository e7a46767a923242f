"""Children trained from scratch: by hand, whatever runs beside them, remembered, and with a reason if they fail."""

from dataclasses import replace

import pytest
import torch

from rlnas.children.retrain import Retraining, accuracy
from rlnas.config.schema import RetrainConfig, StandaloneConfig
from rlnas.data import ImageData
from rlnas.errors import Diverged, RlnasError
from rlnas.evaluators import Score, StandaloneEvaluator
from rlnas.evaluators.alone import ToTrain, train_from_scratch
from rlnas.evaluators.measures import LOWEST
from rlnas.executors import LocalExecutor
from rlnas.networks.graph import cost
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
ARCHITECTURES = [SPACE.unrank(code) for code in (0, 7, 21, 30)]
RECIPE = RetrainConfig(epochs=77, batch_size=16, learning_rate=0.03)  # the evaluator says how many epochs


@pytest.fixture
def noisy(data: ImageData) -> ImageData:
    """Labels that are wrong for a third of the images, so that accuracies differ."""
    stream = torch.Generator().manual_seed(5)

    def spoiled(images):
        wrong = torch.randint(0, 3, images.labels.shape, generator=stream)
        chosen = torch.rand(images.labels.shape, generator=stream) < 0.5
        return replace(images, labels=torch.where(chosen, wrong, images.labels))

    return replace(data, train=spoiled(data.train), valid=spoiled(data.valid))


@pytest.fixture
def evaluator(noisy, execution, networks):
    """evaluator(executor, seed=0, **config)"""

    def make(executor=None, seed=0, recipe=RECIPE, **config) -> StandaloneEvaluator:
        chosen = StandaloneConfig(**{"epochs": 2, "batch_size": 10, **config})
        return StandaloneEvaluator(
            chosen, recipe, networks(SPACE), noisy, execution, executor or LocalExecutor(1), seed=seed
        )

    return make


def accuracies(scores: list[Score]) -> list[float]:
    return [score.accuracy for score in scores]


@pytest.mark.variants(1)
@pytest.mark.parametrize("seed", [0, 4])
def test_a_score_is_that_of_a_retraining_by_hand(evaluator, noisy, execution, graph_of, seed):
    expected = []
    for architecture in ARCHITECTURES:
        recipe = replace(RECIPE, epochs=2)
        training = Retraining(recipe, graph_of(SPACE, architecture), noisy, execution=execution, seed=seed)
        child, valid = training.train(lambda *_: None), noisy.valid.in_content_order()
        p = child.predict(valid.pixels).double().gather(1, valid.labels[:, None])
        nats = p.log().clamp(min=-4).mean().item()
        expected.append((accuracy(child, valid), pytest.approx(p.mean().item()), pytest.approx(nats)))
    scores = evaluator(seed=seed).evaluate(ARCHITECTURES)
    names = ("accuracy", "soft_accuracy", "log_likelihood")
    assert [tuple(score.values[name] for name in names) for score in scores] == expected
    assert len(set(accuracies(scores))) > 1
    assert {score.images for score in scores} == {24}
    assert all(score.seconds > 0 and not score.cached and score.failed is None for score in scores)


@pytest.mark.parametrize("sharing", ["projection", "kernel"])
def test_the_score_does_not_depend_on_what_a_supernet_would_share(noisy, execution, networks, sharing):
    options = {"operators": ("conv3x3", "conv5x5", "max_pool3x3"), "filters": 4, "reductions": 1}
    found = []
    for form in ("operator", sharing):
        space = NasrlSpace(3, **options, sharing=form)
        config = StandaloneConfig(epochs=2, batch_size=10)
        one = StandaloneEvaluator(config, RECIPE, networks(space), noisy, execution, LocalExecutor(1), seed=0)
        found.append(accuracies(one.evaluate([space.unrank(code) for code in (1, 17, 40)])))
    assert found[0] == found[1]


def test_the_score_depends_on_epochs_and_seed(evaluator):
    found = [accuracies(evaluator(**options).evaluate(ARCHITECTURES)) for options in ({}, {"epochs": 6}, {"seed": 1})]
    assert found[0] != found[1]
    assert found[0] != found[2]


def test_workers_and_order_do_not_matter(evaluator):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        one = accuracies(evaluator().evaluate(ARCHITECTURES))
        two = accuracies(evaluator(LocalExecutor(2)).evaluate(ARCHITECTURES))
        backward = accuracies(evaluator(LocalExecutor(3)).evaluate(ARCHITECTURES[::-1]))
        singly = evaluator()
        alone = [singly.evaluate([architecture])[0].accuracy for architecture in ARCHITECTURES]
    finally:
        torch.set_num_threads(before)
    assert one == two == backward[::-1] == alone


def test_the_work_is_the_executor_s_one_piece_a_new_architecture(evaluator):
    asked = []

    class Spy(LocalExecutor):
        def map(self, work, shared, items):
            asked.append((work, list(items)))
            return super().map(work, shared, items)

    scored = evaluator(Spy(1))
    a, b, c = ARCHITECTURES[:3]
    first = scored.evaluate([a, b, a])
    second = scored.evaluate([b, c])
    one, two, three = (ToTrain(scored.networks.graph(architecture)) for architecture in (a, b, c))
    assert asked == [(train_from_scratch, [one, two]), (train_from_scratch, [three])]
    assert [score.cached for score in (*first, *second)] == [False, False, True, True, False]
    assert first[0].accuracy == first[2].accuracy
    assert first[2].seconds == second[0].seconds == 0


def test_a_part_of_the_images_is_the_same_for_every_child(evaluator, noisy):
    scored = evaluator(images=9)
    assert len(scored.recipe.images) == 9
    assert {score.images for score in scored.evaluate(ARCHITECTURES[:2])} == {9}
    assert torch.equal(evaluator(images=9).recipe.images.pixels, scored.recipe.images.pixels)
    assert not torch.equal(evaluator(images=9, seed=1).recipe.images.pixels, scored.recipe.images.pixels)
    assert len(evaluator(images=0).recipe.images) == len(evaluator(images=1000).recipe.images) == len(noisy.valid)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_diverges_scores_0_with_the_reason_and_stops_no_other(evaluator, monkeypatch, workers):
    bad, train = evaluator().networks.graph(ARCHITECTURES[1]), Retraining.train

    def sometimes(self, after_epoch):
        if self.child.graph == bad:
            raise Diverged("retraining, epoch 1: the loss is nan")
        return train(self, after_epoch)

    monkeypatch.setattr(Retraining, "train", sometimes)
    scored = evaluator(LocalExecutor(workers))
    found = scored.evaluate(ARCHITECTURES[:3])
    assert [score.failed for score in found] == [None, "retraining, epoch 1: the loss is nan", None]
    assert found[1].accuracy == 0
    assert scored.evaluate(ARCHITECTURES[1:2])[0].failed == found[1].failed


def test_a_real_divergence_is_caught_too(evaluator, monkeypatch):
    """A child whose first weights are infinite."""
    from rlnas.children import retrain

    new_child = retrain.new_child

    def spoiled(*arguments, **options):
        child = new_child(*arguments, **options)
        child.weights.by_key["stem"][0].weight.data.fill_(float("inf"))
        return child

    monkeypatch.setattr(retrain, "new_child", spoiled)
    (score,) = evaluator().evaluate(ARCHITECTURES[:1])
    assert score.values == {**LOWEST, "epochs": 2}
    assert "retraining, epoch 1: the loss is nan" in score.failed
    assert score.images is None


def test_a_restored_evaluator_remembers(evaluator, through_disk, monkeypatch):
    first = evaluator()
    scores = first.evaluate(ARCHITECTURES[:2])
    first._known[ARCHITECTURES[2], 2] = Score({**LOWEST, "epochs": 2.0}, failed="the loss is nan")
    (short,) = first.evaluate_partly(ARCHITECTURES[:1], 0.5)
    resumed = evaluator()
    resumed.restore(through_disk(first.state()))
    monkeypatch.setattr("rlnas.evaluators.alone.Retraining", None)  # nothing may be trained
    again = resumed.evaluate(ARCHITECTURES[:3])
    assert all(score.cached and score.seconds == 0 for score in again)
    assert [(s.values, s.images, s.failed) for s in again[:2]] == [(s.values, 24, None) for s in scores]
    assert (again[2].values, again[2].failed) == ({**LOWEST, "epochs": 2}, "the loss is nan")
    assert resumed.evaluate_partly(ARCHITECTURES[:1], 0.5)[0].values == short.values
    assert resumed.conclude(ARCHITECTURES[0], ARCHITECTURES[:2]) == ({"epochs_trained": 5}, {})


def test_a_checkpoint_without_epochs_is_of_whole_trainings(evaluator, through_disk):
    first = evaluator()
    (score,) = first.evaluate(ARCHITECTURES[:1])
    (known,) = first.state()["known"]
    values = {name: value for name, value in known[1].items() if name != "epochs"}
    resumed = evaluator()
    resumed.restore(through_disk({"known": [(known[0], values, *known[2:])]}))
    (again,) = resumed.evaluate(ARCHITECTURES[:1])
    assert (again.cached, again.values) == (True, score.values)


def test_a_part_of_the_effort_is_a_training_of_its_own_of_so_many_epochs(evaluator):
    whole = evaluator(epochs=4)
    found = whole.evaluate_partly(ARCHITECTURES, 0.25)
    assert [score.values for score in found] == [score.values for score in evaluator(epochs=1).evaluate(ARCHITECTURES)]
    assert {score.values["epochs"] for score in found} == {1}
    assert all(score.cached for score in whole.evaluate_partly(ARCHITECTURES, 0.25))
    assert not any(score.cached for score in whole.evaluate(ARCHITECTURES))
    assert whole.conclude(ARCHITECTURES[0], ARCHITECTURES) == ({"epochs_trained": 4 * (1 + 4)}, {})


def test_less_than_an_epoch_is_refused_before_anything_is_trained(evaluator, monkeypatch):
    monkeypatch.setattr("rlnas.evaluators.alone.Retraining", None)
    with pytest.raises(
        RlnasError, match=r"evaluator\.epochs is 2, expected at least 9: .*1/9 .*controller\.params\.rungs"
    ):
        evaluator().evaluate_partly(ARCHITECTURES, 1 / 9)


def test_costs_are_those_of_the_network_and_nothing_is_trained_beforehand(evaluator):
    scored = evaluator()
    assert dict(scored.costs(ARCHITECTURES[1])) == vars(cost(scored.networks.graph(ARCHITECTURES[1])))
    assert scored.train(lambda count: [], 3.0) is None
    assert scored.version == 0

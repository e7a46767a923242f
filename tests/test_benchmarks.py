"""What the benchmarks compare with does the same work."""

import json
import math

import numpy as np
import pytest
import torch

from benchmarks import nasrl_bench
from benchmarks.children import main as children
from benchmarks.packed import Member, Packed, evaluate, train
from benchmarks.plain import PlainChild, score
from benchmarks.programs import plain
from benchmarks.rivals import batches_of
from benchmarks.sharing import main as sharing
from rlnas.children.retrain import Retraining, accuracy
from rlnas.children.supernet import Supernet
from rlnas.config.schema import RetrainConfig, SharedWeightsConfig
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.programs import logits_of
from rlnas.programs.handmade import linear, two_layer
from rlnas.spaces import NasrlSpace, ProgramSpace
from tests.programs.small import gaussian_tasks


@pytest.mark.parametrize("merge", ["sum", "concat"])
def test_plain_modules_score_as_merged_children_do(data, execution, child_config, graph_of, networks, merge):
    space = NasrlSpace(4, filters=4, reductions=1, merge=merge)
    batch = batches_of(space, 6)["mutated"]
    net = Supernet(child_config(), data, track_statistics=False, execution=execution, seed=0)
    net.train([graph_of(space, one) for one in batch] * 4, 24)
    config = SharedWeightsConfig(images=0, batch_size=12)
    evaluator = SharedWeightsEvaluator(config, net, data, networks(space), seed=0)
    merged = [found.accuracy for found in evaluator.evaluate(batch)]
    plain = [PlainChild(graph_of(space, one), net.weights, execution) for one in batch]
    assert score(plain, data, 12, execution) == merged
    assert len(set(merged)) > 1


def test_batches_are_what_they_are_called():
    space = NasrlSpace(12)
    found = batches_of(space, 30)
    assert {kind: len(batch) for kind, batch in found.items()} == {"random": 30, "mutated": 30, "policy": 30}

    def distance(batch):
        """Mean share of decisions in which two of a batch differ."""
        decisions = torch.tensor(batch)
        return float((decisions[:, None] != decisions[None]).float().mean())

    assert distance(found["mutated"]) < distance(found["policy"]) < distance(found["random"])


@pytest.mark.parametrize(
    "chain", [("conv3x3", "sep_conv3x3", "conv3x3", "max_pool3x3"), ("identity", "conv3x3", "sep_conv3x3", "identity")]
)
def test_packed_networks_train_as_each_does_alone(data, execution, graph_of, chain):
    space = nasrl_bench.space()
    texts = [nasrl_bench.words(chain, skips) for skips in ((False, False, True), (True, True, True))]
    graphs = [graph_of(space, space.parse(text)) for text in texts]
    members = [Member(graph, seed) for seed in (3, 5) for graph in graphs]
    packed = Packed(graphs[-1], members, execution)
    recipe = RetrainConfig(epochs=1, batch_size=16, learning_rate=0.05, clip=0, label_smoothing=0.1)
    train(packed, recipe, [data, data], execution)
    images = data.valid
    pixels = data.prepare(images.pixels)
    together = packed(torch.stack([pixels, pixels]), training=False)  # (n, b, k)
    scores = evaluate(packed, [data, data], [images, images], 4.0)
    for member, own, (share, likelihood) in zip(members, together, scores, strict=True):
        child = Retraining(recipe, member.graph, data, execution=execution, seed=member.seed).train(lambda *_: None)
        alone = child.predict(images.pixels).log()
        torch.testing.assert_close(own.log_softmax(1), alone, rtol=0, atol=2e-3)
        assert share == pytest.approx(accuracy(child, images), abs=1.5 / len(images))
        right = alone.gather(1, images.labels[:, None])
        assert likelihood == pytest.approx(float(right.clamp(min=-4).mean()), abs=2e-3)


def test_the_noise_of_a_table_is_that_of_its_seeds():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2000, 1))
    levels = np.array([0.0, 0.1, 0.2])  # of the seeds
    values = 0.3 + 0.02 * truth + 0.005 * rng.normal(size=(2000, 3)) + levels
    found = nasrl_bench.noise(values)
    assert found["spread"] == pytest.approx(0.02, rel=0.05)
    assert found["noise"] == pytest.approx(0.005, rel=0.05)
    correlation = 0.02**2 / (0.02**2 + 0.005**2)
    assert found["tau"] == pytest.approx(2 / math.pi * math.asin(correlation), abs=0.02)
    assert found["tau_top_quarter"] < found["tau"]


@pytest.mark.slow
def test_the_last_line_is_json(capsys, monkeypatch):
    options = ["--children", "2", "--images", "60", "--layers", "3", "--filters", "4", "--repeats", "1"]
    monkeypatch.setattr("sys.argv", ["children", *options])
    children()
    ratios = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {"random_vs_plain_fp32", "random_vs_plain_best", "mutated_vs_plain_fp32", "mutated_vs_plain_best"} <= set(
        ratios
    )
    assert all(value > 0 for value in ratios.values())


@pytest.mark.slow
def test_the_ways_of_sharing_are_timed(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["sharing", "--children", "2", "--images", "40", "--repeats", "1"])
    sharing()
    ratios = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    work = ("random", "mutated", "policy", "training")
    assert set(ratios) == {f"{one}_{form}" for one in work for form in ("projection", "kernel")}
    assert all(value > 0 for value in ratios.values())


def test_the_plain_loop_over_instructions_gives_the_same_logits():
    space, tasks = ProgramSpace(), gaussian_tasks(count=2, train=10, valid=6)
    for program in (linear(1.0), two_layer(0.3, 0.3)):
        wanted = logits_of(program, tasks, space.memory, seed=4)
        np.testing.assert_allclose(plain(program, tasks, space, seed=4), wanted, rtol=1e-10)

"""What the benchmarks compare with does the same work."""

import json

import pytest
import torch

from benchmarks.children import main as children
from benchmarks.plain import PlainChild, score
from benchmarks.rivals import batches_of
from benchmarks.sharing import main as sharing
from rlnas.children.supernet import Supernet
from rlnas.config.schema import SharedWeightsConfig
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.spaces import NasrlSpace


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

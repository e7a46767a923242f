"""Scores with shared weights: comparable, remembered for as long as they hold, and right."""

import itertools
import math
from dataclasses import dataclass, field, replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlnas.children import network
from rlnas.children.network import run, run_merged
from rlnas.children.supernet import Supernet
from rlnas.config.schema import SharedWeightsConfig
from rlnas.data import Images
from rlnas.errors import Diverged, RlnasError
from rlnas.evaluators import SharedWeightsEvaluator, shared_weights
from rlnas.evaluators.alone import Alone, train_shortly
from rlnas.execution.settings import Execution
from rlnas.executors import LocalExecutor
from rlnas.networks.graph import Graph, cost
from rlnas.networks.merge import merge, merge_within, peak
from rlnas.spaces import DartsSpace, NasnetSpace, NasrlFactoredSpace, NasrlSpace
from rlnas.spaces.networks import Networks

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
ARCHITECTURES = [SPACE.unrank(code) for code in (0, 7, 21, 30, 44, 53)]


@pytest.fixture
def evaluator(data, execution, child_config, graph_of, networks):
    """evaluator(seed=0, **config): over a supernet that has been trained a little, the same every time."""

    def make(seed: int = 0, valid: Images = data.valid, executor=None, **config) -> SharedWeightsEvaluator:
        net = Supernet(child_config(), data, track_statistics=True, execution=execution, seed=0)
        net.train([graph_of(SPACE, a) for a in ARCHITECTURES], 6)
        options = {"images": 13, "batch_size": 6, **config}
        return SharedWeightsEvaluator(
            SharedWeightsConfig(**options),
            net,
            replace(data, valid=valid),
            networks(SPACE),
            seed=seed,
            executor=executor,
        )

    return make


def accuracies(scores) -> list[float]:
    return [score.accuracy for score in scores]


def values(scores) -> list[dict[str, float]]:
    return [dict(score.values) for score in scores]


def train(evaluator: SharedWeightsEvaluator, steps: int = 1) -> None:
    evaluator.supernet.train([evaluator.networks.graph(ARCHITECTURES[0])] * steps, steps)


norms = pytest.mark.parametrize("norm", ["batch", "recalibrate", "running"])


@norms
def test_the_order_of_architectures_does_not_matter(evaluator, norm):
    forward = values(evaluator(norm=norm).evaluate(ARCHITECTURES))
    backward = values(evaluator(norm=norm).evaluate(ARCHITECTURES[::-1]))
    assert forward == backward[::-1]
    for name in ("accuracy", "soft_accuracy", "log_likelihood"):
        assert len({found[name] for found in forward}) > 1


@norms
def test_a_child_alone_scores_as_in_company(evaluator, norm):
    together = values(evaluator(norm=norm).evaluate(ARCHITECTURES))
    one_by_one = evaluator(norm=norm)
    assert [one_by_one.evaluate([a])[0].values for a in ARCHITECTURES] == together


def test_every_child_of_a_version_sees_the_same_images(evaluator, monkeypatch):
    scored, seen = evaluator(), []

    def spy(merged, weights, images, **rest):
        seen.append(images.clone())
        return run_merged(merged, weights, images, **rest)

    monkeypatch.setattr("rlnas.evaluators.shared_weights.run_merged", spy)
    scored.evaluate(ARCHITECTURES[:2])
    scored.evaluate(ARCHITECTURES[2:3])
    assert len(seen) == 6  # two groups, 13 images in three batches of at most 6
    for batch in range(3):
        assert torch.equal(seen[batch], seen[3 + batch])
    train(scored)
    scored.evaluate(ARCHITECTURES[:1])
    assert not torch.equal(seen[6], seen[0])


@norms
def test_validation_images_sorted_by_class_score_the_same(evaluator, data, norm):
    """A folder is read class by class; a batch of one class alone would be normalised by that class's statistics."""
    by_class = data.valid.take(data.valid.labels.argsort(stable=True))
    assert not torch.equal(by_class.labels, data.valid.labels)
    found = []
    for valid in (data.valid, by_class):
        scored = evaluator(valid=valid, norm=norm, images=20, batch_size=6)
        found.append((values(scored.evaluate(ARCHITECTURES)), values(scored.evaluate_fully(ARCHITECTURES))))
    assert found[0] == found[1]


def test_batches_hold_all_classes_whatever_the_order_of_files(data, execution, child_config, networks):
    """Contrast: contiguous batches of a sorted split hold some of the classes only."""
    pixels = torch.randint(0, 256, (400, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sorted_split = Images(pixels, torch.arange(400) // 100)
    net = Supernet(child_config(), data, track_statistics=False, execution=execution, seed=0)
    scored = SharedWeightsEvaluator(
        SharedWeightsConfig(images=0, batch_size=100), net, replace(data, valid=sorted_split), networks(SPACE), seed=0
    )
    assert [set(labels.tolist()) for _, labels in scored._split(sorted_split)] == [{0}, {1}, {2}, {3}]
    for _, labels in scored._split(scored.valid):
        assert (labels.bincount() > 10).all()
    scored.evaluate([])
    assert torch.equal(torch.cat([labels for _, labels in scored._batches]), scored.valid.labels)


def test_the_second_answer_is_remembered(evaluator):
    scored = evaluator()
    first, second = scored.evaluate(ARCHITECTURES), scored.evaluate(ARCHITECTURES)
    assert values(first) == values(second)
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


def test_the_values_equal_a_hand_computation(evaluator, data):
    scored = evaluator(images=0, batch_size=24)
    weights, architecture = scored.supernet.weights, ARCHITECTURES[2]
    found = scored.evaluate([architecture])[0].values
    weights.train()
    with torch.no_grad():
        scores = run(scored.networks.graph(architecture), weights, data.prepare(scored.valid.pixels))
    hits = [int(row.argmax()) == int(label) for row, label in zip(scores, scored.valid.labels, strict=True)]
    assert found["accuracy"] == sum(hits) / 24
    assert 0 < found["accuracy"] < 1
    assert found == by_image(scores, scored.valid.labels)


def by_image(scores: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """The values of a child, image by image: the logarithm of the right class's probability is never below -4."""
    rows = list(zip(scores.double().tolist(), labels.tolist(), strict=True))
    nats = [row[label] - math.log(sum(map(math.exp, row))) for row, label in rows]
    return {
        "accuracy": sum(row.index(max(row)) == label for row, label in rows) / len(rows),
        "soft_accuracy": pytest.approx(sum(map(math.exp, nats)) / len(rows), abs=1e-6),
        "log_likelihood": pytest.approx(sum(max(one, -4.0) for one in nats) / len(rows), abs=1e-6),
    }


def test_a_rest_is_spread_over_the_batches(evaluator):
    scored = evaluator(images=13, batch_size=12)
    scored.evaluate([])
    assert sorted(len(labels) for _, labels in scored._batches) == [6, 7]


@pytest.mark.parametrize("images", [0, 24, 1000])
def test_all_validation_images_when_asked_for_all(evaluator, images):
    scored = evaluator(images=images)
    assert values(scored.evaluate(ARCHITECTURES)) == values(scored.evaluate_fully(ARCHITECTURES))


def test_full_scores_are_not_remembered_and_do_not_disturb(evaluator):
    scored = evaluator()
    before = accuracies(scored.evaluate(ARCHITECTURES))
    full = scored.evaluate_fully(ARCHITECTURES)
    assert not any(score.cached for score in full + scored.evaluate_fully(ARCHITECTURES))
    assert accuracies(scored.evaluate(ARCHITECTURES)) == before
    assert accuracies(full) != before


def test_recalibration_uses_the_same_training_images_for_every_child(evaluator):
    scored = evaluator(norm="recalibrate", recalibrate_batches=2)
    draws = [torch.cat(list(scored._training_batches(scored.supernet))) for _ in range(2)]
    assert torch.equal(*draws)
    assert len(draws[0]) == 12
    train(scored)
    assert not torch.equal(torch.cat(list(scored._training_batches(scored.supernet))), draws[0])


def test_scoring_a_new_architecture_makes_its_weights(evaluator):
    scored, new = evaluator(), SPACE.parse("max_pool3x3 max_pool3x3 conv3x3+1")
    missing = {node.key for node in scored.networks.graph(new).nodes if node.key} - set(scored.supernet.weights.specs)
    scored.evaluate([new])
    assert missing <= set(scored.supernet.weights.specs)


def test_scores_carry_no_gradient(evaluator):
    scored = evaluator()
    for parameter in scored.supernet.weights.parameters():
        parameter.grad = None
    scored.evaluate(ARCHITECTURES)
    assert all(parameter.grad is None for parameter in scored.supernet.weights.parameters())


# -- many children in one pass -----------------------------------------------------------------------------

OPERATORS = ("conv1x1", "conv3x3", "sep_conv3x3", "avg_pool3x3", "identity")
SPACES = {
    "sum": NasrlSpace(4, OPERATORS, filters=4, reductions=1),
    "concat": NasrlSpace(4, OPERATORS, filters=3, reductions=1, widen=2, merge="concat"),
    "factored": NasrlFactoredSpace(3, (1, 3), (1, 3), (3, 4), (1, 2), (1, 2)),
    "projection": NasrlSpace(4, OPERATORS, filters=4, reductions=1, merge="concat", sharing="projection"),
    "kernel": NasrlSpace(4, (*OPERATORS, "conv5x5"), filters=4, reductions=1, sharing="kernel"),
    "darts": DartsSpace(("sep_conv3x3", "avg_pool3x3", "identity"), nodes=2, cells=3, filters=3),
    "nasnet": NasnetSpace(nodes=2, output="loose", pairs="any", cells=3, filters=3),
}


@dataclass
class Passes:
    """What went through `run_merged`.

    groups: the members of each merged pass. raw: the class scores of each graph, one tensor a batch.
    """

    groups: list[list[Graph]] = field(default_factory=list)
    raw: dict[Graph, list[torch.Tensor]] = field(default_factory=dict)
    calls: int = 0


def watched(patch: pytest.MonkeyPatch) -> Passes:
    """Watch the evaluator's merged passes."""
    seen, members_of = Passes(), {}

    def groups(graphs, limit):
        for members, merged in merge_within(graphs, limit):
            members_of[id(merged)] = [graphs[which] for which in members]
            seen.groups.append(members_of[id(merged)])
            yield members, merged

    def scores(merged, weights, images, **options):
        found = run_merged(merged, weights, images, **options)
        seen.calls += 1
        for graph, one in zip(members_of[id(merged)], found, strict=True):
            seen.raw.setdefault(graph, []).append(one)
        return found

    patch.setattr(shared_weights, "merge_within", groups)
    patch.setattr(shared_weights, "run_merged", scores)
    return seen


def limited(values: int, dtype: torch.dtype = torch.float32, channels_last: bool = False) -> Execution:
    """On the CPU, with room for so many values."""
    kind = type("Limited", (Execution,), {"values_allowed": values})
    return kind(torch.device("cpu"), dtype, channels_last)


def unsettled(data, child_config, space, execution: Execution, norm: str, batch_size: int) -> SharedWeightsEvaluator:
    """Over weights whose BN layers all differ from a new one's, on any images of one channel and 8x8 pixels."""
    net = Supernet(child_config(), data, track_statistics=norm != "batch", execution=execution, seed=0)

    ensure = net.weights.ensure

    def ensure_unsettled(graph: Graph) -> None:
        known = set(net.weights.specs)
        ensure(graph)
        for key in net.weights.specs.keys() - known:
            stream = torch.Generator().manual_seed(len(key))
            for layer in net.weights.by_key[key].modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    for tensor in (layer.weight.data, layer.bias.data, *layer.buffers()):
                        if tensor.is_floating_point():
                            tensor.uniform_(0.5, 1.5, generator=stream)

    net.weights.ensure = ensure_unsettled
    config = SharedWeightsConfig(images=0, batch_size=batch_size, norm=norm, recalibrate_batches=2)
    return SharedWeightsEvaluator(config, net, data, Networks(space, 1, 8, 3), seed=0)


@torch.no_grad()
def by_hand(evaluator: SharedWeightsEvaluator, graph: Graph) -> list[torch.Tensor]:
    """Class scores of the whole validation split, one tensor a batch, from runs of this graph alone."""
    weights, norm = evaluator.supernet.weights, evaluator.config.norm
    weights.ensure(graph)
    weights.eval()
    layers = list(weights.norms(graph))
    kept = {name: buffer.clone() for name, buffer in weights.named_buffers()}
    with evaluator.supernet.execution.autocast():
        for layer in layers:
            layer.track_running_stats = norm != "batch"
            layer.train(norm != "running")
            if norm == "recalibrate":
                layer.reset_running_stats()
                layer.momentum = None
        if norm == "recalibrate":
            for images in evaluator._training_batches(evaluator.supernet):
                run(graph, weights, images)
            for layer in layers:
                layer.eval()
                layer.momentum = 0.1
        found = [run(graph, weights, images) for images, _ in evaluator._split(evaluator.valid)]
    weights.load_state_dict(kept, strict=False)
    return found


@pytest.mark.variants(3)
@norms
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.data())
def test_scores_together_are_bit_equal_to_one_by_one(data, child_config, space, norm, values):
    """In number formats and memory layouts, batches, groups as small and as large as memory allows, any order."""
    codes = values.draw(st.lists(st.integers(0, space.size - 1), min_size=1, max_size=5, unique=True), label="codes")
    dtype = values.draw(st.sampled_from([torch.float32, torch.bfloat16]), label="dtype")
    channels_last = values.draw(st.booleans(), label="channels_last")
    batch_size = values.draw(st.integers(5, 24), label="batch_size")
    shuffled = values.draw(st.permutations(codes), label="shuffled")
    judge = unsettled(data, child_config, space, limited(0, dtype, channels_last), norm, batch_size)
    graphs = [judge.networks.graph(space.unrank(code)) for code in codes]
    expected = {graph: by_hand(judge, graph) for graph in graphs}
    labels = judge.valid.labels
    accuracy = {graph: int((torch.cat(raw).argmax(1) == labels).sum()) / 24 for graph, raw in expected.items()}
    alone: dict[Graph, dict[str, float]] = {}  # of the first pass, which scores one by one
    before = {name: buffer.clone() for name, buffer in judge.supernet.weights.named_buffers()}
    parts = -(-24 // batch_size)
    middle = values.draw(st.integers(1, peak(merge(graphs).graph)), label="limit") * -(-24 // parts)
    for allowed, order, groups in (
        (0, codes, len(codes)),
        (middle, shuffled, None),
        (10**12, shuffled, 1),
        (10**12, codes[-1:], 1),
    ):
        judge.supernet.execution = limited(allowed, dtype, channels_last)
        with pytest.MonkeyPatch.context() as patch:
            seen = watched(patch)
            found = [score.values for score in judge.evaluate_fully([space.unrank(code) for code in order])]
        asked = [judge.networks.graph(space.unrank(code)) for code in order]
        assert [one["accuracy"] for one in found] == [accuracy[graph] for graph in asked]
        for graph, one in zip(asked, found, strict=True):
            assert one == by_image(torch.cat(expected[graph]), labels)
            assert one == alone.setdefault(graph, one)
        assert seen.raw.keys() == set(asked)
        for graph in asked:
            for one, other in zip(seen.raw[graph], expected[graph], strict=True):
                assert torch.equal(one, other)
        assert groups is None or len(seen.groups) == groups
        assert seen.calls == len(seen.groups) * parts
    after = dict(judge.supernet.weights.named_buffers())
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("sharing", ["projection", "kernel"])
def test_finer_shared_children_score_together_as_one_by_one(data, child_config, sharing):
    space = NasrlSpace(3, ("conv3x3", "conv5x5", "sep_conv3x3"), filters=4, reductions=1, sharing=sharing)
    judge = unsettled(data, child_config, space, limited(10**12), "batch", 12)
    children = [space.unrank(code) for code in range(0, space.size, 7)]
    with pytest.MonkeyPatch.context() as patch:
        seen = watched(patch)
        together = judge.evaluate_fully(children)
    assert len(seen.groups) == 1
    alone = {judge.networks.graph(one): by_hand(judge, judge.networks.graph(one)) for one in children}
    for graph, batches in alone.items():
        assert all(torch.equal(one, other) for one, other in zip(seen.raw[graph], batches, strict=True))
    assert accuracies(together) == [judge.evaluate_fully([one])[0].accuracy for one in children]


def applied(patch: pytest.MonkeyPatch) -> list:
    """The nodes that are run from now on."""
    nodes, apply = [], network.apply

    def spy(node, *rest):
        nodes.append(node)
        return apply(node, *rest)

    patch.setattr(network, "apply", spy)
    return nodes


def test_five_identical_children_cost_one(evaluator, monkeypatch):
    scored = evaluator(images=0, batch_size=24)
    nodes = applied(monkeypatch)
    scores = scored.evaluate_fully([ARCHITECTURES[3]] * 5)
    assert len(nodes) == len(scored.networks.graph(ARCHITECTURES[3]).nodes)
    assert len(set(accuracies(scores))) == 1


@norms
def test_what_children_share_is_run_once(evaluator, monkeypatch, norm):
    scored = evaluator(images=0, batch_size=12, norm=norm, recalibrate_batches=3)
    graphs = [scored.networks.graph(architecture) for architecture in ARCHITECTURES]
    distinct = len(merge(graphs).graph.nodes)
    alone = sum(len(graph.nodes) for graph in graphs)
    assert distinct < 0.8 * alone
    batches = 2 + (3 if norm == "recalibrate" else 0)
    nodes = applied(monkeypatch)
    scored.evaluate(ARCHITECTURES)
    assert len(nodes) == distinct * batches
    nodes.clear()
    scored.supernet.execution = limited(0)
    scored.evaluate_fully(ARCHITECTURES)
    assert len(nodes) == alone * batches


def test_groups_keep_within_the_memory(evaluator):
    """So many values at once: what each image takes, for all images of the largest batch."""
    scored = evaluator(images=0, batch_size=10)  # three batches of 8
    graphs = [scored.networks.graph(architecture) for architecture in ARCHITECTURES]
    everything = peak(merge(graphs).graph)
    sizes = {}
    for allowed in (0, 8 * everything - 1, 8 * everything):
        scored.supernet.execution = limited(allowed)
        with pytest.MonkeyPatch.context() as patch:
            seen = watched(patch)
            scored.evaluate_fully(ARCHITECTURES)
        assert seen.calls == 3 * len(seen.groups)
        for group in seen.groups:
            assert len(group) == 1 or 8 * peak(merge(group).graph) <= allowed
        sizes[allowed] = [len(group) for group in seen.groups]
    none, nearly, enough = sizes.values()
    assert none == [1] * 6
    assert max(nearly) in range(2, 6)
    assert enough == [6]


def test_recalibration_keeps_within_the_memory_too(evaluator, monkeypatch):
    """Few images are scored, but the training batches have the full size."""
    scored = evaluator(images=6, batch_size=24, norm="recalibrate")
    graphs = [scored.networks.graph(architecture) for architecture in ARCHITECTURES]
    scored.supernet.execution = limited(6 * peak(merge(graphs).graph))
    used = []

    def spy(merged, weights, images, **rest):
        used.append((len(merged.heads), len(images) * peak(merged.graph)))
        return run_merged(merged, weights, images, **rest)

    monkeypatch.setattr("rlnas.children.norm.run_merged", spy)
    scored.evaluate(ARCHITECTURES)
    assert used
    assert all(count == 1 or values <= scored.supernet.execution.values_allowed for count, values in used)


def test_the_seconds_of_a_pass_are_shared_evenly(evaluator, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(shared_weights.time, "perf_counter", lambda: float(next(clock)))
    scores = evaluator().evaluate([*ARCHITECTURES[:4], ARCHITECTURES[0]])
    assert [score.seconds for score in scores] == [0.25, 0.25, 0.25, 0.25, 0.0]


# -- an architecture alone ---------------------------------------------------------------------------------


IMAGES = {"image_channels": 1, "image_size": 8, "classes": 3}


class Asked(LocalExecutor):
    """Remembers what it was last asked to work on."""

    def map(self, work, shared, items):
        self.items = list(items)
        return super().map(work, shared, items)


@pytest.mark.variants(1)
@pytest.mark.parametrize("from_shared", [True, False])
def test_alone_does_not_depend_on_the_number_of_threads_or_the_company(evaluator, from_shared):
    before = torch.get_num_threads()
    found = []
    try:
        for threads, chosen in ((1, ARCHITECTURES), (3, ARCHITECTURES), (2, ARCHITECTURES[::-1])):
            torch.set_num_threads(threads)
            scored = evaluator(executor=LocalExecutor(threads))
            repeats = [ARCHITECTURES.index(one) % 3 for one in chosen]
            found.append(accuracies(scored.evaluate_alone(chosen, 2, from_shared=from_shared, repeats=repeats)))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2][::-1]
    assert len(set(found[0])) > 1


def test_repeats_are_other_trainings_and_0_is_the_default(evaluator):
    scored, one = evaluator(), ARCHITECTURES[1]
    several = accuracies(scored.evaluate_alone([one] * 5, 2, from_shared=False, repeats=[0, 1, 2, 3, 1]))
    assert several[1] == several[4]
    assert len(set(several[:4])) > 1
    assert several[0] == accuracies(scored.evaluate_alone([one], 2, from_shared=False))[0]


def test_alone_is_the_work_of_the_executor_on_a_copy(evaluator):
    """The shared weights, their version and what is remembered stay as they are."""

    class Spy(LocalExecutor):
        def map(self, work, shared, items):
            asked.append((work, items))
            return super().map(work, shared, items)

    asked = []
    scored = evaluator(executor=Spy(1))
    remembered = scored.evaluate(ARCHITECTURES)
    before, version = {n: p.clone() for n, p in scored.supernet.weights.named_parameters()}, scored.version
    found = list(scored.evaluate_alone(ARCHITECTURES[:2], 2))
    assert asked == [(train_shortly, [Alone(scored.networks.graph(one)) for one in ARCHITECTURES[:2]])]
    assert all(torch.equal(before[name], p) for name, p in scored.supernet.weights.named_parameters())
    assert scored.version == version
    assert accuracies(scored.evaluate(ARCHITECTURES)) == accuracies(remembered)
    assert all(score.seconds > 0 and score.images == 24 and score.failed is None for score in found)


@pytest.mark.parametrize("sharing", ["projection", "kernel"])
def test_from_scratch_stand_alone_networks_are_trained_whatever_is_shared(data, child_config, execution, sharing):
    """From the shared weights it is the network that uses them."""
    options = {"operators": ("conv3x3", "conv5x5", "max_pool3x3"), "filters": 4, "reductions": 1}
    found = {}
    for form in ("operator", sharing):
        space = NasrlSpace(3, **options, sharing=form)
        net = Supernet(child_config(), data, track_statistics=False, execution=execution, seed=0)
        spy = Asked(1)
        judge = SharedWeightsEvaluator(
            SharedWeightsConfig(images=0, batch_size=12), net, data, Networks(space, 1, 8, 3), seed=0, executor=spy
        )
        chosen = [space.unrank(code) for code in (1, 17, 40)]
        found[form] = accuracies(judge.evaluate_alone(chosen, 3, from_shared=False))
        assert [item.graph for item in spy.items] == [space.standalone.graph(one, **IMAGES) for one in chosen]
        assert not net.weights.specs  # the shared weights are left alone
        list(judge.evaluate_alone(chosen, 1, from_shared=True))
        assert [item.graph for item in spy.items] == [space.graph(one, **IMAGES) for one in chosen]
    assert found["operator"] == found[sharing]


@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_diverges_does_not_stop_the_others(evaluator, monkeypatch, workers):
    scored = evaluator(executor=LocalExecutor(workers))
    bad, train = scored.networks.graph(ARCHITECTURES[1]), Supernet.train

    def sometimes(self, graphs, steps):
        first = next(iter(graphs))
        if first == bad:
            raise Diverged("the loss is nan")
        return train(self, itertools.chain([first], graphs), steps)

    monkeypatch.setattr(Supernet, "train", sometimes)
    found = list(scored.evaluate_alone(ARCHITECTURES[:3], 1))
    assert [score.failed for score in found] == [None, "the loss is nan", None]
    assert found[1].accuracy == 0
    assert min(found[0].accuracy, found[2].accuracy) > 0


# -- training and saving -----------------------------------------------------------------------------------


def test_it_trains_until_the_epoch_on_as_many_architectures_as_that_takes(evaluator):
    scored = evaluator()  # trained for 6 steps, two epochs
    asked = []

    def draw(count):
        asked.append(count)
        return ARCHITECTURES * 9

    training = scored.train(draw, 3.0)
    assert (asked, training.epoch, scored.supernet.trainer.steps) == ([3], 3.0, 9)
    assert training.loss > 0
    assert training.learning_rate == scored.supernet.learning_rate(8)
    version = scored.version
    again = scored.train(draw, 3.0)
    assert (asked, again.loss, again.epoch, scored.version) == ([3], None, 3.0, version)


@pytest.mark.variants(2)
@norms
def test_a_restored_evaluator_goes_on_bit_for_bit(evaluator, through_disk, norm):
    through, resumed = evaluator(norm=norm), evaluator(norm=norm)
    train(through, 5)
    first = through.evaluate(ARCHITECTURES[:3])
    resumed.restore(through_disk(through.state()))
    again = resumed.evaluate(ARCHITECTURES)
    assert [score.cached for score in again] == [True] * 3 + [False] * 3
    assert values(again)[:3] == values(first)
    assert [(score.values, score.images) for score in again] == [
        (score.values, score.images) for score in through.evaluate(ARCHITECTURES)
    ]
    for one in (through, resumed):
        one.train(lambda count: ARCHITECTURES[:1] * count, 6.0)
    assert values(resumed.evaluate(ARCHITECTURES)) == values(through.evaluate(ARCHITECTURES))
    assert resumed.version == through.version


def test_a_checkpoint_with_cached_accuracies_alone_is_refused_in_one_line(evaluator):
    scored = evaluator()
    state = scored.state()
    text = SPACE.text(ARCHITECTURES[0])
    with pytest.raises(RlnasError, match=r"of an earlier version: its cached scores are 0\.5, expected accuracy"):
        scored.restore({**state, "cache": [(text, 0.5, 13)]})


def test_without_the_supernet_s_state_it_would_not(evaluator, through_disk):
    """The contrast to the test above."""
    through, resumed = evaluator(images=0), evaluator(images=0)
    state = through_disk(resumed.state())
    train(through, 30)
    resumed.restore({**through_disk(through.state()), "supernet": state["supernet"]})
    assert accuracies(resumed.evaluate_fully(ARCHITECTURES)) != accuracies(through.evaluate_fully(ARCHITECTURES))


def test_costs_are_those_of_the_networks(evaluator):
    scored = evaluator()
    assert dict(scored.costs(ARCHITECTURES[2])) == vars(cost(scored.networks.graph(ARCHITECTURES[2])))

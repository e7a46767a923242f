"""Running a graph over shared weights: what counts changes the output, what does not is not touched."""

import weakref

import pytest
import torch
from torch.nn import functional as F

from rlnas.children import network
from rlnas.children.network import Child, Noise, run, run_merged
from rlnas.children.weights import Weights, named_tensors
from rlnas.networks.graph import GraphBuilder
from rlnas.networks.merge import merge
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace

OPERATORS = ("conv1x1", "conv3x3", "conv5x5", "sep_conv3x3", "sep_conv5x5", "dil_conv3x3", "avg_pool3x3", "max_pool3x3")
EVERY = NasrlSpace(2, (*OPERATORS, "identity"), filters=4, reductions=0)
FACTORS = NasrlFactoredSpace(2, (1, 3), (3, 5), (2, 4), (1, 2), (1, 2))


def make_weights(seed: int = 0, **options) -> Weights:
    options = {"track_statistics": False, "device": torch.device("cpu"), "channels_last": False, **options}
    return Weights(seed, **options)


@pytest.fixture
def weights() -> Weights:
    return make_weights()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def gradients(graph, weights, images) -> dict[str, torch.Tensor]:
    """Gradient of a loss by parameter name, of those that have one."""
    weights.ensure(graph)
    weights.zero_grad(set_to_none=True)
    F.cross_entropy(run(graph, weights, images), torch.arange(len(images)) % 3).backward()
    return {name: p.grad.clone() for name, p in weights.named_parameters() if p.grad is not None}


def of_key(named: dict[str, torch.Tensor], key: str) -> list[torch.Tensor]:
    return [value for name, value in named.items() if name.startswith(f"by_key.{key}.")]


@pytest.mark.parametrize("layer", [1, 2])
def test_each_operator_changes_the_output(weights, images, graph_of, layer):
    outputs = []
    for index in range(len(EVERY.operators)):
        graph = graph_of(EVERY, (index, 0) if layer == 1 else (0, index))
        weights.ensure(graph)
        outputs.append(run(graph, weights, images).detach())
    for i, one in enumerate(outputs):
        assert one.isfinite().all()
        assert not any(torch.equal(one, other) for other in outputs[:i])


@pytest.mark.parametrize("index", range(len(OPERATORS)))
def test_each_operator_gets_its_own_gradient(weights, images, graph_of, index):
    for other in range(len(OPERATORS)):
        weights.ensure(graph_of(EVERY, (0, other)))
    found = gradients(graph_of(EVERY, (0, index)), weights, images)
    own = of_key(found, f"layer2/{OPERATORS[index]}")
    assert own
    assert all(gradient.abs().sum() > 0 for gradient in own)
    for other in set(OPERATORS) - {OPERATORS[index]}:
        assert not of_key(found, f"layer2/{other}")


@pytest.mark.parametrize("neighbour", range(8))
def test_each_factor_changes_the_output(weights, images, graph_of, neighbour):
    architecture = (0,) * len(FACTORS.choices)
    other = list(FACTORS.neighbours(architecture))[neighbour]
    for one in (architecture, other):
        weights.ensure(graph_of(FACTORS, one))
    outputs = [run(graph_of(FACTORS, one), weights, images) for one in (architecture, other)]
    assert not torch.equal(*outputs)


@pytest.mark.parametrize("merge", ["sum", "concat"])
@pytest.mark.parametrize("bit", range(3))
def test_each_skip_changes_the_output_and_carries_gradient(weights, images, graph_of, merge, bit):
    space = NasrlSpace(4, ("conv1x1",), filters=4, reductions=1, merge=merge)
    bits = [position for position, count in enumerate(space.choices) if count == 2]
    without = (0,) * len(space.choices)
    using = tuple(int(position == bits[bit]) for position in range(len(space.choices)))
    [(source, target)] = skips(space, using)
    graphs = [graph_of(space, architecture) for architecture in (without, using)]
    before, after = (gradients(graph, weights, images) for graph in graphs)
    assert not torch.equal(*(run(graph, weights, images) for graph in graphs))
    name = f"by_key.layer{source}/conv1x1.0.weight"
    assert not torch.equal(before[name], after[name])
    if merge == "concat":
        own = of_key(after, f"layer{target}/join/from{source}")
        assert own
        assert all(gradient.abs().sum() > 0 for gradient in own)
        assert not of_key(before, f"layer{target}/join/from{source}")


def test_each_factored_skip_has_weights_of_its_own(weights, images, graph_of):
    space = NasrlFactoredSpace(3, (3,), (3,), (4,))
    without, using = ((0,) * 15 + (bit,) for bit in (0, 1))
    before, after = (gradients(graph_of(space, architecture), weights, images) for architecture in (without, using))
    assert set(after) - set(before) == {"by_key.layer3/3x3x4/from1x4.0.weight"}
    assert after["by_key.layer3/3x3x4/from1x4.0.weight"].abs().sum() > 0


@pytest.mark.parametrize("code", [0, 17, 5000])
def test_a_child_runs_only_its_own_nodes(space, weights, images, graph_of, code):
    for other in (code, 1, 999, 7001):
        weights.ensure(graph_of(space, space.unrank(other % space.size)))
    graph, called = graph_of(space, space.unrank(code % space.size)), set()
    for key, module in weights.by_key.items():
        for leaf in (m for m in module.modules() if not list(m.children())):
            leaf.register_forward_hook(lambda *_, key=key: called.add(key))
    run(graph, weights, images)
    assert called == {node.key for node in graph.nodes if node.key}
    assert called != set(weights.by_key)


def test_exactly_the_childs_parameters_get_a_gradient(space, weights, images, graph_of):
    for code in (1, 17, 300, 600):
        weights.ensure(graph_of(space, space.unrank(code)))
    graph = graph_of(space, space.unrank(17))
    keys = {node.key for node in graph.nodes if node.key}
    expected = {name for name, _ in weights.named_parameters() if name.split(".")[1] in keys}
    assert set(gradients(graph, weights, images)) == expected


def test_parameters_exist_once(space, weights, graph_of):
    graphs = [graph_of(space, space.unrank(code)) for code in range(0, space.size, 97)]
    weights.ensure(graphs[0])
    first = dict(weights.named_parameters())
    for graph in graphs:
        weights.ensure(graph)
    assert all(dict(weights.named_parameters())[name] is parameter for name, parameter in first.items())
    keys = {node.key for graph in graphs for node in graph.nodes if node.key}
    assert set(weights.by_key) == keys
    alone = 0
    for key in keys:
        own = make_weights()
        own.make(key, weights.specs[key])
        alone += sum(p.numel() for p in own.parameters())
    assert sum(p.numel() for p in weights.parameters()) == alone


def test_first_values_depend_on_seed_and_key_alone(space, graph_of):
    graphs = [graph_of(space, space.unrank(code)) for code in (0, 17, 5000 % space.size)]
    one, reverse, other = make_weights(), make_weights(), make_weights(1)
    for graph, back in zip(graphs, reversed(graphs), strict=True):
        one.ensure(graph)
        reverse.ensure(back)
        other.ensure(graph)
    a, b, c = (named_tensors(w) for w in (one, reverse, other))
    assert list(a) != list(b)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any(torch.equal(a[name], c[name]) for name in a if name.endswith(".0.weight") and a[name].ndim == 4)


def test_equal_shapes_of_different_keys_start_differently(weights, graph_of):
    weights.ensure(graph_of(EVERY, (0, 0)))
    assert not torch.equal(*(weights.by_key[f"layer{layer}/conv1x1"][0].weight for layer in (1, 2)))


def test_one_key_cannot_mean_two_things(weights):
    for operator in ("conv1x1", "conv3x3"):
        builder = GraphBuilder(1, (8, 8))
        builder.add(operator, [-1], channels=4, key="twice")
        if operator == "conv1x1":
            weights.ensure(builder.build())
        else:
            with pytest.raises(ValueError, match=r"weight key twice stands for .*conv1x1.* and .*conv3x3"):
                weights.ensure(builder.build())


def test_a_stand_alone_child_with_the_same_weights_gives_the_same_output(space, weights, images, data, graph_of):
    for code in (1, 600, 17):
        weights.ensure(graph_of(space, space.unrank(code)))
    graph = graph_of(space, space.unrank(17))
    child = Child(graph, make_weights(5), classes=data.classes, mean=data.mean, std=data.std)
    assert not torch.equal(child(images), run(graph, weights, images))
    child.weights.load_state_dict({k: v for k, v in named_tensors(weights).items() if k in child.weights.state_dict()})
    assert torch.equal(child(images), run(graph, weights, images))


def test_predict_gives_probabilities_and_leaves_the_mode(space, data, graph_of):
    weights = make_weights(track_statistics=True)
    child = Child(graph_of(space, space.unrank(3)), weights, classes=data.classes, mean=data.mean, std=data.std)
    before = named_tensors(weights)
    probabilities = child.predict(data.valid.pixels)
    assert child.training
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(data.valid)))
    assert all(torch.equal(value, before[name]) for name, value in named_tensors(weights).items())
    child.eval()
    torch.testing.assert_close(probabilities, child(data.prepare(data.valid.pixels)).softmax(1))


def test_channels_last_gives_the_same_scores(space, weights, images, graph_of):
    graph, other = graph_of(space, space.unrank(17)), make_weights(channels_last=True)
    weights.ensure(graph)
    other.ensure(graph)
    found = run(graph, other, images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, run(graph, weights, images), rtol=1e-4, atol=1e-6)


def skips(space, architecture) -> list[tuple[int, int]]:
    """(from, to) of every skip, layers counted from 1."""
    layers = enumerate(space.split(architecture), 1)
    return [(source + 1, layer) for layer, (_, sources) in layers for source in sources]


def noise(dropout: float = 0.0, drop_path: float = 0.0, seed: int = 0) -> Noise:
    return Noise(dropout, drop_path, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"drop_path": 0.5}])
def test_noise_does_something(weights, images, graph_of, options):
    space = NasrlSpace(3, ("conv3x3",), filters=4)
    graph = graph_of(space, (0, 0, 0, 1))
    weights.ensure(graph)
    quiet = run(graph, weights, images)
    assert not torch.equal(run(graph, weights, images, noise(**options)), quiet)
    assert not torch.equal(
        run(graph, weights, images, noise(**options)), run(graph, weights, images, noise(**options, seed=1))
    )
    assert torch.equal(run(graph, weights, images, noise(**options)), run(graph, weights, images, noise(**options)))
    assert torch.equal(run(graph, weights, images, noise()), quiet)


def test_drop_path_needs_a_skip(weights, images, graph_of):
    graph = graph_of(NasrlSpace(3, ("conv3x3",), filters=4), (0, 0, 0, 0))
    weights.ensure(graph)
    assert torch.equal(run(graph, weights, images, noise(drop_path=0.5)), run(graph, weights, images))


def test_dropping_keeps_the_mean():
    dropped = noise().drop(torch.ones(200, 100), 0.25, (200, 100))
    assert dropped.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert abs(dropped.mean() - 1) < 0.02  # 20,000 draws: five standard errors


def test_one_draw_drops_an_images_whole_path():
    dropped = noise().drop(torch.ones(50, 3, 2, 2), 0.5, (50, 1, 1, 1))
    assert all(len(image.unique()) == 1 for image in dropped)
    assert len(dropped.unique()) == 2


def test_reduced_skips_keep_fitting(weights, images, graph_of):
    space = NasrlSpace(8, ("conv1x1", "avg_pool3x3"), filters=2, reductions=4, widen=2)
    graph = graph_of(space, [count - 1 for count in space.choices])
    weights.ensure(graph)
    outputs = []
    for leaf in weights.norms(graph):
        leaf.register_forward_hook(lambda _, __, output: outputs.append(tuple(output.shape[1:])))
    assert run(graph, weights, images).shape == (8, 3)
    assert {(2, 8, 8), (4, 4, 4), (8, 2, 2), (16, 1, 1), (32, 1, 1)} <= set(outputs)


def test_concat_equals_concatenation_then_a_1x1_convolution(weights, images, graph_of):
    space = NasrlSpace(3, ("conv3x3",), filters=4, reductions=0, merge="concat")
    graph = graph_of(space, (0, 0, 0, 1))
    weights.ensure(graph)
    module = weights.by_key
    first = module["layer1/conv3x3"](module["stem"](images))
    own = module["layer3/conv3x3"](module["layer2/conv3x3"](first))
    kernel = torch.cat([module[f"layer3/join/from{source}"][0].weight for source in (3, 1)], dim=1)
    joined = module["layer3/join/norm"](F.conv2d(torch.cat([own, first], dim=1), kernel))
    torch.testing.assert_close(run(graph, weights, images), module["head"](joined))


def test_factored_sources_equal_one_convolution_over_the_padded_concatenation(weights, images, graph_of):
    space = NasrlFactoredSpace(3, (3,), (1, 5), (2, 3), (1, 2), (1, 2))
    graph = graph_of(space, space.parse("3x1x3s1x1 3x5x2s2x2 3x5x3s2x1+1"))
    weights.ensure(graph)
    module = weights.by_key
    first = module["layer1/3x1x3s1x1/norm"](module["layer1/3x1x3s1x1/from0x1"](images))
    second = module["layer2/3x5x2s2x2/norm"](module["layer2/3x5x2s2x2/from1x3"](first))
    assert second.shape == (8, 2, 4, 4)
    inputs = torch.cat([F.pad(second, (0, 4, 0, 4)), first], dim=1)
    kernel = torch.cat([module[f"layer3/3x5x3s2x1/{source}"][0].weight for source in ("from2x2", "from1x3")], dim=1)
    third = module["layer3/3x5x3s2x1/norm"](F.conv2d(inputs, kernel, stride=(2, 1), padding=(1, 2)))
    torch.testing.assert_close(run(graph, weights, images), module["head3"](third))


def test_the_images_are_not_changed(space, weights, images, graph_of):
    before = images.clone()
    for code in range(0, space.size, 500):
        graph = graph_of(space, space.unrank(code))
        weights.ensure(graph)
        run(graph, weights, images)
    assert torch.equal(images, before)


# -- many graphs in one pass -------------------------------------------------------------------------------

SKIPPING = NasrlSpace(4, ("conv1x1", "conv3x3", "identity"), filters=4, reductions=1)
JOINING = NasrlSpace(4, ("conv1x1", "conv3x3", "identity"), filters=4, reductions=1, widen=2, merge="concat")
together_in = pytest.mark.parametrize("together", [SKIPPING, JOINING, FACTORS], ids=["sum", "concat", "factored"])


def some(space, graph_of, weights) -> list:
    """Seven architectures from everywhere in the space, the last with all its skips."""
    graphs = [graph_of(space, space.unrank((space.size - 1) * number // 6)) for number in range(7)]
    for graph in graphs:
        weights.ensure(graph)
    return graphs


@together_in
@pytest.mark.parametrize("channels_last", [False, True])
def test_many_together_give_each_its_own_scores(images, graph_of, together, channels_last):
    weights = make_weights(channels_last=channels_last)
    graphs = some(together, graph_of, weights)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    found = run_merged(merge(graphs), weights, images)
    for graph, scores in zip(graphs, found, strict=True):
        assert torch.equal(scores, run(graph, weights, images))
    assert len({tuple(scores.flatten().tolist()) for scores in found}) > 1


@together_in
def test_no_node_changes_the_output_of_another(weights, images, graph_of, together, monkeypatch):
    """Sums and activations work in place, on what is their own."""
    graphs, apply, outputs = some(together, graph_of, weights), network.apply, []

    def spy(*given):
        output = apply(*given)
        outputs.append((output, output.detach().clone()))
        return output

    monkeypatch.setattr(network, "apply", spy)
    merged = merge(graphs)
    run_merged(merged, weights, images)
    assert len(outputs) == len(merged.graph.nodes)
    assert any(len(node.inputs) > 2 for node in merged.graph.nodes) == (together is not FACTORS)
    assert all(torch.equal(output, copy) for output, copy in outputs)


def test_a_sum_of_three_by_hand(weights):
    builder = GraphBuilder(1, (2, 2))
    parts = [builder.add("identity", [-1]) for _ in range(3)]
    builder.add("sum", parts)
    values = [torch.full((1, 1, 2, 2), float(value)) for value in (1, 20, 300)]
    assert network.apply(builder.build().nodes[-1], values, None, None).unique().tolist() == [321]
    assert [value.unique().tolist() for value in values] == [[1], [20], [300]]


@torch.no_grad()
def test_an_output_is_let_go_after_its_last_use(weights, images, graph_of, monkeypatch):
    space = NasrlSpace(4, ("conv1x1", "conv3x3"), filters=4, reductions=1)  # identity would return its input
    merged, apply, outputs = merge(some(space, graph_of, weights)), network.apply, []

    def spy(*given):
        index = len(outputs)
        gone = {source for spent in merged.graph.last_uses[:index] for source in spent}
        alive = {number for number, output in enumerate(outputs) if output() is not None}
        assert alive == set(range(index)) - gone
        output = apply(*given)
        outputs.append(weakref.ref(output))
        return output

    monkeypatch.setattr(network, "apply", spy)
    run_merged(merged, weights, images)
    assert len(outputs) == len(merged.graph.nodes)


def test_before_is_called_with_each_node_that_has_weights(weights, images, graph_of, monkeypatch):
    merged, apply, order = merge(some(SKIPPING, graph_of, weights)), network.apply, []

    def spy(node, *rest):
        order.append(("run", node))
        return apply(node, *rest)

    monkeypatch.setattr(network, "apply", spy)
    run_merged(merged, weights, images, before=lambda index, module: order.append((index, module)))
    expected = []
    for index, node in enumerate(merged.graph.nodes):
        expected += [] if node.key is None else [(index, weights.by_key[node.key])]
        expected.append(("run", node))
    assert order == expected


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"drop_path": 0.5}])
def test_a_shared_node_draws_its_noise_once(weights, images, graph_of, options):
    """Two identical graphs are one: the same noise in both, and the generator goes on as after one."""
    graph, other = some(SKIPPING, graph_of, weights)[-2:]
    alone, twice = noise(**options), noise(**options)
    scores = run(graph, weights, images, alone)
    for one in run_merged(merge([graph, graph]), weights, images, twice):
        assert torch.equal(one, scores)
    assert torch.equal(alone.generator.get_state(), twice.generator.get_state())
    both = run_merged(merge([graph, other]), weights, images, noise(**options))
    quiet = run_merged(merge([graph, other]), weights, images)
    assert not any(torch.equal(one, still) for one, still in zip(both, quiet, strict=True))

"""Training shared weights and stand-alone children: whose parameters move, by how much, and exact resuming."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from rlnas.children import network
from rlnas.children.network import Noise, run
from rlnas.children.norm import train_mode
from rlnas.children.retrain import Retraining, accuracy, new_child, one_cycle
from rlnas.children.supernet import Supernet, cosine_restarts
from rlnas.children.trainer import Sgd, Trainer
from rlnas.children.weights import named_tensors
from rlnas.config.schema import RetrainConfig, SharedWeightsConfig
from rlnas.errors import Diverged
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.execution.settings import Execution
from rlnas.networks.merge import merge
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
LAYOUTS = [Execution(torch.device("cpu"), torch.float32, channels_last) for channels_last in (True, False)]
NOISY = {"dropout": 0.3, "drop_path": 0.3, "label_smoothing": 0.1}


@pytest.fixture
def graphs(graph_of):
    """Four architectures that share and do not share layers."""
    return [graph_of(SPACE, a) for a in ((0, 1, 0, 1), (1, 1, 2, 0), (2, 0, 1, 1), (0, 0, 0, 0))]


@pytest.fixture
def trainer(supernet):
    """trainer(**Sgd's fields): plain gradient descent unless told, ready for training."""

    def make(**changes) -> Trainer:
        net = supernet()
        sgd = Sgd(**{"momentum": 0.0, "weight_decay": 0.0, "clip": 0.0, "label_smoothing": 0.0, **changes})
        train_mode(net.weights)
        return Trainer(net.weights, net.batches, Noise(0.0, 0.0, torch.Generator()), sgd)

    return make


def snapshot(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.weights.named_parameters()}


def moved(trainer: Trainer, before: dict[str, torch.Tensor]) -> set[str]:
    """Keys of which a parameter has changed."""
    after = snapshot(trainer)
    return {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}


def keys(graph) -> set[str]:
    return {node.key for node in graph.nodes if node.key}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# -- who moves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen_before", [False, True])
def test_an_unused_parameter_does_not_move_by_one_bit(trainer, graphs, seen_before):
    trainer = trainer(momentum=0.9, weight_decay=0.1)
    used, unused = graphs[0], graphs[1]
    trainer.weights.ensure(unused)
    if seen_before:
        trainer.step([unused], 0.1)
    before = snapshot(trainer)
    trainer.step([used], 0.1)
    assert moved(trainer, before) <= keys(used)
    others = keys(unused) - keys(used)
    assert others
    for key in others:
        for parameter in trainer.weights.by_key[key].parameters():
            assert parameter.grad is None
            assert bool(trainer._optimizer.state[parameter]["momentum_buffer"].any()) == seen_before
    if not seen_before:
        momentum = trainer.state()["momentum"]
        assert {name.split(".")[1] for name, buffer in momentum.items() if buffer.any()} == keys(used)


def test_momentum_of_unused_parameters_is_kept(trainer, graphs):
    trainer = trainer(momentum=0.9, weight_decay=0.1)
    trainer.step([graphs[1]], 0.1)
    before = {name: buffer.clone() for name, buffer in trainer.state()["momentum"].items()}
    trainer.step([graphs[0]], 0.1)
    after = trainer.state()["momentum"]
    for name in before:
        assert torch.equal(before[name], after[name]) == (name.split(".")[1] not in keys(graphs[0]))


@pytest.mark.parametrize("execution", LAYOUTS, ids=["channels_last", "contiguous"])
def test_steps_are_those_of_plain_sgd(execution, trainer, graphs):
    """Whose parameters are all known from the start, and have no momentum before their first gradient."""
    found, plain = trainer(momentum=0.9, weight_decay=0.1), trainer()
    for graph in graphs:
        plain.weights.ensure(graph)
    optimizer = torch.optim.SGD(
        plain.weights.parameters(), 0.1, 0.9, weight_decay=0.1, nesterov=True, foreach=False, fused=False
    )
    for graph in (graphs[0], graphs[1], graphs[0], graphs[2], graphs[3]):
        found.step([graph], 0.1)
        optimizer.zero_grad()
        images, labels = plain.batches.next()
        F.cross_entropy(run(graph, plain.weights, images), labels).backward()
        optimizer.step()
    expected = snapshot(plain)
    for name, value in snapshot(found).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)


def test_every_used_parameter_moves(trainer, graphs):
    trainer = trainer()
    trainer.weights.ensure(graphs[0])
    before = snapshot(trainer)
    trainer.step([graphs[0]], 0.1)
    assert moved(trainer, before) == keys(graphs[0])


def test_several_architectures_give_the_mean_gradient(trainer, graphs):
    one_step = trainer()
    one_step.weights.ensure(graphs[0])
    images, labels = trainer().batches.next()  # another walk from the same seed: the same batch
    expected: dict[str, torch.Tensor] = {}
    total = 0.0
    for graph in graphs[:3]:
        alone = trainer()
        alone.weights.ensure(graph)
        loss = F.cross_entropy(run(graph, alone.weights, images), labels)
        loss.backward()
        total += float(loss.detach()) / 3
        for name, parameter in alone.weights.named_parameters():
            expected[name] = expected.get(name, 0) + parameter.grad / 3
    loss = one_step.step(graphs[:3], 0.1)
    assert float(loss) == pytest.approx(total)
    found = {name: p.grad for name, p in one_step.weights.named_parameters()}
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])


SPACES = {
    "sum": NasrlSpace(4, ("conv1x1", "sep_conv3x3", "max_pool3x3", "identity"), filters=4, reductions=1),
    "concat": NasrlSpace(4, ("conv1x1", "dil_conv3x3", "identity"), filters=3, widen=2, merge="concat"),
    "projection": NasrlSpace(4, ("conv3x3", "avg_pool3x3", "identity"), filters=4, sharing="projection"),
    "kernel": NasrlSpace(3, ("conv3x3", "conv5x5", "sep_conv3x3", "sep_conv5x5"), filters=4, sharing="kernel"),
    "factored": NasrlFactoredSpace(3, (1, 3), (1, 3), (3, 4), (1, 2), (1, 2)),
}


def in_double(trainer: Trainer, graphs, images, labels) -> Trainer:
    """The trainer with weights and images in double precision (the class scores stay single)."""
    for graph in graphs:
        trainer.weights.ensure(graph)
    trainer.weights.double()
    batch = (images.double(), labels)
    trainer.batches = SimpleNamespace(next=lambda: batch, execution=trainer.batches.execution)
    return trainer


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.data())
def test_the_gradient_of_several_in_one_pass_is_the_mean_of_one_by_one(trainer, graph_of, space, values):
    codes = values.draw(st.lists(st.integers(0, space.size - 1), min_size=1, max_size=5), label="codes")
    graphs = [graph_of(space, space.unrank(code)) for code in codes]
    images, labels = trainer().batches.next()
    together = in_double(trainer(label_smoothing=0.1), graphs, images, labels)
    alone = in_double(trainer(label_smoothing=0.1), graphs, images, labels)
    expected: dict[str, torch.Tensor] = {}
    losses = []
    for graph in graphs:
        losses.append(float(alone.step([graph], 0.0)))
        for name, parameter in alone.weights.named_parameters():
            if parameter.grad is not None:
                expected[name] = expected.get(name, 0) + parameter.grad / len(graphs)
    assert float(together.step(graphs, 0.0)) == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    found = {name: p.grad for name, p in together.weights.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert gradient.dtype == torch.float64
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-7)


def test_what_the_architectures_of_a_step_share_is_run_once(trainer, graphs, monkeypatch):
    ready, nodes, apply = trainer(), [], network.apply

    def spy(node, *rest):
        nodes.append(node)
        return apply(node, *rest)

    monkeypatch.setattr(network, "apply", spy)
    ready.step([graphs[0]] * 3, 0.1)
    assert nodes == list(graphs[0].nodes)
    nodes.clear()
    ready.step(graphs, 0.1)
    assert nodes == list(merge(graphs).graph.nodes)
    assert [node.operator for node in nodes].count("stem") == 1
    assert len(nodes) < sum(len(graph.nodes) for graph in graphs)


def test_the_same_architecture_several_times_is_once(trainer, graphs):
    once, thrice = trainer(momentum=0.9), trainer(momentum=0.9)
    for _ in range(3):
        losses = [float(one.step(chosen, 0.1)) for one, chosen in ((once, graphs[:1]), (thrice, graphs[:1] * 3))]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    after = snapshot(thrice)
    for name, value in snapshot(once).items():
        torch.testing.assert_close(value, after[name], rtol=1e-4, atol=1e-6)


def test_what_no_architecture_of_the_step_uses_does_not_move_by_one_bit(trainer, graphs):
    trainer = trainer(momentum=0.9, weight_decay=0.1, clip=1.0)
    trainer.step(graphs, 0.1)
    state = trainer.state()
    before, statistics = snapshot(trainer), named_tensors(trainer.weights)
    momentum = {name: buffer.clone() for name, buffer in state["momentum"].items()}
    statistics = {name: tensor.clone() for name, tensor in statistics.items()}
    trainer.step([graphs[0], graphs[3]], 0.1)
    used = keys(graphs[0]) | keys(graphs[3])
    unused = set(trainer.weights.specs) - used
    assert unused
    assert moved(trainer, before) == used
    after, now = trainer.state()["momentum"], named_tensors(trainer.weights)
    for name, buffer in momentum.items():
        assert torch.equal(after[name], buffer) == (name.split(".")[1] in unused)
    for name, tensor in statistics.items():
        assert torch.equal(now[name], tensor) == (name.split(".")[1] in unused)
    for key in unused:
        assert all(parameter.grad is None for parameter in trainer.weights.by_key[key].parameters())


def test_a_supernet_step_takes_as_many_architectures_as_configured(supernet, graphs):
    net, taken = supernet(architectures_per_step=3), []

    def supply():
        for graph in graphs * 10:
            taken.append(graph)
            yield graph

    net.train(supply(), 2)
    assert len(taken) == 6


# -- what shapes a step ------------------------------------------------------------------------------------


def test_label_smoothing_is_the_mean_over_all_classes(trainer, graphs):
    images, labels = trainer().batches.next()
    smooth = trainer(label_smoothing=0.3)
    smooth.weights.ensure(graphs[0])
    logs = run(graphs[0], smooth.weights, images).log_softmax(1)
    expected = -(0.7 * logs[torch.arange(len(labels)), labels] + 0.3 * logs.mean(1)).mean()
    assert float(smooth.step([graphs[0]], 0.0)) == pytest.approx(float(expected.detach()))


def step_length(trainer: Trainer, graph) -> float:
    trainer.weights.ensure(graph)
    before = snapshot(trainer)
    trainer.step([graph], 1.0)
    after = snapshot(trainer)
    return float(sum((after[name] - before[name]).square().sum() for name in before).sqrt())


def test_clipping_bounds_the_norm_of_a_step(trainer, graphs):
    free = step_length(trainer(), graphs[0])
    assert free > 0.01
    assert step_length(trainer(clip=free / 2), graphs[0]) == pytest.approx(free / 2, rel=1e-3)
    assert step_length(trainer(clip=free * 2), graphs[0]) == pytest.approx(free, rel=1e-3)


def test_the_gradient_of_absent_children_does_not_count_for_clipping(trainer, graphs):
    clipped = trainer(clip=1e-3)
    clipped.step([graphs[1]], 0.0)
    assert step_length(clipped, graphs[0]) == pytest.approx(1e-3, rel=1e-2)


def test_weight_decay_pulls_used_weights_to_zero(trainer, graphs):
    plain, decayed = trainer(), trainer(weight_decay=0.1)
    for one in (plain, decayed):
        one.weights.ensure(graphs[0])
    before = snapshot(plain)
    for one in (plain, decayed):
        one.step([graphs[0]], 0.5)
    for name, value in snapshot(decayed).items():
        torch.testing.assert_close(value, snapshot(plain)[name] - 0.05 * before[name])


@pytest.mark.parametrize("noise", [{"dropout": 0.5}, {"drop_path": 0.5}])
def test_noise_is_on_in_training_and_off_in_evaluation(supernet, data, graphs, networks, noise):
    nets = supernet(), supernet(**noise)
    for net in nets:
        net.weights.ensure(graphs[0])
    evaluators = [SharedWeightsEvaluator(SharedWeightsConfig(), net, data, networks(SPACE), seed=0) for net in nets]
    before = [e.evaluate([(0, 1, 0, 1), (2, 2, 2, 1)]) for e in evaluators]
    assert [score.accuracy for score in before[0]] == [score.accuracy for score in before[1]]
    state = nets[1].trainer.noise.generator.get_state()
    evaluators[1].evaluate_fully([(0, 1, 0, 1)])
    assert torch.equal(nets[1].trainer.noise.generator.get_state(), state)
    losses = [net.train(iter(graphs * 9), 3) for net in nets]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_the_schedule_equals_torchs_warm_restarts(factor):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=3, T_mult=factor, eta_min=0.0005)
    for quarter in range(1, 120):
        schedule.step(quarter / 4)
        found = cosine_restarts(quarter / 4, high=0.05, low=0.0005, first=3, factor=factor)
        assert found == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)


def test_the_supernet_follows_its_schedule(supernet, graphs):
    net = supernet(restart_epochs=2, restart_factor=1)
    assert net.batches.per_epoch == 3
    rates = []
    for _ in range(13):
        rates.append(net.learning_rate(net.trainer.steps))
        net.train(iter(graphs), 1)
        assert net.trainer._optimizer.param_groups[0]["lr"] == rates[-1]
    assert rates[0] == rates[6] == rates[12] == 0.05
    assert rates[:6] == sorted(rates[:6], reverse=True)
    assert net.epoch == pytest.approx(13 / 3)


@given(
    per_epoch=st.integers(1, 2000),
    warmup=st.integers(0, 9),
    share=st.decimals("0.01", "3", places=2).map(float),
    rounds=st.integers(1, 40),
)
def test_parts_of_epochs_add_up_to_the_whole(per_epoch, warmup, share, rounds):
    steps = 0
    for number in range(1, rounds + 1):
        net = SimpleNamespace(batches=SimpleNamespace(per_epoch=per_epoch), trainer=SimpleNamespace(steps=steps))
        steps += Supernet.steps_until(net, warmup + number * share)
    assert steps == round(per_epoch * (warmup + rounds * share))


def test_rounds_of_a_part_of_an_epoch_do_not_reach_the_next_cosine():
    """703 steps an epoch, 2 + 10 x 0.6 epochs: rounding each round up gives two steps at the highest rate."""
    steps = 0
    for epochs in (1, 2, *(2 + number * 0.6 for number in range(1, 11))):
        net = SimpleNamespace(batches=SimpleNamespace(per_epoch=703), trainer=SimpleNamespace(steps=steps))
        steps += Supernet.steps_until(net, epochs)
    assert steps == 8 * 703
    assert 2 * 703 + 10 * round(0.6 * 703) > 8 * 703


@pytest.mark.parametrize(("progress", "rate"), [(0, 0.1), (0.1, 0.55), (0.2, 1.0), (0.6, 0.5), (1, 0)])
def test_one_cycle_by_hand(progress, rate):
    assert one_cycle(progress, peak=1.0, warmup=0.2) == pytest.approx(rate)


def test_one_cycle_without_warmup_starts_at_the_peak():
    assert one_cycle(0, peak=0.3, warmup=0) == 0.3


def test_training_lowers_the_loss(supernet, graphs):
    net = supernet()
    first = net.train(iter(graphs * 9), 3)
    net.train(iter(graphs * 99), 60)
    assert net.train(iter(graphs * 9), 3) < first / 2


def test_the_version_grows_with_every_training(supernet, graphs):
    net = supernet()
    versions = [net.version]
    for _ in range(2):
        net.train(iter(graphs), 1)
        versions.append(net.version)
    assert len(set(versions)) == 3


def test_batches_walk_every_image_once_an_epoch(supernet, data):
    batches = supernet().batches
    for _ in range(2):
        labels = torch.cat([batches.next()[1] for _ in range(batches.per_epoch)])
        assert labels.bincount().tolist() == data.train.labels.bincount().tolist()
        assert batches.order.sort().values.tolist() == list(range(48))


def test_a_batch_size_above_the_data_is_the_data(supernet):
    assert supernet(batch_size=1000).batches.size == 48


# -- non-finite losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_says_what_to_look_at(supernet, graphs, value):
    net = supernet(learning_rate=0.25)
    net.weights.ensure(graphs[0])
    net.weights.by_key["stem"][0].weight.data.fill_(value)
    message = r"^the loss of the shared weights is nan; lower child.learning_rate \(now 0.25\) or set child"
    with pytest.raises(Diverged, match=message):
        net.train(iter(graphs), 1)


def test_a_retraining_that_diverges_says_what_to_look_at(data, execution, graphs):
    retraining = Retraining(RetrainConfig(epochs=2, batch_size=16), graphs[0], data, execution=execution, seed=0)
    retraining.child.weights.by_key["head"][1].bias.data.fill_(float("nan"))
    with pytest.raises(Diverged, match=r"retraining, epoch 1: the loss is nan; lower retrain.learning_rate"):
        retraining.train(lambda *_: None)


# -- resuming ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("execution", LAYOUTS, ids=["channels_last", "contiguous"])
@pytest.mark.parametrize("done", [0, 1, 4])
def test_resumed_training_equals_uninterrupted(execution, supernet, graphs, through_disk, done):
    options = {**NOISY, "architectures_per_step": 2, "weight_decay": 0.01}
    through, stopped = (supernet(**options) for _ in range(2))
    supply = graphs * 5
    through.train(iter(supply), done)
    stopped.train(iter(supply), done)
    resumed = supernet(**options)
    resumed.restore(through_disk(stopped.state()))
    losses = [net.train(iter(supply[2 * done :]), 5) for net in (through, resumed)]
    assert losses[0] == losses[1]
    assert same(named_tensors(through.weights), named_tensors(resumed.weights))
    assert same(through.trainer.state()["momentum"], resumed.trainer.state()["momentum"])
    assert (through.version, through.epoch) == (resumed.version, resumed.epoch)


def test_every_part_of_the_state_is_needed(supernet, graphs, through_disk):
    net = supernet(**NOISY)
    net.train(iter(graphs), 4)
    state = through_disk(net.state())
    fresh = supernet(**NOISY).state()["trainer"]
    losses = {}
    for part in ("nothing", "momentum", "batches", "noise", "steps"):
        changed = {**state["trainer"], **({} if part == "nothing" else {part: fresh[part]})}
        other = supernet(**NOISY)
        other.restore({**state, "trainer": changed})
        losses[part] = other.train(iter(graphs), 3)
    assert all(losses[part] != losses["nothing"] for part in losses if part != "nothing")


def test_a_state_in_the_middle_of_an_epoch_is_a_snapshot(supernet, graphs, through_disk):
    net = supernet()
    net.train(iter(graphs), 2)
    state = net.state()
    kept = through_disk(state)
    order = state["trainer"]["batches"]["order"].clone()
    net.train(iter(graphs), 4)
    assert torch.equal(state["trainer"]["batches"]["order"], order)
    assert kept["trainer"]["steps"] == state["trainer"]["steps"] == 2


@pytest.mark.parametrize("done", [0, 1, 2])
def test_resumed_retraining_equals_uninterrupted(data, execution, graphs, through_disk, done):
    def make() -> Retraining:
        config = RetrainConfig(epochs=3, batch_size=16, dropout=0.2, drop_path=0.2)
        return Retraining(config, graphs[0], data, execution=execution, seed=0)

    through, states, losses = make(), [], []
    states.append(through_disk(through.state()))

    def after_epoch(_, loss):
        states.append(through_disk(through.state()))
        losses.append(loss)

    through.train(after_epoch)
    resumed, again = make(), []
    resumed.restore(states[done])
    assert resumed.epoch == done
    resumed.train(lambda _, loss: again.append(loss))
    assert again == losses[done:]
    assert same(named_tensors(through.child.weights), named_tensors(resumed.child.weights))


def test_retraining_learns(data, execution, graphs):
    config = RetrainConfig(epochs=10, batch_size=16, label_smoothing=0.0)
    retraining = Retraining(config, graphs[0], data, execution=execution, seed=0)
    before = accuracy(new_child(graphs[0], data, execution=execution, seed=0), data.valid)
    epochs = []
    child = retraining.train(lambda epoch, _: epochs.append(epoch))
    assert epochs == list(range(1, 11))
    assert not child.training
    assert accuracy(child, data.valid, batch_size=7) > max(before, 0.9)


# -- randomness --------------------------------------------------------------------------------------------


def test_nothing_draws_from_torchs_global_generator(supernet, data, execution, graphs, networks):
    before = torch.get_rng_state()
    net = supernet(**NOISY)
    net.train(iter(graphs), 4)
    for norm in ("batch", "recalibrate", "running"):
        config = SharedWeightsConfig(images=8, norm=norm)
        evaluator = SharedWeightsEvaluator(config, net, data, networks(SPACE), seed=0)
        evaluator.evaluate([(2, 2, 2, 1)])
        evaluator.evaluate_fully([(1, 2, 2, 1)])
    config = RetrainConfig(epochs=1, batch_size=16, dropout=0.2, drop_path=0.2)
    child = Retraining(config, graphs[0], data, execution=execution, seed=0).train(lambda *_: None)
    accuracy(child, data.valid)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_depends_on_the_seed_alone(data, execution, child_config, graphs):
    def trained(seed: int):
        net = Supernet(child_config(**NOISY), data, track_statistics=False, execution=execution, seed=seed)
        return net.train(iter(graphs), 4)

    assert trained(1) == trained(1) != trained(2)


@pytest.mark.thorough
def test_retraining_is_one_graph_that_can_be_recorded(graphs, data, execution, monkeypatch):
    """What cuda_graphs records is traced here without CUDA: whole, backward too, and to the same weights."""
    real, calls = torch.compile, []

    def trace(function, *, mode, fullgraph, dynamic):
        calls.append(mode)
        return real(function, backend="aot_eager", fullgraph=fullgraph, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", trace)
    config = RetrainConfig(epochs=1, batch_size=16)
    trained = []
    for graphed in (False, True):
        how = replace(execution, cuda_graphs=graphed)
        trained.append(Retraining(config, graphs[0], data, execution=how, seed=0).train(lambda *_: None))
    assert calls == ["reduce-overhead"]
    plain, recorded = (named_tensors(child.weights) for child in trained)
    assert plain.keys() == recorded.keys()
    assert all(torch.equal(plain[name], recorded[name]) for name in plain)

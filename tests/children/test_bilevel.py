"""Bilevel training: gradients of first and second order, GDAS's single path, what is trained on which split, resume."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from rlnas.children import relaxed
from rlnas.children.bilevel import Bilevel
from rlnas.children.mixing import GumbelSoftmax, Softmax
from rlnas.children.network import apply
from rlnas.children.relaxed import run_relaxed
from rlnas.errors import Diverged
from rlnas.networks.operators import JOINS
from rlnas.networks.relaxation import MIXED
from rlnas.seeding import torch_stream
from rlnas.spaces import DartsSpace, NasrlSpace

IMAGES = {"image_channels": 1, "image_size": 8, "classes": 3}
CELL = DartsSpace(("sep_conv3x3", "avg_pool3x3", "identity"), nodes=2, cells=2, filters=2, reductions=1)
CHAIN = NasrlSpace(3, ("conv3x3", "avg_pool3x3"), filters=2, reductions=0)


@pytest.fixture
def bilevel(supernet, data):
    """bilevel(space, mixing, order, **changes of the child): on the small images."""

    def make(space, mixing=None, order=1, learning_rate=3e-4, **changes) -> Bilevel:
        net = supernet(**changes)
        found = Bilevel(
            net,
            data,
            space.relaxation(**IMAGES),
            mixing or Softmax(),
            order=order,
            learning_rate=learning_rate,
            weight_decay=1e-3,
            seed=3,
            purpose="controller/test",
        )
        net.weights.ensure(found.relaxation.graph)
        return found

    return make


def gumbel(temperature: float = 1.0) -> GumbelSoftmax:
    return GumbelSoftmax(torch_stream(0, "gumbel"), temperature)


def batches(count: int = 2) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        (torch.randn(6, 1, 8, 8, generator=generator).double(), torch.randint(0, 3, (6,), generator=generator))
        for _ in range(count)
    ]


def in_doubles(bilevel: Bilevel) -> None:
    """Smooth and in double precision, so that differences of the loss are exact to many digits."""
    weights = bilevel.supernet.weights
    for module in weights.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Softplus())
    weights.double()
    with torch.no_grad():
        start = torch.randn(bilevel.parameters.shape, generator=torch.Generator().manual_seed(4)).double()
    bilevel.parameters = start.requires_grad_()
    for norm in weights.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = False


def exact(bilevel: Bilevel, train, valid, xi: float) -> Tensor:
    """The derivative of L_valid(w - xi dL_train/dw, a) in a, by differentiating through the inner gradient."""
    weights = bilevel.supernet.weights
    named = dict(weights.named_parameters())

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = weights

        def forward(self, batch):
            shares, _ = Softmax()(bilevel.logits)
            return F.cross_entropy(run_relaxed(bilevel.relaxation, self.weights, batch[0], shares), batch[1])

    net = Net()
    inner = torch.autograd.grad(net(train), list(named.values()), create_graph=True)
    stepped = {f"weights.{name}": w - xi * g for (name, w), g in zip(named.items(), inner, strict=True)}
    return torch.autograd.grad(functional_call(net, stepped, (valid,)), bilevel.parameters)[0]


@pytest.mark.parametrize("space", [CELL, CHAIN], ids=["cell", "chain"])
def test_second_order_is_the_exact_derivative_for_a_small_radius(bilevel, space):
    found = bilevel(space, order=2)
    in_doubles(found)
    train, valid = batches()
    before = {name: value.clone() for name, value in found.supernet.weights.named_parameters()}
    expected = exact(found, train, valid, xi=0.3)
    first = torch.autograd.grad(found._forward(valid), found.parameters)[0]
    close = found.second_order(train, valid, xi=0.3, radius=1e-4)
    assert (expected - first).abs().max() > 1e-3 * expected.abs().max()  # the second order matters here
    torch.testing.assert_close(close, expected, rtol=1e-4, atol=1e-7)
    paper = found.second_order(train, valid, xi=0.3)
    assert (paper - expected).norm() < 0.01 * expected.norm()
    for name, value in found.supernet.weights.named_parameters():
        assert torch.equal(value, before[name])


def test_second_order_equals_differences_of_the_unrolled_loss(bilevel):
    """Central differences of the loss after the inner step, one architecture parameter at a time."""
    found = bilevel(CHAIN, order=2)
    in_doubles(found)
    train, valid = batches()
    xi, step = 0.3, 1e-5
    weights = list(found.supernet.weights.parameters())

    def unrolled() -> float:
        before = [weight.detach().clone() for weight in weights]
        inner = torch.autograd.grad(found._forward(train), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, inner, strict=True):
                weight.sub_(xi * gradient)
            loss = float(found._forward(valid))
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
        return loss

    approximated = found.second_order(train, valid, xi, radius=1e-4)
    for row in range(approximated.shape[0]):
        for column in range(found.counts[row]):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    found.parameters[row, column] += sign * step
                values.append(unrolled())
                with torch.no_grad():
                    found.parameters[row, column] -= sign * step
            assert (values[0] - values[1]) / (2 * step) == pytest.approx(float(approximated[row, column]), abs=1e-6)


def test_xi_of_zero_is_the_first_order(bilevel):
    found = bilevel(CHAIN, order=2)
    in_doubles(found)
    train, valid = batches()
    first = torch.autograd.grad(found._forward(valid), found.parameters)[0]
    torch.testing.assert_close(found.second_order(train, valid, xi=0.0), first)


def test_an_architecture_step_is_adam_with_the_published_settings(bilevel):
    """The first step of Adam is learning_rate times the sign of gradient plus decay, but for its epsilon."""
    found = bilevel(CHAIN, learning_rate=0.01)
    before = found.parameters.detach().clone()
    _, valid = [(images.float(), labels) for images, labels in batches()]
    gradient = torch.autograd.grad(found._forward(valid), found.parameters)[0] + 1e-3 * before
    found.step_architecture(valid, valid, 0.1)
    torch.testing.assert_close(found.parameters.detach(), before - 0.01 * gradient / (gradient.abs() + 1e-8))
    assert found.optimizer.param_groups[0]["betas"] == (0.5, 0.999)
    assert found.optimizer.param_groups[0]["weight_decay"] == 1e-3


def test_parameters_start_small_and_depend_on_the_seed_only(bilevel):
    one, other = bilevel(CHAIN), bilevel(CHAIN)
    assert torch.equal(one.parameters, other.parameters)
    assert 0 < one.parameters.abs().max() < 0.01
    for row in one.probabilities():
        assert sum(row) == pytest.approx(1)
        assert row == pytest.approx([1 / len(row)] * len(row), abs=0.01)


@pytest.mark.parametrize("mixing", [Softmax, gumbel], ids=["darts", "gdas"])
def test_training_lowers_the_loss_and_moves_the_parameters(bilevel, mixing):
    found = bilevel(CELL, mixing())
    start = found.parameters.detach().clone()
    first = found.train(3)
    for _ in range(10):
        last = found.train(3)
    assert last < first
    assert not torch.equal(found.parameters, start)
    assert found.supernet.trainer.steps == 33
    assert found.supernet.version == 11


def test_weights_learn_from_training_images_and_parameters_from_validation_images(bilevel, data, monkeypatch):
    """Which pixels the passes see: an architecture step those of the validation split only, first order."""
    found = bilevel(CHAIN)
    known = {split: {image.numpy().tobytes() for image in getattr(data, split).pixels} for split in ("train", "valid")}
    seen: list[str] = []
    prepare = type(data).prepare

    def watched(self, pixels, *args):
        splits = {split for image in pixels for split in known if image.numpy().tobytes() in known[split]}
        seen.append("+".join(sorted(splits)))
        return prepare(self, pixels, *args)

    monkeypatch.setattr(type(data), "augment", lambda self, pixels, generator: pixels)
    monkeypatch.setattr(type(data), "prepare", watched)
    found.train(3)
    assert seen == ["train", "valid"] * 3


def test_no_validation_image_enters_the_running_statistics(bilevel, monkeypatch):
    """As many updates of the buffers as training steps, and architecture steps leave them alone."""
    found = bilevel(CHAIN)
    weights = found.supernet.weights
    train, valid = [(images.float(), labels) for images, labels in batches()]
    found.train(2)
    before = {name: value.clone() for name, value in weights.named_buffers()}
    for order in (1, 2):
        found.order = order
        found.step_architecture(train, valid, 0.1)
    for name, value in weights.named_buffers():
        assert torch.equal(value, before[name])
    assert all(int(value) == 2 for name, value in before.items() if name.endswith("num_batches_tracked"))


def test_a_step_of_gdas_runs_one_operator_of_each_mixture(bilevel, monkeypatch):
    found = bilevel(CELL, gumbel())
    relaxation = found.relaxation
    ran: list[Counter[str]] = []

    def counting(node, inputs, module, noise):
        ran[-1][node.key or node.operator] += 1
        return apply(node, inputs, module, noise)

    monkeypatch.setattr(relaxed, "apply", counting)
    images, labels = batches(1)[0]
    for _ in range(5):
        ran.append(Counter())
        shares, chosen = found.mixing(found.logits)
        assert chosen is not None
        found._loss((images.float(), labels), shares, chosen)
        torch.testing.assert_close(shares, F.one_hot(torch.tensor(chosen), shares.shape[1]).float())
        expected = [relaxation.graph.nodes[index] for index in relaxation.path(chosen)]
        assert ran[-1] == Counter(node.key or node.operator for node in expected if node.operator != MIXED)
        # of each edge at most one operator: none where zero was drawn, or where nothing reads the node
        edges = Counter(key.rsplit("/", 1)[0] for key in ran[-1] if "/from" in key)
        assert set(edges.values()) <= {1}
    ran.append(Counter())
    relaxed.run_relaxed(relaxation, found.supernet.weights, images.float(), Softmax()(found.logits)[0])
    whole = {node.key for node in relaxation.graph.nodes if node.key is not None}
    assert {key for key in ran[-1] if key not in (*JOINS, "identity")} == whole


def test_the_gradient_of_gdas_is_that_of_the_soft_share(bilevel):
    """dL/d(parameters of a choice) = dL/dh times the softmax's Jacobian, h the share of the drawn alternative."""
    found = bilevel(CHAIN, gumbel(2.0))
    batch = next((images.float(), labels) for images, labels in batches(1))
    state = found.mixing.state()
    shares, chosen = found.mixing(found.logits)
    assert chosen is not None
    loss = found._loss(batch, shares, chosen)
    of_shares, ours = torch.autograd.grad(loss, [shares, found.parameters])
    found.mixing.restore(state)
    uniform = torch.rand(found.parameters.shape, generator=found.mixing.generator)
    soft = ((found.logits + -(-uniform.log()).log()) / 2.0).softmax(dim=1).detach()  # (r, a)
    for row, drawn in enumerate(chosen):
        jacobian = soft[row, drawn] * (torch.eye(found.parameters.shape[1])[drawn] - soft[row]) / 2.0
        torch.testing.assert_close(ours[row], of_shares[row, drawn] * jacobian)
    assert ours.abs().max() > 0


def test_gumbel_draws_by_the_probabilities():
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0]]).log()
    mixing = gumbel(0.1)
    draws = torch.tensor([mixing(logits)[1] for _ in range(4000)])
    for row in (0, 1):
        shares = torch.bincount(draws[:, row], minlength=3) / 4000
        torch.testing.assert_close(shares, logits[row].exp(), atol=0.03, rtol=0)
    assert (draws[:, 1] < 2).all()


@pytest.mark.parametrize(("mixing", "order"), [(Softmax, 1), (Softmax, 2), (gumbel, 1)], ids=["1", "2", "gdas"])
def test_saved_and_restored_it_goes_on_exactly(bilevel, mixing, order, through_disk):
    one = bilevel(CHAIN, mixing(), order, dropout=0.1)
    one.train(4)
    saved = through_disk([one.state(), one.supernet.state()])
    other = bilevel(CHAIN, mixing(), order, dropout=0.1)
    other.supernet.restore(saved[1])
    other.restore(saved[0])
    assert one.train(5) == other.train(5)
    assert torch.equal(one.parameters, other.parameters)
    for ours, theirs in zip(one.supernet.weights.parameters(), other.supernet.weights.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_state_before_the_first_step_can_be_restored(bilevel, through_disk):
    one, other = bilevel(CHAIN), bilevel(CHAIN)
    other.restore(through_disk(one.state()))
    assert one.train(2) == other.train(2)


def test_an_infinite_parameter_is_reported(bilevel):
    with pytest.raises(Diverged, match="architecture parameter is not finite"):
        bilevel(CHAIN, learning_rate=float("inf")).train(1)

"""The short measurement: what is usual stays unless something else is clearly faster; on a stubbed clock."""

import contextlib
import itertools
from types import SimpleNamespace

import pytest
import torch

from rlnas.execution import probe
from rlnas.execution.probe import HOPELESS, MARGIN, REPEATS, SCORED, VALUES, pick
from rlnas.execution.rule import Choice, Layers

CPU = torch.device("cpu")
USUAL, OTHER, THIRD = (Choice(torch.float32, True), Choice(torch.float32, False), Choice(torch.bfloat16, True))


class Machine:
    """A machine whose steps take the seconds they are told, one after the other, the last one again and again."""

    def __init__(self):
        self.now = 0.0
        self.runs: list[Choice] = []

    def step_of(self, choice: Choice, seconds: list[float]):
        taken = itertools.chain(seconds, itertools.repeat(seconds[-1]))

        def step() -> None:
            self.runs.append(choice)
            self.now += next(taken)

        return step


@pytest.fixture
def picked(monkeypatch):
    """picked({choice: seconds of each step}) -> (choice, seconds, the choices in the order of their steps)."""

    def run(steps: dict[Choice, list[float]]) -> tuple[Choice, dict[Choice, float], list[Choice]]:
        machine = Machine()
        monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: machine.now))
        monkeypatch.setattr(probe, "_step", lambda choice, device, layers: machine.step_of(choice, steps[choice]))
        return *pick(list(steps), CPU, Layers()), machine.runs

    return run


@pytest.mark.parametrize(
    ("usual", "other", "faster"),
    [
        (1.0, 2.0, False),
        (1.0, 1.0, False),
        (MARGIN - 0.05, 1.0, False),
        (MARGIN, 1.0, False),  # a tie is no lead
        (MARGIN + 0.01, 1.0, True),
        (3.0, 1.0, True),
    ],
)
def test_the_usual_choice_stays_unless_another_is_faster_by_the_margin(picked, usual, other, faster):
    choice, seconds, _ = picked({USUAL: [usual], OTHER: [other]})
    assert choice == (OTHER if faster else USUAL)
    assert seconds == pytest.approx({USUAL: usual, OTHER: other})


def test_of_several_beyond_the_margin_the_fastest_is_taken(picked):
    assert picked({USUAL: [3.0], OTHER: [2.0], THIRD: [1.5]})[0] == THIRD
    assert picked({USUAL: [3.0], OTHER: [1.5], THIRD: [2.0]})[0] == OTHER


def test_the_first_step_warms_up_and_does_not_count(picked):
    choice, seconds, runs = picked({USUAL: [3.0, 1.0], OTHER: [1.0, 0.9]})
    assert choice == USUAL
    assert seconds == pytest.approx({USUAL: 1.0, OTHER: 0.9})
    assert runs == [USUAL, OTHER] * (1 + REPEATS)
    # the other way round: a quick first step counts as little
    assert picked({USUAL: [1.0, 3.0], OTHER: [1.0]})[:2] == (OTHER, pytest.approx({USUAL: 3.0, OTHER: 1.0}))


@pytest.mark.parametrize(
    "steps", [[50.0, 1.0], [1.0, 7.0, 1.0]], ids=["the first of the process", "the first that counts"]
)
def test_one_slow_step_of_the_usual_choice_does_not_decide(picked, steps):
    """The first step of a process loads libraries, cuDNN for one, and takes many times as long as the next."""
    choice, seconds, _ = picked({USUAL: steps, OTHER: [1.5]})
    assert seconds[USUAL] == pytest.approx(1.0)
    assert choice == USUAL


@pytest.mark.parametrize("slow", range(1, 1 + REPEATS))
def test_a_slow_moment_does_not_decide(picked, slow):
    """The least of the repeats counts, and they go in turn."""
    steps = [1.0] * slow + [3.0] + [1.0] * REPEATS
    choice, seconds, _ = picked({USUAL: steps, OTHER: [0.95]})
    assert choice == USUAL
    assert seconds[USUAL] == pytest.approx(1.0)


def test_a_single_choice_is_taken_without_a_measurement(monkeypatch):
    def never(*_):
        raise AssertionError("measured")

    monkeypatch.setattr(probe, "_step", never)
    assert pick([THIRD], CPU, Layers()) == (THIRD, {})


def test_a_hopeless_choice_is_not_repeated(picked):
    slow = HOPELESS + 0.1
    choice, seconds, runs = picked({USUAL: [1.0], OTHER: [slow], THIRD: [HOPELESS - 0.1]})
    assert choice == USUAL
    assert seconds == pytest.approx({USUAL: 1.0, OTHER: slow, THIRD: HOPELESS - 0.1})
    assert [runs.count(one) for one in (USUAL, OTHER, THIRD)] == [1 + REPEATS, 1, 1 + REPEATS]


def test_a_hopeless_usual_choice_loses(picked):
    choice, seconds, runs = picked({USUAL: [10.0], OTHER: [1.0]})
    assert choice == OTHER
    assert seconds == pytest.approx({USUAL: 10.0, OTHER: 1.0})
    assert runs.count(USUAL) == 1 + REPEATS  # it is never given up: it may have been slow for being the first


def test_every_choice_gets_a_number(picked):
    """The one that becomes hopeless late keeps what it had."""
    _, seconds, runs = picked({USUAL: [1.0], OTHER: [1.0, 1.1, 9.0], THIRD: [99.0]})
    assert seconds == pytest.approx({USUAL: 1.0, OTHER: 1.1, THIRD: 99.0})
    assert runs.count(OTHER) == 3


# -- the real steps ----------------------------------------------------------------------------------------


def test_a_real_measurement_draws_nothing_and_answers_for_every_choice():
    before = torch.get_rng_state()
    choice, seconds = pick([USUAL, OTHER], CPU, Layers(2, 4, (8, 8)))
    assert choice in (USUAL, OTHER)
    assert seconds.keys() == {USUAL, OTHER}
    assert all(0 < value < float("inf") for value in seconds.values())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [True, False])
def test_a_step_computes_in_the_format_and_layout_of_its_choice(dtype, channels_last, monkeypatch):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    seen, forward = [], torch.nn.Conv2d.forward

    def spy(layer, images):
        out = forward(layer, images)
        # a depthwise or 1x1 kernel is laid out both ways at once
        laid_out = [images.is_contiguous(memory_format=layout), layer.weight.is_contiguous(memory_format=layout)]
        seen.append((out.dtype, tuple(images.shape), *laid_out, out.requires_grad))
        return out

    monkeypatch.setattr(torch.nn.Conv2d, "forward", spy)
    before = torch.get_rng_state()
    probe._step(Choice(dtype, channels_last), CPU, Layers(2, 4, (8, 6)))()
    assert torch.equal(torch.get_rng_state(), before)
    one = (dtype, (2, 4, 8, 6), True, True)
    layers = 6 + 4  # a 1x1 convolution in front of each of six operators, four of which are convolutions
    assert seen == [(*one, True)] * layers + [(*one, False)] * layers * SCORED


@pytest.mark.parametrize(
    ("images", "channels", "size", "expected"),
    [
        (64, 32, (8, 8), 64),  # nasrl_cifar's: as the search has them
        (128, 36, (32, 32), VALUES // (36 * 32 * 32)),  # ENAS's: fewer images
        (1, 32, (8, 8), 1),
        (128, 64, (224, 224), 1),  # at least one
    ],
)
def test_a_step_has_the_layers_of_the_phase_and_at_most_so_many_values(images, channels, size, expected, monkeypatch):
    layers = Layers(images, channels, size)
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(torch.nn.Sequential, "forward", lambda _, x: (shapes.append(tuple(x.shape)), x)[1])
    step = probe._step(USUAL, CPU, layers)
    with contextlib.suppress(RuntimeError):  # nothing to differentiate
        step()
    assert set(shapes) == {(expected, channels, *size)}
    assert expected == 1 or expected * channels * layers.pixels <= VALUES

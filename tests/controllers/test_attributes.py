"""The state of any algorithm: found in its attributes, put back exactly, or refused by name."""

import random
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.running_mean_std import RunningMeanStd

from rlnas.config import ControllerConfig
from rlnas.controllers import make_controller
from rlnas.controllers.attributes import Unsavable, encode, restored
from rlnas.controllers.sb3 import Sb3Controller
from rlnas.errors import RlnasError
from rlnas.seeding import global_rng_state, set_global_rng_state
from rlnas.spaces import NasrlSpace

SPACE = NasrlSpace(3, ("conv1x1", "conv3x3", "max_pool3x3"), filters=4, reductions=1)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
nested = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner) | st.builds(deque, st.lists(inner))
    ),
    max_leaves=8,
)
settings_here = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)


@settings_here
@given(value=nested)
def test_plain_data_comes_back_equal_and_of_its_type(through_disk, value):
    found = restored(None, through_disk(encode(value)))
    assert found == value
    assert type(found) is type(value)


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class Memory:
    """A user's own object."""

    counts: dict[str, int] = field(default_factory=dict)
    rows: Any = None


@pytest.mark.parametrize(
    "value",
    [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(0), np.array(True), np.array([[7]], np.uint8)],
    ids=str,
)
def test_arrays_come_back_with_type_and_shape(through_disk, value):
    found = restored(None, through_disk(encode(value)))
    assert found.dtype == value.dtype
    np.testing.assert_array_equal(found, value)
    found[...] = 1  # and can be written


def test_numpy_scalars_keep_their_type(through_disk):
    found = restored(None, through_disk(encode(np.float32(0.1))))
    assert type(found) is np.float32
    assert found == np.float32(0.1)


def test_a_deque_keeps_its_length_and_a_named_tuple_its_class(through_disk):
    found = restored(deque(maxlen=3), through_disk(encode(deque([1, 2], maxlen=3))))
    assert (list(found), found.maxlen) == ([1, 2], 3)
    pair = restored(Pair(0, 0), through_disk(encode(Pair(1, torch.ones(2)))))
    assert isinstance(pair, Pair)
    assert pair.right.tolist() == [1, 1]


def test_tensors_that_others_hold_are_changed_in_place(through_disk):
    saved = through_disk(encode([torch.ones(3)]))
    held = torch.zeros(3)
    restored([held], saved)
    assert held.tolist() == [1, 1, 1]


@pytest.mark.parametrize("make", [np.random.default_rng, torch.Generator().manual_seed, random.Random])
def test_generators_draw_on_where_they_were(through_disk, make):
    def draw(generator):
        if isinstance(generator, torch.Generator):
            return torch.rand(3, generator=generator).tolist()
        return [generator.random() for _ in range(3)]

    original = make(0)
    draw(original)
    saved = through_disk(encode(original))
    expected = draw(original)
    assert draw(restored(make(1), saved)) == expected


def test_objects_and_what_has_a_state_dict_are_restored_in_place(through_disk):
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    mean = RunningMeanStd(shape=(2,))
    mean.update(np.ones((4, 2)))
    memory = Memory({"a": 1}, [np.ones(2)])
    saved = through_disk(encode([layer, optimizer, mean, memory]))
    there = [torch.nn.Linear(2, 2), None, RunningMeanStd(shape=(2,)), Memory()]
    there[1] = torch.optim.Adam(there[0].parameters())
    restored(there, saved)
    assert torch.equal(there[0].weight, layer.weight)
    assert there[1].state_dict()["state"][0]["step"] == 1
    assert there[2].count == mean.count
    assert there[3].counts == {"a": 1}
    assert there[3].rows[0].tolist() == [1, 1]


@pytest.mark.parametrize(
    "value",
    [threading.Lock(), iter([1]), [{"a": (i for i in ())}], np.array(["text"])],
    ids=["lock", "iterator", "nested", "text"],
)
def test_what_is_no_plain_data_is_named(value):
    with pytest.raises(Unsavable, match=r"lock|iterator|generator|<U4"):
        encode(value)


def test_an_object_that_leads_back_to_itself_ends():
    loop: list[Any] = [1]
    loop.append(loop)
    assert restored([None, "itself"], encode(loop)) == [1, "itself"]


class Curious(PPO):
    """A user's algorithm: what it learns depends on a state that no stable-baselines3 class has."""

    def __init__(self, *arguments: Any, **options: Any):
        self.visits = deque(maxlen=50)
        self.noise = np.random.default_rng(0)
        self.scale = np.ones(3)
        self.memory = Memory({"updates": 0})
        super().__init__(*arguments, **options)
        self.judge = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(self.judge.weight, 0.1)
        self.judge_optimizer = torch.optim.SGD(self.judge.parameters(), lr=0.1, momentum=0.9)

    def train(self) -> None:
        super().train()
        self.memory.counts["updates"] += 1
        self.visits.append(float(self.rollout_buffer.rewards.sum()))
        self.scale = self.scale * (1 + 0.5 * self.noise.random(3))
        self.judge_optimizer.zero_grad()
        self.judge(torch.tensor([[self.scale.mean()]]).float()).sum().backward()
        self.judge_optimizer.step()
        push = 0.3 * sum(self.visits) * float(self.scale.mean()) * float(self.judge.weight.detach())
        push *= self.memory.counts["updates"]
        with torch.no_grad():
            for parameter in self.policy.action_net.parameters():
                parameter += push * torch.linspace(-1, 1, parameter.numel()).view(parameter.shape)


class Locked(PPO):
    """A user's algorithm that keeps what nobody can save."""

    def __init__(self, *arguments: Any, **options: Any):
        self.lock = threading.Lock()
        super().__init__(*arguments, **options)


class Declared(Locked):
    """The same, which says how to go on."""

    count = 0

    def train(self) -> None:
        super().train()
        self.count += 1

    def rlnas_state(self) -> dict[str, Any]:
        return {"count": self.count}

    def rlnas_restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


class Capture(BaseCallback):
    def __init__(self, controller: Sb3Controller, at: int, through_disk: Any = None):
        super().__init__()
        self.controller, self.at, self.through_disk = controller, at, through_disk
        self.rollouts, self.state = 0, None

    def _on_rollout_start(self) -> None:
        if self.rollouts == self.at:
            self.state = self.through_disk({"controller": self.controller.state(), "rng": global_rng_state()})
        self.rollouts += 1

    def _on_step(self) -> bool:
        return True


def made(scorer, name: str) -> Sb3Controller:
    config = ControllerConfig(algorithm=f"{__name__}.{name}", episodes=4, params={"n_epochs": 1})
    return make_controller(config, SPACE, scorer(SPACE), seed=0)


@pytest.fixture
def importable(monkeypatch):
    """The classes of this file by a dotted path, whatever name the test runner gave the file."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__("types").ModuleType(__name__))
    for cls in (Curious, Locked, Declared):
        monkeypatch.setattr(sys.modules[__name__], cls.__name__, cls, raising=False)


def seen_after_resuming(scorer, through_disk, name: str, forget: str | None = None):
    through = made(scorer, name)
    total = 40 * through.env.episodes.length
    capture = Capture(through, 4, through_disk)
    through.learn(total, capture)
    state = capture.state
    if forget:
        del state["controller"]["attributes"][forget]
    resumed = made(scorer, name)
    resumed.restore(state["controller"])
    set_global_rng_state(state["rng"])
    resumed.learn(total, Capture(resumed, -1))
    found = resumed.env.scorer.evaluator.seen
    return through, resumed, through.env.scorer.evaluator.seen[-len(found) :], found


@pytest.mark.usefixtures("importable")
def test_a_user_s_state_is_found_and_goes_on_bit_for_bit(scorer, through_disk):
    through, resumed, expected, found = seen_after_resuming(scorer, through_disk, "Curious")
    assert found == expected
    assert len(found) == 24
    assert resumed.model.memory.counts == {"updates": 10}
    for key, value in through.model.policy.state_dict().items():
        assert torch.equal(value, resumed.model.policy.state_dict()[key])


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("name", ["visits", "noise", "scale", "memory", "judge", "judge_optimizer"])
def test_without_any_part_of_it_the_run_would_be_another(scorer, through_disk, name):
    through, resumed, _, _ = seen_after_resuming(scorer, through_disk, "Curious", forget=name)
    weights = through.model.policy.state_dict(), resumed.model.policy.state_dict()
    assert any(not torch.equal(value, weights[1][key]) for key, value in weights[0].items())


@pytest.mark.usefixtures("importable")
def test_a_state_that_cannot_be_saved_is_refused_by_name(scorer, through_disk):
    with pytest.raises(RlnasError, match=r"Locked cannot be resumed: .*lock \(lock\).*rlnas_state\(\)"):
        seen_after_resuming(scorer, through_disk, "Locked")


@pytest.mark.usefixtures("importable")
def test_a_declared_state_is_used(scorer, through_disk):
    _, resumed, expected, found = seen_after_resuming(scorer, through_disk, "Declared")
    assert found == expected
    assert resumed.model.count == 10

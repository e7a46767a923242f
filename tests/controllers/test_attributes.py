"""The state of any algorithm: found in its attributes, put back exactly, or refused by name."""

import enum
import random
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.running_mean_std import RunningMeanStd

from rlnas.controllers.attributes import Unsavable, encode, put_back, restored
from rlnas.controllers.sb3 import Sb3Controller
from rlnas.errors import RlnasError
from rlnas.seeding import global_rng_state, set_global_rng_state
from rlnas.spaces import NasrlSpace
from tests.turns import controller_of, run

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


class Phase(enum.Enum):
    """A user's."""

    EARLY = 1
    LATE = 2


def test_an_enum_s_member_is_found_again_and_the_class_stays_as_it_is(through_disk):
    saved = through_disk(encode({"phase": Phase.LATE}))
    found = restored({"phase": Phase.EARLY}, saved)
    assert found["phase"] is Phase.LATE
    assert (Phase.EARLY.value, Phase.EARLY.name) == (1, "EARLY")


def test_containers_of_other_classes_stay_of_their_class(through_disk):
    counts, lists = Counter("abca"), defaultdict(list, {"a": [1]})
    saved = through_disk(encode([counts, lists]))
    there = [Counter("z"), defaultdict(list)]
    found = restored(there, saved)
    found[0]["new"] += 1
    found[1]["new"].append(2)
    assert found[0] == Counter({"a": 2, "b": 1, "c": 1, "new": 1})
    assert found[1] == {"a": [1], "new": [2]}


def test_a_container_that_two_attributes_share_stays_shared(through_disk):
    shared = {"a": 1}
    saved = through_disk(encode([shared, shared]))
    there = {}
    found = restored([there, there], saved)
    assert found[0] is found[1] is there
    assert there == {"a": 1}


@dataclass(frozen=True)
class Frozen:
    value: int


class Slotted:
    __slots__ = ("value",)


class Half(Slotted):
    """Has a __dict__ beside the slot."""


@pytest.mark.parametrize("value", [Frozen(1), Slotted(), Half()], ids=["frozen", "slots", "inherited slots"])
def test_objects_that_would_lose_a_part_are_refused(value):
    with pytest.raises(Unsavable, match=type(value).__name__):
        encode(value)


@pytest.mark.parametrize(
    ("start", "later", "named"),
    [
        (None, torch.nn.Linear(1, 1), "state_dict"),
        (None, np.random.default_rng(0), "numpy generator"),
        (None, Memory(), "Memory"),
        ([], [Memory()], "Memory"),
        (None, Counter("a"), "Counter"),
        (None, Phase.LATE, "enum"),
        (len, max, "max, which is len"),
    ],
    ids=["module", "generator", "object", "grown list", "counter", "enum", "function"],
)
def test_what_was_made_during_the_run_is_refused_by_name(through_disk, start, later, named):
    owner, fresh = Memory(rows=later), Memory(rows=start)
    with pytest.raises(Unsavable, match=rf"rows \(.*{named}"):
        put_back(fresh, through_disk({name: encode(value) for name, value in vars(owner).items()}))


class Priorities(ReplayBuffer):
    """A user's replay buffer with a state of its own."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.priorities = np.ones(self.buffer_size)
        self.added = 0

    def add(self, *arguments: Any, **options: Any) -> None:
        self.priorities[self.pos] = self.added = self.added + 1
        super().add(*arguments, **options)


def test_a_replay_buffer_s_own_state_is_restored(scorer, through_disk):
    params = {"buffer_size": 50, "learning_starts": 5, "batch_size": 4, "replay_buffer_class": Priorities}
    first, second = (controller_of(scorer(SPACE), algorithm="dqn", episodes=2, params=params) for _ in range(2))
    run(first, 2 * 10)
    second.restore(through_disk(first.state()))
    assert second.model.replay_buffer.added == first.model.replay_buffer.added > 10
    np.testing.assert_array_equal(second.model.replay_buffer.priorities, first.model.replay_buffer.priorities)


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


def made(scorer, name: str) -> Sb3Controller:
    return controller_of(scorer(SPACE), algorithm=f"{__name__}.{name}", episodes=4, params={"n_epochs": 1})


@pytest.fixture
def importable(monkeypatch):
    """The classes of this file by a dotted path, whatever name the test runner gave the file."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__("types").ModuleType(__name__))
    for cls in (Curious, Locked, Declared):
        monkeypatch.setattr(sys.modules[__name__], cls.__name__, cls, raising=False)


def seen_after_resuming(scorer, through_disk, name: str, forget: str | None = None):
    through, resumed = made(scorer, name), made(scorer, name)
    states = []

    def capture(number: int) -> None:
        if number == 4:
            states.append(through_disk({"controller": through.state(), "rng": global_rng_state()}))

    expected = run(through, 40, capture)
    (state,) = states
    if forget:
        del state["controller"]["attributes"]["model"][forget]
    resumed.restore(state["controller"])
    set_global_rng_state(state["rng"])
    found = run(resumed, 40, already=16)
    return through, resumed, expected[-len(found) :], found


@pytest.mark.usefixtures("importable")
def test_a_user_s_state_is_found_and_goes_on_bit_for_bit(scorer, through_disk):
    through, resumed, expected, found = seen_after_resuming(scorer, through_disk, "Curious")
    assert found == expected
    assert len(found) == 24
    assert resumed.model.memory.counts == {"updates": 10}
    for key, value in through.model.policy.state_dict().items():
        assert torch.equal(value, resumed.model.policy.state_dict()[key])


@pytest.mark.variants(4)
@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("name", ["visits", "noise", "scale", "memory", "judge", "judge_optimizer"])
def test_without_any_part_of_it_the_run_would_be_another(scorer, through_disk, name):
    through, resumed, _, _ = seen_after_resuming(scorer, through_disk, "Curious", forget=name)
    weights = through.model.policy.state_dict(), resumed.model.policy.state_dict()
    assert any(not torch.equal(value, weights[1][key]) for key, value in weights[0].items())


@pytest.mark.usefixtures("importable")
def test_a_state_that_cannot_be_saved_is_refused_by_name(scorer, through_disk):
    with pytest.raises(RlnasError, match=r"Locked cannot be resumed: what it keeps in lock \(lock\).*rlnas_state\(\)"):
        seen_after_resuming(scorer, through_disk, "Locked")


@pytest.mark.usefixtures("importable")
def test_a_declared_state_is_used(scorer, through_disk):
    _, resumed, expected, found = seen_after_resuming(scorer, through_disk, "Declared")
    assert found == expected
    assert resumed.model.count == 10

"""Collapse: its columns by hand, when its warnings begin, and that searches which work have none."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlnas
from rlnas.cli import _compose
from rlnas.config.build import build_config
from rlnas.config.schema import Config, ControllerConfig
from rlnas.runs.tables import read_rows
from rlnas.search.collapse import Collapse, uniform_unique_share
from rlnas.search.statistics import operator_shares, standard_gap, unique_share
from rlnas.seeding import set_global_rng_state
from rlnas.spaces import NasrlFactoredSpace, NasrlSpace
from tests.search.loop import Computed, search
from tests.stack import STACK

SPACE = NasrlSpace(4, ("conv3x3", "avg_pool3x3", "max_pool3x3", "identity", "conv5x5", "sep_conv3x3"))
POOL = SPACE.parse("avg_pool3x3 max_pool3x3 identity identity")
HEALTHY: dict[str, Any] = {
    "round": 3,
    "unique_share": 0.9,
    "pool_share": 0.3,
    "identity_share": 0.2,
    "reward_mean": 0.4,
    "random_reward_mean": 0.5,
    "skip_rate": 0.5,
}


def collapse(space=SPACE, policy: bool = True, *overrides: str) -> Collapse:
    return Collapse(build_config(_compose(list(overrides))) if overrides else Config(), space, policy=policy)


def kinds(watch: Collapse) -> list[tuple[str, int]]:
    return [(warning["kind"], warning["round"]) for warning in watch.warnings]


# -- the columns -------------------------------------------------------------------------------------------


def test_unique_share_by_hand():
    assert unique_share([(0, 1), (0, 1), (1, 1), (0, 1)]) == 0.5
    assert unique_share([(0, 1)]) == 1.0


def test_operator_shares_by_hand():
    assert operator_shares(SPACE, [POOL]) == (0.5, 0.5)
    assert operator_shares(SPACE, [POOL, SPACE.parse("conv3x3 conv3x3 conv3x3 conv3x3")]) == (0.25, 0.25)
    assert operator_shares(STACK, [STACK.parse("2 1*")]) is None
    assert operator_shares(NasrlFactoredSpace(2), [(0,) * len(NasrlFactoredSpace(2).choices)]) is None


def test_standard_gap_by_hand():
    assert standard_gap(5.0, [1.0, 2.0, 3.0]) == pytest.approx(3.0)  # mean 2, standard deviation 1
    assert standard_gap(5.0, [1.0, 1.0]) is None
    assert standard_gap(5.0, [1.0]) is None
    assert standard_gap(None, [1.0, 2.0]) is None


def test_a_run_writes_the_columns(tmp_path: Path):
    evaluator = Computed(lambda architecture: sum(architecture) / 20)
    rounds = search(tmp_path, SPACE, evaluator, options={"random_control": 4})
    rows, scored = read_rows(tmp_path / "rounds.csv"), rounds.recorder.scored
    assert float(rows[1]["unique_share"]) == len(set(scored[10:])) / 10
    assert float(rows[1]["unique_share_total"]) == len(set(scored)) / 20
    drawn = evaluator.trained[1]
    assert float(rows[1]["pool_share"]) == sum(v in (1, 2) for a in drawn for v in SPACE.actions(a)[:, 0]) / 48
    assert float(rows[1]["identity_share"]) == sum(v == 3 for a in drawn for v in SPACE.actions(a)[:, 0]) / 48
    gap = float(rows[1]["reward_mean"]) - float(rows[1]["random_reward_mean"])
    assert math.copysign(1, float(rows[1]["random_reward_gap"])) == math.copysign(1, gap)


@pytest.mark.parametrize(("size", "samples", "expected"), [(1, 4, 0.25), (2, 2, 0.75), (4, 1, 1.0), (None, 9, 1.0)])
def test_what_uniform_sampling_gives_by_hand(size, samples, expected):
    assert uniform_unique_share(size, samples) == pytest.approx(expected)
    assert uniform_unique_share(10**400, samples) == 1.0


def test_what_uniform_sampling_gives_is_its_mean():
    rng = np.random.default_rng(0)
    found = np.mean([len(set(rng.integers(0, 30, 20).tolist())) / 20 for _ in range(2000)])
    assert uniform_unique_share(30, 20) == pytest.approx(found, abs=0.005)


# -- when a warning begins ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "done", "expected"),
    [
        ({}, 0.1, []),
        ({"unique_share": 0.05}, 0.1, [("repeats", 3)]),
        ({"unique_share": 0.05}, 0.49, [("repeats", 3)]),
        ({"unique_share": 0.05}, 0.5, []),
        ({"unique_share": 0.11}, 0.1, []),
        ({"pool_share": 0.9, "identity_share": 0.1}, 0.9, [("pools", 3)]),
        ({"pool_share": 0.1, "identity_share": 0.9}, 0.9, [("pools", 3)]),
        ({"pool_share": 0.5, "identity_share": 0.2}, 0.9, []),  # uniform samples have 0.5, the middle is 0.75
        ({"pool_share": 0.9, "reward_mean": 0.6}, 0.9, []),
        ({"pool_share": 0.9, "random_reward_mean": None}, 0.9, []),
        ({"pool_share": None, "identity_share": None}, 0.9, []),
        ({"pool_share": 0.9, "unique_share": 0.01}, 0.2, [("repeats", 3), ("pools", 3)]),
    ],
)
def test_when_a_warning_begins(changes, done, expected):
    watch = collapse()
    texts = watch.notice({**HEALTHY, **changes}, 100, done)
    assert kinds(watch) == expected
    assert texts == [warning["text"] for warning in watch.warnings]


def test_each_kind_is_told_once():
    watch = collapse()
    for number in (1, 2, 3):
        watch.notice({**HEALTHY, "round": number, "unique_share": 0.02}, 100, 0.1 * number)
    assert kinds(watch) == [("repeats", 1)]


def test_strategies_repeat_on_purpose():
    watch = collapse(policy=False)
    watch.notice({**HEALTHY, "unique_share": 0.01}, 100, 0.1)
    assert watch.warnings == []


def test_a_small_space_repeats_without_a_collapse():
    """Four architectures: 100 uniform samples hold 4 % different ones."""
    watch = collapse(NasrlSpace(2, ("conv1x1", "max_pool3x3")))
    watch.notice({**HEALTHY, "unique_share": 0.04}, 100, 0.1)
    assert watch.warnings == []


def test_a_space_of_nothing_but_pools_is_no_collapse():
    watch = collapse(NasrlSpace(3, ("avg_pool3x3", "max_pool3x3", "identity")))
    watch.notice({**HEALTHY, "pool_share": 0.8, "identity_share": 0.2}, 100, 0.1)
    assert watch.warnings == []


@pytest.mark.parametrize(
    ("overrides", "named", "not_named"),
    [
        (
            ["controller=ppo"],
            ["ent_coef (now 0.05)", "learning_rate", "search.sampling", "search=one_shot"],
            [],
        ),
        (["controller=ppo", "search.sampling=fair"], ["search=one_shot"], ["search.sampling"]),
        (["controller=ppo", "search=one_shot"], ["ent_coef"], ["search.sampling", "search=one_shot"]),
        (["controller=dqn"], ["learning_rate"], ["ent_coef"]),
        (["controller=evolution"], ["search.sampling=uniform"], ["ent_coef", "learning_rate"]),
        (["controller=evolution", "search=one_shot"], [], ["ent_coef", "search.sampling", "search=one_shot"]),
        (["+objective.terms.skip_divergence=-0.1"], [], ["skip_divergence"]),
    ],
)
def test_the_warning_names_options_that_the_configuration_has(overrides, named, not_named):
    watch = collapse(SPACE, True, *overrides)
    watch.policy = "evolution" not in overrides[0]
    (text,) = watch.notice({**HEALTHY, "pool_share": 0.95, "identity_share": 0.0}, 100, 0.9)
    for words in ("95 %", "skip_divergence", *named):
        assert (words in text) == (words not in not_named), text
    assert not [words for words in not_named if words in text]


# -- whole searches ----------------------------------------------------------------------------------------


ONLY_POOLS = ControllerConfig(algorithm="tests.search.test_collapse.Pools")


class Pools:
    """A strategy that always proposes the same architecture."""

    def __init__(self, space: Any, rng: np.random.Generator):
        pass

    def ask(self, count: int) -> list[Any]:
        return self.sample(count)

    def sample(self, count: int) -> list[Any]:
        return [POOL] * count

    def tell(self, outcomes: Any) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(("policy", "expected"), [(True, [("repeats", 1), ("pools", 1)]), (False, [("pools", 1)])])
def test_a_search_of_pools_only_is_told_once_and_resumes_with_its_warnings(policy, expected, tmp_path: Path):
    """Twenty architectures a round, all equal, none better than random ones; as a policy and as a strategy."""
    options = {"architectures_per_round": 20, "random_control": 5}
    saved = None
    for told in (expected, []):  # a new search, and one resumed after its first round
        rounds = search(
            tmp_path,
            SPACE,
            Computed(lambda architecture: 0.5),
            options=options,
            budget={"rounds": 4},
            controller=ONLY_POOLS,
            saved=saved,
            policy=policy,
        )
        assert kinds(rounds.collapse) == expected
        said = [line for line in rounds.progress.lines if line.startswith("warning: ")]
        assert said == [f"warning: {warning['text']}" for warning in rounds.collapse.warnings[: len(told)]]
        saved = rounds.checkpoints[0]
        set_global_rng_state(saved["rng"])


@pytest.mark.thorough
def test_ppo_without_an_entropy_bonus_collapses_and_with_one_does_not(tmp_path: Path):
    """At a high rate, on a reward that prefers one operator, in a search that goes on for long."""

    def value(architecture: Any) -> float:
        return float(np.mean(SPACE.actions(architecture)[:, 0] == 1))

    found = []
    for entropy in (0.0, 0.5):
        params = {"learning_rate": 0.02, "ent_coef": entropy, "gamma": 1.0, "gae_lambda": 1.0, "n_epochs": 10}
        ppo = ControllerConfig(name="ppo", algorithm="ppo", episodes=10, params=params)
        options = {"architectures_per_round": 30, "random_control": 5}
        rounds = search(
            tmp_path, SPACE, Computed(value), options=options, budget={"rounds": 12}, controller=ppo, policy=True
        )
        found.append([kind for kind, _ in kinds(rounds.collapse)])
    assert found == [["repeats"], []]


@pytest.mark.variants(2)
@pytest.mark.parametrize("controller", ["random", "evolution", "local_search", "genetic", "lanas"])
def test_strategies_on_a_table_have_no_warning(controller: str, tmp_path: Path):
    assert table_run(tmp_path, f"controller={controller}")["warnings"] == []


@pytest.mark.variants(1)
@pytest.mark.parametrize("controller", ["ppo_shared", "ppo"])
def test_a_policy_that_converges_near_the_end_has_no_warning(controller: str, tmp_path: Path):
    found = table_run(tmp_path, f"controller={controller}", "controller.params.learning_rate=0.0005")
    shares = [float(row["unique_share"]) for row in read_rows(tmp_path / "run" / "rounds.csv")]
    assert found["warnings"] == []
    assert shares[0] > 0.8
    assert shares[-1] < 0.3, shares


def table_run(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    """A search of 300 of 4^6 architectures whose value is the mean digit."""
    rows = [",".join(map(str, digits)) + f",{sum(digits)}" for digits in itertools.product(range(4), repeat=6)]
    (tmp_path / "bench.csv").write_text("a,b,c,d,e,f,value\n" + "\n".join(rows) + "\n")
    folder = rlnas.run(
        [
            "+experiment=table",
            f"space.path={tmp_path}/bench.csv",
            "space.decisions=[a,b,c,d,e,f]",
            "space.reward=value",
            *overrides,
            "progress=off",
            f"hydra.run.dir={tmp_path}/run",
        ]
    )
    return rlnas.load_result(folder)

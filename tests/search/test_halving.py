"""Successive halving by hand: its rungs, and what they rank."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.config.schema import SelectConfig
from rlnas.evaluators import Score
from rlnas.search.candidates import Candidate
from rlnas.search.halving import Halving, Rung, rungs

NAMES = "abcdefgh"


def candidates(names, source="policy"):
    return [Candidate(name, {"accuracy": 0.5}, 0.5, source) for name in names]


def plan(finalists, eta, epochs, last_seeds=1):
    config = SelectConfig(halving=eta, finalist_epochs=epochs, last_seeds=last_seeds)
    return [(rung.networks, rung.epochs, rung.seeds) for rung in rungs(finalists, config)]


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ((18, 1, 0.8), [(18, 0.8, 1)]),
        ((18, 3, 0.5), [(18, 0.5, 1), (6, 1.5, 1), (2, 4.5, 1)]),
        ((7, 2, 1), [(7, 1, 1), (3, 2, 1), (2, 4, 1)]),
        ((5, 4, 1, 3), [(5, 1, 1), (2, 4, 3)]),
        ((5, 1, 2, 3), [(5, 2, 1), (2, 2, 3)]),
        ((2, 1, 2, 3), [(2, 2, 3)]),
        ((2, 3, 2), [(2, 2, 1)]),
    ],
)
def test_rungs_by_hand(given_, expected):
    assert plan(*given_) == expected


@given(st.integers(2, 200), st.integers(1, 10), st.integers(1, 5))
def test_rungs_shrink_to_two_and_lengthen_by_eta(finalists, eta, seeds):
    found = plan(finalists, eta, 1.0, seeds)
    assert found[0][0] == finalists
    assert found[-1][2] == seeds
    assert all(one[2] == 1 for one in found[:-1])
    assert all(other[0] == max(2, one[0] // eta) or eta == 1 for one, other in pairwise(found))
    assert all(other[1] == eta * one[1] for one, other in pairwise(found))
    if eta > 1 or seeds > 1:
        assert found[-1][0] == 2


def test_several_seeds_of_the_last_two_are_others_than_the_one_that_chose_them():
    assert Rung(2, 2, 1.0, 1).repeats == (0,)
    assert Rung(2, 2, 1.0, 3).repeats == (1, 2, 3)


class Trainings:
    """accuracy(architecture, epochs, repeat), None: it diverges. Records what was trained."""

    def __init__(self, accuracy):
        self.accuracy = accuracy
        self.asked = []

    def __call__(self, architectures, epochs, repeats):
        for architecture, repeat in zip(architectures, repeats, strict=True):
            self.asked.append((architecture, epochs, repeat))
            found = self.accuracy(architecture, epochs, repeat)
            yield Score({"accuracy": found or 0.0}, failed="the loss is nan" if found is None else None)


def halve(accuracy, groups, **config):
    """The groups in their order, and the trainings."""
    settings = SelectConfig(**config)
    train, said = Trainings(accuracy), []
    halving = Halving(
        rungs(len(groups[0]), settings),
        settings.halving,
        train,
        lambda architecture, score: score.accuracy,
        lambda *what: said.append(what),
    )
    return halving.run([candidates(group) for group in groups]), train.asked, halving


def names(group):
    return "".join(one.architecture for one in group)


def late(architecture, epochs, repeat):
    """The later the name, the better from four epochs on and the worse before; never the last half at one epoch."""
    place = NAMES.index(architecture)
    return (0.5 + 0.01 * place) if epochs >= 2 else 0.4 - 0.01 * place


def test_only_longer_trainings_rank_rightly_and_without_them_the_wrong_one_is_found():
    (off,), asked, _ = halve(late, ["abcd"], halving=1, finalist_epochs=1.0)
    assert names(off) == "abcd"
    assert len(asked) == 4
    (on,), asked, halving = halve(late, ["abcd"], halving=2, finalist_epochs=1.0)
    assert names(on) == "bacd"  # of those that the first rung kept, the better in the second
    assert asked == [*((name, 1.0, 0) for name in "abcd"), ("a", 2.0, 0), ("b", 2.0, 0)]
    assert halving.epochs([4]) == sum(epochs for _, epochs, _ in asked) == 8
    assert [[rung.rung for rung in one.trained] for one in on] == [[1, 2], [1, 2], [1], [1]]
    assert (on[0].alone, on[2].alone) == (0.51, pytest.approx(0.38))


def test_the_last_two_are_compared_by_their_mean():
    def lucky(architecture, epochs, repeat):
        table = {"a": [0.9, 0.2, 0.3, 0.4], "b": [0.8, 0.5, 0.4, 0.6], "c": [0.1]}
        return table[architecture][repeat]

    (single,), *_ = halve(lucky, ["abc"])
    assert names(single) == "abc"
    (several,), asked, _ = halve(lucky, ["abc"], last_seeds=3)
    assert names(several) == "bac"
    assert several[0].alone == pytest.approx(0.5)
    assert several[0].alone_value == pytest.approx(0.5)
    assert asked[3:] == [(name, 1.0, repeat) for name in "ab" for repeat in (1, 2, 3)]
    assert [score.accuracy for score in several[0].trained[-1].scores] == [0.5, 0.4, 0.6]


def test_a_training_that_diverges_ranks_behind_all_that_do_not():
    def some(architecture, epochs, repeat):
        return {"a": None, "b": 0.1, "c": 0.3 if repeat < 2 else None}[architecture]

    (found,), *_ = halve(some, ["abc"])
    assert names(found) == "cba"
    assert (found[2].alone, found[2].alone_value) == (0.0, None)
    (found,), *_ = halve(some, ["abc"], last_seeds=2)
    assert names(found) == "bca"  # one of two trainings failed
    assert (found[1].alone, found[1].alone_value) == (0.15, 0.3)
    (found,), *_ = halve(lambda *_: None, ["abc"], halving=2)
    assert names(found) == "abc"


def test_controls_are_trained_in_the_same_rungs_and_ranked_among_themselves():
    def accuracy(architecture, epochs, repeat):
        return 0.1 * "hgfedcba".index(architecture) + 0.01 * repeat

    groups, asked, halving = halve(accuracy, ["abcd", "ef", "g"], halving=2, last_seeds=2)
    assert [names(group) for group in groups] == ["abcd", "ef", "g"]
    assert [name for name, epochs, _ in asked if epochs == 1] == list("abcdefg")
    assert [(name, repeat) for name, epochs, repeat in asked if epochs == 2] == [
        (name, repeat) for name in "abeg" for repeat in (1, 2)
    ]
    assert halving.epochs([4, 2, 1]) == sum(epochs for _, epochs, _ in asked) == 23
    assert halving.sizes([4, 2, 1, 0, 9]) == [[4, 2], [2, 1], [1, 1], [0, 0], [9, 2]]


@pytest.mark.parametrize(("finalists", "eta"), [(3, 2), (5, 4), (7, 2), (18, 3), (9, 1)])
def test_the_finalists_are_as_many_as_the_rungs_say(finalists, eta):
    (found,), asked, halving = halve(lambda name, epochs, repeat: 0.5, [range(finalists)], halving=eta, last_seeds=2)
    assert halving.sizes([finalists]) == [[rung.networks for rung in halving.rungs]]
    assert len(asked) == sum(rung.networks * rung.seeds for rung in halving.rungs)
    assert [one.architecture for one in found] == list(range(finalists))
    assert sum(one.trained[-1].rung == len(halving.rungs) for one in found) == 2


def test_a_control_that_is_a_finalist_too_is_trained_once():
    groups, asked, _ = halve(late, ["ab", "b"])
    assert [name for name, *_ in asked] == ["a", "b"]
    assert groups[1][0].trained == next(one for one in groups[0] if one.architecture == "b").trained

"""The verdict: outcomes on known numbers, and the sentence in each case."""

import numpy as np
import pytest

from rlnas.evaluators import Score
from rlnas.search.candidates import Candidate, Trained
from rlnas.search.controls import Controls
from rlnas.search.verdict import Measure, is_accuracy, judge
from rlnas.spaces import NasrlSpace
from rlnas.statistics import welch

SPACE = NasrlSpace(2, ("conv1x1", "conv3x3", "max_pool3x3"))
MEASURE = Measure("validation accuracy", "after 1 epoch of training alone, from scratch", 1, "ADVICE")


def network(code, *accuracies, name=None):
    scores = tuple(Score({"accuracy": one or 0.0}, failed=None if one else "nan") for one in accuracies)
    trained = Trained(1, 1.0, tuple(range(len(accuracies))), scores, tuple(accuracies))
    return Candidate(SPACE.unrank(code), {"accuracy": 0.5}, 0.5, "policy", (trained,), name=name)


def verdict(found, references=(), random=(), missing=None, measure=MEASURE):
    return judge(found, Controls(list(references), list(random), missing=missing or {}), measure, SPACE)


def outcomes(found):
    return {one["kind"]: one["outcome"] for one in found["comparisons"]}


REFERENCE, OTHER = network(1, 0.6050, name="residual_chain"), network(2, 0.55, name="plain_chain")


def test_ahead_of_the_best_reference_and_behind_the_best_random_one():
    found = verdict(network(0, 0.612), [OTHER, REFERENCE], [network(3, 0.625), network(4, 0.5)])
    assert outcomes(found) == {"reference": "ahead", "random": "behind"}
    reference, random = found["comparisons"]
    assert (reference["name"], reference["of"], reference["found"], reference["control"]) == (
        "residual_chain",
        2,
        0.612,
        0.605,
    )
    assert random["difference"] == pytest.approx(-0.013)
    assert (reference["low"], random["low"]) == (None, None)
    text = found["text"]
    assert text.startswith(
        "The found network (0.6120) is ahead of the best of 2 hand-made references (residual_chain, 0.6050) and behind "
        "the best of 2 random architectures (0.6250). The numbers are the validation accuracy after 1 epoch"
    )
    assert "is not shown; ADVICE." in text
    assert text.endswith(f"To retrain the better one instead: 'architecture={SPACE.text(SPACE.unrank(3))}'")


def test_one_control_of_a_kind_is_named_in_the_singular():
    text = verdict(network(0, 0.612), [REFERENCE], [network(3, 0.612)])["text"]
    assert (
        "is ahead of the hand-made reference residual_chain (0.6050) and level with a random architecture (0.6120)."
        in text
    )
    assert "architecture=" not in text


def test_with_several_trainings_welchs_interval_decides():
    measure = Measure("validation accuracy", "so", 3, "")
    own, far, near = [0.61, 0.62, 0.63], [0.51, 0.52, 0.53], [0.60, 0.62, 0.65]
    found = verdict(network(0, *own), [network(1, *far, name="chain")], [network(2, *near)], measure=measure)
    assert outcomes(found) == {"reference": "ahead", "random": "undecided"}
    expected = welch(np.array(own), np.array(near))
    random = found["comparisons"][1]
    assert (random["low"], random["high"]) == (expected.low, expected.high)
    assert (
        "mean of 3 trainings) is ahead of the hand-made reference chain (0.5200) by 0.1000 (95% interval"
        in found["text"]
    )
    assert "not shown to differ from a random architecture (0.6233): difference -0.0033 (95% interval" in found["text"]
    assert "With one training" not in found["text"]
    behind = verdict(network(1, *far), [network(0, *own, name="chain")], measure=measure)
    assert outcomes(behind) == {"reference": "behind"}
    high, low = (behind["comparisons"][0][end] for end in ("high", "low"))
    assert (
        f"behind the hand-made reference chain (0.6200) by 0.1000 (95% interval {-high:.4f} to {-low:.4f}"
        in behind["text"]
    )


def test_the_found_network_may_be_a_control_itself():
    found = verdict(network(1, 0.605), [REFERENCE])
    assert outcomes(found) == {"reference": "same"}
    assert "is the hand-made reference residual_chain (0.6050) itself." in found["text"]
    assert "not shown" not in found["text"]


def test_trainings_that_failed():
    assert outcomes(verdict(network(0, 0.2), [network(1, None, name="chain")])) == {"reference": "ahead"}
    assert outcomes(verdict(network(0, None), [REFERENCE])) == {"reference": "behind"}
    assert outcomes(verdict(network(0, None), [network(1, None, name="chain")])) == {"reference": "level"}
    assert "(failed)" in verdict(network(0, 0.2), [network(1, None, name="chain")])["text"]


def test_what_was_not_compared_is_said_with_the_reason():
    both = verdict(network(0, 0.6), missing={"reference": "WHY", "random": "WHY"})
    assert both["text"] == "The found network was not compared with hand-made references or random architectures: WHY."
    assert both["comparisons"] == []
    one = verdict(network(0, 0.7), [REFERENCE], missing={"random": "select.controls=0"})
    assert one["text"].endswith("It was not compared with random architectures: select.controls=0.")


def test_the_measure_is_the_accuracy_where_the_objective_is():
    assert is_accuracy([network(0, 0.6), network(1, None)])
    other = Candidate(SPACE.unrank(0), {"accuracy": 0.5}, 0.125, "policy")
    assert not is_accuracy([network(0, 0.6), other])
    text = verdict(network(0, 12.3456), [network(1, 3.0, name="chain")], measure=Measure("objective", "so", 1))["text"]
    assert "(12.35) is ahead of the hand-made reference chain (3)" in text

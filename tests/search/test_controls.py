"""Controls: what is drawn, that they are never selected, and a whole run with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlnas
from rlnas.config.schema import ObjectiveConfig, SelectConfig
from rlnas.evaluators import Evaluator, Score
from rlnas.objective import Objective
from rlnas.report import write_report
from rlnas.search.controls import draw_controls, scored_controls
from rlnas.search.findings import retrained_controls, with_retrained
from rlnas.search.halving import Halving
from tests.command import TINY, result
from tests.referenced import ReferencedSpace

SPACE = ReferencedSpace(layers=3, operators=("conv1x1", "conv3x3"))
NAMED = SPACE.references()
ROOT = Path(__file__).resolve().parents[2]


def accuracy(architecture: Any) -> float:
    """An invented accuracy that depends on the text alone: the plain chain's is the highest."""
    return 0.9 if architecture == NAMED["plain_chain"] else 0.1 + len(SPACE.text(architecture)) / 1000


def draw(excess=lambda architecture: {}, seed=0, **config):
    return draw_controls(
        SelectConfig(**config),
        SPACE,
        np.random.default_rng(seed),
        excess=excess,
        score=lambda every: [Score({"accuracy": accuracy(one), "log_likelihood": -1.0}) for one in every],
        value=lambda architecture, score: score.accuracy,
    )


def test_the_best_references_and_different_random_architectures():
    found = draw(references=1, controls=5)
    assert [one.name for one in found.references] == ["plain_chain"]
    assert [one.source for one in found.references + found.random] == ["reference"] + ["random"] * 5
    assert [one.name for one in found.random] == [f"random {number}" for number in range(1, 6)]
    assert len({one.architecture for one in found.random}) == 5
    assert found.references[0].values == {"accuracy": 0.9, "log_likelihood": -1.0}
    assert [one["name"] for one in found.left_out] == ["residual_chain"]
    assert "select.references=1" in found.left_out[0]["reason"]
    assert found.missing == {}
    assert draw(references=1, controls=5) == found
    assert draw(references=1, controls=5, seed=1).random != found.random


def test_what_is_beyond_the_limits_is_no_control_and_named():
    skips = lambda one: {"flops": 2.5e7} if "+" in SPACE.text(one) else {}  # noqa: E731
    found = draw(skips, references=2, controls=3)
    assert [one.name for one in found.references] == ["plain_chain"]
    assert found.left_out == [{"name": "residual_chain", "reason": "beyond objective.limits: flops 2.5e+07"}]
    assert not any("+" in SPACE.text(one.architecture) for one in found.random)


def test_why_there_is_none():
    assert draw(references=0, controls=0).missing == {"reference": "select.references=0", "random": "select.controls=0"}
    beyond = draw(lambda one: {"flops": 1.0}, references=1, controls=1)
    assert (beyond.references, beyond.random) == ([], [])
    assert beyond.missing["reference"] == "all are beyond objective.limits"
    assert "objective.limits" in beyond.missing["random"]


class Lookup(Evaluator):
    """An evaluator whose scores are final, with a cost and a measured value."""

    def evaluate(self, architectures):
        return [
            Score({"accuracy": accuracy(one), "latency": 5.0 if "+" in SPACE.text(one) else 1.0})
            for one in architectures
        ]

    def costs(self, architecture):
        return {"params": len(SPACE.text(architecture))}


def test_limits_on_a_measured_value_hold_for_controls_too():
    objective = Objective(ObjectiveConfig({"accuracy": 1.0}, {"latency": 2.0}), SPACE)
    found = scored_controls(SelectConfig(references=2, controls=2), Lookup(), objective, np.random.default_rng(0))
    assert [one.name for one in found.references] == ["plain_chain"]
    assert found.left_out == [{"name": "residual_chain", "reason": "beyond objective.limits: latency 5"}]
    assert all("+" not in SPACE.text(one.architecture) for one in found.random)
    assert found.references[0].value == 0.9


def test_a_control_whose_retraining_diverged_is_told():
    text = "The found network (0.1) is ahead."
    controls = [{"name": name, "kind": "reference", "architecture": name.upper()} for name in ("a", "b")]
    found = {"compared": {"controls": controls, "verdict": {"text": text}}}
    assert retrained_controls(found["compared"], 1) == {"a": "A"}
    failed = {"valid_accuracy": None, "test_accuracy": None, "failed": "the loss is nan"}
    told = with_retrained(found, {"test_accuracy": 0.5}, {"a": failed})["compared"]
    assert told["controls"][0]["retrained"] == failed
    assert told["controls"][1]["retrained"] is None
    assert told["verdict"]["text"].startswith(text + " Retrained from scratch")
    assert "the found network 0.5000, a failed" in told["verdict"]["text"]
    assert with_retrained(found, {}, {}) == found


# -- a whole run -------------------------------------------------------------------------------------------

OWN = (
    "space=yours",
    "space.name=tests.referenced.ReferencedSpace",
    "+space.options.layers=3",
    "+space.options.filters=4",
    *(item for item in TINY if not item.startswith(("space.", "select.", "budget.", "progress"))),
    "progress=plain",
    "budget.rounds=1",
    "select.from_policy=3",
    "select.from_history=3",
    "select.finalists=3",
    "select.finalist_epochs=0.3",
    "select.halving=2",
    "select.last_seeds=2",
    "select.references=2",
    "select.controls=2",
    "retrain.controls=1",
)


@pytest.mark.thorough
def test_a_run_with_controls_that_resumes_exactly(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    whole = result(rlnas.run([*OWN, f"hydra.run.dir={tmp_path}/whole"]))
    said = capsys.readouterr().out
    assert "3 finalists and 4 controls are trained alone, from the shared weights" in said
    assert "7 for 0.3 epochs, then 4 for 0.6 epochs with 2 seeds each; 6.9 epochs in total" in said
    assert f"verdict: {whole['verdict']['text']}" in said

    assert whole["selection"]["rungs"] == [
        {"rung": 1, "networks": 3, "epochs": 0.3, "seeds": 1},
        {"rung": 2, "networks": 2, "epochs": 0.6, "seeds": 2},
    ]
    finalists = [one for one in whole["candidates"] if one["rungs"]]
    assert [len(one["rungs"]) for one in finalists] == [2, 2, 1]
    last = finalists[0]["rungs"][-1]
    assert (last["rung"], last["epochs"], last["seeds"], len(last["accuracies"])) == (2, 0.6, 2, 2)
    assert last["objective"] == finalists[0]["alone_accuracy"] == pytest.approx(sum(last["accuracies"]) / 2)
    kinds = [one["kind"] for one in whole["controls"]]
    assert kinds == ["reference", "reference", "random", "random"]
    assert {one["name"] for one in whole["controls"][:2]} == {"residual_chain", "plain_chain"}
    assert [len(one["rungs"]) for one in whole["controls"]] == [2, 1, 2, 1]
    assert all(one["params"] > 0 and one["flops"] > 0 for one in whole["controls"])
    assert whole["best"]["architecture"] == finalists[0]["architecture"]
    assert [one["kind"] for one in whole["verdict"]["comparisons"]] == ["reference", "random"]
    assert whole["measured_on"]["best.valid_accuracy"]["chose"] is True
    assert whole["measured_on"]["best.test_accuracy"]["chose"] is False

    retrained = [one["retrained"] for one in whole["controls"]]
    assert [one is not None for one in retrained] == [True, False, True, False]
    assert all(0 <= one["test_accuracy"] <= 1 and 0 <= one["valid_accuracy"] <= 1 for one in retrained if one)
    assert f"the found network {whole['best']['test_accuracy']:.4f}, " in whole["verdict"]["text"]

    run = Halving._scores

    def stop(self, rung, architectures):
        if rung.number == 2:
            raise KeyboardInterrupt
        return run(self, rung, architectures)

    with monkeypatch.context() as patch:
        patch.setattr(Halving, "_scores", stop)
        with pytest.raises(KeyboardInterrupt):
            rlnas.run([*OWN, f"hydra.run.dir={tmp_path}/part"])
    part = result(rlnas.run([f"resume={tmp_path}/part"]))
    for key in ("candidates", "controls", "verdict", "best", "selection"):
        assert part[key] == whole[key], key

    html = write_report(tmp_path / "whole").read_text(encoding="utf-8")
    for words in (
        "<h2>Controls</h2>",
        "Verdict.",
        "residual_chain",
        "alone, 0.6 epochs, mean of 2",
        "optimistic",
        "test, retrained",
    ):
        assert words in html
    assert (tmp_path / "whole" / "figures" / "alone.svg").exists()

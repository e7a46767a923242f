"""Every space of networks with learning, evolving and random controllers: search, report, resume, merged scoring."""

import re
from pathlib import Path

import pytest

import rlnas
from rlnas.config.spaces import SPACE_CONFIGS
from rlnas.gap.restore import restore_searched
from rlnas.spaces import make_space
from tests.command import history, result
from tests.search.test_job import stop_after

CONTROLLERS = ("ppo", "evolution", "random")
SMALL = {  # options that make a network small; the spaces' own defaults are larger
    "nasrl": ["space.layers=4", "space.filters=4", "space.reductions=1"],
    "nasrl_factored": ["space.layers=3", "space.filters=[3,4]"],
    "nasnet": ["space.nodes=2", "space.filters=2"],
    "darts": ["space.nodes=2", "space.filters=2"],
    "genetic_cnn": ["space.nodes=[3,3]", "space.filters=4"],
    "hierarchical": ["space.motifs=2", "space.cell_nodes=3", "space.filters=4", "space.reductions=1"],
    "evonet": ["space.horizon=6", "space.max_layers=3", "space.channels=[4,6]", "space.filters=4"],
    "nasrl_bench": [],
}
SHORT = [
    "data.limit=200",
    "search.warmup_epochs=1",
    "search.epochs_per_round=0.5",
    "search.architectures_per_round=6",
    "search.random_control=2",
    "evaluator.images=40",
    "budget.rounds=3",
    "controller.episodes=3",
    "select.from_policy=2",
    "select.from_history=2",
    "select.finalists=1",
    "select.references=1",
    "select.controls=1",
    "retrain.epochs=1",
    "progress=off",
]
CASES = [(space, controller) for controller in CONTROLLERS for space in SMALL]


def options(space: str, controller: str) -> list[str]:
    return [f"space={space}", *SMALL[space], f"controller={controller}", *SHORT]


def test_every_space_of_networks_is_run():
    networks = {name for name, config in SPACE_CONFIGS.items() if _builds_networks(config())}
    assert networks == set(SMALL)


def _builds_networks(config) -> bool:
    try:
        return make_space(config).builds_networks
    except rlnas.RlnasError:  # a table without a file
        return False


@pytest.mark.thorough
@pytest.mark.parametrize(("space", "controller"), CASES)
def test_a_search_of_it_is_reported_resumed_and_scored_alike_together_and_alone(
    space: str, controller: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rlnas.run([*options(space, controller), f"hydra.run.dir={tmp_path}/whole"])
    rows = history(whole)
    found = result(whole)
    assert len(rows) == 18
    assert 0 <= found["best"]["test_accuracy"] <= 1
    assert found["best"]["architecture"] in (whole / "report.html").read_text(encoding="utf-8").replace("&#39;", "'")
    assert (whole / "figures" / "architecture.svg").exists()
    built = restore_searched(whole)
    parts = built.space.diagrams(built.space.parse(found["best"]["architecture"]))
    assert len(list((whole / "figures").glob("part_*.svg"))) == len(parts)
    page = (whole / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r'class="card drawing" style="width: [1-9]\d+px"', page)) == len(parts)

    with monkeypatch.context() as patch:
        patch.setattr("rlnas.search.rounds.Rounds._out_of_time", stop_after(2))
        with pytest.raises(KeyboardInterrupt):
            rlnas.run([*options(space, controller), f"hydra.run.dir={tmp_path}/part"])
    resumed = rlnas.run([f"resume={tmp_path}/part"])
    assert history(resumed) == rows
    assert result(resumed)["best"] == found["best"]

    every = [built.space.parse(text) for text in dict.fromkeys(row["architecture"] for row in rows)][:6]
    together = built.evaluator.evaluate(every)
    for architecture, score in zip(every, together, strict=True):
        built.evaluator._cache_version = -1  # forget the scores
        assert built.evaluator.evaluate([architecture])[0].values == score.values

"""A space that builds no networks, by its dotted path: a whole run without images, and what it refuses."""

from pathlib import Path

import pytest

import rlnas
from rlnas.config.build import build_config
from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph
from rlnas.report import load_run
from rlnas.search.given import final_config, final_space, options, read_architecture
from rlnas.spaces import Space, make_space
from tests.command import TINY, by_default, history
from tests.stack import STACK

ROOT = Path(__file__).resolve().parents[2]
OWN = (
    "space=yours",
    "space.name=tests.stack.StackSpace",
    "evaluator=yours",
    "evaluator.name=tests.stack.Likeness",
    "search=untrained",
    "search.architectures_per_round=10",
    "controller.episodes=10",
    "budget.rounds=3",
    "progress=off",
)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("controller", by_default(["ppo", "evolution", "reinforce_enas", "dqn"], "ppo"))
def test_a_run_without_images_ends_with_the_incumbent_and_a_report(controller: str, tmp_path: Path) -> None:
    folder = rlnas.run([*OWN, f"controller={controller}", f"hydra.run.dir={tmp_path / 'run'}"])
    result, rows = rlnas.load_result(folder), history(folder)
    assert len(rows) == 30
    assert "dataset" not in result
    assert not (folder / "best").exists()
    best = max(rows, key=lambda row: float(row["reward"]))
    assert result["best"]["architecture"] == best["architecture"]
    assert result["best"]["objective"] == result["best"]["search_accuracy"] == float(best["reward"])
    assert result["best"]["test_accuracy"] is None
    assert best["architecture"] in (folder / "report.html").read_text(encoding="utf-8")
    assert rlnas.run([f"resume={folder}"]) == folder  # a finished run is left as it is
    assert history(folder) == rows


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("architecture='1 2'", r"architecture=1 2: .*space=tests.stack.StackSpace builds none"),
        ("evaluator=shared_weights", r"evaluator=shared_weights .*space=tests.stack.StackSpace builds none"),
        ("evaluator=standalone", r"evaluator=standalone .*space=tests.stack.StackSpace builds none"),
    ],
)
def test_what_needs_a_network_is_refused(argument: str, message: str, tmp_path: Path) -> None:
    trained = ["search=alternating"] if "shared" in argument else []
    given = [item for item in OWN if "search" not in item and "evaluator" not in item] if trained else [*OWN]
    if argument == "evaluator=standalone":
        given = [item for item in OWN if "evaluator" not in item]
    with pytest.raises(RlnasError, match=message):
        rlnas.run([*given, *trained, argument, f"hydra.run.dir={tmp_path / 'run'}"])
    assert not (tmp_path / "run").exists()


def test_an_architecture_is_read_from_its_text_or_its_file(tmp_path: Path) -> None:
    space = rlnas.make_space("nasrl", layers=3)
    architecture = space.parse("conv3x3 max_pool3x3 conv5x5+1")
    (tmp_path / "a.json").write_text(space.to_json(architecture), encoding="utf-8")
    assert read_architecture(space, "conv3x3 max_pool3x3 conv5x5+1") == architecture
    assert read_architecture(space, str(tmp_path / "a.json")) == architecture
    with pytest.raises(RlnasError, match=r"architecture=.*none.json cannot be read"):
        read_architecture(space, str(tmp_path / "none.json"))
    with pytest.raises(RlnasError, match="space=stack builds none"):
        read_architecture(STACK, "1 2")


@pytest.mark.parametrize("sharing", ["operator", "projection", "kernel"])
@pytest.mark.parametrize("changes", [{}, {"filters": 8, "merge": "concat"}])
def test_the_final_network_is_the_plain_one(sharing: str, changes: dict[str, object]) -> None:
    settings = {"name": "nasrl", "layers": 3, "filters": 4}
    config = build_config({"space": {**settings, "sharing": sharing}, "retrain": {"space": changes}})
    plain = rlnas.make_space(**{**settings, **changes})
    final = final_space(config, make_space(config.space))
    assert options(final_config(config))["sharing"] == "operator"
    architecture = plain.parse("conv5x5 avg_pool3x3 sep_conv5x5+1")

    def graph(space: Space) -> Graph:
        return space.graph(architecture, image_channels=1, image_size=8, classes=3)

    assert graph(final) == graph(plain) == graph(make_space(final_config(config)))


def test_the_final_network_cannot_share() -> None:
    config = build_config({"retrain": {"space": {"sharing": "kernel"}}})
    with pytest.raises(RlnasError, match=r"retrain\.space\.sharing is 'kernel', expected operator: "):
        final_config(config)


def test_a_run_with_shared_kernels_ends_with_the_plain_network(tmp_path: Path) -> None:
    folder = rlnas.run([*TINY, "space.sharing=kernel", f"hydra.run.dir={tmp_path / 'run'}"])
    result, run = rlnas.load_result(folder), load_run(folder)
    assert result["space"]["options"]["sharing"] == "kernel"
    assert result["final_space"]["sharing"] == "operator"
    child = rlnas.load_child(folder)
    assert child.graph == run.graph
    assert len(child.graph.nodes) < len(
        run.space.graph(
            run.space.parse(result["best"]["architecture"]),
            image_channels=child.graph.channels,
            image_size=child.graph.size[0],
            classes=len(child.classes),
        ).nodes
    )
    assert sum(p.numel() for p in child.parameters()) == result["best"]["params"]


def test_a_final_network_of_cells_may_have_more_cells_and_filters() -> None:
    config = build_config({"space": {"name": "darts"}, "retrain": {"space": {"cells": 8, "filters": 16}}})
    space = make_space(config.space)
    final = final_space(config, space)
    cells = final.references()["darts_v2"]
    assert cells == space.references()["darts_v2"]
    sizes = {"image_channels": 3, "image_size": 32, "classes": 10}
    assert [max(node.layer for node in one.graph(cells, **sizes).nodes) for one in (space, final)] == [3, 8]
    config.retrain.space = {"nodes": 3}
    with pytest.raises(RlnasError, match="changes what there is to choose"):
        final_space(config, space)
    config.retrain.space = {"cells": 2}
    with pytest.raises(RlnasError, match=r"space.cells is 2, expected at least 3"):
        final_space(config, space)


def test_images_too_small_for_the_cells_are_refused_before_any_training(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(RlnasError, match=r"one pixel wide before reduction cell 2 of 2 with space.stem_stride=4"):
        rlnas.run(["+experiment=darts_digits", "space.stem_stride=4", "progress=off", f"hydra.run.dir={folder}"])
    assert not (folder / "history.csv").exists()

"""Every shipped configuration composes, is in its ranges, and every experiment runs, shrunken."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import rlnas
from rlnas.cli import CONF, _compose
from rlnas.config.build import build_config
from rlnas.config.plain_data import to_dict
from rlnas.config.presets import space_options
from rlnas.errors import RlnasError
from rlnas.spaces import NasrlBenchSpace, make_space

OPTIONS = [
    f"{path.parent.name}={path.stem}" for path in sorted(CONF.glob("*/*.yaml")) if path.parent.name != "experiment"
]
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
TABLES = ("nas_bench_macro", "table")  # experiments, and the options of space with the same names
BENCH = ("compare_small", "compare_all", "nasrl_bench")  # of a space with networks and a table
PROGRAMS = tuple(name for name in EXPERIMENTS if name.startswith("program"))
NETWORKS = sorted(set(EXPERIMENTS) - {*TABLES, *BENCH, *PROGRAMS}, key=lambda name: ("nasrl" not in name, name))
GIVEN = {
    "data=folder": ["data.path=x"],
    "data=hub": ["data.hub_id=x"],
    "data=yours": ["data.name=package.source"],
    "space=yours": ["space.name=package.Space"],
    "evaluator=yours": ["evaluator.name=package.Evaluator"],
    "controller=yours": ["controller.algorithm=package.Algorithm"],
}
# a table goes with options that train nothing, and networks with the others
UNTRAINED = ["evaluator=tabular", "search=tabular"]
ANYWHERE = (
    "space=yours",
    "space=nasrl_bench",
    "evaluator=yours",
    "search=untrained",
    "search=untrained_large",
)  # as far as their options say
OF_PROGRAMS = tuple(option for option in OPTIONS if option.startswith(("space=program", "evaluator=program")))
LOOKED_UP = (*(f"space={name}" for name in TABLES), *UNTRAINED)
SHRUNKEN = [
    "data.limit=300",
    "space.filters=4",
    "space.stem_stride=2",
    "search.warmup_epochs=1",
    "search.epochs_per_round=0.5",
    "search.architectures_per_round=2",
    "search.random_control=2",
    "evaluator.images=20",
    "budget.rounds=1",
    "controller.episodes=2",
    "select.from_policy=1",
    "select.from_history=1",
    "select.finalists=2",
    "retrain.epochs=1",
    "progress=off",
    "data.when_missing=fallback",
]


@pytest.mark.variants(5)
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_names_itself(option: str) -> None:
    group, name = option.split("=")
    extra = ["space=nas_bench_macro", *UNTRAINED] if option in LOOKED_UP else GIVEN.get(option, [])
    if option in OF_PROGRAMS:
        extra = ["space=program", "evaluator=program", "search=untrained"]
    if option in ("search=untrained", "search=untrained_large"):
        extra = ["evaluator=standalone"]
    if option == "objective=surrogate":
        extra = ["evaluator=surrogate"]
    config = build_config(_compose([*extra, option]))
    if group == "objective":
        assert name == "log_likelihood_flops" or config.objective.terms == {name: 1.0}
    elif name == "yours" and group != "controller":
        assert [f"{group}.name={getattr(config, group).name}"] == extra
        return
    elif group not in ("search", "space", "evaluator", "execution"):
        assert getattr(config, group).name == name
    if group == "space":
        assert config.space.name == space_options(name)["name"]
    if group == "evaluator":
        assert name.startswith(config.evaluator.name)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_every_file_opens_with_the_command_that_uses_it(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line != "# @package _global_"]
    assert lines[0].startswith("# python -m rlnas")


def shrunken_space(experiment: str) -> list[str]:
    """Options of a space that shrink it beyond those that every space has."""
    if experiment.startswith("nasrl"):
        return ["space.layers=3"]
    if experiment.startswith(("nasnet", "darts")):
        return ["space.cells=3", "retrain.space.cells=4", "retrain.space.filters=3"]  # the final network has more
    if experiment.startswith("evonet"):
        return ["space.max_layers=3"]
    if experiment.startswith("hierarchical"):
        return ["space.motifs=2", "space.cell_nodes=3"]
    return []


@pytest.mark.variants(1)
@pytest.mark.parametrize("experiment", NETWORKS)
def test_every_experiment_runs_shrunken(experiment: str, tmp_path: Path) -> None:
    shrunken = [*SHRUNKEN, *shrunken_space(experiment)]
    shrunken = [item for item in shrunken if not experiment.endswith("_digits") or "when_missing" not in item]
    folder = rlnas.run([f"+experiment={experiment}", *shrunken, f"hydra.run.dir={tmp_path}/run"])
    result = rlnas.load_result(folder)
    assert result["name"] == experiment
    assert 0 <= result["best"]["test_accuracy"] <= 1
    assert (folder / "report.html").exists()
    assert list((folder / "figures").glob("*.svg"))
    assert list((folder / "tensorboard").iterdir())
    rlnas.load_child(folder)


@pytest.mark.parametrize("experiment", PROGRAMS)
def test_every_search_for_programs_runs_shrunken(experiment: str, tmp_path: Path) -> None:
    few = ["data.limit=600", "data.when_missing=fallback"] if "cifar" in experiment else ["data.limit=600"]
    few += ["evaluator.tasks=2", "evaluator.held_out_tasks=2", "evaluator.train_examples=20", "budget.rounds=1"]
    few += ["search.architectures_per_round=30", "controller.params.population=20", "progress=off"]
    folder = rlnas.run([f"+experiment={experiment}", *few, f"hydra.run.dir={tmp_path}/run"])
    result = rlnas.load_result(folder)
    assert result["name"] == experiment
    assert 0 <= result["best"]["test_accuracy"] <= 1
    assert result["verdict"]["text"]
    assert (folder / "report.html").exists()


def test_the_small_comparison_needs_no_data_and_knows_the_truth(tmp_path: Path) -> None:
    folder = rlnas.run(["+experiment=compare_small", "budget.architectures=30", f"hydra.run.dir={tmp_path}/run"])
    best = rlnas.load_result(folder)["best"]
    space = make_space(build_config(_compose(["+experiment=compare_small"])).space)
    assert isinstance(space, NasrlBenchSpace)
    row = space.rank(space.parse(best["architecture"]))
    assert best["score"] == space.benchmark.score[row]
    assert best["place"] == 1 + (space.benchmark.score > best["score"]).sum()
    assert best["regret"] == pytest.approx(space.benchmark.optimum - best["score"])


@pytest.mark.slow
def test_the_small_comparison_sweeps_over_its_own_controllers_and_seeds(tmp_path: Path) -> None:
    from tests.command import rlnas as command

    options = ["budget.architectures=20", "seed=0,1", f"hydra.sweep.dir={tmp_path}/sweep"]
    command("-m", "+experiment=compare_small", *options, cwd=tmp_path)
    runs = list((tmp_path / "sweep").rglob("result.json"))
    assert len(runs) == 10  # five controllers
    assert (tmp_path / "sweep" / "comparison.html").exists()


NOT_FOR_TABLES = {"darts", "gdas", "successive_halving"}  # these train networks
PRESETS = {
    "ppo_shared",
    "tpe",
    "reinforce_enas",
    "evolution_programs",
    "sb3",
    "yours",
}  # other settings of one of the rest


def test_the_comparison_of_all_has_every_controller_for_tables() -> None:
    config = yaml.safe_load((CONF / "experiment" / "compare_all.yaml").read_text(encoding="utf-8"))
    named = config["hydra"]["sweeper"]["params"]["controller"].split(",")
    every = {path.stem for path in (CONF / "controller").glob("*.yaml")}
    assert len(set(named)) == len(named)
    assert set(named) == every - NOT_FOR_TABLES - PRESETS


@pytest.mark.slow
def test_all_controllers_are_compared_by_one_command(tmp_path: Path) -> None:
    from tests.command import rlnas as command

    options = ["budget.architectures=60", "seed=0", f"hydra.sweep.dir={tmp_path}/sweep"]
    said = command("-m", "+experiment=compare_all", *options, cwd=tmp_path)
    config = yaml.safe_load((CONF / "experiment" / "compare_all.yaml").read_text(encoding="utf-8"))
    for name in config["hydra"]["sweeper"]["params"]["controller"].split(","):
        assert name in said.stdout
    assert (tmp_path / "sweep" / "comparison.html").exists()


def test_shared_weights_in_a_space_with_a_table_are_compared_with_it(tmp_path: Path) -> None:
    """On the digits: the values are wrong for them, the way is the same."""
    few = ["data=digits", "data.limit=300", "data.crop=1", "data.flip=false", "search.warmup_epochs=1"]
    few += ["budget.rounds=1", "search.architectures_per_round=4", "controller.episodes=2", "select.from_policy=2"]
    few += ["select.from_history=2", "select.controls=0", "select.references=0", "evaluator.images=20", "report=false"]
    folder = rlnas.run(["+experiment=nasrl_bench", *few, "progress=off", f"hydra.run.dir={tmp_path}/run"])
    best = rlnas.load_result(folder)["best"]
    assert 1 <= best["place"] <= 2048
    assert best["test_accuracy"] is None


@lru_cache
def composed(*overrides: str) -> dict[str, Any]:
    return to_dict(build_config(_compose(list(overrides))))


# one table and one search of networks in the default run: composing takes a quarter of a second
FEW = [
    name if name in ("nasrl_cifar", "nas_bench_macro") else pytest.param(name, marks=pytest.mark.slow)
    for name in EXPERIMENTS
    if name not in (*BENCH, *PROGRAMS)
]


@pytest.mark.variants(4)
@pytest.mark.parametrize("experiment", FEW)
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_goes_with_every_experiment(experiment: str, option: str) -> None:
    """And wins over what the experiment chose for that axis."""
    group = option.partition("=")[0]
    if option in OF_PROGRAMS:
        with pytest.raises(RlnasError, match=r"does not go with .*program.*; set (evaluator|space)="):
            build_config(_compose([f"+experiment={experiment}", option]))
        return
    fits = (option in LOOKED_UP) == (experiment in TABLES) or option in ANYWHERE
    if group in ("space", "search", "evaluator") and not fits:
        with pytest.raises(RlnasError, match=r"set (evaluator=|search=)"):
            build_config(_compose([f"+experiment={experiment}", option]))
        return
    extra = GIVEN.get(option, [])
    if option in ("controller=darts", "controller=gdas"):
        extra = ["search=gradient"]
        if experiment in TABLES:
            with pytest.raises(RlnasError, match=r"set (evaluator=|search=)"):
                build_config(_compose([f"+experiment={experiment}", option, *extra]))
            return
    if option == "objective=surrogate":
        if experiment in TABLES:
            pytest.skip("a table has no shared weights to predict from")
        extra = ["evaluator=surrogate"]
    if option in ("search=untrained", "search=untrained_large"):
        extra = ["space=nas_bench_macro", "evaluator=tabular"] if experiment in TABLES else ["evaluator=standalone"]
    if option in LOOKED_UP:
        extra = [item for item in ("space=nas_bench_macro", *UNTRAINED) if not item.startswith(group)]
    chosen = composed(f"+experiment={experiment}", option, *extra)
    alone = composed(option, *extra)
    if group in ("space", "search", "controller", "execution"):
        assert chosen[group] == alone[group]
    elif group == "objective":  # an experiment may add terms and limits to it
        assert alone[group]["terms"].items() <= chosen[group]["terms"].items()
    else:
        assert chosen[group]["name"] == alone[group]["name"]
    if group == "objective" and experiment in TABLES:
        assert chosen[group] == alone[group]


def test_a_bare_run_is_the_digits_experiment() -> None:
    bare, named = build_config(_compose([])), build_config(_compose(["+experiment=nasrl_digits"]))
    assert to_dict(bare) == to_dict(named)


def test_no_experiment_sets_numbers_of_a_controller() -> None:
    """They would also apply to the other controllers of a sweep."""
    for name in EXPERIMENTS:
        text = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
        assert "\ncontroller:" not in text

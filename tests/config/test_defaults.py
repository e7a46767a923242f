"""One source of defaults: the dataclasses of rlnas.config, what conf/ composes, and constructors agree."""

import dataclasses
import inspect
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

import rlnas
from rlnas.cli import CONF, _compose
from rlnas.config.build import build_config, build_space_config
from rlnas.config.plain_data import to_dict
from rlnas.config.presets import space_options
from rlnas.config.schema import EVALUATOR_CONFIGS, NAMED_GROUPS, Config, OwnConfig
from rlnas.config.spaces import SPACE_CONFIGS, GrowConfig
from rlnas.controllers.make import ALGORITHMS, OWN_POLICIES, STRATEGIES, load_algorithm
from rlnas.spaces import (
    DartsSpace,
    EvonetSpace,
    GeneticCnnSpace,
    HierarchicalSpace,
    NasnetSpace,
    NasrlFactoredSpace,
    NasrlSpace,
    make_space,
)

GROUPS = [item.name for item in dataclasses.fields(Config) if dataclasses.is_dataclass(item.type)]
OPTIONS = {path.stem: path for path in sorted((CONF / "space").glob("*.yaml"))}
PRESETS = sorted(set(OPTIONS) - set(SPACE_CONFIGS) - {"yours"})
NETWORK_SPACES = {
    "nasrl": NasrlSpace,
    "nasrl_factored": NasrlFactoredSpace,
    "nasnet": NasnetSpace,
    "darts": DartsSpace,
    "genetic_cnn": GeneticCnnSpace,
    "evonet": EvonetSpace,
    "hierarchical": HierarchicalSpace,
}
TABLES = ("table", "nas_bench_macro")
UNTRAINED = ["evaluator=tabular", "search=tabular"]
PROGRAMS = ["evaluator=program", "search=untrained"]
# constructor arguments of an algorithm, which no dataclass knows
OF_ALGORITHMS = {"controller": ("params", "policy_params")}


@lru_cache
def raw(*overrides: str) -> dict[str, Any]:
    """What hydra composes, before any dataclass fills it up."""
    found = OmegaConf.to_container(_compose(list(overrides)), resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def option(name: str) -> Any:
    """The space that `space=name` configures."""
    fitting = PROGRAMS if "program" in name else UNTRAINED if name in TABLES else []
    return build_config(_compose([f"space={name}", *fitting])).space


def test_there_are_groups_and_presets_to_compare():
    assert {"data", "controller", "child", "retrain", "execution"} < set(GROUPS)
    assert {"nasrl_small", "nasrl_enas"} <= set(PRESETS)


@pytest.mark.variants(5)
@pytest.mark.parametrize("group", [*GROUPS, *NAMED_GROUPS])
def test_a_bare_run_has_the_defaults_of_the_dataclasses(group):
    composed, default = (to_dict(config)[group] for config in (build_config(_compose([])), Config()))
    for key in OF_ALGORITHMS.get(group, ()):
        composed.pop(key)
        default.pop(key)
    assert composed == default


def test_and_so_have_the_keys_outside_of_groups():
    composed, default = build_config(_compose([])), Config()
    for item in dataclasses.fields(Config):
        if item.name not in (*GROUPS, *NAMED_GROUPS):
            assert getattr(composed, item.name) == getattr(default, item.name), item.name


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "data"])
def test_every_key_stands_in_conf(group):
    """So that it is explained there. Sources of images have keys of their own."""
    schema = type(getattr(Config(), group))
    assert set(raw()[group]) == {item.name for item in dataclasses.fields(schema)}


@pytest.mark.parametrize("name", SPACE_CONFIGS)
def test_the_option_of_a_space_has_the_defaults_of_its_dataclass(name):
    assert option(name) == build_space_config({"name": name}) == SPACE_CONFIGS[name]()
    assert set(OmegaConf.load(OPTIONS[name])) == {item.name for item in dataclasses.fields(SPACE_CONFIGS[name])}


@pytest.mark.parametrize("name", EVALUATOR_CONFIGS)
def test_the_option_of_an_evaluator_has_the_defaults_of_its_dataclass(name):
    given = OmegaConf.to_container(OmegaConf.load(CONF / "evaluator" / f"{name}.yaml"))
    assert given == dataclasses.asdict(EVALUATOR_CONFIGS[name]())


@pytest.mark.parametrize("group", NAMED_GROUPS)
def test_the_option_for_a_class_of_one_s_own_has_its_defaults(group):
    given = OmegaConf.to_container(OmegaConf.load(CONF / group / "yours.yaml"))
    name = given.pop("name")
    default = dataclasses.asdict(OwnConfig())
    assert default.pop("name") is None
    assert "." in str(name) or str(name) in ("None", "???")
    assert given == default


def test_the_spaces_of_networks_are_those_that_build_some():
    built = {
        n for n in SPACE_CONFIGS if n not in ("table", "nas_bench_macro", "nasrl_bench", "program")
    }  # the last has a table too
    assert built == set(NETWORK_SPACES)
    assert all(type(make_space(SPACE_CONFIGS[name]())) is NETWORK_SPACES[name] for name in built)


@pytest.mark.parametrize("name", NETWORK_SPACES)
def test_the_constructor_of_a_space_has_the_defaults_of_its_dataclass(name):
    default = dataclasses.asdict(SPACE_CONFIGS[name]())
    assert default.pop("name") == NETWORK_SPACES[name].name
    parameters = dict(inspect.signature(NETWORK_SPACES[name].__init__).parameters)
    del parameters["self"]
    off = dataclasses.asdict(GrowConfig())
    assert (
        default.pop("grow", off)["start"] == off["start"] == 0
    )  # make_space, not the constructor, makes a space of several depths
    own = {key: list(p.default) if isinstance(p.default, tuple) else p.default for key, p in parameters.items()}
    assert own == default


@pytest.mark.variants(4)
@pytest.mark.parametrize("name", [*NETWORK_SPACES, *(name for name in PRESETS if "program" not in name)])
def test_make_space_is_the_option_of_its_name(name):
    made, composed = rlnas.make_space(name), option(name)
    for key, value in dataclasses.asdict(composed).items():
        if hasattr(made, key):
            assert getattr(made, key) == (tuple(value) if isinstance(value, list) else value), key
    again = NETWORK_SPACES[composed.name](
        **{key: value for key, value in dataclasses.asdict(composed).items() if key not in ("name", "grow")}
    )
    one, other = (space.sample(np.random.default_rng(0)) for space in (made, again))
    assert made.text(one) == again.text(other)
    sizes = {"image_channels": 3, "image_size": 32, "classes": 10}
    assert made.graph(one, **sizes) == again.graph(other, **sizes)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_lists_only_what_it_is(name):
    options = space_options(name)
    default = dataclasses.asdict(SPACE_CONFIGS[options.pop("name")]())
    assert options
    assert not {key for key, value in options.items() if default[key] == value}


def test_make_space_takes_other_options_than_a_presets():
    small = rlnas.make_space("nasrl_small", layers=3, merge="concat")
    assert (small.layers, small.merge, small.filters, small.stem_stride) == (3, "concat", 32, 4)
    with pytest.raises(rlnas.RlnasError, match=r"unknown key space\.layer;"):
        rlnas.make_space("nasrl_small", layer=3)
    for wrong in ("nasrl_smal", "../space/nasrl", ""):
        with pytest.raises(rlnas.RlnasError, match=rf"space is '{wrong}', expected one of nasrl, .*nasrl_small"):
            rlnas.make_space(wrong)


def constructor(algorithm: str) -> Any:
    """The class of an algorithm whose constructor is this package's, None for one of another's."""
    found = load_algorithm(algorithm)
    return found if found.__module__.startswith("rlnas") and "__init__" in vars(found) else None


OWN = [name for name in (*ALGORITHMS, *STRATEGIES) if constructor(name) is not None]


@pytest.mark.parametrize("name", OWN)
def test_the_constructor_of_an_algorithm_has_the_defaults_of_conf(name):
    """Of the option named like it; options of other names are settings that differ on purpose."""
    given = OmegaConf.load(CONF / "controller" / f"{name}.yaml")
    parameters = inspect.signature(constructor(name).__init__).parameters
    assert dict(given.params) == {key: parameters[str(key)].default for key in given.params}


@pytest.mark.parametrize("name", ["reinforce", "ppo_transformer"])
def test_a_policy_of_this_package_has_the_defaults_of_conf(name):
    given = OmegaConf.load(CONF / "controller" / f"{name}.yaml")
    policy = inspect.signature(OWN_POLICIES[given.policy].__init__).parameters
    assert given.policy_params
    assert dict(given.policy_params) == {key: policy[str(key)].default for key in given.policy_params}


def test_there_are_algorithms_of_this_package():
    assert {"reinforce", "evolution", "genetic"} <= set(OWN)

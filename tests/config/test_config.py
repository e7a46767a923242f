"""Every way a configuration can be wrong, and what a person is told."""

import dataclasses
import math
import re

import pytest
from omegaconf import OmegaConf

from rlnas.cli import _compose
from rlnas.config.build import RENAMED, build_config, build_space_config
from rlnas.config.composed import read_composed
from rlnas.config.plain_data import flatten, to_dict
from rlnas.config.schema import (
    EVALUATOR_CONFIGS,
    NAMED_GROUPS,
    OPEN_GROUPS,
    Config,
    OwnConfig,
    SharedWeightsConfig,
    StandaloneConfig,
)
from rlnas.config.spaces import SPACE_CONFIGS, NasrlConfig, NasrlFactoredConfig
from rlnas.errors import RlnasError


def fields(schema, prefix: str = "") -> list[tuple[str, dataclasses.Field]]:
    """Every field below a schema, by its dotted key."""
    found = []
    for item in dataclasses.fields(schema):
        if dataclasses.is_dataclass(item.type):
            found += fields(item.type, f"{prefix}{item.name}.")
        else:
            found.append((prefix + item.name, item))
    return found


EVERY = [
    *fields(Config),
    *((f"space.{key}", item) for key, item in fields(NasrlConfig)),
    *((f"evaluator.{key}", item) for key, item in fields(SharedWeightsConfig)),
]
RANGED = [(key, item) for key, item in EVERY if "low" in item.metadata]
CHOSEN = [(key, item) for key, item in EVERY if "choices" in item.metadata]
ranged = pytest.mark.parametrize(("key", "item"), RANGED, ids=[key for key, _ in RANGED])
BOUNDED = [(key, item) for key, item in RANGED if item.metadata["high"] < math.inf]
bounded = pytest.mark.parametrize(("key", "item"), BOUNDED, ids=[key for key, _ in BOUNDED])
chosen = pytest.mark.parametrize(("key", "item"), CHOSEN, ids=[key for key, _ in CHOSEN])


def bounds(item: dataclasses.Field) -> str:
    return f"{'above' if item.metadata['above'] else 'at least'} {item.metadata['low']:g}"


def nested(key: str, value) -> dict:
    *groups, last = key.split(".")
    for name in reversed(groups):
        last, value = name, {last: value}
    return {last: value}


def get(config, key: str):
    for name in key.split("."):
        config = getattr(config, name)
    return config


def test_there_are_ranges_and_choices_to_check():
    assert len(RANGED) > 40
    assert len(CHOSEN) > 6


def test_the_defaults_are_valid():
    assert build_config({}) == Config()


@pytest.mark.variants(20)
@ranged
def test_a_number_below_its_range_is_refused(key, item):
    low, above = item.metadata["low"], item.metadata["above"]
    with pytest.raises(RlnasError, match=rf"{key} is \S*, expected a number {bounds(item)}"):
        build_config(nested(key, low if above else low - 1))


@pytest.mark.variants(19)
@bounded
def test_a_number_above_its_range_is_refused(key, item):
    high = item.metadata["high"]
    with pytest.raises(RlnasError, match=re.escape(f", expected a number {bounds(item)} and at most {high:g}")):
        build_config(nested(key, type(item.default)(high + 1)))


@pytest.mark.variants(14)
@ranged
def test_the_bounds_themselves_are_allowed(key, item):
    low, high, above = (item.metadata[name] for name in ("low", "high", "above"))
    allowed = [] if above else [low]
    if high < math.inf:
        allowed.append(high)
    for value in allowed:
        values = nested(key, type(item.default)(value))
        values.setdefault("architecture", "any")  # else no budget at all is refused
        assert get(build_config(values), key) == value


@pytest.mark.variants(23)
@ranged
def test_not_a_number_is_refused(key, item):
    with pytest.raises(RlnasError, match=key):
        build_config(nested(key, float("nan")))


@ranged
def test_a_word_is_no_number(key, item):
    with pytest.raises(RlnasError, match=f"{key}: Value 'many' of type 'str' could not be converted to"):
        build_config(nested(key, "many"))


UNTRAINED = {"warmup_epochs": 0, "epochs_per_round": 0, "random_control": 0}


@chosen
def test_a_value_outside_its_choices_is_refused(key, item):
    expected = ", ".join(item.metadata["choices"])
    with pytest.raises(RlnasError, match=f"{key} is 'nothing', expected one of {expected}"):
        build_config(nested(key, "nothing"))


@chosen
def test_every_choice_is_allowed(key, item):
    for choice in item.metadata["choices"]:
        values = nested(key, choice)
        assert get(build_config(values), key) == choice


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"space": {"name": "nas_bench_macro"}, "search": UNTRAINED},
            "space=nas_bench_macro does not go with evaluator=shared_weights; set evaluator=tabular search=tabular",
        ),
        ({"evaluator": {"name": "tabular"}}, "space=nasrl does not go with evaluator=tabular; set evaluator=shared_we"),
        (
            {"space": {"name": "nas_bench_macro"}, "evaluator": {"name": "tabular"}},
            "a table has no shared weights to train and needs no random control",
        ),
        (
            {
                "space": {"name": "nas_bench_macro"},
                "evaluator": {"name": "tabular"},
                "search": UNTRAINED,
                "architecture": "0,0,0,0,0,0,0,0",
            },
            "architecture= retrains a network, which a table does not have",
        ),
        ({"budget": {"table_seconds": 10}}, r"budget.table_seconds needs a table .* space=table with space.seconds"),
        (
            {"execution": {"cuda_graphs": True}, "retrain": {"dropout": 0.25}},
            r"execution.cuda_graphs=true .* retrain.dropout=0.25 and retrain.drop_path=0 draw anew at each step; set",
        ),
        ({"sede": 1}, r"unknown key sede; did you mean seed\? \(known here: name, seed, "),
        ({"zzz": 1}, r"unknown key zzz \(known here: name, seed, "),
        ({"child": {"momentun": 1}}, r"unknown key child.momentun; did you mean momentum\? \(known here: batch_size,"),
        ({"space": {"layer": 3}}, r"unknown key space.layer; did you mean layers\? \(known here: name, layers"),
        (
            {"space": {"name": "nasrl_factored", "merge": "sum"}},
            r"unknown key space.merge.*\(known here: name, layers, heights",
        ),
        ({"space": {"name": "cell"}}, "space.name is 'cell', expected one of nasrl, nasrl_factored"),
        ({"child": 3}, "child is 3, expected a group of options"),
        ({"space": 3}, "space is 3, expected a group of options"),
        ({"data": None}, "data is None, expected a group of options"),
        ({"data": {"flip": "perhaps"}}, "data.flip: Value 'perhaps' is not a valid bool"),
        ({"space": {"operators": "conv3x3"}}, "space.operators"),
        ({"seed": None}, "seed"),
        ({"seed": 1.5}, "seed: Value '1.5' of type 'float' could not be converted to Integer"),
        (
            {"budget": {"rounds": 0}},
            "budget.rounds, budget.architectures, budget.minutes and budget.table_seconds are all 0, so the",
        ),
    ],
)
def test_what_is_wrong_is_named(values, message):
    with pytest.raises(RlnasError, match=message):
        build_config(values)


@pytest.mark.parametrize("budget", [{"rounds": 1}, {"rounds": 0, "architectures": 1}, {"rounds": 0, "minutes": 0.1}])
def test_one_budget_is_enough(budget):
    built = build_config({"budget": budget}).budget
    assert {key: getattr(built, key) for key in budget} == budget


def test_no_budget_is_needed_to_retrain_one_architecture():
    assert build_config({"budget": {"rounds": 0}, "architecture": "conv3x3"}).architecture == "conv3x3"


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_a_seed_is_taken_as_it_is(seed):
    assert build_config({"seed": seed}).seed == seed


def test_zero_is_not_taken_for_missing():
    config = build_config(
        {"child": {"clip": 0}, "data": {"crop": 0}, "retrain": {"epochs": 0}, "select": {"from_policy": 0}}
    )
    assert (config.child.clip, config.data.crop, config.retrain.epochs, config.select.from_policy) == (0, 0, 0, 0)


def test_values_arrive_typed():
    config = build_config({"space": {"name": "nasrl_factored", "heights": [3]}, "controller": {"params": {"a": [1]}}})
    assert isinstance(config.space, NasrlFactoredConfig)
    assert config.space.heights == [3]
    assert type(config.space.heights) is list
    assert config.controller.params == {"a": [1]}
    assert type(config.controller.params) is dict


def test_a_composed_configuration_is_resolved():
    composed = OmegaConf.create({"seed": 3, "child": {"batch_size": "${seed}"}})
    assert build_config(composed).child.batch_size == 3


def test_the_input_is_left_alone():
    values = {"space": {"name": "nasrl", "layers": 3}, "seed": 1}
    build_config(values)
    assert values == {"space": {"name": "nasrl", "layers": 3}, "seed": 1}


def test_plain_data_round_trips():
    config = build_config({"seed": 5, "space": {"name": "nasrl_factored", "layers": 3}})
    assert build_config(to_dict(config)) == config


@pytest.mark.parametrize("layers", [0, 101])
def test_the_factored_space_checks_its_ranges_too(layers):
    with pytest.raises(RlnasError, match=f"space.layers is {layers}, expected a number at least 1 and at most 100"):
        build_config({"space": {"name": "nasrl_factored", "layers": layers}})


@pytest.mark.parametrize("name", SPACE_CONFIGS)
def test_a_space_gets_its_own_options(name):
    assert type(build_space_config({"name": name})) is SPACE_CONFIGS[name]


def test_flatten_writes_keys_as_on_the_command_line():
    nested_values = {"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": {}, "g": None}
    assert flatten(nested_values) == {"a.b.c": 1, "a.d": [1, {"e": 2}], "f": {}, "g": None}


def test_flattened_keys_are_those_of_the_fields():
    known = {key for key, _ in fields(Config) if key not in (*NAMED_GROUPS, "objective.terms")}
    assert set(flatten(to_dict(Config()))) >= known | {"space.layers", "evaluator.images", "objective.terms.accuracy"}


@pytest.mark.parametrize("text", [None, "a: [", "\x00"])
def test_a_file_that_is_no_configuration_is_named(tmp_path, text):
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RlnasError, match=r"config\.yaml cannot be read as a configuration"):
        read_composed(path)


def test_the_open_groups_are_the_fields_that_take_any_entries():
    found = [key for key, item in fields(Config) if str(item.type).startswith("dict")]
    found += [f"{group}.{key}" for group in NAMED_GROUPS for key, item in fields(OwnConfig) if key != "name"]
    assert sorted(OPEN_GROUPS) == sorted(found)


# -- objective, evaluators and keys of earlier versions ----------------------------------------------------


def test_terms_that_are_given_replace_the_default():
    assert build_config({}).objective.terms == {"accuracy": 1.0}
    assert build_config({"objective": {"terms": {"accuracy_cubed": 2}}}).objective.terms == {"accuracy_cubed": 2}
    assert build_config({"objective": {"limits": {"flops": 3}}}).objective.terms == {"accuracy": 1.0}
    assert build_config(_compose(["objective=accuracy_cubed"])).objective.terms == {"accuracy_cubed": 1.0}


def test_terms_are_added_on_the_command_line():
    config = build_config(
        _compose(
            [
                "+objective.terms.skip_divergence={weight: -0.1, target: 0.3}",
                "+objective.terms.params=-1e-8",
                "+objective.limits.flops=2e7",
            ]
        )
    ).objective
    assert config.terms == {"accuracy": 1.0, "skip_divergence": {"weight": -0.1, "target": 0.3}, "params": -1e-8}
    assert config.limits == {"flops": 2e7}


@pytest.mark.parametrize("key", RENAMED)
def test_a_key_of_an_earlier_version_says_what_it_is_now(key):
    with pytest.raises(RlnasError, match=re.escape(f"unknown key {key}; it is now {RENAMED[key]}")):
        build_config(nested(key, 1))


@pytest.mark.parametrize("key", RENAMED)
def test_what_it_is_now_can_be_typed(key):
    now = RENAMED[key]
    for word, number in {"WEIGHT": "0.1", "TARGET": "0.4", "MOST": "2e7"}.items():
        now = now.replace(word, number)
    assert build_config(_compose([now])).objective != Config().objective


@pytest.mark.parametrize("name", EVALUATOR_CONFIGS)
def test_an_evaluator_gets_its_own_options(name):
    values = {"evaluator": {"name": name}}
    if name == "tabular":
        values |= {"space": {"name": "nas_bench_macro"}, "search": UNTRAINED}
    if name == "program":
        values |= {"space": {"name": "program"}, "search": UNTRAINED}
    assert type(build_config(values).evaluator) is EVALUATOR_CONFIGS[name]


@pytest.mark.parametrize(("key", "item"), [(k, i) for k, i in fields(StandaloneConfig) if "low" in i.metadata])
def test_the_stand_alone_evaluator_checks_its_ranges_too(key, item):
    low = item.metadata["low"] - 1
    with pytest.raises(RlnasError, match=rf"evaluator.{key} is {low:g}, expected a number {bounds(item)}"):
        build_config({"evaluator": {"name": "standalone", key: int(low)}})


@pytest.mark.parametrize("group", NAMED_GROUPS)
def test_a_class_of_one_s_own_has_its_arguments_in_options(group):
    config = build_config({group: {"name": "my.package.Mine", "options": {"depth": 3}}})
    assert getattr(config, group) == OwnConfig("my.package.Mine", {"depth": 3})
    with pytest.raises(RlnasError, match=rf"unknown key {group}.depth"):
        build_config({group: {"name": "my.package.Mine", "depth": 3}})
    with pytest.raises(RlnasError, match=rf"{group}.name is 'mine', expected one of .*{group}=yours {group}.name="):
        build_config({group: {"name": "mine"}})


def test_shared_weights_that_nothing_would_train_are_refused():
    with pytest.raises(RlnasError, match=r"search.warmup_epochs and search.epochs_per_round are both 0"):
        build_config({"search": UNTRAINED})
    assert build_config({"search": UNTRAINED, "evaluator": {"name": "standalone"}}).search.warmup_epochs == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": {"sampling": "fair"}}, "search.sampling is fair, but controller darts .*set it to controller"),
        (
            {"child": {"architectures_per_step": 4}},
            "child.architectures_per_step is 4, but controller darts .*set it to 1",
        ),
    ],
)
def test_what_a_gradient_search_would_ignore_is_refused(changes, message):
    whole = {"space": {"name": "darts"}, "controller": {"algorithm": "darts"}}
    build_config(whole)
    with pytest.raises(RlnasError, match=message):
        build_config({**whole, **changes})

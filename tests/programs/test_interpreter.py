"""The interpreter: hand-written programs equal plain loops and torch; all tasks at once equal one at a time."""

import math

import numpy as np
import pytest
import torch

from rlnas.programs import Memory, Program, Run, Tasks, logits_of, parse
from rlnas.programs.handmade import linear, two_layer
from rlnas.programs.interpreter import instructions
from rlnas.programs.liveness import live
from rlnas.spaces import ProgramSpace
from tests.programs.small import MEMORY, gaussian_tasks

TASKS = gaussian_tasks()


def test_the_linear_program_is_stochastic_gradient_descent() -> None:
    """A loop over tasks, examples and features, with floats."""
    found = logits_of(linear(0.3), TASKS, MEMORY)
    for task in range(TASKS.count):
        weights = [0.0] * TASKS.features
        for example, label in zip(TASKS.train[:, task].tolist(), TASKS.train_labels[:, task, 0].tolist(), strict=True):
            logit = sum(w * x for w, x in zip(weights, example, strict=True))
            error = label - 1 / (1 + math.exp(-logit))
            weights = [w + 0.3 * error * x for w, x in zip(weights, example, strict=True)]
        wanted = [sum(w * x for w, x in zip(weights, example, strict=True)) for example in TASKS.valid[task].tolist()]
        np.testing.assert_allclose(found[task], wanted, rtol=1e-10)


def torch_logits(task: int, model: torch.nn.Module, rate: float) -> np.ndarray:
    """Of the validation examples, after one pass of SGD with one example a step on the logistic loss."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    loss = torch.nn.BCEWithLogitsLoss()
    for example, label in zip(TASKS.train[:, task], TASKS.train_labels[:, task, 0], strict=True):
        optimizer.zero_grad()
        loss(model(torch.from_numpy(example))[0], torch.tensor(label)).backward()
        optimizer.step()
    with torch.no_grad():
        return model(torch.from_numpy(TASKS.valid[task]))[:, 0].numpy()


def test_the_linear_program_is_torch_s() -> None:
    found = logits_of(linear(0.1), TASKS, MEMORY)
    for task in range(TASKS.count):
        model = torch.nn.Linear(TASKS.features, 1, bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(model.weight)
        np.testing.assert_allclose(found[task], torch_logits(task, model, 0.1), rtol=1e-10)


def test_the_two_layer_program_is_torch_s() -> None:
    """From the initial weights that the program draws."""
    program = two_layer(0.1, 0.3)
    initial = Run(program, TASKS, MEMORY, seed=5)._registers
    found = logits_of(program, TASKS, MEMORY, seed=5)
    assert np.unique(found.round(8)).size > TASKS.count  # it learned, and no unit is dead in all tasks
    for task in range(TASKS.count):
        first = torch.nn.Linear(TASKS.features, TASKS.features, bias=False, dtype=torch.float64)
        second = torch.nn.Linear(TASKS.features, 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            first.weight.copy_(torch.from_numpy(initial[MEMORY.scalars + MEMORY.vectors][0]))
            second.weight.copy_(torch.from_numpy(initial[MEMORY.scalars + 1]))
        model = torch.nn.Sequential(first, torch.nn.ReLU(), second)
        np.testing.assert_allclose(found[task], torch_logits(task, model, 0.1), rtol=1e-9)


# -- all tasks at once -------------------------------------------------------------------------------------


def random_programs(count: int, seed: int = 0) -> list[Program]:
    space, rng = ProgramSpace(scalars=4, vectors=4, matrices=2), np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def test_all_tasks_at_once_are_one_task_at_a_time() -> None:
    finite = 0
    for program in [linear(0.1), two_layer(0.1, 0.3), *random_programs(60)]:
        together = Run(program, TASKS, MEMORY, seed=3)
        alone = [Run(program, TASKS.only(task), MEMORY, seed=3) for task in range(TASKS.count)]
        ends = [together.train(0, 20), *(one.train(0, 20) for one in alone)]
        assert ends[0] == all(ends[1:])
        if ends[0]:
            found = together.logits()
            for task, one in enumerate(alone):
                np.testing.assert_allclose(one.logits()[0], found[task], rtol=1e-9, atol=1e-12)
            finite += together.failed is None
    assert finite > 30


def plain(program: Program, task: int, seed: int) -> np.ndarray | None:
    """The logits of one task, every instruction run, one example at a time; None if one is not finite."""
    tasks = TASKS.only(task)
    memory = {("s", i): np.zeros((1, 1)) for i in range(4)} | {("v", i): np.zeros((1, 4)) for i in range(4)}
    memory |= {("m", i): np.zeros((1, 4, 4)) for i in range(2)}

    def execute(code, memory) -> None:
        for place, one in enumerate(code):
            rule = one.rule
            if rule.word == "const":
                memory[one.writes] = np.full((1, 1), one.constant)
            elif rule.random:
                shape = {"v": (1, 4), "m": (1, 4, 4)}[rule.output]
                rng = np.random.Generator(np.random.PCG64(seed + place))
                unit = rng.standard_normal(shape) if rule.word == "gauss" else rng.uniform(-1.0, 1.0, shape)
                memory[one.writes] = one.constant * unit
            else:
                operands = [memory[key] for key in zip(rule.inputs, one.inputs, strict=True)]
                memory[one.writes] = rule.compute(*operands, **({"features": 4} if rule.sized else {}))

    with np.errstate(all="ignore"):
        execute(program.setup, memory)
        for example, label in zip(tasks.train, tasks.train_labels, strict=True):
            memory["v", 0], memory["s", 0] = example, np.zeros((1, 1))
            execute(program.predict, memory)
            if not np.isfinite(memory["s", 1]).all():
                return None
            memory["s", 1] = 1 / (1 + np.exp(-memory["s", 1]))
            memory["s", 0] = label
            execute(program.learn, memory)
        found = []
        for example in tasks.valid[0]:
            copy = dict(memory)
            copy["v", 0], copy["s", 0] = example[None], np.zeros((1, 1))
            execute(program.predict, copy)
            found.append(float(copy["s", 1][0, 0]))
    return np.array(found) if np.isfinite(found).all() else None


def test_it_is_a_plain_loop_over_all_instructions() -> None:
    """So leaving out dead instructions, and predicting many examples at once, change nothing."""
    finite = 0
    for program in random_programs(60, seed=1):
        run = Run(program, TASKS.only(0), MEMORY, seed=3)
        found = run.logits()[0] if run.train(0, 20) else None
        wanted = plain(program, 0, 3)
        if wanted is None:
            assert run.failed is not None
        else:
            assert run.failed is None
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
            finite += 1
    assert finite > 30


def test_training_in_parts_is_training_at_once() -> None:
    for program in (linear(0.1), two_layer(0.1, 0.3)):
        run = Run(program, TASKS, MEMORY)
        assert run.train(0, 7)
        run.logits(TASKS.valid[:, :3])  # predicting changes nothing
        assert run.train(7, 20)
        np.testing.assert_array_equal(run.logits(), logits_of(program, TASKS, MEMORY))


# -- rules of the loop ---------------------------------------------------------------------------------------


def test_predict_cannot_read_a_label() -> None:
    assert (logits_of(parse("setup: | predict: s1=add(s0,s0) | learn:"), TASKS, MEMORY) == 0).all()


def test_learn_reads_the_label_and_the_normalised_prediction() -> None:
    """The prediction of the first example is 0, normalised 0.5; s1 after it is label - 0.5 + mean(example)."""
    run = Run(
        parse("setup: | predict: s1=add(s1,s2) | learn: s3=sub(s0,s1); s2=mean(v0); s1=add(s2,s3)"), TASKS, MEMORY
    )
    assert run.train(0, 1)
    wanted = TASKS.train_labels[0] - 0.5 + TASKS.train[0].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(run._registers[1], wanted)


def test_a_validation_example_does_not_change_the_next() -> None:
    """v1 counts the predictions, but each validation example starts after training."""
    counting = parse("setup: | predict: s2=exp(s3); s3=add(s3,s2); s1=add(s3,s1) | learn: s3=sub(s3,s2); s1=sub(s1,s1)")
    found = logits_of(counting, TASKS, MEMORY)
    assert np.unique(found).size == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("setup: | predict: s1=div(s2,s2) | learn:", "the prediction of training example 1 is NaN or infinite"),
        ("setup: | predict: s1=reciprocal(s2) | learn:", "the prediction of training example 1 is NaN or infinite"),
        (
            "setup: s2=1.0 | predict: s1=mean(v1) | learn: s2=exp(s2); v1=scale(s2,v0)",  # e, e^e, ...
            "the prediction of training example 5 is NaN or infinite",
        ),
        ("setup: | predict: s2=norm(v1); s1=log(s2) | learn: v1=add(v1,v0)", "the prediction of training example 1 is"),
    ],
)
def test_what_is_no_number_fails(line: str, reason: str) -> None:
    run = Run(parse(line), TASKS, MEMORY)
    assert not run.train(0, 20)
    assert reason in str(run.failed)
    assert np.isnan(logits_of(parse(line), TASKS, MEMORY)).all()


def test_a_validation_example_may_fail_alone() -> None:
    odd = Tasks(TASKS.train, TASKS.train_labels, np.where(TASKS.valid > 2, np.inf, TASKS.valid), TASKS.valid_labels)
    run = Run(parse("setup: | predict: s1=mean(v0) | learn:"), odd, MEMORY)
    assert run.train(0, 20)
    run.logits()
    assert run.failed == "a prediction of a validation example is NaN or infinite"


def test_one_task_that_fails_is_enough() -> None:
    broken = TASKS.train.copy()
    broken[4, 1, 0] = np.nan
    run = Run(linear(0.1), Tasks(broken, TASKS.train_labels, TASKS.valid, TASKS.valid_labels), MEMORY)
    assert not run.train(0, 20)
    assert "training example 5" in str(run.failed)


def test_the_limit_of_instructions_counts_all_of_them() -> None:
    program = linear(0.1)
    needed = 1 + 20 * 4 + (20 + 12) * 1
    assert instructions(program, TASKS) == needed
    assert Run(program, TASKS, MEMORY, most_instructions=needed).train(0, 20)
    run = Run(program, TASKS, MEMORY, most_instructions=needed - 1)
    assert not run.train(0, 20)
    assert run.failed == "it needs 113 instructions a task, the limit is 112"


def test_the_time_limit_ends_a_run_with_a_reason() -> None:
    run = Run(linear(0.1), TASKS, MEMORY, seconds=0.0)
    assert not run.train(0, 20)
    assert run.timed_out
    assert run.failed == "the time limit ended it at training example 1"


def test_an_address_is_no_alias_of_another() -> None:
    """v1 = v0 + v2 keeps its value when v2 changes after."""
    program = parse("setup: v2=gauss(1.0); v1=add(v2,v3); v2=sub(v2,v2) | predict: s1=dot(v0,v1) | learn:")
    wanted = np.random.Generator(np.random.PCG64(7)).standard_normal(4)
    np.testing.assert_allclose(logits_of(program, TASKS, MEMORY, seed=7), TASKS.valid @ wanted)


def test_draws_depend_on_place_and_seed_only() -> None:
    program = parse("setup: v2=uniform(0.5) | predict: s1=dot(v0,v2) | learn:")
    shifted = parse("setup: s3=0.1; v2=uniform(0.5) | predict: s1=dot(v0,v2) | learn:")
    assert live(shifted).setup[0][0] == 1
    a, b, c = (logits_of(p, TASKS, Memory(4, 4, 0), seed=s) for p, s in ((program, 1), (program, 2), (shifted, 1)))
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(b, c)  # the second place of seed 1 is the first of seed 2
    np.testing.assert_array_equal(a, logits_of(program, TASKS, Memory(4, 4, 0), seed=1))

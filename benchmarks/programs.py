"""Does evolution find a linear classifier and how to train it, from empty programs? And how fast are programs run?

    python -m benchmarks.programs                                     five searches of 150,000 programs
    python -m benchmarks.programs --data cifar10 --features 16 --examples 200 200
    python -m benchmarks.programs --seeds 0 --programs 2000           a short look

A search is the controller `evolution_programs` in the space `program_linear` with `evaluator=program`, without a run
folder. Its 20 best programs are scored on the tasks of the selection and the best of these on those of the test. It
succeeds if that test accuracy is at most --margin below the mean of scikit-learn's logistic regressions, fitted to each
of the same tasks. `linear`: the program's logits are an affine function of the example. `error_driven`: its `learn`
reads the prediction, as gradient descent must and the difference of class means need not.

Speed: --timed programs, evenly spaced over those that the first search proposed, run by rlnas without the equivalence
cache and by a loop over tasks, examples and instructions in numpy; the linear program by both; one thread, CPU seconds.
`searched_per_second` is that of the first search, with the cache and the time of the controller.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from rlnas.cli import _compose
from rlnas.config.build import build_config
from rlnas.controllers.evolution import Evolution
from rlnas.data import ImageData, load_data
from rlnas.envs.scorer import Outcome
from rlnas.evaluators import ProgramEvaluator
from rlnas.programs import Instruction, Program, Tasks, listing, logits_of
from rlnas.programs.handmade import linear
from rlnas.programs.liveness import live
from rlnas.seeding import numpy_stream
from rlnas.spaces import ProgramSpace, make_space

BEST = 20  # programs scored on the tasks of the selection, as select.from_history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", choices=["digits", "cifar10"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--programs", type=int, default=150000, help="of a search")
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--examples", type=int, nargs=2, default=[160, 80], help="for training and for validation")
    parser.add_argument("--margin", type=float, default=0.02, help="below logistic regression that still is a success")
    parser.add_argument("--timed", type=int, default=300, help="programs in the measurement of speed")
    parser.add_argument("--out", type=Path, help="file for the JSON line")
    given = parser.parse_args()
    torch.set_num_threads(1)
    searches, proposed = [], []
    for seed in given.seeds:
        found, proposed = search(given, seed, proposed)
        searches.append(found)
        print(json.dumps(found), flush=True)
    result = {
        "data": given.data,
        "programs": given.programs,
        "success_rate": float(np.mean([one["success"] for one in searches])),
        "searches": searches,
        "speed": speed(given, proposed[:: max(1, len(proposed) // given.timed)], searches[0]),
    }
    line = json.dumps(result)
    if given.out:
        given.out.write_text(line + "\n", encoding="utf-8")
    print(line)


def made(given: argparse.Namespace, seed: int) -> tuple[ProgramSpace, ProgramEvaluator, Evolution, ImageData]:
    """The parts of a run of the experiment, with the options of the command line."""
    config = build_config(
        _compose(
            [
                "+experiment=program_digits",
                f"data={given.data}",
                f"seed={seed}",
                f"evaluator.features={given.features}",
                f"evaluator.train_examples={given.examples[0]}",
                f"evaluator.valid_examples={given.examples[1]}",
            ]
        )
    )
    space = make_space(config.space)
    assert isinstance(space, ProgramSpace)
    data = load_data(config.data, numpy_stream(seed, "split"), torch.device("cpu"))
    evaluator = ProgramEvaluator(config.evaluator, space.memory, data, seed=seed)
    controller = Evolution(space, numpy_stream(seed, "controller/evolution"), **config.controller.params)
    return space, evaluator, controller, data


def search(given: argparse.Namespace, seed: int, proposed: list[Program]) -> tuple[dict[str, Any], list[Program]]:
    """Search once; return what was found, and the programs that the first search proposed."""
    space, evaluator, controller, data = made(given, seed)
    keep = not proposed
    start, cpu = time.perf_counter(), time.process_time()
    best: dict[Program, float] = {}
    cached = failed = 0
    for _ in range(given.programs):
        (program,) = controller.ask(1)
        (score,) = evaluator.evaluate([program])
        controller.tell([Outcome(program, score, score.accuracy, score.accuracy)])
        cached += score.cached
        failed += score.failed is not None
        best.setdefault(program, score.accuracy)
        if keep:
            proposed.append(program)
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - start
    finalists = sorted(best, key=lambda one: -best[one])[:BEST]
    held_out = [score.accuracy for score in evaluator.evaluate_held_out(finalists)]
    found = finalists[int(np.argmax(held_out))]
    tests = evaluator._make("test", data.train.in_content_order(), data.test().in_content_order())
    _, about = evaluator.conclude(found, [])
    regression, by_hand = logistic_regression(tests), evaluator._score_on(linear(1.0), tests).accuracy
    affine, error_driven = is_affine(found, tests, space, evaluator), live(found).normalised
    return {
        "seed": seed,
        "success": about["test_accuracy"] >= regression - given.margin,
        "test_accuracy": round(about["test_accuracy"], 4),
        "logistic_regression": round(regression, 4),
        "linear_by_hand": round(by_hand, 4),
        "linear": affine,
        "error_driven": error_driven,
        "search_accuracy": round(best[found], 4),
        "cached": round(cached / given.programs, 3),
        "failed": round(failed / given.programs, 3),
        "cpu_seconds": round(cpu, 1),
        "seconds": round(seconds, 1),
        "program": space.text(found),
        "listing": listing(found),
    }, proposed


def logistic_regression(tasks: Tasks) -> float:
    """The mean accuracy of scikit-learn's logistic regressions, one a task."""
    scores = []
    for task in range(tasks.count):
        model = LogisticRegression().fit(tasks.train[:, task], tasks.train_labels[:, task, 0])
        scores.append(model.score(tasks.valid[task], tasks.valid_labels[task]))
    return float(np.mean(scores))


def is_affine(program: Program, tasks: Tasks, space: ProgramSpace, evaluator: ProgramEvaluator) -> bool:
    """Whether the logits of means of two examples are the means of their logits, on every task."""
    middle = (tasks.valid + np.roll(tasks.valid, 1, axis=1)) / 2
    both = Tasks(
        tasks.train, tasks.train_labels, np.concatenate([tasks.valid, middle], axis=1), np.tile(tasks.valid_labels, 2)
    )
    logits = logits_of(program, both, space.memory, seed=evaluator.program_seed)
    ends, found = np.split(logits, 2, axis=1)
    return bool(np.allclose(found, (ends + np.roll(ends, 1, axis=1)) / 2))


# -- speed -----------------------------------------------------------------------------------------------


def speed(given: argparse.Namespace, sampled: Sequence[Program], first: dict[str, Any]) -> dict[str, Any]:
    """Programs a CPU second of rlnas and of the plain loop."""
    space, evaluator, _, _ = made(given, given.seeds[0])
    tasks, seed = evaluator.tasks, evaluator.program_seed

    def rate(programs: Sequence[Program], run: Any) -> float:
        start = time.process_time()
        for program in programs:
            run(program)
        return len(programs) / (time.process_time() - start)

    by_hand = [linear(1.0)] * 10
    vectorised = rate(sampled, lambda program: logits_of(program, tasks, space.memory, seed=seed))
    searched = given.programs / first["cpu_seconds"]
    few = sampled[:: max(1, len(sampled) // 30)]
    plain_rate = rate(few, lambda program: plain(program, tasks, space, seed))
    linear_rate = rate(by_hand, lambda program: logits_of(program, tasks, space.memory, seed=seed))
    plain_linear = rate(by_hand[:2], lambda program: plain(program, tasks, space, seed))
    difference = np.abs(plain(by_hand[0], tasks, space, seed) - logits_of(by_hand[0], tasks, space.memory, seed=seed))
    return {
        "tasks": tasks.count,
        "proposed_per_second": round(vectorised, 1),
        "searched_per_second": round(searched, 1),
        "proposed_per_second_plain": round(plain_rate, 2),
        "ratio": round(vectorised / plain_rate, 1),
        "searched_ratio": round(searched / plain_rate, 1),
        "linear_per_second": round(linear_rate, 1),
        "linear_per_second_plain": round(plain_linear, 2),
        "linear_ratio": round(linear_rate / plain_linear, 1),
        "largest_difference": float(difference.max()),
    }


def plain(program: Program, tasks: Tasks, space: ProgramSpace, seed: int) -> np.ndarray:
    """The logits of all validation examples: a loop over tasks, examples and instructions on numpy arrays."""
    with np.errstate(all="ignore"):
        return np.array([_plain_task(program, tasks, task, space, seed) for task in range(tasks.count)])


def _plain_task(program: Program, tasks: Tasks, task: int, space: ProgramSpace, seed: int) -> list[float]:
    features, counts = tasks.features, space.memory
    memory: dict[tuple[str, int], Any] = {("s", place): np.zeros(1) for place in range(counts.scalars)}
    memory |= {("v", place): np.zeros(features) for place in range(counts.vectors)}
    memory |= {("m", place): np.zeros((features, features)) for place in range(counts.matrices)}

    def execute(code: Sequence[Instruction], memory: dict[tuple[str, int], Any]) -> None:
        for place, one in enumerate(code):
            rule = one.rule
            if rule.compute is not None:
                operands = [memory[key] for key in zip(rule.inputs, one.inputs, strict=True)]
                memory[one.writes] = rule.compute(*operands, **({"features": features} if rule.sized else {}))
            elif rule.random:
                rng = np.random.Generator(np.random.PCG64(seed + place))
                shape = (features,) if rule.output == "v" else (features, features)
                drawn = rng.standard_normal(shape) if rule.word == "gauss" else rng.uniform(-1.0, 1.0, shape)
                memory[one.writes] = one.constant * drawn
            else:
                memory[one.writes] = np.full(1, one.constant)

    execute(program.setup, memory)
    for example, label in zip(tasks.train[:, task], tasks.train_labels[:, task], strict=True):
        memory["v", 0], memory["s", 0] = example, np.zeros(1)
        execute(program.predict, memory)
        memory["s", 1] = 1 / (1 + np.exp(-memory["s", 1]))
        memory["s", 0] = label
        execute(program.learn, memory)
    found = []
    for example in tasks.valid[task]:
        copy = dict(memory)
        copy["v", 0], copy["s", 0] = example, np.zeros(1)
        execute(program.predict, copy)
        found.append(float(copy["s", 1][0]))
    return found


if __name__ == "__main__":
    main()

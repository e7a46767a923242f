"""Runs programs on projected binary classification tasks (Real et al. 2020, "AutoML-Zero", sections 3.1 and 4.1)."""

import hashlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rlnas.config.schema import ProgramEvaluatorConfig
from rlnas.data import ImageData, Images
from rlnas.evaluators.base import HeldOutEvaluator, Score
from rlnas.programs import Memory, Program, Run, Tasks, make_tasks
from rlnas.programs.liveness import live
from rlnas.programs.operations import Array
from rlnas.programs.tasks import Pair, split_pairs
from rlnas.seeding import numpy_stream, stream_seed
from rlnas.spaces import Architecture

MOST_KNOWN = 100_000  # cached results, as in the paper (section 3.2); the oldest go first


class Result(NamedTuple):
    """The mean accuracy of a program over the tasks, in 0..1; 0 if it failed, and why it did."""

    accuracy: float
    failed: str | None


class ProgramEvaluator(HeldOutEvaluator):
    """Accuracy of a program on validation examples after training, mean over tasks.

    A task: two classes of the data, projected to a few features by a Gaussian matrix. The pairs of classes are split
    into those of the search, of the selection and of the test, see `split_pairs`. Tasks of the search divide images of
    the training split; those of the selection train on it and validate on the validation split; those of the test
    validate on the test split, which `conclude` reads once.

    A program fails, with accuracy 0, if a prediction is NaN or infinite in any task, or if it executes more than
    `max_instructions` on a task. The time limit protects against a hanging machine; a score it ended is not cached.

    Equivalent programs are run once: those whose instructions differ only where they cannot change a prediction, and
    those with equal predictions, bit for bit, of the first `equivalence_examples` training examples and, after these,
    of as many validation examples of every task (functional equivalence, section 3.2). Programs that differ later only
    get the score of the first of them; `equivalence: false` runs every program.
    """

    default_scale = "none"
    checkpoint_seconds = 5.0  # a round takes a fraction of a second, and a checkpoint holds all cached results

    def __init__(self, config: ProgramEvaluatorConfig, memory: Memory, data: ImageData, *, seed: int):
        self.config = config
        self.memory = memory
        self.data = data
        self.seed = seed
        self.program_seed = stream_seed(seed, "programs")
        rng = numpy_stream(seed, "tasks/pairs")
        self.pairs = dict(zip(("search", "selection", "test"), split_pairs(len(data.classes), rng), strict=True))
        train, valid = data.train.in_content_order(), data.valid.in_content_order()
        self.tasks = self._make("search", train, None)
        self.selection_tasks = self._make("selection", train, valid)
        self._known: dict[bytes, Result] = {}

    def _make(self, role: str, train: Images, held: Images | None) -> Tasks:
        config = self.config
        return make_tasks(
            *_values(train),
            self.pairs[role],
            count=config.tasks if role == "search" else config.held_out_tasks,
            features=config.features,
            examples=(config.train_examples, config.valid_examples),
            rng=numpy_stream(self.seed, f"tasks/{role}"),
            valid=None if held is None else _values(held),
        )

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return the scores in order; equivalent programs are run once."""
        return [self._score(program) for program in architectures]

    def _score(self, program: Program) -> Score:
        start = time.perf_counter()
        result, cached = self._result(program) if self.config.equivalence else (self._whole(program)[0], False)
        return Score({"accuracy": result.accuracy}, time.perf_counter() - start, cached, failed=result.failed)

    def _result(self, program: Program) -> tuple[Result, bool]:
        """Return the result of a program and whether it was known."""
        structure = _digest(repr(live(program)[:3]).encode())
        if structure in self._known:
            return self._known[structure], True
        run, first = self._run(program, self.tasks), self._first
        keys, cached, result = [structure], False, None
        if run.train(0, first):
            predictions = run.logits(self.tasks.valid[:, : self.config.equivalence_examples])
            behaviour = _digest(b"".join(np.ascontiguousarray(part).tobytes() for part in (*run.recent, predictions)))
            keys.append(behaviour)
            result = self._known.get(behaviour) if run.failed is None else None
            cached = result is not None
        if result is None:
            result = self._finish(run, self.tasks, first)
        if not run.timed_out:
            self._remember(keys, result)
        return result, cached

    @property
    def _first(self) -> int:
        return min(self.config.equivalence_examples, len(self.tasks.train))

    def _run(self, program: Program, tasks: Tasks) -> Run:
        config = self.config
        return Run(
            program,
            tasks,
            self.memory,
            seed=self.program_seed,
            most_instructions=config.max_instructions,
            seconds=config.max_seconds,
            keep=self._first,
        )

    def _finish(self, run: Run, tasks: Tasks, trained: int) -> Result:
        """Train on the examples after the first `trained`, and validate."""
        if run.failed is None and run.train(trained, len(tasks.train)):
            accuracies = tasks.accuracies(run.logits())
            if run.failed is None:
                return Result(float(accuracies.mean()), None)
        return Result(0.0, run.failed)

    def _whole(self, program: Program, tasks: Tasks | None = None) -> tuple[Result, Run]:
        tasks = self.tasks if tasks is None else tasks
        run = self._run(program, tasks)
        return self._finish(run, tasks, 0), run

    def _remember(self, keys: Sequence[bytes], result: Result) -> None:
        for key in keys:
            self._known.setdefault(key, result)
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def evaluate_held_out(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return in order each score on the tasks of the selection."""
        return [self._score_on(program, self.selection_tasks) for program in architectures]

    def _score_on(self, program: Program, tasks: Tasks) -> Score:
        start = time.perf_counter()
        result, _ = self._whole(program, tasks)
        return Score({"accuracy": result.accuracy}, time.perf_counter() - start, failed=result.failed)

    def conclude(self, found: Architecture, scored: Sequence[Architecture]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Test the found program once, on tasks of the test split; return what the tasks were, and its accuracy."""
        tests = self._make("test", self.data.train.in_content_order(), self.data.test().in_content_order())
        classes = self.data.classes
        groups = {"search": self.tasks, "selection": self.selection_tasks, "test": tests}
        about = {name: _describe(tasks, classes) for name, tasks in groups.items()}
        result, _ = self._whole(found, tests)
        return {"tasks": about}, {"test_accuracy": result.accuracy}

    def state(self) -> dict[str, Any]:
        """Return the cached results."""
        return {"known": [(key.hex(), *result) for key, result in self._known.items()]}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self._known = {bytes.fromhex(key): Result(accuracy, failed) for key, accuracy, failed in state["known"]}


def _values(images: Images) -> tuple[Array, Any]:
    """Return the pixels, (k, d) in 0..1, and the labels, (k,)."""
    return images.pixels.cpu().flatten(1).numpy() / 255.0, images.labels.cpu().numpy()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _describe(tasks: Tasks, classes: Sequence[str]) -> dict[str, Any]:
    """Return the size of the tasks and their pairs of classes."""

    def name(pair: Pair) -> str:
        return f"{classes[pair[0]]} / {classes[pair[1]]}"

    return {
        "tasks": tasks.count,
        "features": tasks.features,
        "train_examples": len(tasks.train),
        "valid_examples": tasks.valid.shape[1],
        "pairs": [name(pair) for pair in tasks.pairs],
    }

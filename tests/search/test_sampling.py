"""Which architectures the shared weights are trained on: search.sampling and search.warmup_sampling."""

from pathlib import Path

import pytest

from rlnas.runs.tables import read_rows
from rlnas.search.rounds import Rounds
from rlnas.seeding import numpy_stream, set_global_rng_state
from rlnas.spaces import NasrlSpace
from rlnas.spaces.fair import fair_samples
from tests.command import TINY, history, rlnas
from tests.search.loop import Computed, search
from tests.stack import STACK

SPACE = NasrlSpace(4, ("conv1x1", "conv3x3", "max_pool3x3"))


def trained(tmp_path: Path, space=SPACE, **options) -> list[list]:
    """What each training of a search by random search got: two warm-up epochs, two rounds."""
    evaluator = Computed(lambda architecture: 0.5)
    search(tmp_path, space, evaluator, options={"warmup_epochs": 2, **options})
    assert len(evaluator.trained) == 4
    assert all(len(batch) == 12 for batch in evaluator.trained)
    return evaluator.trained


def balanced(batch: list) -> bool:
    """Whether twelve architectures hold each operator of each layer four times and each skip six times."""
    actions = [SPACE.actions(architecture) for architecture in batch]
    operators = all(sorted(rows[layer, 0] for rows in actions) == [0] * 4 + [1] * 4 + [2] * 4 for layer in range(4))
    skips = [(2, 1), (3, 1), (3, 2)]
    return operators and all(sum(rows[place] for rows in actions) == 6 for place in skips)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [False] * 4),
        ({"sampling": "fair"}, [False, False, True, True]),
        ({"warmup_sampling": "fair"}, [True, True, False, False]),
        ({"sampling": "uniform"}, [False] * 4),
    ],
)
def test_fair_trainings_are_balanced_and_others_are_not(options, expected, tmp_path):
    assert [balanced(batch) for batch in trained(tmp_path, **options)] == expected


def test_by_default_rounds_train_on_the_controllers_samples_and_the_warmup_on_uniform_ones(tmp_path):
    default, uniform, fair = (trained(tmp_path, sampling=how) for how in ("controller", "uniform", "fair"))
    for epoch in range(2):
        rng = numpy_stream(0, f"warmup/{epoch}")
        assert default[epoch] == uniform[epoch] == fair[epoch] == [SPACE.sample(rng) for _ in range(12)]
    for number in (1, 2):
        rng = numpy_stream(0, f"training/{number}")
        assert uniform[1 + number] == [SPACE.sample(rng) for _ in range(12)]
        assert fair[1 + number] == fair_samples(SPACE, numpy_stream(0, f"training/{number}"), 12)
        assert default[1 + number] not in (uniform[1 + number], fair[1 + number])


def test_a_dependent_space_trains_on_legal_samples(tmp_path):
    for batch in trained(tmp_path, STACK, sampling="fair", warmup_sampling="fair"):
        assert all(STACK.check(architecture) == architecture for architecture in batch)


@pytest.mark.parametrize("sampling", ["controller", "fair"])
def test_statistics_of_a_round_are_the_controllers(sampling, tmp_path):
    """The samples that it trained on, where those are its own; else the ones that it had scored."""
    evaluator = Computed(lambda architecture: 0.5, steps=40)
    rounds = search(tmp_path, SPACE, evaluator, options={"sampling": sampling})
    drawn = evaluator.trained[-1] if sampling == "controller" else rounds.recorder.scored[-10:]
    rates = [SPACE.features(architecture)["skip_rate"] for architecture in drawn]
    assert float(read_rows(tmp_path / "rounds.csv")[-1]["skip_rate"]) == pytest.approx(sum(rates) / len(rates))


@pytest.mark.parametrize("done", [1, 3])
def test_sampling_resumes_exactly(done, tmp_path):
    """After the first warm-up epoch, and after the first round."""
    options = {"warmup_epochs": 2, "sampling": "fair", "warmup_sampling": "fair"}
    whole, resumed = (Computed(lambda architecture: sum(architecture) / 20) for _ in range(2))
    through = search(tmp_path, SPACE, whole, options=options)
    saved = through.checkpoints[done - 1]
    set_global_rng_state(saved["rng"])
    again = search(tmp_path, SPACE, resumed, options=options, saved=saved)
    assert resumed.trained == whole.trained[done:]
    assert again.recorder.scored == through.recorder.scored


@pytest.mark.slow
def test_fair_averaged_training_is_resumed_exactly(tmp_path, monkeypatch):
    """From a checkpoint between two rounds, with several architectures a step."""
    options = ["search.sampling=fair", "search.warmup_sampling=fair", "child.average_epochs=0.7"]
    options += ["child.architectures_per_step=3", "retrain.epochs=0", "hydra.run.dir=run"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for cwd in (whole, stopped):
        cwd.mkdir()
    assert rlnas(*TINY, *options, cwd=whole).returncode == 0
    close = Rounds._close_round

    def fail(self: Rounds) -> None:
        if self.round == 2:
            raise KeyboardInterrupt
        close(self)

    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "_close_round", fail)
        assert rlnas(*TINY, *options, cwd=stopped).returncode != 0
    done = rlnas("resume=run", cwd=stopped)
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    assert history(stopped / "run") == history(whole / "run")

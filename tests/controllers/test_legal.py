"""Every controller on every space: it searches, finds a best one and goes on exactly, or one line says why not."""

import re
import zlib

import pytest

from benchmarks import legal
from rlnas.config.schema import ObjectiveConfig
from rlnas.controllers import ALGORITHMS, GRADIENTS, STRATEGIES, Problem, load_algorithm, make_controller
from rlnas.controllers.legal import refusal
from rlnas.envs.scorer import Scorer
from rlnas.objective import Objective
from rlnas.seeding import global_rng_state, set_global_rng_state
from tests.conftest import Matching
from tests.turns import run, scorer_of

CONTROLLERS = legal.controllers()
SPACES = legal.spaces()
# one space a controller first, in turn: these are the default run
DIAGONAL = [(name, list(SPACES)[number % len(SPACES)]) for number, name in enumerate(CONTROLLERS)]
PAIRS = list(dict.fromkeys([*DIAGONAL, *((name, space) for name in CONTROLLERS for space in SPACES)]))
BATCH = 4


class Computed(Matching):
    """The accuracy is a number of the architecture's text."""

    def __init__(self, space):
        super().__init__(None)
        self.space = space

    def _likeness(self, architecture):
        return zlib.crc32(self.space.text(architecture).encode()) / 2**32


def test_the_page_has_the_table_of_now():
    assert legal.PAGE.read_text(encoding="utf-8") == legal.written()


def test_every_algorithm_and_space_is_in_the_table():
    assert {config.algorithm for config in CONTROLLERS.values()} == {*ALGORITHMS, *STRATEGIES, *GRADIENTS}
    assert {*legal.SPACE_CONFIGS} - {"nas_bench_macro"} < set(SPACES)


@pytest.mark.variants(len(DIAGONAL))
@pytest.mark.parametrize(("name", "space"), PAIRS)
def test_a_controller_searches_a_space_and_goes_on_exactly_or_one_line_says_why_not(name, space, through_disk):
    config, searched = CONTROLLERS[name], SPACES[space]
    why = refusal(config, searched)
    if why is not None:
        assert re.fullmatch(r"[^\n]{20,300}", why)
        return
    if hasattr(load_algorithm(config.algorithm), "train_weights"):
        return  # tests/controllers/test_darts.py searches with the shared weights it needs
    config = legal.controller(name)
    config.episodes = BATCH
    config.params = {key: value for key, value in config.params.items() if key not in ("batch_size", "learning_starts")}

    def make():
        scorer = Scorer(Computed(searched), Objective(ObjectiveConfig(), searched))
        return make_controller(config, Problem(searched, scorer, 3))

    through, resumed = make(), make()
    scored, states = scorer_of(through).evaluator, []

    def capture(number):
        if not states and len(scored.seen) >= BATCH:
            states.append(through_disk({"state": through.state(), "rng": global_rng_state(), "done": len(scored.seen)}))

    searches = run(through, 2 * BATCH, capture)
    (saved,) = states
    resumed.restore(saved["state"])
    set_global_rng_state(saved["rng"])
    rest = run(resumed, 2 * BATCH, already=saved["done"])
    assert rest == searches[saved["done"] :]
    best = max(searches, key=scored._likeness)
    assert searched.parse(searched.text(best)) == best
    assert len(resumed.sample(3)) == 3

"""Do policies learn faster when illegal choices are masked? The same searches with and without, on the same rewards.

    python -m benchmarks.masks                                       # about an hour on one core
    python -m benchmarks.masks --controllers ppo a2c --seeds 20      # some of it

Tables with columns of unequal width, and the chain space nasrl, where half of all skip bits are illegal at a step. In
the chain an architecture's reward is the sum of a random gain for each of its decisions, so the optimum is known.
Printed: regret of the best architecture found (1 = mean architecture, 0 = optimum), mean and standard error over seeds;
the difference with its 95 % interval (Welch). Seeds are independent: no landscape of the chain is used twice.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from scipy import stats

from benchmarks.bare import Floats, ListScorer, bare_search, play
from benchmarks.machine import describe
from benchmarks.sweep import controller_config, typed
from benchmarks.synthetic import synthetic_space
from rlnas.evaluators import Evaluator, Score
from rlnas.seeding import numpy_stream
from rlnas.spaces import IndependentSpace, NasrlSpace

CHECKPOINTS = (50, 100, 200, 300)  # architectures
CONTROLLERS = ("ppo", "ppo_shared", "a2c", "trpo", "recurrent_ppo", "dqn", "qrdqn")
NOISE = 0.1  # of a reward of the chain, in standard deviations of all architectures


class Gains(Evaluator):
    """Rewards of a chain: the sum of a gain for each decision, standardised over the space, plus noise."""

    def __init__(self, space: IndependentSpace, seed: int):
        rng = numpy_stream(seed, "gains")
        self.gains = [rng.normal(size=count) for count in space.choices]
        spread = np.sqrt(sum(gain.var() for gain in self.gains))
        self.gains = [(gain - gain.mean()) / spread for gain in self.gains]
        self.optimum = sum(float(gain.max()) for gain in self.gains)
        self.noise = numpy_stream(seed, "noise")

    def evaluate(self, architectures: list[tuple[int, ...]]) -> list[Score]:
        """Return noisy values; `true` is the value without noise."""
        scores = []
        for architecture in architectures:
            value = sum(float(gain[choice]) for gain, choice in zip(self.gains, architecture, strict=True))
            scores.append(Score({"accuracy": value + NOISE * float(self.noise.normal())}, true=value))
        return scores


def best_regrets(space_name: str, controller: str, masked: bool, seed: int) -> list[float]:
    """Return the regret of the best observed architecture at each checkpoint, in units of optimum minus mean."""
    torch.set_num_threads(1)
    config = typed({**controller_config(controller), "masked": masked})
    if space_name == "chain":
        space = NasrlSpace(6, ("conv3x3", "conv5x5", "sep_conv3x3", "sep_conv5x5", "avg_pool3x3", "max_pool3x3"))
        gains = Gains(space, seed)
        scorer = ListScorer(space, gains, CHECKPOINTS[-1], scale="mean_rank")
        play(scorer, config, architectures=CHECKPOINTS[-1], seed=seed)
        observed, true, optimum, mean = np.array(scorer.observed), np.array(scorer.true), gains.optimum, 0.0
    else:
        table = synthetic_space(space_name)
        observed, true = bare_search(table, config, architectures=CHECKPOINTS[-1], seed=seed)
        optimum, mean = table.benchmark.optimum, float(table.benchmark.score.mean())
    return [(optimum - float(true[observed[:place].argmax()])) / (optimum - mean) for place in CHECKPOINTS]


def compare(masked: Floats, free: Floats) -> str:
    """Return the difference masked - not masked of the means of (seeds,), with its 95 % interval."""
    test = stats.ttest_ind(masked, free, equal_var=False)
    interval = test.confidence_interval(0.95)
    return f"{masked.mean() - free.mean():+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controllers", nargs="+", choices=CONTROLLERS, default=list(CONTROLLERS))
    parser.add_argument(
        "--spaces", nargs="+", default=["unequal", "chain"], help="tables of benchmarks.synthetic, chain"
    )
    parser.add_argument("--seeds", type=int, default=40, help=">= 2")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for name in options.spaces:
            print(f"{name}: regret after {CHECKPOINTS} architectures, n = {options.seeds}")
            for controller in options.controllers:
                found = {}
                for masked in (True, False):
                    jobs = [pool.submit(best_regrets, name, controller, masked, seed) for seed in seeds]
                    found[masked] = np.array([job.result() for job in jobs])  # (seeds, checkpoints)
                    means, errors = found[masked].mean(0), found[masked].std(0, ddof=1) / np.sqrt(options.seeds)
                    cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in zip(means, errors, strict=True)]
                    print(f"{controller:14} {'masked' if masked else 'free':11}", *(f"{cell:>24}" for cell in cells))
                cells = [compare(*pair) for pair in zip(found[True].T, found[False].T, strict=True)]
                print(f"{'':14} {'difference':11}", *(f"{cell:>24}" for cell in cells), flush=True)
    print(describe())


if __name__ == "__main__":
    main()

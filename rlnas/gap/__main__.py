"""`python -m rlnas.gap FOLDER`: how well the shared weights of a run rank architectures."""

import argparse
import logging
import sys
from collections.abc import Sequence

from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.process.screen import occupy_standard_descriptors, safe_streams


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show and report the gap; the exit status: 1 with one line on stderr on RlnasError, 130 on Ctrl-C."""
    given = _parser().parse_args(arguments)
    occupy_standard_descriptors()
    with safe_streams():
        logging.raiseExceptions = False
        try:
            _measure(given)
        except RlnasError as error:
            print(f"rlnas: error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nrlnas: stopped; the same command continues with the trainings that have finished", file=sys.stderr)
            return 130
        except OSError as error:
            print(f"rlnas: error: {error.filename or given.folder}: {error.strerror or error}", file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rlnas.gap",
        description="How well do the shared weights of a run rank architectures? Compare their scores with a table, or "
        "with networks trained alone. Writes gap/ in the run's folder and its report.html again.",
    )
    parser.add_argument("folder", help="the run's folder, such as outputs/nasrl_cifar/2026-01-31_12-00-00")
    parser.add_argument("--uniform", type=int, default=30, help="architectures drawn uniformly (default: 30)")
    parser.add_argument("--policy", type=int, default=30, help="architectures of the final policy (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the uniform draw and of the bootstrap (default: 0)")
    parser.add_argument(
        "--no-limits", dest="limits", action="store_false", help="draw architectures beyond objective.limits too"
    )
    parser.add_argument("--epochs", type=float, default=3, help="of each training alone (default: 3)")
    parser.add_argument(
        "--recipe", default="child", help="options of each training: the run's group child or retrain (default: child)"
    )
    parser.add_argument("--minutes", type=float, help="stop training after so many minutes (default: no limit)")
    parser.add_argument("--data-path", help="where the run's images are now, if they moved")
    parser.add_argument("--space-path", help="where the run's table is now, if it moved")
    return parser


def _measure(given: argparse.Namespace) -> None:
    from rlnas.gap.measure import Options, check_writable, measure  # torch is slow to import
    from rlnas.gap.restore import restore_searched
    from rlnas.gap.show import show
    from rlnas.gap.trainings import Budget
    from rlnas.process.home import caches_elsewhere
    from rlnas.runs.claim import locked

    budget = Budget(given.recipe, given.epochs, given.minutes)
    options = Options(given.uniform, given.policy, given.seed, given.limits, budget)
    folder = expand(given.folder)
    with caches_elsewhere():
        run = restore_searched(folder, data_path=given.data_path, space_path=given.space_path)
        check_writable(folder)
        with locked(folder):
            result = measure(run, options, lambda line: print(line, flush=True))
    show(result)
    print(f"gap: {folder / 'gap' / 'gap.json'}")
    if result["run"]["finished"]:
        from rlnas.report import write_report  # matplotlib is slow to import

        print(f"report: {write_report(folder)}")
    else:
        print("the run has not ended: its report is written when it does")


if __name__ == "__main__":
    sys.exit(main())

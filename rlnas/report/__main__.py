"""`python -m rlnas.report FOLDER`: write the report of a run again."""

import argparse
import sys
from pathlib import Path

from rlnas.errors import RlnasError
from rlnas.report.write import write_report


def main(arguments: list[str] | None = None) -> int:
    """Write the report and print its path; the exit status, 1 with one line on stderr on RlnasError."""
    parser = argparse.ArgumentParser(
        prog="python -m rlnas.report", description="Write report.html and figures/ of a finished run."
    )
    parser.add_argument("folder", type=Path, help="the run's folder, such as outputs/nasrl_cifar")
    try:
        print(write_report(parser.parse_args(arguments).folder))
    except RlnasError as error:
        print(f"rlnas: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

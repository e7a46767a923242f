"""`python -m rlnas.report FOLDER`: write the report of a run again."""

import argparse
import sys

from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.process.screen import occupy_standard_descriptors, safe_streams
from rlnas.report.write import write_report


def main(arguments: list[str] | None = None) -> int:
    """Write the report and print its path; the exit status, 1 with one line on stderr on RlnasError."""
    parser = argparse.ArgumentParser(
        prog="python -m rlnas.report", description="Write report.html and figures/ of a finished run."
    )
    parser.add_argument("folder", help="the run's folder, such as outputs/nasrl_cifar")
    occupy_standard_descriptors()
    given = parser.parse_args(arguments)
    with safe_streams():
        try:
            print(write_report(expand(given.folder)))
        except RlnasError as error:
            print(f"rlnas: error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

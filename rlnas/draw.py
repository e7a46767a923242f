"""`python -m rlnas.draw space=... --out FOLDER`: an architecture of a space as SVG files, without any training."""

import argparse
import sys
from collections.abc import Sequence

from rlnas.errors import RlnasError
from rlnas.files import expand, write_text
from rlnas.process.screen import occupy_standard_descriptors, safe_streams


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw one architecture; the exit status, 1 with one line on stderr on RlnasError."""
    given = _parser().parse_args(arguments)
    occupy_standard_descriptors()
    with safe_streams():
        try:
            _draw(given)
        except RlnasError as error:
            print(f"rlnas: error: {error}", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"rlnas: error: {error.filename or given.out}: {error.strerror or error}", file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rlnas.draw",
        description="Draw an architecture: the whole network (network.svg) and the parts that its space names "
        "(part_1.svg, ...). By default a random one of seed=0.",
        epilog="python -m rlnas.draw space=nasrl space.layers=8 seed=3 --out drawings",
    )
    parser.add_argument("override", nargs="*", help="as on the command line of rlnas: space=..., seed=..., ...")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--architecture", help="its text, as in history.csv")
    which.add_argument("--reference", help="the name of a hand-made reference of the space")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images (default: 32)")
    parser.add_argument("--channels", type=int, default=3, help="of the images (default: 3)")
    parser.add_argument("--classes", type=int, default=10, help="(default: 10)")
    parser.add_argument("--out", default="drawing", help="the folder to write into (default: drawing)")
    return parser


def _draw(given: argparse.Namespace) -> None:
    from rlnas.cli import _compose
    from rlnas.config.build import build_space_config
    from rlnas.report.run.diagram import draw_diagram
    from rlnas.report.run.drawing import draw_architecture, rows
    from rlnas.seeding import numpy_stream
    from rlnas.spaces import make_space

    for name in ("size", "channels", "classes"):
        if getattr(given, name) < 1:
            raise RlnasError(f"--{name} is {getattr(given, name)}, expected a number of at least 1")
    composed = _compose(given.override)
    seed = composed.seed
    if not isinstance(seed, int) or seed < 0:
        raise RlnasError(f"seed is {seed}, expected a number of at least 0")
    space = make_space(build_space_config(composed.space))
    if given.architecture is not None:
        architecture = space.parse(given.architecture)
    elif given.reference is not None:
        known = space.references()
        if given.reference not in known:
            names = ", ".join(known) or "none"
            raise RlnasError(f"--reference is {given.reference}; the references of space={space.name} are: {names}")
        architecture = known[given.reference]
    else:
        architecture = space.sample(numpy_stream(seed, "draw"))
    print(space.text(architecture))
    drawings = {f"part_{number}": draw_diagram(part) for number, part in enumerate(space.diagrams(architecture), 1)}
    if space.builds_networks:
        graph = space.standalone.graph(
            architecture, image_channels=given.channels, image_size=given.size, classes=given.classes
        )
        drawings["network"] = draw_architecture(rows(graph))
    if not drawings:
        raise RlnasError(f"space={space.name} has nothing to draw: it names no parts and builds no networks")
    out = expand(given.out)
    out.mkdir(parents=True, exist_ok=True)
    for name, svg in drawings.items():
        write_text(out / f"{name}.svg", svg)
        print(out / f"{name}.svg")


if __name__ == "__main__":
    sys.exit(main())

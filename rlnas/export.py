"""`python -m rlnas.export RUN --format onnx`: the found network as one file for use without rlnas."""

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rlnas.children.deploy import FORMATS, INPUT_NAME, OUTPUT_NAME, example, export, needed
from rlnas.children.export import ARCHITECTURE, load_child, network_folder
from rlnas.children.network import Child
from rlnas.config.build import build_config
from rlnas.data import load_data
from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.process.home import caches_elsewhere
from rlnas.process.screen import occupy_standard_descriptors, safe_streams
from rlnas.runs.environment import read_environment
from rlnas.seeding import numpy_stream

CHECKED = 500  # images at most on which the file is compared with the network
MOST = 1e-4  # largest difference of a probability that is accepted


def main(arguments: Sequence[str] | None = None) -> int:
    """Export, check and say how to use it; the exit status: 1 with one line on stderr on RlnasError."""
    given = _parser().parse_args(arguments)
    occupy_standard_descriptors()
    with safe_streams():
        try:
            _export(given)
        except RlnasError as error:
            print(f"rlnas: error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nrlnas: stopped", file=sys.stderr)
            return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rlnas.export",
        description="Write the network that a run found as one file that takes uint8 images (b, c, h, w) and returns "
        "class probabilities (b, k), and check it against the network.",
    )
    parser.add_argument("run", help="a run folder, or its best/")
    parser.add_argument("--format", default="onnx", choices=FORMATS, help="of the file (default: onnx)")
    parser.add_argument("--out", metavar="FILE", help="where to write it (default: in best/)")
    parser.add_argument("--data-path", help="where the run's images are now, if they moved")
    return parser


def _export(given: argparse.Namespace) -> None:
    for package in needed(given.format):
        _check_package(package)
    folder = network_folder(given.run)
    child = load_child(folder)
    child.dtype = torch.float32  # as it is exported; networks of earlier versions may be recorded as bfloat16
    record = json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8"))
    default = folder / f"model{FORMATS[given.format]}"
    if given.format == "safetensors":
        default = folder / "network.safetensors"  # model.safetensors is what the run wrote
    file = expand(given.out) if given.out else default
    images, what = _images(folder, child, given.data_path)
    fresh = file.with_name(f".unchecked-{file.name}")  # an earlier good file stays until this one is checked
    try:
        export(child, given.format, fresh, record)
        answer = READERS[given.format](fresh, child)
        difference = float((answer(images) - child.predict(images)).abs().max())
        _check(file, difference)
        fresh.replace(file)
    except OSError as error:
        raise RlnasError(
            f"{file} cannot be written: {error.strerror or error}; choose another place by --out"
        ) from None
    except RlnasError:
        raise
    except Exception as error:  # torch's exporters and the runtimes raise any type
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RlnasError(f"--format {given.format} failed: {reason}; another format may do") from error
    finally:
        fresh.unlink(missing_ok=True)
    print(f"written: {file} ({file.stat().st_size / 1e6:.2f} MB)")
    print(f"largest difference of a probability on {len(images)} {what}: {difference:.2g}")
    print(USES[given.format].format(file=file))


def _check(file: Path, difference: float) -> None:
    """Raise RlnasError unless the probabilities agree; NaN does not."""
    if not difference <= MOST:
        raise RlnasError(
            f"{file} would differ from the network by {difference:.2g}, expected at most {MOST:g}, and was not "
            "written; another version of torch or of the format's package may export it rightly"
        )


def _check_package(package: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise RlnasError(f"--format onnx needs the package {package}: pip install -c constraints.txt -e '.[onnx]'")


def _images(folder: Path, child: Child, data_path: str | None) -> tuple[Tensor, str]:
    """Return validation images of the run, or random ones where its images cannot be read, and what they are.

    The test split stays closed: only the run's own final evaluation opens it.
    """
    environment = read_environment(folder.parent)
    if environment is None:
        return example(child, CHECKED), "random images (best/ is not in its run folder)"
    try:
        config = build_config(environment["config"])
        data = config.data if data_path is None else replace(config.data, path=data_path)
        with caches_elsewhere(), warnings.catch_warnings():
            loaded = load_data(data, numpy_stream(config.seed, "split"), torch.device("cpu"))
        pixels = loaded.valid.pixels[:CHECKED]
    except RlnasError as error:
        print(f"rlnas: warning: the run's images cannot be read ({error}); --data-path says where they are now")
        return example(child, CHECKED), "random images"
    if pixels.shape[1:] != example(child, 1).shape[1:]:
        return example(child, CHECKED), "random images (the run's images have another shape now)"
    return pixels, f"validation images of {loaded.name}"


def _onnx(file: Path, child: Child) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def answer(images: Tensor) -> Tensor:
        found = session.run([OUTPUT_NAME], {INPUT_NAME: images.numpy()})[0]
        return torch.from_numpy(np.asarray(found))

    return answer


def _torchexport(file: Path, child: Child) -> Callable[[Tensor], Tensor]:
    module = torch.export.load(file).module()

    def answer(images: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = module(images)
        return found

    return answer


def _safetensors(file: Path, child: Child) -> Callable[[Tensor], Tensor]:
    """Read the weights of the file into a copy of the network, whose own are set to zero before."""
    import copy

    from safetensors.torch import load_file

    copied = copy.deepcopy(child)
    with torch.no_grad():
        for value in copied.weights.state_dict().values():
            value.zero_()
    copied.weights.load_state_dict(load_file(file), strict=True)
    return copied.predict


READERS = {"onnx": _onnx, "torchexport": _torchexport, "safetensors": _safetensors}
USES = {
    "onnx": "use it: onnxruntime.InferenceSession('{file}').run(None, {{'images': uint8 array (b, c, h, w)}})",
    "torchexport": "use it: torch.export.load('{file}').module()(uint8 images (b, c, h, w))",
    "safetensors": "use it: safetensors.safe_open('{file}', 'pt'); its metadata 'rlnas' is the architecture as JSON",
}


if __name__ == "__main__":
    sys.exit(main())

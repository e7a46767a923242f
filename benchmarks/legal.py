"""Which controller searches which space: writes the table of docs/controllers/index.md.

python -m benchmarks.legal           # write it
python -m benchmarks.legal --print   # print it
"""

import argparse
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rlnas.cli import CONF
from rlnas.config.build import build_config, build_space_config
from rlnas.config.schema import ControllerConfig
from rlnas.config.spaces import SPACE_CONFIGS
from rlnas.controllers.legal import refusal
from rlnas.spaces import Space, TableSpace, make_space
from rlnas.tabular import Benchmark

PAGE = Path(__file__).resolve().parents[1] / "docs" / "controllers" / "index.md"
BEGIN, END = "<!-- written by python -m benchmarks.legal -->\n", "<!-- end of it -->\n"
WITHOUT_CLASS = ("yours", "sb3")  # name no algorithm until the user does
FILES = ("table", "nas_bench_macro")  # spaces of a file: one small table stands for both
SMALL: dict[str, dict[str, Any]] = {  # options that make a space small; a family without them is small
    "nasrl": {"layers": 4, "filters": 4, "reductions": 1},
    "nasrl_factored": {"layers": 3, "filters": [3, 4]},
    "nasnet": {"nodes": 2, "filters": 2, "summarisations": ["sum"]},
    "darts": {"nodes": 2, "filters": 2},
    "genetic_cnn": {"nodes": [3, 3], "filters": 4},
    "hierarchical": {"motifs": 2, "cell_nodes": 3, "filters": 4, "reductions": 1},
    "program": {"scalars": 3, "vectors": 2, "matrices": 0, "setup": 1, "predict": 2, "learn": 2},
    "evonet": {"horizon": 6, "max_layers": 3, "channels": [4, 6], "filters": 4},
}
GROWING = {"layers": 4, "filters": 4, "reductions": 1, "grow": {"start": 2, "step": 1, "every": 60}}


def controllers() -> dict[str, ControllerConfig]:
    """Return the options of conf/controller that name a class, by name."""
    paths = sorted(path for path in (CONF / "controller").glob("*.yaml") if path.stem not in WITHOUT_CLASS)
    return {path.stem: controller(path.stem) for path in paths}


def controller(name: str) -> ControllerConfig:
    """Return the controller of conf/controller/NAME.yaml, without the options that name another group's."""
    values = yaml.safe_load((CONF / "controller" / f"{name}.yaml").read_text(encoding="utf-8"))
    values.pop("defaults", None)
    return build_config({"controller": values, "evaluator": {"name": "shared_weights"}}).controller


@lru_cache(maxsize=1)
def spaces() -> dict[str, Space]:
    """Return a small space of each family, and one that grows, by name."""
    found = {
        name: make_space(build_space_config({"name": name, **SMALL.get(name, {})}))
        for name in SPACE_CONFIGS
        if name not in FILES
    }
    found["nasrl, growing"] = make_space(build_space_config({"name": "nasrl", **GROWING}))
    values = np.arange(27, dtype=np.float64)
    columns = tuple(("0", "1", "2") for _ in range(3))
    found["table"] = TableSpace("table", Benchmark("table", "", ("a", "b", "c"), columns, values[:, None], values))
    return found


def table() -> str:
    """Return the table in Markdown, and below it why a pair is refused."""
    names, reasons = list(spaces()), dict[str, None]()
    lines = [f"| | {' | '.join(f'`{name}`' for name in names)} |", f"| --- |{' :-: |' * len(names)}"]
    for name, config in controllers().items():
        refused = [refusal(config, space) for space in spaces().values()]
        for why, space in zip(refused, spaces().values(), strict=True):
            if why:
                reasons[f"`{name}`: {why.replace(f'space={space.name}', 'space=...', 1)}"] = None
        lines.append(f"| `{name}` | {' | '.join('-' if why else 'x' for why in refused)} |")
    return "\n".join([*lines, "", *(f"- {reason}" for reason in reasons)]) + "\n"


def written() -> str:
    """Return the page with the table as it is now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="write nothing")
    if parser.parse_args().print:
        print(table(), end="")
    else:
        PAGE.write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The one way through the code: each module imports only what stands before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rlnas

ROOT = Path(rlnas.__path__[0])
ORDER = (
    "errors",
    "files",
    "networks",
    "config",
    "seeding",
    "tabular",
    "spaces",
    "execution",
    "process",
    "data",
    "children",
    "evaluators",
    "means",
    "objective",
    "envs",
    "controllers",
    "runs",
    "report",
    "search",
    "api",
    "compare",
    "sweep",
    "cli",
    "__main__",
)
FILES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py")) if "conf" not in path.parts}


def imported(path: Path) -> set[str]:
    """The modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(name: str) -> str:
    """The second component of a dotted name or path: the part of rlnas it belongs to."""
    return name.removesuffix(".py").replace("/", ".").split(".")[0]


@pytest.mark.parametrize("file", FILES)
def test_a_module_imports_only_what_stands_before_it(file):
    if file == "__init__.py":
        return
    own = ORDER.index(part(file))
    used = {part(name.removeprefix("rlnas.")) for name in imported(FILES[file]) if name.startswith("rlnas.")}
    wrong = sorted(name for name in used - {part(file)} if name in ORDER and ORDER.index(name) > own)
    assert not wrong, f"rlnas/{file} imports {', '.join(wrong)}"


def test_every_module_has_its_place_in_the_order():
    assert {part(file) for file in FILES} - {"__init__"} <= set(ORDER)


@pytest.mark.parametrize("file", [f for f in FILES if f.startswith(("spaces/", "networks/"))])
def test_what_can_be_built_knows_no_torch(file):
    assert not {name for name in imported(FILES[file]) if name.split(".")[0] in ("torch", "stable_baselines3")}


@pytest.mark.parametrize("module", ["rlnas.spaces", "rlnas.networks.graph", "rlnas.networks.merge"])
def test_torch_is_not_loaded_by_the_way_either(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, check=False).returncode == 0


def test_only_the_configuration_knows_omegaconf():
    assert {file for file, path in FILES.items() if any(n.startswith("omegaconf") for n in imported(path))} == {
        "config/build.py",
        "config/composed.py",
    }

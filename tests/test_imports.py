"""The one way through the code: each module imports only what stands before it."""

import ast
import subprocess
import sys
from functools import cache
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
    "statistics",
    "tabular",
    "programs",
    "spaces",
    "execution",
    "process",
    "data",
    "children",
    "executors",
    "evaluators",
    "objective",
    "envs",
    "controllers",
    "runs",
    "report",
    "search",
    "gap",
    "api",
    "export",
    "predict",
    "compare",
    "sweep",
    "cli",
    "draw",
    "__main__",
)
MOST_LINES = 400  # of a module
KNOWS_SPACES = ("spaces/", "evaluators/tabular.py", "evaluators/make.py")  # a table is looked up by its own space
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


@pytest.mark.parametrize("file", FILES)
def test_no_module_is_too_long_to_be_read(file):
    assert len(FILES[file].read_text(encoding="utf-8").splitlines()) <= MOST_LINES


# -- nobody but a space knows which class it is ------------------------------------------------------------

# what only some spaces have, beside the contract of rlnas.spaces.base.Space
OF_SOME_SPACES = {"rank", "unrank", "check", "choices", "layout"}


@cache
def classes_of_spaces() -> set[str]:
    """The names of all classes of spaces but the contract's."""
    found = set()
    for file, path in FILES.items():
        if file.startswith("spaces/"):
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            found |= {node.name for node in nodes if isinstance(node, ast.ClassDef) and node.name.endswith("Space")}
    return found - {"Space"}


def about_a_space(node: ast.expr) -> bool:
    return ast.unparse(node).rpartition(".")[2].endswith("space")


def asks_for_a_class(source: str, concrete: set[str]) -> list[str]:
    """Where a source names a concrete space, or asks a space what it has."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [getattr(node, field, None) for field in ("id", "attr", "name")]
        if isinstance(node, ast.Name | ast.Attribute | ast.alias) and concrete & set(names):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            asks = node.func.id in ("isinstance", "hasattr", "getattr", "type")
            found += [f"{node.lineno}: {ast.unparse(node)}"] if asks and about_a_space(node.args[0]) else []
        if isinstance(node, ast.Attribute) and node.attr in OF_SOME_SPACES and about_a_space(node.value):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("file", [f for f in FILES if not f.startswith(KNOWS_SPACES)])
def test_no_module_asks_which_class_a_space_is(file):
    # options are told apart by their dataclass, names by being texts, and gymnasium has spaces too
    allowed = ("config.space", "space, str)", "space, dict)", "gymnasium.spaces.")
    found = asks_for_a_class(FILES[file].read_text(encoding="utf-8"), classes_of_spaces())
    assert not [one for one in found if not any(name in one for name in allowed)], f"rlnas/{file}"


@pytest.mark.parametrize(
    "source",
    [
        "from rlnas.spaces import NasrlSpace",
        "spaces.ChainSpace()",
        "isinstance(self.space, Anything)",
        "hasattr(space, 'skips')",
        "getattr(problem.space, 'rank', None)",
        "space.unrank(3)",
    ],
)
def test_what_is_looked_for_is_found(source):
    assert asks_for_a_class(source, classes_of_spaces())
    assert {"NasrlSpace", "NasrlFactoredSpace", "ChainSpace", "IndependentSpace", "TableSpace"} <= classes_of_spaces()

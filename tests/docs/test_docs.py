"""What README and docs name exists: commands compose, links and paths lead somewhere, Python parses."""

import ast
import importlib.util
import re
from itertools import zip_longest
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from markdown.extensions.toc import slugify

from rlnas.cli import CONF, _compose
from rlnas.config.build import build_config
from rlnas.evaluators.measures import BESIDE_ACCURACY
from rlnas.runs import tables
from tests.docs.commands import PAGES, ROOT, Command, blocks, commands, links, name, paths

EVERY = list(dict.fromkeys(command for page in PAGES for command in commands(page)))
RUNS = list({command.arguments: command for command in reversed(EVERY) if command.module == "rlnas"}.values())[::-1]
OTHERS = [command for command in EVERY if command.module != "rlnas"]
INFORMATION = ("--help", "--cfg", "job")  # flags that print something instead of running
# paths of a user's folder, which are no files of this repository
ELSEWHERE = re.compile(r"outputs/(?!README)")


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 165


def test_there_are_commands_to_check() -> None:
    assert len(RUNS) > 30
    assert len(OTHERS) > 10
    readme = {command.arguments for command in RUNS if command.page == "README.md"}
    assert ("+experiment=nasrl_cifar",) in readme
    assert ("-m", "+experiment=nasrl_cifar", "controller=ppo,reinforce,random", "seed=0,1,2") in readme


@pytest.mark.variants(12)
@pytest.mark.parametrize("command", RUNS, ids=str)
def test_command_composes(command: Command) -> None:
    for job in jobs(command):
        build_config(_compose(job))


def jobs(command: Command) -> list[list[str]]:
    """The overrides of jobs in which every value of a sweep over a group appears; of other sweeps the first value."""
    overrides = [word for word in command.arguments if word not in (*INFORMATION, "-m")]
    parsed = OverridesParser.create().parse_overrides(overrides)
    columns = []
    for word, override in zip(overrides, parsed, strict=True):
        key = word.partition("=")[0]
        if key.startswith("hydra"):
            continue
        if not override.is_sweep_override():
            columns.append([word])
        elif override.is_choice_sweep():
            values = [f"{key}={value}" for value in override.sweep_string_iterator()]
            columns.append(values if key == "controller" else values[:1])
        elif override.is_range_sweep():
            columns.append([f"{key}={next(override.sweep_string_iterator())}"])
        else:
            columns.append([f"{key}={override.value().start}"])  # an interval
    if not any(columns):
        return [[]]
    rows = zip_longest(*columns)
    return [[value or column[0] for value, column in zip(row, columns, strict=True)] for row in rows]


def test_sweeps_are_split_into_jobs() -> None:
    words = ("-m", "+experiment=nasrl_digits", "controller=ppo,random", "seed=range(3)", "hydra/launcher=joblib")
    assert jobs(Command("page", "rlnas", words)) == [
        ["+experiment=nasrl_digits", "controller=ppo", "seed=0"],
        ["+experiment=nasrl_digits", "controller=random", "seed=0"],
    ]
    interval = ("-m", "controller.params.gamma=tag(log,interval(0.5,0.9))")
    assert jobs(Command("page", "rlnas", interval)) == [["controller.params.gamma=0.5"]]
    assert jobs(Command("page", "rlnas", ("--help",))) == [[]]


@pytest.mark.parametrize("command", OTHERS, ids=str)
def test_module_has_the_flags(command: Command) -> None:
    if command.module == "benchmarks.NAME":
        return
    spec = importlib.util.find_spec(command.module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin)
    if source.name == "__init__.py":
        source = source.with_name("__main__.py")
    text = source.read_text(encoding="utf-8")
    flags = [word for word in command.arguments if word.startswith("--") and word != "--help"]
    assert [flag for flag in flags if f'"{flag}"' not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page: Path) -> None:
    missing = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            missing.append(link)
    assert missing == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, and those it sets itself."""
    text = page.read_text(encoding="utf-8")
    headings = [re.sub(r"[`*]|\{.*\}", "", heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    own = re.findall(r"<a id=\"([\w-]+)\">", text) + re.findall(r"^#.*\{ #([\w-]+) \}$", text, re.MULTILINE)
    return {slugify(heading.strip(), "-") for heading in headings} | set(own)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_paths_exist(page: Path) -> None:
    assert [path for path in paths(page) if not (ROOT / path).exists() and not ELSEWHERE.match(path)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_blocks_parse(page: Path) -> None:
    for language, content in blocks(page.read_text(encoding="utf-8")):
        if language == "python" and "--8<--" not in content:
            ast.parse(content)


@pytest.mark.parametrize("columns", ["HISTORY", "ROUNDS", "RETRAIN"])
def test_every_column_is_in_the_glossary(columns: str) -> None:
    text = (ROOT / "docs" / "how_it_works.md").read_text(encoding="utf-8")
    heading = {"HISTORY": "history.csv", "ROUNDS": "rounds.csv", "RETRAIN": "retrain.csv"}[columns]
    section = text.partition(f"## Glossary of {heading}\n")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    # columns that only evaluators of images have follow
    assert documented == [*getattr(tables, columns), *(BESIDE_ACCURACY if columns == "HISTORY" else ())]


def test_every_option_is_in_the_manual() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    missing = [path.relative_to(CONF).as_posix() for path in CONF.glob("*/*.yaml") if f"`{path.stem}`" not in text]
    assert missing == []


def test_every_package_has_a_reference_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    shown = set(re.findall(r"^::: (rlnas\.[\w.]+)$", text, re.MULTILINE))
    packages = {f"rlnas.{file.parent.name}" for file in (ROOT / "rlnas").glob("*/__init__.py")}
    assert packages - shown == set()
    assert [module for module in shown if not _exists(module)] == []


def _exists(module: str) -> bool:
    """Whether a dotted path is a module, or a name in one."""
    path = ROOT.joinpath(*module.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    owner = path.parent.with_suffix(".py")
    return owner.is_file() and f"def {path.name}(" in owner.read_text(encoding="utf-8")

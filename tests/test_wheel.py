"""The installed wheel, in a fresh environment and an unrelated folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_configuration_the_templates_and_the_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert f"rlnas/conf/{path.relative_to(ROOT / 'conf').as_posix()}" in names
    for path in (ROOT / "rlnas" / "report" / "templates").iterdir():
        assert f"rlnas/report/templates/{path.name}" in names
    assert "rlnas/report/templates/style.css" in names
    assert "rlnas/py.typed" in names
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


def test_it_runs_in_an_unrelated_folder(wheel: Path, tmp_path: Path) -> None:
    """Installed beside this environment's packages, in front of the checkout."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import rlnas.cli; print(rlnas.cli.CONF); "
    code += "sys.exit(rlnas.cli.main(['+experiment=nasrl_digits', '--cfg', 'job']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=elsewhere, check=False)
    assert done.returncode == 0, done.stderr
    assert str(site / "rlnas" / "conf") in done.stdout
    assert "name: nasrl_digits" in done.stdout

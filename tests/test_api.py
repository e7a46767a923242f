import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import hydra
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import rlnas


def likeness(architecture: tuple[int, ...]) -> float:
    return sum(architecture) / 20


def test_make_space_checks_its_options() -> None:
    assert rlnas.make_space("nasrl", layers=3).size == 6**3 * 2
    with pytest.raises(rlnas.RlnasError, match=r"space\.layers is 0"):
        rlnas.make_space("nasrl", layers=0)
    with pytest.raises(rlnas.RlnasError, match=r"unknown key space\.layer;.* layers"):
        rlnas.make_space("nasrl", layer=3)
    with pytest.raises(rlnas.RlnasError, match="'narsl', expected one of nasrl"):
        rlnas.make_space("narsl")


@pytest.mark.parametrize("step_unit", ["layer", "decision"])
def test_gymnasium_makes_the_environment(step_unit: str) -> None:
    env = gymnasium.make("rlnas/NAS-v0", space="nasrl", evaluator=likeness, step_unit=step_unit)
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(seed=0)
    done, info, reward = False, {}, 0.0
    while not done:
        _, reward, done, _, info = env.step(env.action_space.sample())
    space = rlnas.make_space("nasrl")
    assert reward == pytest.approx(likeness(space.parse(info["architecture"])))


def test_make_env_takes_an_evaluator_or_a_function() -> None:
    space = rlnas.make_space("nasrl", layers=2)
    for judge in (likeness, rlnas.make_env(space, likeness).scorer.evaluator):
        env = rlnas.make_env(space, judge)
        env.reset()
        env.step([5])
        assert env.step([5])[1] == pytest.approx(0.5)


def test_load_result_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(rlnas.RlnasError, match="not finished"):
        rlnas.load_result(tmp_path)
    with pytest.raises(rlnas.RlnasError, match="no such folder"):
        rlnas.load_result(tmp_path / "nowhere")


def test_help_does_not_import_torch() -> None:
    code = "import sys; from rlnas.cli import main\ntry: main(['--help'])\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "nasrl_cifar" in done.stdout
    assert done.stdout.strip().endswith("False"), done.stdout + done.stderr


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'make_spaces'"):
        rlnas.make_spaces  # noqa: B018


# -- rlnas.run ---------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> list[str]:
    """Overrides of a run over nine architectures, in `tmp_path`."""
    rows = [f"{a},{b},{3 * a + b}" for a in range(3) for b in range(3)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,x", *rows]) + "\n")
    columns = ["space.decisions=[a,b]", "space.reward=x", "budget.architectures=8", "progress=off"]
    return ["+experiment=table", f"space.path={tmp_path}/t.csv", *columns]


def state_of_the_process() -> dict[str, Any]:
    log = logging.getLogger("rlnas")
    return {
        "python": random.getstate(),
        "numpy": repr(np.random.get_state()),  # noqa: NPY002
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "hydra": (GlobalHydra.instance().hydra, HydraConfig.instance().cfg),
        "argv": list(sys.argv),
        "environment": dict(os.environ),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "logging": (log.level, log.propagate, list(log.handlers), logging.raiseExceptions),
        "root": (logging.root.level, list(logging.root.handlers)),
        "streams": (sys.stdout, sys.stderr),
        "cwd": os.getcwd(),
    }


@pytest.mark.parametrize(
    "more", [["controller=ppo", "execution.threads=2"], ["controller=dqn"], ["space.decisions=[c]"]]
)
def test_run_leaves_the_process_as_it_was(
    more: list[str], table: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.yaml").write_text("mine: 1\n")
    with hydra.initialize_config_dir(str(tmp_path / "own"), version_base=None):
        before = state_of_the_process()
        try:
            rlnas.run([*table, *more])
        except rlnas.RlnasError:
            assert more == ["space.decisions=[c]"]
        assert state_of_the_process() == before
        assert hydra.compose("config").mine == 1


def test_a_run_does_draw_from_what_is_put_back(
    table: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the restoring, the test above would fail."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rlnas.cli.torch_unchanged", contextlib.nullcontext)
    before = state_of_the_process()
    rlnas.run([*table, "controller=ppo"])
    after = state_of_the_process()
    changed = {key for key in before if before[key] != after[key]}
    assert {"numpy", "torch"} <= changed <= {"python", "numpy", "torch"}  # python's may have been seeded alike


def test_runs_in_a_loop_get_a_folder_each(table: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still, as for an array job."""
    monkeypatch.chdir(tmp_path)
    stamped = "hydra.run.dir=outputs/${name}/${now:%Y}"
    folders = [rlnas.run([*table, "controller=random", f"seed={seed}", stamped]) for seed in range(3)]
    assert [folder.name.partition("-")[2] for folder in folders] == ["", "2", "3"]
    for seed, folder in enumerate(folders):
        record = json.loads((folder / "environment.json").read_text())
        assert record["arguments"][-1] == f"seed={seed}"
        assert record["config"]["seed"] == rlnas.load_result(folder)["seed"] == seed
        assert f"seed: {seed}\n" in (folder / ".hydra" / "config.yaml").read_text()


def test_a_fixed_folder_is_not_taken_twice(table: list[str], tmp_path: Path) -> None:
    fixed = [*table, "controller=random", f"hydra.run.dir={tmp_path}/run"]
    rlnas.run(fixed)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(rlnas.RlnasError, match="already holds a run"):
        rlnas.run([*fixed, "seed=1"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_threads_are_recorded_for_a_table_too(table: list[str], tmp_path: Path) -> None:
    folder = rlnas.run([*table, "controller=random", "execution.threads=3", f"hydra.run.dir={tmp_path}/run"])
    record = json.loads((folder / "environment.json").read_text())
    assert record["execution"] == {"search": {"device": "cpu", "threads": 3}}


def test_run_takes_no_flags() -> None:
    with pytest.raises(rlnas.RlnasError, match=r"no flags such as -m"):
        rlnas.run(["-m", "seed=0,1"])

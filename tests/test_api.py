import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

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

"""rlnas: neural architecture search as reinforcement learning.

space = rlnas.make_space("nasrl", layers=8)
env = rlnas.make_env(space, evaluator)            # or gymnasium.make("rlnas/NAS-v0", space=..., evaluator=...)
folder = rlnas.run(["+experiment=nasrl_digits"])  # a run, as from the command line
child = rlnas.load_child(folder)                  # the found network, a torch module
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlnas.api import load_result, make_env, make_space
    from rlnas.children.export import load_child
    from rlnas.cli import run
    from rlnas.errors import RlnasError

__version__ = "0.1.0"
__all__ = ["RlnasError", "load_child", "load_result", "make_env", "make_space", "run"]

_HOMES = {
    "RlnasError": "rlnas.errors",
    "load_child": "rlnas.children.export",
    "load_result": "rlnas.api",
    "make_env": "rlnas.api",
    "make_space": "rlnas.api",
    "run": "rlnas.cli",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `python -m rlnas --help` does not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rlnas' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def _register() -> None:
    """Register "rlnas/NAS-v0" for `gymnasium.make`."""
    import gymnasium

    gymnasium.register(id="rlnas/NAS-v0", entry_point="rlnas.api:make_env")


_register()

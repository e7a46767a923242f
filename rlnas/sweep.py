"""Interface to hydra: the folders of a run or a sweep, the comparison after a sweep, the value a sweeper maximises."""

import sys
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback

from rlnas.compare import show
from rlnas.config.composed import raw, set_value
from rlnas.config.quoting import override, overrides_in, shown
from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.runs.claim import Claim, claim


class Refused(BaseException):
    """Carries an error out of a callback: hydra converts every Exception there to a warning."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


class Folders(Callback):  # type: ignore[misc,unused-ignore]
    """Creates the folders of a run or a sweep before hydra does, since hydra would let two runs share one."""

    run: ClassVar[Claim | None] = None
    sweep: ClassVar[Path | None] = None

    @staticmethod
    def asked(arguments: list[str]) -> list[str]:
        """Return the arguments with an override that makes hydra call this class, after the last other override."""
        if any(argument in ("-sc", "--shell-completion") for argument in arguments):
            return arguments
        own = f"+hydra.callbacks.folders._target_={__name__}.Folders"
        overrides = overrides_in(arguments)
        place = len(arguments) - arguments[::-1].index(overrides[-1]) if overrides else len(arguments)
        return [*arguments[:place], own, *arguments[place:]]  # argparse needs consecutive overrides

    def on_run_start(self, config: Any, **_: Any) -> None:
        """Create the folder of a single run."""
        try:
            Folders.run = claim_run(config)
        except Exception as error:
            raise Refused(error) from error

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        """Create the sweep's folder in the parent process, before the first job, wherever the jobs run."""
        try:
            path = expand(str(config.hydra.sweep.dir))
            if _stamped(config, "hydra.sweep.dir"):
                path = claim(path, unique=True).path
        except Exception as error:
            raise Refused(error) from error
        set_value(config, "hydra.sweep.dir", str(path))
        own = override("hydra.sweep.dir", str(path))  # hydra composes each job from the overrides
        set_value(config, "hydra.overrides.hydra", [*raw(config, "hydra.overrides.hydra"), own])
        Folders.sweep = path


def claim_run(config: Any) -> Claim:
    """Create the folder of hydra.run.dir and write its path into the configuration."""
    claimed = claim(expand(str(config.hydra.run.dir)), unique=_stamped(config, "hydra.run.dir"))
    set_value(config, "hydra.run.dir", str(claimed.path))
    return claimed


def _stamped(config: Any, key: str) -> bool:
    """Return whether a folder's name contains the time, so that it may get a suffix; a fixed name may not."""
    return "${now:" in str(raw(config, key))


def compare_sweep(sweep: Path | None) -> None:
    """Compare the runs of a sweep, and show the table, if there was one and at least one run finished."""
    if sweep is None or not any(sweep.rglob("result.json")):
        return
    from rlnas.report.comparison import write_comparison  # matplotlib and scipy are slow to import

    try:
        comparison, path = write_comparison([sweep])
    except RlnasError as error:
        print(f"rlnas: warning: no comparison of {shown(sweep)}: {error}", file=sys.stderr)
        return
    show(comparison)
    print(f"comparison: {path}")


def objective(result: dict[str, Any]) -> float | None:
    """Return the value that a sweeper such as hydra/sweeper=optuna maximises: the score of the found architecture.

    The true score in a table; else the accuracy with shared weights, or after retraining if nothing was searched.
    """
    best = result["best"]
    names = ("score",) if result.get("table") else ("search_accuracy", "valid_accuracy")
    return next((float(best[name]) for name in names if best.get(name) is not None), None)


def check_direction() -> None:
    """Raise RlnasError if a sweeper would minimise the score, which is the default of optuna's."""
    sweeper = HydraConfig.get().sweeper
    direction = sweeper.get("direction") if "direction" in sweeper else None
    if direction is not None and getattr(direction, "name", str(direction)) != "maximize":
        raise RlnasError(
            "hydra.sweeper.direction is not maximize, but a run returns its score, the higher the better; add "
            "hydra.sweeper.direction=maximize"
        )

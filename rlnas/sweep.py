"""What hydra is told and asked: the folders of a run or a sweep, and what a sweep ends with."""

import sys
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback

from rlnas.config.composed import raw, set_value
from rlnas.config.quoting import override, overrides_in, shown
from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.runs.claim import Claim, claim


class Refused(BaseException):
    """An error on its way out of a callback: hydra turns every Exception there into a warning."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


class Folders(Callback):  # type: ignore[misc,unused-ignore]
    """Makes the folders of a run or a sweep before hydra does, which would let two share one."""

    run: ClassVar[Claim | None] = None
    sweep: ClassVar[Path | None] = None

    @staticmethod
    def asked(arguments: list[str]) -> list[str]:
        """The arguments with the override that makes hydra call this class, beside the last other override."""
        if any(argument in ("-sc", "--shell-completion") for argument in arguments):
            return arguments
        own = f"+hydra.callbacks.folders._target_={__name__}.Folders"
        overrides = overrides_in(arguments)
        place = len(arguments) - arguments[::-1].index(overrides[-1]) if overrides else len(arguments)
        return [*arguments[:place], own, *arguments[place:]]  # argparse takes the overrides in one piece

    def on_run_start(self, config: Any, **_: Any) -> None:
        """Make the folder of the only run."""
        try:
            Folders.run = claim_run(config)
        except Exception as error:
            raise Refused(error) from error

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        """Make the sweep's folder, in the process that was started, before the first job, wherever the jobs run."""
        try:
            path = expand(str(config.hydra.sweep.dir))
            if _stamped(config, "hydra.sweep.dir"):
                path = claim(path, unique=True).path
        except Exception as error:
            raise Refused(error) from error
        set_value(config, "hydra.sweep.dir", str(path))
        own = override("hydra.sweep.dir", str(path))  # jobs are composed anew, from the overrides
        set_value(config, "hydra.overrides.hydra", [*raw(config, "hydra.overrides.hydra"), own])
        Folders.sweep = path


def claim_run(config: Any) -> Claim:
    """Make the folder that hydra.run.dir names; it is put into the configuration."""
    claimed = claim(expand(str(config.hydra.run.dir)), unique=_stamped(config, "hydra.run.dir"))
    set_value(config, "hydra.run.dir", str(claimed.path))
    return claimed


def _stamped(config: Any, key: str) -> bool:
    """Whether a folder's name is made from the time, so that another one does as well; a fixed name is meant."""
    return "${now:" in str(raw(config, key))


def compare_sweep(sweep: Path | None) -> None:
    """Compare the runs of a sweep, if there was one and a run of it finished."""
    if sweep is None or not any(sweep.rglob("result.json")):
        return
    from rlnas.report.comparison import write_comparison  # matplotlib and scipy are slow to import

    try:
        print(f"comparison: {write_comparison([sweep])[1]}")
    except RlnasError as error:
        print(f"rlnas: warning: no comparison of {shown(sweep)}: {error}", file=sys.stderr)


def objective(result: dict[str, Any]) -> float | None:
    """What a sweeper such as hydra/sweeper=optuna maximises: the score of the architecture that was found.

    Its true score in a table; else its accuracy with shared weights, or retrained if nothing was searched.
    """
    best = result["best"]
    names = ("score",) if result.get("table") else ("search_accuracy", "valid_accuracy")
    return next((float(best[name]) for name in names if best.get(name) is not None), None)


def check_direction() -> None:
    """RlnasError if a sweeper would look for the worst score, which is the default of optuna's."""
    sweeper = HydraConfig.get().sweeper
    direction = sweeper.get("direction") if "direction" in sweeper else None
    if direction is not None and getattr(direction, "name", str(direction)) != "maximize":
        raise RlnasError(
            "hydra.sweeper.direction is not maximize, but a run returns its score, the higher the better; add "
            "hydra.sweeper.direction=maximize"
        )

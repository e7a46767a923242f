"""environment.json: configuration, versions and hardware of a run. It marks a run folder, so it is written first."""

import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rlnas.config.plain_data import to_dict
from rlnas.config.schema import Config
from rlnas.errors import RlnasError
from rlnas.files import write_json

PACKAGES = ("rlnas", "torch", "gymnasium", "stable-baselines3", "sb3-contrib", "hydra-core", "numpy", "datasets")


def write_environment(
    folder: Path,
    config: Config,
    execution: dict[str, Any] | None = None,
    arguments: Sequence[str] = (),
    table: str | None = None,
) -> None:
    """Write configuration, versions and, once they are known, execution settings and table.

    execution: device, precision and threads. arguments: of the command that started the run; a resumed run keeps the
    first ones. table: SHA-256 of the table's file.
    """
    before = read_environment(folder)
    if before is not None:
        arguments = before["arguments"]
    record = {
        "config": to_dict(config),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
        "platform": f"{platform.system()} {platform.machine()}",
        "execution": execution,
        "table_sha256": table,
        "arguments": list(arguments),
    }
    write_json(folder / "environment.json", record)


def read_environment(folder: Path) -> dict[str, Any] | None:
    """Read what `write_environment` wrote; None if there is none. Raises RlnasError if it is damaged."""
    path = folder / "environment.json"
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {"config": record["config"], "arguments": record["arguments"], **record}
    except (ValueError, KeyError, TypeError) as error:
        raise RlnasError(f"{path} is damaged ({error!r}); the run cannot be resumed") from None


def saved_config(folder: Path) -> Any:
    """Return the configuration that a run was started with, as plain data; None if the folder has none."""
    record = read_environment(folder)
    return None if record is None else record["config"]

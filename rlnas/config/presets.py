"""Read the presets of conf/space by name: the options that `space=NAME` sets, for calls from Python."""

from pathlib import Path
from typing import Any

from rlnas.config.composed import read_composed
from rlnas.config.spaces import SPACE_CONFIGS
from rlnas.errors import RlnasError

PACKAGE = Path(__file__).resolve().parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"  # installed, or the repository


def space_options(name: str) -> dict[str, Any]:
    """Return the options in which conf/space/`name`.yaml differs from the defaults, with the `name` of the space.

    Raises RlnasError for a name that is not an option of the group `space`.
    """
    known = [*SPACE_CONFIGS, *sorted({path.stem for path in (CONF / "space").glob("*.yaml")} - set(SPACE_CONFIGS))]
    if name not in known:
        raise RlnasError(f"space is '{name}', expected one of {', '.join(known)}")
    if name in SPACE_CONFIGS:
        return {"name": name}
    file = read_composed(CONF / "space" / f"{name}.yaml")
    base = str(file["defaults"][0]).partition("@")[0]  # the option that it is based on
    options = file.get("space", file)  # a file of package _global_ sets other groups too
    return {"name": base, **{str(key): value for key, value in options.items() if key != "defaults"}}

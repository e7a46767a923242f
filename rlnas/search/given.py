"""What a run is given: its space, the space of the final network, an architecture to retrain."""

import dataclasses
from typing import Any

from rlnas.config.build import build_space_config
from rlnas.config.quoting import run_command, shown
from rlnas.config.schema import Config
from rlnas.errors import RlnasError
from rlnas.files import expand
from rlnas.runs.environment import read_environment
from rlnas.runs.folder import RunFolder
from rlnas.spaces import Architecture, Space, make_space
from rlnas.spaces.networks import Networks

ALONE = {"sharing": "operator", "inherit": True}  # options of how weights are shared, where nothing is


def read_architecture(space: Space, given: str) -> Architecture:
    """Return the architecture of a text form or of the path of an architecture.json.

    Raises RlnasError if it cannot be read, or in a space without networks.
    """
    if not space.builds_networks:
        raise RlnasError(
            f"architecture={given}: a network is retrained, but space={space.name} builds none; leave it out"
        )
    path = expand(given)
    if given.endswith(".json"):
        try:
            return space.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RlnasError(f"architecture={given} cannot be read: {error.strerror}") from None
    return space.parse(given)


def read_space(config: Config, folder: RunFolder) -> Space:
    """Build the space. Raises RlnasError if it cannot be read, or its content differs from that at the run's start.

    Its file may have moved: only its content is compared.
    """
    before = (read_environment(folder.path) or {}).get("table_sha256") or (folder.saved or {}).get("table")
    where = f"{run_command(resume=shown(folder.path))} space.path=FILE"
    try:
        space = make_space(config.space)
    except RlnasError as error:
        if before is None:
            raise
        raise RlnasError(f"{error}. If the table lies elsewhere now, resume with: {where}") from None
    now = space.fingerprint
    if before is not None and before != now:
        raise RlnasError(
            f"the run in {folder.path} was started with another table: SHA-256 begins with {before[:12]}, that of "
            f"{config.space.path} with {str(now)[:12]}; resume with the same file, wherever it lies: {where}"
        )
    for key, rate in (("child.drop_path", config.child.drop_path), ("retrain.drop_path", config.retrain.drop_path)):
        if rate and space.builds_networks and not space.has_bypass:
            raise RlnasError(
                f"{key}={rate:g} replaces the output of a layer's operator by its skips, but in space={space.name} no "
                "path leads past an operator, so nothing would be left; set it to 0, or choose space=nasrl"
            )
    return space


def final_config(config: Config) -> Any:
    """Return the options of the final network's space: those of the search, with retrain.space in place of some.

    Nothing shares its weights, so options of sharing have the value of ALONE. Raises RlnasError if they do not fit.
    """
    searched = dataclasses.asdict(config.space)
    alone = {key: value for key, value in ALONE.items() if key in searched}
    for key, value in alone.items():
        asked = config.retrain.space.get(key, value)
        if asked != value:
            raise RlnasError(
                f"retrain.space.{key} is '{asked}', expected {value}: the final network shares no weights; leave it out"
            )
    try:
        return build_space_config({**searched, **alone, **config.retrain.space})
    except RlnasError as error:
        raise RlnasError(
            f"retrain.space={config.retrain.space} does not go with space={config.space.name}: {error}; set "
            "retrain.space=null, or options that this space has"
        ) from None


def final_space(config: Config, space: Space) -> Space:
    """Return the final network's space: the stand-alone form of the search's, with the options of retrain.space.

    Raises RlnasError if an architecture of the search would be none there, see `Space.check_transfer`.
    """
    if not config.retrain.space:
        return space.standalone
    built = final_config(config)
    try:
        final = make_space(built).standalone
        space.check_transfer(final)
    except RlnasError as error:
        raise RlnasError(f"retrain.space={config.retrain.space} does not go with the search: {error}") from None
    return final


def networks_of(
    config: Config, space: Space, *, searched: Space, image_channels: int, image_size: int, classes: int
) -> Networks:
    """Return the networks of the search's space or of the final one, for architectures of the search."""
    other = searched if config.retrain.space and space is not searched else None
    return Networks(space, image_channels, image_size, classes, searched=other)


def check_auxiliary(config: Config, networks: Networks, architecture: Architecture) -> None:
    """Raise RlnasError if the final networks have no auxiliary head whose loss retrain.auxiliary could weight."""
    trained = config.retrain.epochs or config.evaluator.name == "standalone"
    if config.retrain.auxiliary and trained and networks.auxiliary(architecture) is None:
        raise RlnasError(
            f"retrain.auxiliary={config.retrain.auxiliary:g} weights the loss of an auxiliary head, which the networks "
            f"of space={networks.space.name} do not have; set it to 0, or choose a space of cells"
        )


def options(space_config: Any) -> dict[str, Any]:
    """Return the options of a space for result.json: without its name, and without paths of this machine."""
    return {key: value for key, value in dataclasses.asdict(space_config).items() if key not in ("name", "path")}

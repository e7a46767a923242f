"""Data sets of the Hugging Face hub, or of a local folder that `datasets` reads; a check that the hub is reachable.

Without a network `datasets` retries for half a minute and prints many messages, so one short request to the hub
precedes every call of it.
"""

import dataclasses
import functools
import os
import threading
from pathlib import Path
from typing import Any

from rlnas.config.schema import DataConfig
from rlnas.data.cache import cached, content_digest, shared_mode
from rlnas.data.decode import hold_out, one_line, parse_colour
from rlnas.data.folder import folder
from rlnas.data.images import Decoded
from rlnas.data.listing import LeftOut, files_below
from rlnas.data.sources import CIFAR10_ID, Source, decode_rows
from rlnas.data.splits import ROLES, by_role, is_plain
from rlnas.errors import RlnasError

DEFAULT_SIZE = 32
ANSWER_SECONDS = 3.0  # timeout of each phase of the request: connecting, sending, receiving
GIVE_UP_SECONDS = 4.0  # timeout of the whole request: looking up the host's name has none
# Files that `datasets` reads as tables or archives; a folder without them is a folder of images.
TABLES = (".parquet", ".arrow", ".csv", ".tsv", ".json", ".jsonl", ".zip", ".tar", ".gz", ".lance", ".h5", ".hdf5")


class Missing(Exception):
    """The data set is neither on disk nor downloadable; the message is a clause with the reason."""


def unreachable() -> str | None:
    """Return why the hub cannot be reached, as a clause; None if it can. Takes at most `GIVE_UP_SECONDS`."""
    from huggingface_hub import constants, get_session

    outcome: list[str | None] = []

    def ask() -> None:
        try:
            # The hub client's session has the configured proxies and certificates.
            status = get_session().head(constants.ENDPOINT, timeout=ANSWER_SECONDS).status_code
        except Exception as error:  # any exception type: the HTTP library depends on the version of the hub's client
            outcome.append(f"{constants.ENDPOINT} cannot be reached ({one_line(error)})")
        else:
            refused = status in (403, 407) or status >= 500  # a proxy's answers; any other comes from a hub
            outcome.append(f"{constants.ENDPOINT} answered with HTTP status {status}" if refused else None)

    thread = threading.Thread(target=ask, name="rlnas-hub-probe", daemon=True)
    thread.start()
    thread.join(GIVE_UP_SECONDS)
    return outcome[0] if outcome else f"{constants.ENDPOINT} did not answer within {GIVE_UP_SECONDS:g} s"


def hub(config: DataConfig) -> Source:
    """Find the data set `config.hub_id`. The first split missing from the cache triggers the download of all splits.

    A cached copy is used without checking the hub for changes; a local folder is identified by the content of its
    files.

    Raises:
        RlnasError: no `hub_id`; on reading: no such data set, configuration, column or split.
        Missing: on reading the training split: neither in the cache nor downloadable.
    """
    if not config.hub_id:
        raise RlnasError("data=hub needs the id of a data set on the hub, such as data.hub_id=ylecun/mnist")
    hub_id, size, background = config.hub_id, config.size or DEFAULT_SIZE, parse_colour(config.background)
    # Origin of the data: the hub in use (a mirror may hold other data), or the files' content.
    origin: object = os.environ.get("HF_ENDPOINT", "")
    left_out, mode = LeftOut(), 0o666
    root = Path(os.path.expanduser(hub_id))
    local = os.path.isdir(root)
    if local:
        files = files_below(root, left_out, root)
        if not any(file.suffix.lower() in TABLES for file in files):
            return _image_folder(config)
        try:
            origin = [[file.relative_to(root).as_posix(), content_digest(file)] for file in files]
            mode = shared_mode(files)
        except OSError as error:
            raise RlnasError(
                f"{error.filename} cannot be read: {error.strerror}; check the file and its rights"
            ) from error
    elif hub_id.startswith((".", "/", "~")):
        raise RlnasError(f"data.hub_id={hub_id} is no folder here and no id on the hub; check the path")

    if config.splits != "auto":
        raise RlnasError(
            f"data.splits={config.splits} is for folders of images, but {hub_id} has splits of its own; leave it out"
        )

    @functools.cache  # all splits come with one download
    def splits() -> dict[str, Any]:
        return _load(str(root), config.hub_config, from_disk=True) if local else _download(hub_id, config.hub_config)

    def read(role: str) -> Decoded:
        key = {
            "hub": ["" if local else hub_id, origin, config.hub_config, config.image_column, config.label_column],
            "role": role,
            "size": size,
            "ground": background,
        }
        return cached(f"hub-{hub_id}-{role}", key, lambda: _read(splits(), role, config, size), mode)

    def read_test() -> Decoded:
        try:
            return read("test")
        except Missing as missing:  # the training split came from the cache: too late to fall back to another data set
            raise RlnasError(
                f"the test split of {hub_id} is neither in the cache nor downloadable, because {missing}; connect and "
                "resume, or set HF_HUB_OFFLINE=1 to take it from the hub's own cache"
            ) from missing

    sentence = left_out.sentence()
    notes = (sentence,) if sentence else ()
    return Source(hub_id, lambda: read("train"), read_test, lambda: read("valid"), dict(left_out.counts), notes)


def _image_folder(config: DataConfig) -> Source:
    """Read a folder of images by the rules of data=folder, since `datasets` detects images and splits differently."""
    asked = ("hub_config", "image_column", "label_column")
    if given := [f"data.{key}" for key in asked if getattr(config, key) is not None]:
        raise RlnasError(
            f"data.hub_id={config.hub_id} is a folder of images without tables, which has no {', '.join(given)}; "
            "leave these options out"
        )
    source = folder(dataclasses.replace(config, name="folder", path=config.hub_id))
    return dataclasses.replace(
        source, notes=(f"data.hub_id={config.hub_id} is a folder of images, read as by data=folder", *source.notes)
    )


def _download(hub_id: str, hub_config: str | None) -> dict[str, Any]:
    """Return all splits by name, as undecoded `datasets.Dataset`."""
    from huggingface_hub import constants

    # In the hub client's offline mode `datasets` only reads its cache: no request is needed.
    if not constants.HF_HUB_OFFLINE and (reason := unreachable()):
        raise Missing(reason)
    return _load(hub_id, hub_config)


def _load(hub_id: str, hub_config: str | None, from_disk: bool = False) -> dict[str, Any]:
    import datasets
    from huggingface_hub import constants

    datasets.disable_progress_bars()
    # `datasets` caches a local folder by the names, sizes and dates of its files, which miss edits: force a new copy.
    options = {"download_mode": "force_redownload"} if from_disk else {}
    try:
        return dict(datasets.load_dataset(hub_id, hub_config, **options))
    except datasets.exceptions.DatasetNotFoundError as error:
        if hub_id == CIFAR10_ID:  # no user error: a mirror without it, or an account without access
            raise Missing(one_line(error)) from error
        raise RlnasError(
            f"{constants.ENDPOINT} has no data set {hub_id!r} for you ({one_line(error)}); check data.hub_id; for "
            "a private or gated one log in with `hf auth login`"
        ) from error
    except OSError as error:
        if from_disk:
            raise RlnasError(f"data.hub_id={hub_id} cannot be read ({one_line(error)}); check its files") from error
        offline = "HF_HUB_OFFLINE is set and the hub's cache has no copy"
        raise Missing(offline if constants.HF_HUB_OFFLINE else one_line(error)) from error
    except (ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise RlnasError(
            f"`datasets` cannot load {hub_id!r} with data.hub_config={hub_config} ({one_line(error)}); check "
            "data.hub_config, or choose a data set of plain parquet or image files"
        ) from error


def _read(splits: dict[str, Any], role: str, config: DataConfig, size: int) -> Decoded:
    hub_id, background = config.hub_id, parse_colour(config.background)
    given = _given(splits, hub_id)
    train = splits[given["train"]]
    image = _column(train.features, "Image", config.image_column, "image_column", hub_id)
    label = _column(train.features, "ClassLabel", config.label_column, "label_column", hub_id)
    names = not hasattr(train.features[label], "names")  # strings or integers instead of a ClassLabel
    values = [str(value) for value in train.unique(label)] if names else train.features[label].names
    classes = tuple(sorted(values)) if names else tuple(values)

    unlabelled = [key for key in ("valid", "test") if key in given and not _labelled(splits[given[key]], label)]
    if unlabelled:
        given["unlabelled"] = ", ".join(given.pop(key) for key in unlabelled)
    rows = splits[given[role]] if role in given else train
    if "test" not in given and role != "valid":
        labels = [classes.index(str(value)) if names else value for value in train[label]]
        kept, held_out = hold_out([str(i) for i in range(len(labels))], labels, classes)
        rows = train.select(kept if role == "train" else held_out)
    decoded = decode_rows(rows, image, label, classes, size, f"the {role} split of {hub_id}", names, background)
    return dataclasses.replace(decoded, splits=given)


def _given(splits: dict[str, Any], hub_id: str | None) -> dict[str, str]:
    """Return the data set's split name for each role, and under "unused" the names without a role."""
    roles = by_role(splits)
    for role, names in roles.items():
        if plain := [name for name in names if is_plain(name)]:
            roles[role] = plain  # prefers test to test_unfiltered
    for role in ("valid", "test"):
        if len(names := roles.get(role, [])) > 1 and not is_plain(names[0]):
            del roles[role]  # test_matched and test_mismatched: neither is the test split
    doubled = [name for names in roles.values() if len(names) > 1 for name in names]
    if doubled or "train" not in roles:
        problem = f"several splits for one purpose ({', '.join(doubled)})" if doubled else "no split 'train'"
        raise RlnasError(f"{hub_id} has {problem}, only {', '.join(splits)}; choose another data set")
    given = {role: roles[role][0] for role in ROLES if role in roles}
    if unused := [name for name in splits if name not in given.values()]:
        given["unused"] = ", ".join(unused)
    return given


def _labelled(rows: Any, label: str) -> bool:
    """Return whether a split has labels; challenges publish test splits without (-1 or None)."""
    return not len(rows) or label not in rows.features or any(value not in (None, -1) for value in rows[label])


def _column(features: Any, kind: str, asked: str | None, option: str, hub_id: str | None) -> str:
    """Return the configured column, else the only one of this kind."""
    if asked is not None:
        if asked not in features:
            raise RlnasError(f"{hub_id} has no column {asked!r}, only {', '.join(features)}; check data.{option}")
        return asked
    found = [name for name, feature in features.items() if type(feature).__name__ == kind]
    if len(found) != 1:
        raise RlnasError(
            f"{hub_id} has {len(found)} columns of type {kind} among {', '.join(features)}, expected one; name the "
            f"column with data.{option}=NAME"
        )
    return str(found[0])

"""Data sets of the Hugging Face hub, and whether the hub can be reached at all.

Without a network `datasets` retries for half a minute behind a wall of messages, so the hub is asked once,
briefly, before anything is handed over to it.
"""

import functools
import threading
from typing import Any

from rlnas.config import DataConfig
from rlnas.data.cache import cached
from rlnas.data.decode import hold_out, one_line
from rlnas.data.images import Decoded
from rlnas.data.sources import CIFAR10_ID, Source, decode_rows
from rlnas.errors import RlnasError

DEFAULT_SIZE = 32
ANSWER_SECONDS = 3.0  # for each phase of the request: connecting, sending, receiving
GIVE_UP_SECONDS = 4.0  # for the whole of it: looking up the host's name knows no timeout of its own
TEST_SPLITS = ("test", "validation", "valid", "val", "dev")


class Missing(Exception):
    """The data set is neither on disk nor downloadable; the message is a clause that says why."""


def unreachable() -> str | None:
    """Why the hub cannot be reached, as a clause, or None if it can. Takes `GIVE_UP_SECONDS` at most."""
    from huggingface_hub import constants, get_session

    outcome: list[str | None] = []

    def ask() -> None:
        try:
            # The hub's own session, for its proxies and certificates.
            status = get_session().head(constants.ENDPOINT, timeout=ANSWER_SECONDS).status_code
        except Exception as error:  # any failure of whichever HTTP library the hub's client is built on
            outcome.append(f"{constants.ENDPOINT} cannot be reached ({one_line(error)})")
        else:
            refused = status in (403, 407) or status >= 500  # so a proxy answers; anything else is a hub
            outcome.append(f"{constants.ENDPOINT} answered with HTTP status {status}" if refused else None)

    thread = threading.Thread(target=ask, name="rlnas-hub-probe", daemon=True)
    thread.start()
    thread.join(GIVE_UP_SECONDS)
    return outcome[0] if outcome else f"{constants.ENDPOINT} did not answer within {GIVE_UP_SECONDS:g} s"


def hub(config: DataConfig) -> Source:
    """The data set `config.hub_id`. Its splits are downloaded together when the first one is not in the cache.

    A cached copy is used without asking the hub whether its data set has changed.

    Raises:
        RlnasError: no `hub_id`; on reading: no such data set, configuration, column or split.
        Missing: on reading the training split: neither in the cache nor downloadable.
    """
    if not config.hub_id:
        raise RlnasError("data=hub needs the id of a data set on the hub, such as data.hub_id=ylecun/mnist")
    hub_id, size = config.hub_id, config.size or DEFAULT_SIZE

    @functools.cache  # both splits come with one download
    def splits() -> dict[str, Any]:
        return _download(hub_id, config.hub_config)

    def read(role: str) -> Decoded:
        key = {
            "hub": [hub_id, config.hub_config, config.image_column, config.label_column],
            "role": role,
            "size": size,
        }
        return cached(f"hub-{hub_id}-{role}", key, lambda: _read(splits(), role, config, size))

    def read_test() -> Decoded:
        try:
            return read("test")
        except Missing as missing:  # the training split came from the cache: it is too late for another data set
            raise RlnasError(
                f"the test split of {hub_id} is neither in the cache nor downloadable, because {missing}; connect and "
                "resume, or set HF_HUB_OFFLINE=1 to take it from the hub's own cache"
            ) from missing

    return Source(hub_id, lambda: read("train"), read_test)


def _download(hub_id: str, hub_config: str | None) -> dict[str, Any]:
    """All splits by name, as `datasets.Dataset`, undecoded."""
    import datasets
    from huggingface_hub import constants

    # In the hub's own offline mode `datasets` looks into its cache and nowhere else: there is nothing to ask.
    if not constants.HF_HUB_OFFLINE and (reason := unreachable()):
        raise Missing(reason)
    datasets.disable_progress_bars()
    try:
        return dict(datasets.load_dataset(hub_id, hub_config))
    except datasets.exceptions.DatasetNotFoundError as error:
        if hub_id == CIFAR10_ID:  # no slip of the user's: a mirror without it, or an account that may not see it
            raise Missing(one_line(error)) from error
        raise RlnasError(
            f"{constants.ENDPOINT} has no data set {hub_id!r} for you ({one_line(error)}); check data.hub_id; for "
            "a private or gated one log in with `hf auth login`"
        ) from error
    except OSError as error:
        offline = "HF_HUB_OFFLINE is set and the hub's cache has no copy"
        raise Missing(offline if constants.HF_HUB_OFFLINE else one_line(error)) from error
    except (ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise RlnasError(
            f"`datasets` cannot load {hub_id!r} with data.hub_config={hub_config} ({one_line(error)}); check "
            "data.hub_config, or choose a data set of plain parquet or image files"
        ) from error


def _read(splits: dict[str, Any], role: str, config: DataConfig, size: int) -> Decoded:
    hub_id = config.hub_id
    if "train" not in splits:
        raise RlnasError(f"{hub_id} has no split 'train', only {', '.join(splits)}; choose another data set")
    train = splits["train"]
    image = _column(train.features, "Image", config.image_column, "image_column", hub_id)
    label = _column(train.features, "ClassLabel", config.label_column, "label_column", hub_id)
    names = not hasattr(train.features[label], "names")  # plain strings or integers instead of a ClassLabel
    values = [str(value) for value in train.unique(label)] if names else train.features[label].names
    classes = tuple(sorted(values)) if names else tuple(values)

    test_name = next((name for name in TEST_SPLITS if name in splits), None)
    if test_name is not None:
        rows = train if role == "train" else splits[test_name]
    else:
        labels = [classes.index(str(value)) if names else value for value in train[label]]
        kept, held_out = hold_out([str(i) for i in range(len(labels))], labels, classes)
        rows = train.select(kept if role == "train" else held_out)
    return decode_rows(rows, image, label, classes, size, f"the {role} split of {hub_id}", names)


def _column(features: Any, kind: str, asked: str | None, option: str, hub_id: str | None) -> str:
    """The column asked for, else the only one of this kind."""
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

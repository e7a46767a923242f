"""Load the configured images: find the source, split once, compute statistics, fall back to digits if necessary."""

import dataclasses
import logging
from collections.abc import Callable

import numpy as np
import torch

from rlnas.config.own import make_own
from rlnas.config.schema import DataConfig
from rlnas.data import notes
from rlnas.data.augment import Augmentation
from rlnas.data.folder import folder
from rlnas.data.hub import Missing, hub
from rlnas.data.images import Decoded, ImageData, Images, statistics
from rlnas.data.sources import CIFAR10_ID, CIFAR10_SIZE, Source, digits, local_cifar10
from rlnas.errors import RlnasError

# As conf/data/digits.yaml: small crop for 8x8 images; no flip, since a mirrored 2 is not a 2.
DIGITS_AUGMENTATION = Augmentation(crop=1, flip=False, cutout=0)
logger = logging.getLogger("rlnas")


def load_data(config: DataConfig, rng: np.random.Generator, device: torch.device) -> ImageData:
    """Load the training images and split them once into train and valid; the test split stays unread.

    If the source has a validation split, it is used unchanged. Else the split is a uniform draw over all training
    images, not stratified by class: class shares differ by chance.

    Args:
        config: data set and size of the validation split, among others.
        rng: draws the split (one permutation of the training images, whatever the options). The same state gives
            the same split.
        device: where the images are kept.

    Raises:
        RlnasError: a wrong or missing path, data set or image; too few or only equal images; or, with
            `when_missing="error"`, a data set that is neither on disk nor downloadable.
    """
    augmentation = Augmentation(config.crop, config.flip, config.cutout)
    fallback = None
    try:
        source = _source(config)
        decoded, valid = _read(source)
    except Missing as missing:
        what = f"CIFAR-10 ({CIFAR10_ID})" if config.name == "cifar10" else f"the data set {config.hub_id}"
        cure = (
            "give data.path=DIR or set RLNAS_DATA to a folder that holds cifar10/"
            if config.name == "cifar10"
            else "connect once to fill the cache, or use data=folder data.path=DIR"
        )
        problem = f"{what} is neither on disk nor downloadable, because {missing}"
        if config.when_missing == "error":
            raise RlnasError(
                f"{problem}; {cure}, or allow the embedded digits in its place with data.when_missing=fallback"
            ) from missing
        fallback = (
            f"{problem}, so the embedded digits (8x8) stand in for it; {cure}, or forbid this with "
            "data.when_missing=error"
        )
        logger.warning("%s", fallback)
        source, augmentation = digits(), DIGITS_AUGMENTATION
        decoded, valid = _read(source)
    return _split(source, decoded, valid, config, rng, device, augmentation, fallback)


def _read(source: Source) -> tuple[Decoded, Decoded | None]:
    """Read the training split and, if the source has one, the validation split."""
    decoded = source.train()
    if source.valid is None or "valid" not in decoded.splits:
        return decoded, None
    valid = source.valid()
    if valid.classes != decoded.classes:
        raise RlnasError(
            f"the validation split of {source.name} has other classes than its training split: expected "
            f"{', '.join(decoded.classes)}, got {', '.join(valid.classes)}; complete it"
        )
    return decoded, valid


def _is_grey(wanted: str, train: Images, given: Images | None, name: str) -> bool:
    """Return whether to convert all images to one channel: as configured; for `auto`, if all training images are grey.

    Raises RlnasError if validation images then have colours, which a network of one channel cannot use.
    """
    if wanted != "auto":
        return wanted == "grey"
    if train.coloured:
        return False
    if given is not None and given.coloured:
        raise RlnasError(
            f"all training images of {name} are grey, but {given.coloured:,} of its {len(given):,} validation images "
            "have colours; set data.channels=rgb to keep them, or data.channels=grey to take all as grey"
        )
    return True


def _source(config: DataConfig) -> Source:
    own_size = FIXED_SIZES.get(config.name)
    if own_size is not None and config.size not in (0, own_size):
        raise RlnasError(
            f"data.size={config.size} has no effect on data={config.name}, whose images are {own_size}x{own_size}; "
            "leave it out, or read the images with data=folder or data=hub, which resize them"
        )
    if config.name in SOURCES:
        return SOURCES[config.name](config)
    if "." not in config.name:
        raise RlnasError(
            f"data.name={config.name} is no data source; expected {', '.join(SOURCES)}, or the dotted path of a "
            "function of your own (data=yours data.name=package.module.function)"
        )
    source = make_own(config.name, "data.name", config.options)
    if not isinstance(source, Source):
        raise RlnasError(
            f"data.name={config.name} returned {type(source).__name__}, expected rlnas.data.sources.Source"
        )
    return source


def _cifar10(config: DataConfig) -> Source:
    return local_cifar10(config) or _hub_cifar10(config)


def _hub_cifar10(config: DataConfig) -> Source:
    wanted = dataclasses.replace(
        config, hub_id=CIFAR10_ID, hub_config="plain_text", image_column="img", label_column="label", size=CIFAR10_SIZE
    )
    return dataclasses.replace(hub(wanted), name="cifar10")


FIXED_SIZES = {"cifar10": CIFAR10_SIZE, "digits": 8}  # pixels; these sources do not resize

SOURCES: dict[str, Callable[[DataConfig], Source]] = {
    "cifar10": _cifar10,
    "digits": lambda _: digits(),
    "folder": folder,
    "hub": hub,
}


def _split(
    source: Source,
    decoded: Decoded,
    given: Decoded | None,
    config: DataConfig,
    rng: np.random.Generator,
    device: torch.device,
    augmentation: Augmentation,
    fallback: str | None,
) -> ImageData:
    grey = _is_grey(config.channels, decoded.images, None if given is None else given.images, source.name)

    def as_wanted(images: Images) -> Images:
        # Content order: neither the split nor the order of training depends on file names.
        return (images.grey() if grey else images).in_content_order()

    images, n = as_wanted(decoded.images), len(decoded.images)
    notes.refuse_equal_images(images, source.name, config.background)
    chosen = torch.from_numpy(rng.permutation(n))[: config.limit or n]  # limit > n: all
    given_images = None if given is None else as_wanted(given.images)
    n_valid = 0 if given is not None else round(config.valid * len(chosen))
    if not (given is not None or n_valid >= 1) or n_valid >= len(chosen):
        raise RlnasError(
            f"too few images: {len(chosen)} training images of {source.name} with data.valid={config.valid:g} and "
            f"data.limit={config.limit} leave {n_valid} for validation and {len(chosen) - n_valid} for training, at "
            "least one is needed for each; add images, or change data.valid or data.limit"
        )
    # Sorted, so that images are copied in memory order.
    valid = images.take(chosen[:n_valid].sort().values) if given_images is None else given_images
    train = images.take(chosen[n_valid:].sort().values)
    mean, std = statistics(train.pixels)
    _, channels, size, width = train.pixels.shape
    assert size == width, (size, width)

    training, valid_digests = set(train.digests()), valid.digests()
    seen = training.union(valid_digests)
    info = [*notes.about_splits(decoded.splits), *source.notes]
    info += notes.about_frames(decoded, "training") + ([] if given is None else notes.about_frames(given, "validation"))
    info += notes.about_colours(images, "training")
    info += notes.about_copies(valid_digests, "validation", training, "training")

    def read_test() -> Decoded:
        test = source.test()
        coloured = notes.about_lost_colours(test.images, "test") if grey else []
        test = dataclasses.replace(test, images=test.images.grey() if grey else test.images)
        new = notes.about_frames(test, "test") + notes.about_copies(
            test.images.digests(), "test", seen, "training or validation"
        )
        info.extend(note for note in coloured + new if note not in info)
        return test

    return ImageData(
        name=source.name,
        classes=decoded.classes,
        channels=channels,
        size=size,
        train=train.to(device),
        valid=valid.to(device),
        mean=mean.to(device),
        std=std.to(device),
        augmentation=augmentation,
        read_test=read_test,
        fallback=fallback,
        left_out=source.left_out,
        notes=info,
    )

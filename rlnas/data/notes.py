"""Notes on a data set for the user: its splits, duplicates, and images that were read in part."""

import torch

from rlnas.data.images import Decoded, Images
from rlnas.errors import RlnasError


def about_splits(splits: dict[str, str]) -> list[str]:
    """Describe which splits the source has, in sentences; [] for train and test. splits: as in `Decoded`."""
    notes = []
    if "valid" in splits:
        notes.append(f"the validation split is {splits['valid']}, as given; data.valid is not used")
    if "test" not in splits:
        origin = splits.get("train", "the images")
        notes.append(f"no test split is given: a fixed 15 % of each class of {origin} is held out as test split")
    if "unlabelled" in splits:
        notes.append(f"not read, because its images have no labels: the split {splits['unlabelled']}")
    if "unused" in splits:
        notes.append(f"not read, because they are neither train, validation nor test: {splits['unused']}")
    return notes


def about_frames(decoded: Decoded, split: str) -> list[str]:
    """Return the number of images with several frames, in one sentence, or []."""
    if not decoded.frames:
        return []
    return [f"{decoded.frames:,} {split} images have several frames or pages: the first one is used"]


def about_copies(digests: list[bytes], split: str, seen: set[bytes], others: str) -> list[str]:
    """Return the number of images that are exact copies of images of other splits, in one sentence, or [].

    Args:
        digests: of the split's decoded images.
        split: its name.
        seen: digests of the other splits.
        others: their names.
    """
    copies = sum(digest in seen for digest in digests)
    if not copies:
        return []
    return [
        f"{copies:,} of the {len(digests):,} {split} images are exact copies of {others} images: the {split} accuracy "
        "says less about new images"
    ]


def about_colours(images: Images, split: str) -> list[str]:
    """Return the number of images of a single colour, in one sentence, or []."""
    pixels = images.pixels.flatten(2)  # (n, c, h * w)
    plain = int((pixels == pixels[:, :, :1]).all(2).all(1).sum())
    return [f"{plain:,} of the {len(images):,} {split} images are of a single colour"] if plain else []


def about_lost_colours(images: Images, split: str) -> list[str]:
    """Return the number of coloured images that are converted to grey, in one sentence, or []."""
    if not images.coloured:
        return []
    return [
        f"{images.coloured:,} of the {len(images):,} {split} images have colours and are taken as grey, as the "
        "training images are (data.channels)"
    ]


def refuse_equal_images(images: Images, name: str, background: str) -> None:
    """Raise RlnasError if all images are equal, so that nothing can be learnt from them."""
    if len(images) > 1 and torch.equal(images.pixels, images.pixels[:1].expand_as(images.pixels)):
        raise RlnasError(
            f"all {len(images):,} training images of {name} are equal, expected different ones; probably they are "
            f"drawn in the colour of the ground that replaces transparency (data.background={background}): choose "
            "another one, such as black or grey, or look at the files"
        )

"""Which names mean a split, however they are spelled."""

import re
from collections.abc import Iterable

NAMES = {
    "train": ("train", "training", "trn"),
    "valid": ("val", "valid", "validation", "validate", "dev", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout", "held-out"),
}
ROLES = tuple(NAMES)
_SPELLINGS = {spelling: role for role, spellings in NAMES.items() for spelling in spellings}
# 1_train, Train-Set, val2017, test_images
_NAME = re.compile(
    rf"(?:\d{{1,3}}[-_ .]+)?({'|'.join(sorted(_SPELLINGS, key=len, reverse=True))})"
    r"(?:[-_ .]*(?:set|data|dataset|split|images|imgs|img))?(?:[-_ .]*\d{1,4})?"
)


def role_of(name: str) -> str | None:
    """The split that a name means: train, valid, test, or None. Case, numbers and words like "set" do not count."""
    match = _NAME.fullmatch(name.strip().casefold().replace("held_out", "held-out"))
    return _SPELLINGS[match[1]] if match else None


def by_role(names: Iterable[str]) -> dict[str, list[str]]:
    """The names that mean a split, under their roles."""
    found: dict[str, list[str]] = {}
    for name in names:
        if role := role_of(name):
            found.setdefault(role, []).append(name)
    return found

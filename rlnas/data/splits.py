"""Recognise the names of splits in their various spellings."""

import re
from collections.abc import Iterable

NAMES = {
    "train": ("train", "training", "trainings", "trn"),  # trains are vehicles
    "valid": ("val", "vals", "valid", "validation", "validations", "validate", "dev", "development"),
    "test": ("test", "tests", "testing", "tst", "eval", "evals", "evaluation", "evaluations", "holdout", "holdouts"),
}
ROLES = tuple(NAMES)
_SPELLINGS = {spelling: role for role, spellings in NAMES.items() for spelling in spellings}
# Words that carry no information on the content: train_set, images-test, x_val, train (copy).
_FILLERS = "set|sets|data|dataset|datasets|split|splits|image|images|imgs|img|folder|copy|version|v|x"
_FILLER = re.compile(_FILLERS)
_ROLE_WORD = re.compile(rf"({'|'.join(sorted(_SPELLINGS, key=len, reverse=True))})(?:{_FILLERS})?")  # trainset
_HELD_OUT = re.compile(r"(?<![a-z])h[eo]ld[\W_]*outs?(?![a-z])", re.IGNORECASE)
_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")  # trainA, TestImages


def role_of(name: str) -> str | None:
    """Return the split that a name means: train, valid, test, or None.

    The name means a split if its first or last word does, in any case, and no word means another split. Words are
    separated by anything but letters, and before a capital that follows a small letter.
    """
    words = _words(name)
    roles = [_role(word) for word in words]
    meant = {role for role in roles if role}
    return meant.pop() if len(meant) == 1 and (roles[0] or roles[-1]) else None


def is_plain(name: str) -> bool:
    """Return whether a name means a split and has no other meaning: `train_set`, but not `train_station`."""
    return role_of(name) is not None and not _rest(name)


def surely_splits(names: Iterable[str]) -> list[str]:
    """Return the names that certainly mean a split, in order: plain ones, and those that share their other words.

    Example: `cats_train` and `cats_test` together, but not `train_station` and `test_tube`.
    """
    roles = {name: role for name in names if (role := role_of(name))}
    rests: dict[tuple[str, ...], set[str]] = {}
    for name, role in roles.items():
        rests.setdefault(_rest(name), set()).add(role)
    return [name for name in roles if not _rest(name) or len(rests[_rest(name)]) > 1]


def by_role(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that mean a split, by role."""
    found: dict[str, list[str]] = {}
    for name in names:
        if role := role_of(name):
            found.setdefault(role, []).append(name)
    return found


def _words(name: str) -> list[str]:
    parted = _CASE.sub(" ", _HELD_OUT.sub(" holdout ", name))
    return re.findall(r"[^\W\d_]+", parted.casefold())


def _role(word: str) -> str | None:
    match = _ROLE_WORD.fullmatch(word)
    return _SPELLINGS[match[1]] if match else None


def _rest(name: str) -> tuple[str, ...]:
    """Return the words of a name that neither mean a split nor are fillers."""
    return tuple(word for word in _words(name) if not _role(word) and not _FILLER.fullmatch(word))

"""Which features the sampled architectures had, by round: the shares behind the figures, for any space.

`space.features(architecture)` names them. A text such as "layer3/operator": "conv3x3" is a choice: the part
before the last slash is its position, the part after it its factor; a key without a slash is a position of the
factor "value". A number in 0..1 such as "layer5/skip2" is a link: from 2 to layer5.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rlnas.report.run.numbers import thinned
from rlnas.runs.reader import Run
from rlnas.spaces import Space

MOST_ROUNDS, MOST_PER_ROUND, MOST_IN_ALL = 400, 2000, 10_000  # architectures; more change no share visibly
MOST_VALUES = 16  # of one factor; the rarest others are drawn together
OTHERS = "others"
Features = Mapping[str, str | float]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Factor:
    """A choice made at each of its positions: what it is called, and its values in the space's order."""

    title: str
    positions: tuple[str, ...]
    values: tuple[str, ...]

    def key(self, position: str) -> str:
        """The name of the feature."""
        return position if self.title == "value" else f"{position}/{self.title}"


@dataclass(frozen=True)
class Sampled:
    """Features of the sampled architectures: a list for each drawn round, and of the last round.

    thinned: whether some architectures were left out, evenly.
    """

    rounds: tuple[int, ...]
    features: tuple[tuple[Features, ...], ...]
    last: tuple[Features, ...]
    factors: tuple[Factor, ...]
    thinned: bool


@lru_cache(maxsize=1)
def sampled(run: Run) -> Sampled:
    """The features of a run's architectures. Raises RlnasError where the space cannot be built or read them."""
    space = run.space
    known: dict[str, Features] = {}

    def read(texts: Sequence[str], most: int) -> tuple[Features, ...]:
        chosen = [texts[index] for index in thinned(len(texts), most)]
        for text in chosen:
            if text not in known:
                known[text] = space.features(space.parse(text))
        return tuple(known[text] for text in chosen)

    by_round = {
        int(str(number).partition(".")[0]): list(texts)
        for number, texts in run.history.groupby("round")["architecture"]
    }
    every = sorted(by_round)
    rounds = [every[index] for index in thinned(len(every), MOST_ROUNDS)]
    most = max(MOST_IN_ALL // len(rounds), 20)
    features = tuple(read(by_round[number], most) for number in rounds)
    last = read(by_round[every[-1]], MOST_PER_ROUND)
    left_out = len(rounds) < len(every) or any(len(by_round[number]) > most for number in rounds)
    return Sampled(tuple(rounds), features, last, tuple(factors(space, known.values())), left_out)


def factors(space: Space, every: Iterable[Features]) -> list[Factor]:
    """The choices that these architectures made, in the order in which the features name them."""
    positions: dict[str, dict[str, None]] = {}
    seen: dict[str, Counter[str]] = {}
    for features in every:
        for key, value in features.items():
            if isinstance(value, str):
                position, slash, title = key.rpartition("/")
                position, title = (position, title) if slash else (key, "value")
                positions.setdefault(title, {})[position] = None
                seen.setdefault(title, Counter())[value] += 1
    found = []
    for title, places in positions.items():
        factor = Factor(title, tuple(sorted(places, key=natural) if _numbered(places) else places), ())
        in_order = space.feature_values(title) or ()
        known = [*in_order, *sorted(set(seen[title]) - set(in_order), key=natural)]
        if len(known) > MOST_VALUES:
            frequent = {value for value, _ in seen[title].most_common(MOST_VALUES - 1)}
            known = [*(value for value in known if value in frequent), OTHERS]
        found.append(Factor(title, factor.positions, tuple(known)))
    return found


def shares(factor: Factor, architectures: Sequence[Features], positions: Sequence[str]) -> Floats:
    """How often each value was chosen at these positions: (values,), of a sum of 1, or NaN where none was."""
    counts = Counter(
        str(features[factor.key(position)])
        for position in positions
        for features in architectures
        if factor.key(position) in features
    )
    table: Floats = np.array([float(counts.pop(value, 0)) for value in factor.values])
    if OTHERS in factor.values:
        table[-1] += counts.total()
    total = float(table.sum())
    share: Floats = table / total if total else np.full(len(table), np.nan)
    return share


def shares_by_round(factor: Factor, rounds: Sequence[Sequence[Features]]) -> Floats:
    """The share of each value over all positions: (rounds, values)."""
    return np.array([shares(factor, features, factor.positions) for features in rounds])


def shares_by_position(factor: Factor, architectures: Sequence[Features]) -> Floats:
    """The share of each value at each position: (values, positions)."""
    return np.stack([shares(factor, architectures, [position]) for position in factor.positions], axis=1)


@dataclass(frozen=True)
class Links:
    """How often each possible link was used: share, (to, from), NaN where there can be none."""

    name: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    share: Floats


def links(architectures: Sequence[Features]) -> Links | None:
    """The links of the most frequent kind, None without any."""
    found: dict[str, dict[tuple[str, str], list[float]]] = {}
    for features in architectures:
        for key, value in features.items():
            match = re.fullmatch(r"(.+)/(\D+)(\d+)", key)
            if match and not isinstance(value, str):
                found.setdefault(match[2], {}).setdefault((match[1], match[3]), []).append(float(value))
    if not found:
        return None
    name, cells = max(found.items(), key=lambda item: len(item[1]))
    targets = sorted({target for target, _ in cells}, key=natural)
    sources = sorted({source for _, source in cells}, key=natural)
    share = np.full((len(targets), len(sources)), np.nan)
    for (target, source), values in cells.items():
        share[targets.index(target), sources.index(source)] = np.mean(values)
    return Links(name.rstrip(" _-"), tuple(sources), tuple(targets), share)


def shortened(names: Sequence[str]) -> tuple[str, list[str]]:
    """What the names have in common, if only a number follows it, and the rest: layer1, layer2 are 1 and 2 of layer."""
    stems = {re.sub(r"\d+$", "", name) for name in names}
    if len(stems) == 1 and all(name[-1].isdecimal() for name in names):
        stem = stems.pop()
        return stem.rstrip(" _-/"), [name.removeprefix(stem) for name in names]
    return "", list(names)


def natural(name: str) -> list[tuple[bool, float, str]]:
    """A key for sorting by the numbers inside names: layer2 before layer10, -1 before 0.5."""
    try:
        return [(False, float(name), "")]
    except ValueError:
        parts = re.split(r"(\d+)", name)
        return [(True, int(part) if part.isdecimal() else -1.0, part) for part in parts]


def _numbered(names: Iterable[str]) -> bool:
    return bool(shortened(list(names))[0])

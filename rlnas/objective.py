"""The objective, limits and reward scale: the only place that decides which of two architectures is better.

The objective of an architecture is the weighted sum of terms, higher is better. A term is one of TERMS, any value or
cost by its name (params, flops, a value of the user's evaluator), or a user's function.

accuracy: what the evaluator measures, in 0..1 for images, in the table's unit.
accuracy_cubed: its cube, which increases differences between good architectures (Zoph & Le 2017, section 4.1).
soft_accuracy: mean probability of the right class, in 0..1; of evaluators of images (rlnas.evaluators.measures).
log_likelihood: mean log-probability of the right class in nats, each image's at least -4; of the same evaluators. On
    the same images it ranks architectures better than the accuracy.
log_flops: natural logarithm of the FLOPs, which must be positive. Its weight is what e times (2.7 times) the FLOPs is
    worth: positive where larger networks are expected to be better (with a limit), negative to save cost.
log_params: the same of the number of parameters.
skip_divergence (target): KL(Bernoulli(skip rate of the architecture) || Bernoulli(target)) in nats, 0 in a space
    without skips; its weight is negative. ENAS (section 3.2) penalises the policy's probabilities instead; that form
    needs the lstm policy and is `skip_weight` in conf/controller/reinforce.yaml. This one works for every controller.

Any term may have `search_only: true`: it then counts in the search, where scores with hardly trained shared weights
favour some architectures, but not when the candidates are scored again and one is chosen.

An entropy bonus is not a term of the objective but of the policy's loss (`ent_coef` of the controllers).

history.csv's column `reward` is the objective. Learners receive it through a `Scale`, so that their options do not
depend on a table's unit or spread. Strategies that only compare read the objective itself.
"""

import bisect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlnas.config.own import load_own
from rlnas.config.schema import ObjectiveConfig
from rlnas.errors import RlnasError
from rlnas.spaces import Architecture, Space

Values = Mapping[str, float | None]
Term = Callable[..., float]  # term(features, values, **options)


def _accuracy_cubed(features: Mapping[str, Any], values: Values) -> float:
    return _known(values, "accuracy") ** 3


def _value(name: str) -> Term:
    """Return the term that is the evaluator's value of this name."""
    return lambda features, values: _known(values, name)


def _log(cost: str) -> Term:
    """Return the term that is the natural logarithm of this cost."""

    def log(features: Mapping[str, Any], values: Values) -> float:
        amount = _known(values, cost)
        if amount <= 0:
            raise RlnasError(
                f"objective.terms.log_{cost}: an architecture has {cost}={amount:g}, which has no logarithm; give the "
                f"term {cost} instead"
            )
        return math.log(amount)

    return log


def _skip_divergence(features: Mapping[str, Any], values: Values, target: float = 0.4) -> float:
    if not 0 < target < 1:
        raise RlnasError(f"objective.terms.skip_divergence.target is {target}, expected a number between 0 and 1")
    return skip_divergence(features["skip_rate"], target) if "skip_rate" in features else 0.0


TERMS: dict[str, Term] = {
    "accuracy": _value("accuracy"),
    "accuracy_cubed": _accuracy_cubed,
    "soft_accuracy": _value("soft_accuracy"),
    "log_likelihood": _value("log_likelihood"),
    "log_flops": _log("flops"),
    "log_params": _log("params"),
    "skip_divergence": _skip_divergence,
}
_FEATURES = {"skip_divergence"}  # terms that read features, which take longer to compute than everything else


def skip_divergence(rate: float, target: float) -> float:
    """Return KL(Bernoulli(rate) || Bernoulli(target)) in nats, for rate in [0, 1] and target in (0, 1)."""
    terms = ((rate, target), (1 - rate, 1 - target))
    return sum(p * math.log(p / q) for p, q in terms if p > 0)


@dataclass(frozen=True)
class _Part:
    """One configured term."""

    name: str
    weight: float
    function: Term
    options: Mapping[str, Any]
    reads_features: bool
    search_only: bool


class Objective:
    """Computes the value of an architecture and checks the limits; see the module.

    Raises RlnasError for a wrong term, option or limit.
    """

    def __init__(self, config: ObjectiveConfig, space: Space):
        self.space = space
        self.parts = [_part(name, given) for name, given in config.terms.items()]
        self.limits = {name: _number(f"objective.limits.{name}", most) for name, most in config.limits.items()}

    def __call__(self, architecture: Architecture, values: Values, *, final: bool = False) -> float:
        """Return the weighted sum of the terms.

        values: the evaluator's measurements and the architecture's costs, by name. final: omit the terms with
        `search_only`.
        """
        return sum(self.terms(architecture, values, final=final).values())

    def terms(self, architecture: Architecture, values: Values, *, final: bool = False) -> dict[str, float]:
        """Return each term times its weight, by name."""
        parts = [part for part in self.parts if not (final and part.search_only)]
        features = self.space.features(architecture) if any(part.reads_features for part in parts) else {}
        return {part.name: part.weight * self._term(part, features, values) for part in parts}

    def penalty(self, architecture: Architecture) -> float:
        """Return the skip penalty: minus the weighted term skip_divergence, 0 without it."""
        parts = [part for part in self.parts if part.name == "skip_divergence"]
        features = self.space.features(architecture) if parts else {}
        return 0.0 - sum(part.weight * self._term(part, features, {}) for part in parts)

    def allows(self, architecture: Architecture, costs: Values) -> bool:
        """Return whether every limited cost is at most its limit; raise RlnasError if one is not known."""
        return not self.excess(costs)

    def excess(self, costs: Values) -> dict[str, float]:
        """Return each limited cost that is above its limit; raise RlnasError if a limited cost is not known."""
        known = {name: _known(costs, name) for name in self.limits}
        return {name: cost for name, cost in known.items() if not cost <= self.limits[name]}

    def _term(self, part: _Part, features: Mapping[str, Any], values: Values) -> float:
        try:
            return float(part.function(features, values, **part.options))
        except TypeError as error:
            raise RlnasError(f"objective.terms.{part.name} with {dict(part.options)}: {error}") from None


def deciding(terms: Mapping[str, Any]) -> list[str]:
    """Return the names of the terms, as configured, that count when a candidate is chosen: those not `search_only`."""
    return [name for name, given in terms.items() if not (isinstance(given, Mapping) and given.get("search_only"))]


def _part(name: str, given: Any) -> _Part:
    """Build the configured term `name`: a weight, or {weight, search_only, term, and options of the term}."""
    options = dict(given) if isinstance(given, Mapping) else {"weight": given}
    weight = _number(f"objective.terms.{name}.weight", options.pop("weight", 1.0))
    own, search_only = options.pop("term", None), options.pop("search_only", False)
    if not isinstance(search_only, bool):
        raise RlnasError(f"objective.terms.{name}.search_only is {search_only}, expected true or false")
    if own is not None:
        function = load_own(str(own), f"objective.terms.{name}.term")
        return _Part(name, weight, function, options, reads_features=True, search_only=search_only)
    if name in TERMS:
        return _Part(name, weight, TERMS[name], options, name in _FEATURES, search_only)
    if options:
        raise RlnasError(
            f"objective.terms.{name} has {', '.join(options)}, but a plain value takes weight and search_only alone; "
            f"the terms with options are {', '.join(TERMS)}, and your own by term: package.module.function"
        )
    return _Part(name, weight, _value(name), {}, reads_features=False, search_only=search_only)


def _known(values: Values, name: str) -> float:
    """Return a value by name; raise RlnasError if it is not known."""
    value = values.get(name)
    if value is None:
        known = ", ".join(sorted(key for key, found in values.items() if found is not None))
        # a term's own value is spelled right, so its evaluator does not measure it; else a term may have been meant
        rest = "; set an objective of these" if name in TERMS else f", and the terms {', '.join(TERMS)}"
        raise RlnasError(
            f"the objective needs '{name}', which is not known of an architecture here; known are {known}{rest}"
        )
    return value


def _number(key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise RlnasError(f"{key} is {value}, expected a number")
    return number


class Means:
    """The mean and number of the values observed of each architecture.

    All architectures are kept: one that left the best after a low second value must not return on its third value
    alone.
    """

    def __init__(self) -> None:
        self.known: dict[Architecture, tuple[float, int]] = {}  # mean and number of the values, first seen first
        self._places: dict[Architecture, int] = {}  # when each was first seen
        self._order: list[tuple[float, int, Architecture]] = []  # best first: (-mean, place, architecture)

    def add(self, architecture: Architecture, value: float) -> None:
        """Add one value. Takes time logarithmic in the number of architectures, plus a move in memory.

        The mean of equal values is exactly that value, which a sum divided by their number is not.
        """
        mean, count = self.known.get(architecture, (0.0, 0))
        place = self._places.setdefault(architecture, len(self._places))
        if count:
            del self._order[bisect.bisect_left(self._order, (-mean, place))]
        mean += (value - mean) / (count + 1)
        self.known[architecture] = (mean, count + 1)
        bisect.insort(self._order, (-mean, place, architecture))

    def mean(self, architecture: Architecture) -> float:
        """Return the mean of an architecture that was observed."""
        return self.known[architecture][0]

    def best(self, count: int, allowed: Callable[[Architecture], bool] = lambda _: True) -> list[Architecture]:
        """Return the `count` allowed architectures with the highest means, best first; among equals the earlier."""
        found = (architecture for _, _, architecture in self._order if allowed(architecture))
        return list(itertools.islice(found, count))

    def state(self, space: Space) -> dict[str, Any]:
        """Return every mean and count as plain data."""
        return {"means": [(space.text(architecture), *pair) for architecture, pair in self.known.items()]}

    def restore(self, state: dict[str, Any], space: Space) -> None:
        """Restore what `state` returned."""
        self.known = {space.parse(text): (mean, count) for text, mean, count in state["means"]}
        self._places = {architecture: place for place, architecture in enumerate(self.known)}
        self._order = sorted(
            (-self.mean(architecture), place, architecture) for architecture, place in self._places.items()
        )


class Scale:
    """Converts objectives to the rewards that learners receive.

    kind: `none`: the objective itself, suited to accuracies of children, which lie in 0..1 and whose spread is
        informative. `standard`: minus the mean of all so far, over their standard deviation. `rank`: the share of all
        so far that are lower, ties count half, in 0..1: an outlier changes it by one place, and it does not flatten
        among good architectures, where differences are smallest. `mean_rank`: the same share for the mean of all
        values of this architecture so far: a table of noisy repeats returns another value at each query, so a policy
        that samples an architecture again is rewarded for its mean, not for one high draw. Without noise or
        repetition it equals `rank`.
    seen: architectures scored before this process started, with their objectives.
    """

    def __init__(self, kind: str, seen: Iterable[tuple[Architecture, float]] = ()):
        self.kind = kind
        self._sorted: list[float] = []
        self._means = Means()
        self._count, self._mean, self._squares = 0, 0.0, 0.0  # Welford's running moments
        for architecture, value in seen:
            self._add(architecture, value)

    def batch(self, architectures: Sequence[Architecture], values: Sequence[float]) -> list[float]:
        """Return the rewards of a batch, whose own values count among those so far."""
        for architecture, value in zip(architectures, values, strict=True):
            self._add(architecture, value)
        return [self.reward(architecture, value) for architecture, value in zip(architectures, values, strict=True)]

    def reward(self, architecture: Architecture, value: float) -> float:
        """Return the reward of a scored architecture, given all values so far."""
        if self.kind == "rank":
            return self._rank(value)
        if self.kind == "mean_rank":
            return self._rank(self._means.mean(architecture))
        if self.kind == "standard":
            deviation = math.sqrt(self._squares / self._count) if self._count else 0.0
            return (value - self._mean) / deviation if deviation else 0.0
        return value

    @property
    def moves(self) -> bool:
        """Whether the reward of a value changes with later values."""
        return self.kind != "none"

    def _add(self, architecture: Architecture, value: float) -> None:
        if self.kind in ("rank", "mean_rank"):
            bisect.insort(self._sorted, value)
        if self.kind == "mean_rank":
            self._means.add(architecture, value)
        if self.kind == "standard":
            self._count += 1
            step = value - self._mean
            self._mean += step / self._count
            self._squares += step * (value - self._mean)

    def _rank(self, value: float) -> float:
        lower = bisect.bisect_left(self._sorted, value)
        equal = bisect.bisect_right(self._sorted, value) - lower
        return (lower + equal / 2) / len(self._sorted)

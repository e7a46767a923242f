"""Predicts the stand-alone value of children from their features, costs and score with the shared weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rlnas.config.schema import SurrogateConfig
from rlnas.errors import RlnasError
from rlnas.evaluators.base import Draw, Score, SelectingEvaluator, Training
from rlnas.evaluators.labels import choose_labels
from rlnas.evaluators.prediction import (
    FEWEST,
    Predictor,
    Row,
    choose_full,
    compact_columns,
    fit,
    full_columns,
    kendall,
    leave_one_out,
    log_costs,
)
from rlnas.seeding import numpy_stream
from rlnas.spaces import Architecture
from rlnas.spaces.networks import Networks


class SurrogateEvaluator(SelectingEvaluator):
    """A model fitted to short stand-alone trainings, the labels, on top of another evaluator's scores.

    A score has the values of `inner` and three more: `predicted` and `uncertainty`, posterior mean and standard
    deviation of the value `config.target` after `config.epochs` of training alone, and `surrogate`, the mean minus
    `config.caution` standard deviations. After a training alone all of them follow from its own measurement.

    Labels are measured at the first `evaluate`, so after the warm-up, and again at the first `evaluate` after every
    `config.refit_rounds` calls of `train`. The regression is computed anew whenever the weights or the labels change,
    from the labels' scores with the current weights: it follows from the state, so it is not part of it.
    """

    def __init__(self, config: SurrogateConfig, inner: SelectingEvaluator, networks: Networks, *, seed: int):
        self.config = config
        self.inner = inner
        self.networks = networks
        self.default_scale = inner.default_scale
        self.checkpoint_seconds = inner.checkpoint_seconds
        self.value_names = (*inner.value_names, "predicted", "uncertainty", "surrogate")
        self._seed = seed
        self._labels: dict[Architecture, tuple[float | None, str]] = {}  # value (None: diverged) and source
        self._fits: list[dict[str, Any]] = []  # what each fit to new labels was worth
        self._trainings = 0  # calls of `train` since the last labels
        self._scored: dict[Architecture, float] = {}  # predictions since the last labels
        self._models: dict[str, tuple[tuple[int, int], Predictor]] = {}  # by the images scored: what for, model

    @property
    def version(self) -> int:  # type: ignore[override]
        """Changes with the version of `inner` and with every measurement of labels, also one that is still due."""
        return self.inner.version + len(self._fits) + self._due

    @property
    def _due(self) -> bool:
        """Whether new labels are measured before the next score."""
        every = self.config.refit_rounds
        return not self._fits or (every > 0 and self._trainings >= every)

    def train(self, draw: Draw, epoch: float) -> Training | None:
        """Train `inner`."""
        self._trainings += 1
        return self.inner.train(draw, epoch)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return the scores of `inner` with predictions; measures labels first when they are due."""
        if not architectures:
            return []
        if self._due:
            self._measure_labels()
        found = self._predicted(architectures, fully=False)
        predictions = [score.values["predicted"] for score in found]
        self._scored |= dict(zip(architectures, predictions, strict=True))
        return found

    def evaluate_fully(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return the scores of `inner` on the whole validation split, with predictions by a model fitted to those."""
        if not self._fits:  # the budget ended before the first round
            self._measure_labels()
        return self._predicted(architectures, fully=True)

    def evaluate_alone(
        self,
        architectures: Sequence[Architecture],
        epochs: float,
        *,
        from_shared: bool = True,
        repeats: Sequence[int] | None = None,
    ) -> Iterator[Score]:
        """Yield the scores of `inner`; `surrogate` and `predicted` are the measured value, without uncertainty.

        So finalists are compared by what they measured. A diverged training counts as the lowest label if it has no
        value of its own.
        """
        for score in self.inner.evaluate_alone(architectures, epochs, from_shared=from_shared, repeats=repeats):
            measured = self._target(score)
            yield _with(score, measured, 0.0, measured)

    def fitted_to(self) -> frozenset[Architecture]:
        """Return the labelled architectures."""
        return frozenset(self._labels)

    def costs(self, architecture: Architecture) -> Mapping[str, float | None]:
        """Return those of `inner`."""
        return self.inner.costs(architecture)

    def conclude(self, found: Architecture, scored: Sequence[Architecture]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return those of `inner`, and `surrogate`: the labels and how well each fit ranked them."""
        about, about_best = self.inner.conclude(found, scored)
        text = self.networks.space.text
        labels = [
            {"architecture": text(architecture), "value": value, "source": source}
            for architecture, (value, source) in self._labels.items()
        ]
        mine = {"model": self.config.model, "target": self.config.target, "fits": self._fits, "labels": labels}
        return {**about, "surrogate": mine}, about_best

    def state(self) -> dict[str, Any]:
        """Return the state of `inner` and all that fits and labels depend on."""
        text = self.networks.space.text
        return {
            "inner": self.inner.state(),
            "labels": [(text(one), value, source) for one, (value, source) in self._labels.items()],
            "fits": self._fits,
            "trainings": self._trainings,
            "scored": [(text(one), predicted) for one, predicted in self._scored.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        parse = self.networks.space.parse
        self.inner.restore(state["inner"])
        self._labels = {parse(text): (value, source) for text, value, source in state["labels"]}
        self._fits = list(state["fits"])
        self._trainings = state["trainings"]
        self._scored = {parse(text): predicted for text, predicted in state["scored"]}
        self._models = {}

    # -- labels ------------------------------------------------------------------------------------------

    def _measure_labels(self) -> None:
        """Train architectures from scratch and fit to all labels so far. Raises RlnasError if too few succeed.

        The first ones are all drawn at random: there is no prediction yet that could choose them.
        """
        config = self.config
        chosen = choose_labels(
            self.networks.space,
            lambda architecture: self.networks.cost(architecture).flops,
            config.labels,
            config.random_share if self._fits else 1.0,
            self._scored,
            self._labels,
            numpy_stream(self._seed, f"labels/{len(self._fits) + 1}"),
        )
        self.say(f"surrogate: {len(chosen)} architectures are trained alone as labels, {config.epochs:g} epochs each")
        trained = self.inner.evaluate_alone(list(chosen), config.epochs, from_shared=False)
        measured: dict[Architecture, tuple[float | None, str]] = {}
        for (architecture, source), score in zip(chosen.items(), trained, strict=True):
            if score.failed:  # says nothing about how good the others are
                self.say(f"surrogate: a label is left out: {score.failed}")
            measured[architecture] = (None if score.failed else self._target(score), source)
        labels = {**self._labels, **measured}
        usable = sum(value is not None for value, _ in labels.values())
        if usable < FEWEST:
            raise RlnasError(
                f"the surrogate has {usable} usable labels of {len(labels)}, expected at least {FEWEST}; "
                + (
                    "trainings alone diverge: lower child.learning_rate"
                    if usable < len(labels)
                    else f"space={self.networks.space.name} has too few architectures: set evaluator=standalone"
                )
            )
        self._labels, self._trainings, self._scored = labels, 0, {}
        self._fits = [*self._fits, self._appraise()]

    def _appraise(self) -> dict[str, Any]:
        """Return how well leave-one-out predictions, FLOPs and shared scores rank the labels; print a line of it."""
        kind = self.config.model
        architectures, values = self._usable()
        shared = [dict(score.values) for score in self.inner.evaluate(architectures)]
        pairs = list(zip(architectures, shared, strict=True))
        compact, full = ([self._row(*pair, full=full) for pair in pairs] for full in (False, True))
        use_full = choose_full(kind, compact, full, values)
        tau = kendall(leave_one_out(kind, full if use_full else compact, values), values)
        flops_tau = kendall([self.networks.cost(architecture).flops for architecture in architectures], values)
        shared_tau = {name: kendall([row[name] for row in shared], values) for name in shared[0]}
        beside = {"FLOPs": flops_tau, **{f"shared {name}": found for name, found in shared_tau.items()}}
        self.say(
            f"surrogate: {len(values)} labels, leave-one-out tau {_shown(tau)}, "
            + ", ".join(f"{name} {_shown(found)}" for name, found in beside.items())
        )
        return {
            "labels": len(values),
            "diverged": len(self._labels) - len(values),
            "columns": "full" if use_full else "compact",
            "tau": tau,
            "flops_tau": flops_tau,
            "shared_tau": shared_tau,
        }

    def _usable(self) -> tuple[list[Architecture], list[float]]:
        """Return the labelled architectures whose training did not diverge, and their values."""
        known = [(architecture, value) for architecture, (value, _) in self._labels.items() if value is not None]
        return [architecture for architecture, _ in known], [value for _, value in known]

    def _target(self, score: Score) -> float:
        name = self.config.target
        if name in score.values:
            return score.values[name]
        if score.failed:
            return min((value for value, _ in self._labels.values() if value is not None), default=0.0)
        raise RlnasError(
            f"evaluator.target is '{name}', which a training alone does not measure; known are "
            f"{', '.join(score.values)}"
        )

    # -- predictions -------------------------------------------------------------------------------------

    def _predicted(self, architectures: Sequence[Architecture], *, fully: bool) -> list[Score]:
        """Return the scores of `inner` with predictions from them."""
        score = self.inner.evaluate_fully if fully else self.inner.evaluate
        model = self._model(fully=fully)
        scores = score(architectures)
        full = self._fits[-1]["columns"] == "full"
        rows = [self._row(one, found.values, full=full) for one, found in zip(architectures, scores, strict=True)]
        return [
            _with(found, mean, deviation, mean - self.config.caution * deviation)
            for found, (mean, deviation) in zip(scores, model.predict(rows), strict=True)
        ]

    def _model(self, *, fully: bool) -> Predictor:
        """Return the model of the current weights and labels. Scores on other images get a model of their own."""
        which, basis = "fully" if fully else "search", (self.inner.version, len(self._labels))
        known = self._models.get(which)
        if known is None or known[0] != basis:
            architectures, values = self._usable()
            scores = self.inner.evaluate_fully(architectures) if fully else self.inner.evaluate(architectures)
            full = self._fits[-1]["columns"] == "full"
            pairs = zip(architectures, scores, strict=True)
            rows = [self._row(architecture, score.values, full=full) for architecture, score in pairs]
            known = self._models[which] = (basis, fit(self.config.model, rows, values))
        return known[1]

    def _row(self, architecture: Architecture, shared: Mapping[str, float], *, full: bool) -> Row:
        """Return the inputs of the model: features, log costs and the scores with the shared weights."""
        features = self.networks.space.features(architecture)
        columns = full_columns(features) if full else compact_columns(features)
        scores = {f"shared/{name}": value for name, value in shared.items()}
        return {**columns, **log_costs(self.networks.cost(architecture)), **scores}


def _with(score: Score, predicted: float, uncertainty: float, surrogate: float) -> Score:
    more = {"predicted": predicted, "uncertainty": uncertainty, "surrogate": surrogate}
    return replace(score, values={**score.values, **more})


def _shown(tau: float | None) -> str:
    return "none" if tau is None else f"{tau:.2f}"

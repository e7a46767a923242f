"""Any sampler of Optuna (Akiba et al. 2019) as a strategy: one trial an architecture, with Optuna's ask and tell.

Each decision is a parameter of the trial. Its name holds the choices that are legal after the earlier ones,
`step2/choice1: 0,2,3`, because Optuna allows a parameter one set of values only. So every trial is a legal
architecture, and a decision whose legal choices depend on earlier ones is several parameters, of which a trial has one.
"""

import contextlib
import inspect
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.controllers.strategy import in_order
from rlnas.envs.scorer import Outcome
from rlnas.errors import RlnasError
from rlnas.spaces import Architecture, Space
from rlnas.spaces.process import legal_values

PARAMETERS = ("categorical", "integer")
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
PICKLED = ("CmaEsSampler",)
UNORDERED = ("QMCSampler",)  # they draw categorical parameters at random
REPEATS = ("keep", "random", "neighbour")
REDRAWN = 20  # draws, at most, in place of a repeat
GRID_LIMIT = 100_000  # architectures that GridSampler lists


def optuna_module() -> ModuleType:
    """Return the package optuna; raise RlnasError if it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the packages it imports
            import optuna
    except ImportError as error:
        raise RlnasError(
            f"controller=optuna needs the package optuna, which cannot be imported ({error}); "
            "install it: pip install -e '.[optuna]'"
        ) from None
    return optuna  # type: ignore[no-any-return, unused-ignore]


class OptunaSearch:
    """Proposes what a sampler of Optuna suggests, and tells it the objective or several objectives.

    sampler: a class of optuna.samplers. options: of its constructor, without `seed`. objectives: None: the run's
    objective; otherwise names of values and costs of a score, such as accuracy and flops, or `objective`, each to be
    maximised, or minimised if a minus precedes it: [accuracy, -flops]. parameters: `categorical`, or `integer`: the
    choices in order, for samplers of numbers. repeats: what becomes of a suggestion that was scored before. `keep`: it
    is scored again, as Optuna does. `random`, `neighbour`: it counts as a failed trial, and the next trial is a random
    architecture, or a mutation of it, that was not scored, if REDRAWN draws find one.

    A sampler is constructed anew for each batch, with a seed drawn from `rng`: so the study's trials are all that the
    next proposal depends on. What a sampler keeps of them besides its generator, it stores in the study.
    """

    fits = True

    def __init__(
        self,
        space: Space,
        rng: np.random.Generator,
        sampler: str = "TPESampler",
        options: Mapping[str, Any] = NO_OPTIONS,
        objectives: Sequence[str] | None = None,
        parameters: str = "categorical",
        repeats: str = "neighbour",
    ):
        self.optuna = optuna_module()
        self.space, self.rng = space, rng
        if parameters not in PARAMETERS:
            raise RlnasError(f"controller.params.parameters is '{parameters}', expected {' or '.join(PARAMETERS)}")
        self.parameters = parameters
        if repeats not in REPEATS:
            raise RlnasError(f"controller.params.repeats is '{repeats}', expected one of {', '.join(REPEATS)}")
        self.repeats = repeats
        self.objectives = _objectives(objectives)
        if not isinstance(options, Mapping):
            raise RlnasError(
                f"controller.params.options is {options!r}, expected arguments of the sampler by name, such as "
                "{n_startup_trials: 20}"
            )
        self.made, self.options = sampler, dict(options)
        self.sampler_class = self._sampler_class()
        self.asked: list[tuple[Architecture, Any]] = []  # with their trials
        self.known: set[Architecture] = set()  # scored ones
        with self._quietly():
            self.study = self._new_study()
            self.study.sampler = self._new_sampler(0)

    # -- the sampler -----------------------------------------------------------------------------------------

    def _sampler_class(self) -> Any:
        samplers = self.optuna.samplers
        known = sorted(name for name in dir(samplers) if name.endswith("Sampler") and name != "BaseSampler")
        if self.made not in known:
            raise RlnasError(
                f"controller.params.sampler is '{self.made}', expected a class of optuna.samplers "
                f"(optuna {self.optuna.__version__}): {', '.join(known)}"
            )
        if self.made in PICKLED:
            raise RlnasError(
                f"controller.params.sampler={self.made} keeps its state as a pickle, which nothing here loads, so the "
                "search could not be resumed; take TPESampler, or GPSampler of optuna 4"
            )
        if self.made in UNORDERED and self.parameters == "categorical":
            raise RlnasError(
                f"controller.params.sampler={self.made} draws categorical parameters at random; "
                "set controller.params.parameters=integer, or take RandomSampler"
            )
        found = getattr(samplers, self.made)
        accepted = inspect.signature(found.__init__).parameters
        grid = self.made == "GridSampler"
        known_options = sorted(set(accepted) - {"self", "seed", *(["search_space"] if grid else [])})
        for name in self.options:
            if name not in known_options:
                raise RlnasError(
                    f"unknown key controller.params.options.{name}; "
                    f"{self.made} has {', '.join(known_options) or 'none'}"
                )
        if grid:
            self.options["search_space"] = self._grid()
        missing = [
            name
            for name, given in accepted.items()
            if given.default is given.empty
            and given.kind in (given.POSITIONAL_OR_KEYWORD, given.KEYWORD_ONLY)
            and name not in {"self", *self.options}
        ]
        if missing:
            raise RlnasError(
                f"controller.params.sampler={self.made} cannot be constructed without {', '.join(missing)}; give "
                "controller.params.options, or take another sampler"
            )
        self.seeded = "seed" in accepted
        return found

    def _grid(self) -> dict[str, list[int]]:
        """Return GridSampler's search space: the values of each parameter."""
        space = self.space
        names: dict[str, list[int]] = {}
        made = np.zeros((space.steps, len(space.nvec)), dtype=np.int64)
        product = 1
        for step in range(space.steps):
            for component, legal in enumerate(legal_values(space, made[:step])):
                made[step, component] = legal[0]
                if len(legal) > 1:
                    values = legal.tolist() if self.parameters == "categorical" else list(range(len(legal)))
                    names[_name(step, component, legal)] = values
                    product *= len(legal)
        if product != space.size or product > GRID_LIMIT:
            raise RlnasError(
                f"controller.params.sampler=GridSampler lists the whole space: it needs independent decisions and at "
                f"most {GRID_LIMIT:,} architectures, which space={space.name} has not; take RandomSampler"
            )
        return names

    def _new_sampler(self, seed: int) -> Any:
        options = {**self.options, **({"seed": seed} if self.seeded else {})}
        try:
            return self.sampler_class(**options)
        except (TypeError, ValueError, ImportError) as error:
            raise RlnasError(
                f"controller.params.sampler={self.made} refused controller.params.options={self.options}: {error}"
            ) from error

    def _new_study(self) -> Any:
        directions = ["maximize"] * len(self.objectives or ("objective",))
        study = self.optuna.create_study(storage=self.optuna.storages.InMemoryStorage(), directions=directions)
        study.stop = lambda: None  # of samplers that visited everything; the budget ends a search here
        return study

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """Without Optuna's messages, and with the global generators as they were: some samplers draw from them."""
        logging = self.optuna.logging
        level, here, there = logging.get_verbosity(), random.getstate(), np.random.get_state()  # noqa: NPY002
        logging.set_verbosity(logging.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.set_verbosity(level)
            random.setstate(here)
            np.random.set_state(there)  # noqa: NPY002

    # -- proposals -------------------------------------------------------------------------------------------

    def ask(self, count: int) -> list[Architecture]:
        """Propose the architectures of the next trials."""
        self.asked = self._suggested(self.study, count)
        return [architecture for architecture, _ in self.asked]

    def _suggested(self, study: Any, count: int) -> list[tuple[Architecture, Any]]:
        seed = int(self.rng.integers(2**31))
        with self._quietly():
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            study.sampler = self._new_sampler(seed)
            taken = set(self.known)
            return [self._untaken(study, taken) for _ in range(count)]

    def _untaken(self, study: Any, taken: set[Architecture]) -> tuple[Architecture, Any]:
        """Return the sampler's suggestion, or another one if it is taken and `repeats` says so; take it."""
        found = self._suggestion(study.ask())
        other = found[0]
        for _ in range(REDRAWN if self.repeats != "keep" else 0):
            if other not in taken:
                break
            other = self.space.sample(self.rng) if self.repeats == "random" else self.space.mutate(other, self.rng)
        if other != found[0]:
            study.tell(found[1], state=self.optuna.trial.TrialState.FAIL)
            study.enqueue_trial(self._named(other))
            found = self._suggestion(study.ask())
        taken.add(found[0])
        return found

    def _named(self, architecture: Architecture) -> dict[str, int]:
        """Return the parameters of an architecture's trial."""
        actions = self.space.actions(architecture)
        return {
            _name(step, component, legal): (
                int(actions[step, component])
                if self.parameters == "categorical"
                else int(np.searchsorted(legal, actions[step, component]))
            )
            for step in range(self.space.steps)
            for component, legal in enumerate(legal_values(self.space, actions[:step]))
            if len(legal) > 1
        }

    def _suggestion(self, trial: Any) -> tuple[Architecture, Any]:
        """Return the architecture of a new trial, whose parameters are suggested step by step, and the trial."""
        space = self.space
        actions = np.zeros((space.steps, len(space.nvec)), dtype=np.int64)
        for step in range(space.steps):
            for component, legal in enumerate(legal_values(space, actions[:step])):
                actions[step, component] = self._value(trial, step, component, legal)
        return space.architecture(actions), trial

    def _value(self, trial: Any, step: int, component: int, legal: NDArray[np.int64]) -> int:
        if len(legal) == 1:
            return int(legal[0])
        name = _name(step, component, legal)
        if self.parameters == "integer":
            return int(legal[trial.suggest_int(name, 0, len(legal) - 1)])
        return int(trial.suggest_categorical(name, legal.tolist()))

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Tell the study the values of its trials; those that are not finite count as failed."""
        architectures = [architecture for architecture, _ in self.asked]
        with self._quietly():
            for (_, trial), outcome in zip(self.asked, in_order(architectures, outcomes), strict=True):
                values = self._values(outcome)
                self.known.add(outcome.architecture)
                if np.isfinite(values).all():
                    self.study.tell(trial, values)
                else:
                    self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        self.asked = []

    def _values(self, outcome: Outcome) -> list[float]:
        if self.objectives is None:
            return [outcome.objective]
        known = {**outcome.costs, **outcome.score.values, "objective": outcome.objective}
        values = []
        for sign, name in self.objectives:
            value = known.get(name)
            if value is None:
                names = ", ".join(sorted(key for key, number in known.items() if number is not None))
                raise RlnasError(f"controller.params.objectives has {name}, which no score has; known are {names}")
            values.append(sign * float(value))
        return values

    def sample(self, count: int) -> list[Architecture]:
        """Sample architectures that the sampler would propose next, from a copy of the study."""
        with self._quietly():
            study = self._copied(self._trials(), self._attributes())
        return [architecture for architecture, _ in self._suggested(study, count)]

    # -- state -----------------------------------------------------------------------------------------------

    def _trials(self) -> list[dict[str, Any]]:
        finished = (trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished())
        return [
            {"params": dict(trial.params), "values": trial.values, "attributes": dict(trial.system_attrs)}
            for trial in finished
        ]

    def _attributes(self) -> dict[str, Any]:
        storage = self.study._storage
        return dict(storage.get_study_system_attrs(self.study._study_id))

    def _copied(self, trials: Sequence[Mapping[str, Any]], attributes: Mapping[str, Any]) -> Any:
        """Return a new study with these trials."""
        study, state = self._new_study(), self.optuna.trial.TrialState
        for trial in trials:
            study.add_trial(
                self.optuna.trial.create_trial(
                    state=state.FAIL if trial["values"] is None else state.COMPLETE,
                    values=trial["values"],
                    params=dict(trial["params"]),
                    distributions={name: self._distribution(name) for name in trial["params"]},
                    system_attrs=dict(trial["attributes"]),
                )
            )
        for name, value in attributes.items():
            study._storage.set_study_system_attr(study._study_id, name, value)
        return study

    def _distribution(self, name: str) -> Any:
        distributions = self.optuna.distributions
        values = [int(value) for value in name.rpartition(": ")[2].split(",")]
        if self.parameters == "categorical":
            return distributions.CategoricalDistribution(values)
        integer = getattr(distributions, "IntDistribution", None) or distributions.IntUniformDistribution  # before 3.0
        return integer(0, len(values) - 1)

    def state(self) -> dict[str, Any]:
        """Return the finished trials, what the sampler keeps in the study, and what was scored."""
        known = sorted(self.space.text(architecture) for architecture in self.known)
        return {"trials": self._trials(), "attributes": self._attributes(), "known": known}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        with self._quietly():
            self.study = self._copied(state["trials"], state["attributes"])
        self.known = {self.space.parse(text) for text in state["known"]}
        self.asked = []


def _name(step: int, component: int, legal: NDArray[np.int64]) -> str:
    return f"step{step + 1}/choice{component + 1}: {','.join(map(str, legal.tolist()))}"


def _objectives(given: Sequence[str] | None) -> list[tuple[float, str]] | None:
    """Return sign and name of each objective."""
    if given is None:
        return None
    if isinstance(given, str) or not given or not all(isinstance(name, str) and name.strip("-") for name in given):
        raise RlnasError(
            f"controller.params.objectives is {given}, expected names such as [accuracy, -flops], or null for the "
            "run's objective"
        )
    return [(-1.0 if name.startswith("-") else 1.0, name.removeprefix("-")) for name in given]

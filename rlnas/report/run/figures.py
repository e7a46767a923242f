"""Which figures a run has, in the page's order, each with the sentences that go with it."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from rlnas.config.plain_data import flatten
from rlnas.report import text
from rlnas.report.run import alone, curves, mistakes, mosaics, weights
from rlnas.report.run.features import MOST_ROUNDS, links, sampled
from rlnas.report.run.numbers import bands, is_share, value
from rlnas.report.style import plain_style, to_svg
from rlnas.runs.reader import Run


@dataclass(frozen=True)
class Plot:
    """name: of the file in figures/. group: the heading it stands under. alt: what it shows, in words.
    caption: how to read it. svg: the drawing.
    """

    name: str
    group: str
    alt: str
    caption: str
    svg: str


@dataclass(frozen=True)
class _Entry:
    name: str
    group: str
    wanted: Callable[[Run], bool]
    draw: Callable[[Run], Figure]
    caption: Callable[[Run], str]
    reads_features: bool = False


def draw_figures(run: Run, *, features: bool) -> list[Plot]:
    """Every figure for which the run holds numbers. features: whether the space can be asked for them."""
    plots = []
    for entry in ENTRIES:
        if (features or not entry.reads_features) and entry.wanted(run):
            with plain_style(entry.name):
                figure = entry.draw(run)
                title = figure.get_suptitle()
                plots.append(Plot(entry.name, entry.group, title, entry.caption(run), to_svg(figure)))
    return plots


def same_reward(run: Run) -> bool:
    """Whether the reward is the accuracy itself, so that one figure shows both."""
    return bool((run.history["reward"] == run.history["accuracy"]).all())


def _searched(run: Run) -> bool:
    return len(run) > 0


def _known(column: str) -> Callable[[Run], bool]:
    return lambda run: bool(run.rounds[column].notna().any())


def _accuracy_caption(run: Run) -> str:
    last = bands(run.history, "accuracy").iloc[-1]
    words = f"In the last round the {int(last['count'])} sampled architectures average {value(run, last['mean'])}"
    control = run.rounds["random_accuracy_mean"].dropna()
    if len(control):
        random = value(run, control.iloc[-1])
        words += f", uniformly random ones, scored with the same weights on the same images, {random}"
    words += ". Band: from the lower to the upper quartile."
    return words + (" The reward is this accuracy." if same_reward(run) and is_share(run) else "")


def _reward_caption(run: Run) -> str:
    terms = ", ".join(f"{key}={setting}" for key, setting in flatten(run.objective).items())
    return "What the controller maximizes" + (f": {terms}." if terms else ".")


def _best_caption(run: Run) -> str:
    place = int(run.incumbents[-1])
    reached = value(run, float(run.history["accuracy"].iloc[place]))
    words = f"Highest {'accuracy' if same_reward(run) else 'reward, of accuracy'} {reached}, at architecture "
    words += f"{text.count(place + 1)} of {text.count(len(run))}."
    if run.table is not None:
        words = f"The best observed value is {reached}, its true score {value(run, float(run.score[-1]))}, at "
        words += f"architecture {text.count(place + 1)} of {text.count(len(run))}."
    elif run.shares_weights:
        words += " The shared weights are trained in each round, so part of the rise is due to them."
    return words + _thinning(run)


def _params_caption(run: Run) -> str:
    return "Up and left is better. The star is the found architecture as it was in the search." + _thinning(run)


def _thinning(run: Run) -> str:
    most = curves.MOST_POINTS
    every = len(run)
    return f" {text.count(most)} of the {text.count(every)} architectures are drawn." if every > most else ""


def _operators_caption(run: Run) -> str:
    found = sampled(run)
    words = "Share of all positions of all architectures of a round. Even bands: the controller has no preference."
    if found.thinned:
        words += f" Of each round, and of more than {MOST_ROUNDS} rounds, an evenly spread part is counted."
    missing = len(found.factors) - mosaics.MOST_FACTORS
    return words + (f" {missing} more factors are not drawn." if missing > 0 else "")


def _variety_caption(run: Run) -> str:
    words = "Different architectures among those scored in a round and so far: low early in a search means a collapse."
    if run.rounds["pool_share"].notna().any():
        words += " Pools and identities: their share of the operators that the controller chose."
    return words


def _chosen(run: Run) -> bool:
    return _searched(run) and bool(sampled(run).factors)


def _fixed(words: str) -> Callable[[Run], str]:
    return lambda run: words


def _weights_caption(which: int) -> Callable[[Run], str]:
    def caption(run: Run) -> str:
        part = weights.parts(run)[which]
        words = "The softmax of the architecture parameters after each round; dotted: equal weights. "
        if any("zero" in choice.values for choice in part.panels.values()):
            words += (
                "A panel for each edge, from one node of the cell to another. Each node keeps the two edges whose "
                "strongest operator other than zero is strongest."
            )
        else:
            words += "A panel for each layer, which keeps its strongest operator."
        return words + (f" {part.left_out} more are in architecture_weights.csv." if part.left_out else "")

    return caption


CONTROLS, MISTAKES = "Controls", "Mistakes"  # under their own sections, beside a table
LEARNT, CHOSEN, TRAINED = "What the search learnt", "What the controller chose", "Controller, training and time"


def _weights(name: str, which: int) -> _Entry:
    """The figure of a part of a gradient search."""

    def draw(run: Run) -> Figure:
        return weights.panels(run, which)

    return _Entry(name, CHOSEN, lambda run: len(weights.parts(run)) > which, draw, _weights_caption(which))


ENTRIES = (
    _Entry(
        "alone",
        CONTROLS,
        lambda run: bool(alone.rungs(run)) and bool(alone.trained(run.result.get("controls") or [])),
        alone.figure,
        alone.caption,
    ),
    _Entry(
        "confusion",
        MISTAKES,
        mistakes.has_confusion,
        mistakes.draw_confusion,
        _fixed("Share of each class's test images, in percent; right ones on the diagonal."),
    ),
    _Entry(
        "mistakes",
        MISTAKES,
        lambda run: bool(mistakes.mistakes(run)),
        mistakes.draw_mistakes,
        _fixed("Wrong test images of which the network was surest: a wrong label in the data shows here, too."),
    ),
    _Entry("accuracy", LEARNT, _searched, curves.accuracy, _accuracy_caption),
    _Entry("reward", LEARNT, lambda run: _searched(run) and not same_reward(run), curves.reward, _reward_caption),
    _Entry("best", LEARNT, _searched, curves.best, _best_caption),
    _Entry(
        "params", LEARNT, lambda run: bool(run.history["params"].notna().any()), curves.against_params, _params_caption
    ),
    _weights("architecture_weights", 0),
    _weights("architecture_weights_2", 1),  # of cells: the reduction cell
    _Entry(
        "skip_weights",
        CHOSEN,
        lambda run: bool(weights.skips_of(run)),
        weights.skips,
        _fixed("Percent of a skip connection that the relaxation adds, after a round. Kept are those above 50."),
    ),
    _Entry(
        "operators",
        CHOSEN,
        _chosen,
        mosaics.operators,
        _operators_caption,
        reads_features=True,
    ),
    _Entry(
        "layers",
        CHOSEN,
        _chosen,
        mosaics.layers,
        _fixed("Each column: how often the last round's architectures made a choice there, in percent."),
        reads_features=True,
    ),
    _Entry(
        "skip_rate",
        CHOSEN,
        _known("skip_rate"),
        curves.skip_rate,
        _fixed("Share of all possible skip connections that a round's architectures used, on average."),
    ),
    _Entry(
        "skips",
        CHOSEN,
        lambda run: _searched(run) and links(sampled(run).last) is not None,
        mosaics.skips,
        _fixed("How often the last round's architectures used a skip connection, in percent."),
        reads_features=True,
    ),
    _Entry(
        "entropy",
        TRAINED,
        _known("entropy"),
        curves.entropy,
        _fixed("1: every choice is equally likely. 0: the controller always builds the same architecture."),
    ),
    _Entry("variety", TRAINED, _known("unique_share"), curves.variety, _variety_caption),
    _Entry(
        "child_loss",
        TRAINED,
        _known("child_loss"),
        curves.child_loss,
        _fixed("Mean training loss of the children that were sampled in a round."),
    ),
    _Entry(
        "retraining",
        TRAINED,
        lambda run: len(run.retrain) > 0,
        curves.retraining,
        _fixed("The found network alone, its weights trained from scratch: these are not the search's accuracies."),
    ),
    _Entry(
        "time",
        TRAINED,
        lambda run: sum(run.phases().values()) > 0,
        curves.time,
        _fixed("Where the wall time went."),
    ),
)

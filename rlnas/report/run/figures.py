"""Which figures a run has, in the page's order, each with the sentences that go with it."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from rlnas.report import text
from rlnas.report.run import curves, mosaics
from rlnas.report.run.numbers import bands, best_so_far
from rlnas.report.style import house_style, to_svg
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


def draw_figures(run: Run) -> list[Plot]:
    """Every figure for which the run holds numbers."""
    plots = []
    for entry in ENTRIES:
        if entry.wanted(run):
            with house_style(entry.name):
                figure = entry.draw(run)
                title = figure.get_suptitle()
                plots.append(Plot(entry.name, entry.group, title, entry.caption(run), to_svg(figure)))
    return plots


def same_reward(run: Run) -> bool:
    """Whether the reward is the accuracy itself, so that one figure shows both."""
    return bool((run.history["reward"] == run.history["accuracy"]).all())


def _searched(run: Run) -> bool:
    return len(run.history) > 0


def _known(column: str) -> Callable[[Run], bool]:
    return lambda run: bool(run.rounds[column].notna().any())


def _skips(run: Run) -> bool:
    return _searched(run) and run.space.layers > 2


def _accuracy_caption(run: Run) -> str:
    last = bands(run.history, "accuracy").iloc[-1]
    words = f"In the last round the policy's {int(last['count'])} samples average {text.percent(last['mean'])}"
    control = run.rounds["random_accuracy_mean"].dropna()
    if len(control):
        random = text.percent(control.iloc[-1])
        words += f", uniformly random ones, scored with the same weights on the same images, {random}"
    words += ". Band: from the lower to the upper quartile."
    return words + (" The reward is this accuracy." if same_reward(run) else "")


def _reward_caption(run: Run) -> str:
    return "What the controller maximises: the accuracy, reshaped as the configuration under reward says."


def _best_caption(run: Run) -> str:
    line = best_so_far(run.history)
    first = int((line == line[-1]).argmax()) + 1
    place = f"{text.count(first)} of {text.count(len(line))}"
    words = f"Highest accuracy {text.percent(line[-1])}, at architecture {place}."
    words += " The shared weights are trained on meanwhile, so part of the rise is theirs and not the controller's."
    return words + _thinning(run)


def _params_caption(run: Run) -> str:
    return "Up and left is better. The star is the found architecture as it was in the search." + _thinning(run)


def _thinning(run: Run) -> str:
    most = curves.MOST_POINTS
    every = len(run.history)
    return f" {text.count(most)} of the {text.count(every)} architectures are drawn." if every > most else ""


def _fixed(words: str) -> Callable[[Run], str]:
    return lambda run: words


LEARNT, CHOSEN, TRAINED = "What the search learnt", "What the controller chose", "Controller, training and time"

ENTRIES = (
    _Entry("accuracy", LEARNT, _searched, curves.accuracy, _accuracy_caption),
    _Entry("reward", LEARNT, lambda run: _searched(run) and not same_reward(run), curves.reward, _reward_caption),
    _Entry("best", LEARNT, _searched, curves.best, _best_caption),
    _Entry("params", LEARNT, _searched, curves.against_params, _params_caption),
    _Entry(
        "operators",
        CHOSEN,
        _searched,
        mosaics.operators,
        _fixed("Share of all layers of all architectures of a round. Even bands: the controller has no preference."),
    ),
    _Entry(
        "layers",
        CHOSEN,
        _searched,
        mosaics.layers,
        _fixed("Each column: how often the last round's architectures chose an operator in that layer, in percent."),
    ),
    _Entry(
        "skip_rate",
        CHOSEN,
        lambda run: _skips(run) and _known("skip_rate")(run),
        curves.skip_rate,
        _fixed("Share of all possible skip connections that a round's architectures used, on average."),
    ),
    _Entry(
        "skips",
        CHOSEN,
        _skips,
        mosaics.skips,
        _fixed("How often the last round's architectures used a skip connection, in percent."),
    ),
    _Entry(
        "entropy",
        TRAINED,
        _known("entropy"),
        curves.entropy,
        _fixed("1: every choice is equally likely. 0: the controller always builds the same architecture."),
    ),
    _Entry(
        "child_loss",
        TRAINED,
        _known("child_loss"),
        curves.child_loss,
        _fixed("Mean training loss of the children sampled in a round."),
    ),
    _Entry(
        "retraining",
        TRAINED,
        lambda run: len(run.retrain) > 0,
        curves.retraining,
        _fixed("The network has weights of its own here, all from scratch: these are not the search's accuracies."),
    ),
    _Entry(
        "time",
        TRAINED,
        lambda run: sum(run.phases().values()) > 0,
        curves.time,
        _fixed("Where the wall time went."),
    ),
)

"""Figures with a line: what changed from round to round, from architecture to architecture, from epoch to epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rlnas.report import text
from rlnas.report.run.numbers import bands, best_point, is_share, measured, thinned
from rlnas.report.style import BLUE, CARD, GREEN, GREY, INK, MUTED, ORANGE, PURPLE, RED, new_figure
from rlnas.runs.reader import Run

MOST_POINTS = 1000  # dots in one figure; more only make the page heavy
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:.4g} %")


def accuracy(run: Run) -> Figure:
    """Accuracy of the sampled architectures, beside that of random ones where they were scored, over rounds."""
    name = "Accuracy with shared weights" if run.shares_weights else measured(run).capitalize()
    control = run.rounds["random_accuracy_mean"].notna().any()
    figure = new_figure(f"{name}: " + ("policy and random" if control else "samples of each round"), 3.1)
    axes = figure.add_subplot()
    _against_random(axes, run, "accuracy", "random_accuracy_mean")
    _accuracy_axis(axes, run)
    _finish(figure, axes, "round", measured(run) if run.table is not None else "validation accuracy")
    _round_axis(axes, run.history["round"])
    return figure


def reward(run: Run) -> Figure:
    """Reward of the sampled architectures beside that of random ones, over rounds."""
    control = run.rounds["random_reward_mean"].notna().any()
    figure = new_figure("Reward: " + ("policy and random" if control else "samples of each round"), 3.1)
    axes = figure.add_subplot()
    _against_random(axes, run, "reward", "random_reward_mean")
    _finish(figure, axes, "round", "reward (no unit)")
    _round_axis(axes, run.history["round"])
    return figure


def best(run: Run) -> Figure:
    """Accuracy of the architecture with the highest reward so far, over the number of architectures scored."""
    figure = new_figure("Best architecture so far", 3.1)
    axes = figure.add_subplot()
    number = np.arange(1, len(run) + 1)
    every = run.history["accuracy"].to_numpy(dtype=float)
    dots = thinned(len(number), MOST_POINTS)
    axes.plot(number[dots], every[dots], "o", color=GREY, markersize=2.5, alpha=0.55, label="each architecture")
    changes = np.flatnonzero(np.diff(run.incumbents, prepend=-1) > 0)
    steps = np.unique(np.append(changes, len(number) - 1))
    lines = [(every[run.incumbents], BLUE, "best so far")]
    if run.table is not None:
        lines.append((run.score, GREEN, "its true score"))
    for line, colour, label in lines:
        axes.step(number[steps], line[steps], where="post", color=colour, label=label)
        if len(number) == 1:
            axes.plot(number, line, "o", color=colour)
    if run.optimum is not None:
        axes.axhline(run.optimum, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), label="optimum")
    _accuracy_axis(axes, run)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(figure, axes, "architectures scored", measured(run))
    return figure


def against_params(run: Run) -> Figure:
    """Accuracy against parameters, one dot an architecture, coloured by round."""
    figure = new_figure("Accuracy against number of parameters", 3.1)
    axes = figure.add_subplot()
    kept = run.history.iloc[thinned(len(run), MOST_POINTS)]
    rounds = kept["round"].to_numpy(dtype=float)
    # from light to dark would vanish in one of the two themes: two hues of middle lightness instead
    ramp = LinearSegmentedColormap.from_list("rounds", [ORANGE, RED, PURPLE, BLUE], N=12)
    several = rounds.min() < rounds.max()
    dots = axes.scatter(
        kept["params"].to_numpy(dtype=float),
        kept["accuracy"].to_numpy(dtype=float),
        s=11,
        c=rounds if several else BLUE,
        cmap=ramp if several else None,
        alpha=0.8,
        linewidths=0,
    )
    if several:
        bar = figure.colorbar(dots, ax=axes, pad=0.02, aspect=30)
        bar.set_label("round")
        bar.locator = MaxNLocator(6, integer=True)
        bar.outline.set_visible(False)
        assert bar.solids is not None
        bar.solids.set_edgecolor("face")
    found = best_point(run)
    if found is not None:
        axes.scatter(
            [found[0]],
            [found[1]],
            s=130,
            marker="*",
            color=CARD,
            edgecolors=INK,
            linewidths=1.2,
            label="found",
            zorder=3,
        )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text.quantity(value)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _accuracy_axis(axes, run)
    _finish(figure, axes, "parameters", measured(run))
    return figure


def entropy(run: Run) -> Figure:
    """Entropy of the controller's samples over rounds."""
    figure = _single(run.rounds, "entropy", "Entropy of the controller's samples", "entropy (1 = uniform)", PURPLE)
    figure.axes[0].set_ylim(-0.03, 1.05)
    return figure


def variety(run: Run) -> Figure:
    """Shares of different architectures, and of pools and identities among the operators, over rounds."""
    lines = (
        ("unique_share", "different, in the round", BLUE, "-"),
        ("unique_share_total", "different, so far", BLUE, "--"),
        ("pool_share", "pools", ORANGE, "-"),
        ("identity_share", "identities", RED, "-"),
    )
    figure = new_figure("Variety of the architectures", 3.1)
    axes = figure.add_subplot()
    for column, label, colour, style in lines:
        known = run.rounds.dropna(subset=[column])
        if len(known):
            marks = _marks(len(known))
            axes.plot(known["round"], known[column], color=colour, linestyle=style, label=label, **marks)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set_ylim(-0.03, 1.05)
    _finish(figure, axes, "round", "share")
    _round_axis(axes, run.rounds["round"])
    return figure


def skip_rate(run: Run) -> Figure:
    """Share of the possible skips that the controller's samples used, over rounds."""
    figure = _single(run.rounds, "skip_rate", "Skip connections used", "share of possible skips", GREEN)
    figure.axes[0].yaxis.set_major_formatter(PERCENT)
    figure.axes[0].set_ylim(-0.03, 1.05)
    return figure


def child_loss(run: Run) -> Figure:
    """Training loss of the shared weights over rounds."""
    return _single(run.rounds, "child_loss", "Training of the shared weights", "loss (cross-entropy, nats)", ORANGE)


def retraining(run: Run) -> Figure:
    """Loss and validation accuracy of the found network, trained from scratch, over epochs."""
    known = run.retrain.dropna(subset=["valid_accuracy"])
    figure = new_figure("Retraining of the found network from scratch", 4.0 if len(known) else 2.9)
    panels = figure.subplots(2 if len(known) else 1, 1, sharex=True, squeeze=False)[:, 0]
    epochs = run.retrain["epoch"]
    panels[0].plot(epochs, run.retrain["loss"], color=ORANGE, **_marks(len(epochs)))
    panels[0].set_ylabel("training loss (nats)")
    if len(known):
        panels[1].plot(known["epoch"], known["valid_accuracy"], color=BLUE, **_marks(len(known)))
        panels[1].yaxis.set_major_formatter(PERCENT)
        panels[1].set_ylabel("validation accuracy")
        if len(known) == 1:
            panels[1].margins(y=0.3)
            only = known.iloc[0]
            label = text.percent(only["valid_accuracy"])
            place = (float(only["epoch"]), float(only["valid_accuracy"]))
            panels[1].annotate(label, place, (-6, 0), textcoords="offset points", ha="right", va="center", fontsize=8)
    panels[-1].set_xlabel("epoch")
    _round_axis(panels[-1], epochs)
    figure.align_ylabels(panels)
    return figure


def time(run: Run) -> Figure:
    """Seconds of each phase of the run."""
    phases = run.phases()
    names = {"child": "shared weights", "evaluation": "scoring", "select": "final selection", "retrain": "retraining"}
    whole = sum(phases.values()) or 1.0
    figure = new_figure("Wall time by phase", 0.9 + 0.25 * len(phases))
    axes = figure.add_subplot()
    positions = list(range(len(phases)))[::-1]
    axes.barh(positions, list(phases.values()), height=0.62, color=BLUE, alpha=0.85)
    for position, seconds in zip(positions, phases.values(), strict=True):
        label = f"{text.duration(seconds)} ({text.percent(seconds / whole, 0)})"
        axes.annotate(label, (seconds, position), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(positions, [names.get(name, name) for name in phases])
    axes.set_xlim(0, max(*phases.values(), 0.001) * 1.45)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    unit, length = ("hours", 3600) if whole >= 2 * 3600 else ("minutes", 60) if whole >= 120 else ("seconds", 1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / length:.3g}"))
    steps = [1, 2, 2.5, 5, 10]
    axes.xaxis.set_major_locator(_Scaled(length, nbins=5, steps=steps))
    axes.set_xlabel(unit)
    return figure


class _Scaled(MaxNLocator):
    """Round ticks in a unit of `length` seconds."""

    def __init__(self, length: float, nbins: int, steps: Sequence[float]):
        super().__init__(nbins=nbins, steps=steps)
        self.length = length

    def tick_values(self, vmin: float, vmax: float) -> Any:
        return self.length * np.asarray(super().tick_values(vmin / self.length, vmax / self.length))


def _against_random(axes: Axes, run: Run, column: str, random_column: str) -> None:
    band = bands(run.history, column)
    rounds = band.index.to_numpy(dtype=float)
    mean, low, high = (band[name].to_numpy(dtype=float) for name in ("mean", "low", "high"))
    if len(band) == 1:  # an area of no width is invisible
        axes.vlines(rounds, low, high, color=BLUE, alpha=0.35, linewidth=7, label="middle half of the samples")
    else:
        axes.fill_between(rounds, low, high, color=BLUE, alpha=0.2, linewidth=0, label="middle half of the samples")
    control = run.rounds.dropna(subset=[random_column])
    axes.plot(rounds, mean, color=BLUE, label="policy, mean" if len(control) else "mean", **_marks(len(band)))
    if len(control):
        marks = {**_marks(len(control)), "marker": "s" if _marks(len(control)) else None}
        axes.plot(control["round"], control[random_column], color=RED, linestyle="--", label="random, mean", **marks)


def _single(table: pd.DataFrame, column: str, title: str, label: str, colour: str) -> Figure:
    """One column of the rounds, where it is known."""
    figure = new_figure(title, 2.6)
    axes = figure.add_subplot()
    known = table.dropna(subset=[column])
    axes.plot(known["round"], known[column], color=colour, **_marks(len(known)))
    axes.set_xlabel("round")
    axes.set_ylabel(label)
    _round_axis(axes, table["round"])
    return figure


def _marks(points: int) -> dict[str, Any]:
    """Markers where there are few points, so that a single one is seen."""
    return {"marker": "o"} if points <= 40 else {}


def _accuracy_axis(axes: Axes, run: Run) -> None:
    """Shares in percent; values of a table as they are."""
    if is_share(run):
        axes.yaxis.set_major_formatter(PERCENT)


def _round_axis(axes: Axes, values: "pd.Series[float]") -> None:
    """Whole numbers; a single one in the middle."""
    first, last = float(values.min()), float(values.max())
    if first == last:
        axes.set_xlim(first - 0.5, first + 0.5)
        axes.set_xticks([first], [f"{first:.0f}"])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def _finish(figure: Figure, axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.tick_params(length=3, color=MUTED)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = 2 if len(handles) == 4 else 3
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.2, handletextpad=0.5)

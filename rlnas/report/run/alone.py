"""Networks trained alone for a short time: finalists beside the controls, as a table's columns and as a figure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlnas.objective import deciding
from rlnas.report import text
from rlnas.report.run.curves import PERCENT
from rlnas.report.style import BLUE, CARD, INK, MUTED, ORANGE, RED, new_figure
from rlnas.runs.reader import Run, number

COLOURS = {"finalists": BLUE, "hand-made": ORANGE, "random": RED}
MOST_RUNGS = 4  # of the figure

Item = Mapping[str, Any]


def trained(items: Iterable[Item]) -> list[Item]:
    """The candidates or controls that were trained alone."""
    return [item for item in items if item.get("rungs")]


def rungs(run: Run) -> list[Item]:
    """The rungs of the selection; empty of an older run."""
    return list((run.result.get("selection") or {}).get("rungs") or [])


def heading(rung: Item) -> str:
    """What the numbers of a rung are: `alone, 2 epochs, mean of 3`."""
    epochs = f"{rung['epochs']:g} epoch{'' if rung['epochs'] == 1 else 's'}"
    return f"alone, {epochs}" + (f", mean of {rung['seeds']}" if rung["seeds"] > 1 else "")


def accuracies(item: Item, number: int) -> list[float]:
    """The accuracies of a network's trainings in a rung; empty if it did not reach it."""
    return [value for rung in item.get("rungs") or [] if rung["rung"] == number for value in rung["accuracies"]]


def mean(item: Item, number: int) -> float | None:
    """The mean accuracy in a rung, None if the network did not reach it."""
    values = accuracies(item, number)
    return sum(values) / len(values) if values else None


def columns(run: Run, items: Sequence[Item]) -> list[tuple[str, str, list[str]]]:
    """Heading, kind and cells of a column for each rung."""
    return [
        (heading(rung), "number", [text.percent(mean(item, rung["rung"])) for item in items]) for rung in rungs(run)
    ]


def figure(run: Run) -> Figure:
    """Accuracy after training alone of each finalist and control, one panel a rung, the found network as a star."""
    shown = rungs(run)[-MOST_RUNGS:]
    controls = run.result.get("controls") or []
    groups = {
        "finalists": trained(run.result.get("candidates") or []),
        "hand-made": [item for item in trained(controls) if item.get("kind") == "reference"],
        "random": [item for item in trained(controls) if item.get("kind") == "random"],
    }
    groups = {name: items for name, items in groups.items() if items}
    found = (run.best or {}).get("architecture")
    drawn = new_figure("Trained alone: finalists and controls", 0.75 + len(shown) * (0.75 + 0.3 * len(groups)))
    panels = drawn.subplots(len(shown), 1, squeeze=False)[:, 0]
    for panel, rung in zip(panels, shown, strict=True):
        for place, (name, items) in enumerate(groups.items()):
            for item in items:
                values = accuracies(item, rung["rung"])
                if not values:
                    continue
                height = len(groups) - 1 - place
                one = name == "finalists" and item.get("architecture") == found
                panel.plot(values, [height] * len(values), "o", color=COLOURS[name], alpha=0.6, markersize=5)
                if len(values) > 1:
                    panel.plot(sum(values) / len(values), height, "|", color=COLOURS[name], markersize=17)
                if one:
                    star = {"marker": "*", "s": 130, "color": CARD, "edgecolors": INK, "linewidths": 1.2, "zorder": 3}
                    panel.scatter([sum(values) / len(values)], [height], **star)
        panel.set_yticks(range(len(groups))[::-1], list(groups))
        panel.set_ylim(-0.6, len(groups) - 0.4)
        panel.xaxis.set_major_formatter(PERCENT)
        panel.xaxis.set_major_locator(MaxNLocator(6))
        panel.grid(False, axis="y")
        panel.tick_params(length=3, color=MUTED)
        panel.set_xlabel(f"validation accuracy {heading(rung)}")
    return drawn


def caption(run: Run) -> str:
    """How to read the figure."""
    words = "Each dot is one training; the star is the found network."
    if any(rung["seeds"] > 1 for rung in rungs(run)):
        words += " Bars and the star are means over the seeds."
    return words + " These images also chose among the finalists, so that the best finalist looks better than it is."


def section(run: Run) -> dict[str, Any] | None:
    """The table of the found network and the controls; None of a run that has no verdict."""
    if "verdict" not in run.result:
        return None
    controls = [item for item in run.result.get("controls") or [] if isinstance(item, dict)]
    found = [item for item in run.result.get("candidates") or []][:1] if controls else []
    items = [*found, *controls]
    hand_made = [f"{item.get('name')}{', hand-made' if item.get('kind') == 'reference' else ''}" for item in controls]
    names = [*["found"] * len(found), *hand_made]
    tests = [text.percent((item.get("retrained") or {}).get("test_accuracy")) for item in items]
    tests[: len(found)] = [text.percent((run.best or {}).get("test_accuracy"))] * len(found)
    shared = run.shares_weights
    plain = deciding(run.objective.get("terms") or {}) in ([], ["accuracy"])
    objectives = [f"{item['objective']:.4f}" if number(item.get("objective")) is not None else "" for item in items]
    table: list[tuple[str, str, Sequence[str]]] = [
        ("network", "whole", names),
        *([("test, retrained", "number", tests)] if any(item.get("retrained") for item in controls) else []),
        *([] if plain else [("objective", "number", objectives)]),
        *columns(run, items),
        ("shared weights" if shared else "accuracy", "number", [text.percent(item.get("accuracy")) for item in items]),
        ("parameters", "number", [text.quantity(item.get("params")) for item in items]),
        ("FLOPs", "number", [text.quantity(item.get("flops")) for item in items]),
        ("architecture", "long", [_code(item.get("architecture", "")) for item in items]),
    ]
    return {
        "verdict": run.result["verdict"].get("text", ""),
        "head": [head for head, _, _ in table],
        "rows": list(zip(*(cells for _, _, cells in table), strict=True)),
        "numbers": [place for place, (_, kind, _) in enumerate(table) if kind == "number"],
        "whole": [place for place, (_, kind, _) in enumerate(table) if kind == "whole"],
        "long": len(table) - 1,
        "left_out": [f"{one['name']}: {one['reason']}" for one in run.result.get("controls_left_out") or []],
    }


def _code(words: Any) -> str:
    return Markup("<code>{}</code>").format(words)

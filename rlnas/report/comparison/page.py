"""What comparison.html says: the values of the template comparison.html.jinja."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup, escape

from rlnas.report.comparison import permutation, protocol, statistics, tables, words
from rlnas.report.comparison.figures import Plot, line
from rlnas.report.comparison.results import SIGNIFICANT, Comparison
from rlnas.report.style import THEME, inline
from rlnas.report.template import render
from rlnas.report.text import NONE

DASH_ARRAYS = {"-": "", "--": "6 3", ":": "2 2", "-.": "7 2 2 2"}
BREAK = Markup("<br>(")


def write_page(comparison: Comparison, table: pd.DataFrame, plots: Sequence[Plot]) -> str:
    """The document; table: of `frame`. The same comparison gives the same text."""
    keys = {group.label: _key(*line(group)) for group in comparison.groups}
    return render(
        "comparison",
        comparison=comparison,
        headline=words.headline(comparison),
        others=" ".join(words.others(comparison)),
        caption=tables.caption(comparison),
        head=tables.head(comparison),
        summary=[
            (keys[label] + label, *(escape(cell).replace(" (", BREAK) for cell in cells))
            for label, *cells in tables.summary(comparison, table)
        ],
        plots=[{"inline": inline(plot.svg, plot.name, plot.alt), "caption": plot.caption} for plot in plots],
        test_head=tables.TEST_HEAD,
        families=[_family(comparison, table, baseline) for baseline in comparison.baselines],
        protocol=protocol.protocol(comparison),
        tested=_tested(comparison),
        resamples=f"{statistics.RESAMPLES:,}",
        exact=f"{permutation.EXACT:,}",
        arrangements=f"{permutation.RESAMPLES:,}",
        significant=SIGNIFICANT,
        left_out=[(item.name, item.controller or NONE, item.told) for item in comparison.left_out],
        command=protocol.command(comparison),
        run_commands="\n".join(protocol.run_commands(comparison)),
        versions=protocol.versions(comparison),
    )


def _key(colour: str, dashes: str) -> Markup:
    """A short piece of a group's line, as in the figures."""
    array = f' stroke-dasharray="{DASH_ARRAYS[dashes]}"' if DASH_ARRAYS[dashes] else ""
    return Markup(
        '<svg width="26" height="8" viewBox="0 0 26 8" aria-hidden="true" style="margin-right:8px">'
        f'<path d="M0 4h26" stroke="var(--{THEME[colour][0]})" stroke-width="2.5" fill="none"{array}/></svg>'
    )


def _family(comparison: Comparison, table: pd.DataFrame, baseline: str) -> dict[str, object]:
    """The tests against one baseline: at the last checkpoint, and all."""
    last = f"{comparison.checkpoints[-1]:,}"
    rows = tables.tests(comparison, table, baseline)
    return {
        "title": f"Against {words.in_words(baseline)}, "
        + (f"at {last} architectures" if comparison.tabular else "by test accuracy of the retrained networks"),
        "last": _marked([row for row in rows if row[1] in (last, NONE)]),
        "all": _marked(rows) if len(comparison.checkpoints) > 1 else None,
    }


def _marked(rows: list[tuple[str, ...]]) -> dict[str, object]:
    """The rows, and which of them are better than the baseline."""
    return {"rows": rows, "chosen": [place for place, row in enumerate(rows) if row[-1] == "better"]}


def _tested(comparison: Comparison) -> str:
    """How many tests each family for Holm's adjustment has."""
    sizes, places = Counter(test.baseline for test in comparison.tests), len(comparison.checkpoints)
    return "; ".join(
        f"against {words.in_words(name)}: {count // places} controllers \N{MULTIPLICATION SIGN} {places} checkpoints = "
        f"{count} tests"
        for name, count in sizes.items()
    )

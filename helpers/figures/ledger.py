"""The ledger as a chart: a row for each claim, a column for each model that it is judged on."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from helpers.figures.style import BOUND, DL, PAGE, page_figure
from helpers.ledger import FAILS, HOLDS, PARTLY, SUBJECTS, TIED, UNSAID

# Marker, colour, and whether it is filled, so that no verdict rests on colour alone.
MARKS = {HOLDS: ("o", BOUND, True), PARTLY: ("D", "#E69F00", True), FAILS: ("X", DL, True), TIED: ("s", "0.4", False)}
OTHER = ("_", "0.6", False)
WIDTH = 88  # characters of a claim on a line


def figure_ledger(rows: Sequence[Mapping[str, str]], *, source: str) -> Figure:
    """Verdicts of `helpers.ledger.ledger_rows`; what a claim does not say of a model is left empty."""
    claims = ["\n".join(textwrap.wrap(row["claim"], WIDTH)) for row in rows]
    lines = [1.5 + claim.count("\n") for claim in claims]
    figure = page_figure(0.55 + 0.105 * sum(lines), PAGE, source)
    ax = figure.subplots()
    height = 0.0
    for row, tall in zip(rows, lines, strict=True):
        for column, who in enumerate(SUBJECTS):
            marker, colour, filled = MARKS.get(row[who], OTHER)
            if row[who] != UNSAID:
                ax.plot(column, height + tall / 2, marker, color=colour, markersize=6,
                        markerfacecolor=colour if filled else "white", linestyle="")
        height += tall
        ax.axhline(height, color="0.9", linewidth=0.5)
    middles = [sum(lines[:k]) + tall / 2 for k, tall in enumerate(lines)]
    ax.set(xlim=(-0.5, len(SUBJECTS) - 0.5), ylim=(height, 0))
    ax.set_yticks(middles, claims)
    ax.set_xticks(range(len(SUBJECTS)), [who.replace(" ", "\n", 1) for who in SUBJECTS])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    shown = [verdict for verdict in MARKS if any(verdict in row.values() for row in rows)]
    handles = [ax.plot([], [], MARKS[verdict][0], color=MARKS[verdict][1], linestyle="", label=verdict,
                       markerfacecolor=MARKS[verdict][1] if MARKS[verdict][2] else "white")[0] for verdict in shown]
    handles += ax.plot([], [], OTHER[0], color=OTHER[1], linestyle="", label="not measured yet, or not testable here")
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure

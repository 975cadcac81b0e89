"""The ledger as a chart: a row for each claim, a column for each model that it is judged on."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from helpers.figures.style import BOUND, DL, page_panels
from helpers.ledger import FAILS, HOLDS, PARTLY, SUBJECTS, TIED, UNSAID

# No verdict rests on its colour alone.
MARKS = {HOLDS: {"marker": "o", "color": BOUND}, PARTLY: {"marker": "D", "color": "#A66F00"},
         FAILS: {"marker": "X", "color": DL}, TIED: {"marker": "s", "color": "0.4", "markerfacecolor": "white"}}
OTHER = {"marker": "_", "color": "0.6"}
WIDTH = 88  # characters of a claim on a line


def figure_ledger(rows: Sequence[Mapping[str, str]], *, source: str) -> Figure:
    """Verdicts of `helpers.ledger.ledger_rows`; what was not tested on a model is left empty."""
    claims = [_balanced(row["claim"]) for row in rows]
    lines = [1.5 + claim.count("\n") for claim in claims]
    figure, ax = page_panels(0.55 + 0.105 * sum(lines), source=source)
    height, middles = 0.0, []
    for row, tall in zip(rows, lines, strict=True):
        middles.append(height + tall / 2)
        for column, who in enumerate(SUBJECTS):
            if row[who] != UNSAID:
                ax.plot(column, middles[-1], markersize=6, linestyle="", **MARKS.get(row[who], OTHER))
        height += tall
        ax.axhline(height, color="0.9", linewidth=0.5)
    ax.set(xlim=(-0.5, len(SUBJECTS) - 0.5), ylim=(height, 0))
    ax.set_yticks(middles, claims)
    ax.set_xticks(range(len(SUBJECTS)), ["\n".join(textwrap.wrap(who, 18)) for who in SUBJECTS])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    shown = {verdict: mark for verdict, mark in MARKS.items() if any(verdict in row.values() for row in rows)}
    if any(row[who] not in MARKS and row[who] != UNSAID for row in rows for who in SUBJECTS):
        shown["not measured yet, or not testable here"] = OTHER
    shown["(empty) not tested on this model"] = {"marker": ""}
    handles = [ax.plot([], [], linestyle="", label=label, **mark)[0] for label, mark in shown.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    said = [f"{who}: " + ", ".join(f"{verdict} {count}" for verdict, count in Counter(
        row[who] for row in rows if row[who] != UNSAID).items()) for who in SUBJECTS]
    figure.alt = f"Chart of {len(rows)} claims with a verdict for each model. {'; '.join(said)}."
    return figure


def _balanced(claim: str) -> str:
    """A claim on as few lines as it needs, of about one length."""
    wrapped = [textwrap.wrap(claim, width) for width in range(WIDTH // 2, WIDTH + 1)]
    return "\n".join(next(lines for lines in wrapped if len(lines) == len(wrapped[-1])))

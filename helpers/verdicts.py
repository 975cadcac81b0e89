"""How a claim is judged: comparisons of measured numbers lead to a verdict.

Numbers are compared with each other, with a number that the paper states, or with a threshold. All
comparisons true: the claim holds; none: it does not; else it holds partly. The paper's BEPS claims
are judged on the measured loops alone: numbers of the simulated twin standing in for them are
shown, and said to be simulated, but decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from helpers.paper import PAPER
from helpers.tables import number

HOLDS, PARTLY, FAILS = "holds", "holds partly", "does not hold"
UNTESTABLE, UNMEASURED = "cannot be tested here", "not measured yet"
VERDICTS = (HOLDS, PARTLY, FAILS, UNTESTABLE, UNMEASURED)
YES, BARELY, IN_PART, NO = "yes", "barely", "in part", "no"
LEGEND = (
    "A number is the median of n seeds with its extremes, or of one seed where none are given. A comparison holds "
    "(yes) for every seed, or by a stated margin where there is one seed; it holds barely where the medians alone "
    "or less than the margin say so. A claim holds if all its comparisons do, does not hold if none does, and holds "
    "partly in between. Numbers without yes or no are for comparison and decide nothing."
)

# Seeds 0 to 2 lie within 10 % of the middle of their range in the toy error of the β-VAE, and within
# 1 % in that of BEPS: one seed cannot tell what lies closer together.
MARGIN = 0.1
# As MARGIN, for scores from 0 to 1, where less is not worth a claim.
SCORE_MARGIN = 0.02
# "Reproduced": another sample, solver or seed moves the toy error of dictionary learning by less than this share.
SAME = 0.1


@dataclass(frozen=True)
class Number:
    """Median and extremes over `n` seeds."""

    median: float
    low: float
    high: float
    n: int = 1

    def __str__(self) -> str:
        if self.n == 1:
            return number(self.median)
        return f"{number(self.median)} ({number(self.low)} to {number(self.high)}, n = {self.n})"


@dataclass(frozen=True)
class Check:
    """One sentence of a result.

    Attributes
    ----------
    text : str
        With a pair of braces for each number.
    metrics : tuple of str
        Names in ``metrics.json``; with ``paper.`` in front, in `helpers.paper.PAPER`.
    judge : callable or None
        ``judge(*numbers)`` is YES, BARELY, IN_PART or NO; None where nothing is judged.
    combine : callable or None
        Makes other numbers of those of `metrics`, before they are judged and printed.
    """

    text: str
    metrics: tuple[str, ...]
    judge: Callable[..., str] | None = None
    combine: Callable[[Sequence[Number]], Sequence[Number]] | None = None


@dataclass(frozen=True)
class Claim:
    """One claim of the paper; `checks` lead to its result and verdict.

    A claim without a check that judges cannot be tested here, and `control` says why.
    """

    claim: str
    where: str
    measure: str
    control: str
    checks: tuple[Check, ...]

    def row(self, metrics: Mapping, seeds: Mapping) -> dict[str, str]:
        """The claim as a row of the ledger."""
        return {"claim": self.claim, "where": self.where, "measure": self.measure,
                "result": self.result(metrics, seeds), "control": self.control,
                "verdict": self.verdict(metrics, seeds)}

    def result(self, metrics: Mapping, seeds: Mapping) -> str:
        """Every check with its numbers and what it says; then the metrics that are missing."""
        parts = [_sentence(check, metrics, seeds) for check in self.checks]
        parts = [part for part in parts if part]
        absent = list(dict.fromkeys(
            name for check in self.checks for name in _absent(check, metrics, seeds)))
        if absent:
            more = f" and {len(absent) - 2} more" if len(absent) > 2 else ""
            parts.append(f"{UNMEASURED}: {', '.join(f'`{name}`' for name in absent[:2])}{more}")
        return "; ".join(parts)

    def verdict(self, metrics: Mapping, seeds: Mapping) -> str:
        """One of VERDICTS."""
        judged = [check for check in self.checks if _judged(check, metrics)]
        if not judged:
            return UNTESTABLE
        if any(_absent(check, metrics, seeds) for check in judged):
            return UNMEASURED
        answers = {_answer(check, metrics, seeds) for check in judged}
        return {frozenset({YES}): HOLDS, frozenset({NO}): FAILS}.get(frozenset(answers), PARTLY)


def _number(name: str, metrics: Mapping, seeds: Mapping) -> Number | None:
    if name.startswith("paper."):
        return Number(*3 * (PAPER[name.removeprefix("paper.")],))
    spread = seeds.get(name) or {}
    found = [spread.get(key) for key in ("median", "min", "max", "n")]
    if all(map(_is_number, found)):
        return Number(*found)
    value = metrics.get(name)
    return Number(value, value, value) if _is_number(value) else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _of_scan(check: Check) -> bool:
    return any(name.startswith(("beps.", "sensitivity.")) for name in check.metrics)


def _simulated(check: Check, metrics: Mapping) -> bool:
    return _of_scan(check) and metrics.get("beps.source") == "twin"


def _judged(check: Check, metrics: Mapping) -> bool:
    return check.judge is not None and not _simulated(check, metrics)


def _absent(check: Check, metrics: Mapping, seeds: Mapping) -> list[str]:
    """Metrics that a check lacks, the origin of the loops among them."""
    absent = [name for name in check.metrics if _number(name, metrics, seeds) is None]
    source = ["beps.source"] if _of_scan(check) and metrics.get("beps.source") not in ("measured", "twin") else []
    return source + absent


def _combined(check: Check, metrics: Mapping, seeds: Mapping) -> Sequence[Number]:
    numbers = [_number(name, metrics, seeds) for name in check.metrics]
    return check.combine(numbers) if check.combine else numbers


def _answer(check: Check, metrics: Mapping, seeds: Mapping) -> str:
    return check.judge(*_combined(check, metrics, seeds))


def _sentence(check: Check, metrics: Mapping, seeds: Mapping) -> str:
    if _absent(check, metrics, seeds):
        return ""
    text = check.text.format(*_combined(check, metrics, seeds))
    if _simulated(check, metrics):
        text += " (simulated twin, decides nothing)"
    return f"{text}: {_answer(check, metrics, seeds)}" if _judged(check, metrics) else text


def lower(a: Number, b: Number, factor: float = 1.0) -> str:
    """Is `a` below `factor` times `b`, for every seed of both, or by MARGIN where there is one seed?"""
    bound = factor * (b.low if max(a.n, b.n) > 1 else (1 - MARGIN) * b.median)
    if a.high < bound:
        return YES
    return BARELY if a.median < factor * b.median else NO


def higher(a: Number, b: Number) -> str:
    """Is the score `a` above `b`, for every seed of both, or by SCORE_MARGIN where there is one seed?"""
    bound = b.high if max(a.n, b.n) > 1 else b.median + SCORE_MARGIN
    if a.low > bound:
        return YES
    return BARELY if a.median > b.median else NO


def at_least(threshold: float, a: Number) -> str:
    """Does `a` reach a threshold, for every seed?"""
    return YES if a.low >= threshold else BARELY if a.median >= threshold else NO


def below(threshold: float, a: Number) -> str:
    """Does `a` stay below a threshold, for every seed?"""
    return YES if a.high < threshold else BARELY if a.median < threshold else NO


def near(a: Number, b: Number, share: float = SAME) -> str:
    """Does `a` differ from the median of `b` by at most a share of it, for every seed?"""
    def within(value: float) -> bool:
        return abs(value - b.median) <= share * abs(b.median)

    return YES if within(a.low) and within(a.high) else BARELY if within(a.median) else NO


def in_all(count: Number, total: Number) -> str:
    """Does it happen every time (YES), never (NO) or in between?"""
    return {total.median: YES, 0: NO}.get(count.median, IN_PART)

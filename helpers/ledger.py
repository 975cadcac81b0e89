"""The ledger: what the paper claims (``claims.yml``), judged by measured numbers.

Numbers are compared with each other, with a number that the paper states, or with a bound. All comparisons
true: the claim holds; none: it does not; else it holds partly. The paper's BEPS claims are judged on the
measured loops alone: numbers of the simulated twin standing in for them are shown, and said to be simulated,
but decide nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path

import yaml

from helpers.paper import PAPER, number
from helpers.paths import ROOT, Build

_FILE = yaml.safe_load(Path(__file__).with_name("claims.yml").read_text(encoding="utf-8"))
CLAIMS, BOUNDS, LEGEND = _FILE["claims"], _FILE["bounds"], _FILE["legend"]
VERDICTS = HOLDS, PARTLY, FAILS, UNTESTABLE, UNMEASURED = tuple(_FILE["verdicts"])
YES, BARELY, IN_PART, NO = _FILE["answers"]
_WORDS = BOUNDS | _FILE["phrases"]


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


def _answer(for_every_seed: bool, for_the_median: bool) -> str:
    return YES if for_every_seed else BARELY if for_the_median else NO


def lower(a: Number, b: Number, bound: float = 1.0) -> str:
    """Is `a` below `bound` times `b`, for every seed of both, or by a margin where there is one seed?"""
    reached = b.low if max(a.n, b.n) > 1 else (1 - BOUNDS["margin"]) * b.median
    return _answer(a.high < bound * reached, a.median < bound * b.median)


def higher(a: Number, b: Number) -> str:
    """Is the score `a` above `b`, for every seed of both, or by a margin where there is one seed?"""
    reached = b.high if max(a.n, b.n) > 1 else b.median + BOUNDS["score_margin"]
    return _answer(a.low > reached, a.median > b.median)


def at_least(a: Number, bound: float) -> str:
    """Does `a` reach a bound, for every seed?"""
    return _answer(a.low >= bound, a.median >= bound)


def below(a: Number, bound: float) -> str:
    """Does `a` stay below a bound, for every seed?"""
    return _answer(a.high < bound, a.median < bound)


def near(a: Number, b: Number, bound: float) -> str:
    """Does `a` differ from the median of `b` by at most a share of it, for every seed?"""
    low, high, median = (abs(x - b.median) <= bound * abs(b.median) for x in (a.low, a.high, a.median))
    return _answer(low and high, median)


def in_all(count: Number, total: Number) -> str:
    """Does it happen every time (YES), never (NO) or in between?"""
    return {total.median: YES, 0: NO}.get(count.median, IN_PART)


def mean(*numbers: Number) -> list[Number]:
    """Mean of the medians and of the extremes, which bounds the spread of the mean."""
    n = len(numbers)
    return [Number(sum(x.median for x in numbers) / n, sum(x.low for x in numbers) / n,
                   sum(x.high for x in numbers) / n, min(x.n for x in numbers))]


def wins(*numbers: Number) -> list[Number]:
    """How many of the first half are below their partners in the second half, and of how many."""
    half = len(numbers) // 2
    count = sum(a.median < b.median for a, b in zip(numbers[:half], numbers[half:], strict=True))
    return [Number(count, count, count), Number(half, half, half)]


def ratio(a: Number, b: Number, *others: Number) -> list[Number]:
    """How many times the second number the first is; the others as they are."""
    ratios = (x / y if y else inf for x, y in ((a.median, b.median), (a.low, b.high), (a.high, b.low)))
    return [Number(*ratios, min(a.n, b.n)), *others]


RULES = {"lower": lower, "higher": higher, "at least": at_least, "below": below, "near": near, "in all": in_all}
TAKE = {"mean": mean, "wins": wins, "ratio": ratio}


def names(check: Mapping) -> list[str]:
    """Metrics that a check of ``claims.yml`` rests on, each group in braces written out."""
    found = []
    for name in check["numbers"]:
        stem, _, group = name.rstrip("}").partition("{")
        found += [stem + part for part in _FILE["groups"][group]] if group else [name]
    return found


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


def _judged(check: Mapping, metrics: Mapping, seeds: Mapping) -> tuple[str, str | None, list[str]]:
    """What one check says: its sentence, its answer (None where it decides nothing), and metrics that are missing."""
    numbers = {name: _number(name, metrics, seeds) for name in names(check)}
    of_scan = any(name.startswith(("beps.", "sensitivity.")) for name in numbers)
    source = metrics.get("beps.source")
    absent = ["beps.source"] if of_scan and source not in ("measured", "twin") else []
    absent += [name for name, found in numbers.items() if found is None]
    decides = "rule" in check and not (of_scan and source == "twin")
    if absent:
        return "", UNMEASURED if decides else None, absent
    taken = TAKE[check["take"]](*numbers.values()) if "take" in check else list(numbers.values())
    text = check["text"].format(*taken, **_WORDS)
    if of_scan and source == "twin":
        text += _FILE["simulated"]
    if not decides:
        return text, None, []
    bound = [BOUNDS[check["bound"]]] if "bound" in check else []
    answer = RULES[check["rule"]](*taken, *bound)
    return f"{text}: {answer}", answer, []


def _row(claim: Mapping, metrics: Mapping, seeds: Mapping) -> dict[str, str]:
    """A claim as a row: every check with its numbers and what it says; then the metrics that are missing."""
    sentences, answers, absences = zip(*(_judged(check, metrics, seeds) for check in claim["checks"]), strict=True)
    parts, decided = [text for text in sentences if text], set(answers) - {None}
    absent = list(dict.fromkeys(name for missing in absences for name in missing))
    if absent:
        more = f" and {len(absent) - 2} more" if len(absent) > 2 else ""
        parts.append(f"{UNMEASURED}: {', '.join(f'`{name}`' for name in absent[:2])}{more}")
    verdict = (UNMEASURED if UNMEASURED in decided else
               {(): UNTESTABLE, (YES,): HOLDS, (NO,): FAILS}.get(tuple(decided), PARTLY))
    return {"claim": claim["claim"], "where": claim["where"], "measure": claim["measure"].format(**_WORDS),
            "result": "; ".join(parts), "control": claim["control"].format(**_WORDS), "verdict": verdict}


def ledger_rows(metrics: Mapping[str, object], seeds: Mapping[str, Mapping] | None = None) -> list[dict[str, str]]:
    """The ledger, a row for each claim.

    Parameters
    ----------
    metrics : mapping of str to number, str or None
        Content of ``metrics.json``.
    seeds : mapping of str to {"median", "min", "max", "n"}, optional
        Where several seeds were run; preferred to `metrics`.

    Returns
    -------
    list of dict
        Columns claim, where, measure, result, control and verdict, for `helpers.paper.as_markdown`.
        What is missing, None or not finite is "not measured yet".
    """
    return [_row(claim, metrics, seeds or {}) for claim in CLAIMS]


def verdict_counts(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Number of rows with each of VERDICTS, in this order."""
    found = [row["verdict"] for row in rows]
    return {verdict: found.count(verdict) for verdict in VERDICTS}


def sweep_numbers(build: Build, sha256: str) -> dict[str, dict[str, float]]:
    """What `make sweep` collected for the profile of this run; else the reference sweep, if it is of the same scan.

    A dictionary of {"median", "min", "max", "n"} by metric, empty where there is neither; numbers of a scan of another
    `sha256` are not handed on.
    """
    def read(path: Path) -> dict:
        return json.loads(path.read_text(encoding="utf-8"))

    own, reference = build.root / build.profile / "sweep/sweep.json", ROOT / "data/reference"
    if own.is_file():
        return read(own)
    stored = build.profile == "laptop" and (reference / "seeds.json").is_file()
    same_scan = stored and read(reference / "run.json")["data"]["sha256"] == sha256
    return read(reference / "seeds.json") if same_scan else {}

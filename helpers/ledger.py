"""The ledger: what the paper claims (``claims.yml``), judged by measured numbers.

Numbers are compared with each other, with a number that the paper states, or with a bound. Linear models, the
paper's β-VAE and the companion's are judged each by the comparisons about them. The paper's BEPS claims are judged on
the measured loops alone: numbers of the simulated twin standing in for them are shown, and said to be simulated, but
decide nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
import yaml

from helpers.paper import PAPER, number
from helpers.paths import ROOT, Build, load_arrays

_FILE = yaml.safe_load(Path(__file__).with_name("claims.yml").read_text(encoding="utf-8"))
CLAIMS, BOUNDS = _FILE["claims"], _FILE["bounds"]
LEGEND = _FILE["legend"].format(**BOUNDS)
VERDICTS = HOLDS, PARTLY, FAILS, TIED, UNTESTABLE, UNMEASURED, UNSAID = tuple(_FILE["verdicts"])
YES, TIE, IN_PART, NO = _FILE["answers"]
_NUMBERS_OF = [(who, re.compile(numbers)) for who, numbers in _FILE["subjects"]]
SUBJECTS = tuple(dict.fromkeys(who for who, _ in _NUMBERS_OF))
_WORDS = BOUNDS | _FILE["phrases"]


@dataclass(frozen=True)
class Number:
    """Median and extremes over `n` seeds; an error that lies closer to another than `margin` needs several to tell."""

    median: float
    low: float
    high: float
    n: int = 1
    margin: float = BOUNDS["margin"]

    def __str__(self) -> str:
        if self.n == 1:
            return number(self.median)
        return f"{number(self.median)} ({number(self.low)} to {number(self.high)}, n = {self.n})"


def _answer(for_every_seed: bool, for_none: bool) -> str:
    return YES if for_every_seed else NO if for_none else TIE


def lower(a: Number, b: Number, bound: float = 1.0) -> str:
    """Is `a` below `bound` times `b`, for every seed of both, or by a margin where either has one?"""
    off = max(a.margin, b.margin) if 1 in (a.n, b.n) else 0
    return _answer(a.high < (1 - off) * bound * b.low, a.low * (1 - off) > bound * b.high)


def higher(a: Number, b: Number) -> str:
    """Is the score `a` above `b`, for every seed of both, by more than a claim is worth, or one seed can tell?"""
    off = BOUNDS["score_margin_of_one_seed" if 1 in (a.n, b.n) else "score_margin"]
    return _answer(a.low > b.high + off, a.high < b.low - off)


def at_least(a: Number, bound: float) -> str:
    """Does `a` reach a bound, for every seed?"""
    return _answer(a.low >= bound, a.high < bound)


def below(a: Number, bound: float) -> str:
    """Does `a` stay below a bound, for every seed?"""
    return _answer(a.high < bound, a.low >= bound)


def near(a: Number, b: Number, bound: float) -> str:
    """Does `a` differ from the median of `b` by at most a share of it, for every seed?"""
    within = [abs(x - b.median) <= bound * abs(b.median) for x in (a.low, a.median, a.high)]
    return _answer(all(within), not any(within))


def in_all(won: Number, tied: Number, lost: Number, cases: Number) -> str:
    """Does it happen every time (YES), never (NO), or in between? Cases that cannot be told apart are neither."""
    return {won.median: YES, tied.median: TIE, lost.median: NO}.get(cases.median, IN_PART)


def mean(*numbers: Number) -> list[Number]:
    """Mean of the medians and of the extremes, which bounds the spread of the mean."""
    n = len(numbers)
    return [Number(sum(x.median for x in numbers) / n, sum(x.low for x in numbers) / n,
                   sum(x.high for x in numbers) / n, min(x.n for x in numbers))]


def wins(*numbers: Number) -> list[Number]:
    """In how many cases the first half is below the second, cannot be told from it, and is above; and all cases."""
    half = len(numbers) // 2
    answers = [lower(a, b) for a, b in zip(numbers[:half], numbers[half:], strict=True)]
    return [Number(count, count, count) for count in (*map(answers.count, (YES, TIE, NO)), half)]


RULES = {"lower": lower, "higher": higher, "at least": at_least, "below": below, "near": near, "in all": in_all}
TAKE = {"mean": mean, "wins": wins}


def names(check: Mapping) -> list[str]:
    """Metrics that a check of ``claims.yml`` rests on, each group in braces written out."""
    found = []
    for name in check["numbers"]:
        stem, _, group = name.rstrip("}").partition("{")
        found += [stem + part for part in _FILE["groups"][group]] if group else [name]
    return found


def subject(check: Mapping) -> str:
    """Whom a check tells of (see ``claims.yml``)."""
    return next(who for who, pattern in _NUMBERS_OF if any(map(pattern.fullmatch, names(check))))


def _number(name: str, metrics: Mapping, seeds: Mapping) -> Number | None:
    if name.startswith("paper."):
        return Number(*3 * (PAPER[name.removeprefix("paper.")],))
    recorded = {"median": metrics.get(name)} | {key: metrics.get(f"{name}.{key}") for key in ("min", "max", "n")}
    spread = seeds.get(name) or recorded
    margin = BOUNDS["margin_toy" if name.startswith("toy.") else "margin"]
    found = [spread.get(key) for key in ("median", "min", "max", "n")]
    if all(map(_is_number, found)):
        return Number(*found, margin)
    value = metrics.get(name)
    return Number(value, value, value, 1, margin) if _is_number(value) else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _judged(check: Mapping, metrics: Mapping, seeds: Mapping) -> tuple[str, str | None, list[str]]:
    """What one check says: its sentence, its answer (None where it decides nothing), and metrics that are missing."""
    numbers = {name: _number(name, metrics, seeds) for name in names(check)}
    of_scan = any(name.startswith(("beps.", "sensitivity.")) for name in numbers)
    source = metrics.get("beps.source")
    absent = ["beps.source"] if of_scan and source not in ("measured", "twin") else []
    absent += [name for name, found in numbers.items() if found is None]
    ends = [_number(name, metrics, seeds) for name in check.get("converged", [])]
    unconverged = any(end is not None and end.low == 0 for end in ends)
    decides = "rule" in check and not (of_scan and source == "twin") and not unconverged
    if absent:
        return "", UNMEASURED if decides else None, absent
    taken = TAKE[check["take"]](*numbers.values()) if "take" in check else list(numbers.values())
    text = check["text"].format(*taken, **_WORDS)
    if of_scan and source == "twin":
        text += _FILE["simulated"]
    elif unconverged:
        text += _FILE["unconverged"]
    if not decides:
        return text, None, []
    bound = [BOUNDS[check["bound"]]] if "bound" in check else []
    answer = RULES[check["rule"]](*taken, *bound)
    return f"{text}: {answer}", answer, []


def _verdict(answers: set[str]) -> str:
    """Of one subject, from the answers of all comparisons about it."""
    if UNMEASURED in answers:
        return UNMEASURED
    if YES in answers or IN_PART in answers:
        return HOLDS if answers == {YES} else PARTLY
    return FAILS if NO in answers else TIED


def _row(claim: Mapping, metrics: Mapping, seeds: Mapping) -> dict[str, str]:
    """A claim as a row: every check with its numbers and what it says; then the metrics that are missing."""
    parts, absent, answers = [], [], {}
    for check in claim["checks"]:
        sentence, answer, missing = _judged(check, metrics, seeds)
        parts += [sentence] if sentence else []
        absent += [name for name in missing if name not in absent]
        if "rule" in check:
            answers.setdefault(subject(check), set()).update([answer] if answer else [])
    if absent:
        more = f" and {len(absent) - 2} more" if len(absent) > 2 else ""
        parts.append(f"{UNMEASURED}: {', '.join(f'`{name}`' for name in absent[:2])}{more}")
    verdicts = {who: UNSAID if who not in answers else _verdict(answers[who]) if answers[who] else UNTESTABLE
                for who in SUBJECTS}
    return {"claim": claim["claim"], "where": claim["where"], **verdicts, "measure": claim["measure"].format(**_WORDS),
            "result": "; ".join(parts), "control": claim["control"].format(**_WORDS)}


def ledger_rows(metrics: Mapping[str, object], seeds: Mapping[str, Mapping] | None = None) -> list[dict[str, str]]:
    """The ledger, a row for each claim.

    Parameters
    ----------
    metrics : mapping of str to number, str or None
        Content of ``metrics.json``; what is missing, None or not finite is "not measured yet".
    seeds : mapping of str to {"median", "min", "max", "n"}, optional
        Where several seeds were run; preferred to `metrics`.

    Returns
    -------
    list of dict
        Columns claim, where, a verdict on each of SUBJECTS, measure, result and control.
    """
    return [_row(claim, metrics, seeds or {}) for claim in CLAIMS]


def verdict_counts(rows: Sequence[Mapping[str, str]]) -> dict[str, dict[str, int]]:
    """For each of SUBJECTS, how many claims have which verdict; those that say nothing of it are left out."""
    found = {who: [row[who] for row in rows] for who in SUBJECTS}
    return {who: {verdict: verdicts.count(verdict) for verdict in VERDICTS if verdict in verdicts and verdict != UNSAID}
            for who, verdicts in found.items()}


def as_blocks(rows: Sequence[Mapping[str, str]]) -> str:
    """The ledger as Markdown, a block for each claim: its verdicts, the comparisons, the measure and the control."""
    blocks = [LEGEND]
    for row in rows:
        verdicts = "; ".join(f"{who}: *{row[who]}*" for who in SUBJECTS if row[who] != UNSAID)
        checks = "\n".join(f"- {check}" for check in row["result"].split("; "))
        blocks.append(f"**{row['claim']}** ({row['where']}). {verdicts}.\n\n{checks}\n\n"
                      f"Measured: {row['measure']}. Control: {row['control']}.")
    return "\n\n".join(blocks)


def sweep_numbers(build: Build, sha256: str) -> dict[str, dict[str, float]]:
    """What `make sweep` collected for the profile of this run, else the reference sweep if its scan has this `sha256`.

    A dictionary of {"median", "min", "max", "n"} by metric, empty where there is neither.
    """
    for place in _of_sweep(build, "sweep.json", "data/reference/seeds.json"):
        stored = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
        if stored.get("scan_sha256") == sha256:
            return stored["numbers"]
    return {}


def twin_fractions(build: Build) -> dict[str, np.ndarray]:
    """True fractions of the mechanisms of the first twin of `make sweep`, or of the reference sweep, and as predicted.

    Maps (rows, columns, mechanisms) by name: "truth", and "{model}_one" and "{model}_all" for the predictions from one
    channel each and from all channels of a model. Empty where there is no sweep.
    """
    places = [place for place in _of_sweep(build, "fractions.npz", "data/reference/fractions.npz") if place.is_file()]
    return load_arrays(places[0]) if places else {}


def _of_sweep(build: Build, name: str, reference: str) -> list[Path]:
    """Where a file of the sweep of this run's profile may lie, and that of the reference sweep."""
    stored = [ROOT / reference] if build.profile == "laptop" else []
    return [build.root / build.profile / "sweep" / name, *stored]

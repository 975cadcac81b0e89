"""The paper's words and numbers (``paper.yml``), and the tables that set measured numbers beside them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

_FILE = yaml.safe_load(Path(__file__).with_name("paper.yml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Caption:
    """Title in the README, what stands under a picture, and what replaces it where it is not seen."""

    title: str
    caption: str
    alt: str


CAPTIONS = {identifier: Caption(**texts) for identifier, texts in _FILE["captions"].items()}
PLACES: dict[str, str] = _FILE["places"]
PAPER: dict[str, float] = {metric: stated["value"] for metric, stated in _FILE["numbers"].items()}


def full_name(identifier: str) -> str:
    """Name of a manifest entry as the paper counts: "figS4" is "Figure S4"."""
    for short, name in (("movie", "Movie"), ("table", "Table"), ("fig", "Figure")):
        if identifier.startswith(short):
            return f"{name} {identifier.removeprefix(short)}"
    raise ValueError(f"{identifier!r} is no id of a figure, table or movie: expected one such as fig4, "
                     "figS4, table1 or movieS4; correct it")


def caption_of(identifier: str) -> Caption:
    """Texts of one entry of the manifest; a ValueError if none are written for it."""
    if identifier not in CAPTIONS:
        raise ValueError(f"{identifier} has no caption: expected one in helpers/paper.yml for everything "
                         "that manifest.json lists; write it there")
    return CAPTIONS[identifier]


def number(value: float | str | None) -> str:
    """Three significant digits, a text as it is, or a dash where there is no number."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, (int, str)) else f"{value:.3g}"


def as_markdown(rows: list[dict[str, str]]) -> str:
    """Rows with the same keys as a Markdown table; a bar inside a cell, as in |Spearman|, parts no columns."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _filled(text: str, values: Mapping[str, float | str | None]) -> str:
    """`text` with each name in braces replaced by its value."""
    return re.sub(r"\{(.+?)\}", lambda found: number(values[found[1]]), text)


def table_1_rows(metrics: dict, grid_mse: np.ndarray, sweep: dict) -> list[dict[str, str]]:
    """The paper's Table 1 with the measurement behind each word.

    From the metrics of the notebooks so far, the toy error of dictionary learning along the grid of λ, shape
    (n_lambda,), and what `make sweep` collected, {"median", "min", "max", "n"} by metric, or nothing.
    """
    table = _FILE["table_1"]
    values = metrics | {"lowest": grid_mse.min(), "highest": grid_mse.max()}
    medians = {name: of_seeds["median"] for name, of_seeds in sweep.items()}
    for benchmark in ("toy", "beps"):
        kept, shuffled = (f"{benchmark}.control.vae_full.{order}.mse" for order in ("kept", "shuffled"))
        if kept in medians and shuffled in medians:
            medians[f"{benchmark}.order"] = medians[shuffled] / medians[kept]
    for name, text in table["swept"].items():
        known = set(re.findall(r"\{(.+?)\}", text)) <= medians.keys()
        values[name] = _filled(text, medians) if known else table["not_swept"]
    return [dict(zip(table["columns"], (_filled(cell, values) for cell in row), strict=True)) for row in table["rows"]]


def seed_rows(sweep: Mapping[str, Mapping[str, float]]) -> list[dict[str, str]]:
    """Headline numbers over seeds, and errors under changed settings, as `make sweep` collected them."""
    others = {name: name.removeprefix("sensitivity.") for name in sweep if name.startswith("sensitivity.")}
    titles = others | _FILE["seeds"]
    return [{"number": title} | {key: number(sweep[name][key]) for key in ("median", "min", "max", "n")}
            for name, title in titles.items() if name in sweep]


def control_rows(sweep: Mapping[str, Mapping[str, float]], labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Size of every control, and how single-coloured its channels are on the toy; `labels` name the models."""
    columns = {"toy: parameters": ("toy.control.{}.kept.parameters", ".0f"),
               "toy: mean |Spearman|": ("toy.control.{}.kept.spearman", ".2f"),
               "loops: parameters": ("beps.control.{}.kept.parameters", ".0f")}
    rows = []
    for model, label in labels.items():
        found = {title: (sweep.get(name.format(model)), form) for title, (name, form) in columns.items()}
        rows.append({"model": label} | {title: f"{spread['median']:{form}}" if spread else "–"
                                        for title, (spread, form) in found.items()})
    return rows


def reproduction_rows(metrics: dict) -> list[dict[str, str]]:
    """Every number that the paper states beside the one obtained."""
    known = defaultdict(lambda: None, metrics)
    return [{"number": stated["what"], "where": stated["where"], "paper": number(stated["value"]),
             "here": number(known[stated.get("here", metric)]), "note": _filled(stated["note"], known),
             "metric": f"`{metric}`"}
            for metric, stated in _FILE["numbers"].items()]


def inconsistency_rows() -> list[dict[str, str]]:
    """Where the paper, or the paper and its code, say two things: columns where, says, also says and here."""
    return [{head: _filled(text, PAPER) for head, text in row.items()} for row in _FILE["inconsistencies"]]

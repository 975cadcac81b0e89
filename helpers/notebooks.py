"""The table of notebooks, notebooks.yml: what each reads, writes and draws."""

from __future__ import annotations

from pathlib import Path

import yaml

NOTEBOOKS: dict[str, dict] = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))


def written(notebook: str) -> list[str]:
    """Files that a notebook leaves, as paths in the build folder."""
    entry = NOTEBOOKS[notebook]
    return [f"results/{notebook}.json", *entry["writes"], *(file for name in entry["draws"] for file in _drawn(name))]


def _drawn(identifier: str) -> list[str]:
    """Files of a figure ("fig4", "figS4"), a movie ("movieS4") or a table ("table1")."""
    if identifier.startswith("movie"):
        return [f"movies/{identifier.removeprefix('movie').lower()}.mp4"]
    if identifier.startswith("table"):
        return [f"results/{identifier}.json"]
    return [f"figures/{identifier}.png", f"figures/{identifier}.pdf"]


def needed(notebook: str) -> list[str]:
    """Notebooks whose results a notebook reads, directly or through one another, in the order in which they run."""
    makers = {file: name for name in NOTEBOOKS for file in written(name)}
    direct = {makers[file] for file in NOTEBOOKS[notebook]["reads"]}
    every = direct.union(*map(needed, direct))
    return [name for name in NOTEBOOKS if name in every]

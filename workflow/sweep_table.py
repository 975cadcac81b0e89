"""The finished cells of a sweep as one table and one figure (workflow/sweep.py runs the cells).

``python -m workflow.sweep_table sweep.yml --profile NAME``
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np

from helpers.scans.reading import load_scan
from helpers.figures.sensitivity import figure_sensitivity
from helpers.figures.style import save_figure
from helpers.scores import matched_correlation
from helpers.paths import atomic, write_json
from helpers.profiles import Profile, get_profile
from workflow.sweep import DICTIONARY
from workflow.settings import sweep_cells, sweep_folder


def finished(folder: Path) -> dict[str, dict[int, float]]:
    """Every number of the finished cells of a folder as {name: {seed: value}}."""
    values: dict[str, dict[int, float]] = {}
    for path in folder.glob("*/seed*/metrics.json"):
        for name, value in json.loads(path.read_text(encoding="utf-8")).items():
            if value is not None:
                values.setdefault(name, {})[int(path.parent.name.removeprefix("seed"))] = value
    return {name: dict(sorted(of_seeds.items())) for name, of_seeds in sorted(values.items())}


def collect(folder: Path) -> dict[str, dict[str, float]]:
    """All finished cells of a folder as {name: {median, min, max, n}} over seeds.

    The sensitivity of a model is the largest over the smallest held-out error of its grid, the
    profile's own values among them, each the median of the seeds of the grid. The stability of
    the maps is the mean |correlation| of the channels of two seeds, matched one to one.
    """
    found = finished(folder)
    values = {name: list(of_seeds.values()) for name, of_seeds in found.items()}
    for model in ("vae", "dl"):
        grid = [of_seeds for name, of_seeds in found.items() if name.startswith(f"sensitivity.{model}.")]
        seeds = {seed for of_seeds in grid for seed in of_seeds}
        own = [value for seed, value in found.get(f"beps.{model}.mse_heldout", {}).items() if seed in seeds]
        if grid and own:
            medians = [float(np.median(errors)) for errors in (*(list(cell.values()) for cell in grid), own)]
            values[f"sensitivity.{model}.spread"] = [max(medians) / min(medians)]
    embeddings = []
    for path in sorted(folder.glob("headline/seed*/embedding.npz")):
        with np.load(path, allow_pickle=False) as stored:
            embeddings.append(stored["embedding"])
    if len(embeddings) > 1:
        values["beps.vae.stability"] = [matched_correlation(a, b).mean() for a, b in combinations(embeddings, 2)]
    return {name: {"median": float(np.median(got)), "min": float(min(got)), "max": float(max(got)), "n": len(got)}
            for name, got in sorted(values.items())}


def missing(folder: Path, jobs: Iterable[tuple[str, int]]) -> list[str]:
    """One line for each job that has left no result, with the end of its log."""
    lines = []
    for cell, seed in jobs:
        log = folder / cell / f"seed{seed}" / "log.txt"
        if not log.with_name("metrics.json").is_file():
            text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
            end = text.strip().splitlines()[-1:] if "Traceback" in text else []
            lines.append(f"{cell}, seed {seed}: {' '.join(end) or 'failed or not run'}; see {log}")
    return lines


def tabulate(folder: Path, profile: Profile) -> None:
    """Write what is finished: sweep.json, the same as sweep.csv, and the sensitivity figure where there is one."""
    table = collect(folder)
    write_json(folder / "sweep.json", table)
    with atomic(folder / "sweep.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["number", "median", "min", "max", "n"])
        rows.writeheader()
        rows.writerows({"number": name} | spread for name, spread in table.items())
    found = finished(folder)
    if any(name.startswith("sensitivity.") for name in found):
        own = DICTIONARY | asdict(profile.beps_training) | asdict(profile.beps_network)
        sources = {load_scan(path).source for path in folder.parent.glob("seed*/results/scan.h5")}
        figure = figure_sensitivity(found, own, source="measured" if sources == {"measured"} else "twin")
        save_figure(figure, folder / "sensitivity",
                    provenance={"profile": profile.name, "cells": folder.name})


def main() -> None:
    """Collect the cells of one sweep file."""
    parser = argparse.ArgumentParser(prog="python -m workflow.sweep_table", description=__doc__)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--profile", required=True)
    given = parser.parse_args()
    jobs = sweep_cells(given.sweep)
    folder = Path(sweep_folder({"sweep": str(given.sweep), "profile": given.profile}))
    if not any(folder.glob("*/seed*/metrics.json")):
        sys.exit(f"{folder} has no finished cell: expected those of {given.sweep}; see what failed above")
    tabulate(folder, get_profile(given.profile))
    left = missing(folder, jobs)
    print(f"{len(jobs) - len(left)} of {len(jobs)} cells are done; {folder / 'sweep.csv'} has the numbers")
    print(*left, sep="\n", end="\n" if left else "", file=sys.stderr)
    sys.exit(bool(left))


if __name__ == "__main__":
    main()

"""The cells of a sweep: which a file such as sweep.yml asks for, and the finished ones as one table and one figure.

``python -m workflow.sweep sweep.yml --profile NAME --seed N`` collects what the cells (workflow/cell.py) have left of
the scan of that seed's run.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, fields
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml

from helpers.paths import atomic, load_arrays, own_scans, read_json, write_json
from helpers.profiles import DICTIONARY, AdditiveNetwork, Profile, Training, get_profile
from workflow.settings import plain


def sweep_folder(sweep: str, profile: str) -> str:
    """Where the cells of a sweep go, ``build/<profile>/<name of its file>``; a ValueError where that is a seed's."""
    name = plain(Path(sweep).stem)
    if re.fullmatch(r"seed\d+", name):
        raise ValueError(f"SWEEP={sweep}: {name} is the name of a folder of results: expected another; "
                         "rename the file.")
    return f"build/{profile}/{name}"


def sweep_cells(path: Path) -> list[tuple[str, int]]:
    """Every (cell, seed) that a file such as sweep.yml asks for.

    A ValueError tells that the file is not as expected, or varies what cannot be varied.
    """
    names = {"vae": {field.name for part in (AdditiveNetwork, Training) for field in fields(part)},
             "dl": {"atoms", "sparsity"}}
    try:
        sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
        seeds = [int(seed) for seed in sweep["seeds"]]
        jobs = [("headline", seed) for seed in seeds]
        jobs += [(kind, int(seed)) for kind in ("twin", "halves") for seed in sweep.get(kind, [])]
        jobs += [(f"control.{benchmark}.{model}.{order}", 0)
                 for benchmark, orders in sweep.get("controls", {}).items()
                 for order, models in orders.items() for model in models]
        jobs += [(f"reading.{name}", 0) for name in sweep.get("readings", [])]
        vary = dict(sweep.get("vary", {}))
        varied_seeds = [int(seed) for seed in vary.pop("seeds", [0])]
        varied = [(model, name, value) for model, grid in vary.items()
                  for name, values in grid.items() for value in values]
    except (yaml.YAMLError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error!r}): expected seeds, controls and vary as in the "
                         "one that came with the project; correct it.") from None
    for model, name, value in varied:
        if name not in names.get(model, ()):
            raise ValueError(f"{path} varies {model}.{name}: expected {' or '.join(names)}, and a name from "
                             "helpers/profiles.py, or atoms or sparsity; correct the name.")
        if type(value) not in (int, float):
            raise ValueError(f"{path} sets {model}.{name} to {value!r}: expected numbers; correct the value.")
    jobs += [(cell, seed) for cell in sweep_scans(path) for seed in seeds]
    return jobs + [(f"vary.{model}.{name}={value}", seed) for model, name, value in varied for seed in varied_seeds]


def sweep_scans(path: Path) -> dict[str, str]:
    """Cells ``scan.<name>`` of a file such as sweep.yml, and the file of each.

    Paths are relative to the folder of `path`; a folder stands for every scan in it. A ValueError tells that a file is
    missing, or that two have the same name.
    """
    listed = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("scans", [])
    given = [path.parent / Path(name).expanduser() for name in listed]
    files = [file for one in given for file in (own_scans(one) if one.is_dir() else [one])]
    for file in files:
        if not file.is_file():
            raise ValueError(f"{path} lists the scan {file}: there is no such file: expected one, or a folder; "
                             "check the path.")
    cells = {f"scan.{plain(file.stem)}": str(file) for file in files}
    if len(cells) < len(files):
        raise ValueError(f"{path} lists two scans of the same name: expected each name once; rename one.")
    return cells


def finished(folder: Path) -> dict[str, dict[int, float]]:
    """Every number of the finished cells of a folder as {name: {seed: value}}."""
    values = defaultdict(dict)
    for path in folder.glob("*/seed*/metrics.json"):
        for name, value in read_json(path).items():
            if value is not None:
                values[name][int(path.parent.name.removeprefix("seed"))] = value
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
    kept = sorted(folder.glob("headline/seed*/embedding.npz"))
    if len(kept) > 1:
        from helpers.scores import matched_correlation

        embeddings = [load_arrays(path)["embedding"] for path in kept]
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


def tabulate(folder: Path, profile: Profile, scan_h5: Path) -> None:
    """Write what is finished: sweep.json, the same as sweep.csv, and the sensitivity figure where there is one.

    sweep.json names the scan, stored in `scan_h5`, so that a run of another scan does not take its numbers. The true
    and predicted fractions of the first twin are copied beside it.
    """
    from helpers.scans.reading import load_scan  # the Snakefile, which asks for the cells alone, need not wait for it

    table, scan = collect(folder), load_scan(scan_h5)
    write_json(folder / "sweep.json", {"scan_sha256": scan.sha256, "numbers": table})
    with atomic(folder / "sweep.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["number", "median", "min", "max", "n"])
        rows.writeheader()
        rows.writerows({"number": name} | spread for name, spread in table.items())
    for fractions in sorted(folder.glob("twin/seed*/fractions.npz"))[:1]:
        with atomic(folder / fractions.name) as temporary:
            shutil.copyfile(fractions, temporary)
    found = finished(folder)
    if any(name.startswith("sensitivity.") for name in found):
        from helpers.figures.sensitivity import figure_sensitivity
        from helpers.figures.style import save_figure

        own = DICTIONARY | asdict(profile.beps_training) | asdict(profile.beps_network)
        figure = figure_sensitivity(found, own, source=scan.source)
        save_figure(figure, folder / "sensitivity", provenance={"profile": profile.name, "cells": folder.name})


def main() -> None:
    """Collect the cells of one sweep file."""
    parser = argparse.ArgumentParser(prog="python -m workflow.sweep", description=__doc__)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    jobs = sweep_cells(given.sweep)
    folder = Path(sweep_folder(str(given.sweep), given.profile))
    if not any(folder.glob("*/seed*/metrics.json")):
        sys.exit(f"{folder} has no finished cell: expected those of {given.sweep}; see what failed above")
    tabulate(folder, get_profile(given.profile), folder.with_name(f"seed{given.seed}") / "results/scan.h5")
    left = missing(folder, jobs)
    print(f"{len(jobs) - len(left)} of {len(jobs)} cells are done; {folder / 'sweep.csv'} has the numbers")
    print(*left, sep="\n", end="\n" if left else "", file=sys.stderr)
    sys.exit(bool(left))


if __name__ == "__main__":
    main()

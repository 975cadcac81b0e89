"""``python -m helpers.scans inspect FILE [--json]``: what a file holds, what of it would be used, and why."""

import argparse
import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from helpers.scans.choice import choose
from helpers.scans.cleaning import rules_of
from helpers.scans.formats import DataError
from helpers.scans.outliers import variance_in_extremes
from helpers.scans.reading import listing, load_scan, recognise
from helpers.scans.scan import FEWEST_PIXELS

UNITS = {"piezoresponse": "arb. u.", "resonance_kHz": "kHz"}


def inspect(path: Path, select: str = "", clean: str = "") -> dict[str, object]:
    """What `load_scan` makes of a file, as ``--json`` prints it; ``refused``, a sentence, where it refuses the file.

    `select` and `clean` are as SELECT= and CLEAN= of make.
    """
    try:
        choice = choose(select)
        scan = load_scan(path, choice, rules_of(clean))
        kind = recognise(path.expanduser())
    except (DataError, OSError, ValueError) as error:
        return {"refused": str(error)}
    numbers = [found[1] for note in scan.notes if (found := re.search(r"\bcycle (\d+) of", note))]
    usable = scan.usable.reshape(scan.shape)
    measured = {name: cube[usable] for name, cube in scan.channels.items()}
    return {
        "format": kind, "field": choice.field,
        "cycle": choice.cycle if choice.cycle == "mean" else int(numbers[-1]) if numbers else choice.cycle or 1,
        "shape": [*scan.piezoresponse.shape], "size_um": float(scan.size_um) if np.isfinite(scan.size_um) else None,
        "voltage_V": [float(scan.voltage_V.min()), float(scan.voltage_V.max())],
        "channels": {name: {"unit": UNITS[name], "min": float(values.min()), "max": float(values.max())}
                     for name, values in measured.items()},
        "unusable": int((~usable).sum()), "variance_in_extremes": max(map(variance_in_extremes, measured.values())),
        "notes": list(scan.notes),
    }


def lines_of(path: Path, found: dict[str, object]) -> list[str]:
    """The same to read."""
    lines = [f"{path}"]
    with suppress(Exception):  # why it cannot be read stands in `refused`
        lines += ["Holds", *(f"  {line}" for line in listing(path))]
    if "refused" in found:
        return [*lines, f"Not usable: {found['refused']}"]
    rows, columns, steps = found["shape"]
    size = "unknown size" if found["size_um"] is None else f"{found['size_um']:g} µm wide"
    lines += ["Used", f"  {found['format']}: {rows} × {columns} pixels, {steps} steps, {size}",
              f"  field {found['field']}, cycle {found['cycle']}",
              "  voltage_V: {:.4g} … {:.4g} V".format(*found["voltage_V"])]
    lines += [f"  {name}: {part['min']:.4g} … {part['max']:.4g} {part['unit']}"
              for name, part in found["channels"].items()]
    enough = ("large enough" if rows * columns - found["unusable"] >= FEWEST_PIXELS else
              f"too small: expected {FEWEST_PIXELS} usable pixels or more")
    lines += [f"  {found['unusable']} unusable pixels; {enough}",
              f"  the extreme thousandth of the points holds {found['variance_in_extremes']:.1%} of the variance"]
    return lines + [f"  {note}" for note in found["notes"]]


def main(arguments: list[str]) -> int:
    """Print what a file holds; 1 where it is refused."""
    parser = argparse.ArgumentParser(prog="python -m helpers.scans", description=__doc__)
    parser.add_argument("command", choices=["inspect"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--select", default="", help="as SELECT= of make, such as field=on,cycle=2")
    parser.add_argument("--clean", default="", help="as CLEAN= of make, such as outliers=10")
    asked = parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="replace")  # a console without UTF-8
    found = inspect(asked.file, asked.select, asked.clean)
    text = json.dumps(found, ensure_ascii=False) if asked.json else "\n".join(lines_of(asked.file, found))
    try:
        print(text, flush=True)
    except BrokenPipeError:  # whoever reads, as `head -1`, has enough; the flush at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int("refused" in found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

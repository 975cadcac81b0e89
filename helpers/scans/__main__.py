"""``python -m helpers.scans inspect FILE`` says what a file holds and what of it would be used."""

from __future__ import annotations

import sys
from pathlib import Path

from helpers.scans.formats import DataError
from helpers.scans.reading import listing, load_scan, refuse_if_it_crashes


def inspect(path: Path | str) -> str:
    """What a file holds, what of it `load_scan` would use, and what is missing.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    str
        Several lines; the last begins with "Not usable" where `load_scan` would refuse.
    """
    path = Path(path)
    lines = [f"{path}"]
    try:
        if path.is_file():
            refuse_if_it_crashes(path)
            lines += ["Holds", *(f"  {line}" for line in listing(path))]
        scan = load_scan(path)
    except (DataError, OSError, ValueError) as error:
        return "\n".join([*lines, f"Not usable: {error}"])
    rows, columns = scan.shape
    values = scan.channels | {"voltage_V": scan.voltage_V}
    lines += ["Used", f"  {rows} × {columns} pixels, {len(scan.voltage_V)} steps"]
    lines += [f"  {name}: {part.min():.4g} … {part.max():.4g}" for name, part in values.items()]
    lines += [f"  {note}" for note in scan.notes]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "inspect":
        sys.exit("usage: python -m helpers.scans inspect FILE")
    report = inspect(sys.argv[2])
    print(report)
    sys.exit("Not usable: " in report.rpartition("\n")[2])

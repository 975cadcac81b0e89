"""A folder of text or csv files, one a pixel, as switching spectroscopy is exported: columns by their headings."""

import re
from pathlib import Path

import numpy as np

from helpers.paths import TEXT_SCANS
from helpers.scans.choice import Choice
from helpers.scans.formats import EXPECTED, DataError, Loops, assembled, check_places
from helpers.scans.units import in_V, unit_in, width_um

TABLES = ("position", "coordinate", "grid")  # in the name of a table of places
# What a column holds, by the first of these that its heading has.
HEADINGS = {"phase": r"phase|phi\b|φ", "resonance": r"freq|reson", "piezoresponse": r"piezo|\bpr\b|mixed|loop|response",
            "amplitude": r"ampl|\bamp\b", "write": r"write|bias.*on|pulse", "voltage": r"volt|bias|\bdc|\bv\b"}


def text_files(folder: Path) -> list[Path]:
    """The text files of a folder, hidden ones, tables of places and notes aside; numbers in names sort as numbers."""
    found = (p for p in folder.glob("[!.]*") if p.suffix.lower() in TEXT_SCANS and p.is_file()
             and not re.match("readme|licen|note", p.name.lower()) and not _is_table(p))
    return sorted(found, key=lambda p: [(int(part), "") if part.isdigit() else (-1, part)
                                        for part in re.split(r"(\d+)", p.name)])


def _is_table(path: Path) -> bool:
    return any(word in path.stem.lower() for word in TABLES) and not re.search(r"\d", path.stem)


def read_text(path: Path, choice: Choice) -> Loops:
    """Loops of a folder; every file has the same columns and the same drive."""
    files = text_files(path)
    headings, first = _columns(files[0])
    roles = _roles(headings, first, choice.field)
    if "voltage" not in roles or not ("piezoresponse" in roles or {"amplitude", "phase"} <= set(roles)):
        raise DataError(f"{files[0]} has the columns {', '.join(headings) or 'without headings'}: expected a voltage "
                        f"that varies, and the piezoresponse or amplitude and phase, field {choice.field}; head "
                        "the columns so, or choose the other field=")
    tables = [first]
    for file in files[1:]:
        other, table = _columns(file)
        if other != headings or table.shape != first.shape or not np.allclose(
                table[:, roles["voltage"]], first[:, roles["voltage"]], equal_nan=True):
            raise DataError(f"{file} has {len(table)} rows of {', '.join(other)}, other than {files[0].name}: expected "
                            "the same columns and the same voltages in every file; take it out of the folder")
        tables.append(table)
    shape, places, size_um, notes = _grid(path, files, choice)
    cube = np.full((*shape, *first.shape), np.nan)
    cube[places] = tables
    units = {role: unit_in(headings[at]) for role, at in roles.items()}
    said = [f"{len(files)} text files, columns " + ", ".join(f"{headings[at]} as {role}" for role, at in roles.items())
            + f" (there are {', '.join(headings)})", *notes]
    voltage_V = in_V(first[:, roles["voltage"]], units["voltage"], said)
    wanted = ("piezoresponse",) if "piezoresponse" in roles else ("amplitude", "phase")
    cubes = {role: cube[..., roles[role]] for role in (*wanted, "resonance") if role in roles}
    return assembled(cubes, units, voltage_V, said, choice.theta_rad, size_um=size_um)


def _columns(path: Path) -> tuple[list[str], np.ndarray]:
    """Headings and numbers, shape (rows, columns), of a text file, whatever stands between the columns."""
    lines = path.read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    between = next((mark for mark in ("\t", ";", ",") if sum(mark in line for line in lines) > len(lines) / 2), None)
    cells = [[cell.strip().strip('"') for cell in line.lstrip("#% ").split(between)] for line in lines]
    rows, begin, last = [], 0, 0
    for n, row in enumerate(cells):
        try:
            numbers = [float(cell.replace(",", ".") if between != "," else cell) if cell else np.nan for cell in row]
        except ValueError:
            continue
        if len(numbers) > 1 and len(numbers) == len((rows or [numbers])[0]) and not np.isnan(numbers).all():
            begin, last = (begin, last) if rows else (n, n - 1)
            if wrong := [k for k in range(last + 1, n) if "".join(cells[k]) and lines[k][:1] not in "#%"]:
                raise DataError(f"{path}: line {wrong[0] + 1}, {lines[wrong[0]][:40]!r}, is no row of {len(numbers)} "
                                "numbers as those around it: expected one table; mend it, or store one table a file")
            rows.append(numbers)
            last = n
    if not rows:
        raise DataError(f"{path} holds no table of numbers: expected {EXPECTED}; take it out of the folder")
    spaced = [re.split(r"\t|\s{2,}", line.lstrip("#% ").strip()) for line in lines[:begin]] if between is None else []
    heads = [*spaced[::-1], *cells[:begin][::-1]]
    return next((row for row in heads if len(row) == len(rows[0])), []), np.array(rows)


def _field(heading: str) -> str:
    """ "on" or "off" where a heading says that its column was measured in or out of the field; else nothing."""
    found = re.search(r"(?<![a-z])(on|off|in.?field|out.?(of.?)?field)(?![a-z])", heading.lower())
    return {"i": "on", "o": "off"}.get(found[1][0] if "field" in found[1] else "", found[1]) if found else ""


def _roles(headings: list[str], table: np.ndarray, field: str) -> dict[str, int]:
    """Columns of a field by what they hold; of voltages the one that is written, else one that varies."""
    found: dict[str, int] = {}
    for at, heading in enumerate(headings):
        role = next((role for role, words in HEADINGS.items() if re.search(words, heading.lower())), "")
        if role in ("write", "voltage"):
            if np.nanmin(table[:, at]) != np.nanmax(table[:, at]) and (role == "write" or "voltage" not in found):
                found["voltage"] = at
        elif role and (_field(heading) or "off") == field:
            found[role] = at
    return found


def _grid(folder: Path, files: list[Path], choice: Choice
          ) -> tuple[tuple[int, int], tuple[np.ndarray, np.ndarray], float, list[str]]:
    """Shape, row and column of every file, width (µm) and what told them."""
    table = next((p for p in sorted(folder.iterdir()) if p.suffix.lower() in TEXT_SCANS and _is_table(p)), None)
    if table is not None:
        headings, places = _columns(table)
        at = {name: next((n for n, head in enumerate(headings) if re.match(name, head.lower())), None)
              for name in ("x|col", "y|row")}
        if None in at.values() or len(places) != len(files):
            raise DataError(f"{table} has {len(places)} rows of {', '.join(headings)}: expected x and y of each of the "
                            f"{len(files)} files; correct it")
        if len(np.unique(places[:, list(at.values())], axis=0)) != len(files):
            raise DataError(f"{table} names a place more than once: expected one of its own for each file; correct it")
        (x, column), (y, row) = (np.unique(places[:, n], return_inverse=True) for n in at.values())
        check_places(table, (len(y), len(x)), len(files))
        width = width_um(x, unit_in(headings[at["x|col"]]))
        return (len(y), len(x)), (row.ravel(), column.ravel()), width, [f"places of {table.name}"]
    named = [_place(file.stem) for file in files]
    if all(named) and len(set(named)) == len(files):
        (_, row), (_, column) = (np.unique([place[n] for place in named], return_inverse=True) for n in (0, 1))
        return (row.max() + 1, column.max() + 1), (row, column), np.nan, ["rows and columns by the names of the files"]
    side = int(np.sqrt(len(files)))
    shape = choice.grid or (side, side)
    if shape[0] * shape[1] != len(files):
        raise DataError(f"{folder} holds {len(files)} files, not {shape[0]} × {shape[1]}: expected names with row and "
                        "column, as r03_c11.txt, a table positions.csv of x and y, or SELECT=grid=rows x columns; "
                        "add one")
    row, column = np.divmod(np.arange(len(files)), shape[1])
    said = f"{len(files)} files taken as {shape[0]} × {shape[1]} by their order: a guess"
    return shape, (row, column), np.nan, [said]


def _place(stem: str) -> tuple[int, int] | None:
    """Row and column that a name tells: r03_c11, x11_y3, or its last two numbers."""
    parts = dict(re.findall(r"(?:^|[^a-z])(r|row|y|c|col|column|x)[_ -]?(\d+)", stem.lower()))
    place = [next((parts[word] for word in words.split() if word in parts), None)
             for words in ("r row y", "c col column x")]
    place = re.findall(r"\d+", stem)[-2:] if None in place else place
    return (int(place[0]), int(place[1])) if len(place) == 2 else None

"""Rows, columns and steps of a USID dataset, from the tables of indices and values beside it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import h5py
import numpy as np

from helpers.scans.choice import Choice
from helpers.scans.formats import DataError, check_places, check_size, every_nth, text
from helpers.scans.units import factor, width_um

SPELLINGS = {"dc_offset": "DC_Offset", "bias": "DC_Offset", "voltage": "DC_Offset", "dc_bias": "DC_Offset",
             "frequency": "Frequency", "cycle": "Cycle", "field": "Field"}
BATCH_BYTES = 64 * 2**20  # of one read from a large dataset


def _groups_above(main: h5py.Dataset) -> Iterator[h5py.Group]:
    """The groups that a dataset lies in, the nearest first."""
    return (main.file[str(folder)] for folder in PurePosixPath(main.name).parents)


def ancillary(main: h5py.Dataset, name: str) -> h5py.Dataset | None:
    """A dataset that a main dataset refers to, or that lies beside or above it."""
    reference = main.attrs.get(name)
    if isinstance(reference, h5py.Reference) and reference:
        return main.file[reference]
    return next((group.get(name) for group in _groups_above(main) if name in group), None)


def words(dataset: h5py.Dataset | None, attribute: str) -> list[str]:
    """Labels or units, which come as bytes or as text; none where the attribute is missing."""
    return [] if dataset is None else [text(word) for word in np.atleast_1d(dataset.attrs.get(attribute, []))]


def refusal(main: h5py.Dataset, problem: str) -> DataError:
    """What is wrong with a dataset, as an error to raise."""
    return DataError(f"{main.file.filename}: `{main.name}` {problem}")


@dataclass(frozen=True)
class Selection:
    """Columns of a USID dataset that belong to the chosen loops, in the order applied."""

    columns: np.ndarray  # (steps,) or (steps, bins)
    voltage_V: np.ndarray  # (steps,)
    frequency_Hz: np.ndarray | None
    cycles: tuple[int, ...]  # that there are
    notes: tuple[str, ...]


def select(main: h5py.Dataset, choice: Choice) -> Selection:
    """The columns that `choice` asks for, by the labels of the spectroscopic axes."""
    table, indices = ancillary(main, "Spectroscopic_Values"), ancillary(main, "Spectroscopic_Indices")
    if table is None or table.ndim != 2 or table.shape[1] != main.shape[1]:
        raise refusal(main, "has no fitting spectroscopic indices and values: expected "
                            f"(axes, {main.shape[1]}) of each; write the file with pyUSID")
    check_size(main.file.filename, table.name, table)
    rows, notes = np.asarray(table[:], float), []
    labels = _fitting_labels(main, words(indices, "labels") or words(table, "labels"), rows, notes)
    values = dict(zip(labels, rows, strict=True))
    units = dict(zip(labels, words(table, "units") or words(indices, "units"), strict=False))
    for label, base in (("DC_Offset", "V"), ("Frequency", "Hz")):
        scale = factor(units.get(label, ""), base)
        if label in values and scale not in (None, 1.0):
            values[label] = values[label] * scale
            notes.append(f"{label} converted from {units[label]} to {base}")
    banded, bins = "Frequency" in values, np.zeros(main.shape[1], int)
    if banded:  # what LabVIEW counted wrongly is counted again from the values
        bins = indices[labels.index("Frequency")] if indices is not None and indices.shape == table.shape else bins
        bins = bins if np.ptp(bins) > 0 else np.unique(values["Frequency"], return_inverse=True)[1]
    columns = _in_steps(main, _chosen_columns(main, values, choice, notes), bins)
    voltage_V = values["DC_Offset"][columns[:, 0]]
    if np.ptp(voltage_V) == 0 and "Field" in values:  # written as applied: nothing, while the field is off
        other = replace(choice, field="off" if choice.field == "on" else "on")
        others = _in_steps(main, _chosen_columns(main, values, other, []), bins)
        notes.append("the offset is 0 while the field is off: that of the pulse before is taken")
        if others.shape == columns.shape:
            voltage_V = values["DC_Offset"][others[:, 0]]
    cycles = np.unique(values["Cycle"]).size if "Cycle" in values else 1
    return Selection(columns if banded else columns[:, 0], voltage_V,
                     values["Frequency"][columns[0]] if banded else None, tuple(range(1, cycles + 1)), tuple(notes))


def _in_steps(main: h5py.Dataset, kept: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Numbers of the kept columns, (steps, bins), whatever the order of the frequencies."""
    columns = np.flatnonzero(kept)
    steps_of_bin = np.unique(bins[columns], return_counts=True)[1]
    if np.ptp(steps_of_bin) > 0:
        raise refusal(main, f"has {columns.size} values for {steps_of_bin.size} frequencies: "
                            "expected every frequency at every step; the measurement is incomplete")
    return columns[np.argsort(bins[columns], kind="stable").reshape(steps_of_bin.size, -1).T]


def _fitting_labels(main: h5py.Dataset, labels: list[str], values: np.ndarray, notes: list[str]) -> list[str]:
    """As many labels as there are axes, in the spelling of BGlib; of more, those that the values fit."""
    named = [SPELLINGS.get(label.strip().lower().replace(" ", "_"), label) for label in labels]

    def fits(some: tuple[str, ...]) -> bool:
        rows = dict(zip(some, values, strict=True))
        drive, bins = rows.get("DC_Offset"), rows.get("Frequency")
        return drive is not None and np.ptp(drive) > 0 and drive.min() <= 0 and (
            bins is None or bool(bins.min() > 0 and np.ptp(bins) > 0))

    if len(named) > len(values):
        every = list(itertools.islice(itertools.combinations(named, len(values)), 1000))
        chosen = list(max(filter(fits, every), key=lambda some: sum(label in SPELLINGS.values() for label in some),
                          default=every[0]))
        notes.append(f"{len(named)} labels for {len(values)} axes: read as {', '.join(chosen)}, which the values fit")
        named = chosen
    if len(named) != len(values) or "DC_Offset" not in named:
        raise refusal(main, f"has the axes {', '.join(labels) or 'none'}: expected DC_Offset among {len(values)} "
                            "labels; this is not switching spectroscopy, or its labels are lost")
    return named


def _chosen_columns(main: h5py.Dataset, values: dict[str, np.ndarray], choice: Choice, notes: list[str]) -> np.ndarray:
    """Which columns are of the chosen cycle, field and other axes."""
    path, spelt = main.file.filename, {name.lower(): name for name in values}
    others = {spelt.get(name.lower(), name): value for name, value in choice.others.items()}
    stated = "" if "Field" in values else _stated_field(main)
    needed = {*others, *(["Cycle"] if choice.cycle not in (None, 1) else []),
              *(["Field"] if choice.field == "on" and not stated else [])}
    if unknown := needed - set(values):
        raise DataError(f"{path} has no axis {', '.join(sorted(unknown))}: expected one of {', '.join(values)}; "
                        "correct the choice")
    if stated not in ("", choice.field):
        raise DataError(f"{path} was measured with the field {stated} alone (VS_measure_in_field_loops): expected "
                        f"loops with the field {choice.field}; take another file, or choose field={stated}")
    if stated:
        notes.append(f"field {stated}, as VS_measure_in_field_loops says")
    kept = np.ones(main.shape[1], bool)
    for axis in (name for name in values if name not in ("Frequency", "DC_Offset")):
        there = np.unique(values[axis][kept])
        listed = ", ".join(f"{v:g}" for v in there)
        if axis == "Cycle":
            asked = number = len(there) if choice.cycle is None else choice.cycle
            value, note = there[number - 1] if 1 <= number <= len(there) else np.nan, f"cycle {number} of {len(there)}"
        elif axis == "Field":  # BGlib: 0 out of the field, 1 in it
            asked, value, note = choice.field, float(choice.field == "on"), f"field {choice.field}"
        elif axis in others:
            asked = value = others[axis]
            note = f"{axis} = {value:g}, one of {len(there)}"
        else:
            largest = [np.abs(values["DC_Offset"][kept & (values[axis] == v)]).max() for v in there]
            asked = value = there[int(np.argmax(largest))]
            note = f"{axis} = {value:g}, which has the largest amplitude, {max(largest):g} V, of {listed}"
        notes.append(note)
        kept &= np.isclose(values[axis], value)
        if not kept.any():
            raise DataError(f"{path} has no {axis} {asked}: expected one of {listed} (cycles are counted from 1); "
                            "correct the choice")
    return kept


def _stated_field(main: h5py.Dataset) -> str:
    """ "on", "off" or nothing, by what the measurement says of itself where it has no axis for it."""
    stated = (group.attrs["VS_measure_in_field_loops"] for group in _groups_above(main)
              if "VS_measure_in_field_loops" in group.attrs)
    said = text(next(stated, "")).lower()
    if "and" in said or "both" in said:
        return ""
    return "off" if said.startswith(("out", "off")) else "on" if said.startswith(("in", "on")) else ""


@dataclass(frozen=True)
class Grid:
    """Where the positions of a USID dataset lie."""

    shape: tuple[int, int]
    kept: np.ndarray  # (positions,) of bool
    row: np.ndarray  # (kept positions,)
    column: np.ndarray
    width_um: float
    whole: tuple[int, int]

    def read(self, main: h5py.Dataset) -> Iterator[np.ndarray]:
        """The kept positions, a batch that fits into memory at a time."""
        batch = max(1, BATCH_BYTES // (main.shape[1] * main.dtype.itemsize))
        for start in range(0, len(main), batch):
            if self.kept[start:start + batch].any():
                yield main[start:start + batch][self.kept[start:start + batch]]

    def lay(self, flat: np.ndarray) -> np.ndarray:
        """(kept positions, steps) as (rows, columns, steps), NaN where nothing was measured."""
        cube = np.full((*self.shape, flat.shape[1]), np.nan)
        cube[self.row, self.column] = flat
        return cube


def grid_of(main: h5py.Dataset, steps: int, rows: tuple[int, int] | None = None) -> Grid:
    """Rows and columns of the positions; those asked for, or of a scan too large some of each."""
    positions = len(main)
    indices = next((there for there in (ancillary(main, "Position_Indices"), ancillary(main, "Position_Values"))
                    if there is not None and there.ndim == 2 and len(there) == positions), None)
    if indices is None:
        raise refusal(main, f"has no fitting position indices: expected ({positions}, axes); write the file with "
                            "pyUSID")
    check_size(main.file.filename, indices.name, indices)
    labels = words(indices, "labels")[:indices.shape[1]]
    labels += [f"axis {n}" for n in range(len(labels), indices.shape[1])]
    counted = dict(zip(labels, np.asarray(indices[:]).T, strict=True))
    varying = {label: values for label, values in counted.items() if np.ptp(values) > 0}
    if len(varying) > 2:
        raise refusal(main, f"varies along {', '.join(varying)}: expected rows and columns; store one plane of "
                            "positions")
    column = _fastest(varying) if varying else labels[-1]
    if len(varying) == 1 and column.lower() in ("y", "row", "rows") and len(labels) > 1:
        column = next(label for label in labels if label != column)  # a scan of one column
    row = next((label for label in [*varying, *labels] if label != column), None)
    (there, row_of), (columns, column_of) = (
        np.unique(counted.get(label, np.zeros(positions, int)), return_inverse=True) for label in (row, column))
    if len(np.unique(row_of * len(columns) + column_of)) != positions:
        raise DataError(f"{main.file.filename}: positions of `{main.name}` occur more than once: expected one spectrum "
                        "at each row and column; store one pass of the scan")
    check_places(main.file.filename, (len(there), len(columns)), positions)
    whole, width = (len(there), len(columns)), _width_um(main, labels.index(column))
    first, last = rows or (0, whole[0])
    every = 1 if rows else every_nth((*whole, 1))
    kept = (row_of >= first) & (row_of < last) & (row_of % every == 0) & (column_of % every == 0)
    check_size(main.file.filename, main.name, main, int(kept.sum()) * steps)
    return Grid((-(-(last - first) // every), -(-whole[1] // every)), kept, (row_of[kept] - first) // every,
                column_of[kept] // every, width, whole)


def _fastest(positions: dict[str, np.ndarray]) -> str:
    """The axis that varies fastest, which is the columns; where none clearly does, that called X."""
    changes = {label: np.count_nonzero(np.diff(column)) for label, column in positions.items()}
    ranked = sorted(changes, key=changes.get)
    if len(ranked) == 2 and changes[ranked[0]] > changes[ranked[1]] / 2:
        return next((label for label in ranked if label.lower()[:1] in "xc"), ranked[1])
    return ranked[-1]


def _width_um(main: h5py.Dataset, axis: int) -> float:
    """Width from the positions; NaN where they are counts instead of lengths."""
    values = ancillary(main, "Position_Values")
    if values is None or values.ndim != 2 or axis >= values.shape[1]:
        return float("nan")
    units = words(values, "units") or words(ancillary(main, "Position_Indices"), "units")
    width = width_um(np.unique(np.asarray(values[:, axis], float)), (units + [""] * values.shape[1])[axis])
    return width if width < 1e4 else float("nan")

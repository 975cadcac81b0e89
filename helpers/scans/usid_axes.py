"""Rows, columns and steps of a USID dataset, from its indices and values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from helpers.scans.choice import Choice
from helpers.scans.formats import DataError, check_size, every_nth, text, thinning
from helpers.scans.units import factor, width_um

BATCH_BYTES = 64 * 2**20  # of one read from a large dataset
SPELLINGS = {"dc_offset": "DC_Offset", "bias": "DC_Offset", "voltage": "DC_Offset", "dc_bias": "DC_Offset",
             "frequency": "Frequency", "cycle": "Cycle", "field": "Field"}


def _groups_above(main: h5py.Dataset) -> Iterator[h5py.Group]:
    group = main.parent
    yield group
    while group.name != "/":
        group = group.parent
        yield group


def ancillary(main: h5py.Dataset, name: str) -> h5py.Dataset | None:
    """A dataset that a main dataset refers to, or that lies beside or above it."""
    reference = main.attrs.get(name)
    if isinstance(reference, h5py.Reference) and reference:
        return main.file[reference]
    return next((group.get(name) for group in _groups_above(main) if name in group), None)


def words(dataset: h5py.Dataset | None, attribute: str) -> list[str]:
    """Labels or units, which come as bytes or as text; none where the attribute is missing."""
    return [] if dataset is None else [text(word) for word in np.atleast_1d(dataset.attrs.get(attribute, []))]


@dataclass(frozen=True)
class Selection:
    """Columns of a USID dataset that belong to the chosen loops, in the order applied."""

    columns: np.ndarray  # (steps,) or (steps, bins)
    voltage_V: np.ndarray  # (steps,)
    frequency_Hz: np.ndarray | None
    cycles: tuple[int, ...]  # that there are
    notes: tuple[str, ...]


def select(path: Path, main: h5py.Dataset, choice: Choice) -> Selection:
    """The columns that `choice` asks for, by the labels of the spectroscopic axes."""
    table = ancillary(main, "Spectroscopic_Values")
    if table is None or table.ndim != 2 or table.shape[1] != main.shape[1]:
        raise DataError(f"{path}: `{main.name}` has no fitting spectroscopic indices and values: expected "
                        f"(axes, {main.shape[1]}) of each; write the file with pyUSID")
    check_size(path, table.name, table)
    indices, notes, table_values = ancillary(main, "Spectroscopic_Indices"), [], np.asarray(table[:], float)
    labels = _fitting_labels(path, main, words(indices, "labels") or words(table, "labels"), table_values, notes)
    units = dict(zip(labels, (words(table, "units") or words(indices, "units")) + [""] * len(labels), strict=False))
    there = indices[:] if indices is not None and indices.shape == table.shape else np.zeros(table.shape, int)
    values = dict(zip(labels, table_values, strict=True))
    # What LabVIEW counted wrongly is counted again from the values.
    axes = {label: np.asarray(row, int) if np.ptp(row) > 0 or np.ptp(values[label]) == 0 else
            np.unique(values[label], return_inverse=True)[1] for label, row in zip(labels, there, strict=True)}
    for label, base in (("DC_Offset", "V"), ("Frequency", "Hz")):
        scale = factor(units.get(label, ""), base)
        if label in values and scale not in (None, 1.0):
            values[label] = values[label] * scale
            notes.append(f"{label} converted from {units[label]} to {base}")
    kept = _chosen_columns(path, main, axes, values, choice, notes)
    columns, frequency_Hz = np.flatnonzero(kept), None
    if "Frequency" in axes:
        bins = np.unique(axes["Frequency"][kept]).size
        if columns.size % bins:
            raise DataError(f"{path}: `{main.name}` has {columns.size} values for {bins} frequencies: "
                            "expected every frequency at every step; the measurement is incomplete")
        if (axes["Frequency"][columns] != np.resize(axes["Frequency"][columns[:bins]], columns.size)).any():
            columns = columns[np.lexsort((axes["Frequency"][columns], axes["DC_Offset"][columns]))]
        columns = columns.reshape(-1, bins)
        frequency_Hz = values["Frequency"][columns[0]]
    voltage_V = values["DC_Offset"][columns.reshape(len(columns), -1)[:, 0]]
    if np.ptp(voltage_V) == 0 and "Field" in axes:  # written as applied: nothing, while the field is off
        other = replace(choice, field="off" if choice.field == "on" else "on")
        others = np.flatnonzero(_chosen_columns(path, main, axes, values, other, []))
        notes.append("the offset is 0 while the field is off: that of the pulse before is taken")
        if others.size == columns.size:
            voltage_V = values["DC_Offset"][others].reshape(len(voltage_V), -1)[:, 0]
    cycles = np.unique(values["Cycle"]).size if "Cycle" in values else 1
    return Selection(columns, voltage_V, frequency_Hz, tuple(range(1, cycles + 1)), tuple(notes))


def _fitting_labels(path: Path, main: h5py.Dataset, labels: list[str], values: np.ndarray, notes: list[str]
                    ) -> list[str]:
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
        raise DataError(f"{path}: `{main.name}` has the axes {', '.join(labels) or 'none'}: expected "
                        f"DC_Offset among {len(values)} labels; this is not switching spectroscopy, "
                        "or its labels are lost")
    return named


def _chosen_columns(path: Path, main: h5py.Dataset, axes: dict[str, np.ndarray], values: dict[str, np.ndarray],
                    choice: Choice, notes: list[str]) -> np.ndarray:
    """Which columns are of the chosen cycle, field and other axes."""
    spelt = {name.lower(): name for name in axes}
    others = {spelt.get(name.lower(), name): value for name, value in choice.others.items()}
    wanted = {"Cycle": choice.cycle, "Field": choice.field, **others}
    stated = "" if "Field" in axes else _stated_field(main)
    needed = {*others, *(["Cycle"] if choice.cycle not in (None, 1) else []),
              *(["Field"] if choice.field == "on" and not stated else [])}
    unknown = needed - set(axes)
    if unknown:
        raise DataError(f"{path} has no axis {', '.join(sorted(unknown))}: expected one of "
                        f"{', '.join(axes)}; correct the choice")
    if stated:
        if stated != choice.field:
            raise DataError(f"{path} was measured with the field {stated} alone (VS_measure_in_field_loops): expected "
                            f"loops with the field {choice.field}; take another file, or choose field={stated}")
        notes.append(f"field {stated}, as VS_measure_in_field_loops says")
    kept = np.ones(len(axes["DC_Offset"]), bool)
    for axis in (name for name in axes if name not in ("Frequency", "DC_Offset")):
        there = np.unique(values[axis][kept])
        if axis == "Cycle":
            number = len(there) if choice.cycle is None else choice.cycle
            value, note = there[number - 1] if 1 <= number <= len(there) else np.nan, f"cycle {number} of {len(there)}"
        elif axis == "Field":
            value, note = float(choice.field == "on"), f"field {choice.field}"  # BGlib: 0 out of the field, 1 in it
        elif axis in others:
            value = others[axis]
            note = f"{axis} = {value:g}, one of {len(there)}"
        else:
            largest = [np.abs(values["DC_Offset"][kept & (values[axis] == v)]).max() for v in there]
            value = there[int(np.argmax(largest))]
            note = (f"{axis} = {value:g}, which has the largest amplitude, {max(largest):g} V, of "
                    f"{', '.join(f'{v:g}' for v in there)}")
        notes.append(note)
        match = np.isclose(values[axis], value)
        if not (kept & match).any():
            raise DataError(f"{path} has no {axis} {wanted.get(axis, value)}: expected one of "
                            f"{', '.join(f'{v:g}' for v in there)} (cycles are counted from 1); "
                            "correct the choice")
        kept &= match
    return kept


def _stated_field(main: h5py.Dataset) -> str:
    """ "on", "off" or nothing, by what the measurement says of itself where it has no axis for it."""
    stated = (group.attrs["VS_measure_in_field_loops"] for group in _groups_above(main)
              if "VS_measure_in_field_loops" in group.attrs)
    said = text(next(stated, "")).lower().replace("_", "-").replace(" ", "-")
    if "and" in said or "both" in said or not said:
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
    notes: tuple[str, ...]
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


def grid_of(path: Path, main: h5py.Dataset, selection: Selection, rows: tuple[int, int] | None = None) -> Grid:
    """Rows and columns of the positions; those asked for, or of a scan too large some of each."""
    indices = next((there for there in (ancillary(main, "Position_Indices"), ancillary(main, "Position_Values"))
                    if there is not None and there.ndim == 2 and there.shape[0] == main.shape[0]), None)
    if indices is None:
        raise DataError(f"{path}: `{main.name}` has no fitting position indices: expected ({main.shape[0]}, "
                        "axes); write the file with pyUSID")
    check_size(path, indices.name, indices)
    labels = words(indices, "labels")[:indices.shape[1]]
    labels += [f"axis {n}" for n in range(len(labels), indices.shape[1])]
    counted = dict(zip(labels, np.asarray(indices[:]).T, strict=True))
    varying = {label: values for label, values in counted.items() if np.ptp(values) > 0}
    if len(varying) > 2:
        raise DataError(f"{path}: `{main.name}` varies along {', '.join(varying)}: expected rows and "
                        "columns; store one plane of positions")
    column = _fastest(varying) if varying else labels[-1]
    if len(varying) == 1 and column.lower() in ("y", "row", "rows") and len(labels) > 1:
        column = next(label for label in labels if label != column)  # a scan of one column
    row = next((label for label in [*varying, *labels] if label != column), None)
    (there, row_of), (columns, column_of) = (
        np.unique(counted.get(label, np.zeros(main.shape[0], int)), return_inverse=True) for label in (row, column))
    if len(np.unique(row_of * len(columns) + column_of)) != main.shape[0]:
        raise DataError(f"{path}: positions of `{main.name}` occur more than once: expected one spectrum at "
                        "each row and column; store one pass of the scan")
    whole, width = (len(there), len(columns)), _width_um(main, labels.index(column))
    counts = () if np.isfinite(width) else ("positions are counts or have no unit of length: no size of the scan",)
    first, last = rows or (0, whole[0])
    every = 1 if rows else every_nth((*whole, 1))
    kept = (row_of >= first) & (row_of < last) & (row_of % every == 0) & (column_of % every == 0)
    check_size(path, main.name, main, int(kept.sum()) * len(selection.voltage_V))
    return Grid((-(-(last - first) // every), -(-whole[1] // every)), kept, (row_of[kept] - first) // every,
                column_of[kept] // every, width, counts + tuple(thinning(every, whole)), whole)


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

"""Rows, columns and steps of a USID dataset, from its indices and values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from helpers.scans.formats import Choice, DataError, check_size, every_nth, thinning

BATCH_BYTES = 64 * 2**20  # of one read from a large dataset


def ancillary(main: h5py.Dataset, name: str) -> h5py.Dataset | None:
    """A dataset that a main dataset refers to, or that lies beside or above it."""
    reference = main.attrs.get(name)
    if isinstance(reference, h5py.Reference) and reference:
        return main.file[reference]
    group = main.parent
    while name not in group and group.name != "/":
        group = group.parent
    return group.get(name)


def words(dataset: h5py.Dataset, attribute: str) -> list[str]:
    """Labels or units, which come as bytes or as text; none where the attribute is missing."""
    words = np.atleast_1d(dataset.attrs.get(attribute, []))
    return [word.decode() if isinstance(word, bytes) else str(word) for word in words]


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
    indices, values = ancillary(main, "Spectroscopic_Indices"), ancillary(main, "Spectroscopic_Values")
    if indices is None or values is None or not (
            indices.shape == values.shape == (len(indices), main.shape[1])):
        raise DataError(f"{path}: `{main.name}` has no fitting spectroscopic indices and values: expected "
                        f"(axes, {main.shape[1]}) of each; write the file with pyUSID")
    check_size(path, indices.name, indices)
    labels = words(indices, "labels") or words(values, "labels")
    if len(labels) != len(indices) or "DC_Offset" not in labels:
        raise DataError(f"{path}: `{main.name}` has the axes {', '.join(labels) or 'none'}: expected "
                        f"DC_Offset among {len(indices)} labels; this is not switching spectroscopy, "
                        "or its labels are lost")
    axes = dict(zip(labels, np.asarray(indices[:], int), strict=True))
    values = dict(zip(labels, np.asarray(values[:], float), strict=True))
    kept, notes = _chosen_columns(path, axes, values, choice)
    columns = np.flatnonzero(kept)
    frequency_Hz = None
    if "Frequency" in axes:
        bins = np.unique(axes["Frequency"][kept]).size
        if columns.size % bins == 0 and not np.array_equal(
                axes["Frequency"][columns], np.resize(axes["Frequency"][columns[:bins]], columns.size)):
            columns = columns[np.lexsort((axes["Frequency"][columns], axes["DC_Offset"][columns]))]
        if columns.size % bins:
            raise DataError(f"{path}: `{main.name}` has {columns.size} values for {bins} frequencies: "
                            "expected every frequency at every step; the measurement is incomplete")
        columns = columns.reshape(-1, bins)
        frequency_Hz = values["Frequency"][columns[0]]
    first = columns if columns.ndim == 1 else columns[:, 0]
    cycles = np.unique(values["Cycle"]).size if "Cycle" in values else 1
    return Selection(columns, values["DC_Offset"][first], frequency_Hz, tuple(range(1, cycles + 1)), notes)


def _chosen_columns(path: Path, axes: dict[str, np.ndarray], values: dict[str, np.ndarray], choice: Choice
                    ) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which columns are of the chosen cycle, field and other axes."""
    wanted = {"Cycle": choice.cycle, "Field": choice.field, **choice.others}
    unknown = set(choice.others) - set(axes)
    if choice.cycle not in (None, 1) and "Cycle" not in axes:
        unknown |= {"Cycle"}
    if choice.field == "on" and "Field" not in axes:
        unknown |= {"Field"}
    if unknown:
        raise DataError(f"{path} has no axis {', '.join(sorted(unknown))}: expected one of "
                        f"{', '.join(axes)}; correct the choice")
    kept, notes = np.ones(len(axes["DC_Offset"]), bool), []
    for axis in (name for name in axes if name not in ("Frequency", "DC_Offset")):
        there = np.unique(values[axis][kept])
        value = there[0]
        if axis == "Cycle":
            number = len(there) if wanted[axis] is None else wanted[axis]
            value = there[number - 1] if 1 <= number <= len(there) else np.nan
            notes.append(f"cycle {number} of {len(there)}")
        elif axis == "Field":
            value = {"off": 0.0, "on": 1.0}[choice.field]  # BGlib: 0 out of the field, 1 in it
            notes.append(f"field {choice.field}")
        elif axis in wanted:
            value = wanted[axis]
        if axis not in ("Cycle", "Field"):
            notes.append(f"{axis} = {value:g}, one of {len(there)}")
        match = np.isclose(values[axis], value)
        if not (kept & match).any():
            raise DataError(f"{path} has no {axis} {wanted.get(axis, value)}: expected one of "
                            f"{', '.join(f'{v:g}' for v in there)} (cycles are counted from 1); "
                            "correct the choice")
        kept &= match
    return kept, tuple(notes)


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
    indices = ancillary(main, "Position_Indices")
    if indices is None or indices.ndim != 2 or indices.shape[0] != main.shape[0]:
        raise DataError(f"{path}: `{main.name}` has no fitting position indices: expected ({main.shape[0]}, "
                        "axes); write the file with pyUSID")
    check_size(path, indices.name, indices)
    labels = words(indices, "labels") or [f"axis {n}" for n in range(indices.shape[1])]
    steps = {label: np.unique(column, return_inverse=True)
             for label, column in zip(labels, np.asarray(indices[:], int).T, strict=True)}
    varying = [label for label, (there, _) in steps.items() if len(there) > 1]
    if len(varying) > 2:
        raise DataError(f"{path}: `{main.name}` varies along {', '.join(varying)}: expected rows and "
                        "columns; store one plane of positions")
    column = "X" if "X" in steps else (varying or labels)[-1]
    row = next((label for label in [*varying, "Y"] if label != column and label in steps), None)
    there, row_of = steps[row] if row else (np.zeros(1), np.zeros(main.shape[0], int))
    columns, column_of = steps[column]
    row_of, column_of = row_of.ravel(), column_of.ravel()
    if len(np.unique(row_of * len(columns) + column_of)) != main.shape[0]:
        raise DataError(f"{path}: positions of `{main.name}` occur more than once: expected one spectrum at "
                        "each row and column; store one pass of the scan")
    whole, width_um = (len(there), len(columns)), _width_um(main, labels.index(column))
    first, last = rows or (0, len(there))
    every = 1 if rows else every_nth((*whole, 1))
    kept = (row_of >= first) & (row_of < last) & (row_of % every == 0) & (column_of % every == 0)
    check_size(path, main.name, main, int(kept.sum()) * len(selection.voltage_V))
    return Grid((-(-(last - first) // every), -(-len(columns) // every)), kept, (row_of[kept] - first) // every,
                column_of[kept] // every, width_um, tuple(thinning(every, whole)), whole)


def _width_um(main: h5py.Dataset, axis: int) -> float:
    """Width from the positions; NaN where they are counts instead of metres."""
    values = ancillary(main, "Position_Values")
    if values is None:
        return float("nan")
    units = words(values, "units")
    there = np.unique(np.asarray(values[:, axis], float))
    scale = {"m": 1e6, "um": 1.0, "µm": 1.0, "nm": 1e-3}.get(units[axis] if axis < len(units) else "")
    if scale is None or len(there) < 2:
        return float("nan")
    width = scale * np.ptp(there) * len(there) / (len(there) - 1)
    return float(width) if width < 1e4 else float("nan")

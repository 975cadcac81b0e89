"""NSID as sidpy and pyNSID write it: every dataset with labelled axes, their scales and what they measure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from helpers.scans.choice import Choice
from helpers.scans.formats import DataError, Loops, assembled, check_size, text
from helpers.scans.roles import oscillators_in
from helpers.scans.units import factor

MARKS = {"pyNSID_version", "sidpy_version", "main_data_name", "data_type"}
DRIVE = ("bias", "voltage", "dc_offset", "dc offset", "dc_bias")


@dataclass(frozen=True)
class Axis:
    """One axis of a dataset: its label, what it measures, unit and values, shape (n,)."""

    name: str
    quantity: str
    unit: str
    kind: str
    values: np.ndarray

    @property
    def role(self) -> str:
        """drive, frequency, cycle, row, column or spatial; nothing where it is none of these."""
        name, quantity = self.name.lower(), self.quantity.lower()
        if "cycle" in name:
            return "cycle"
        if name in DRIVE or quantity in DRIVE or factor(self.unit, "V"):
            return "drive"
        if "frequency" in (name, quantity) or factor(self.unit, "Hz"):
            return "frequency"
        if "SPATIAL" in self.kind.upper() or factor(self.unit, "m") or name in ("x", "y"):
            return "column" if name[:1] in "xc" else "row" if name[:1] in "yr" else "spatial"
        return ""


@dataclass(frozen=True)
class Main:
    """One dataset with its axes."""

    name: str
    array: h5py.Dataset | np.ndarray
    axes: tuple[Axis, ...]
    quantity: str
    unit: str

    @property
    def role(self) -> str:
        """What it holds, by quantity, name and unit."""
        said = f"{self.quantity} {self.name.rpartition('/')[2]}".lower()
        if "phase" in said or factor(self.unit, "rad"):
            return "phase"
        if "frequency" in said or "resonance" in said or factor(self.unit, "Hz"):
            return "resonance"
        return "amplitude" if "amplitude" in said else "piezoresponse"

    @property
    def is_loops(self) -> bool:
        roles = [axis.role for axis in self.axes]
        return "drive" in roles and bool({"row", "column", "spatial"} & set(roles)) and "frequency" not in roles

    def __str__(self) -> str:
        axes = " × ".join(f"{axis.name} {len(axis.values)}" for axis in self.axes)
        return f"{self.name} ({self.quantity or 'no quantity'}: {axes})"


def nsid_datasets(file: h5py.File) -> list[Main]:
    """Every dataset in NSID, in the order of the file."""
    found = []

    def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Dataset) or item.attrs.get("CLASS") is not None or item.ndim == 0:
            return
        if MARKS & set(item.attrs) and ("DIMENSION_LABELS" in item.attrs or any(len(dim) for dim in item.dims)):
            axes = tuple(_axis(item, n) for n in range(item.ndim))
            found.append(Main(name, item, axes, text(item.attrs.get("quantity", "")), text(item.attrs.get("units", ""))))

    file.visititems(look)
    return found


def _axis(main: h5py.Dataset, n: int) -> Axis:
    """An axis by the scale that is attached to it, or that lies beside the dataset under its label."""
    labels = main.attrs.get("DIMENSION_LABELS", [])
    label = main.dims[n].label or (text(labels[n]) if n < len(labels) else "")
    scale = main.dims[n][0] if len(main.dims[n]) else main.parent.get(label) if label else None
    if not isinstance(scale, h5py.Dataset) or scale.shape != main.shape[n:n + 1]:
        return Axis(label or f"axis {n}", "", "", "", np.arange(main.shape[n], dtype=float))
    said = {name: text(scale.attrs.get(name, "")) for name in ("quantity", "units", "dimension_type")}
    check_size(Path(main.file.filename), scale.name, scale)
    return Axis(label or scale.name.rpartition("/")[2], *said.values(), np.asarray(scale[()], float))


def read_nsid(path: Path, choice: Choice) -> Loops:
    """Piezoresponse, amplitude and phase, complex response or oscillator parameters with an axis of voltage."""
    with h5py.File(path, "r") as file:
        return loops_of(path, nsid_datasets(file), choice)


def loops_of(path: Path, mains: list[Main], choice: Choice) -> Loops:
    """Loops of datasets in NSID, of which the last piezoresponse is taken, else the last amplitude with its phase.

    Raises
    ------
    DataError
        If none of them holds loops, or not the one that was chosen.
    """
    if choice.field == "on" or choice.measurement is not None:
        raise DataError(f"{path} is an NSID file, which does not tell field or measurement: expected no choice of "
                        "either; choose with dataset=name")
    able = [main for main in mains if main.is_loops]
    if choice.dataset:
        able = [main for main in able if main.name.endswith(choice.dataset)]
    heads = [main for main in able if main.role == "piezoresponse"] or [main for main in able if main.role == "amplitude"]
    if not heads:
        held = "; ".join(map(str, mains[:8]))
        raise DataError(f"{path} is an NSID file without loops{' called ' + choice.dataset if choice.dataset else ''} "
                        f"(it holds {held}): expected a piezoresponse, or amplitude and phase, along two axes of "
                        "position and one of voltage; choose another with dataset=name, or store one")
    head = heads[-1]
    notes = [f"NSID file, {head}"]
    if len(mains) > 1:
        notes.append(f"of {'; '.join(map(str, mains[:8]))}; dataset= chooses another")
    said: list[str] = []
    cube, voltage_V, size_um = _laid_out(path, head, choice, said)
    rest = {main.role: main for main in mains if main.is_loops and main.array.shape == head.array.shape}
    cubes, units = {head.role: cube}, {role: main.unit for role, main in rest.items()}
    if cube.ndim == 4:
        channels = list(np.moveaxis(cube, -1, 0))
        if not (len(channels) in (4, 5) and oscillators_in(channels)):
            raise DataError(f"{path}: {head} has {len(channels)} values at each step: expected the piezoresponse, or "
                            "amplitude, resonance, quality factor, phase (and R²); choose a dataset or an axis")
        cubes, units = dict(zip(("amplitude", "resonance", "quality", "phase", "r2"), channels, strict=False)), {}
        said.append("amplitude, resonance, quality factor and phase (and R²) of oscillators on one axis")
    elif cube.dtype.kind == "c":
        cubes, units = {"amplitude": np.abs(cube), "phase": np.angle(cube)}, {"phase": "rad"}
    elif head.role == "amplitude" and "phase" not in rest:
        raise DataError(f"{path} is an NSID file with an amplitude and no phase: expected both, or the "
                        "piezoresponse; add it")
    for role in {"phase", "resonance"} & set(rest) - set(cubes):
        cubes[role] = _laid_out(path, rest[role], choice, [])[0]
    return assembled(cubes, units, voltage_V, [*notes, *said], choice.theta_rad, size_um=size_um)


def _laid_out(path: Path, main: Main, choice: Choice, said: list[str]) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows = Y, columns = X, then cycles and steps as one axis, then parameters; voltage (V) and width (µm)."""
    check_size(path, main.name, main.array)
    values, axes = np.asarray(main.array[()]), list(main.axes)
    if values.dtype.names and {name.lower()[:1] for name in values.dtype.names} == {"r", "i"}:
        real, imaginary = (next(n for n in values.dtype.names if n.lower()[0] == part) for part in "ri")
        values = values[real] + 1j * values[imaginary]
    spatial = [n for n, axis in enumerate(axes) if axis.role in ("row", "column", "spatial")]
    column = next((n for n in spatial if axes[n].role == "column"), spatial[-1] if len(spatial) > 1 else None)
    row = next((n for n in spatial if n != column), None)
    drive = next(n for n, axis in enumerate(axes) if axis.role == "drive")
    cycle = next((n for n, axis in enumerate(axes) if axis.role == "cycle"), None)
    rest = [n for n in range(len(axes)) if n not in (row, column, drive, cycle)]
    parameters = next((n for n in rest if len(axes[n].values) in (4, 5) and axes[n].name.lower() not in {
        name.lower() for name in choice.others}), None)
    for n in [n for n in rest if n != parameters][::-1]:
        wanted = {name.lower(): value for name, value in choice.others.items()}.get(axes[n].name.lower())
        at = 0 if wanted is None else int(np.argmin(np.abs(axes[n].values - wanted)))
        said.append(f"{axes[n].name} = {axes[n].values[at]:g}, one of {len(axes[n].values)}")
        values = np.expand_dims(np.take(values, at, axis=n), n)
    order = [n for n in (row, column, cycle, drive, parameters) if n is not None]
    values = np.transpose(values, order + [n for n in range(len(axes)) if n not in order])
    shape = [len(axes[n].values) if n is not None else 1 for n in (row, column)]
    cycles = 1 if cycle is None else len(axes[cycle].values)
    steps = len(axes[drive].values)
    values = values.reshape(*shape, cycles * steps, *([] if parameters is None else [-1]))
    scale = factor(axes[drive].unit, "V") or 1.0
    if scale != 1:
        said.append(f"voltage converted from {axes[drive].unit} to V")
    voltage_V = np.tile(axes[drive].values * scale if scale != 1 else axes[drive].values, cycles)
    width = np.nan
    if column is not None and len(axes[column].values) > 1:
        places, metres = axes[column].values, factor(axes[column].unit, "m")
        width = np.nan if metres is None else 1e6 * metres * np.ptp(places) * len(places) / (len(places) - 1)
    return values.astype("complex128" if values.dtype.kind == "c" else "float64"), voltage_V, float(width)

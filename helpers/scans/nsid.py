"""Datasets with labelled axes: NSID files of sidpy and pyNSID, and files of microscopes through SciFiReaders."""

import importlib
import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from helpers.scans.arrays import OSCILLATOR, oscillators_in
from helpers.scans.choice import Choice
from helpers.scans.formats import DataError, Loops, as_meant, assembled, check_size, text, unit_of
from helpers.scans.units import factor, in_V, width_um

MARKS = {"pyNSID_version", "sidpy_version", "main_data_name", "data_type"}
DRIVE = ("bias", "voltage", "dc_offset", "dc offset", "dc_bias")
PLACES = {"row", "column", "spatial"}
# Files of microscopes by suffix: what they are, and the reader of SciFiReaders that may know them.
MICROSCOPES = {
    ".ibw": ("Igor", "IgorIBWReader"), ".ardf": ("Asylum Research", ""), ".arhdf5": ("Asylum Research", "ARhdf5Reader"),
    ".spm": ("Bruker", "BrukerAFMReader"), ".nid": ("Nanosurf", "NanoSurfNIDReader"),
    ".3ds": ("Nanonis", "Nanonis3dsReader"), ".sxm": ("Nanonis", "NanonisSXMReader"),
    ".gsf": ("Gwyddion", "GwyddionReader"), ".gwy": ("Gwyddion", "GwyddionReader"),
}


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
            return {"x": "column", "c": "column", "y": "row", "r": "row"}.get(name[:1], "spatial")
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
        """What it holds, by quantity, name and unit; nothing where it is no loops."""
        roles = {axis.role for axis in self.axes}
        if "drive" not in roles or not PLACES & roles or "frequency" in roles:
            return ""
        said = f"{self.quantity} {self.name.rpartition('/')[2]}".lower()
        if "phase" in said or factor(self.unit, "rad"):
            return "phase"
        if "frequency" in said or "resonance" in said or factor(self.unit, "Hz"):
            return "resonance"
        if "amplitude" in said:
            return "amplitude"
        return "piezoresponse" if re.search(r"piezo|respon|loop|mixed|\bpr\b", said) else "unknown"

    def __str__(self) -> str:
        axes = " × ".join(f"{axis.name} {len(axis.values)}" for axis in self.axes)
        return f"{self.name} ({self.quantity or 'no quantity'}: {axes})"


def nsid_datasets(file: h5py.File) -> list[Main]:
    """Every dataset in NSID, in the order of the file."""
    found = []

    def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
        marked = isinstance(item, h5py.Dataset) and (MARKS & set(item.attrs) or "_NCProperties" in file.attrs)
        if marked and item.attrs.get("CLASS") is None and item.ndim and (
                "DIMENSION_LABELS" in item.attrs or any(len(dim) for dim in item.dims)):
            axes = tuple(_axis(item, n) for n in range(item.ndim))
            main = Main(name, item, axes, text(item.attrs.get("quantity", "")), unit_of(item))
            found.extend([main] if main.role or MARKS & set(item.attrs) else [])  # netCDF may hold anything

    file.visititems(look)
    return found


def _axis(main: h5py.Dataset, n: int) -> Axis:
    """An axis by the scale that is attached to it, or that lies beside the dataset under its label."""
    labels = main.attrs.get("DIMENSION_LABELS", [])
    label = main.dims[n].label or (text(labels[n]) if n < len(labels) else "")
    scale = main.dims[n][0] if len(main.dims[n]) else main.parent.get(label) if label else None
    if not isinstance(scale, h5py.Dataset) or scale.shape != main.shape[n:n + 1] or scale.dtype.kind not in "fiu":
        return Axis(label or f"axis {n}", "", "", "", np.arange(main.shape[n], dtype=float))
    check_size(main.file.filename, scale.name, scale)
    quantity, kind = (text(scale.attrs.get(name, "")) for name in ("quantity", "dimension_type"))
    label = label or scale.name.rpartition("/")[2]
    return Axis(label, quantity, unit_of(scale), kind, np.asarray(as_meant(scale), float))


def read_nsid(path: Path, choice: Choice) -> Loops:
    """Piezoresponse, amplitude and phase, complex response or oscillator parameters with an axis of voltage."""
    with h5py.File(path, "r") as file:
        return loops_of(path, nsid_datasets(file), choice)


def is_foreign(path: Path, head: bytes) -> bool:
    """Whether a file, none of those read here, is called like one of a microscope."""
    return path.suffix.lower() in MICROSCOPES and not head.startswith(b"version https://git-lfs")


def read_foreign(path: Path, choice: Choice) -> Loops:
    """Loops of a microscope's file through the datasets that SciFiReaders, an optional package, makes of it."""
    what, name = MICROSCOPES[path.suffix.lower()]
    try:
        library = importlib.import_module("SciFiReaders")
    except ImportError as error:
        raise DataError(f"{path} is a file of {what}, which SciFiReaders reads: expected that optional package; "
                        "install it with pip install SciFiReaders igor2, or export the loops as .npz") from error
    reader, mains, reason = getattr(library, name, None), None, "it has no reader of them"
    try:
        if reader:
            with redirect_stdout(io.StringIO()):  # what readers print while they read
                found = reader(str(path)).read()
            found = found if isinstance(found, dict | list) else [found]
            several = found.items() if isinstance(found, dict) else enumerate(found)
            mains = [_sidpy_main(str(name), dataset) for name, dataset in several]
    except Exception as error:  # a reader of another's format raises almost anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if mains is None:
        raise DataError(f"{path} is a file of {what}, which SciFiReaders did not read ({reason}): expected a scan of "
                        f"loops; {'pip install igor2' if 'igor2' in reason else 'export the loops as .npz'}")
    if mains and not any(main.role for main in mains):
        held = "; ".join(map(str, mains[:8]))
        raise DataError(f"{path} is a file of {what} without loops (it holds {held}): expected two axes of position "
                        "and one of voltage; export voltage and response of each pixel as text into one folder")
    return loops_of(path, mains, choice, f"file of {what}")


def _sidpy_main(name: str, dataset) -> Main:
    """A sidpy dataset, whose axes are its attributes ``_axes``, by number."""
    axes = tuple(Axis(str(axis.name), str(axis.quantity), str(axis.units), str(axis.dimension_type), np.asarray(axis))
                 for _, axis in sorted(dataset._axes.items()))
    return Main(str(getattr(dataset, "title", "") or name), np.asarray(dataset), axes, str(dataset.quantity),
                str(dataset.units))


def loops_of(path: Path, mains: list[Main], choice: Choice, what: str = "NSID file") -> Loops:
    """Loops of labelled datasets: of the last piezoresponse, else of the last amplitude with its phase."""
    able, held = [main for main in mains if main.role], "; ".join(map(str, mains[:8]))
    chosen = [main for main in able if main.name.endswith(choice.dataset or "")]
    # The piezoresponse goes before an amplitude, that before what it does not say, a later dataset before an earlier.
    head = next((main for role in ("piezoresponse", "amplitude", "unknown") for main in chosen[::-1]
                 if main.role == role), None)
    if head is None:
        raise DataError(f"{path} is a {what} without loops{' called ' + choice.dataset if choice.dataset else ''} "
                        f"(it holds {held}): expected a piezoresponse, or amplitude and phase, along two axes of "
                        "position and one of voltage; choose another with dataset=name, or store one")
    if unknown := [name for name in choice.others if name.lower() not in [axis.name.lower() for axis in head.axes]]:
        raise DataError(f"{path} has no axis {', '.join(unknown)}: expected one of {head}; correct the choice")
    notes = [f"{what}, {head}", *([f"of {held}; dataset= chooses another"] if len(mains) > 1 else [])]
    cube, voltage_V, size_um = _laid_out(path, head, choice, notes)
    alike = [main for main in able if main.array.shape == head.array.shape]
    later = sum(main.role == head.role for main in alike[[main is head for main in alike].index(True):])
    # To the last amplitude belongs the last phase, to the one before it the one before.
    rest = {role: [main for main in alike if main.role == role][-later:][0] for role in {main.role for main in alike}}
    cubes, units = {head.role: cube}, {role: main.unit for role, main in rest.items()}
    if head.role == "unknown" and cube.ndim == 3 and cube.dtype.kind != "c":
        cubes = {"piezoresponse": cube}
        notes.append(f"questionable: {head.name} does not say what it holds; it is taken as the piezoresponse")
    if cube.ndim == 4:
        channels = list(np.moveaxis(cube, -1, 0))
        if not oscillators_in(channels):
            raise DataError(f"{path}: {head} has {len(channels)} values at each step: expected the piezoresponse, or "
                            "amplitude, resonance, quality factor, phase (and R²); choose a dataset or an axis")
        cubes, units = dict(zip(OSCILLATOR, channels, strict=False)), {}
        notes.append("amplitude, resonance, quality factor and phase (and R²) of oscillators on one axis")
    elif cube.dtype.kind == "c":
        cubes, units = {"amplitude": np.abs(cube), "phase": np.angle(cube)}, {"phase": "rad"}
    elif head.role == "amplitude" and "phase" not in rest:
        raise DataError(f"{path} is a {what} with an amplitude and no phase: expected both, or the "
                        "piezoresponse; add it")
    for role in sorted({"phase", "resonance"} & set(rest) - set(cubes)):
        cubes[role] = _laid_out(path, rest[role], choice, [])[0]
        notes.append(f"{role} of {rest[role].name}")
    return assembled(cubes, units, voltage_V, notes, choice.theta_rad, size_um=size_um)


def _laid_out(path: Path, main: Main, choice: Choice, said: list[str]) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows = Y, columns = X, then cycles and steps as one axis, then parameters; voltage (V) and width (µm)."""
    check_size(path, main.name, main.array)
    values, axes, roles = as_meant(main.array), main.axes, [axis.role for axis in main.axes]
    if values.dtype.names and {name.lower()[:1] for name in values.dtype.names} == {"r", "i"}:
        real, imaginary = (next(n for n in values.dtype.names if n.lower()[0] == part) for part in "ri")
        values = values[real] + 1j * values[imaginary]
    spatial = [n for n, role in enumerate(roles) if role in PLACES]
    column = roles.index("column") if "column" in roles else spatial[-1] if len(spatial) > 1 else None
    row = roles.index("row") if "row" in roles else next((n for n in spatial if n != column), None)
    drive, cycle = roles.index("drive"), roles.index("cycle") if "cycle" in roles else None
    rest = [n for n in range(len(axes)) if n not in (row, column, drive, cycle)]
    wanted = {name.lower(): value for name, value in choice.others.items()}
    parameters = next((n for n in rest if len(axes[n].values) in (4, 5) and axes[n].name.lower() not in wanted), None)
    for n in rest[::-1]:
        name, there = axes[n].name, axes[n].values
        if n != parameters:
            at = int(np.argmin(np.abs(there - wanted[name.lower()]))) if name.lower() in wanted else 0
            if not np.isclose(there[at], wanted.get(name.lower(), there[at])):
                raise DataError(f"{path} has no {name} {wanted[name.lower()]:g}: expected one of "
                                f"{', '.join(f'{value:g}' for value in there[:20])}; correct the choice")
            said.append(f"{name} = {there[at]:g}, one of {len(there)}")
            values = np.take(values, [at], axis=n)
    order = [n for n in (row, column, cycle, drive, parameters) if n is not None]
    values = np.transpose(values, order + [n for n in rest if n != parameters])
    rows, columns, cycles = (1 if n is None else len(axes[n].values) for n in (row, column, cycle))
    values = values.reshape(rows, columns, cycles * len(axes[drive].values), *([] if parameters is None else [-1]))
    voltage_V = np.tile(in_V(axes[drive].values, axes[drive].unit, said), cycles)
    size_um = float("nan") if column is None else width_um(axes[column].values, axes[column].unit)
    return values.astype("complex128" if values.dtype.kind == "c" else "float64"), voltage_V, size_um

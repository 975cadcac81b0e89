"""Loops in the file formats of the field, recognised by content, never by name, never unpickled.

- HDF5 of this repository: ``piezoresponse``, ``resonance``, ``voltage``.
- MATLAB files of the group, version 5 and 7.3: ``Loopdata_mixed`` and oscillator fits ``Out…_mixed``.
- NumPy ``.npy`` and ``.npz``.
- USID HDF5 (Somnath et al., Adv. Struct. Chem. Imaging 5, 3 (2019)) as pyUSID and BGlib write it.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as made_by
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from helpers.sho import fit_sho, optimum_rotation, piezoresponse
from helpers.switching import N_STEPS, drive_voltage

PUBLISHED_DOIS = ("10.5281/zenodo.1482091", "10.5281/zenodo.6321172")
PUBLISHED_LAG_STEPS = 24
EXPECTED = (
    "an HDF5 file with `piezoresponse` and `resonance` (rows, columns, steps) "
    "and `voltage` (steps,), or another format that data/README.md lists"
)
MOST_BYTES = 8 * 2**30  # of one array in memory
MOST_PIXELS = 2**16  # of a scan; of a larger one, every n-th row and column is used
BATCH_BYTES = 64 * 2**20  # of one read from a large dataset
SHO_FIELDS = ("Amplitude [V]", "Frequency [Hz]", "Phase [rad]")
ALIASES = {
    "piezoresponse": ("piezoresponse", "loops", "loopdata_mixed"),
    "resonance": ("resonance", "resonance_khz", "outw2_mixed"),
    "voltage": ("voltage", "voltage_v", "voltagedata_mixed"),
}


class DataError(ValueError):
    """A data file that cannot be used; the message names file, expectation and remedy."""


@dataclass(frozen=True)
class Choice:
    """Which part of a file is read, where it holds more than one scan of loops.

    Attributes
    ----------
    cycle : int, optional
        Counted from 1; the last where left out.
    field : str
        "off" (read after the pulse, as in the paper) or "on".
    others : mapping of str to float
        Value of any further axis, such as ``{"FORC": 0}``; its first value where left out.
    grid : (int, int), optional
        Rows and columns of a list of pixels, which otherwise has to be square.
    voltage_V : ndarray, shape (steps,), optional
        Voltage of a file without one.
    """

    cycle: int | None = None
    field: str = "off"
    others: Mapping[str, float] = made_by(default_factory=dict)
    grid: tuple[int, int] | None = None
    voltage_V: np.ndarray | None = None


@dataclass(frozen=True)
class Loops:
    """Loops as a file has them: turned, aligned and in kHz, but neither checked nor cleaned.

    Attributes
    ----------
    piezoresponse : ndarray, shape (rows, columns, steps)
    voltage_V : ndarray, shape (steps,)
    resonance_kHz : ndarray, shape (rows, columns, steps), optional
    notes : tuple of str
        What was read, chosen, and taken for granted.
    missing : tuple of str
        What the file could have had and has not.
    size_um : float
        Width of the scan; NaN where the file does not tell.
    topography : ndarray, shape (any, any), optional
        In the file's unit, on a grid of its own.
    origin : dict of str to str
        ``source``, ``path`` and ``sha256`` where the file itself states them.
    truth : dict of str to ndarray (rows, columns)
    unusable : ndarray of bool, shape (rows, columns), optional
        Pixels that an earlier cleaning gave up.
    turned : bool
        Whether maps are to be turned as those of the published scan.
    """

    piezoresponse: np.ndarray
    voltage_V: np.ndarray
    resonance_kHz: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    size_um: float = float("nan")
    topography: np.ndarray | None = None
    origin: dict[str, str] = made_by(default_factory=dict)
    truth: dict[str, np.ndarray] = made_by(default_factory=dict)
    unusable: np.ndarray | None = None
    turned: bool = False


def recognise(path: Path) -> str:
    """Format of a file, from its bytes: own, usid, matlab7.3, matlab5, npy or npz.

    Raises
    ------
    DataError
        If it is none of these, or HDF5 without anything that is known here.
    """
    with path.open("rb") as file:
        head = file.read(128)
    if h5py.is_hdf5(path):
        return _recognise_hdf5(path)
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.namelist() and all(name.endswith(".npy") for name in archive.namelist()):
                return "npz"
    if head[126:128] in (b"IM", b"MI"):
        return "matlab5"
    what = "a web page" if head.lstrip()[:1] == b"<" else f"bytes {head[:8]!r}"
    raise DataError(f"{path} cannot be read as HDF5, MATLAB or NumPy (it begins with {what}): expected "
                    f"{EXPECTED}; fetch the file again or convert it")


def _recognise_hdf5(path: Path) -> str:
    with h5py.File(path, "r") as file:
        names = set(file)
        if names & {"Loopdata_mixed", "OutA1_mixed", "OutA2_mixed"}:
            return "matlab7.3"
        if names & {"piezoresponse", "resonance", "voltage"}:
            return "own"
        if any(_usid_datasets(file)):
            return "usid"
    raise DataError(f"{path} has no dataset piezoresponse, Loopdata_mixed or Raw_Data (it has "
                    f"{', '.join(sorted(names)) or 'none'}): expected {EXPECTED}; rename or add it")


def listing(path: Path) -> list[str]:
    """Every array of a file with shape and type, one a line; nothing is loaded."""
    kind = recognise(path)
    if kind == "matlab5":
        return [f"{name} {shape} {type_}" for name, shape, type_ in scipy.io.whosmat(path)]
    if kind in ("npy", "npz"):
        return [f"{name or path.name} {array.shape} {array.dtype}"
                for name, array in _numpy_arrays(path, kind).items()]
    lines = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: lines.append(f"{name} {item.shape} {_type_name(item.dtype)}")
                        if isinstance(item, h5py.Dataset) else None)
    return lines


def _type_name(dtype: np.dtype) -> str:
    return ", ".join(dtype.names) if dtype.names else str(dtype)


def read(path: Path, choice: Choice | None = None) -> Loops:
    """Read the loops of a file in any known format, read-only.

    Raises
    ------
    DataError
        If the format is unknown, the file is broken, or holds not what `choice` asks for.
    """
    choice = choice or Choice()
    if choice.field not in ("on", "off"):
        raise DataError(f"field={choice.field} is not a field: expected on or off; choose one")
    readers: dict[str, Callable[[Path, Choice], Loops]] = {
        "own": _read_own, "usid": _read_usid, "matlab5": _read_matlab, "matlab7.3": _read_matlab,
        "npy": _read_numpy, "npz": _read_numpy}
    try:
        kind = recognise(path)
        return _thinned(readers[kind](path, choice))
    except DataError:
        raise
    except Exception as error:  # broken files make the libraries raise almost anything
        raise DataError(f"{path} cannot be read as the HDF5, MATLAB or NumPy file it begins as "
                        f"({type(error).__name__}: {error}): expected {EXPECTED}; fetch the file again"
                        ) from error


def _numbers(path: Path, name: str, array: h5py.Dataset | np.ndarray, every: int = 1) -> np.ndarray:
    """A real array, or every so many rows and columns of it, as float64 that fits into memory."""
    if not isinstance(array, h5py.Dataset | np.ndarray) or array.dtype.kind not in "fiu":
        raise DataError(f"{path}: `{name}` is not an array of real numbers: expected {EXPECTED}; "
                        "store it as floats")
    _check_size(path, name, array, array.size // every**2)
    return np.asarray(array if every == 1 else array[::every, ::every], "float64")


def _check_size(path: Path, name: str, array: h5py.Dataset | np.ndarray, values: int | None = None) -> None:
    """Refuse an array of which too many values, all unless given, would be read."""
    if (array.size if values is None else values) * max(8, array.dtype.itemsize) > MOST_BYTES:
        raise DataError(f"{path}: `{name}` has shape {array.shape}, more than {MOST_BYTES >> 30} GiB: "
                        "expected loops that fit into memory; store a part of the scan")


def _every(shape: tuple[int, ...]) -> int:
    """Every so many rows and columns leave at most about MOST_PIXELS of a cube; 1 for a list."""
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / MOST_PIXELS))) if len(shape) > 2 else 1


def _thinning(every: int, shape: tuple[int, ...]) -> list[str]:
    """The note on a scan of `shape` of which not all rows and columns are used."""
    note = f"of {shape[0]} × {shape[1]} pixels, more than {MOST_PIXELS}, one row and column in {every} is used"
    return [note] if every > 1 else []


def _thinned(loops: Loops) -> Loops:
    """Loops that a reader had to take whole, at most about MOST_PIXELS of them."""
    every = _every(loops.piezoresponse.shape)
    if every == 1:
        return loops

    def part(cube: np.ndarray | None) -> np.ndarray | None:
        return None if cube is None else cube[::every, ::every].copy()

    return replace(
        loops, piezoresponse=part(loops.piezoresponse), resonance_kHz=part(loops.resonance_kHz),
        truth={name: part(values) for name, values in loops.truth.items()}, unusable=part(loops.unusable),
        notes=(*loops.notes, *_thinning(every, loops.piezoresponse.shape)))


def _in_kHz(resonance: np.ndarray) -> tuple[np.ndarray, str]:
    """Contact resonances lie between 10 kHz and 10 MHz, so the size tells the unit."""
    finite = resonance[np.isfinite(resonance)]
    typical = np.median(finite) if finite.size else np.nan
    if typical > 1e4:
        return resonance / 1e3, "resonance converted from Hz to kHz"
    if np.abs(typical) < 3:
        return resonance, "resonance taken to be in standard deviations, not in kHz"
    return resonance, "resonance taken to be in kHz"


# HDF5 of this repository


def _read_own(path: Path, choice: Choice) -> Loops:
    _only_one_scan(path, choice)
    with h5py.File(path, "r") as file:
        missing = {"piezoresponse", "voltage"} - set(file)
        if missing:
            raise DataError(f"{path} has no dataset {', '.join(sorted(missing))} "
                            f"(it has {', '.join(sorted(file)) or 'none'}): expected {EXPECTED}; "
                            "rename or add it")
        whole = file["piezoresponse"].shape if isinstance(file["piezoresponse"], h5py.Dataset) else ()
        every = _every(whole)
        loops = _numbers(path, "piezoresponse", file["piezoresponse"], every)
        voltage_V = _numbers(path, "voltage", file["voltage"])
        resonance = _numbers(path, "resonance", file["resonance"], every) if "resonance" in file else None
        lag = resonance_lag_steps(file)
        if resonance is not None and resonance.ndim:
            resonance = np.roll(resonance, -lag, axis=-1)
        notes = [str(note) for note in file.attrs.get("notes", [])] or ["HDF5 of this repository"]
        if lag:
            notes.append(f"resonance moved ahead by {lag} steps to meet the voltage")
        notes += _thinning(every, whole)
        topography = _numbers(path, "topography", file["topography"]) if "topography" in file else None
        truth = {name: values[::every, ::every] for name, values in file.get("truth", {}).items()}
        unusable = np.asarray(file["unusable"][::every, ::every], bool) if "unusable" in file else None
        origin = {name: str(file.attrs[name]) for name in ("kind", "path", "sha256") if name in file.attrs}
        published = _is_published(file)
        size_um = float(file.attrs.get("scan_size_um", 2.0 if published else np.nan))
        turned = bool(file.attrs.get("turned", published))
    absent = [name for name, value in (("resonance", resonance), ("topography", topography)) if value is None]
    return Loops(loops, voltage_V, resonance, tuple(notes), tuple(absent), size_um, topography, origin, truth,
                 unusable, turned)


def _is_published(file: h5py.File) -> bool:
    return any(doi in str(file.attrs.get("source", "")) for doi in PUBLISHED_DOIS)


def resonance_lag_steps(file: h5py.File) -> int:
    """Steps by which the stored resonance lags behind the stored voltage.

    The published release keeps the resonance in the order of acquisition, from 0 V upwards,
    but piezoresponse and voltage from +16 V downwards, a quarter of the cycle later. Three
    traces in the data show it: the resonance jumps where its stored cycle closes, as a drift
    between first and last step does; its softening meets the switching of the piezoresponse
    only after the shift; and so do the points that were interpolated in both channels.
    A file says otherwise with the attribute ``resonance_lag_steps``.
    """
    if "resonance_lag_steps" in file.attrs:
        return int(file.attrs["resonance_lag_steps"])
    return PUBLISHED_LAG_STEPS if _is_published(file) else 0


def _only_one_scan(path: Path, choice: Choice) -> None:
    if choice.cycle not in (None, 1) or choice.field == "on" or choice.others:
        raise DataError(f"{path} holds one cycle, measured off-field: expected no choice of cycle, field or "
                        "other axis; leave it out")


# MATLAB files of the group


def _matlab_variables(path: Path) -> dict[str, Callable[[], np.ndarray]]:
    """Readers of the variables of a MATLAB file, by name; version 7.3 stores axes reversed."""
    if not h5py.is_hdf5(path):
        return {name: lambda name=name: scipy.io.loadmat(path, variable_names=[name])[name]
                for name, shape, _ in scipy.io.whosmat(path) if np.prod(shape, dtype=float) * 8 <= MOST_BYTES}

    def transposed(name: str) -> np.ndarray:
        with h5py.File(path, "r") as file:
            return _numbers(path, name, file[name]).T

    with h5py.File(path, "r") as file:
        return {name: lambda name=name: transposed(name) for name in file
                if isinstance(file.get(name, getlink=True), h5py.HardLink)
                and isinstance(file[name], h5py.Dataset)}


def _read_matlab(path: Path, choice: Choice) -> Loops:
    if choice.field == "on" or choice.others:
        raise DataError(f"{path} holds loops measured off-field: expected no choice of field=on or other "
                        "axes; leave it out")
    variables = _matlab_variables(path)
    marks = {1: {"OutA1_mixed"}, 2: {"OutA2_mixed", "Loopdata_mixed"}}
    cycles = [n for n, names in marks.items() if names & set(variables)]
    cycle = choice.cycle or (cycles[-1] if cycles else 2)
    if cycle not in cycles:
        raise DataError(f"{path} has no loops of cycle {cycle} (it has {', '.join(sorted(variables))}): "
                        f"expected Loopdata_mixed or OutA{cycle}_mixed; choose one of the cycles {cycles}")

    def get(name: str) -> np.ndarray | None:
        return _numbers(path, name, np.asarray(variables[name]())) if name in variables else None

    drive, voltage_V, lag = _matlab_voltage(path, get, cycle, choice)
    notes = [f"MATLAB file, cycle {cycle} of {cycles}"]
    loops = get("Loopdata_mixed") if cycle == 2 else None
    if loops is None:
        loops, how = _matlab_projection(path, get, cycle, drive, lag)
        loops = np.roll(loops, -lag, axis=-1)
        notes.append(how)
    resonance = get(f"Outw{cycle}_mixed")
    if resonance is not None:
        resonance, unit = _in_kHz(resonance)
        resonance = np.roll(resonance, -lag, axis=-1)
        notes += [unit, f"resonance moved ahead by {lag} steps to meet the voltage"]
    maps = (get(name) for name in variables if name.lower().startswith("topo"))
    topography = next((m for m in maps if m.ndim == 2 and min(m.shape) > 1), None)
    optional = {f"Outw{cycle}_mixed": resonance, "topo*": topography}
    absent = [name for name, value in optional.items() if value is None]
    return Loops(loops, voltage_V, resonance, tuple(notes), tuple(absent), 2.0, topography, turned=True)


def _matlab_voltage(path: Path, get: Callable[[str], np.ndarray | None], cycle: int, choice: Choice
                    ) -> tuple[np.ndarray, np.ndarray, int]:
    """Voltage in the order of acquisition and of the loops, and the steps between them."""
    voltage_V, drive = get("Voltagedata_mixed"), get("VoltageDC_mixed")
    if voltage_V is None and drive is None:
        if choice.voltage_V is None:
            raise DataError(f"{path} has neither Voltagedata_mixed nor VoltageDC_mixed: expected the voltage "
                            "of each step; add one, or give it as voltage_V")
        voltage_V = choice.voltage_V
    if drive is not None and drive.ndim == 2 and min(drive.shape) > 1:
        drive = drive[:, min(cycle, drive.shape[1]) - 1]
    if voltage_V is None:
        drive = np.ravel(drive)
        return drive, drive, 0
    voltage_V = np.ravel(voltage_V)
    if drive is None:
        lag = len(voltage_V) // 4  # acquired from 0 V on the way up, stored from the largest voltage
        return np.roll(voltage_V, lag), voltage_V, lag
    drive = np.ravel(drive)
    if drive.shape != voltage_V.shape:
        raise DataError(f"{path}: Voltagedata_mixed has {voltage_V.size} steps and VoltageDC_mixed "
                        f"{drive.size}: expected equally many; check that they belong to one measurement")
    misfit = [np.abs(np.roll(drive, -lag) - voltage_V).max() for lag in range(drive.size)]
    lag = int(np.argmin(misfit))
    if misfit[lag] > np.median(np.abs(np.diff(voltage_V))):
        raise DataError(f"{path}: no shift makes VoltageDC_mixed equal to Voltagedata_mixed: expected the "
                        "same drive in two orders; check that they belong to one measurement")
    return drive, voltage_V, lag


def _matlab_projection(path: Path, get: Callable[[str], np.ndarray | None], cycle: int, drive: np.ndarray,
                       lag: int) -> tuple[np.ndarray, str]:
    """P = A cos(φ + θ) in the order of acquisition, and how θ was found."""
    amplitude, phase = get(f"OutA{cycle}_mixed"), get(f"OutPhi{cycle}_mixed")
    if phase is None:
        raise DataError(f"{path} has OutA{cycle}_mixed but no OutPhi{cycle}_mixed: expected both, or "
                        "Loopdata_mixed; add it")
    phase = _in_radians(phase)
    angle = get("optrotang")
    known = [get(name) for name in ("Loopdata_mixed", "OutA2_mixed", "OutPhi2_mixed")]
    if angle is not None and all(value is not None for value in known):
        turned = _stored_rotation(angle, known[0], known[1], _in_radians(known[2]), lag)
        if turned is not None:
            return piezoresponse(amplitude, phase, turned), "P = A cos(φ + θ) with the θ of optrotang"
    theta = optimum_rotation(amplitude, phase, drive)
    return piezoresponse(amplitude, phase, theta), f"P = A cos(φ + θ) with the optimum θ = {theta:.3f} rad"


def _in_radians(phase: np.ndarray) -> np.ndarray:
    """Phases that span more than two turns as radians can only be degrees."""
    finite = phase[np.isfinite(phase)]
    return np.radians(phase) if finite.size and np.ptp(finite) > 4 * np.pi else phase


def _stored_rotation(angle: np.ndarray, loops: np.ndarray, amplitude: np.ndarray, phase: np.ndarray,
                     lag: int) -> np.ndarray | None:
    """θ (rad) in the convention that leads from A and φ to the stored loops; None if none does."""
    if angle.size not in (1, loops[..., 0].size):
        return None
    angle = angle.reshape(1, 1, 1) if angle.size == 1 else angle.reshape(*loops.shape[:2], 1)
    best = None
    for theta in (angle, -angle, np.radians(angle), -np.radians(angle)):
        made = np.roll(piezoresponse(amplitude, phase, theta), -lag, axis=-1)
        both = np.isfinite(made) & np.isfinite(loops)
        if not both.any():
            continue
        likeness = 1 - np.var(made[both] - loops[both]) / np.var(loops[both])
        if likeness > 0.9 and (best is None or likeness > best[0]):
            best = likeness, theta
    return best[1] if best else None


# NumPy files


def _numpy_arrays(path: Path, kind: str) -> dict[str, np.ndarray]:
    if kind == "npy":
        return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise DataError(f"{path} unpacks to more than {MOST_BYTES >> 30} GiB: expected loops that fit "
                            "into memory; store a part of the scan")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _read_numpy(path: Path, choice: Choice) -> Loops:
    _only_one_scan(path, choice)
    arrays = _numpy_arrays(path, recognise(path))
    found = {role: next((a for n, a in arrays.items() if n.lower() in names), None)
             for role, names in ALIASES.items()}
    many = [a for a in arrays.values() if a.ndim > 1]
    if found["piezoresponse"] is None:
        if len(many) != 1:
            raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}: expected one array of loops, or "
                            "`piezoresponse`, `resonance` and `voltage`; name them so")
        found["piezoresponse"] = many[0]
    shape = found["piezoresponse"].shape
    every = _every(shape) if len(shape) == 4 or shape[-1] > 8 else 1  # of a cube, not of a list of pixels
    loops = _numbers(path, "piezoresponse", found["piezoresponse"], every)
    notes = ["NumPy file, which states no units", *_thinning(every, shape)]
    channels = _channels(path, loops, choice, notes)
    if found["resonance"] is not None:
        resonance = _numbers(path, "resonance", found["resonance"], every)
        channels = channels[:1] + _channels(path, resonance, choice, notes)
    if len(channels) > 2:
        notes.append(f"channels 1 and 2 of {len(channels)} taken as piezoresponse and resonance")
    vectors = [a for a in arrays.values() if a.ndim == 1 and a.size == channels[0].shape[-1]]
    if found["voltage"] is None and len(vectors) == 1:
        found["voltage"] = vectors[0]
    voltage_V, lag = _numpy_voltage(path, found["voltage"], channels, choice, notes)
    resonance = None
    if len(channels) > 1:
        resonance, unit = _in_kHz(np.roll(channels[1], -lag, axis=-1))
        notes.append(unit)
    return Loops(channels[0], voltage_V, resonance, tuple(dict.fromkeys(notes)),
                 ("topography", "size of the scan") + (() if resonance is not None else ("resonance",)))


def _channels(path: Path, array: np.ndarray, choice: Choice, notes: list[str]) -> list[np.ndarray]:
    """Cubes (rows, columns, steps), one a channel, of any of the layouts."""
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] <= 8):
        array = array[..., None] if array.ndim == 2 else array
        pixels = len(array)
        side = int(np.sqrt(pixels))
        grid = choice.grid or (side, side)
        if grid[0] * grid[1] != pixels:
            raise DataError(f"{path} holds {pixels} pixels, not {grid[0]} × {grid[1]}: expected (rows, "
                            "columns, steps) or a known grid; store a cube, or give grid=(rows, columns)")
        if choice.grid is None:
            notes.append(f"{pixels} pixels taken as a square of {side} × {side}")
        array = array.reshape(*grid, *array.shape[1:])
    elif array.ndim == 3:
        array = array[..., None]
    elif array.ndim != 4:
        raise DataError(f"{path}: shape {array.shape} is not that of loops: expected (pixels, steps), "
                        "(pixels, steps, channels), (rows, columns, steps) or (rows, columns, steps, "
                        "channels); reshape it")
    return list(np.moveaxis(array, -1, 0))


def _numpy_voltage(path: Path, stored: np.ndarray | None, channels: list[np.ndarray], choice: Choice,
                   notes: list[str]) -> tuple[np.ndarray, int]:
    """Voltage of the steps, and how far the resonance lags behind it."""
    steps = channels[0].shape[-1]
    if choice.voltage_V is not None or stored is not None:
        given = choice.voltage_V if choice.voltage_V is not None else _numbers(path, "voltage", stored)
        return np.ravel(np.asarray(given, float)), 0
    if steps != N_STEPS:
        raise DataError(f"{path} has {steps} steps and no voltage: expected `voltage` ({steps},) beside the "
                        "loops; add it to an .npz, or give it as voltage_V (the paper's drive has "
                        f"{N_STEPS} steps)")
    notes.append("voltage taken to be the paper's drive, +16 V to −16 V and back")
    lag = 0
    if len(channels) > 1 and channels[1].shape == channels[0].shape:
        # A drift makes a jump where the acquisition began and ended (see resonance_lag_steps).
        jump = np.nansum(np.abs(channels[1] - np.roll(channels[1], -1, axis=-1)), axis=(0, 1))
        lag = PUBLISHED_LAG_STEPS if int(np.argmax(jump)) == steps - 1 else 0
        notes.append(f"resonance moved ahead by {lag} steps, judged by where its drift jumps")
    return drive_voltage(), lag


# USID


def _usid_datasets(file: h5py.File) -> tuple[list[str], list[str], list[str]]:
    """Names of projected loops, oscillator fits and raw spectra, the latest first."""
    projected, fits, raw = [], [], []

    def sort(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Dataset) or item.ndim != 2:
            return
        if name.endswith("Projected_Loops"):
            projected.append(name)
        elif item.dtype.names and set(SHO_FIELDS) <= set(item.dtype.names):
            fits.append(name)
        elif item.dtype.kind == "c" and _ancillary(item, "Spectroscopic_Indices") is not None:
            raw.append(name)

    file.visititems(sort)
    # A fit goes before its guess, a later group before an earlier one.
    return (projected[::-1], sorted(fits, key=lambda n: (n.endswith("Fit"), n), reverse=True),
            sorted(raw, key=lambda n: n.endswith("Raw_Data"), reverse=True))


def _ancillary(main: h5py.Dataset, name: str) -> h5py.Dataset | None:
    """A dataset that a main dataset refers to, or that lies beside or above it."""
    reference = main.attrs.get(name)
    if isinstance(reference, h5py.Reference) and reference:
        return main.file[reference]
    group = main.parent
    while name not in group and group.name != "/":
        group = group.parent
    return group.get(name)


def _words(dataset: h5py.Dataset, attribute: str) -> list[str]:
    words = np.atleast_1d(dataset.attrs.get(attribute, []))
    return [word.decode() if isinstance(word, bytes) else str(word) for word in words]


def _read_usid(path: Path, choice: Choice) -> Loops:
    with h5py.File(path, "r") as file:
        everything = _usid_datasets(file)
        for position in (-1, 0):  # what was broken off ends in zeros; better that than nothing
            projected, fits, raw = ([name for name in names if _is_filled(file[name], position)]
                                    for names in everything)
            if projected + fits + raw:
                break
        else:
            raise DataError(f"{path} is a USID file whose spectra, fits and loops are all empty: expected a "
                            "measurement; check that it was finished")
        if projected:
            loops = _usid_loops(path, file, projected[0], fits, choice)
        else:
            best = [name for name in fits if not name.endswith("Guess")] or raw or fits
            loops = _usid_oscillators(path, file, best[0], choice)
    return loops


def _is_filled(dataset: h5py.Dataset, position: int) -> bool:
    """Whether a position holds anything."""
    if 0 in dataset.shape:
        return False
    there = dataset[position]
    return bool(np.any(np.nan_to_num(there[SHO_FIELDS[0]] if there.dtype.names else there)))


@dataclass(frozen=True)
class _Selection:
    """Columns of a USID dataset that belong to the chosen loops, in the order applied."""

    columns: np.ndarray  # (steps,) or (steps, bins)
    voltage_V: np.ndarray  # (steps,)
    frequency_Hz: np.ndarray | None
    notes: tuple[str, ...]


def _select(path: Path, main: h5py.Dataset, choice: Choice) -> _Selection:
    indices, values = _ancillary(main, "Spectroscopic_Indices"), _ancillary(main, "Spectroscopic_Values")
    if indices is None or values is None or not (
            indices.shape == values.shape == (len(indices), main.shape[1])):
        raise DataError(f"{path}: `{main.name}` has no fitting spectroscopic indices and values: expected "
                        f"(axes, {main.shape[1]}) of each; write the file with pyUSID")
    _check_size(path, indices.name, indices)
    labels = _words(indices, "labels") or _words(values, "labels")
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
    return _Selection(columns, values["DC_Offset"][first], frequency_Hz, notes)


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
class _Grid:
    """Where the positions of a USID dataset lie."""

    shape: tuple[int, int]
    kept: np.ndarray  # (positions,) of bool
    row: np.ndarray  # (kept positions,)
    column: np.ndarray
    width_um: float
    notes: tuple[str, ...]

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


def _grid(path: Path, main: h5py.Dataset, selection: _Selection) -> _Grid:
    """Rows and columns of the positions; of a scan too large, only some of each are kept."""
    indices = _ancillary(main, "Position_Indices")
    if indices is None or indices.ndim != 2 or indices.shape[0] != main.shape[0]:
        raise DataError(f"{path}: `{main.name}` has no fitting position indices: expected ({main.shape[0]}, "
                        "axes); write the file with pyUSID")
    _check_size(path, indices.name, indices)
    labels = _words(indices, "labels") or [f"axis {n}" for n in range(indices.shape[1])]
    steps = {label: np.unique(column, return_inverse=True)
             for label, column in zip(labels, np.asarray(indices[:], int).T, strict=True)}
    varying = [label for label, (there, _) in steps.items() if len(there) > 1]
    if len(varying) > 2:
        raise DataError(f"{path}: `{main.name}` varies along {', '.join(varying)}: expected rows and "
                        "columns; store one plane of positions")
    column = "X" if "X" in steps else (varying or labels)[-1]
    row = next((label for label in [*varying, "Y"] if label != column and label in steps), None)
    rows, row_of = steps[row] if row else (np.zeros(1), np.zeros(main.shape[0], int))
    columns, column_of = steps[column]
    if len(set(zip(row_of.ravel(), column_of.ravel(), strict=True))) != main.shape[0]:
        raise DataError(f"{path}: positions of `{main.name}` occur more than once: expected one spectrum at "
                        "each row and column; store one pass of the scan")
    shape, width_um = (len(rows), len(columns)), _width_um(main, labels.index(column))
    every = _every((*shape, 1))
    row_of, column_of = row_of.ravel(), column_of.ravel()
    kept = (row_of % every == 0) & (column_of % every == 0)
    _check_size(path, main.name, main, int(kept.sum()) * len(selection.voltage_V))
    return _Grid(tuple(-(-n // every) for n in shape), kept, row_of[kept] // every, column_of[kept] // every,
                 width_um, tuple(_thinning(every, shape)))


def _width_um(main: h5py.Dataset, axis: int) -> float:
    """Width from the positions; NaN where they are counts instead of metres."""
    values = _ancillary(main, "Position_Values")
    if values is None:
        return float("nan")
    units = _words(values, "units")
    there = np.unique(np.asarray(values[:, axis], float))
    scale = {"m": 1e6, "um": 1.0, "µm": 1.0, "nm": 1e-3}.get(units[axis] if axis < len(units) else "")
    if scale is None or len(there) < 2:
        return float("nan")
    width = scale * np.ptp(there) * len(there) / (len(there) - 1)
    return float(width) if width < 1e4 else float("nan")


def _usid_loops(path: Path, file: h5py.File, name: str, fits: list[str], choice: Choice) -> Loops:
    """Projected loops, with the resonance of the fit that they come from."""
    main = file[name]
    selection = _select(path, main, choice)
    grid = _grid(path, main, selection)

    def cube(name: str, part: str | None = None) -> np.ndarray:
        rows = [b[part] if part else b for b in grid.read(file[name])]
        return grid.lay(np.concatenate([values[:, selection.columns] for values in rows]))

    loops = cube(name)
    above = [fit for fit in fits if name.startswith(fit.rpartition("/")[0])]
    fit = next((fit for fit in above if file[fit].shape == main.shape), None)
    resonance = None
    if fit:
        resonance = cube(fit, "Frequency [Hz]") / 1e3
    notes = [f"USID file, loops of {name}", *selection.notes, *([f"resonance of {fit}"] if fit else [])]
    return _usid_result(loops, selection, resonance, tuple(notes), grid)


def _usid_oscillators(path: Path, file: h5py.File, name: str, choice: Choice) -> Loops:
    """Loops from oscillators, fitted by BGlib or, from raw spectra, here."""
    main = file[name]
    selection = _select(path, main, choice)
    grid = _grid(path, main, selection)
    if main.dtype.names:
        table = np.concatenate([batch[:, selection.columns] for batch in grid.read(main)])
        amplitude, resonance_Hz, phase = (np.asarray(table[part], float) for part in SHO_FIELDS)
        amplitude[amplitude == 0] = np.nan  # never fitted
        resonance_Hz[np.isnan(amplitude)] = np.nan
        how = f"USID file, oscillators of {name}"
    elif selection.frequency_Hz is None:
        raise DataError(f"{path}: `{name}` has no axis Frequency: expected band-excitation spectra; the file "
                        "has no fits either, so add Raw_Data-SHO_Fit_000/Fit")
    else:
        amplitude, resonance_Hz, phase, r2 = _fit_raw(main, selection, grid)
        how = f"USID file, oscillators fitted to {name}, median R² {np.nanmedian(r2):.3f}"
    theta = optimum_rotation(amplitude, phase, selection.voltage_V)
    loops = grid.lay(piezoresponse(amplitude, phase, theta))
    resonance = grid.lay(resonance_Hz / 1e3)
    notes = (how, *selection.notes, f"P = A cos(φ + θ) with the optimum θ = {theta:.3f} rad")
    return _usid_result(loops, selection, resonance, notes, grid)


def _usid_result(loops: np.ndarray, selection: _Selection, resonance: np.ndarray | None,
                 notes: tuple[str, ...], grid: _Grid) -> Loops:
    absent = {"topography": True, "size of the scan": np.isnan(grid.width_um), "resonance": resonance is None}
    missing = tuple(name for name, lacking in absent.items() if lacking)
    return Loops(loops, selection.voltage_V, resonance, notes + grid.notes, missing, grid.width_um)


def _fit_raw(main: h5py.Dataset, selection: _Selection, grid: _Grid) -> list[np.ndarray]:
    """A, ω₀ / 2π (Hz), φ and R² of every kept position and step, read in batches."""
    order = np.argsort(selection.frequency_Hz)
    frequency_Hz, columns = selection.frequency_Hz[order], selection.columns[:, order]
    sample = main[:: max(1, len(main) // 8)][:8][:, columns]
    # Some acquisition cards store the complex conjugate, which no oscillator of positive Q fits.
    conjugate = np.nanmedian(fit_sho(sample.conj(), frequency_Hz).r2) > np.nanmedian(
        fit_sho(sample, frequency_Hz).r2)
    parts = []
    for batch in grid.read(main):
        spectra = batch[:, columns]
        fit = fit_sho(spectra.conj() if conjugate else spectra, frequency_Hz)
        parts.append((fit.amplitude, fit.frequency, fit.phase, fit.r2))
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()



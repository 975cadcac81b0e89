"""Loops as named arrays: HDF5 of this project, and NumPy ``.npy`` and ``.npz``, never unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np

from helpers.scans.formats import (
    EXPECTED,
    MOST_BYTES,
    Choice,
    DataError,
    Loops,
    every_nth,
    in_kHz,
    numbers,
    only_one_scan,
    picked,
    thinning,
)
from helpers.twin.switching import N_STEPS, drive_voltage

PUBLISHED_DOIS = ("10.5281/zenodo.1482091", "10.5281/zenodo.6321172")
PUBLISHED_LAG_STEPS = 24
ALIASES = {
    "piezoresponse": ("piezoresponse", "loops", "loopdata_mixed"),
    "resonance": ("resonance", "resonance_khz", "outw2_mixed"),
    "voltage": ("voltage", "voltage_v", "voltagedata_mixed"),
}


def read_own(path: Path, choice: Choice) -> Loops:
    """Loops of ``piezoresponse`` and ``voltage`` with whatever else stands beside them."""
    only_one_scan(path, choice)
    with h5py.File(path, "r") as file:
        missing = {"piezoresponse", "voltage"} - set(file)
        if missing:
            raise DataError(f"{path} has no dataset {', '.join(sorted(missing))} "
                            f"(it has {', '.join(sorted(file)) or 'none'}): expected {EXPECTED}; "
                            "rename or add it")
        whole = file["piezoresponse"].shape if isinstance(file["piezoresponse"], h5py.Dataset) else ()
        part = picked(whole, choice.rows)
        loops = numbers(path, "piezoresponse", file["piezoresponse"], part)
        voltage_V = numbers(path, "voltage", file["voltage"])
        resonance = numbers(path, "resonance", file["resonance"], part) if "resonance" in file else None
        lag = resonance_lag_steps(file)
        if resonance is not None and resonance.ndim:
            resonance = np.roll(resonance, -lag, axis=-1)
        notes = [str(note) for note in file.attrs.get("notes", [])] or ["HDF5 of this repository"]
        if lag:
            notes.append(f"resonance moved ahead by {lag} steps to meet the voltage")
        notes += [] if choice.rows else thinning(every_nth(whole), whole)
        topography = numbers(path, "topography", file["topography"]) if "topography" in file else None
        truth = {name: values[part] for name, values in file.get("truth", {}).items()}
        unusable = np.asarray(file["unusable"][part], bool) if "unusable" in file else None
        origin = {name: str(file.attrs[name]) for name in ("kind", "path", "sha256") if name in file.attrs}
        published = _is_published(file)
        size_um = float(file.attrs.get("scan_size_um", 2.0 if published else np.nan))
        turned = bool(file.attrs.get("turned", published))
    absent = [name for name, value in (("resonance", resonance), ("topography", topography)) if value is None]
    return Loops(loops, voltage_V, resonance, tuple(notes), tuple(absent), size_um, topography, origin, truth,
                 unusable, turned, grid=whole[:2] if part else None)


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


def numpy_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz by name, or the one of an .npy, without a name and not yet in memory.

    Raises
    ------
    DataError
        If an .npz unpacks to more than fits into memory.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"PK"
    if not packed:
        return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise DataError(f"{path} unpacks to more than {MOST_BYTES >> 30} GiB: expected loops that fit "
                            "into memory; store a part of the scan")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_numpy(path: Path, choice: Choice) -> Loops:
    """Loops from named arrays, or from the only one of more than one axis."""
    only_one_scan(path, choice)
    arrays = numpy_arrays(path)
    found = {role: next((a for n, a in arrays.items() if n.lower() in names), None)
             for role, names in ALIASES.items()}
    many = [a for a in arrays.values() if a.ndim > 1]
    if found["piezoresponse"] is None:
        if len(many) != 1:
            raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}: expected one array of loops, or "
                            "`piezoresponse`, `resonance` and `voltage`; name them so")
        found["piezoresponse"] = many[0]
    shape = found["piezoresponse"].shape
    cube = shape if len(shape) == 4 or shape[-1] > 8 else ()  # not a list of pixels
    part = picked(cube)
    loops = numbers(path, "piezoresponse", found["piezoresponse"], part)
    notes = ["NumPy file, which states no units", *thinning(every_nth(cube), cube)]
    channels = _channels(path, loops, choice, notes)
    if found["resonance"] is not None:
        resonance = numbers(path, "resonance", found["resonance"], part)
        channels = channels[:1] + _channels(path, resonance, choice, notes)
    if len(channels) > 2:
        notes.append(f"channels 1 and 2 of {len(channels)} taken as piezoresponse and resonance")
    vectors = [a for a in arrays.values() if a.ndim == 1 and a.size == channels[0].shape[-1]]
    if found["voltage"] is None and len(vectors) == 1:
        found["voltage"] = vectors[0]
    voltage_V, lag = _voltage(path, found["voltage"], channels, choice, notes)
    resonance = None
    if len(channels) > 1:
        resonance, unit = in_kHz(np.roll(channels[1], -lag, axis=-1))
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


def _voltage(path: Path, stored: np.ndarray | None, channels: list[np.ndarray], choice: Choice,
                   notes: list[str]) -> tuple[np.ndarray, int]:
    """Voltage of the steps, and how far the resonance lags behind it."""
    steps = channels[0].shape[-1]
    if choice.voltage_V is not None or stored is not None:
        given = choice.voltage_V if choice.voltage_V is not None else numbers(path, "voltage", stored)
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

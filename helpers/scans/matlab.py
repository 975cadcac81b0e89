"""MATLAB files of the group, version 5 and 7.3: ``Loopdata_mixed`` and oscillator fits ``Out…_mixed``."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from helpers.scans.arrays import read_arrays
from helpers.scans.choice import Choice
from helpers.scans.formats import DataError, Loops, apart, assembled, check_bytes, from_oscillators, numbers
from helpers.scans.units import role_of
from helpers.twin.switching import drive_voltage

PUBLISHED_SHAPE = (60, 60, 96)  # of the published film; a MATLAB file does not say what it is of
GROUP = r"Loopdata_mixed|Voltagedata_mixed|VoltageDC_mixed|Out(A|Phi|w)\d+_mixed|optrotang|(?i:topo)"
Getter = Callable[[str], np.ndarray | None]


def _variables(path: Path) -> dict[str, Callable[[], np.ndarray]]:
    """Readers of the variables of a MATLAB file, by name; version 7.3 stores axes reversed."""
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            own = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
            return {name: partial(_transposed, path, name) for name in own if isinstance(file[name], h5py.Dataset)}
    sizes = {name: np.prod(shape, dtype=float) * 8 for name, shape, _ in scipy.io.whosmat(path)}
    used = [name for name in sizes if re.match(GROUP, name) or role_of(name)]
    for name in used:
        check_bytes(f"{path}: `{name}` is too large,", sizes[name])
    arrays = apart(path, _matlab_5_arrays, used)
    return {name: partial(arrays.__getitem__, name) for name in sizes}


def _transposed(path: Path, name: str) -> np.ndarray:
    with h5py.File(path, "r") as file:
        return numbers(path, name, file[name]).T


def _matlab_5_arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Arrays of a MATLAB 5 file by name; text stands where a variable is no array of numbers."""
    found = scipy.io.loadmat(path, variable_names=names)
    numeric = {name: getattr(found[name], "dtype", np.dtype(object)).kind in "biufc" for name in names}
    return {name: found[name] if numeric[name] else np.array("no numbers") for name in names}


def read_matlab(path: Path, choice: Choice) -> Loops:
    """Loops stored as such, or made from the oscillators of the chosen cycle."""
    variables = _variables(path)
    marks = {1: {"OutA1_mixed"}, 2: {"OutA2_mixed", "Loopdata_mixed"}}
    cycles = [n for n, names in marks.items() if names & set(variables)]
    if not cycles and any(map(role_of, variables)):
        arrays = {name: np.asarray(read()) for name, read in variables.items() if role_of(name)}
        return read_arrays(path, arrays, choice, ["MATLAB file"], 0)
    if choice.dataset:
        raise DataError(f"{path} holds {', '.join(sorted(variables))}: expected no choice of a dataset among them; "
                        "leave it out, or choose a cycle")
    cycle = choice.cycle or (cycles[-1] if cycles else 2)
    if cycle not in cycles:
        raise DataError(f"{path} has no loops of cycle {cycle} (it has {', '.join(sorted(variables))}): expected "
                        f"Loopdata_mixed or OutA{cycle}_mixed; "
                        + (f"choose one of the cycles {cycles}" if cycles else "name them so"))

    def get(name: str) -> np.ndarray | None:
        return numbers(path, name, np.asarray(variables[name]())) if name in variables else None

    drive, voltage_V, lag = _voltage(path, get, cycle, choice)
    notes, loops = [f"MATLAB file, cycle {cycle} of {cycles}"], get("Loopdata_mixed") if cycle == 2 else None
    if loops is None:
        loops, how = _projection(path, get, cycle, drive, lag)
        loops = np.roll(loops, -lag, axis=-1)
        notes.append(how)
    cubes, resonance = {"piezoresponse": loops}, get(f"Outw{cycle}_mixed")
    if resonance is not None:
        cubes["resonance"] = np.roll(resonance, -lag, axis=-1)
        notes += [f"resonance moved ahead by {lag} steps to meet the voltage"] if lag else []
    maps = (get(name) for name in variables if name.lower().startswith("topo"))
    topography = next((m for m in maps if m.ndim == 2 and min(m.shape) > 1), None)
    absent = [name for name, value in ((f"Outw{cycle}_mixed", resonance), ("topo*", topography)) if value is None]
    published = loops.shape == PUBLISHED_SHAPE and np.allclose(voltage_V, drive_voltage(), atol=0.1)
    if published:
        notes.append("taken for the scan of the published film, 2 µm wide, by its size and its drive")
    return assembled(cubes, {}, voltage_V, notes, size_um=2.0 if published else np.nan, topography=topography,
                     missing=tuple(absent), turned=published,
                     moved=lag if resonance is not None else 0, cycles=tuple(cycles))


def _voltage(path: Path, get: Getter, cycle: int, choice: Choice) -> tuple[np.ndarray, np.ndarray, int]:
    """Voltage in the order of acquisition and of the loops, and the steps between them."""
    voltage_V, drive = get("Voltagedata_mixed"), get("VoltageDC_mixed")
    if voltage_V is None and drive is None:
        if choice.voltage_V is None:
            raise DataError(f"{path} has neither Voltagedata_mixed nor VoltageDC_mixed: expected the voltage "
                            "of each step; add one, or give it as voltage_V")
        voltage_V = choice.voltage_V
    if drive is not None:
        drive = drive[:, min(cycle, drive.shape[1]) - 1] if drive.ndim == 2 and min(drive.shape) > 1 else drive.ravel()
    if voltage_V is None:
        return drive, drive, 0
    voltage_V = np.ravel(voltage_V)
    if drive is None:
        # Acquired from 0 V on the way up, stored from the largest voltage; else stored as acquired.
        lag = len(voltage_V) // 4 if voltage_V.argmax() == 0 else 0
        return np.roll(voltage_V, lag), voltage_V, lag
    if drive.shape != voltage_V.shape:
        raise DataError(f"{path}: Voltagedata_mixed has {voltage_V.size} steps and VoltageDC_mixed "
                        f"{drive.size}: expected equally many; check that they belong to one measurement")
    misfit = [np.abs(np.roll(drive, -lag) - voltage_V).max() for lag in range(drive.size)]
    lag = int(np.argmin(misfit))
    if misfit[lag] > np.median(np.abs(np.diff(voltage_V))):
        raise DataError(f"{path}: no shift makes VoltageDC_mixed equal to Voltagedata_mixed: expected the "
                        "same drive in two orders; check that they belong to one measurement")
    return drive, voltage_V, lag


def _projection(path: Path, get: Getter, cycle: int, drive: np.ndarray, lag: int) -> tuple[np.ndarray, str]:
    """P = A cos(φ + θ) in the order of acquisition, and how θ was found."""
    amplitude, phase = get(f"OutA{cycle}_mixed"), get(f"OutPhi{cycle}_mixed")
    if phase is None:
        raise DataError(f"{path} has OutA{cycle}_mixed but no OutPhi{cycle}_mixed: expected both, or Loopdata_mixed; "
                        "add it")
    known = [get(name) for name in ("optrotang", "Loopdata_mixed", "OutA2_mixed", "OutPhi2_mixed")]
    theta = None if any(value is None for value in known) else _stored_rotation(*known, lag)
    loops, _, how = from_oscillators(amplitude, phase, "", drive, theta)
    return loops, how if theta is None else "P = A cos(φ + θ) with the θ of optrotang"


def _stored_rotation(angle: np.ndarray, loops: np.ndarray, amplitude: np.ndarray, phase: np.ndarray,
                     lag: int) -> np.ndarray | None:
    """θ (rad) in the convention that leads from A and φ to the stored loops; None if none does."""
    if angle.size not in (1, loops[..., 0].size):
        return None
    angle = angle.reshape(1, 1, 1) if angle.size == 1 else angle.reshape(*loops.shape[:2], 1)
    conventions, likeness = (angle, -angle, np.radians(angle), -np.radians(angle)), np.zeros(4)
    for n, theta in enumerate(conventions):
        made = np.roll(from_oscillators(amplitude, phase, "", amplitude[0, 0], theta)[0], -lag, axis=-1)
        both = np.isfinite(made) & np.isfinite(loops)
        likeness[n] = 1 - np.var(made[both] - loops[both]) / np.var(loops[both]) if both.any() else 0
    best = int(np.argmax(np.nan_to_num(likeness)))
    return conventions[best] if likeness[best] > 0.9 else None

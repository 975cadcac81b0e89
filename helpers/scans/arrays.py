"""Loops as named arrays: HDF5 of this project, NumPy ``.npy`` and ``.npz`` (never unpickled), and MATLAB variables."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np

from helpers.scans.choice import Choice
from helpers.scans.formats import (
    EXPECTED,
    MOST_BYTES,
    DataError,
    Loops,
    assembled,
    every_nth,
    numbers,
    picked,
    text,
    thinning,
)
from helpers.scans.roles import by_values, role_of
from helpers.scans.units import factor, unit_in
from helpers.twin.switching import N_STEPS, drive_voltage

PUBLISHED_DOIS = ("10.5281/zenodo.1482091", "10.5281/zenodo.6321172")
PUBLISHED_LAG_STEPS = 24
MOST_CHANNELS = 8  # of a last axis that is not one of steps
Source = h5py.Dataset | np.ndarray


def read_own(path: Path, choice: Choice) -> Loops:
    """Loops of HDF5 datasets by name, with what the attributes say of them."""
    with h5py.File(path, "r") as file:
        group = group_of_loops(file) or file
        named = {name: item for name, item in group.items() if isinstance(item, h5py.Dataset)}
        roles = {role_of(name) for name in named}
        lacking = [] if {"amplitude", "phase"} <= roles else ["piezoresponse"]
        missing = {*lacking, "voltage"} - roles
        if missing:
            raise DataError(f"{path} has no dataset {', '.join(sorted(missing))} "
                            f"(it has {', '.join(sorted(group)) or 'none'}): expected {EXPECTED}; "
                            "rename or add it")
        units = {name: text(item.attrs.get("units", "")) for name, item in named.items()}
        stated = [str(note) for note in np.atleast_1d(file.attrs.get("notes", []))]
        own = path.name == "scan.h5" and path.parent.name == "results"
        published = _is_published(file)
        return read_arrays(
            path, named, units, choice, tuple(stated) or ("HDF5 of this repository",), resonance_lag_steps(file),
            size_um=float(file.attrs.get("scan_size_um", 2.0 if published else np.nan)),
            turned=bool(file.attrs.get("turned", published)),
            # Elsewhere anything may be written there; what was simulated carries its truth.
            origin={name: text(file.attrs[name]) for name in ("kind", "path", "sha256") if own and name in file.attrs},
            truth=lambda part: {name: numbers(path, name, values, part)
                                for name, values in dict(file.get("truth", {})).items()})


def group_of_loops(file: h5py.File) -> h5py.Group | None:
    """The file, or the first group below, with datasets called as loops are; None where there is none."""

    def roles(group: h5py.Group) -> set[str | None]:
        return {role_of(name) for name, item in group.items() if isinstance(item, h5py.Dataset)}

    if roles(file) & {"piezoresponse", "resonance", "voltage", "amplitude"}:
        return file
    return file.visititems(lambda _, item: item if isinstance(item, h5py.Group) and "voltage" in (there := roles(item))
                           and there & {"piezoresponse", "amplitude"} else None)


def read_numpy(path: Path, choice: Choice) -> Loops:
    """Loops from named arrays, or from the only one of more than one axis."""
    return read_arrays(path, numpy_arrays(path), {}, choice, ("NumPy file, which states no units",), None)


def read_arrays(path: Path, named: Mapping[str, Source], units: Mapping[str, str], choice: Choice,
                notes: tuple[str, ...], lag: int | None, truth: Callable[[tuple], dict] = lambda _: {},
                **stated) -> Loops:
    """Loops of arrays by the roles that their names or, of lone ones, their values tell.

    Parameters
    ----------
    named, units : mapping of str to array and to str
    notes : tuple of str
        To begin with.
    lag : int or None
        Steps by which the resonance lags; None where the values have to tell.
    truth : callable
        Maps by the part of the scan that is read.
    **stated
        Further fields of `Loops`.
    """
    if choice.field == "on" or choice.others or choice.measurement is not None:
        raise DataError(f"{path} holds loops measured off-field in one measurement: expected no choice of field, "
                        "measurement or other axis; leave it out")
    names = {role: name for name in reversed(list(named)) if (role := role_of(name))}
    if choice.dataset:
        if choice.dataset not in named:
            raise DataError(f"{path} has no array {choice.dataset}: expected one of {', '.join(named)}; choose one")
        names = {role: name for role, name in names.items() if role != "amplitude"} | {"piezoresponse": choice.dataset}
    said, found = list(notes), {}
    unit = {role: units.get(name) or unit_in(name) for role, name in names.items()}
    main = next((role for role in ("piezoresponse", "amplitude") if role in names), None)
    guess = main is None
    if guess:
        names["piezoresponse"], main = _only_one(path, named), "piezoresponse"
    voltage_V = _stored_voltage(path, named, names, unit, choice, said)
    shape = named[names[main]].shape
    steps = N_STEPS if voltage_V is None else len(voltage_V)
    first = len(shape) > 1 and shape[0] == steps and steps not in shape[1:]
    part = picked(shape if len(shape) > 2 and (shape[-1] > MOST_CHANNELS or len(shape) > 3) and not first else (), choice.rows)
    whole = shape[:2] if part else None
    for role in (main, "phase", "resonance", "r2"):
        if role in names and (role != "phase" or main == "amplitude"):
            array = named[names[role]]
            if len(shape) < 4 and array.shape != shape:
                raise DataError(f"{path}: shapes {shape} of {names[main]} and {array.shape} of {names[role]} do not fit "
                                "together: expected equal ones; put rows and columns first, steps last")
            values = numbers(path, names[role], array, part)
            if first:
                values = np.moveaxis(values, 0, min(2, values.ndim - 1))
                said.append("the first axis, as long as the drive, is taken as the steps")
            found[role] = _channels(path, values, choice, steps, said)
    said += [] if choice.rows else thinning(every_nth(shape) if part else 1, shape)
    main, found = by_values(path, found, main, guess, said)
    steps = found[main][0].shape[-1]
    guessed = voltage_V is None
    if guessed:
        voltage_V = _paper_drive(path, steps, said)
    elif voltage_V.ndim == 1 and steps > len(voltage_V) and steps % len(voltage_V) == 0:
        voltage_V = np.tile(voltage_V, steps // len(voltage_V))
    cubes = {role: channels[0] for role, channels in found.items()}
    if "resonance" in cubes:
        if lag is None:
            lag = _lag_by_jump(cubes[main], cubes["resonance"], said) if guessed else 0
        elif lag:
            said.append(f"resonance moved ahead by {lag} steps to meet the voltage")
        cubes["resonance"] = np.roll(cubes["resonance"], -lag, axis=-1)
    if "topography" in names:
        stated["topography"] = numbers(path, names["topography"], named[names["topography"]])
    if "unusable" in names:
        stated["unusable"] = np.asarray(numbers(path, "unusable", named[names["unusable"]], part, kinds="biu"), bool)
    return assembled(cubes, unit, voltage_V, said, choice.theta_rad, truth=truth(part), grid=whole, **stated)


def _only_one(path: Path, named: Mapping[str, Source]) -> str:
    many = [name for name, array in named.items() if array.ndim > 1 and role_of(name) is None]
    if len(many) != 1:
        raise DataError(f"{path} holds {', '.join(named) or 'nothing'}: expected one array of loops, or "
                        "`piezoresponse`, `resonance` and `voltage`; name them so")
    return many[0]


def _stored_voltage(path: Path, named: Mapping[str, Source], names: dict[str, str], unit: dict[str, str],
                    choice: Choice, said: list[str]) -> np.ndarray | None:
    """Voltage (V) that was given or lies beside the loops; None where there is none."""
    if choice.voltage_V is not None:
        return np.ravel(np.asarray(choice.voltage_V, float))
    if "voltage" not in names:
        shape = next(named[names[role]].shape for role in ("piezoresponse", "amplitude") if role in names)
        vectors = [name for name, array in named.items() if array.ndim == 1 and array.size in shape]
        if len(vectors) != 1:
            return None
        names["voltage"] = vectors[0]
    voltage = numbers(path, names["voltage"], named[names["voltage"]])
    voltage = voltage.ravel() if 1 in voltage.shape else voltage
    scale = factor(unit.get("voltage", ""), "V") or 1.0
    if scale != 1:
        said.append(f"voltage converted from {unit['voltage']} to V")
    return voltage * scale if scale != 1 else voltage


def _channels(path: Path, array: np.ndarray, choice: Choice, steps: int, said: list[str]) -> list[np.ndarray]:
    """Cubes (rows, columns, steps), one a channel, of any of the layouts."""
    if array.ndim == 4 and array.shape[-1] == steps:
        said.append(f"{array.shape[2]} cycles on the third axis")
        array = array.reshape(*array.shape[:2], -1)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] <= MOST_CHANNELS):
        array = array[..., None] if array.ndim == 2 else array
        pixels = len(array)
        side = int(np.sqrt(pixels))
        grid = choice.grid or (side, side)
        if grid[0] * grid[1] != pixels:
            raise DataError(f"{path} holds {pixels} pixels, not {grid[0]} × {grid[1]}: expected (rows, "
                            "columns, steps) or a known grid; store a cube, or give grid=(rows, columns)")
        if choice.grid is None:
            said.append(f"{pixels} pixels taken as a square of {side} × {side}")
        array = array.reshape(*grid, *array.shape[1:])
    elif array.ndim == 3:
        array = array[..., None]
    elif array.ndim != 4:
        raise DataError(f"{path}: shape {array.shape} is not that of loops: expected (pixels, steps), "
                        "(pixels, steps, channels), (rows, columns, steps) or (rows, columns, steps, "
                        "channels); reshape it")
    return list(np.moveaxis(array, -1, 0))


def _paper_drive(path: Path, steps: int, said: list[str]) -> np.ndarray:
    if steps != N_STEPS:
        raise DataError(f"{path} has {steps} steps and no voltage: expected `voltage` ({steps},) beside the "
                        "loops; add it to an .npz, or give it as voltage_V (the paper's drive has "
                        f"{N_STEPS} steps)")
    said.append("voltage taken to be the paper's drive, +16 V to −16 V and back")
    return drive_voltage()


def _lag_by_jump(loops: np.ndarray, resonance: np.ndarray, said: list[str]) -> int:
    """A drift makes a jump where the acquisition began and ended (see resonance_lag_steps)."""
    if resonance.shape != loops.shape:
        return 0
    jump = np.nansum(np.abs(resonance - np.roll(resonance, -1, axis=-1)), axis=(0, 1))
    lag = PUBLISHED_LAG_STEPS if int(np.argmax(jump)) == loops.shape[-1] - 1 else 0
    said.append(f"resonance moved ahead by {lag} steps, judged by where its drift jumps")
    return lag


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

"""Loops as named arrays: HDF5 of this project, NumPy ``.npy`` and ``.npz`` (never unpickled), and MATLAB variables."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

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
from helpers.scans.units import in_V, unit_in
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
        missing = {"voltage"} - roles | (set() if {"amplitude", "phase"} <= roles else {"piezoresponse"} - roles)
        if missing:
            raise DataError(f"{path} has no dataset {', '.join(sorted(missing))} "
                            f"(it has {', '.join(sorted(group)) or 'none'}): expected {EXPECTED}; "
                            "rename or add it")
        units = {name: text(item.attrs.get("units", "")) for name, item in named.items()}
        stated = [str(note) for note in np.atleast_1d(file.attrs.get("notes", []))]
        own = path.parts[-2:] == ("results", "scan.h5")
        published = any(doi in str(file.attrs.get("source", "")) for doi in PUBLISHED_DOIS)
        return read_arrays(
            path, named, units, choice, tuple(stated) or ("HDF5 of this repository",),
            int(file.attrs.get("resonance_lag_steps", PUBLISHED_LAG_STEPS if published else 0)),
            size_um=float(file.attrs.get("scan_size_um", 2.0 if published else np.nan)),
            turned=bool(file.attrs.get("turned", published)),
            # Elsewhere anything may be written there; what was simulated carries its truth.
            origin={name: text(file.attrs[name]) for name in ("kind", "path", "sha256") if own and name in file.attrs},
            truth=dict(file.get("truth", {})))


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
                notes: tuple[str, ...], lag: int | None, truth: Mapping[str, Source] = MappingProxyType({}),
                **stated) -> Loops:
    """Loops of arrays by the roles that their names or, of lone ones, their values tell.

    Parameters
    ----------
    named, units : mapping of str to array and to str
    lag : int or None
        Steps by which the resonance lags; None where the values have to tell.
    truth : mapping of str to array, shape (rows, columns)
    **stated
        Further fields of `Loops`.
    """
    (names, guess), said = _names_by_role(path, named, choice), list(notes)
    main = "piezoresponse" if "piezoresponse" in names else "amplitude"
    shape = named[names[main]].shape
    unit = {role: units.get(name) or unit_in(name) for role, name in names.items()}
    voltage_V = _stored_voltage(path, named, names.get("voltage"), unit.get("voltage", ""), choice, said)
    steps = N_STEPS if voltage_V is None else len(voltage_V)
    first = len(shape) > 1 and shape[0] == steps and steps not in shape[1:]
    whole = len(shape) > 2 and (shape[-1] > MOST_CHANNELS or len(shape) > 3) and not first
    part = picked(shape if whole else (), choice.rows)
    wanted = [main, *(["phase"] if main == "amplitude" else []), "resonance", "r2"]
    found = {}
    for role, name in ((role, names[role]) for role in wanted if role in names):
        if len(shape) < 4 and named[name].shape != shape:
            raise DataError(f"{path}: shapes {shape} of {names[main]} and {named[name].shape} of {name} do not fit "
                            "together: expected equal ones; put rows and columns first, steps last")
        found[role] = _channels(path, numbers(path, name, named[name], part), choice, steps, first, said)
    said += [] if choice.rows else thinning(every_nth(shape) if part else 1, shape)
    main, found = by_values(path, found, main, guess, said)
    cubes = {role: channels[0] for role, channels in found.items()}
    voltage_V = _drive(path, voltage_V, lag, cubes, cubes[main], said)
    pixels = math.prod(shape[:2] if part else cubes[main].shape[:2])
    if "topography" in names:
        stated["topography"] = numbers(path, names["topography"], named[names["topography"]])
    if "unusable" in names:
        stated["unusable"] = _map(path, "unusable", named[names["unusable"]], pixels, part, "biu").astype(bool)
    truth = {name: _map(path, f"truth/{name}", values, pixels, part) for name, values in truth.items()}
    return assembled(cubes, unit, voltage_V, said, choice.theta_rad, truth=truth, grid=shape[:2] if part else None,
                     **stated)


def _names_by_role(path: Path, named: Mapping[str, Source], choice: Choice) -> tuple[dict[str, str], bool]:
    """Names by role, and whether the loops are a guess: the only array of more than one axis."""
    if choice.field == "on" or choice.others or choice.measurement is not None:
        raise DataError(f"{path} holds loops measured off-field in one measurement: expected no choice of field, "
                        "measurement or other axis; leave it out")
    names = {role: name for name in reversed(list(named)) if (role := role_of(name))}
    if choice.dataset:
        if choice.dataset not in named:
            raise DataError(f"{path} has no array {choice.dataset}: expected one of {', '.join(named)}; choose one")
        names = {role: name for role, name in names.items() if role != "amplitude"} | {"piezoresponse": choice.dataset}
    guess = not {"piezoresponse", "amplitude"} & set(names)
    if guess:
        many = [name for name, array in named.items() if array.ndim > 1 and role_of(name) is None]
        if len(many) != 1:
            raise DataError(f"{path} holds {', '.join(named) or 'nothing'}: expected one array of loops, or "
                            "`piezoresponse`, `resonance` and `voltage`; name them so")
        names["piezoresponse"] = many[0]
    shape = named[names["piezoresponse" if "piezoresponse" in names else "amplitude"]].shape
    vectors = [name for name, array in named.items() if array.ndim == 1 and array.size in shape]
    return ({"voltage": vectors[0]} if len(vectors) == 1 else {}) | names, guess


def _stored_voltage(path: Path, named: Mapping[str, Source], name: str | None, unit: str, choice: Choice,
                    said: list[str]) -> np.ndarray | None:
    """Voltage (V) that was given or is stored; None where there is none."""
    if choice.voltage_V is not None:
        return np.ravel(np.asarray(choice.voltage_V, float))
    if name is None:
        return None
    voltage = numbers(path, name, named[name])
    return in_V(voltage.ravel() if 1 in voltage.shape else voltage, unit, said)


def _map(path: Path, name: str, array: Source, pixels: int, part: tuple[slice, ...],
         kinds: str = "fiu") -> np.ndarray:
    """A part of a map, which has no more values than the scan has pixels."""
    if (getattr(array, "size", 0) or 0) > pixels:
        raise DataError(f"{path}: `{name}` has shape {array.shape}, more values than the {pixels} pixels of the loops: "
                        "expected (rows, columns) as they have; correct or remove it")
    return numbers(path, name, array, part, kinds)


def _channels(path: Path, array: np.ndarray, choice: Choice, steps: int, first: bool,
              said: list[str]) -> list[np.ndarray]:
    """Cubes (rows, columns, steps), one a channel, of any layout; `first` where the steps are the first axis."""
    if first:
        array = np.moveaxis(array, 0, min(2, array.ndim - 1))
        said.append("the first axis, as long as the drive, is taken as the steps")
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


def _drive(path: Path, voltage_V: np.ndarray | None, lag: int | None, cubes: dict[str, np.ndarray], loops: np.ndarray,
           said: list[str]) -> np.ndarray:
    """Voltage (V) of every step, the paper's where none is stored; a resonance that lags behind it is moved ahead.

    The published release keeps the resonance in the order of acquisition, from 0 V upwards,
    but piezoresponse and voltage from +16 V downwards, a quarter of the cycle later. Three
    traces in the data show it: the resonance jumps where its stored cycle closes, as a drift
    between first and last step does; its softening meets the switching of the piezoresponse
    only after the shift; and so do the points that were interpolated in both channels.
    """
    steps, resonance, guessed = loops.shape[-1], cubes.get("resonance"), voltage_V is None
    if guessed:
        if steps != N_STEPS:
            raise DataError(f"{path} has {steps} steps and no voltage: expected `voltage` ({steps},) beside the "
                            "loops; add it to an .npz, or give it as voltage_V (the paper's drive has "
                            f"{N_STEPS} steps)")
        voltage_V = drive_voltage()
        said.append("voltage taken to be the paper's drive, +16 V to −16 V and back")
    elif voltage_V.ndim == 1 and steps > len(voltage_V) and steps % len(voltage_V) == 0:
        voltage_V = np.tile(voltage_V, steps // len(voltage_V))
    if resonance is not None:
        if lag is None and guessed and resonance.shape == loops.shape:
            jump = np.nansum(np.abs(resonance - np.roll(resonance, -1, axis=-1)), axis=(0, 1))
            lag = PUBLISHED_LAG_STEPS if int(np.argmax(jump)) == steps - 1 else 0
            said.append(f"resonance moved ahead by {lag} steps, judged by where its drift jumps")
        elif lag:
            said.append(f"resonance moved ahead by {lag} steps to meet the voltage")
        cubes["resonance"] = np.roll(resonance, -(lag or 0), axis=-1)
    return voltage_V


def numpy_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz by name, or the one of an .npy, without a name and not yet in memory.

    Raises
    ------
    DataError
        If an .npz unpacks to more than fits into memory.
    """
    if not zipfile.is_zipfile(path):
        return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise DataError(f"{path} unpacks to more than {MOST_BYTES >> 30} GiB: expected loops that fit "
                            "into memory; store a part of the scan")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)

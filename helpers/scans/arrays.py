"""Loops as named arrays: HDF5 of this project, NumPy ``.npy`` and ``.npz`` (never unpickled), and MATLAB variables."""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from helpers.scans import formats
from helpers.scans.choice import Choice
from helpers.scans.formats import EXPECTED, DataError, Loops, assembled, every_nth, numbers, one_sign, text, unit_of
from helpers.scans.units import in_V, role_of, unit_in
from helpers.twin.switching import N_STEPS, drive_voltage

PUBLISHED_DOIS = ("10.5281/zenodo.1482091", "10.5281/zenodo.6321172")
PUBLISHED_LAG_STEPS = 24
MOST_CHANNELS = 8  # of a last axis that is not one of steps
OSCILLATOR = ("amplitude", "resonance", "quality", "phase", "r2")  # channels in the order of BGlib, the last optional
Array = h5py.Dataset | np.ndarray


def read_own(path: Path, choice: Choice) -> Loops:
    """Loops of HDF5 datasets by name, with what the attributes say of them."""
    with h5py.File(path, "r") as file:
        group = group_of_loops(file) or file
        named = {name: item for name, item in group.items() if isinstance(item, h5py.Dataset)}
        roles = {role_of(name) for name in named}
        missing = {"voltage"} - roles | (set() if {"amplitude", "phase"} <= roles else {"piezoresponse"} - roles)
        if missing:
            raise DataError(f"{path} has no dataset {', '.join(sorted(missing))} "
                            f"(it has {', '.join(sorted(group)) or 'none'}): expected {EXPECTED}; rename or add it")
        stated = [str(note) for note in np.atleast_1d(file.attrs.get("notes", []))]
        own = path.parts[-2:] == ("results", "scan.h5")
        published = any(doi in str(file.attrs.get("source", "")) for doi in PUBLISHED_DOIS)
        return read_arrays(
            path, named, choice, stated or ["HDF5 of this repository"],
            int(_stated(path, file, "resonance_lag_steps", PUBLISHED_LAG_STEPS if published else 0)),
            size_um=_stated(path, file, "scan_size_um", 2.0 if published else np.nan),
            turned=bool(_stated(path, file, "turned", published)),
            # Elsewhere anything may be written there; what was simulated carries its truth.
            origin={name: text(file.attrs[name]) for name in ("kind", "path", "sha256") if own and name in file.attrs},
            truth=dict(file.get("truth", {})))


def _stated(path: Path, file: h5py.File, name: str, otherwise: float) -> float:
    """The number that an attribute states, of several the first: of width and height the width."""
    value = file.attrs.get(name, otherwise)
    try:
        return float(np.ravel(value)[0])
    except (ValueError, TypeError, IndexError) as error:
        raise DataError(f"{path}: the attribute {name} is {value!r}: expected a number; correct it") from error


def group_of_loops(file: h5py.File) -> h5py.Group | None:
    """The file, or the first group below, with datasets called as loops are; None where there is none."""

    def roles(group: h5py.Group) -> set[str | None]:
        return {role_of(name) for name, item in group.items() if isinstance(item, h5py.Dataset)}

    if roles(file) & {"piezoresponse", "resonance", "voltage", "amplitude"}:
        return file
    return file.visititems(lambda _, item: item if isinstance(item, h5py.Group) and "voltage" in (there := roles(item))
                           and there & {"piezoresponse", "amplitude"} else None)


def numpy_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz by name, if they fit into memory, or the one of an .npy, without a name and not yet read."""
    if not zipfile.is_zipfile(path):
        return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
    with zipfile.ZipFile(path) as archive:
        formats.check_bytes(f"{path} unpacks to", sum(member.file_size for member in archive.infolist()))
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def read_numpy(path: Path, choice: Choice) -> Loops:
    """Loops from named arrays, or from the only one of more than one axis."""
    return read_arrays(path, numpy_arrays(path), choice, ["NumPy file, which states no units"], None)


def read_arrays(path: Path, named: Mapping[str, Array], choice: Choice, notes: list[str], lag: int | None,
                **stated) -> Loops:
    """Loops of arrays by the roles that their names or, of lone ones, their values tell.

    The resonance lags by `lag` steps, None where the values have to tell; `stated` are further fields of `Loops`.
    """
    (names, guess), said = _names_by_role(path, named, choice), list(notes)
    main = "piezoresponse" if "piezoresponse" in names else "amplitude"
    shape = named[names[main]].shape
    unit = {role: unit_of(named[name]) or unit_in(name) for role, name in names.items()}
    voltage_V = None if choice.voltage_V is None else np.ravel(np.asarray(choice.voltage_V, float))
    if voltage_V is None and "voltage" in names:
        voltage_V = in_V(_stored_drive(path, names["voltage"], named, shape), unit["voltage"], said)
    steps = N_STEPS if voltage_V is None else len(voltage_V)
    first = len(shape) > 1 and shape[0] == steps and steps not in shape[1:]
    if len(shape) == 3 and shape[0] == shape[2] == steps:
        said.append("questionable: first and last axis are as long as the drive; the last is taken as the steps")
    for role in sorted({role_of(name) for name in named} & set(names)):
        if others := [name for name in named if role_of(name) == role and name != names[role]]:
            said.append(f"{names[role]} is taken as the {role}, not {', '.join(others)}")
    whole = len(shape) > 2 and (shape[-1] > MOST_CHANNELS or len(shape) > 3) and not first
    every = every_nth(shape) if whole else 1
    part = (slice(*choice.rows),) if choice.rows else (slice(None, None, every),) * 2 if every > 1 else ()
    found = {}
    for role in (main, *(["phase"] if main == "amplitude" else []), "resonance", "r2"):
        if role in names:
            array = named[names[role]]
            if len(shape) < 4 and array.shape != shape:
                raise DataError(f"{path}: shapes {shape} of {names[main]} and {array.shape} of {names[role]} do not "
                                "fit together: expected equal ones; put rows and columns first, steps last")
            found[role] = _channels(path, numbers(path, names[role], array, part), choice, steps, first, said)
    cubes = by_values(path, found, guess, said)
    loops = cubes.get("piezoresponse", cubes.get("amplitude"))
    voltage_V, stated["moved"] = _drive(path, voltage_V, lag, cubes, loops.shape, said)
    pixels = math.prod(shape[:2] if part else loops.shape[:2])
    if "topography" in names:
        stated["topography"] = numbers(path, names["topography"], named[names["topography"]])
    if "unusable" in names:
        stated["unusable"] = _map(path, "unusable", named[names["unusable"]], pixels, part, "biu").astype(bool)
    if "truth" in stated:
        stated["truth"] = {name: _map(path, f"truth/{name}", values, pixels, part)
                           for name, values in stated["truth"].items()}
    return assembled(cubes, unit, voltage_V, said, choice.theta_rad, grid=shape[:2] if part else None, **stated)


def _stored_drive(path: Path, name: str, named: Mapping[str, Array], shape: tuple[int, ...]) -> np.ndarray:
    """The voltage as stored, on one axis where it is one a step, or the same in every pixel of loops of this shape."""
    voltage = numbers(path, name, named[name])
    if voltage.shape == shape and len(shape) > 1:
        if np.ptp(voltage.reshape(-1, shape[-1]), axis=0).any():
            raise DataError(f"{path}: `{name}` has shape {shape}, one drive a pixel: expected (steps,), the same for "
                            "all; store the loops on one drive")
        voltage = voltage.reshape(-1, shape[-1])[0]
    return voltage.ravel() if 1 in voltage.shape else voltage


def _names_by_role(path: Path, named: Mapping[str, Array], choice: Choice) -> tuple[dict[str, str], bool]:
    """Names by role, and whether the loops are a guess: the only array of more than one axis."""
    # Of several the one that is called as its role is, else the first.
    last = sorted(reversed(list(named)), key=lambda name: (role_of(name) or " ") in name.lower())
    names = {role: name for name in last if (role := role_of(name))}
    if choice.dataset:
        if choice.dataset not in named:
            raise DataError(f"{path} has no array {choice.dataset}: expected one of {', '.join(named)}; choose one")
        names.pop("amplitude", None)
        names["piezoresponse"] = choice.dataset
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


def _map(path: Path, name: str, array: Array, pixels: int, part: tuple[slice, ...], kinds: str = "fiu") -> np.ndarray:
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
    if array.ndim not in (2, 3, 4):
        raise DataError(f"{path}: shape {array.shape} is not that of loops: expected (pixels, steps), (pixels, steps, "
                        "channels), (rows, columns, steps) or (rows, columns, steps, channels); reshape it")
    if array.ndim == 2 or array.ndim == 3 and array.shape[-1] > MOST_CHANNELS:
        array = array[..., None]
    if array.ndim == 3:
        pixels = len(array)
        side = int(np.sqrt(pixels))
        grid = choice.grid or (side, side)
        if grid[0] * grid[1] != pixels:
            raise DataError(f"{path} holds {pixels} pixels, not {grid[0]} × {grid[1]}: expected (rows, columns, steps) "
                            "or a known grid; store a cube, or give grid=(rows, columns)")
        if choice.grid is None:
            said.append(f"{pixels} pixels taken as a square of {side} × {side}")
        array = array.reshape(*grid, *array.shape[1:])
    return list(np.moveaxis(array, -1, 0))


def by_values(path: Path, stored: dict[str, list[np.ndarray]], guess: bool, said: list[str]) -> dict[str, np.ndarray]:
    """One cube a role, where values tell it: a piezoresponse is never of one sign, a resonance never about 0."""
    cubes, channels = {role: channels[0] for role, channels in stored.items()}, stored.get("piezoresponse")
    if channels is None:
        return cubes
    if oscillators_in(channels):
        said.append("the last axis is taken as amplitude, resonance, quality factor, phase (and R²) of oscillators")
        return dict(zip(OSCILLATOR, channels, strict=False))
    if len(channels) > 1 and "resonance" not in stored:
        if one_sign(channels[0]) and not one_sign(channels[1]):
            channels = channels[1::-1]
            said.append("channels 2 and 1 taken as piezoresponse and resonance: the first is of one sign everywhere")
        else:
            said.append(f"channels 1 and 2 of {len(channels)} taken as piezoresponse and resonance")
        cubes |= {"piezoresponse": channels[0], "resonance": channels[1]}
        guess = False
    if guess:
        if sign := one_sign(channels[0]):
            raise DataError(f"{path}: the only array is {sign}: expected the piezoresponse, which switches; store it "
                            "as `piezoresponse` in an .npz, or `amplitude` and `phase`")
        said.append("the only array of loops is taken as the piezoresponse: a guess; name it in an .npz to be sure")
    return cubes


def oscillators_in(channels: list[np.ndarray]) -> bool:
    """Whether channels can be A, f, Q, φ (and R²): A is positive, f far from 0, φ within two turns of 0."""
    finite = [values[np.isfinite(values)] for values in channels[:4]]
    if len(channels) not in (4, 5) or not all(values.size for values in finite):
        return False
    amplitude, frequency, quality, phase = finite
    return bool((amplitude >= 0).all() and np.median(frequency) > 10 * frequency.std() and (quality >= 0).all()
                and np.median(frequency) > 10 and np.abs(phase).max() <= 720)


def _drive(path: Path, voltage_V: np.ndarray | None, lag: int | None, cubes: dict[str, np.ndarray],
           shape: tuple[int, ...], said: list[str]) -> tuple[np.ndarray, int]:
    """Voltage (V) of every step, the paper's where none is stored, and by how much a resonance that lags was moved.

    The published release keeps the resonance in the order of acquisition, from 0 V upwards, but piezoresponse and
    voltage from +16 V downwards, a quarter of the cycle later. Three traces in the data show it: the resonance jumps
    where its stored cycle closes, as a drift does; its softening meets the switching of the piezoresponse only after
    the shift; and so do the points that were interpolated in both channels.
    """
    steps, resonance, guessed = shape[-1], cubes.get("resonance"), voltage_V is None
    if guessed:
        if steps != N_STEPS:
            raise DataError(f"{path} has {steps} steps and no voltage: expected `voltage` ({steps},) beside the loops; "
                            f"add it to an .npz, or give it as voltage_V (the paper's drive has {N_STEPS} steps)")
        voltage_V = drive_voltage()
        said.append("voltage taken to be the paper's drive, +16 V to −16 V and back")
    elif voltage_V.ndim == 1 and steps > len(voltage_V) and steps % len(voltage_V) == 0:
        voltage_V = np.tile(voltage_V, steps // len(voltage_V))
    if resonance is not None:
        if lag is None and guessed and resonance.shape == shape:
            jump = np.nansum(np.abs(resonance - np.roll(resonance, -1, axis=-1)), axis=(0, 1))
            lag = PUBLISHED_LAG_STEPS if int(np.argmax(jump)) == steps - 1 else 0
            said.append(f"resonance moved ahead by {lag} steps, judged by where its drift jumps")
        elif lag:
            said.append(f"resonance moved ahead by {lag} steps to meet the voltage")
        cubes["resonance"] = np.roll(resonance, -(lag or 0), axis=-1)
        return voltage_V, lag or 0
    return voltage_V, 0

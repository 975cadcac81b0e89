"""Scans from files of any known format, recognised by content, never by name, cleaned and checked."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from helpers.loops import SLOPE_STEPS
from helpers.scans.arrays import numpy_arrays, read_numpy, read_own
from helpers.scans.cleaning import Cleaning, clean, remaining_outliers
from helpers.scans.formats import EXPECTED, Choice, DataError, Loops, apart, sha256_of, thinned
from helpers.scans.matlab import read_matlab
from helpers.scans.scan import Scan
from helpers.scans.usid import read_usid, usid_datasets


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
        if any(usid_datasets(file)):
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
                for name, array in numpy_arrays(path).items()]
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
    if not (choice.cycle in (None, "mean") or isinstance(choice.cycle, int)):
        raise DataError(f"cycle={choice.cycle} is not a cycle: expected a number from 1 or mean; choose one")
    readers: dict[str, Callable[[Path, Choice], Loops]] = {
        "own": read_own, "usid": read_usid, "matlab5": read_matlab, "matlab7.3": read_matlab,
        "npy": read_numpy, "npz": read_numpy}
    try:
        kind = recognise(path)
        if choice.rows and kind not in ("own", "usid"):
            raise DataError(f"{path} is a {kind} file, which is not read in parts: expected HDF5 with `piezoresponse` "
                            "(rows, columns, steps) and `voltage`, or USID; store it so")
        if choice.cycle == "mean":
            return _mean_of_cycles(path, readers[kind], choice)
        return _read_cycle(path, readers[kind], choice)
    except DataError:
        raise
    except Exception as error:  # broken files make the libraries raise almost anything
        raise DataError(f"{path} cannot be read as the HDF5, MATLAB or NumPy file it begins as "
                        f"({type(error).__name__}: {error}): expected {EXPECTED}; fetch the file again"
                        ) from error


def _read_cycle(path: Path, reader: Callable[[Path, Choice], Loops], choice: Choice) -> Loops:
    loops = reader(path, choice)
    return loops if choice.rows else thinned(loops)


def _mean_of_cycles(path: Path, reader: Callable[[Path, Choice], Loops], choice: Choice) -> Loops:
    """The mean of all cycles; a point that is missing in one of them is missing in the mean."""
    last = _read_cycle(path, reader, replace(choice, cycle=None))
    if len(last.cycles) == 1:
        raise DataError(f"{path} holds one cycle: expected several to average; leave the choice out")
    earlier = [_read_cycle(path, reader, replace(choice, cycle=number)) for number in last.cycles[:-1]]
    every = [*earlier, last]
    shapes = {loops.piezoresponse.shape for loops in every}
    if len(shapes) > 1 or any(not np.allclose(loops.voltage_V, last.voltage_V) for loops in every):
        raise DataError(f"{path} drives its cycles differently: expected equal voltages to average; choose one "
                        f"of the cycles {', '.join(map(str, last.cycles))}")
    channels = [loops.resonance_kHz for loops in every]
    return replace(
        last, piezoresponse=np.mean([loops.piezoresponse for loops in every], axis=0),
        resonance_kHz=None if any(cube is None for cube in channels) else np.mean(channels, axis=0),
        notes=(*dict.fromkeys(note for loops in every for note in loops.notes),
               f"mean of the cycles {', '.join(map(str, last.cycles))}"))


def load_scan(path: Path | str, choice: Choice | None = None, cleaning: Cleaning | None = None) -> Scan:
    """Read, clean and check loops in any format that helpers.scans knows.

    Parameters
    ----------
    path : Path or str
        Opened read-only; the format is recognised by content.
    choice : Choice, optional
        Cycle, field and other axes of a file that holds several.
    cleaning : Cleaning, optional
        What is repaired; by default NaN and infinite values alone. `notes` says what was done.

    Raises
    ------
    DataError
        If the file is missing, of no known format, or holds values that cannot be loops.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is not a file: expected {EXPECTED}; check the path, "
                        "or use DATA=twin for simulated loops")
    loops = read(path, choice)
    _check_shapes(loops, path)
    loops = _without_repeated_end(loops)
    _check_drive(loops.voltage_V, path)
    channels = {"piezoresponse": loops.piezoresponse}
    if loops.resonance_kHz is not None:
        channels["resonance_kHz"] = loops.resonance_kHz
    try:
        channels, report = clean(channels, loops.voltage_V, cleaning)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    notes = [*loops.notes, *(f"the file has no {name}" for name in loops.missing)]
    whole = choice is None or choice.rows is None
    if whole:  # of a few rows, which may well be constant, nothing is said
        for name, values in channels.items():
            _check_values(name.removesuffix("_kHz"), values, path)
        notes += remaining_outliers(channels, loops.voltage_V)
    unusable = report.unusable if loops.unusable is None else report.unusable | loops.unusable
    origin = {"kind": "measured", "path": str(path)} | loops.origin
    if report.map.any() or not any(note.startswith("Cleaning") for note in notes):
        notes.append(str(report))
    return Scan(
        channels["piezoresponse"], channels.get("resonance_kHz"), loops.voltage_V,
        "twin" if loops.truth or origin["kind"] == "twin" else "measured", origin["path"],
        origin.get("sha256") or (sha256_of(path) if whole else ""), loops.size_um, loops.truth,
        unusable if unusable.any() else None, loops.topography,
        tuple(dict.fromkeys(notes)), report, loops.turned)


def _check_shapes(loops: Loops, path: Path) -> None:
    cube, steps = loops.piezoresponse.shape, np.shape(loops.voltage_V)
    shapes = [cube] if loops.resonance_kHz is None else [cube, loops.resonance_kHz.shape]
    if len(cube) != 3 or 0 in cube or cube[2:] != steps or shapes[-1] != cube:
        raise DataError(
            f"{path}: shapes {', '.join(map(str, shapes))} and {steps} do not "
            f"fit together: expected {EXPECTED}; put rows and columns first, steps last")
    if loops.unusable is not None and loops.unusable.shape != cube[:2]:
        raise DataError(f"{path}: `unusable` has shape {loops.unusable.shape}: expected {cube[:2]}, as the "
                        "rows and columns of the loops; correct or remove it")


def _check_values(name: str, values: np.ndarray, path: Path) -> None:
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise DataError(f"{path}: `{name}` holds {count} NaN or infinite values: "
                        "expected finite numbers; interpolate or remove them first")
    if np.ptp(values) == 0:
        raise DataError(f"{path}: `{name}` is constant at {values.flat[0]}: expected a "
                        "measured channel; check that the right dataset was stored")


def _check_drive(voltage_V: np.ndarray, path: Path) -> None:
    _check_values("voltage", voltage_V, path)
    rising = np.diff(voltage_V, append=voltage_V[:1])
    turns = np.count_nonzero((rising > 0) != np.roll(rising > 0, 1))
    if (rising == 0).any() or turns != 2 or min((rising > 0).sum(), (rising < 0).sum()) < SLOPE_STEPS:
        raise DataError(f"{path}: `voltage` is not one triangular sweep: expected {SLOPE_STEPS} or more rising and "
                        f"{SLOPE_STEPS} or more falling steps, each voltage once on either branch, that lead back "
                        "to the first; store one cycle alone and leave out repeated points")


def _without_repeated_end(loops: Loops) -> Loops:
    """Loops whose last step leads to the first: one at the same voltage would count it twice."""
    voltage_V = np.asarray(loops.voltage_V, float)
    steps = np.abs(np.diff(voltage_V))
    if len(voltage_V) < 2 or not np.abs(voltage_V[-1] - voltage_V[0]) < 0.01 * np.median(steps):
        return loops
    resonance_kHz = None if loops.resonance_kHz is None else loops.resonance_kHz[..., :-1]
    note = f"the last step repeats the first, at {voltage_V[0]:+.2f} V, and is left out"
    return replace(loops, piezoresponse=loops.piezoresponse[..., :-1], resonance_kHz=resonance_kHz,
                   voltage_V=voltage_V[:-1], notes=(*loops.notes, note))


def refuse_if_it_crashes(path: Path) -> None:
    """Touch everything in an HDF5 file, in a process of its own.

    Raises
    ------
    DataError
        If that ends the process.
    """
    if h5py.is_hdf5(path):
        apart(path, _touch)


def _touch(path: Path) -> None:
    """What cannot be read is left to the reader, which says so; here only a crash counts."""

    def touch(_: str, item: h5py.Group | h5py.Dataset) -> None:
        with suppress(Exception):
            dict(item.attrs)
        with suppress(Exception):
            item[tuple(slice(64) for _ in item.shape)] if item.nbytes > 2**28 else item[()]

    with suppress(Exception), h5py.File(path, "r") as file:
        touch("", file)
        file.visititems(touch)

"""Files of any known format, recognised by content, never by name."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from helpers.scans.formats import EXPECTED, Choice, DataError, Loops, thinned
from helpers.scans.hdf5 import read_own
from helpers.scans.matlab import read_matlab
from helpers.scans.numpy_files import numpy_arrays, read_numpy
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

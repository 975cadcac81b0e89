"""What every reader of a format shares: the loops found, checks of size, and a process of its own."""

import hashlib
import math
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np

from helpers.scans.units import factor, in_kHz
from helpers.sho import optimum_rotation, piezoresponse

EXPECTED = ("an HDF5 file with `piezoresponse` and `resonance` (rows, columns, steps) and `voltage` (steps,), or "
            "another format that data/README.md lists")
MOST_BYTES = 8 * 2**30  # of one array in memory
MOST_DECLARED = 10**8  # pixels that a file may claim to hold
PATIENCE_S = 60  # for a file read in a process of its own
MOST_PIXELS = 2**16  # of a scan; of a larger one, every n-th row and column is used


class DataError(ValueError):
    """A data file that cannot be used; the message names file, expectation and remedy."""


@dataclass(frozen=True)
class Loops:
    """Loops as a file has them, neither checked nor cleaned; shapes and units as in `helpers.scans.scan.Scan`."""

    piezoresponse: np.ndarray
    voltage_V: np.ndarray
    resonance_kHz: np.ndarray | None = None
    notes: tuple[str, ...] = ()  # what was read, chosen and taken for granted
    missing: tuple[str, ...] = ()  # what the file could have had and has not
    size_um: float = float("nan")
    topography: np.ndarray | None = None
    origin: dict[str, str] = field(default_factory=dict)  # kind, path and sha256 that results of this project state
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    unusable: np.ndarray | None = None  # pixels (rows, columns) of bool that an earlier cleaning gave up
    r2: np.ndarray | None = None  # of the fit behind each point, (rows, columns, steps)
    turned: bool = False
    moved: int = 0  # steps by which the resonance was moved ahead to meet the voltage
    cycles: tuple[int, ...] = (1,)  # that the file holds
    grid: tuple[int, int] | None = None  # rows and columns of the whole scan, where only some were read
    theta_rad: float | None = None  # rotation that led from oscillators to the loops


def numbers(path: Path, name: str, array: h5py.Dataset | np.ndarray, part: tuple[slice, ...] = (),
            kinds: str = "fiu") -> np.ndarray:
    """A real array (of NumPy's `kinds`), or a part of it, as float64 that fits into memory."""
    if not isinstance(array, h5py.Dataset | np.ndarray) or array.dtype.kind not in kinds:
        raise DataError(f"{path}: `{name}` is not an array of real numbers: expected {EXPECTED}; "
                        "store it as floats, a complex response as `amplitude` and `phase`")
    check_size(path, name, array, np.broadcast_to(0, array.shape)[part].size)
    return np.asarray(as_meant(array, part), "float64")


def as_meant(array: h5py.Dataset | np.ndarray, part: tuple[slice, ...] = ()) -> np.ndarray:
    """Values of a dataset, by its ``_FillValue``, ``scale_factor`` and ``add_offset`` where netCDF has packed it."""
    values, packed = np.asarray(array[part]), getattr(array, "attrs", {})
    if not {"scale_factor", "add_offset"} & set(packed):
        return values
    fill, scale, offset = (np.ravel(packed.get(name, other))[0] for name, other in (
        ("_FillValue", np.nan), ("scale_factor", 1.0), ("add_offset", 0.0)))
    return np.where(values == fill, np.nan, values * scale + offset)


def unit_of(array: h5py.Dataset | np.ndarray) -> str:
    """The unit that an attribute ``units`` or ``Unit`` states; else nothing."""
    stated = getattr(array, "attrs", {})
    return next((text(stated[name]) for name in stated if name.lower() in ("units", "unit")), "")


def check_places(path: Path, shape: tuple[int, int], places: int) -> None:
    """Refuse positions of which most stand alone in their row and column, as those that jitter do, or far apart."""
    if min(shape) > max(8, places / 2) or shape[0] * shape[1] > 50 * places:
        raise DataError(f"{path} has {places} positions in {shape[0]} rows and {shape[1]} columns: expected positions "
                        "on a grid, the same in all of a row or column; round them")


def one_sign(values: np.ndarray) -> str:
    """What to say of values whose finite ones but zeros have one sign, as a piezoresponse never has; else nothing."""
    finite = values[np.isfinite(values) & (values != 0)]
    if not finite.size or finite.min() < 0 < finite.max():
        return ""
    typical = float(np.nanmedian(values))
    return f"of one sign everywhere, about {typical:.3g}, as {'a resonance' if typical > 100 else 'an amplitude'} is"


def text(value: object) -> str:
    """An attribute that should be text, which comes as bytes, text or an array of one."""
    value = np.ravel(value)[0] if np.size(value) else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def check_size(path: Path, name: str, array: h5py.Dataset | np.ndarray, values: int | None = None) -> None:
    """Refuse an array of which too many values, all unless given, would be read."""
    what = f"{path}: `{name}` has shape {array.shape},"
    if math.prod(array.shape[:max(1, min(2, len(array.shape) - 1))]) > MOST_DECLARED:
        raise DataError(f"{what} more than {MOST_DECLARED} pixels: expected fewer; store a part of the scan")
    check_bytes(what, (array.size if values is None else values) * max(8, array.dtype.itemsize))


def check_bytes(what: str, size: float) -> None:
    """Refuse what is too large for the memory; `what` begins the sentence."""
    if size > MOST_BYTES:
        raise DataError(f"{what} more than {MOST_BYTES >> 30} GiB: expected loops that fit into memory; store a part "
                        "of the scan")


def every_nth(shape: tuple[int, ...]) -> int:
    """Every so many rows and columns leave at most MOST_PIXELS of a cube; 1 for a list."""
    if len(shape) <= 2:
        return 1
    fewest = max(1, math.ceil(math.sqrt(shape[0] * shape[1] / MOST_PIXELS)))
    return next(every for every in count(fewest) if -(-shape[0] // every) * -(-shape[1] // every) <= MOST_PIXELS)


def thinned(loops: Loops) -> Loops:
    """Loops of at most MOST_PIXELS, which a reader has left or which are left here, and a note on it."""
    shape = loops.piezoresponse.shape
    whole = loops.grid or shape[:2]
    every = every_nth((*whole, *shape[2:]))
    if every == 1:
        return loops
    parts = {}
    if whole == shape[:2]:
        cubes = {name: getattr(loops, name) for name in ("piezoresponse", "resonance_kHz", "r2", "unusable")}
        parts = {name: cube[::every, ::every].copy() for name, cube in cubes.items() if cube is not None}
        parts["truth"] = {name: values[::every, ::every] for name, values in loops.truth.items()}
    note = f"of {whole[0]} × {whole[1]} pixels, more than {MOST_PIXELS}, one row and column in {every} is used"
    return replace(loops, **parts, grid=whole, notes=(*loops.notes, note))


def from_oscillators(amplitude: np.ndarray, phase: np.ndarray, unit: str, voltage_V: np.ndarray,
                     theta_rad: float | np.ndarray | None = None) -> tuple[np.ndarray, float, str]:
    """P = A cos(φ + θ) of A and φ, shape (..., steps), θ (rad) and a note on it.

    Without a unit, a phase that spans more than two turns as radians is in degrees. Without θ, that which turns the
    largest change into P is taken.
    """
    finite, scale = phase[np.isfinite(phase)], factor(unit, "rad")
    guess = scale or (np.pi / 180 if finite.size and np.ptp(finite) > 4 * np.pi else 1.0)
    phase = phase * guess
    theta = optimum_rotation(amplitude, phase, voltage_V) if theta_rad is None else theta_rad
    how = f"optimum θ = {theta:.3f} rad" if np.ndim(theta) == 0 else "θ that was given"
    if scale is None:
        how += f", φ{' in ' + unit if unit else ''} taken to be in {'rad' if guess == 1 else 'degrees'}"
    if finite.size and np.ptp(finite) * guess < 2:
        how += f"; questionable: φ spans {np.ptp(finite) * guess:.2g} rad, less than the half turn of a reversal"
    if (amplitude < 0).mean() > 0.01:
        how += "; questionable: A is negative, as a logarithm or one part of a response is"
    return piezoresponse(amplitude, phase, theta), theta, f"P = A cos(φ + θ) with the {how}"


def assembled(cubes: Mapping[str, np.ndarray], units: Mapping[str, str], voltage_V: np.ndarray, notes: Iterable[str],
              theta_rad: float | None = None, **stated) -> Loops:
    """Loops of what a file holds, the last step of every reader.

    Parameters
    ----------
    cubes : mapping of str to ndarray, shape (rows, columns, steps)
        The piezoresponse, or amplitude and phase; resonance and r2 where there are any.
    units : mapping of str to str
        Of phase and resonance, where they are stated.
    theta_rad : float, optional
        Rotation from oscillators to loops; found where left out.
    **stated
        Further fields of `Loops`; `missing` is found where left out.
    """
    said, loops, resonance = list(notes), cubes.get("piezoresponse"), cubes.get("resonance")
    if loops is None:
        loops, theta_rad, how = from_oscillators(cubes["amplitude"], cubes["phase"], units.get("phase", ""), voltage_V,
                                                 theta_rad)
        said.append(how)
    elif sign := one_sign(loops):
        said.append(f"questionable: the piezoresponse is {sign}; check which channel it is")
    if resonance is not None:
        resonance, how = in_kHz(resonance, units.get("resonance", ""))
        said.append(how)
    has = {"resonance": resonance is not None, "topography": stated.get("topography") is not None,
           "size of the scan": np.isfinite(stated.get("size_um", np.nan))}
    stated = {"missing": tuple(name for name in has if not has[name])} | stated
    return Loops(loops, voltage_V, resonance, tuple(dict.fromkeys(filter(None, said))), r2=cubes.get("r2"),
                 theta_rad=theta_rad, **stated)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder."""
    if path.is_dir():
        return hashlib.sha256("".join(sha256_of(p) for p in sorted(path.iterdir()) if p.is_file()).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def apart(path: Path, read: Callable, *arguments: object) -> object:
    """``read(path, *arguments)`` in a process of its own, since compiled readers crash on some damaged files.

    A DataError tells where that ends the process or takes too long; else it raises what `read` raises.
    """
    try:
        return _reader().submit(read, path, *arguments).result(PATIENCE_S)
    except (TimeoutError, BrokenProcessPool) as error:
        what = "damaged: reading it ends the program"
        if isinstance(error, TimeoutError):
            what = f"damaged, or larger than it seems: reading it took more than {PATIENCE_S} s"
            for process in list(_reader()._processes.values()):
                process.kill()
        _reader.cache_clear()
        raise DataError(f"{path} is {what}: expected {EXPECTED}; fetch the file again") from error


@cache
def _reader() -> ProcessPoolExecutor:
    """One process for all files, started afresh where a file has ended it."""
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _end_with_parent)
    # The new process would run the caller's script again, which is none of its business.
    script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        pool.submit(int).result()
    finally:
        sys.modules["__main__"] = script
    return pool


def _end_with_parent() -> None:
    """A killed program leaves no process behind, and one that is interrupted has the last word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()

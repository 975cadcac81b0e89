"""Scans from files of any known format, recognised by content, never by name, cleaned and checked."""

import math
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from helpers.scans.arrays import group_of_loops, numpy_arrays, read_numpy, read_own
from helpers.scans.choice import Choice
from helpers.scans.cleaning import Cleaning, clean
from helpers.scans.drive import check_drive, check_varies, one_cycle, without_repeated_end, without_unmeasured
from helpers.scans.formats import EXPECTED, DataError, Loops, apart, sha256_of, thinned
from helpers.scans.matlab import read_matlab
from helpers.scans.nsid import is_foreign, nsid_datasets, read_foreign, read_nsid
from helpers.scans.outliers import heavy_tails, remaining_outliers
from helpers.scans.scan import Scan
from helpers.scans.text import read_text, text_files
from helpers.scans.units import questions
from helpers.scans.usid import read_usid, usid_datasets

# By kind of file: its reader, and what a choice may name in it besides the cycle.
READERS: dict[str, tuple[Callable[[Path, Choice], Loops], str]] = {
    "own": (read_own, "dataset rows"), "usid": (read_usid, "field measurement others rows"),
    "matlab5": (read_matlab, "dataset"), "matlab7.3": (read_matlab, "dataset"), "npy": (read_numpy, "dataset"),
    "npz": (read_numpy, "dataset"), "nsid": (read_nsid, "dataset others"), "foreign": (read_foreign, "dataset others"),
    "text": (read_text, "field")}
HDF5 = b"\x89HDF\r\n\x1a\n"
MOST_CHUNK_BYTES = 2**28
# What files of other kinds begin with, what they are and what helps.
KNOWN = {
    rb"version https://git-lfs": ("it is a Git LFS pointer, not the file itself",
                                  "run git lfs pull where it was cloned"),
    rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd": ("it is compressed", "unpack it first"),
    rb"PK": ("it is a zip archive", "unpack it, and name the file inside"),
    rb"\s*<": ("it is a web page", "download the file itself"),
    rb"# Created by Octave|Octave-1-": ("it is a file of Octave", "save it there with save -v7"),
    rb"[\x00-\x34]\x00\x00\x00.\x00\x00\x00|\x00\x00[\x00-\x13].\x00\x00": (
        "it is a file of MATLAB 4, or none that is known", "save it with -v7"),
    rb"$": ("it is empty", "fetch it again"),
}


def recognise(path: Path) -> str:
    """Format, a key of READERS, of a file by its bytes, or of a folder of text files; DataError where it is none."""
    if path.is_dir():
        return "text"
    with path.open("rb") as file:
        head = file.read(128)
    if h5py.is_hdf5(path) or head.startswith(HDF5):
        return _recognise_hdf5(path, head)
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.namelist() and all(name.endswith(".npy") for name in archive.namelist()):
                return "npz"
    if head[126:128] in (b"IM", b"MI"):
        return "matlab5"
    if is_foreign(path, head):
        return "foreign"
    what, remedy = next((said for begins, said in KNOWN.items() if re.match(begins, head, re.DOTALL)),
                        (f"it begins with bytes {head[:8]!r}", "convert it"))
    raise DataError(f"{path} cannot be read as HDF5, MATLAB or NumPy ({what}): expected {EXPECTED}; {remedy}")


def _recognise_hdf5(path: Path, head: bytes) -> str:
    with h5py.File(path, "r") as file:
        names = set(file)
        if names & {"Loopdata_mixed", "OutA1_mixed", "OutA2_mixed"} or head.startswith(b"MATLAB 7.3"):
            return "matlab7.3"
        for kind, holds in (("usid", any(usid_datasets(file))), ("nsid", nsid_datasets(file)),
                            ("own", group_of_loops(file))):
            if holds:
                return kind
    if is_foreign(path, head):
        return "foreign"
    raise DataError(f"{path} has no dataset piezoresponse, Loopdata_mixed or Raw_Data (it has "
                    f"{', '.join(sorted(names)) or 'none'}): expected {EXPECTED}; rename or add it")


def listing(path: Path) -> list[str]:
    """Every array of a file with shape and type, one a line; nothing is loaded."""
    if h5py.is_hdf5(path):
        lines = []
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: lines.append(
                f"{name} {item.shape} {', '.join(item.dtype.names or [str(item.dtype)])}")
                if isinstance(item, h5py.Dataset) else None)
        return lines
    kind = recognise(path)
    if kind == "text":
        return [f"{len(text_files(path))} text files"]
    if kind == "matlab5":
        return [" ".join(map(str, variable)) for variable in scipy.io.whosmat(path)]
    if kind in ("npy", "npz"):
        return [f"{name or path.name} {array.shape} {array.dtype}" for name, array in numpy_arrays(path).items()]
    return [path.name]


def read(path: Path, choice: Choice | None = None) -> Loops:
    """Read the loops of a file in any known format, read-only, one cycle of them; a DataError where there are none."""
    choice = choice or Choice()
    try:
        kind = recognise(path)
        reader, offered = READERS[kind]
        ignored = [name for name in ("field", "measurement", "dataset", "others", "rows")
                   if name not in offered.split() and getattr(choice, name) not in ("off", None, {})]
        if "rows" in ignored:
            raise DataError(f"{path} is a {kind} file, which is not read in parts: expected HDF5 with `piezoresponse` "
                            "(rows, columns, steps) and `voltage`, or USID; store it so")
        if ignored:
            names = " or ".join(", ".join(choice.others) if name == "others" else name for name in ignored)
            raise DataError(f"{path} is a {kind} file, which does not tell {names} (its loops are taken as measured "
                            f"off-field): expected no choice of {names}; leave it out")
        loops = (_mean_of_cycles if choice.cycle == "mean" else _read_cycle)(path, reader, choice)
        _check_shapes(loops, path)
        return loops
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}): expected a file that may be read; correct its "
                        "permissions") from error
    except Exception as error:  # broken files make the libraries raise almost anything
        if isinstance(error, OSError) and "lock" in str(error):
            raise DataError(f"{path} is open in another program, which locks it: expected a closed file; close it "
                            "there, or copy the file") from error
        raise DataError(f"{path} cannot be read as the HDF5, MATLAB or NumPy file it begins as "
                        f"({type(error).__name__}: {error}): expected {EXPECTED}; fetch the file again"
                        ) from error


def _read_cycle(path: Path, reader: Callable[[Path, Choice], Loops], choice: Choice) -> Loops:
    loops = one_cycle(path, reader(path, choice), choice.cycle)
    return loops if choice.rows else thinned(loops)


def _mean_of_cycles(path: Path, reader: Callable[[Path, Choice], Loops], choice: Choice) -> Loops:
    """The mean of all cycles; a point that is missing in one of them is missing in the mean."""
    last = _read_cycle(path, reader, replace(choice, cycle=None))
    if len(last.cycles) == 1:
        raise DataError(f"{path} holds one cycle: expected several to average; leave the choice out")
    every = [*(_read_cycle(path, reader, replace(choice, cycle=number)) for number in last.cycles[:-1]), last]
    numbers = ", ".join(map(str, last.cycles))
    if any(loops.piezoresponse.shape != last.piezoresponse.shape or not np.allclose(loops.voltage_V, last.voltage_V)
           for loops in every):
        raise DataError(f"{path} drives its cycles differently: expected equal voltages to average; choose one "
                        f"of the cycles {numbers}")
    channels = [loops.resonance_kHz for loops in every]
    return replace(
        last, piezoresponse=np.mean([loops.piezoresponse for loops in every], axis=0),
        resonance_kHz=None if any(cube is None for cube in channels) else np.mean(channels, axis=0),
        notes=(*dict.fromkeys(note for loops in every for note in loops.notes), f"mean of the cycles {numbers}"))


def load_scan(path: Path | str, choice: Choice | None = None, cleaning: Cleaning | None = None) -> Scan:
    """Read, clean and check loops in any format that helpers.scans knows.

    Parameters
    ----------
    path : Path or str
        Opened read-only; the format is recognised by content.
    choice : Choice, optional
    cleaning : Cleaning, optional
        What is repaired besides NaN, infinite values and what was never measured. `notes` says what was done.

    Raises
    ------
    DataError
        If the file is missing, of no known format, or holds values that cannot be loops.
    """
    path, rules = _existing(path), cleaning or Cleaning()
    whole = not (choice and choice.rows)
    if whole and path.parts[-2:] != ("results", "scan.h5"):
        refuse_if_it_crashes(path)
    loops = without_repeated_end(read(path, choice))
    check_drive(loops.voltage_V, path)
    channels = {name: cube for name in ("piezoresponse", "resonance_kHz") if (cube := getattr(loops, name)) is not None}
    for name, values in channels.items() if whole else ():  # a few rows may well be constant
        check_varies(name.removesuffix("_kHz"), values, path)
    try:
        channels, never = without_unmeasured(channels)
        channels, report = clean(channels, loops.voltage_V, rules, loops.r2)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    notes = [*loops.notes, *(f"the file has no {name}" for name in loops.missing), *never]
    unusable = report.unusable | (False if loops.unusable is None else loops.unusable)
    if whole:
        notes += [*questions(loops.voltage_V, channels.get("resonance_kHz"), loops.size_um),
                  *remaining_outliers(channels, loops.voltage_V, rules.outlier_sd > 0),
                  *filter(None, [heavy_tails(channels, ~unusable, rules.outlier_sd > 0)])]
    if report.map.any() or not any(note.startswith("Cleaning") for note in notes):
        notes.append(str(report))
    origin = {"kind": "measured", "path": str(path)} | loops.origin
    return Scan(
        channels["piezoresponse"], channels.get("resonance_kHz"), loops.voltage_V,
        "twin" if loops.truth or origin["kind"] == "twin" else "measured", origin["path"],
        origin.get("sha256") or (sha256_of(path) if whole else ""), loops.size_um, loops.truth,
        unusable if unusable.any() else None, loops.topography, tuple(dict.fromkeys(notes)), report, loops.turned,
        loops.moved)


def _existing(path: Path | str) -> Path:
    path = Path(path).expanduser()
    if re.match(r"[a-z]+:/", str(path)):
        raise DataError(f"{path} is an address: expected the path of a file; download it, and name the file")
    if not path.is_file() and not (path.is_dir() and text_files(path)):
        raise DataError(f"{path} is not a file: expected {EXPECTED}; check the path, "
                        "or use DATA=twin for simulated loops")
    return path


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


def refuse_if_it_crashes(path: Path) -> None:
    """Refuse an HDF5 file that ends a process which touches all of it, lies in parts elsewhere or is too large."""
    if h5py.is_hdf5(path) and (found := apart(path, _touch)):
        raise DataError(f"{path}: {found}")


def _touch(path: Path) -> str | None:
    """What refuses the file. What cannot be read is left to the reader, which says so."""

    def touch(name: str, link: h5py.SoftLink | h5py.HardLink | h5py.ExternalLink) -> str | None:
        item = file.get(name) if isinstance(link, h5py.HardLink) else None
        dataset = item if isinstance(item, h5py.Dataset) else None
        # What lies in other files may be anything on this machine, and a huge chunk takes as much memory.
        if isinstance(link, h5py.ExternalLink) or dataset is not None and (dataset.is_virtual or dataset.external):
            return (f"`{name}` lies in another file, which is not read: expected one file that holds everything; "
                    "copy it into one")
        if dataset is not None and math.prod(dataset.chunks or ()) * dataset.dtype.itemsize > MOST_CHUNK_BYTES:
            return (f"`{name}` is stored in chunks of {dataset.chunks}, more than {MOST_CHUNK_BYTES >> 20} MiB: "
                    "expected smaller ones; store it again")
        with suppress(Exception):
            dict(item.attrs)
        with suppress(Exception):
            item[tuple(slice(64) for _ in item.shape)] if item.nbytes > 2**28 else item[()]
        return None

    with suppress(Exception), h5py.File(path, "r") as file:
        with suppress(Exception):
            dict(file.attrs)
        return file.visititems_links(touch)
    return None

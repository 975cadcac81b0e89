"""Damaged files end the program: the compiled readers of SciPy and HDF5 crash on some of them.

They are tried in a process of their own, which may end instead.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

from helpers.scans.formats import EXPECTED, DataError

READ_MATLAB_5 = """
import sys, numpy, scipy.io
path, target, *names = sys.argv[1:]
found = scipy.io.loadmat(path, variable_names=names)
numbers = {name: getattr(found[name], "dtype", numpy.dtype(object)).kind in "biufc" for name in names}
numpy.savez(target, **{name: found[name] if numbers[name] else numpy.array("no numbers") for name in names})
"""
# What cannot be read is left to the reader, which says so; here only a crash counts.
TOUCH_HDF5 = """
import sys, h5py
from contextlib import suppress
def touch(name, item):
    with suppress(Exception):
        dict(item.attrs)
    with suppress(Exception):
        item[tuple(slice(64) for _ in item.shape)] if item.nbytes > 2**28 else item[()]
with suppress(Exception), h5py.File(sys.argv[1], "r") as file:
    touch("", file)
    file.visititems(touch)
"""


def matlab_5_arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Arrays of a MATLAB 5 file by name; text stands where a variable is no array of numbers.

    Raises
    ------
    DataError
        If reading them ends the process.
    ValueError
        If SciPy cannot read them.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "arrays.npz")
        said = _apart(path, READ_MATLAB_5, target, *names)
        if not target.is_file():
            raise ValueError(said)
        with np.load(target, allow_pickle=False) as stored:
            return dict(stored)


def refuse_if_it_crashes(path: Path) -> None:
    """Touch everything in an HDF5 file.

    Raises
    ------
    DataError
        If that ends the process.
    """
    if h5py.is_hdf5(path):
        _apart(path, TOUCH_HDF5)


def _apart(path: Path, code: str, *arguments: object) -> str:
    """Run code on a file in a process of its own; returns the last line of what it complains of."""
    done = subprocess.run([sys.executable, "-I", "-c", code, str(path), *map(str, arguments)], check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode < 0:
        raise DataError(f"{path} is damaged: reading it ends the program (signal {-done.returncode}): expected "
                        f"{EXPECTED}; fetch the file again")
    return (done.stderr.strip().splitlines() or [""])[-1]

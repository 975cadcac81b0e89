"""Measured or simulated BEPS loops as one checked object.

The measured loops belong to doi:10.5281/zenodo.6321172 (CC-BY-4.0).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from sklearn.preprocessing import StandardScaler

from helpers import twin
from helpers.paths import atomic

PUBLISHED_DOIS = ("10.5281/zenodo.1482091", "10.5281/zenodo.6321172")
PUBLISHED_LAG_STEPS = 24
EXPECTED = (
    "an HDF5 file with `piezoresponse` and `resonance` (rows, columns, steps) "
    "and `voltage` (steps,)"
)


class DataError(ValueError):
    """A data file that cannot be used; the message names file, expectation and remedy."""


@dataclass(frozen=True)
class Scan:
    """Off-field switching loops of every pixel.

    Attributes
    ----------
    piezoresponse : ndarray, shape (rows, columns, steps)
        A cos(φ + θ), in arb. u.
    resonance_kHz : ndarray, shape (rows, columns, steps)
    voltage_V : ndarray, shape (steps,)
        In the order applied: a triangular sweep.
    source : str
        "measured" or "twin".
    path, sha256 : str
        Where the loops came from and the hash of that file (of the arrays for the twin).
    truth : dict of str to ndarray (rows, columns)
        What the twin was made of; empty for measured loops.
    """

    piezoresponse: np.ndarray
    resonance_kHz: np.ndarray
    voltage_V: np.ndarray
    source: str
    path: str
    sha256: str
    size_um: float
    truth: dict[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, int]:
        return self.piezoresponse.shape[:2]

    @property
    def spectra(self) -> np.ndarray:
        """Both channels of each pixel, shape (rows * columns, steps, 2), physical units."""
        cube = np.stack([self.piezoresponse, self.resonance_kHz], axis=-1)
        return cube.reshape(-1, *cube.shape[2:])


def simulated_scan(seed: int, shape: tuple[int, int] = (60, 60)) -> Scan:
    """The twin (helpers.twin) as a scan, its truth beside the loops."""
    made = twin.simulate(seed, shape)
    digest = hashlib.sha256(made.piezoresponse.tobytes() + made.resonance_kHz.tobytes())
    return Scan(made.piezoresponse, made.resonance_kHz, made.voltage_V, "twin",
                f"simulated twin, seed {seed}", digest.hexdigest(), 2.0, made.truth)


def load_scan(path: Path | str) -> Scan:
    """Read and check loops stored in HDF5 (layout: `EXPECTED`).

    Raises
    ------
    DataError
        If the file is missing, is not HDF5, lacks a dataset, or holds values that
        cannot be loops.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is not a file: expected {EXPECTED}; check the path, "
                        "or use DATA=twin for simulated loops")
    try:
        with h5py.File(path, "r") as file:
            scan = _read(file, path)
    except OSError as error:
        raise DataError(f"{path} cannot be read as HDF5 ({error}): expected {EXPECTED}; "
                        "fetch the file again or convert it") from error
    _check(scan, path)
    return scan


def _read(file: h5py.File, path: Path) -> Scan:
    missing = {"piezoresponse", "resonance", "voltage"} - set(file)
    if missing:
        raise DataError(f"{path} has no dataset {', '.join(sorted(missing))} "
                        f"(it has {', '.join(sorted(file)) or 'none'}): expected {EXPECTED}; "
                        "rename or add it")
    arrays = []
    for name in ("piezoresponse", "resonance", "voltage"):
        if not isinstance(file[name], h5py.Dataset) or file[name].dtype.kind not in "fiu":
            raise DataError(f"{path}: `{name}` is not an array of real numbers: "
                            f"expected {EXPECTED}; store it as floats")
        arrays.append(np.asarray(file[name], "float64"))
    arrays[1] = np.roll(arrays[1], -resonance_lag_steps(file), axis=-1)
    truth = {name: values[:] for name, values in file.get("truth", {}).items()}
    source = "twin" if truth or file.attrs.get("kind") == "twin" else "measured"
    origin = str(file.attrs.get("path", path))
    sha256 = file.attrs.get("sha256") or hashlib.sha256(path.read_bytes()).hexdigest()
    size_um = float(file.attrs.get("scan_size_um", 2.0))
    return Scan(*arrays, source, origin, str(sha256), size_um, truth)


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
    published = any(doi in str(file.attrs.get("source", "")) for doi in PUBLISHED_DOIS)
    return PUBLISHED_LAG_STEPS if published else 0


def _check(scan: Scan, path: Path) -> None:
    loops, steps = scan.piezoresponse, scan.voltage_V.shape
    if loops.ndim != 3 or loops.shape != scan.resonance_kHz.shape or loops.shape[2:] != steps:
        raise DataError(
            f"{path}: shapes {loops.shape}, {scan.resonance_kHz.shape} and {steps} do not "
            f"fit together: expected {EXPECTED}; put rows and columns first, steps last")
    for name, values in (("piezoresponse", loops), ("resonance", scan.resonance_kHz),
                         ("voltage", scan.voltage_V)):
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise DataError(f"{path}: `{name}` holds {count} NaN or infinite values: "
                            "expected finite numbers; interpolate or remove them first")
        if np.ptp(values) == 0:
            raise DataError(f"{path}: `{name}` is constant at {values.flat[0]}: expected a "
                            "measured channel; check that the right dataset was stored")
    slope = np.sign(np.diff(scan.voltage_V))
    if (slope == 0).any() or np.count_nonzero(np.diff(slope)) > 2:
        raise DataError(f"{path}: `voltage` is not one triangular sweep: expected steps that "
                        "rise or fall with at most two turning points; choose one cycle")


def save_scan(scan: Scan, path: Path) -> None:
    """Write a scan, its origin and its truth to HDF5, whole or not at all."""
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        arrays = (("piezoresponse", scan.piezoresponse, "arb. u."),
                  ("resonance", scan.resonance_kHz, "kHz"), ("voltage", scan.voltage_V, "V"))
        for name, values, units in arrays:
            file.create_dataset(name, data=values).attrs["units"] = units
        for name, values in scan.truth.items():
            file.create_dataset(f"truth/{name}", data=values)
        file.attrs.update(kind=scan.source, path=scan.path, sha256=scan.sha256,
                          scan_size_um=scan.size_um, resonance_lag_steps=0)


def standardised(scan: Scan) -> tuple[np.ndarray, StandardScaler]:
    """Spectra with one mean and one standard deviation per channel (original code).

    Returns
    -------
    ndarray, shape (rows * columns, steps, 2)
        In standard deviations.
    StandardScaler
        Fitted on (values, 2); its inverse leads back to arb. u. and kHz.
    """
    spectra = scan.spectra
    scaler = StandardScaler().fit(spectra.reshape(-1, 2))
    return scaler.transform(spectra.reshape(-1, 2)).reshape(spectra.shape), scaler


def in_physical_units(scaled: np.ndarray, scaler: StandardScaler) -> np.ndarray:
    """Undo `standardised` for spectra of any shape (..., 2)."""
    return scaler.inverse_transform(scaled.reshape(-1, 2)).reshape(scaled.shape)


def stack_channels(spectra: np.ndarray) -> np.ndarray:
    """(n, steps, channels) to (n, channels * steps), one channel after the other.

    The "dimensional stacking" that gives dictionary learning both channels (paper, section 2).
    """
    return spectra.transpose(0, 2, 1).reshape(len(spectra), -1)


def unstack_channels(stacked: np.ndarray, channels: int = 2) -> np.ndarray:
    """Undo `stack_channels`."""
    return stacked.reshape(len(stacked), channels, -1).transpose(0, 2, 1)


def drive_waveform(voltage_V: np.ndarray) -> np.ndarray:
    """The triangular drive and its quadrature, scaled to [-1, 1], shape (steps, 2).

    Voltage alone does not tell the way down from the way up; the quadrature does.
    """
    phase = 2 * np.pi * np.arange(len(voltage_V)) / len(voltage_V)
    return np.stack([voltage_V / np.abs(voltage_V).max(), np.sin(phase)], axis=1)


def heldout_blocks(shape: tuple[int, int], every: int, side: int | None = None) -> np.ndarray:
    """Pixels kept out of training, in square blocks because neighbours are near copies.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the scan.
    every : int
        One block in so many is held out, on a lattice that visits all rows and columns of
        blocks; 0 holds nothing out.
    side : int, optional
        Side of a block in pixels; a tenth of the rows where left out.

    Returns
    -------
    ndarray of bool, shape (rows * columns,)
    """
    if every == 0:
        return np.zeros(shape[0] * shape[1], bool)
    side = side or max(1, shape[0] // 10)
    row, column = (index // side for index in np.indices(shape))
    return ((column + 3 * row) % every == 0).ravel()

"""Measured or simulated BEPS loops as one checked object."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from sklearn.preprocessing import StandardScaler

from helpers.paths import atomic
from helpers.scans.cleaning import Report
from helpers.scans.formats import DataError
from helpers.twin import measurement as twin

MOST_COMPONENTS = 16  # of the linear models that the notebooks compare
FEWEST_PIXELS = 300  # usable ones
MOST_TRAINED = 20_000  # pixels; five to six times those of the paper


@dataclass(frozen=True)
class Scan:
    """Off-field switching loops of every pixel."""

    piezoresponse: np.ndarray  # A cos(φ + θ), in arb. u., shape (rows, columns, steps)
    resonance_kHz: np.ndarray | None  # of the same shape; None where the file has the piezoresponse alone
    voltage_V: np.ndarray  # in the order applied, a triangular sweep, shape (steps,)
    source: str  # "measured" or "twin"
    path: str  # where the loops came from
    sha256: str  # hash of that file, of the arrays for the twin
    size_um: float  # width of the scan; NaN where the file does not tell
    truth: dict[str, np.ndarray]  # maps (rows, columns) that the twin was made of; empty for measured loops
    unusable: np.ndarray | None = None  # pixels (rows, columns) beyond repair: placeholders, kept out of every fit
    topography: np.ndarray | None = None  # in the unit of the file, on a grid of its own
    notes: tuple[str, ...] = ()  # what was chosen, assumed and changed on reading
    cleaning: Report | None = None  # which points were flagged and interpolated
    turned: bool = False  # maps are turned: the bands of the published film, which the twin imitates, stand upright
    moved: int = 0  # steps by which the resonance was moved ahead, on reading, to meet the voltage

    @property
    def shape(self) -> tuple[int, int]:
        return self.piezoresponse.shape[:2]

    @property
    def channels(self) -> dict[str, np.ndarray]:
        """Channels there are, each (rows, columns, steps), by attribute name."""
        both = {"piezoresponse": self.piezoresponse, "resonance_kHz": self.resonance_kHz}
        return {name: cube for name, cube in both.items() if cube is not None}

    @property
    def spectra(self) -> np.ndarray:
        """All channels of each pixel, shape (rows * columns, steps, channels), physical units."""
        cube = np.stack(list(self.channels.values()), axis=-1)
        return cube.reshape(-1, *cube.shape[2:])

    @property
    def usable(self) -> np.ndarray:
        """Pixels that hold measured loops, shape (rows * columns,) of bool."""
        return np.ones(np.prod(self.shape), bool) if self.unusable is None else ~self.unusable.ravel()

    def masked(self, values: np.ndarray) -> np.ndarray:
        """A copy of `values`, shape (rows * columns, ...), that is NaN at unusable pixels."""
        return np.where(self.usable.reshape(-1, *[1] * (np.ndim(values) - 1)), values, np.nan)

    def maps(self, values: np.ndarray) -> np.ndarray:
        """Values of shape (rows * columns, n) as n maps, NaN at unusable pixels."""
        return self.masked(values).T.reshape(-1, *self.shape)

    def maps_of(self, features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Features of shape (rows * columns,) as maps, by the same names."""
        return dict(zip(features, self.maps(np.stack(list(features.values()), axis=-1)), strict=True))


def simulated_scan(seed: int, shape: tuple[int, int] = (60, 60)) -> Scan:
    """The twin (helpers.twin.measurement) as a scan, its truth beside the loops."""
    made = twin.simulate(seed, shape)
    digest = hashlib.sha256(made.piezoresponse.tobytes() + made.resonance_kHz.tobytes())
    return Scan(made.piezoresponse, made.resonance_kHz, made.voltage_V, "twin",
                f"simulated twin, seed {seed}", digest.hexdigest(), 2.0, made.truth, turned=True)


def save_scan(scan: Scan, path: Path) -> None:
    """Write a scan, its origin and its truth to HDF5, whole or not at all."""
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        for name, values, units in (
                ("piezoresponse", scan.piezoresponse, "arb. u."), ("resonance", scan.resonance_kHz, "kHz"),
                ("voltage", scan.voltage_V, "V"), ("topography", scan.topography, ""), ("unusable", scan.unusable, "")):
            if values is not None:
                file.create_dataset(name, data=values).attrs["units"] = units
        for name, values in scan.truth.items():
            file.create_dataset(f"truth/{name}", data=values)
        file.attrs["notes"] = list(scan.notes)
        file.attrs.update(kind=scan.source, path=scan.path, sha256=scan.sha256,
                          scan_size_um=scan.size_um, resonance_lag_steps=0, turned=scan.turned)


def standardised(scan: Scan, scaler: StandardScaler | None = None) -> tuple[np.ndarray, StandardScaler]:
    """Spectra (rows * columns, steps, channels) with one mean and one standard deviation per channel (original code).

    Parameters
    ----------
    scan : Scan
    scaler : StandardScaler, optional
        That of another scan; else fitted on (values, channels) of usable pixels. Its inverse gives arb. u. and kHz.
    """
    spectra = scan.spectra
    channels = spectra.shape[-1]
    scaler = scaler or StandardScaler().fit(spectra[scan.usable].reshape(-1, channels))
    return scaler.transform(spectra.reshape(-1, channels)).reshape(spectra.shape), scaler


def in_physical_units(scaled: np.ndarray, scaler: StandardScaler) -> np.ndarray:
    """Undo `standardised` for spectra of any shape (..., channels)."""
    return scaler.inverse_transform(scaled.reshape(-1, scaled.shape[-1])).reshape(scaled.shape)


def drive_waveform(voltage_V: np.ndarray) -> np.ndarray:
    """The triangular drive and its quadrature, scaled to [-1, 1], shape (steps, 2).

    Voltage alone does not tell the way down from the way up; the quadrature does.
    """
    # Counted from the largest voltage, where a drive that begins elsewhere has its quadrature 0.
    phase = 2 * np.pi * (np.arange(len(voltage_V)) - np.argmax(voltage_V)) / len(voltage_V)
    return np.stack([voltage_V / np.abs(voltage_V).max(), np.sin(phase)], axis=1)


def heldout_blocks(shape: tuple[int, int], every: int) -> np.ndarray:
    """Pixels kept out of training, in square blocks because neighbours are near copies.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the scan; a block is a tenth of the fewer wide and high.
    every : int
        One block in so many is held out, on a lattice that visits all rows and columns of blocks; 0 holds nothing out.

    Returns
    -------
    ndarray of bool, shape (rows * columns,)
    """
    row, column = _rows_and_columns_of_blocks(shape)
    return (column + 3 * row) % every == 0 if every else np.zeros(row.size, bool)


def block_numbers(shape: tuple[int, int]) -> np.ndarray:
    """Number of the square block of `heldout_blocks` that each pixel lies in, shape (rows * columns,)."""
    row, column = _rows_and_columns_of_blocks(shape)
    return row * (column.max() + 1) + column


def _rows_and_columns_of_blocks(shape: tuple[int, int]) -> np.ndarray:
    return np.indices(shape).reshape(2, -1) // max(1, min(shape) // 10)


def halves(scan: Scan) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Usable pixels, (rows * columns,) of bool, to train and to test on: left and right half, then right and left.

    No pixel of one half has a neighbour in the other, but along one line.
    """
    left = np.indices(scan.shape)[1].ravel() < scan.shape[1] // 2
    left, right = left & scan.usable, ~left & scan.usable
    return (left, right), (right, left)


def training_pixels(scan: Scan, heldout: np.ndarray) -> np.ndarray:
    """Pixels, (rows * columns,) of bool, to fit models to: usable, not held out, evenly thinned to MOST_TRAINED."""
    able = np.flatnonzero(scan.usable & ~heldout)
    chosen = np.zeros(len(heldout), bool)
    chosen[able[np.linspace(0, len(able) - 1, min(MOST_TRAINED, len(able))).round().astype(int)]] = True
    return chosen


def check_enough(scan: Scan) -> None:
    """Refuse a scan with fewer usable pixels than FEWEST_PIXELS, or no more values a pixel than MOST_COMPONENTS."""
    pixels, values = int(scan.usable.sum()), scan.spectra[0].size
    if pixels < FEWEST_PIXELS:
        raise DataError(f"{scan.path} has {pixels} usable pixels: expected {FEWEST_PIXELS} or more; take a larger scan")
    if values <= MOST_COMPONENTS:
        raise DataError(f"{scan.path} has {values} values a pixel over all channels: expected more than "
                        f"{MOST_COMPONENTS}, the components of the largest linear model; take a finer sweep")

"""Measured or simulated BEPS loops as one checked object.

The measured loops belong to doi:10.5281/zenodo.6321172 (CC-BY-4.0).
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import requests

from helpers import twin
from helpers.paths import ROOT, atomic

ZENODO_DOI = "10.5281/zenodo.6321172"
ZENODO_RECORD = "https://zenodo.org/api/records/6321172"
NETWORK_PATIENCE_S = 8
LARGEST_DOWNLOAD_BYTES = 2 * 1024**3
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


def find_scan(data: str = "auto", seed: int = 0, folder: Path = ROOT / "data") -> Scan:
    """The loops that the parameter `data` names.

    Parameters
    ----------
    data : str
        ``twin``, ``zenodo``, ``drive:<id>``, the path of a file, or ``auto``: a file in
        `folder`, else the Zenodo record, else the twin, whichever comes first.
    seed : int
        Seed of the twin.
    folder : Path
        Where the reader's own files and the downloads lie.

    Raises
    ------
    DataError
        If the source named cannot be had or does not hold what is expected.
    """
    if data == "twin":
        return simulated_scan(seed)
    if data == "zenodo":
        return _from_zenodo(folder)
    if data.startswith("drive:"):
        return _from_drive(data.removeprefix("drive:"), folder)
    if data != "auto":
        return load_scan(data)
    own = sorted(p for suffix in ("*.h5", "*.hdf5") for p in folder.glob(suffix))
    if own:
        return load_scan(own[0])
    try:
        return _from_zenodo(folder)
    except DataError as error:
        print(f"{error}. The simulated twin is used instead.")
        return simulated_scan(seed)


def simulated_scan(seed: int) -> Scan:
    """The twin (helpers.twin) as a scan, its truth beside the loops."""
    made = twin.simulate(seed)
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
    _check(scan)
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
    truth = {name: values[:] for name, values in file.get("truth", {}).items()}
    source = "twin" if truth or file.attrs.get("kind") == "twin" else "measured"
    origin = str(file.attrs.get("path", path))
    sha256 = file.attrs.get("sha256") or hashlib.sha256(path.read_bytes()).hexdigest()
    size_um = float(file.attrs.get("scan_size_um", 2.0))
    return Scan(*arrays, source, origin, str(sha256), size_um, truth)


def _check(scan: Scan) -> None:
    loops, steps = scan.piezoresponse, scan.voltage_V.shape
    if loops.ndim != 3 or loops.shape != scan.resonance_kHz.shape or loops.shape[2:] != steps:
        raise DataError(
            f"{scan.path}: shapes {loops.shape}, {scan.resonance_kHz.shape} and {steps} do not "
            f"fit together: expected {EXPECTED}; put rows and columns first, steps last")
    for name, values in (("piezoresponse", loops), ("resonance", scan.resonance_kHz),
                         ("voltage", scan.voltage_V)):
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise DataError(f"{scan.path}: `{name}` holds {count} NaN or infinite values: "
                            "expected finite numbers; interpolate or remove them first")
        if np.ptp(values) == 0:
            raise DataError(f"{scan.path}: `{name}` is constant at {values.flat[0]}: expected a "
                            "measured channel; check that the right dataset was stored")
    slope = np.sign(np.diff(scan.voltage_V))
    if (slope == 0).any() or np.count_nonzero(np.diff(slope)) > 2:
        raise DataError(f"{scan.path}: `voltage` is not one triangular sweep: expected steps that "
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
                          scan_size_um=scan.size_um)


def heldout_blocks(shape: tuple[int, int], side: int, every: int) -> np.ndarray:
    """Pixels kept out of training, in square blocks because neighbours are near copies.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the scan.
    side : int
        Side of a block in pixels.
    every : int
        One block in so many is held out, on a lattice that visits all rows and columns of
        blocks; 0 holds nothing out.

    Returns
    -------
    ndarray of bool, shape (rows * columns,)
    """
    if every == 0:
        return np.zeros(shape[0] * shape[1], bool)
    row, column = (index // side for index in np.indices(shape))
    return ((column + 3 * row) % every == 0).ravel()


def _reachable(url: str) -> bool:
    """Whether `url` answers within NETWORK_PATIENCE_S, name resolution included."""
    answered = threading.Event()

    def ask():
        try:
            if requests.get(url, timeout=NETWORK_PATIENCE_S).ok:
                answered.set()
        except requests.RequestException:
            pass

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(NETWORK_PATIENCE_S)
    return answered.is_set()


def _from_zenodo(folder: Path) -> Scan:
    import pooch

    if not _reachable(ZENODO_RECORD):
        raise DataError(f"doi:{ZENODO_DOI} did not answer within {NETWORK_PATIENCE_S} s: expected "
                        f"a network connection; put the file into {folder} or use DATA=<path>")
    record = pooch.create(path=folder, base_url=f"doi:{ZENODO_DOI}/", retry_if_failed=2)
    record.load_registry_from_doi()
    for name in record.registry:
        if name.endswith((".h5", ".hdf5")):
            return load_scan(record.fetch(name, progressbar=True))
    raise DataError(f"doi:{ZENODO_DOI} lists no HDF5 file (it has {', '.join(record.registry)}): "
                    f"expected {EXPECTED}; download and convert the loops, then use DATA=<path>")


def _from_drive(identifier: str, folder: Path) -> Scan:
    import gdown

    path = folder / f"drive_{identifier}.h5"
    if path.is_file():
        return load_scan(path)
    if not _reachable("https://drive.google.com"):
        raise DataError(f"Google Drive did not answer within {NETWORK_PATIENCE_S} s: expected a "
                        f"network connection; put the file into {folder} or use DATA=<path>")
    with atomic(path) as temporary:
        if gdown.download(id=identifier, output=str(temporary)) is None:
            raise DataError(f"drive:{identifier} gave no file: expected a file shared with anyone "
                            "who has the link; check the id, or download it and use DATA=<path>")
    return load_scan(path)

"""Where the loops come from: the reader's file, Zenodo, Google Drive or the twin."""

from __future__ import annotations

import threading
from pathlib import Path

import gdown
import pooch
import requests

from helpers.data import EXPECTED, DataError, Scan, load_scan, simulated_scan
from helpers.paths import ROOT, atomic

ZENODO_DOI = "10.5281/zenodo.6321172"
ZENODO_RECORD = "https://zenodo.org/api/records/6321172"
NETWORK_PATIENCE_S = 8


def find_scan(data: str = "auto", seed: int = 0, twin_shape: tuple[int, int] = (60, 60),
              folder: Path = ROOT / "data") -> Scan:
    """The loops that the parameter `data` names.

    Parameters
    ----------
    data : str
        ``twin``, ``zenodo``, ``drive:<id>``, the path of a file, or ``auto``: a file in
        `folder`, else the Zenodo record, else the twin, whichever comes first.
    seed, twin_shape : int, (int, int)
        Seed, rows and columns of the twin.
    folder : Path
        Where the reader's own files and the downloads lie.

    Raises
    ------
    DataError
        If the source named cannot be had or does not hold what is expected.
    """
    if data == "twin":
        return simulated_scan(seed, twin_shape)
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
        return simulated_scan(seed, twin_shape)


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
    if not _reachable(ZENODO_RECORD):
        raise DataError(f"doi:{ZENODO_DOI} did not answer within {NETWORK_PATIENCE_S} s: expected "
                        f"a network connection; put the file into {folder} or use DATA=<path>")
    record = pooch.create(path=folder / "downloads", base_url=f"doi:{ZENODO_DOI}/", retry_if_failed=2)
    record.load_registry_from_doi()
    for name in record.registry:
        if name.endswith((".h5", ".hdf5")):
            return load_scan(record.fetch(name, progressbar=True))
    raise DataError(f"doi:{ZENODO_DOI} lists no HDF5 file (it has {', '.join(record.registry)}): "
                    f"expected {EXPECTED}; download and convert the loops, then use DATA=<path>")


def _from_drive(identifier: str, folder: Path) -> Scan:
    path = folder / "downloads" / f"drive_{identifier}.h5"
    if path.is_file():
        return load_scan(path)
    if not _reachable("https://drive.google.com"):
        raise DataError(f"Google Drive did not answer within {NETWORK_PATIENCE_S} s: expected a "
                        f"network connection; put the file into {folder} or use DATA=<path>")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        if gdown.download(id=identifier, output=str(temporary)) is None:
            raise DataError(f"drive:{identifier} gave no file: expected a file shared with anyone "
                            "who has the link; check the id, or download it and use DATA=<path>")
    return load_scan(path)

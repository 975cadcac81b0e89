"""Where the loops come from: the reader's file, Zenodo, Google Drive or the twin."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import gdown
import pooch

from helpers.scans.archives import is_archive, plain_name, unpacked
from helpers.scans.cleaning import Cleaning
from helpers.scans.formats import EXPECTED, Choice, DataError
from helpers.scans.reading import load_scan, refuse_if_it_crashes
from helpers.scans.scan import Scan, simulated_scan
from helpers.scans.download import (
    REMEDY,
    NotData,
    Remote,
    ask,
    check_content,
    download,
    first_bytes,
    patiently,
    plainly,
)
from helpers.paths import ROOT, atomic, own_scans

ZENODO_DOI = "10.5281/zenodo.6321172"
ZENODO = "https://zenodo.org"
DRIVE = "https://drive.google.com"
NETWORK_PATIENCE_S = 8  # of `auto`
ASKED_PATIENCE_S = 120  # of a source asked for by name
AUTO_BYTES = 2 * 2**30
ASKED_BYTES = 256 * 2**30
LOOPS_BYTES = 2 * 60 * 60 * 96 * 8  # both channels of the paper's scan
LIKELY = {".h5": 0, ".hdf5": 0, ".mat": 0, ".npy": 1, ".npz": 1,
          ".zip": 2, ".tar": 2, ".gz": 2, ".tgz": 2, ".bz2": 2, ".xz": 2}


def find_scan(data: str = "auto", seed: int = 0, twin_shape: tuple[int, int] = (60, 60),
              folder: Path = ROOT / "data", choice: Choice | None = None,
              cleaning: Cleaning | None = None) -> Scan:
    """The loops that the parameter `data` names.

    Parameters
    ----------
    data : str
        ``twin``, ``zenodo``, ``drive:<id>``, the path of a file, or ``auto``: a file in
        `folder`, else the Zenodo record (at most AUTO_BYTES of it), else the twin.
    seed, twin_shape : int, (int, int)
        Seed, rows and columns of the twin.
    folder : Path
        Where the reader's own files and the downloads lie.
    choice : Choice, optional
        Cycle and so on of a file that holds several scans of loops.
    cleaning : Cleaning, optional
        What is repaired in a file; by default missing points alone. The twin needs no repair.

    Raises
    ------
    DataError
        If the source named cannot be had or does not hold what is expected.
    """
    if data == "twin":
        if choice and choice.cycle not in (None, 1):
            raise DataError(f"the twin has no cycle {choice.cycle}: expected 1, its only one; leave CYCLE out")
        return simulated_scan(seed, twin_shape)
    load = partial(_load, choice=choice, cleaning=cleaning)
    if data == "zenodo":
        return _from_zenodo(folder, ASKED_BYTES, ASKED_PATIENCE_S, load)
    if data.startswith("drive:"):
        return _from_drive(data.removeprefix("drive:"), folder, load)
    if data != "auto":
        return load(data)
    own = own_scans(folder)
    if own:
        return load(own[0])
    try:
        return _from_zenodo(folder, AUTO_BYTES, NETWORK_PATIENCE_S, load)
    except DataError as error:
        print(f"{error}. The simulated twin is used instead.")
        return simulated_scan(seed, twin_shape)


def _load(path: Path | str, **options) -> Scan:
    """`load_scan` for a file that may be damaged."""
    if Path(path).is_file():
        refuse_if_it_crashes(Path(path))
    return load_scan(path, **options)


def _from_zenodo(folder: Path, limit: int, patience_s: float, load: Callable[[Path], Scan]) -> Scan:
    name = ZENODO_DOI.rpartition("/")[2]
    cache = folder / "downloads" / name
    refused: list[str] = []
    return _first_scan(_record_contents(cache, limit, patience_s, refused),
                       cache.with_name(f"{name}.json"), f"doi:{ZENODO_DOI}", refused, load)


def _from_drive(identifier: str, folder: Path, load: Callable[[Path], Scan]) -> Scan:
    if not re.fullmatch(r"[\w-]+", identifier):
        raise DataError(f"drive:{identifier} is not an id: expected letters, digits, - and _; take "
                        "what stands between /d/ and /view in the shared link")
    path = folder / "downloads" / f"drive_{identifier}"
    refused: list[str] = []
    return _first_scan(_drive_contents(identifier, path, refused),
                       path.with_name(f"{path.name}.json"), f"drive:{identifier}", refused, load)


def _first_scan(paths: Iterator[Path], note: Path, source: str, refused: list[str],
                load: Callable[[Path], Scan]) -> Scan:
    """The loops in the file chosen before (`note` keeps its sha256), else in the first usable one."""
    try:
        known = json.loads(note.read_text())
        path = note.parent / known["file"]
        if pooch.file_hash(path) == known["sha256"]:
            return load(path)
        print(f"{path} has changed since it was fetched from {source} and is fetched again.")
    except (OSError, ValueError, KeyError, TypeError):
        pass
    for path in paths:
        try:
            scan = load(path)
        except DataError as error:
            refused.append(str(error))
        else:
            text = {"file": path.relative_to(note.parent).as_posix(), "sha256": pooch.file_hash(path)}
            with plainly(note.name), atomic(note) as temporary:
                temporary.write_text(json.dumps(text))
            return scan
    reasons = "; ".join(text.partition(": expected")[0] for text in refused[:5]) or "it is empty"
    more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
    raise DataError(f"{source} holds no loops ({reasons}{more}): expected {EXPECTED}; "
                    "convert the loops and use DATA=<path>")


def _record_contents(cache: Path, limit: int, patience_s: float, refused: list[str]) -> Iterator[Path]:
    """Files of the record and of its archives, the likeliest first, fetched one by one."""
    for remote in sorted(_record_files(patience_s), key=lambda f: _unlikeliness(f.name, f.size)):
        if remote.size > limit:
            refused.append(f"{remote.name} would exceed {limit / 2**30:.3g} GiB, DATA=zenodo fetches it")
            continue
        limit -= remote.size
        try:
            path = download(remote, cache / remote.name)
        except NotData as error:
            refused.append(str(error))
        else:
            yield from _contents(path, limit, refused)


def _record_files(patience_s: float) -> list[Remote]:
    """The record's own list; Zenodo's record number is the last part of its DOI."""
    source = f"doi:{ZENODO_DOI}"
    address = f"{ZENODO}/api/records/{ZENODO_DOI.rpartition('.')[2]}"
    with plainly(source):
        answer = patiently(lambda: ask(address), patience_s)
    try:
        files = [Remote(plain_name(file["key"]), file["links"]["self"], int(file["size"]),
                        file["checksum"]) for file in answer.json()["files"]]
        if all(re.match("https?://", file.url) and re.fullmatch("md5:[0-9a-f]{32}", file.checksum)
               for file in files):
            return [file for file in files if file.size > 0]
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        pass
    raise DataError(f"{source} answered with something other than a list of files with checksums: "
                    f"expected a record of Zenodo; {REMEDY}")


def _drive_contents(identifier: str, path: Path, refused: list[str]) -> Iterator[Path]:
    """The shared file, or the members of a shared archive."""
    source, address = f"drive:{identifier}", f"{DRIVE}/uc?id={identifier}"
    incoming = path.with_name(f"{path.name}.incoming")

    def arrived() -> int:  # gdown's partial file bears a suffix
        return sum(p.stat().st_size for p in path.parent.glob(f"{incoming.name}*"))

    def fetch() -> None:
        gdown.download(url=address, output=str(incoming), use_cookies=False, resume=True)

    with plainly(source):
        path.parent.mkdir(parents=True, exist_ok=True)
        incoming.unlink(missing_ok=True)
        patiently(lambda: ask(address, stream=True), ASKED_PATIENCE_S).close()
        try:
            patiently(fetch, ASKED_PATIENCE_S, arrived)
            check_content(first_bytes(incoming), source)
            os.replace(incoming, path)
        except (DataError, OSError):
            raise
        except Exception as error:
            raise DataError(f"{source} gave no file ({' '.join(str(error).split())}): expected a file "
                            f"shared with anyone who has the link; {REMEDY}") from error
        finally:
            incoming.unlink(missing_ok=True)
    yield from _contents(path, ASKED_BYTES, refused)


def _contents(path: Path, limit: int, refused: list[str]) -> Iterator[Path]:
    """`path` itself, or the members of an archive."""
    try:
        with plainly(path.name):
            if is_archive(path):
                yield from unpacked(path, limit, _unlikeliness)
            else:
                yield path
    except NotData as error:
        refused.append(str(error))


def _unlikeliness(name: str, size: int) -> tuple[int, float]:
    """Sorts files by how likely they hold the loops: suffix, then size."""
    return LIKELY.get(Path(name).suffix.lower(), 3), abs(math.log(max(size, 1)) - math.log(LOOPS_BYTES))

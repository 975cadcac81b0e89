"""Where the loops come from: the reader's file, Zenodo, Google Drive or the twin."""

import json
import math
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import gdown
import pooch
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from helpers.paths import ROOT, atomic, own_scans, passed_over
from helpers.scans.archives import unpacked
from helpers.scans.choice import Choice
from helpers.scans.cleaning import Cleaning
from helpers.scans.formats import EXPECTED, DataError
from helpers.scans.reading import load_scan
from helpers.scans.scan import Scan, simulated_scan

ZENODO_DOI = "10.5281/zenodo.6321172"
ZENODO = "https://zenodo.org"
DRIVE = "https://drive.google.com"
HEADERS = {"User-Agent": f"ferroelectric-vae-companion (doi:10.1002/adma.202202814) pooch/{pooch.__version__}",
           "Accept-Encoding": "identity"}  # as stored, so that a download can be continued
RETRIES = Retry(total=4, connect=1, read=1, backoff_factor=1, raise_on_status=False,
                status_forcelist=(429, 500, 502, 503, 504))  # of a list of files; honours Retry-After
ATTEMPTS = 5  # of a download; each continues where the one before broke off
TIMEOUT_S = (10, 30)  # to connect, between two pieces
CHUNK_BYTES = 2**14  # the most that a broken connection costs
NETWORK_PATIENCE_S = 8  # of `auto`
ASKED_PATIENCE_S = 120  # of a source asked for by name
STALL_PATIENCE_S = 120  # of a download
AUTO_BYTES = 2 * 2**30
ASKED_BYTES = 256 * 2**30
LOOPS_BYTES = 2 * 60 * 60 * 96 * 8  # both channels of the paper's scan
LIKELY = (".h5 .hdf5 .hf5 .mat", ".npy .npz", ".zip .tar .gz .tgz .bz2 .xz")  # to hold them, by suffix
REMEDY = "run again later, or put the file into `data/` or use DATA=<path>"


def find_scan(data: str = "auto", seed: int = 0, twin_shape: tuple[int, int] = (60, 60),
              folder: Path = ROOT / "data", choice: Choice | None = None, cleaning: Cleaning | None = None) -> Scan:
    """The loops that the parameter `data` names.

    Parameters
    ----------
    data : str
        ``twin``, ``zenodo``, ``drive:<id>``, the path of a file, or ``auto``: a file in `folder`, else the Zenodo
        record (at most AUTO_BYTES of it), else the twin.
    seed, twin_shape : int, (int, int)
        Seed, rows and columns of the twin.
    folder : Path
        Where the reader's own files and the downloads lie.
    choice, cleaning : Choice, Cleaning, optional
        What is read of a file and repaired in it.

    Raises
    ------
    DataError
        If the source named cannot be had or does not hold what is expected.
    """
    beyond = choice and replace(
        choice, cycle=None if choice.cycle == 1 else choice.cycle, voltage_V=None) != Choice() or (
        cleaning and cleaning != Cleaning())
    if data == "twin":
        if beyond:
            raise DataError("the twin has one cycle, measured with the field off, and nothing to repair: expected no "
                            "other choice; leave CYCLE, SELECT and CLEAN out")
        return simulated_scan(seed, twin_shape)
    load = partial(load_scan, choice=choice, cleaning=cleaning)
    if data == "zenodo":
        return _from_zenodo(folder, ASKED_BYTES, ASKED_PATIENCE_S, load)
    if data.startswith("drive:"):
        return _from_drive(data.removeprefix("drive:"), folder, load)
    if data != "auto":
        return load(data)
    if own := own_scans(folder):
        others = ", ".join(path.name for path in own[1:])
        print(*filter(None, [f"{own[0]} is taken; {others} stand beside it" if others else "", passed_over(folder)]),
              sep="\n")
        return load(own[0])
    try:
        return _from_zenodo(folder, AUTO_BYTES, NETWORK_PATIENCE_S, load)
    except DataError as error:
        print(f"{error}. The simulated twin is used instead"
              f"{', and CYCLE, SELECT and CLEAN have no effect on it' if beyond else ''}.")
        return simulated_scan(seed, twin_shape)


def _first_scan(paths: Iterator[Path], note: Path, source: str, refused: list[str],
                load: Callable[[Path], Scan]) -> Scan:
    """The loops in the file chosen before (`note` keeps its sha256), else in the first usable one."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(note.read_text())
        path = note.parent / known["file"]
        if pooch.file_hash(path) == known["sha256"]:
            return load(path)
        print(f"{path} has changed since it was fetched from {source} and is fetched again.")
    for path in paths:
        try:
            scan = load(path)
        except DataError as error:
            refused.append(str(error))
        else:
            text = {"file": path.relative_to(note.parent).as_posix(), "sha256": pooch.file_hash(path)}
            with _plainly(note.name), atomic(note) as temporary:
                temporary.write_text(json.dumps(text))
            return scan
    reasons = "; ".join(text.partition(": expected")[0] for text in refused[:5]) or "it is empty"
    more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
    raise DataError(f"{source} holds no loops ({reasons}{more}): expected {EXPECTED}; "
                    "convert the loops and use DATA=<path>")


def _from_zenodo(folder: Path, limit: int, patience_s: float, load: Callable[[Path], Scan]) -> Scan:
    name = ZENODO_DOI.rpartition("/")[2]
    cache, refused = folder / "downloads" / name, []

    def contents(left: int) -> Iterator[Path]:
        """Files of the record and of its archives, the likeliest first, fetched one by one."""
        for name, size, url, checksum in sorted(_record_files(patience_s), key=lambda file: _unlikeliness(*file[:2])):
            if size > left:
                refused.append(f"{name} would exceed {left / 2**30:.3g} GiB, DATA=zenodo fetches it")
                continue
            left -= size
            yield from _members(_download(url, checksum, size, cache / name), left, refused)

    return _first_scan(contents(limit), cache.with_name(f"{name}.json"), f"doi:{ZENODO_DOI}", refused, load)


def plain_name(name: str) -> str:
    """The last part of a foreign path, reduced to harmless characters."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return re.sub(r"[^\w.-]+", "_", last, flags=re.ASCII).lstrip(".")[-100:] or "unnamed"


def _record_files(patience_s: float) -> list[tuple[str, int, str, str]]:
    """Name, bytes, address and checksum by the record's own list; its number is the last part of its DOI."""
    source = f"doi:{ZENODO_DOI}"
    with _plainly(source):
        answer = _patiently(lambda: _ask(f"{ZENODO}/api/records/{ZENODO_DOI.rpartition('.')[2]}"), patience_s)
    with suppress(ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        files = [(plain_name(file["key"]), int(file["size"]), file["links"]["self"], file["checksum"])
                 for file in answer.json()["files"]]
        if all(re.match("https?://", url) and re.fullmatch("md5:[0-9a-f]{32}", checksum)
               for _, _, url, checksum in files):
            return [file for file in files if file[1] > 0]
    raise DataError(f"{source} answered with something other than a list of files with checksums: "
                    f"expected a record of Zenodo; {REMEDY}")


def _download(url: str, checksum: str, size: int, path: Path) -> Path:
    """Fetch a file; what a broken connection brought lies beside it as ``.part`` and is continued."""
    part = path.with_name(f"{path.name}.part")

    def arrived() -> int:
        return part.stat().st_size if part.exists() else 0

    def continued(url: str, output: str, registry: pooch.Pooch) -> None:  # pooch's downloader protocol
        if arrived() >= size:
            part.unlink()
        with part.open("ab") as file:
            part_of = {"Range": f"bytes={file.tell()}-"} if file.tell() else {}
            pooch.HTTPDownloader(progressbar=True, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S,
                                 headers=HEADERS | part_of)(url, file, registry)
        os.replace(part, output)

    with _plainly(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        if size > (free := shutil.disk_usage(path.parent).free + arrived()):
            raise DataError(f"{path.name} does not fit on the disk: expected {size / 1e9:.3g} GB "
                            f"free in {path.parent}, found {free / 1e9:.3g} GB; free some space")
        cache = pooch.create(path.parent, base_url="", registry={path.name: checksum}, urls={path.name: url},
                             retry_if_failed=ATTEMPTS - 1)
        try:
            _patiently(lambda: cache.fetch(path.name, downloader=continued), STALL_PATIENCE_S, arrived)
        except requests.RequestException:
            raise
        except ValueError as error:
            raise DataError(f"{path.name} came with a wrong checksum: expected {checksum}; {REMEDY}") from error
        except OSError:
            part.unlink(missing_ok=True)
            raise
    return path


def _from_drive(identifier: str, folder: Path, load: Callable[[Path], Scan]) -> Scan:
    """The shared file, or the members of a shared archive."""
    if not re.fullmatch(r"[\w-]+", identifier):
        raise DataError(f"drive:{identifier} is not an id: expected letters, digits, - and _; take "
                        "what stands between /d/ and /view in the shared link")
    source, address = f"drive:{identifier}", f"{DRIVE}/uc?id={identifier}"
    path, refused = folder / "downloads" / f"drive_{identifier}", []
    incoming = path.with_name(f"{path.name}.incoming")

    def arrived() -> int:  # gdown's partial file bears a suffix
        return sum(p.stat().st_size for p in path.parent.glob(f"{incoming.name}*"))

    def fetched() -> Iterator[Path]:
        with _plainly(source):
            path.parent.mkdir(parents=True, exist_ok=True)
            incoming.unlink(missing_ok=True)
            _patiently(lambda: _ask(address, stream=True), ASKED_PATIENCE_S).close()
            try:
                _patiently(lambda: gdown.download(url=address, output=str(incoming), use_cookies=False, resume=True),
                           ASKED_PATIENCE_S, arrived)
                os.replace(incoming, path)
            except OSError:
                raise
            except Exception as error:
                raise DataError(f"{source} gave no file ({' '.join(str(error).split())}): expected a file "
                                f"shared with anyone who has the link; {REMEDY}") from error
            finally:
                incoming.unlink(missing_ok=True)
        yield from _members(path, ASKED_BYTES, refused)

    return _first_scan(fetched(), path.with_name(f"{path.name}.json"), source, refused, load)


def _members(path: Path, limit: int, refused: list[str]) -> Iterator[Path]:
    """`path` itself, or the members of an archive, the likeliest first."""
    try:
        with _plainly(path.name):
            yield from unpacked(path, limit, _unlikeliness)
    except DataError as error:
        refused.append(str(error))


def _unlikeliness(name: str, size: int) -> tuple[int, float]:
    """Sorts files by how likely they hold the loops: suffix, then size."""
    suffix = Path(name).suffix.lower()
    likely = next((n for n, suffixes in enumerate(LIKELY) if suffix in suffixes.split()), len(LIKELY))
    return likely, abs(math.log(max(size, 1)) - math.log(LOOPS_BYTES))


def _ask(url: str, **settings) -> requests.Response:
    """GET with retries and a name of our own."""
    with requests.Session() as session:
        session.headers.update(HEADERS)
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=RETRIES))
        answer = session.get(url, timeout=TIMEOUT_S, **settings)
    answer.raise_for_status()
    return answer


def _patiently(work: Callable[[], object], patience_s: float, progress: Callable[[], int] = lambda: 0) -> object:
    """Result of `work`, given up with requests.Timeout when `progress` stands still for `patience_s`.

    In a thread, so that name resolution, a long Retry-After or a server that sends byte after byte hold nobody.
    """
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    while True:
        before = progress()
        if wait([future], patience_s).done:
            return future.result()
        if progress() == before:
            raise requests.Timeout(f"within {patience_s:g} s")


@contextmanager
def _plainly(what: str) -> Iterator[None]:
    """Turn what network and disk raise into one sentence about `what`."""
    try:
        yield
    except requests.TooManyRedirects as error:
        raise DataError(f"{what} redirects in a circle: expected a file at the end; {REMEDY}") from error
    except requests.HTTPError as error:
        raise DataError(f"{what} answered {error.response.status_code} {error.response.reason}: expected a public "
                        f"file; check that the address still exists and is open to anyone, {REMEDY}") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise DataError(f"{what} broke off every time: expected the whole file; what came is kept "
                        f"and continued: {REMEDY}") from error
    except requests.RequestException as error:
        within = f" {error}" if str(error).startswith("within") else ""
        raise DataError(f"{what} did not answer{within}: expected a network connection; {REMEDY}") from error
    except OSError as error:
        raise DataError(f"{what} could not be stored ({os.strerror(error.errno) if error.errno else error}): expected "
                        "free space and a writable folder `data/`; free some space or correct the "
                        "permissions") from error

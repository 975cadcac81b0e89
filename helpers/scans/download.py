"""Bytes from the network onto the disk: retried, resumed, verified, or refused in one sentence."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import pooch
import requests
from requests.adapters import HTTPAdapter
from tqdm.auto import tqdm
from urllib3.util import Retry

from helpers.scans.formats import DataError

USER_AGENT = f"ferroelectric-vae-companion (doi:10.1002/adma.202202814) pooch/{pooch.__version__}"
# Retry-After is honoured; without it the pauses are 0, 2 and 4 s.
RETRIES = Retry(total=4, connect=1, read=1, backoff_factor=1, raise_on_status=False,
                status_forcelist=(429, 500, 502, 503, 504))
TIMEOUT_S = (10, 30)  # to connect, between two pieces
STALL_PATIENCE_S = 120
STALLED_ATTEMPTS = 3
BROKEN_OFF = (requests.exceptions.ChunkedEncodingError, requests.ConnectionError)
CHUNK_BYTES = 2**14  # the most that a broken connection costs
HEAD_BYTES = 4096
REMEDY = "run again later, or put the file into `data/` or use DATA=<path>"

HDF5 = b"\x89HDF\r\n\x1a\n"
ARRAYS = (HDF5, b"MATLAB ", b"\x93NUMPY")
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
TAR = b"ustar"  # at 257
ARCHIVES = (b"PK\x03\x04", *COMPRESSED)
WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|script|!--)", re.IGNORECASE)

T = TypeVar("T")


class NotData(DataError):
    """Content that is neither numbers nor an archive, told by its first bytes."""


class Remote(NamedTuple):
    """A file offered for download; checksum as ``md5:<hex>``, size in bytes."""

    name: str
    url: str
    size: int
    checksum: str


def first_bytes(path: Path) -> bytes:
    """What `check_content` looks at."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def check_content(head: bytes, what: str) -> None:
    """Pass the first bytes of HDF5, MATLAB, NumPy, zip and tar files (compressed ones too).

    Raises
    ------
    NotData
        For anything else; a web page in place of the file is named as such.
    """
    user_block = any(head[at:at + 8] == HDF5 for at in (512, 1024, 2048))
    if head.startswith((*ARRAYS, *ARCHIVES)) or head[257:262] == TAR or user_block:
        return
    found = ("came as a web page (a login, quota or error page)" if WEB_PAGE.match(head)
             else "holds neither arrays nor an archive")
    raise NotData(f"{what} {found}: expected HDF5, MATLAB, NumPy, zip or tar; open its address "
                  "in a browser, download it there and use DATA=<path>")


def patiently(work: Callable[[], T], patience_s: float,
              progress: Callable[[], int] = lambda: 0) -> T:
    """Result of `work`, given up when `progress` stays the same for `patience_s`.

    The work has a thread of its own, so that nothing it waits for can hold the caller:
    name resolution, a long Retry-After, a server that sends byte after byte.

    Raises
    ------
    requests.Timeout
        When given up; the thread ends with its own timeouts or with the process.
    """
    future: Future[T] = Future()

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
def plainly(what: str) -> Iterator[None]:
    """Turn what network and disk raise into one sentence about `what`.

    Raises
    ------
    DataError
        In place of every requests.RequestException and OSError.
    """
    try:
        yield
    except requests.TooManyRedirects as error:
        raise DataError(f"{what} redirects in a circle: expected a file at the end; {REMEDY}") from error
    except requests.HTTPError as error:
        answer = f"{error.response.status_code} {error.response.reason}"
        raise DataError(f"{what} answered {answer}: expected a public file; check that the address "
                        f"still exists and is open to anyone, {REMEDY}") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise DataError(f"{what} broke off every time: expected the whole file; what came is kept "
                        f"and continued: {REMEDY}") from error
    except requests.RequestException as error:
        within = f" {error}" if str(error).startswith("within") else ""
        raise DataError(f"{what} did not answer{within}: expected a network connection; "
                        f"{REMEDY}") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise DataError(f"{what} could not be stored ({reason}): expected free space and a writable "
                        "folder `data/`; free some space or correct the permissions") from error


def ask(url: str, **settings) -> requests.Response:
    """GET with retries, a name of our own and the bytes as they are stored.

    Raises
    ------
    requests.RequestException
        If nothing but errors comes back.
    """
    with requests.Session() as session:
        session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=RETRIES))
        answer = session.get(url, timeout=TIMEOUT_S, **settings)
    answer.raise_for_status()
    return answer


def gigabytes(size: float) -> str:
    return f"{size / 1e9:.3g} GB"


def download(remote: Remote, path: Path) -> Path:
    """Have the file at `path`, verified; nothing is fetched if it is there already.

    What a broken attempt brought lies in ``<path>.part`` and is continued by Range. The file
    at `path` is replaced by a verified one only.

    Raises
    ------
    DataError
        If it cannot be had whole; NotData as soon as the first bytes cannot be data.
    """
    part = path.with_name(f"{path.name}.part")

    def resume(url: str, output: str, _: object) -> None:  # pooch's downloader protocol
        if _size(part) > remote.size:
            part.unlink()
        free = shutil.disk_usage(path.parent).free + _size(part)
        if remote.size > free:
            raise DataError(f"{remote.name} does not fit on the disk: expected {gigabytes(remote.size)} "
                            f"free in {path.parent}, found {gigabytes(free)}; free some space")
        patiently(lambda: _complete(remote, part), STALL_PATIENCE_S, lambda: _size(part))
        os.replace(part, output)

    with plainly(remote.name):
        for continued in (part.exists(), False):
            try:
                pooch.retrieve(remote.url, remote.checksum, path.name, path.parent, downloader=resume)
                return path
            except (DataError, requests.RequestException):
                raise
            except ValueError as error:
                if not continued:
                    raise DataError(f"{remote.name} came with a wrong checksum: expected "
                                    f"{remote.checksum}; {REMEDY}") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _complete(remote: Remote, part: Path) -> None:
    """Continue `part` until it has its size, over as many connections as bring something."""
    stalled = 0
    with tqdm(total=remote.size, desc=remote.name, unit="B", unit_scale=True) as bar:
        while (have := _size(part)) != remote.size:
            try:
                _continue(remote, part, have, bar)
                if _size(part) < remote.size:
                    raise requests.exceptions.ChunkedEncodingError("ended early")
            except requests.RequestException as error:
                stalled = 0 if _size(part) > have else stalled + 1
                if not isinstance(error, BROKEN_OFF) or stalled == STALLED_ATTEMPTS:
                    raise
            except (DataError, OSError):
                part.unlink(missing_ok=True)
                raise


def _continue(remote: Remote, part: Path, have: int, bar: tqdm) -> None:
    asked = {"Range": f"bytes={have}-"} if have else {}
    with ask(remote.url, headers=asked, stream=True) as answer, open(part, "ab") as file:
        if have and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            file.truncate(have := 0)
        bar.update(have - bar.n)
        for chunk in answer.iter_content(CHUNK_BYTES):
            if have == 0:
                check_content(chunk, remote.name)
            have += len(chunk)
            if have > remote.size:
                raise DataError(f"{remote.name} is longer than announced: expected "
                                f"{remote.size} bytes; {REMEDY}")
            file.write(chunk)
            file.flush()
            bar.update(len(chunk))

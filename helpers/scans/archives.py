"""Members of zip and tar files, unpacked one at a time and never outside their folder."""

from __future__ import annotations

import itertools
import lzma
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from helpers.paths import atomic
from helpers.scans.formats import DataError

MOST_MEMBERS = 10_000


def plain_name(name: str) -> str:
    """The last part of a foreign path, reduced to harmless characters."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return re.sub(r"[^\w.-]+", "_", last, flags=re.ASCII).lstrip(".")[-100:] or "unnamed"


def unpacked(path: Path, limit: int, rank: Callable[[str, int], tuple]) -> Iterator[Path]:
    """`path` itself, or the members of an archive in the order of `rank(name, bytes)`, each removed after its use.

    A member's own path is never used: it is written to ``<path>.members`` under `plain_name`; links are passed over.

    Raises
    ------
    DataError
        If the archive is broken, encrypted or would unpack to more than `limit` bytes.
    OSError
        If the disk is full.
    """
    zipped = zipfile.is_zipfile(path)
    try:
        if zipped and all(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist()) or not (
                zipped or tarfile.is_tarfile(path)):
            yield path  # an .npz is a zip of .npy alone
            return
        folder = path.with_name(f"{path.name}.members")
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(path) if zipped else tarfile.open(path) as archive:
            for name, _, member in sorted(_listed(archive, path.name, limit), key=lambda found: rank(*found[:2])):
                target = folder / plain_name(name)
                with ((archive.open if zipped else archive.extractfile)(member) as source,
                      atomic(target) as temporary, temporary.open("wb") as file):
                    shutil.copyfileobj(source, file)
                yield target
                target.unlink()
        folder.rmdir()
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError,
            OSError) as error:
        if isinstance(error, DataError) or getattr(error, "errno", None):
            raise
        raise DataError(f"{path.name} is broken or encrypted: expected a whole zip or tar file; "
                        "unpack it by hand and use DATA=<path>") from error


def _listed(archive, name: str, limit: int) -> list[tuple[str, int, object]]:
    """Name, bytes and entry of the files of an archive, as long as they are not too many."""
    entries = (((m.filename, m.file_size, m) for m in archive.infolist()) if isinstance(archive, zipfile.ZipFile) else
               ((m.name, m.size, m) for m in archive if m.isreg()))
    found, total = [], 0
    for member in itertools.islice(entries, MOST_MEMBERS + 1):
        found.append(member)
        total += member[1]
        if total > limit or len(found) > MOST_MEMBERS:
            raise DataError(f"{name} would unpack to more than {limit / 1e9:.3g} GB or {MOST_MEMBERS} files: "
                            "expected less; unpack what is needed by hand and use DATA=<path>")
    return [member for member in found if member[1]]

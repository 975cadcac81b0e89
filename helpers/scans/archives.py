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

from helpers.scans.download import (
    COMPRESSED,
    HEAD_BYTES,
    TAR,
    NotData,
    check_content,
    first_bytes,
    gigabytes,
)
from helpers.paths import atomic

MOST_MEMBERS = 10_000
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError,
          RuntimeError, ValueError, OSError)


def plain_name(name: str) -> str:
    """The last part of a foreign path, reduced to harmless characters."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return re.sub(r"[^\w.-]+", "_", last, flags=re.ASCII).lstrip(".")[-100:] or "unnamed"


def is_archive(path: Path) -> bool:
    """Whether `path` is a zip or tar file; an .npz (a zip of .npy alone) counts as data."""
    head = first_bytes(path)
    if head.startswith(b"PK"):
        names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
        return not names or not all(name.endswith(".npy") for name in names)
    return head.startswith(COMPRESSED) or head[257:262] == TAR


def unpacked(path: Path, limit: int, rank: Callable[[str, int], tuple]) -> Iterator[Path]:
    """Members that can be data, in the order of `rank(name, bytes)`, each removed after its use.

    A member's own path is never used: it is written to ``<path>.members`` under `plain_name`.
    Links and devices are passed over.

    Raises
    ------
    NotData
        If the archive is broken, encrypted or would unpack to more than `limit` bytes.
    OSError
        If the disk is full.
    """
    try:
        with zipfile.ZipFile(path) if zipfile.is_zipfile(path) else tarfile.open(path) as archive:
            for name, size, member in sorted(_members(archive, path.name, limit),
                                             key=lambda found: rank(*found[:2])):
                target = path.with_name(f"{path.name}.members") / plain_name(name)
                if size and _extracted(archive, member, target):
                    yield target
                    target.unlink()
    except BROKEN as error:
        if isinstance(error, NotData) or getattr(error, "errno", None):
            raise
        raise NotData(f"{path.name} is broken or encrypted: expected a whole zip or tar file; "
                      "unpack it by hand and use DATA=<path>") from error


def _members(archive, name: str, limit: int) -> list[tuple[str, int, object]]:
    if isinstance(archive, zipfile.ZipFile):
        listed = ((m.filename, m.file_size, m) for m in archive.infolist())
    else:
        listed = ((m.name, m.size if m.isreg() else 0, m) for m in archive)
    found, total = [], 0
    for member in itertools.islice(listed, MOST_MEMBERS + 1):
        found.append(member)
        total += member[1]
        if total > limit or len(found) > MOST_MEMBERS:
            raise NotData(f"{name} would unpack to more than {gigabytes(limit)} or "
                          f"{MOST_MEMBERS} files: expected less; unpack what is needed by hand "
                          "and use DATA=<path>")
    return found


def _extracted(archive, member, target: Path) -> bool:
    """Write `member` to `target` if its first bytes can be data."""
    opened = archive.open if isinstance(archive, zipfile.ZipFile) else archive.extractfile
    with opened(member) as source:
        head = source.read(HEAD_BYTES)
        try:
            check_content(head, target.name)
        except NotData:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic(target) as temporary, temporary.open("wb") as file:
            file.write(head)
            shutil.copyfileobj(source, file)
    return True

"""Members of zip and tar files, unpacked beside them and never elsewhere."""

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from helpers.scans.formats import DataError

MOST_MEMBERS = 10_000


def unpacked(path: Path, limit: int, rank: Callable[[str, int], tuple]) -> list[Path]:
    """`path` itself, or the files of an archive in the order of `rank(name, bytes)`, in the folder ``<path>.members``.

    An archive that is broken, encrypted, reaches outside its folder, or unpacks to more than `limit` bytes is refused.
    """
    zipped = zipfile.is_zipfile(path)
    folder = path.with_name(f"{path.name}.members")
    try:
        if zipped and all(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist()) or not (
                zipped or tarfile.is_tarfile(path)):
            return [path]  # an .npz is a zip of .npy alone
        with zipfile.ZipFile(path) if zipped else tarfile.open(path) as archive:
            total = 0
            for number, member in enumerate(archive.infolist() if zipped else archive):
                total += member.file_size if zipped else member.size
                if total > limit or number == MOST_MEMBERS:
                    raise DataError(f"{path.name} would unpack to more than {limit / 1e9:.3g} GB or {MOST_MEMBERS} "
                                    "files: expected less; unpack what is needed by hand and use DATA=<path>")
        shutil.unpack_archive(path, folder, "zip" if zipped else "tar", **({} if zipped else {"filter": "data"}))
    except (zipfile.BadZipFile, tarfile.TarError, shutil.ReadError, zlib.error, lzma.LZMAError, EOFError, RuntimeError,
            ValueError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        odd = (NotADirectoryError, IsADirectoryError, FileExistsError, FileNotFoundError)  # names that contradict
        if isinstance(error, DataError) or getattr(error, "errno", None) and not isinstance(error, odd):
            raise
        raise DataError(f"{path.name} is broken, encrypted or reaches outside its folder: expected a whole zip or tar "
                        "file; unpack it by hand and use DATA=<path>") from error
    files = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink() and file.stat().st_size]
    return sorted(files, key=lambda file: rank(file.name, file.stat().st_size))

"""Files of microscopes, read by SciFiReaders where that optional package is installed."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from helpers.scans.choice import Choice
from helpers.scans.formats import DataError, Loops
from helpers.scans.nsid import Axis, Main, loops_of

# By suffix: what it is, and the readers of SciFiReaders that may know it.
READERS = {
    ".ibw": ("Igor", ("IgorIBWReader",)), ".ardf": ("Asylum Research", ()),
    ".arhdf5": ("Asylum Research", ("ARhdf5Reader",)),
    ".spm": ("Bruker", ("BrukerAFMReader",)), ".nid": ("Nanosurf", ("NanoSurfNIDReader",)),
    ".3ds": ("Nanonis", ("Nanonis3dsReader",)), ".sxm": ("Nanonis", ("NanonisSXMReader",)),
    ".gsf": ("Gwyddion", ("GwyddionReader",)), ".gwy": ("Gwyddion", ("GwyddionReader",)),
}
EXTRA = "pip install SciFiReaders"


def is_foreign(path: Path, head: bytes) -> bool:
    """Whether a file, none of those read here, is called like one of a microscope."""
    return path.suffix.lower() in READERS and not head.startswith(b"version https://git-lfs")


def read_foreign(path: Path, choice: Choice) -> Loops:
    """Loops of a microscope's file through sidpy datasets.

    Raises
    ------
    DataError
        If SciFiReaders is not installed, does not read the file, or finds no loops in it.
    """
    what, names = READERS[path.suffix.lower()]
    try:
        library = importlib.import_module("SciFiReaders")
    except ImportError as error:
        raise DataError(f"{path} is a file of {what}, which SciFiReaders reads: expected that optional package; "
                        f"install it with {EXTRA}, or export the loops as .npz") from error
    reasons = []
    for reader in (getattr(library, name) for name in names if hasattr(library, name)):
        try:
            found = reader(str(path)).read()
        except Exception as error:  # a reader of another's format raises almost anything
            reasons.append(f"{type(error).__name__}: {error}")
            continue
        datasets = (found.items() if isinstance(found, dict) else
                    enumerate(found) if isinstance(found, list) else [(0, found)])
        return loops_of(path, [_main(str(name), dataset) for name, dataset in datasets], choice)
    raise DataError(f"{path} is a file of {what}, which SciFiReaders did not read "
                    f"({'; '.join(reasons) or 'no reader'}): expected a scan of loops; export the loops as .npz")


def _main(name: str, dataset) -> Main:
    """A sidpy dataset, whose axes are its attributes ``_axes``, by number."""
    axes = tuple(Axis(str(axis.name), str(axis.quantity), str(axis.units), str(axis.dimension_type), np.asarray(axis))
                 for _, axis in sorted(dataset._axes.items()))
    return Main(str(getattr(dataset, "title", "") or name), np.asarray(dataset), axes, str(dataset.quantity),
                str(dataset.units))

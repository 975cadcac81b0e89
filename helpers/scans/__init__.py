"""Loops in the file formats of the field, recognised by content, opened read-only, never unpickled.

- hdf5: HDF5 of this repository, ``piezoresponse``, ``resonance``, ``voltage``.
- matlab: MATLAB files of the group, version 5 and 7.3.
- numpy_files: NumPy ``.npy`` and ``.npz``.
- usid: USID HDF5 as pyUSID and BGlib write it.
"""

from helpers.scans.formats import (
    EXPECTED,
    Choice,
    DataError,
    Loops,
    every_nth,
    sha256_of,
)
from helpers.scans.hdf5 import (
    PUBLISHED_DOIS,
    PUBLISHED_LAG_STEPS,
    resonance_lag_steps,
)
from helpers.scans.reading import listing, read, recognise

__all__ = [
    "EXPECTED", "PUBLISHED_DOIS", "PUBLISHED_LAG_STEPS", "Choice", "DataError", "Loops", "every_nth", "listing", "read",
    "recognise", "resonance_lag_steps", "sha256_of",
]

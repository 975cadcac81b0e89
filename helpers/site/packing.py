"""Arrays made small for a page, and the grid on which a map is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import rotate

from helpers.figures.inputs import Orientation

# Cells of the drawn grid along a pixel, where a map is turned: edges of pixels look straight.
CELLS = 3
NO_VALUE = -128


def packed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra as 16-bit integers.

    Parameters
    ----------
    values : ndarray, shape (..., channels)
        Finite.

    Returns
    -------
    steps : ndarray of int16, shape (..., channels)
        ``zero + scale * steps`` leads back, to within half of `scale`.
    scale, zero : ndarray of float, shape (channels,)
    """
    axes = tuple(range(values.ndim - 1))
    low, high = values.min(axis=axes), values.max(axis=axes)
    scale = np.where(high > low, (high - low) / 65534, 1.0)
    zero = (high + low) / 2
    return ((values - zero) / scale).round().astype(np.int16), scale, zero


def packed_maps(maps: np.ndarray, half: float) -> tuple[np.ndarray, float]:
    """Maps as 8-bit integers, for colours alone.

    Parameters
    ----------
    maps : ndarray
        NaN where there is no value.
    half : float
        Where the colour scale ends; values beyond 1.27 of it are cut.

    Returns
    -------
    steps : ndarray of int8
        `NO_VALUE` at NaN; ``scale * steps`` leads back.
    scale : float
    """
    scale = half / 100
    steps = np.clip(np.nan_to_num(maps) / scale, -127, 127).round()
    return np.where(np.isnan(maps), NO_VALUE, steps).astype(np.int8), scale


@dataclass(frozen=True)
class Grid:
    """Cells of a drawn map, from the bottom up.

    Attributes
    ----------
    pixel : ndarray of int32, shape (rows', columns')
        Index of the pixel that each cell shows, -1 outside the scan.
    cells : int
        Cells along a pixel.
    """

    pixel: np.ndarray
    cells: int

    @property
    def width(self) -> float:
        """In pixels of the scan."""
        return self.pixel.shape[1] / self.cells

    @property
    def height(self) -> float:
        return self.pixel.shape[0] / self.cells

    def centres(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """x and y of every pixel, in pixels from the lower left corner; NaN of those cut away."""
        inside = self.pixel >= 0
        number = np.bincount(self.pixel[inside], minlength=count)
        with np.errstate(invalid="ignore"):
            y, x = (np.bincount(self.pixel[inside], (place[inside] + 0.5) / self.cells, count) / number
                    for place in np.indices(self.pixel.shape))
        return x, y


def grid(shape: tuple[int, int], orientation: Orientation) -> Grid:
    """The grid of a map turned and cropped as in the figures; each cell shows the nearest pixel."""
    pixels = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    if orientation.angle_deg == 0.0:
        return Grid(pixels[::-1], 1)
    fine = np.kron(pixels, np.ones((CELLS, CELLS), np.int32))
    turned = rotate(fine, orientation.angle_deg, order=0, cval=-1, prefilter=False)
    rows, columns = (round(n * orientation.crop) for n in turned.shape)
    return Grid(turned[rows:turned.shape[0] - rows, columns:turned.shape[1] - columns][::-1], CELLS)

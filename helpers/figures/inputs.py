"""What the figures are drawn from: arrays with a name, and how a scan looks on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
RANKS = ("best", "median", "worst")
# What a map shows, by model.
QUANTITIES = {"DL": "coefficient", "β-VAE": "posterior mean"}


@dataclass(frozen=True)
class Orientation:
    """How a map is laid on the page: a counter-clockwise turn, and the part of the turned frame cut away at each side.

    `size_um` is the width of the scan (µm), for the scale bar; None draws none.
    """

    angle_deg: float
    crop: float
    size_um: float | None


# The domain bands cross the scan at 29.54°: turned by it they stand upright, and the
# crop cuts off most of the empty corners the turn leaves (both as in the paper).
TURNED = Orientation(29.54, 0.178, 2.0)
SCAN = Orientation(0.0, 0.0, 2.0)
IMAGE = Orientation(0.0, 0.0, None)


@dataclass(frozen=True)
class Channel:
    """Label of one spectral channel; drawn values are the data times `scale`."""

    name: str
    unit: str
    scale: float = 1.0

    @property
    def label(self) -> str:
        return f"{self.name}\n({self.unit})"


SCALED = (Channel("Piezoresponse", "s.d."), Channel("Resonance", "s.d."))


class Recorded(Protocol):
    """What is drawn of a scan; `helpers.scans.scan.Scan` has it."""

    piezoresponse: np.ndarray
    resonance_kHz: np.ndarray | None
    source: str
    size_um: float
    turned: bool
    unusable: np.ndarray | None
    usable: np.ndarray
    channels: Mapping[str, np.ndarray]
    voltage_V: np.ndarray


@dataclass(frozen=True)
class Look:
    """How everything drawn from one scan, or from the toy, is labelled and laid on the page.

    Attributes
    ----------
    source : {"measured", "twin", "toy"}
        Origin of the data; a figure of the twin says so.
    orientation : Orientation
    channels : tuple of Channel
        Label and scale of each channel of the spectra.
    unusable : ndarray of bool, shape (rows, columns), optional
        Pixels to draw grey; None where there are none.
    """

    source: str
    orientation: Orientation
    channels: tuple[Channel, ...]
    unusable: np.ndarray | None = None

    @classmethod
    def of(cls, scan: Recorded) -> Look:
        """Maps turned for the published scan, as recorded for any other; no scale bar where the size is unknown."""
        rows, columns = scan.piezoresponse.shape[:2]
        size_um = scan.size_um if np.isfinite(scan.size_um) and scan.size_um > 0 else None
        orientation = replace(TURNED if scan.turned and rows == columns else SCAN, size_um=size_um)
        return cls(scan.source, orientation, channels_of(scan.piezoresponse, scan.resonance_kHz), scan.unusable)

    def masked(self, maps: np.ndarray) -> np.ndarray:
        """Maps, shape (…, rows, columns), that are NaN at unusable pixels."""
        return maps if self.unusable is None else np.where(self.unusable, np.nan, maps)


TOY = Look("toy", IMAGE, (Channel("Spectrum", "s.d."),))


def channels_of(piezoresponse: np.ndarray, resonance_kHz: np.ndarray | None = None) -> tuple[Channel, ...]:
    """Labels of the channels that a scan has, in units of which its loops take a few.

    Parameters
    ----------
    piezoresponse, resonance_kHz : ndarray, shape (rows, columns, n_steps)
        Arb. u. and kHz; values of a few units can only be standardised resonances.
    """
    exponent = int(np.floor(np.log10(np.percentile(np.abs(piezoresponse), 99) or 1)))
    exponent = 0 if -1 <= exponent <= 2 else exponent
    unit = f"10{str(exponent).translate(SUPERSCRIPTS)} arb. u." if exponent else "arb. u."
    made = (Channel("Piezoresponse", unit, 10.0**-exponent),)
    if resonance_kHz is None:
        return made
    return (*made, Channel("Resonance", "kHz" if np.abs(np.median(resonance_kHz)) > 3 else "s.d."))


@dataclass(frozen=True)
class ModelOutput:
    """Embedding maps and reconstructions of one fitted model.

    Attributes
    ----------
    name : str
        "DL" or "β-VAE"; chooses the colour.
    maps : ndarray, shape (n_maps, rows, columns)
        DL coefficients, or posterior means in the order of their KL; NaN at unusable pixels.
    reconstruction : ndarray, shape (n_spectra, n_steps) or (n_spectra, n_steps, n_channels)
        In the units of the data it is drawn with; n_spectra = rows × columns.
    mse : ndarray, shape (n_spectra,)
        Mean squared error of each spectrum, in scaled units; NaN at unusable pixels.
    titles : tuple of str
        One a map; numbered from 1 where empty.
    """

    name: str
    maps: np.ndarray
    reconstruction: np.ndarray
    mse: np.ndarray
    titles: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Title of every map."""
        return list(self.titles) or [f"{self.name} {n + 1}" for n in range(len(self.maps))]

    def best_median_worst(self) -> tuple[int, int, int]:
        """Spectra of the smallest, the median and the largest error."""
        order = np.argsort(self.mse, kind="stable")[: np.isfinite(self.mse).sum()]  # NaN come last
        return int(order[0]), int(order[len(order) // 2]), int(order[-1])


@dataclass(frozen=True)
class Sweep:
    """Spectra generated while one embedding channel after the other is swept.

    Attributes
    ----------
    name : str
        Model that generated them.
    maps : ndarray, shape (n_maps, rows, columns)
        Map of each swept channel.
    values : ndarray, shape (n_maps, n_values)
        Swept values, ascending.
    generated : ndarray, shape (n_maps, n_values, n_steps, n_channels)
        Spectrum generated at each value (mean of the nearest neighbours, decoded).
    titles : tuple of str
        One a map; numbered from 1 where empty.
    measured : ndarray, of the shape of `generated`, optional
        Mean measured spectrum of these neighbours.
    """

    name: str
    maps: np.ndarray
    values: np.ndarray
    generated: np.ndarray
    titles: tuple[str, ...] = ()
    measured: np.ndarray | None = None

    @property
    def names(self) -> list[str]:
        """Title of every map."""
        return list(self.titles) or [f"{self.name} {n + 1}" for n in range(len(self.maps))]

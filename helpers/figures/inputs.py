"""What the figures are drawn from: arrays with a name, and how a scan looks on the page."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from helpers.figures.style import plain

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# What a map shows, by model.
QUANTITIES = {"DL": "coefficient", "companion's β-VAE": "posterior mean"}


@dataclass(frozen=True)
class Orientation:
    """How a map is laid on the page."""

    angle_deg: float  # counter-clockwise
    crop: float  # part of the turned frame cut away at each side
    size_um: float | None  # width of the scan, for the scale bar; None draws none


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


@dataclass(frozen=True)
class Look:
    """How everything drawn from one scan, or from the toy, is labelled and laid on the page."""

    source: str  # "measured", "twin" or "toy"; a figure of the twin says so
    orientation: Orientation
    channels: tuple[Channel, ...]  # label and scale of each channel of the spectra
    unusable: np.ndarray | None = None  # bool (rows, columns): pixels to draw grey; None where there are none

    @classmethod
    def of(cls, scan) -> Self:
        """Of a `helpers.scans.scan.Scan`: the published one is turned; one of unknown size has no scale bar."""
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

    Both arrays may have any shape, in arb. u. and kHz; resonances of a few units can only be standardised.
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
    """Embedding maps and reconstructions of one fitted model."""

    name: str  # "DL" or "companion's β-VAE"; chooses the colour
    # (n_maps, rows, columns): DL coefficients, or posterior means in the order of their KL; NaN at unusable pixels.
    maps: np.ndarray
    # (n_spectra, n_steps) or (n_spectra, n_steps, n_channels), in the units of the data it is drawn with;
    # n_spectra = rows × columns.
    reconstruction: np.ndarray
    mse: np.ndarray  # (n_spectra,): mean squared error in scaled units; NaN at unusable pixels
    titles: tuple[str, ...] = ()  # one a map; numbered from 1 where empty

    @property
    def names(self) -> list[str]:
        """Title of every map."""
        return list(self.titles) or [f"{self.name} {n + 1}" for n in range(len(self.maps))]

    def best_median_worst(self) -> dict[str, int]:
        """Spectra of the smallest, the median and the largest error, by the title of their panel."""
        order = np.argsort(self.mse, kind="stable")[: np.isfinite(self.mse).sum()]  # NaN come last
        chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
        return {f"{rank}\nMSE {plain(self.mse[spectrum])}": int(spectrum) for rank, spectrum in chosen.items()}


@dataclass(frozen=True)
class Sweep:
    """Spectra generated while one embedding channel after the other is swept."""

    name: str  # of the model that generated them
    maps: np.ndarray  # (n_maps, rows, columns): map of each swept channel
    values: np.ndarray  # (n_maps, n_values): swept values, ascending
    # (n_maps, n_values, n_steps, n_channels): generated at each value (mean of the nearest neighbours, decoded).
    generated: np.ndarray
    titles: tuple[str, ...] = ()  # one a map; numbered from 1 where empty
    measured: np.ndarray | None = None  # as `generated`: mean measured spectrum of these neighbours

    names = ModelOutput.names

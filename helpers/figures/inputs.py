"""What the figures are drawn from: arrays with a name, and the channels' labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Channel:
    """Label of one spectral channel; drawn values are the data times `scale`."""

    name: str
    unit: str
    scale: float = 1.0

    @property
    def label(self) -> str:
        return f"{self.name}\n({self.unit})"


# The piezoresponse of the published scan is about 1e-4 arb. u., so its axis counts in that.
PHYSICAL = (Channel("Piezoresponse", "10⁻⁴ arb. u.", 1e4), Channel("Resonance", "kHz"))
SCALED = (Channel("Piezoresponse", "s.d."), Channel("Resonance", "s.d."))
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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


# What a map shows, by model.
QUANTITIES = {"DL": "coefficient", "β-VAE": "posterior mean"}


@dataclass(frozen=True)
class ModelOutput:
    """Embedding maps and reconstructions of one fitted model.

    Parameters
    ----------
    name : str
        "DL" or "β-VAE"; chooses the colour.
    maps : ndarray, shape (n_maps, rows, columns)
        DL coefficients, or posterior means in the order of their KL; NaN at unusable pixels.
    reconstruction : ndarray, shape (n_spectra, n_steps) or (n_spectra, n_steps, n_channels)
        In the units of the data it is drawn with; n_spectra = rows × columns.
    mse : ndarray, shape (n_spectra,)
        Mean squared error of each spectrum, in scaled units; NaN at unusable pixels.
    map_names : tuple of str
        One title a map; numbered from 1 where empty.
    n_active : int, optional
        Number of active channels, where the model decides on it.
    """

    name: str
    maps: np.ndarray
    reconstruction: np.ndarray
    mse: np.ndarray
    map_names: tuple[str, ...] = ()
    n_active: int | None = None

    def map_name(self, index: int) -> str:
        if self.map_names:
            return self.map_names[index]
        return f"{self.name} {index + 1}"

    @property
    def quantity(self) -> str:
        """What the maps show."""
        return QUANTITIES[self.name]

    def best_median_worst(self) -> tuple[int, int, int]:
        """Spectra of the smallest, the median and the largest error."""
        order = np.argsort(self.mse, kind="stable")[: np.isfinite(self.mse).sum()]  # NaN come last
        return int(order[0]), int(order[len(order) // 2]), int(order[-1])


@dataclass(frozen=True)
class Sweep:
    """Spectra generated while one embedding channel after the other is swept.

    Parameters
    ----------
    name : str
        Model that generated them.
    maps : ndarray, shape (n_maps, rows, columns)
        Map of each swept channel.
    values : ndarray, shape (n_maps, n_values)
        Swept values, ascending.
    generated : ndarray, shape (n_maps, n_values, n_steps, n_channels)
        Spectrum generated at each value (mean of the nearest neighbours, decoded).
    map_names : tuple of str
        One title a map; numbered from 1 where empty.
    """

    name: str
    maps: np.ndarray
    values: np.ndarray
    generated: np.ndarray
    map_names: tuple[str, ...] = ()

    def map_name(self, index: int) -> str:
        if self.map_names:
            return self.map_names[index]
        return f"{self.name} {index + 1}"

    @property
    def names(self) -> list[str]:
        """Title of every map."""
        return [self.map_name(index) for index in range(len(self.maps))]

    @property
    def quantity(self) -> str:
        """What the maps show."""
        return QUANTITIES[self.name]

    def first(self, n: int) -> Sweep:
        """The first `n` swept channels alone."""
        return Sweep(
            self.name, self.maps[:n], self.values[:n], self.generated[:n], self.map_names[:n]
        )

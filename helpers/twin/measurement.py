"""Simulated twin of a band-excitation switching scan, with known truth."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from helpers.sho import interpolated, sho_response
from helpers.twin.domains import draw_truth
from helpers.twin.switching import N_STEPS, drive_voltage, noise_free

PIEZORESPONSE_NOISE = 1.3e-6  # arb. u., standard deviation of the white part
RESONANCE_NOISE_kHz = 0.075  # white part, where the piezoresponse is 0.85e-4
NOISE_FLOOR = 1.5e-5  # arb. u.: the resonance stays measurable where the response vanishes
JERKS_V = 0.42  # standard deviation of the switching ahead of or behind the smooth loop
PERSISTENCE = 1.5  # persistent part of the noise, in units of the part that is white
PERSISTENCE_STEPS = 1.8  # width of the Gaussian that makes it persistent
MISFIT_RISK = 3e-5  # of a fit to a wrong peak, where the response is 0.85e-4
MISFIT_kHz = 4.0  # standard deviation of how far off that peak lies
N_FAILED_FITS = 4  # oscillator fits a loop that fail, where the response is weakest
BAND_kHz = (1295.0, 1351.0)
N_BINS = 80
QUALITY = 180.0
INSTRUMENT_PHASE = 0.7  # rad, what cables and electronics add
SPECTRUM_NOISE = 5e-5  # arb. u., standard deviation of either part of a bin: 0.35 % of the usual peak


@dataclass(frozen=True)
class Twin:
    """A simulated scan and the truth behind it."""

    piezoresponse: np.ndarray  # arb. u., second cycle, off-field, shape (rows, columns, 96)
    resonance_kHz: np.ndarray  # of the same shape
    voltage_V: np.ndarray  # shape (96,)
    truth: dict[str, np.ndarray]  # maps (rows, columns), see `helpers.twin.domains.draw_truth`


def persistent_noise(rng: np.random.Generator, size: tuple[int, int, int]) -> np.ndarray:
    """Gaussian noise of unit variance, shape `size`, that persists over some steps and half a pixel.

    Neighbouring pixels share it because the tip reaches into both.
    """
    noise = gaussian_filter(rng.standard_normal(size), (0.6, 0.6, PERSISTENCE_STEPS), mode="wrap")
    return noise / noise.std()


def resonance_error(rng: np.random.Generator, uncertainty: np.ndarray) -> np.ndarray:
    """Error of the fitted resonance (kHz): white, persistent, and rarely a misfit over some steps.

    `uncertainty`, shape (rows, columns, 96), is the inverse of the response, 1 at 0.85e-4.
    """
    size = uncertainty.shape
    noise = rng.standard_normal(size) + PERSISTENCE * persistent_noise(rng, size)
    misfits = (rng.random(size) < MISFIT_RISK * uncertainty**4) * rng.standard_normal(size)
    misfits = 2 * gaussian_filter1d(MISFIT_kHz * misfits, 0.8, axis=-1)
    return RESONANCE_NOISE_kHz * uncertainty * noise + misfits


def simulate(seed: int = 0, shape: tuple[int, int] = (60, 60)) -> Twin:
    """Simulate the measurement of one 2 µm scan.

    Switching runs in jerks ahead of and behind the loop that the truth gives, each channel has
    white and persistent noise, and the resonance is the less certain the weaker the response
    it is fitted to. The oscillator fits that fail are bridged, as in the published data.

    Parameters
    ----------
    seed : int, optional
        The same seed gives the same scan, bit for bit; other seeds another arrangement of
        domains and other noise.
    shape : tuple of int, optional
        Rows and columns.

    Returns
    -------
    Twin

    Raises
    ------
    ValueError
        If the scan has fewer than two rows or columns.
    """
    if min(shape) < 2:
        raise ValueError(f"a scan of {shape} pixels was asked for: expected 2 or more each way")
    rng = np.random.default_rng((seed, 1))
    size, truth = (*shape, N_STEPS), draw_truth(seed, shape)
    piezoresponse, resonance_kHz = noise_free(truth, JERKS_V * persistent_noise(rng, size))
    uncertainty = 1e-4 / (np.abs(piezoresponse) + NOISE_FLOOR)
    resonance_kHz += resonance_error(rng, uncertainty)
    piezoresponse += PIEZORESPONSE_NOISE * (rng.standard_normal(size) + PERSISTENCE * persistent_noise(rng, size))
    # Mostly the most uncertain points of each loop have a fit that fails.
    risk = uncertainty * rng.lognormal(0, 0.7, size)
    failed = risk >= np.sort(risk, axis=-1)[..., -N_FAILED_FITS, None]
    channels = (interpolated(channel, failed, closed=False) for channel in (piezoresponse, resonance_kHz))
    return Twin(*channels, drive_voltage(), truth)


def raw_spectra(piezoresponse: np.ndarray, resonance_kHz: np.ndarray,
                seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Band-excitation spectra (complex64, shape (..., N_BINS)) whose oscillator fits give these loops, and their bins.

    Loops have shape (...), in arb. u. and kHz within `BAND_kHz`, frequencies (kHz) shape (N_BINS,). A exp(iφ) is
    P exp(−i `INSTRUMENT_PHASE`), at the quality factor `QUALITY`.
    """
    frequency_kHz = np.linspace(*BAND_kHz, N_BINS)
    quality = np.full(np.shape(piezoresponse), QUALITY)
    spectra = sho_response(frequency_kHz, piezoresponse, -INSTRUMENT_PHASE, resonance_kHz, quality).astype("complex64")
    white = np.random.default_rng((seed, 2)).standard_normal((*spectra.shape, 2), dtype="float32")
    return spectra + np.float32(SPECTRUM_NOISE) * white.view("complex64")[..., 0], frequency_kHz

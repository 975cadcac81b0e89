"""Domain layout of the simulated twin: which mechanism switches where, and how strongly.

A PbZr0.2Ti0.8O3 film on GdScO3 splits into c/a/c/a and a1/a2 bands (paper, Results). Here the bands are one periodic
phase across the scan, bent and pinched by smooth random fields, and each switching mechanism takes its share of a pixel
from where that pixel lies in the period.
"""

from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import expit

SCAN_SIZE_um = 2.0
BAND_PERIOD_um = 0.56  # three to four bands in a 2 µm scan
BAND_ANGLE_deg = 30.5  # between the bands and the slow-scan axis
STRIPE_PERIOD_um = 0.105  # c/a lamellae inside a c/a/c/a band, close to the pixel size
MECHANISMS = ("c", "a", "charged_wall", "three_state")


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], length_um: float) -> np.ndarray:
    """Gaussian random field of a scan of `shape`, of mean 0 and variance 1, smoothed over `length_um` (s.d., µm)."""
    pixels = [length_um * n / SCAN_SIZE_um for n in shape]
    field = gaussian_filter(rng.standard_normal(shape), pixels)
    return (field - field.mean()) / field.std()


def line_field(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Unit-variance field of a scan of `shape` that jumps from line to line: a tip that changes, in episodes."""
    rows = gaussian_filter1d(rng.standard_normal(shape), 0.15 * shape[1] / SCAN_SIZE_um, axis=1)
    rows = gaussian_filter1d(rows, 0.6, axis=0) * np.exp(0.5 * smooth_field(rng, shape, 0.25))
    rows = np.tanh(0.6 * (rows - rows.mean()) / rows.std())  # a tip change is bounded
    return rows / rows.std()


def band_coordinates(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Phases (in periods) of every pixel within bands and stripes; 0.5 is the middle of an a1/a2 band."""
    y_um, x_um = ((np.indices(shape).T + 0.5) * SCAN_SIZE_um / np.array(shape)).T
    angle = np.radians(BAND_ANGLE_deg + rng.uniform(-1.5, 1.5))
    across_um = x_um * np.cos(angle) + y_um * np.sin(angle)
    along_um = y_um * np.cos(angle) - x_um * np.sin(angle)
    band = across_um / BAND_PERIOD_um + rng.uniform() + 0.035 * smooth_field(rng, shape, 0.4)
    # An a1/a2 band interrupts the lamellae, so those of the next band are out of step.
    stripe = (along_um + 0.15 * across_um) / STRIPE_PERIOD_um + 0.37 * np.floor(band)
    stripe += 0.2 * smooth_field(rng, shape, 0.15)
    return band, stripe


def mechanism_fractions(rng: np.random.Generator, band: np.ndarray, stripe: np.ndarray) -> dict[str, np.ndarray]:
    """Share of each of `MECHANISMS` in every pixel, not negative and 1 in sum, from the phases of `band_coordinates`.

    Three-state switching fills the a1/a2 band from its peak side, charged walls form at its valley side, a domains
    line both boundaries and the stripes, and the rest is c (paper, Results, and Fig. 5d-f). Where bands narrow and
    end is drawn.
    """
    strength = expit(3.0 + 1.8 * smooth_field(rng, band.shape, 0.3))
    offset = band % 1 - 0.5
    half_width = 0.175 + 0.02 * smooth_field(rng, band.shape, 0.3)
    a1a2 = strength * np.exp(-np.abs(offset / half_width) ** 3)
    valley = expit((offset - 0.06 - 0.04 * smooth_field(rng, band.shape, 0.25)) / 0.035)
    boundary = 0.35 * strength * np.exp(-(((np.abs(offset) - 0.22) / 0.06) ** 2))
    stripes = 0.08 + 0.04 * np.cos(2 * np.pi * stripe)
    stripes += 0.05 * smooth_field(rng, band.shape, 0.06)
    a = (1 - a1a2) * np.clip(boundary + stripes, 0, 1)
    fractions = {"a": a, "charged_wall": a1a2 * valley, "three_state": a1a2 * (1 - valley)}
    return {"c": 1 - sum(fractions.values()), **fractions}


def base_resonance(rng: np.random.Generator, band: np.ndarray) -> np.ndarray:
    """Contact resonance at zero bias: saw-tooth, lowest at the peak side of a1/a2 bands, slow changes, settling."""
    phase = 2 * np.pi * (band - 0.56)
    saw_tooth = np.sin(phase + 0.6 * np.sin(phase - 0.6))
    settling = np.exp(-np.arange(len(band)) / (0.12 * len(band)))[:, None]
    amplitude = 3.0 * (1 - 0.3 * settling) * np.exp(0.15 * smooth_field(rng, band.shape, 0.3))
    slow = 0.9 * smooth_field(rng, band.shape, 0.4) + 0.3 * smooth_field(rng, band.shape, 0.06)
    # Broad bright bands and narrow dark ones, as the a1/a2 bands are the narrower.
    profile = saw_tooth + 0.3 * (1 - saw_tooth**2)
    return 1326.8 + amplitude * profile + slow - 9.5 * settling


def resonance_parameters(rng: np.random.Generator, band: np.ndarray, stripe: np.ndarray,
                         c: np.ndarray) -> dict[str, np.ndarray]:
    """How the contact resonance of every pixel answers to switching: the keys of `draw_truth` that end in ``_kHz``.

    The charged walls of a1/a2 bands set apart up and down states, with opposite signs at the peak and the valley side;
    walls at the valley boundary move most (paper, Fig. 5e, f). `c`, the fraction of c switching, carries the stripes.
    """
    smooth = partial(smooth_field, rng, band.shape)
    lamella = np.cos(2 * np.pi * stripe) * c * expit(smooth(0.2))
    peak, valley, wall = (np.exp(-(((band % 1 - at) / 0.08) ** 2)) for at in (0.34, 0.58, 0.72))
    polarity = np.exp(0.6 * smooth(0.25)) * (0.8 * peak - 0.05 - 1.1 * valley)
    return {
        "base_resonance_kHz": base_resonance(rng, band),
        "softening_kHz": 1.35 * np.exp(0.4 * smooth(0.04) + 0.4 * lamella + 0.6 * wall),
        "polarity_kHz": polarity + 0.2 * lamella,
        "drift_kHz": 0.38 + 0.12 * smooth(0.06) + 0.12 * smooth(0.015),
    }


def draw_truth(seed: int, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Mechanism fractions and loop parameters of every pixel.

    Parameters
    ----------
    seed : int
        Not negative.
    shape : tuple of int
        Rows and columns of the scan.

    Returns
    -------
    dict of ndarray, shape `shape`
        Fractions (`MECHANISMS`) and loop parameters: `coercive_V` and `imprint_V` (c loops
        switch at imprint ± coercive), `width_V` (of the switching step), `saturation` (c loops
        reach about this far either way, arb. u.), `offset` (arb. u.), `base_resonance_kHz` (at
        zero bias), `softening_kHz` (of a c loop, halfway through switching), `polarity_kHz`
        (half of up state less down state), `drift_kHz` (over the cycle).
    """
    rng = np.random.default_rng((seed, 0))
    band, stripe = band_coordinates(rng, shape)
    fractions = mechanism_fractions(rng, band, stripe)
    smooth = partial(smooth_field, rng, shape)
    tip, lines = line_field(rng, shape), line_field(rng, shape)
    return {
        **fractions,
        "coercive_V": 8.2 + 0.55 * smooth(0.15) + 0.2 * smooth(0.045) + 0.2 * lines,
        "imprint_V": 0.75 + 0.45 * smooth(0.15) + 0.15 * smooth(0.045) - 0.35 * tip,
        "width_V": 1.6 * np.exp(0.06 * smooth(0.1) + 0.08 * smooth(0.03) + 0.08 * lines),
        "saturation": 1.02e-4 * np.exp(0.045 * smooth(0.2) + 0.02 * lines),
        "offset": 1e-6 * (-9.0 * fractions["c"] + 7.5 * tip + 5.0 * smooth(0.2)),
        **resonance_parameters(rng, band, stripe, fractions["c"]),
    }

"""From band-excitation spectra to loops: oscillator fit, optimum phase rotation, and a bridge where fits failed.

A tip in contact answers a band of frequencies as a simple harmonic oscillator,

    H(ω) = A exp(iφ) ω₀² / (ω² − i ω ω₀/Q − ω₀²)

(Jesse et al., Nanotechnology 18, 435503 (2007); Jesse & Kalinin, J. Phys. D 44, 464006 (2011)). With γ = ω₀/Q,
u = 1/(ω² − ω₀² − i ω γ) and c = A exp(iφ) ω₀², H = c u: the complex c follows from the other two by linear least
squares, so that only ω₀² and γ are searched for (variable projection, Golub & Pereyra, SIAM J. Numer. Anal. 10, 413
(1973)).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np

LEAST_QUALITY, MOST_QUALITY = 5.0, 2000.0
START_QUALITIES = (15.0, 50.0, 150.0, 500.0)
THREADS = 2
SPECTRA_A_BATCH = 512  # small enough for a processor's cache
MOST_ITERATIONS = 25
TOLERANCE = 1e-9  # relative decrease of the sum of squares


@dataclass(frozen=True)
class SHOFit:
    """Oscillators fitted to spectra of shape (..., bins), such as (pixels, steps, bins), in arrays of shape (...)."""

    amplitude: np.ndarray  # A, in the unit of the spectra
    phase: np.ndarray  # φ in rad, within (−π, π]
    frequency: np.ndarray  # ω₀ / 2π, in the unit of the frequencies given
    quality: np.ndarray  # Q
    r2: np.ndarray  # share of the variance of the complex spectrum that the fit explains; at most 1


def sho_response(frequency: np.ndarray, amplitude: np.ndarray, phase: np.ndarray,
                 resonance: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Response of a simple harmonic oscillator (equation in the module's docstring).

    Parameters
    ----------
    frequency : ndarray, shape (bins,)
    amplitude, phase, resonance, quality : ndarray, shape (...)
        A, φ (rad), ω₀ / 2π (unit of `frequency`) and Q.

    Returns
    -------
    ndarray of complex, shape (..., bins)
        Its modulus at the resonance is A Q.
    """
    resonance, quality = (np.asarray(x, float)[..., None] for x in (resonance, quality))
    scale = (np.asarray(amplitude) * np.exp(1j * np.asarray(phase)))[..., None] * resonance**2
    return scale / ((frequency - resonance) * (frequency + resonance) - 1j * frequency * resonance / quality)


def fit_sho(spectra: np.ndarray, frequency: np.ndarray) -> SHOFit:
    """Least-squares oscillator of every spectrum, in arrays of shape (...).

    Start values are the best of a grid of oscillators (every frequency of the band, four
    quality factors); a damped Gauss-Newton search in ω₀² and γ follows, side by side for all.

    Parameters
    ----------
    spectra : ndarray of complex, shape (..., bins)
        A spectrum with a NaN or infinity, or of zeros alone, gives NaN throughout.
    frequency : ndarray, shape (bins,)
        Positive and rising; the resonance is sought within this band.

    Raises
    ------
    ValueError
        If the shapes do not fit, there are fewer than 5 bins, or `frequency` does not rise from above 0.
    """
    frequency = np.asarray(frequency, float)
    bins = frequency.size
    if frequency.ndim != 1 or bins < 5 or frequency[0] <= 0 or not (np.diff(frequency) > 0).all():
        raise ValueError(f"frequency has shape {frequency.shape}, expected 5 or more positive, rising "
                         "values; give the frequency of each bin once, in order.")
    if np.shape(spectra)[-1:] != (bins,):
        raise ValueError(f"spectra have shape {np.shape(spectra)}, expected (..., {bins}) as the "
                         f"{bins} frequencies; put the bins on the last axis.")
    flat = np.asarray(spectra).reshape(-1, bins)
    centre = frequency.mean()
    w = frequency / centre
    templates = _templates(w)
    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(lambda i: _fit_batch(flat[i:i + SPECTRA_A_BATCH], w, templates),
                              range(0, len(flat), SPECTRA_A_BATCH)))
    found = np.concatenate(parts) if parts else np.empty((0, len(fields(SHOFit))))
    found[:, 2] *= centre
    return SHOFit(*np.moveaxis(found.reshape(*np.shape(spectra)[:-1], found.shape[1]), -1, 0))


def _templates(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Oscillators (bins, n) of unit norm, complex64, and their (ω₀², γ), shape (n, 2)."""
    resonance, quality = (x.ravel() for x in np.meshgrid(w, START_QUALITIES))
    shapes = sho_response(w, np.ones_like(resonance), 0, resonance, quality)
    shapes /= np.linalg.norm(shapes, axis=-1, keepdims=True)
    return shapes.conj().T.astype("complex64"), np.stack([resonance**2, resonance / quality], 1)


def _fit_batch(spectra: np.ndarray, w: np.ndarray, templates: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Fit (n, bins) in units of the band's centre; columns as the fields of SHOFit."""
    result = np.full((len(spectra), len(fields(SHOFit))), np.nan)
    scale = np.abs(spectra).max(axis=1)
    usable = np.isfinite(scale) & (scale > 0)
    if not usable.any():
        return result
    y = (spectra[usable] / scale[usable, None]).astype("complex128")
    score = y.astype("complex64") @ templates[0]
    best = templates[1][(score.real**2 + score.imag**2).argmax(axis=1)]
    fitted = _summary(y, w, _search(y, w, best))
    fitted[:, 0] *= scale[usable]
    result[usable] = fitted
    return result


def _within(parameters: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(ω₀², γ) moved into the band and the bounds of Q."""
    squared = np.clip(parameters[:, 0], w[0] ** 2, w[-1] ** 2)
    resonance = np.sqrt(squared)
    return np.stack([squared, np.clip(parameters[:, 1], resonance / MOST_QUALITY, resonance / LEAST_QUALITY)], axis=1)


def _shape(w: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """u of every (ω₀², γ), shape (n, bins)."""
    return 1 / (w**2 - parameters[:, :1] - 1j * w * parameters[:, 1:])


def _explained(y: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best c, Σ|u|² and the sum of squares that c u explains."""
    power = np.einsum("nb,nb->n", u.real, u.real) + np.einsum("nb,nb->n", u.imag, u.imag)
    c = np.einsum("nb,nb->n", u.conj(), y) / power
    return c, power, (c.real**2 + c.imag**2) * power


def _step(y: np.ndarray, w: np.ndarray, u: np.ndarray, c: np.ndarray,
          power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Newton matrix (n, 2, 2) and gradient (n, 2) in (ω₀², γ), c eliminated.

    ∂H/∂ω₀² = c u² and ∂H/∂γ = i ω c u² are orthogonal; only their parts along u couple them.
    """
    squared = (c[:, None] * u) * u
    residual = y - c[:, None] * u
    size = squared.real**2 + squared.imag**2
    along = np.einsum("nb,nb->n", u.conj(), squared), 1j * np.einsum("nb,nb,b->n", u.conj(), squared, w)
    overlap = squared.conj() * residual
    gradient = np.stack([overlap.real.sum(axis=1), overlap.imag @ w], axis=1)
    matrix = np.empty((len(y), 2, 2))
    matrix[:, 0, 0] = size.sum(axis=1) - np.abs(along[0]) ** 2 / power
    matrix[:, 1, 1] = size @ w**2 - np.abs(along[1]) ** 2 / power
    matrix[:, 0, 1] = matrix[:, 1, 0] = -(along[0].conj() * along[1]).real / power
    return matrix, gradient


def _search(y: np.ndarray, w: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Levenberg-Marquardt over (ω₀², γ) for all spectra; those that have settled drop out."""
    parameters = _within(parameters, w)
    total = np.einsum("nb,nb->n", y.conj(), y).real
    damping = np.full(len(y), 1e-3)
    active = np.arange(len(y))
    u = _shape(w, parameters)
    c, power, explained = _explained(y, u)
    for _ in range(MOST_ITERATIONS):
        matrix, gradient = _step(y[active], w, u, c, power)
        diagonal = matrix[:, [0, 1], [0, 1]] * (1 + damping[active, None])
        determinant = diagonal[:, 0] * diagonal[:, 1] - matrix[:, 0, 1] ** 2
        move = (diagonal[:, ::-1] * gradient - matrix[:, :1, 1] * gradient[:, ::-1]) / determinant[:, None]
        trial = _within(parameters[active] + np.nan_to_num(move), w)
        trial_u = _shape(w, trial)
        trial_c, trial_power, trial_explained = _explained(y[active], trial_u)
        better = trial_explained >= explained
        parameters[active[better]] = trial[better]
        damping[active] = np.where(better, damping[active] * 0.1, damping[active] * 10)
        gain = trial_explained - explained
        going = (gain > TOLERANCE * (total[active] - explained)) | (~better & (damping[active] < 1e6))
        choose = better[:, None]
        u = np.where(choose, trial_u, u)[going]
        c, power, explained = (np.where(better, new, old)[going] for new, old in (
            (trial_c, c), (trial_power, power), (trial_explained, explained)))
        active = active[going]
        if not len(active):
            break
    return parameters


def _summary(y: np.ndarray, w: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """A, φ, ω₀, Q and R², shape (n, 5)."""
    c, _, explained = _explained(y, _shape(w, parameters))
    resonance = np.sqrt(parameters[:, 0])
    centred = y - y.mean(axis=1, keepdims=True)
    left = np.maximum(np.einsum("nb,nb->n", y.conj(), y).real - explained, 0)
    r2 = 1 - left / np.maximum(np.einsum("nb,nb->n", centred.conj(), centred).real, np.finfo(float).tiny)
    return np.column_stack([np.abs(c) / parameters[:, 0], np.angle(c), resonance, resonance / parameters[:, 1], r2])


def optimum_rotation(amplitude: np.ndarray, phase: np.ndarray, voltage: np.ndarray) -> float:
    """θ (rad, within (−π, π]) that turns the switching of a scan into P = A cos(φ + θ) (paper, section 2).

    The loops A exp(iφ), each less its mean, are turned so that their largest variance lies along the real axis,
    and so that P rises with the voltage; of a complex response no jump of φ by 2π matters. One θ serves the scan,
    because the phase that electronics add is one; a θ a pixel would lose the sign of those that do not switch.

    Parameters
    ----------
    amplitude, phase : ndarray, shape (..., steps)
        A and φ (rad); points that are NaN are left out.
    voltage : ndarray, shape (steps,)

    Raises
    ------
    ValueError
        If no response varies, so that no direction is preferred.
    """
    response = np.asarray(amplitude) * np.exp(1j * np.asarray(phase))
    count = np.maximum(np.isfinite(response).sum(axis=-1, keepdims=True), 1)
    change = np.nan_to_num(response - np.nansum(response, axis=-1, keepdims=True) / count)
    second = (change**2).sum()
    if not np.abs(second) > 0:
        raise ValueError("the response A exp(iφ) has no direction of largest variance; expected loops "
                         "that switch; check that amplitude and phase belong together.")
    theta = -np.angle(second) / 2
    rising = ((change * np.exp(1j * theta)).real * (voltage - np.mean(voltage))).sum() >= 0
    return float(np.angle(np.exp(1j * (theta if rising else theta + np.pi))))


def piezoresponse(amplitude: np.ndarray, phase: np.ndarray, theta: float) -> np.ndarray:
    """P = A cos(φ + θ), in the unit of A; any shape to the same shape."""
    return amplitude * np.cos(phase + theta)


def interpolated(cube: np.ndarray, bad: np.ndarray, closed: bool) -> np.ndarray:
    """A copy of (..., steps) whose bad points lie on the line between their nearest valid neighbours; 0 without one.

    Where the first step does not follow the last (not `closed`), ends repeat the nearest valid value.
    """
    filled, steps = np.array(cube, dtype=float), np.arange(cube.shape[-1])
    for pixel in zip(*np.nonzero(bad.any(axis=-1)), strict=True):
        wrong, loop = bad[pixel], filled[pixel]
        good = steps[~wrong]
        loop[wrong] = np.interp(steps[wrong], good, loop[good],
                                period=len(steps) if closed else None) if len(good) else 0
    return filled

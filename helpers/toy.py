"""The toy benchmark: a spectrum of 25 time steps for every colour.

The three colour channels are the known truth: R moves a step up, G a bent line, and
B a step down. A model that disentangles the spectra finds these three again.
"""

import numpy as np
from scipy.special import expit

# Klambauer et al., NeurIPS 2017, equation 14: the fixed point at mean 0, variance 1.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def time_steps(n: int = 25) -> np.ndarray:
    """Equally spaced time steps from -1 to 1, both ends included.

    Parameters
    ----------
    n : int
        Number of steps; the paper has 25.

    Returns
    -------
    ndarray, shape (n,)
        Time (dimensionless).

    Raises
    ------
    ValueError
        If `n` is less than 2.

    Notes
    -----
    The paper does not give the interval; [-1, 1] stands only in its original code.
    """
    if n < 2:
        raise ValueError(f"n is {n}, but an interval has at least 2 time steps; "
                         "leave n out for the 25 of the paper.")
    return np.linspace(-1.0, 1.0, n)


def selu(x: np.ndarray) -> np.ndarray:
    """Scaled exponential linear unit, any shape to the same shape."""
    # The minimum keeps expm1 from overflowing where the linear branch is taken.
    negative = SELU_ALPHA * np.expm1(np.minimum(x, 0.0))
    return SELU_SCALE * np.where(x > 0, x, negative)


def _checked_rgb(rgb: np.ndarray) -> np.ndarray:
    """`rgb` as float64, or a ValueError that says what is wrong with it."""
    rgb = np.asarray(rgb, dtype=float)
    if rgb.ndim == 0 or rgb.shape[-1] != 3:
        raise ValueError(f"rgb has shape {rgb.shape}, expected (..., 3); "
                         "put R, G and B on the last axis.")
    inside = (rgb >= 0) & (rgb <= 1)
    if not inside.all():
        raise ValueError(f"rgb holds {rgb[~inside][0]}, expected finite values in "
                         "[0, 1]; divide 8-bit colours by 255.")
    return rgb


def spectra(rgb: np.ndarray, t: np.ndarray | None = None) -> np.ndarray:
    """Spectrum of every colour, the function f(t; R, G, B) of the paper.

    f = tanh(20 [t - 2(R - 0.5)]) + SELU(t - 2(G - 0.5)) + sigmoid(-20 [t - (B - 0.5)])

    R and G move their features over the whole interval of t, B over half of it: the
    factor 2 is absent from the last term in the paper too.

    Parameters
    ----------
    rgb : array_like, shape (..., 3)
        Colours in [0, 1]; a list of colours (n, 3) or a painting (rows, columns, 3).
    t : array_like, shape (n_steps,), optional
        Time steps (dimensionless), by default `time_steps()`.

    Returns
    -------
    ndarray, shape (..., n_steps)
        Response (dimensionless, not standardised).

    Raises
    ------
    ValueError
        If the last axis of `rgb` is not 3, a value lies outside [0, 1] or is not
        finite, or `t` is not one-dimensional.
    """
    red, green, blue = np.moveaxis(_checked_rgb(rgb)[..., None], -2, 0)
    t = time_steps() if t is None else np.asarray(t, dtype=float)
    if t.ndim != 1:
        raise ValueError(f"t has shape {t.shape}, expected (n_steps,); "
                         "give one list of time steps for all colours.")
    step_up = np.tanh(20 * (t - 2 * (red - 0.5)))
    bend = selu(t - 2 * (green - 0.5))
    step_down = expit(-20 * (t - (blue - 0.5)))
    return step_up + bend + step_down


def sample_rgb(n: int, seed: int, stream: str = "training") -> np.ndarray:
    """Colours drawn uniformly from the RGB cube.

    The paper trains on 10 000 of them. Validation on the full gamut takes another
    stream of the same seed, ``sample_rgb(n, seed, "gamut")``: each (seed, stream)
    seeds its own generator, so streams are statistically independent and neither
    depends on how many colours the other drew.

    Parameters
    ----------
    n : int
        Number of colours, at least 1.
    seed : int
        Seed of the run, 0 or more.
    stream : str
        What the colours are for, such as "training" or "gamut".

    Returns
    -------
    ndarray, shape (n, 3)
        R, G, B in [0, 1).

    Raises
    ------
    ValueError
        If `n` is less than 1 or `seed` is negative.
    """
    if n < 1 or seed < 0:
        raise ValueError(f"n is {n} and seed is {seed}, expected n of at least 1 and "
                         "seed of at least 0; change the one that is too small.")
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(stream.encode()))
    return np.random.default_rng(sequence).random((n, 3))

"""Points far off their neighbours or their pixel's fellows, and how much of the variance they hold."""

import warnings
from collections.abc import Mapping

import numpy as np

from helpers.scans.formats import DataError

SUSPECT_SD = 20  # standard deviations of the noise
EXTREMES = 1000  # the extreme one point in so many
MOST_IN_EXTREMES = 0.2  # share of the variance; measured loops hold 0.3 % and 2 % there, Gaussian noise 1 %


def closes(voltage_V: np.ndarray) -> bool:
    """Whether the drive ends where it began, to within a step and a half."""
    steps = np.abs(np.diff(voltage_V))
    return bool(np.abs(voltage_V[-1] - voltage_V[0]) <= 1.5 * np.median(steps))


def outlier_excess(cube: np.ndarray, closed: bool) -> np.ndarray:
    """How far each point of (..., steps), all finite, lies outside what its neighbours along the drive span; 0 within.

    Of the four neighbours within two steps the outer two values are dropped, so that neither one wrong neighbour nor a
    single sharp step of a switching loop counts. `closed` tells whether the first step follows the last.
    """
    ends = [(0, 0)] * (cube.ndim - 1) + [(2, 2)]
    padded = np.pad(cube, ends, mode="wrap" if closed else "reflect")
    before, after = ([padded[..., k:k + cube.shape[-1]] for k in pair] for pair in ((0, 1), (3, 4)))
    inner = np.maximum(np.minimum(*before), np.minimum(*after)), np.minimum(np.maximum(*before), np.maximum(*after))
    return np.maximum(np.maximum(np.minimum(*inner) - cube, cube - np.maximum(*inner)), 0)


def distance(cube: np.ndarray) -> np.ndarray:
    """How far each point of (rows, columns, steps) lies from the median of all pixels at its step.

    In robust standard deviations of the pixels. NaN is passed over; of fewer than nine pixels nothing is said (0).
    """
    if cube.shape[0] * cube.shape[1] < 9:
        return np.zeros(cube.shape)
    finite = np.where(np.isfinite(cube), cube, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a step at which nothing was measured
        off = np.abs(finite - np.nanmedian(finite, axis=(0, 1)))
        spread = 1.4826 * np.nanmedian(off, axis=(0, 1))
        spread = np.maximum(spread, np.nanmedian(spread))
    return np.nan_to_num(np.divide(off, spread, out=np.zeros(cube.shape), where=spread > 0))


def pixel_noise(cube: np.ndarray) -> np.ndarray:
    """Standard deviation of the white noise of each loop of (..., steps), from its second differences, shape (...).

    Robust (median), and not below its median over pixels: collinear points do not make a loop free of noise.
    """
    noise = np.median(np.abs(np.diff(cube, 2, axis=-1)), axis=-1) / 0.6745 / np.sqrt(6)
    return np.maximum(noise, np.median(noise))


def remaining_outliers(channels: Mapping[str, np.ndarray], voltage_V: np.ndarray, repaired: bool = False) -> list[str]:
    """A sentence for each channel, (rows, columns, steps) of finite values, with points far off their neighbours.

    Where outliers were `repaired`, it tells what is left of them.
    """
    closed = closes(voltage_V)
    rest = "left after the repair" if repaired else "left as they are (CLEAN=outliers=10 repairs them)"
    counts = {name: int((outlier_excess(cube, closed) > SUSPECT_SD * pixel_noise(cube)[..., None]).sum())
              for name, cube in channels.items()}
    return [f"points of {name} more than {SUSPECT_SD} standard deviations of the noise off their neighbours: {count}, "
            f"{rest}" for name, count in counts.items() if count]


def variance_in_extremes(cube: np.ndarray) -> float:
    """Share of the variance of finite values that the extreme thousandth of the points holds."""
    off = np.square(cube - cube.mean()).ravel()
    few = max(1, off.size // EXTREMES)
    total = off.sum()
    return float(np.partition(off, -few)[-few:].sum() / total) if total else 0.0


def check_tails(scan) -> None:
    """Refuse a `Scan` whose variance failed fits hold; the DataError names the setting that repairs it."""
    repaired = scan.cleaning is not None and any(counts["outliers"] for counts in scan.cleaning.counts().values())
    if found := heavy_tails(scan.channels, scan.usable.reshape(scan.shape), repaired):
        raise DataError(f"{scan.path}: {found}")


def heavy_tails(channels: Mapping[str, np.ndarray], usable: np.ndarray, repaired: bool) -> str:
    """What is wrong where failed fits hold the variance of usable pixels, and what repairs it; else nothing."""
    shares = {name: variance_in_extremes(cube[usable]) for name, cube in channels.items()}
    worst = max(shares, key=shares.get)
    if shares[worst] <= MOST_IN_EXTREMES:
        return ""
    values, name = channels[worst][usable], worst.removesuffix("_kHz")
    middle, spread = np.median(values), 1.4826 * np.median(np.abs(values - np.median(values)))
    asked = f"CLEAN={name}={middle - 10 * spread:.2g}:{middle + 10 * spread:.2g}" if repaired else "CLEAN=outliers=10"
    return (f"one point in {EXTREMES} holds {shares[worst]:.0%} of the variance of the {name}, as failed fits do: "
            f"expected at most {MOST_IN_EXTREMES:.0%}; {asked} repairs them")

"""Points of loops that cannot be right: found by stated rules, interpolated, and reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

KEPT, MISSING, OUT_OF_RANGE, OUTLIER = range(4)
SUSPECT_SD = 20  # standard deviations of the noise
RULES = {MISSING: "missing", OUT_OF_RANGE: "out of range", OUTLIER: "outliers"}


@dataclass(frozen=True)
class Cleaning:
    """What is taken for wrong, and when a pixel is given up; the default repairs NaN and Inf.

    Attributes
    ----------
    missing : bool
        Whether NaN and infinite values are interpolated.
    valid_range : mapping of str to (float, float)
        Smallest and largest credible value of a channel, ``{"resonance_kHz": (1300, 1340)}``;
        a channel that is not named is not filtered.
    outlier_sd : float
        A point this many standard deviations of the noise of its pixel away from what its two
        neighbours on either side span is an outlier; 0 looks for none. Between 8 and 20 leaves
        sharp switching alone.
    longest_gap, largest_share : int, float
        Steps in a row, and share of a loop, up to which flagged points are interpolated; a
        pixel with more is beyond repair.
    """

    missing: bool = True
    valid_range: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    outlier_sd: float = 0.0
    longest_gap: int = 6
    largest_share: float = 0.25


OFF = Cleaning(missing=False)


class NothingLeftError(ValueError):
    """Every pixel is beyond repair."""


@dataclass(frozen=True)
class Report:
    """What was done to a scan.

    Attributes
    ----------
    flags : dict of str to ndarray of uint8, shape (rows, columns, steps)
        By channel: 0 for a value kept as it was, else MISSING, OUT_OF_RANGE or OUTLIER.
    unusable : ndarray of bool, shape (rows, columns)
        Pixels beyond repair. Their loops are placeholders, the median loop of the others.
    """

    flags: dict[str, np.ndarray]
    unusable: np.ndarray

    @property
    def map(self) -> np.ndarray:
        """Flagged points of each pixel over all channels, shape (rows, columns)."""
        return sum((flag != KEPT).sum(axis=-1) for flag in self.flags.values())

    def counts(self) -> dict[str, dict[str, int]]:
        """Points flagged by each rule, by channel."""
        return {channel: {name: int((flag == rule).sum()) for rule, name in RULES.items()}
                for channel, flag in self.flags.items()}

    def __str__(self) -> str:
        found = [f"{n} {name} of {channel}" for channel, counts in self.counts().items()
                 for name, n in counts.items() if n]
        if not found:
            return "Cleaning changed nothing."
        pixels = int((self.map > 0).sum())
        lost = int(self.unusable.sum())
        return (f"Cleaning: {', '.join(found)}, in {pixels} pixel{'s' * (pixels != 1)}; interpolated along "
                f"the drive, {lost or 'no'} pixel{'s' * (lost != 1)} beyond repair and masked.")


def clean(channels: Mapping[str, np.ndarray], voltage_V: np.ndarray, rules: Cleaning | None = None
          ) -> tuple[dict[str, np.ndarray], Report]:
    """Flag, interpolate and mask; the arrays given stay as they are.

    A channel without a flagged point is returned equal. An unmeasurable pixel of one channel is
    masked in all, since a spectrum is used whole.

    Parameters
    ----------
    channels : mapping of str to ndarray, shape (rows, columns, steps)
    voltage_V : ndarray, shape (steps,)
        Tells whether the last step meets the first, so that neighbours reach across the end.
    rules : Cleaning, optional

    Returns
    -------
    dict of str to ndarray, shape (rows, columns, steps)
    Report

    Raises
    ------
    ValueError
        If `rules` name a channel that is not there or a range that is empty.
    NothingLeftError
        If every pixel is beyond repair.
    """
    rules = rules or Cleaning()
    _check_rules(rules, channels)
    closed = _closes(voltage_V)
    flags = {name: _flags(name, cube, rules, closed) for name, cube in channels.items()}
    unusable = np.any([_beyond_repair(flag != KEPT, rules, closed) for flag in flags.values()], axis=0)
    if unusable.all():
        raise NothingLeftError("every pixel is beyond repair by the rules of cleaning: expected most points to be "
                         "finite and in range; correct the file or widen the rules")
    cleaned = {name: _repaired(cube, flags[name] != KEPT, unusable, closed)
               for name, cube in channels.items()}
    return cleaned, Report(flags, unusable)


def _check_rules(rules: Cleaning, channels: Mapping[str, np.ndarray]) -> None:
    for name, limits in rules.valid_range.items():
        if name not in channels:
            raise ValueError(f"valid_range names the channel {name}: expected one of {', '.join(channels)}; "
                             "correct the name")
        if not limits[0] < limits[1]:
            raise ValueError(f"valid_range of {name} is {limits}: expected a smaller value before a larger; "
                             "exchange or correct them")


def _closes(voltage_V: np.ndarray) -> bool:
    """Whether the drive ends where it began, to within a step and a half."""
    steps = np.abs(np.diff(voltage_V))
    return bool(np.abs(voltage_V[-1] - voltage_V[0]) <= 1.5 * np.median(steps))


def _flags(name: str, cube: np.ndarray, rules: Cleaning, closed: bool) -> np.ndarray:
    flags = np.zeros(cube.shape, "uint8")
    if rules.missing:
        flags[~np.isfinite(cube)] = MISSING
    if name in rules.valid_range:
        low, high = rules.valid_range[name]
        flags[np.isfinite(cube) & ((cube < low) | (cube > high))] = OUT_OF_RANGE
    if rules.outlier_sd > 0:
        # Bridged first, so that a missing point does not hide what is wrong beside it.
        bridged = interpolated(cube, (flags != KEPT) | ~np.isfinite(cube), closed)
        excess, noise = outlier_excess(bridged, closed), pixel_noise(bridged)
        flags[(flags == KEPT) & (excess > rules.outlier_sd * noise[..., None])] = OUTLIER
    return flags


def outlier_excess(cube: np.ndarray, closed: bool) -> np.ndarray:
    """How far each point lies outside what its neighbours along the drive span.

    Of the four neighbours within two steps the outer two values are dropped, so that neither one
    wrong neighbour nor a single sharp step of a switching loop counts.

    Parameters
    ----------
    cube : ndarray, shape (..., steps)
        Finite values.
    closed : bool
        Whether the first step follows the last.

    Returns
    -------
    ndarray, shape (..., steps)
        0 within the span, else the distance from it, in the unit of `cube`.
    """
    ends = [(0, 0)] * (cube.ndim - 1) + [(2, 2)]
    padded = np.pad(cube, ends, mode="wrap" if closed else "reflect")
    steps = cube.shape[-1]
    before, after = ([padded[..., k:k + steps] for k in pair] for pair in ((0, 1), (3, 4)))
    inner = np.maximum(np.minimum(*before), np.minimum(*after)), np.minimum(np.maximum(*before), np.maximum(*after))
    return np.maximum(np.maximum(np.minimum(*inner) - cube, cube - np.maximum(*inner)), 0)


def pixel_noise(cube: np.ndarray) -> np.ndarray:
    """Standard deviation of the white noise of each loop, from its second differences.

    Robust (median), and not below its median over pixels: a loop of collinear points is not
    taken for one free of noise.

    Returns
    -------
    ndarray, shape (...)
        In the unit of `cube` of shape (..., steps).
    """
    noise = np.median(np.abs(np.diff(cube, 2, axis=-1)), axis=-1) / 0.6745 / np.sqrt(6)
    return np.maximum(noise, np.median(noise))


def remaining_outliers(channels: Mapping[str, np.ndarray], voltage_V: np.ndarray) -> list[str]:
    """A sentence for each channel with points more than SUSPECT_SD standard deviations of the noise off.

    Parameters
    ----------
    channels : mapping of str to ndarray, shape (rows, columns, steps)
        Finite values.
    voltage_V : ndarray, shape (steps,)
    """
    closed = _closes(voltage_V)
    counts = {name: int((outlier_excess(cube, closed) > SUSPECT_SD * pixel_noise(cube)[..., None]).sum())
              for name, cube in channels.items()}
    return [f"points of {name} more than {SUSPECT_SD} standard deviations of the noise off their neighbours: {count}, "
            "left as they are (`outlier_sd` repairs them)" for name, count in counts.items() if count]


def _beyond_repair(bad: np.ndarray, rules: Cleaning, closed: bool) -> np.ndarray:
    steps = bad.shape[-1]
    reach = rules.longest_gap + 1
    around = np.concatenate([bad, bad[..., :reach - 1]], axis=-1) if closed else bad
    ahead = np.cumsum(np.concatenate([np.zeros_like(around[..., :1], int), around], axis=-1), axis=-1)
    gap = (ahead[..., reach:] - ahead[..., :-reach] == reach).any(axis=-1)
    return gap | (bad.sum(axis=-1) > rules.largest_share * steps)


def interpolated(cube: np.ndarray, bad: np.ndarray, closed: bool) -> np.ndarray:
    """Points replaced by the straight line between their nearest valid neighbours.

    Parameters
    ----------
    cube : ndarray, shape (..., steps)
    bad : ndarray of bool, shape (..., steps)
        Loops without a valid point become 0.
    closed : bool
        Whether the first step follows the last; otherwise ends repeat the nearest valid value.

    Returns
    -------
    ndarray, shape (..., steps)
        A copy.
    """
    filled = np.array(cube, dtype=float)
    steps = np.arange(cube.shape[-1])
    for pixel in zip(*np.nonzero(bad.any(axis=-1)), strict=True):
        wrong, loop = bad[pixel], filled[pixel]
        good = steps[~wrong]
        loop[wrong] = np.interp(steps[wrong], good, loop[good],
                                period=len(steps) if closed else None) if len(good) else 0
    return filled


def _repaired(cube: np.ndarray, bad: np.ndarray, unusable: np.ndarray, closed: bool) -> np.ndarray:
    repaired = interpolated(cube, bad, closed)
    if unusable.any():
        repaired[unusable] = np.median(repaired[~unusable], axis=0)
    return repaired

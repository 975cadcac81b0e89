"""One cycle of the drive, closed, and what of it was measured."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from helpers.loops import SLOPE_STEPS
from helpers.scans.formats import DataError, Loops

FILLS = (-999.0, -9999.0, -99999.0, 9999.0, 99999.0, 1e20, 1e30, 1e36, 1e37, -1e30, 9.969209968386869e36,
         -32768.0, -2147483648.0)
SEAM_RATIO = 6  # of the jump at a seam to that at any other step
MOST_BETWEEN_READINGS = 0.05  # of the range of the median loop
SHORTEST_TAIL = 7  # steps; one more than cleaning would bridge


def one_cycle(path: Path, loops: Loops, cycle: int | None) -> Loops:
    """The chosen cycle of loops whose drive repeats, one reading a step; the last whole one where none is chosen."""
    loops = replace(loops, voltage_V=np.asarray(loops.voltage_V, float))
    if loops.piezoresponse.shape[-1:] != loops.voltage_V.shape or not np.isfinite(loops.voltage_V).all():
        return loops
    loops = _one_reading(loops)
    period = _period(loops.voltage_V)
    number, left = divmod(len(loops.voltage_V), period)
    if number < 2:
        if len(loops.cycles) == 1 and cycle not in (None, 1, loops.cycles[0]):
            raise DataError(f"{path} holds one cycle, and no cycle {cycle}: expected no choice of cycle; leave it out")
        return loops
    chosen = number if cycle is None else cycle
    if not 1 <= chosen <= number:
        raise DataError(f"{path} has no cycle {cycle}: expected one of 1 to {number}; correct the choice")
    said = (f"cycle {chosen} of {number}", f"the last {left} steps are no whole cycle and are left out")
    part = np.s_[..., (chosen - 1) * period:chosen * period]
    return replace(_steps(loops, lambda cube: cube[part], *said[:1 + bool(left)]), cycles=tuple(range(1, number + 1)))


def _steps(loops: Loops, taken: Callable[[np.ndarray], np.ndarray], *said: str) -> Loops:
    """Loops of which some steps are taken, in every array along the drive."""
    cubes = {name: getattr(loops, name) for name in ("piezoresponse", "resonance_kHz", "r2", "voltage_V")}
    return replace(loops, **{name: taken(cube) for name, cube in cubes.items() if cube is not None},
                   notes=(*loops.notes, *said))


def _one_reading(loops: Loops) -> Loops:
    """The mean of the readings where each voltage was read several times in a row."""
    starts = np.flatnonzero(np.diff(loops.voltage_V, prepend=np.nan))
    readings = len(loops.voltage_V) // max(1, len(starts))
    if readings < 2 or not np.array_equal(starts, np.arange(0, len(loops.voltage_V), readings)):
        return loops
    said = [f"{readings} readings at each step averaged"]
    each = loops.piezoresponse.reshape(-1, len(starts), readings)
    each = each[np.isfinite(each).all(axis=(1, 2))]
    middle = np.median(each, axis=0) if len(each) else np.zeros((1, 1))  # of pixels, so that noise is not in it
    if (share := np.ptp(middle, axis=-1).mean() / (np.ptp(middle) or 1)) > MOST_BETWEEN_READINGS:
        said.append(f"questionable: the readings at a step differ by {share:.0%} of the loop, as those in and out of "
                    "the field do; store those of one field alone")
    return _steps(loops, lambda cube: cube.reshape(*cube.shape[:-1], -1, readings).mean(axis=-1), *said)


def _period(voltage_V: np.ndarray) -> int:
    """Steps after which the drive repeats itself; all of them where it does not."""
    steps = np.abs(np.diff(voltage_V))
    near = 0.5 * np.median(steps[steps > 0]) if steps.any() else 0
    return next((period for period in range(2 * SLOPE_STEPS, len(voltage_V) // 2 + 1)
                 if np.abs(voltage_V[period:] - voltage_V[:-period]).max() < near), len(voltage_V))


def without_repeated_end(loops: Loops) -> Loops:
    """Loops whose last step leads to the first: one at the same voltage would count it twice."""
    voltage_V = loops.voltage_V
    if len(voltage_V) < 2 or not np.abs(voltage_V[-1] - voltage_V[0]) < 0.01 * np.median(np.abs(np.diff(voltage_V))):
        return loops
    return _steps(loops, lambda cube: cube[..., :-1],
                  f"the last step repeats the first, at {voltage_V[0]:+.2f} V, and is left out")


def check_varies(name: str, values: np.ndarray, path: Path) -> None:
    """Refuse what is the same everywhere."""
    if values.size and np.isfinite(values).all() and np.ptp(values) == 0:
        raise DataError(f"{path}: `{name}` is constant at {values.flat[0]}: expected a "
                        "measured channel; check that the right dataset was stored")


def check_drive(voltage_V: np.ndarray, path: Path) -> None:
    """Refuse a drive that is not one closed triangle, and say what else it is."""
    if count := int((~np.isfinite(voltage_V)).sum()):
        raise DataError(f"{path}: `voltage` holds {count} NaN or infinite values: expected finite numbers; "
                        "interpolate or remove them first")
    check_varies("voltage", voltage_V, path)
    if any((voltage_V[k::2] == 0).all() for k in (0, 1)):
        raise DataError(f"{path}: every other `voltage` is 0, the offset while the field is off: expected that of the "
                        "pulse at each step; store the readings of one field, with the voltage of the pulses")
    rising = np.diff(voltage_V, append=voltage_V[:1])
    jump = np.abs(rising[-1])
    if jump > 3 * np.median(np.abs(rising[:-1])) and np.count_nonzero(np.diff(np.sign(rising[:-1]))) < 3:
        raise DataError(f"{path}: `voltage` is not one triangular sweep: it ends at {voltage_V[-1]:+.3g} V and "
                        f"began at {voltage_V[0]:+.3g} V, a fraction of a cycle; expected one that closes; store a "
                        "whole cycle")
    turns = np.count_nonzero((rising > 0) != np.roll(rising > 0, 1))
    if (rising == 0).any() or turns != 2 or min((rising > 0).sum(), (rising < 0).sum()) < SLOPE_STEPS:
        raise DataError(f"{path}: `voltage` is not one triangular sweep: expected {SLOPE_STEPS} or more rising and "
                        f"{SLOPE_STEPS} or more falling steps, each voltage once on either branch, that lead back "
                        "to the first; store one cycle alone and leave out repeated points")


def without_unmeasured(channels: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Channels (rows, columns, steps) with NaN where nothing was measured, and a note on it.

    Fill values, constant loops and constant tails were not measured. A tail is one only where its value stands nowhere
    else in the loop, or is zero: a loop may saturate.
    """
    never, left = np.zeros(next(iter(channels.values())).shape, bool), {}
    for name, cube in channels.items():
        filled = np.isin(cube, [value for value in FILLS if _is_fill(cube, value)])
        left[name] = cube = np.where(filled, np.nan, cube) if filled.any() else cube
        last = cube[..., -1:]
        same = (cube == last) | (np.isnan(cube) & np.isnan(last))
        tail = np.flip(np.logical_and.accumulate(np.flip(same, -1), axis=-1), -1)
        long = tail.sum(axis=-1) >= SHORTEST_TAIL
        alone = (same & ~tail).sum(axis=-1) == 0
        gone = tail & (long & (alone | (last[..., 0] == 0)) | tail.all(axis=-1))[..., None]
        never |= gone & ~np.isnan(cube) | filled
    if not never.any():
        return dict(channels), []
    pixels, whole = int(never.any(axis=-1).sum()), int(never.all(axis=-1).sum())
    found = [f"never measured (zero, constant or a fill value): {whole} pixel{'s' * (whole != 1)}"
             + (f", and part of {pixels - whole} more" if pixels > whole else "")]
    return {name: np.where(never, np.nan, cube) for name, cube in left.items()}, found


def _is_fill(cube: np.ndarray, value: float) -> bool:
    """Whether a value that stands for nothing measured occurs, far from all others."""
    there = cube == value
    others = cube[~there & np.isfinite(cube)] if there.any() else there[:0]
    return bool(others.size and max(others.min() - value, value - others.max()) > np.ptp(others))


def seam(loops: np.ndarray) -> tuple[int, float] | None:
    """Where a channel that drifts jumps back, since a measurement of the closed cycle began and ended there.

    Parameters
    ----------
    loops : ndarray, shape (pixels, steps)
        One channel of one closed cycle.

    Returns
    -------
    tuple of int and float, or None
        The last step of the measurement, and the jump from it to the first, in the median of the pixels: by how much
        the change exceeds the one before. None where no jump stands out: it must exceed the change before and after by
        six times what any step does that is not its neighbour; at a mere kink it equals one of the two.
    """
    change = np.roll(loops, -1, axis=1) - loops
    beyond = np.array([np.median(change - np.roll(change, side, axis=1), axis=0) for side in (1, -1)])
    jump = np.take_along_axis(beyond, np.abs(beyond).argmin(axis=0)[None], axis=0)[0]
    at = int(np.abs(jump).argmax())
    others = np.delete(np.roll(np.abs(jump), -at), [0, 1, 2, -2, -1])
    return (at, float(beyond[0, at])) if np.abs(jump[at]) > SEAM_RATIO * others.max() else None


def seam_drift(loops: np.ndarray) -> np.ndarray:
    """What a channel has drifted at each step since the measurement began, as (steps, channels): subtract it.

    The jump at the `seam` of each channel, spread evenly over the steps of the cycle, 0 in its middle; 0 throughout
    where there is no seam. Features read across a seam, as a softening on the branch that holds it, are wrong.

    Parameters
    ----------
    loops : ndarray, shape (pixels, steps, channels)
    """
    drift = np.zeros(loops.shape[1:])
    for channel, found in enumerate(map(seam, np.moveaxis(loops, -1, 0))):
        if found:
            last, jump = found
            drift[:, channel] = np.roll(np.linspace(0.5, -0.5, len(drift)) * jump, last + 1)
    return drift


def shared_interpolations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How many points are interpolated in both channels, where the second is read 0, 1, … steps later; shape (steps,).

    A point on the straight line between its neighbours, to a millionth of the range, was interpolated: both channels
    come from one fit, which failed for both, so that the largest number tells by how much the second lags. Shapes
    (pixels, steps), closed loops.
    """
    bent = (np.abs(np.roll(x, 1, axis=1) - 2 * x + np.roll(x, -1, axis=1)) for x in (first, second))
    straight = [curve < 1e-6 * np.ptp(x) for curve, x in zip(bent, (first, second), strict=True)]
    return np.array([(straight[0] & np.roll(straight[1], -lag, axis=1)).sum() for lag in range(first.shape[1])])

"""Points of loops that cannot be right: found by stated rules, interpolated, and reported."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from helpers.scans.choice import number_of, pairs
from helpers.scans.outliers import closes, distance, outlier_excess, pixel_noise
from helpers.sho import interpolated

KEPT, MISSING, OUT_OF_RANGE, OUTLIER, POOR_FIT = range(5)
PASSES = 3  # of the search for outliers
LONGEST_GAP = 6  # steps in a row that are interpolated; a pixel with more is beyond repair
LARGEST_SHARE = 0.25  # of a loop that is interpolated; a pixel with more is beyond repair
RULES = {MISSING: "missing", OUT_OF_RANGE: "out of range", OUTLIER: "outliers", POOR_FIT: "poorly fitted"}


@dataclass(frozen=True)
class Cleaning:
    """What is taken for wrong besides NaN and infinite values.

    A point is an outlier that lies `outlier_sd` standard deviations of the noise of its pixel away from what its two
    neighbours on either side span, or as many robust standard deviations of all pixels away from their median at that
    step, which finds runs of bad points. Between 8 and 20 leaves sharp switching alone.
    """

    valid_range: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # as {"resonance_kHz": (1300, 1340)}
    outlier_sd: float = 0.0  # 0 looks for none
    least_r2: float = 0.0  # points of fits with a smaller R² are poor; a fit no better than a constant always is


class NothingLeftError(ValueError):
    """Every pixel is beyond repair."""


@dataclass(frozen=True)
class Report:
    """What was done to a scan."""

    flags: dict[str, np.ndarray]  # by channel, (rows, columns, steps) of uint8: KEPT, MISSING … POOR_FIT
    unusable: np.ndarray  # pixels (rows, columns) of bool beyond repair; they hold the median loop of the others

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


def clean(channels: Mapping[str, np.ndarray], voltage_V: np.ndarray, rules: Cleaning | None = None,
          r2: np.ndarray | None = None) -> tuple[dict[str, np.ndarray], Report]:
    """Flag, interpolate and mask copies; a pixel beyond repair in one channel is masked in all.

    Parameters
    ----------
    channels : mapping of str to ndarray, shape (rows, columns, steps)
    voltage_V : ndarray, shape (steps,)
        Tells whether the last step meets the first, so that neighbours reach across the end.
    rules : Cleaning, optional
    r2 : ndarray, shape (rows, columns, steps), optional
        R² of the fit behind each point; one that is the same everywhere says nothing.
    """
    rules, closed = rules or Cleaning(), closes(voltage_V)
    for name, limits in rules.valid_range.items():
        if name not in channels:
            raise ValueError(f"valid_range names the channel {name}: expected one of {', '.join(channels)}; "
                             "correct the name")
        if not limits[0] < limits[1]:
            raise ValueError(f"valid_range of {name} is {limits}: expected a smaller value before a larger; "
                             "exchange or correct them")
    poor = None if r2 is None or np.nanmin(r2) == np.nanmax(r2) else (r2 < rules.least_r2) | (r2 <= 0)
    flags = {name: _flags(name, cube, rules, closed, poor) for name, cube in channels.items()}
    unusable = np.any([_beyond_repair(flag != KEPT, closed) for flag in flags.values()], axis=0)
    if unusable.all():
        raise NothingLeftError("every pixel is beyond repair by the rules of cleaning: expected most points to be "
                               "finite and in range; correct the file or widen the rules")
    cleaned = {name: interpolated(cube, flags[name] != KEPT, closed) for name, cube in channels.items()}
    if unusable.any():
        for cube in cleaned.values():
            cube[unusable] = np.median(cube[~unusable], axis=0)
    return cleaned, Report(flags, unusable)


def rules_of(clean: str = "", outlier_sd: object = 0, valid_range: object = None) -> Cleaning:
    """The rules that parameters name, whatever type YAML or a command line gave them.

    Parameters
    ----------
    clean : str
        Such as ``"outliers=10,resonance=1300:1340,r2=0.5"``.
    outlier_sd : float or str
    valid_range : mapping, or text of one, of channel to (lowest, highest)

    Raises
    ------
    ValueError
        If a name or a value is none.
    """
    sd, ranges, r2 = number_of("outlier_sd", outlier_sd or 0), {}, 0.0
    try:
        given = ast.literal_eval(valid_range) if isinstance(valid_range, str) and valid_range else valid_range or {}
        ranges = {str(name): (number_of(name, low), number_of(name, high)) for name, (low, high) in dict(given).items()}
    except (ValueError, TypeError, SyntaxError) as error:
        raise ValueError(f"valid_range={valid_range} is no range: expected a lowest and a highest value of a channel, "
                         "as {'resonance_kHz': (1300, 1340)}; correct it") from error
    for name, value in pairs("CLEAN", clean, "outliers=10,resonance=1300:1340"):
        low, colon, high = value.partition(":")
        if name.lower() in ("outliers", "outlier_sd"):
            sd = number_of(name, value)
        elif name.lower() in ("r2", "least_r2"):
            r2 = number_of(name, value)
        elif colon:
            ranges[{"resonance": "resonance_kHz"}.get(name, name)] = (number_of(name, low), number_of(name, high))
        else:
            raise ValueError(f"CLEAN={clean}: {name}={value} is no rule: expected outliers=10, r2=0.5 or a channel's "
                             "range such as resonance=1300:1340, with commas between; correct it")
    return Cleaning(valid_range=ranges, outlier_sd=sd, least_r2=r2)


def _flags(name: str, cube: np.ndarray, rules: Cleaning, closed: bool, poor: np.ndarray | None) -> np.ndarray:
    flags = np.where(np.isfinite(cube), KEPT, MISSING).astype("uint8")
    if poor is not None:
        flags[(flags == KEPT) & poor] = POOR_FIT
    if name in rules.valid_range:
        low, high = rules.valid_range[name]
        flags[np.isfinite(cube) & ((cube < low) | (cube > high))] = OUT_OF_RANGE
    for _ in range(PASSES if rules.outlier_sd > 0 else 0):
        # Bridged first, so that a wrong point does not hide what is wrong beside it.
        bad = flags != KEPT
        bridged = interpolated(cube, bad, closed)
        excess, noise = outlier_excess(bridged, closed), pixel_noise(bridged)
        wrong = ~bad & ((excess > rules.outlier_sd * noise[..., None]) | (distance(cube) > rules.outlier_sd))
        if not wrong.any():
            break
        flags[wrong] = OUTLIER
    return flags


def _beyond_repair(bad: np.ndarray, closed: bool) -> np.ndarray:
    around = np.concatenate([bad, bad[..., :LONGEST_GAP]], axis=-1) if closed else bad
    gap = np.lib.stride_tricks.sliding_window_view(around, LONGEST_GAP + 1, axis=-1).all(axis=-1).any(axis=-1)
    return gap | (bad.mean(axis=-1) > LARGEST_SHARE)

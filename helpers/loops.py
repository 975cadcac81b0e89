"""Physical features of switching loops: what an experimenter reads off a loop, for every pixel.

The falling branch leads from the largest to the smallest voltage and switches under negative bias; the rising branch
leads back, through the first step again, and switches under positive bias. Names end in the unit.
"""

import re
from collections.abc import Mapping

import numpy as np

SLOPE_STEPS = 5  # voltage steps to which the line is fitted that gives the slope of a branch
UNITS = {
    "coercive_negative_V": "V", "coercive_positive_V": "V", "imprint_V": "V",
    "remanent_positive_arb": "arb. u.", "remanent_negative_arb": "arb. u.", "loop_area_arb_V": "arb. u. V",
    "concavity_negative": "", "concavity_positive": "",
    "softening_negative_kHz": "kHz", "softening_positive_kHz": "kHz",
    "softening_at_negative_V": "V", "softening_at_positive_V": "V",
    "hardening_negative_kHz": "kHz", "hardening_positive_kHz": "kHz",
}


def feature_title(name: str) -> str:
    """A key of `UNITS` for readers: "softening_negative_kHz" is "softening (−)"."""
    name = re.sub("_(kHz|arb_V|arb|V)$", "", name)
    name = name.replace("softening_at", "softening_voltage")
    return name.replace("_negative", " (−)").replace("_positive", " (+)").replace("_", " ")


def loop_features(loops: np.ndarray, voltage_V: np.ndarray) -> dict[str, np.ndarray]:
    """Physical features of each loop; NaN where a loop does not have the feature.

    Parameters
    ----------
    loops : ndarray, shape (pixels, steps, channels)
        Piezoresponse (arb. u., with the sign of the polarisation) and, where there is one, contact
        resonance (kHz).
    voltage_V : ndarray, shape (steps,)
        One cycle in the order applied, started anywhere; the last step leads to the first.

    Returns
    -------
    dict of str to ndarray, shape (pixels,)
        The keys of `UNITS`; without a resonance, those of the piezoresponse alone:

        - `coercive_*_V`: where the falling (negative) and the rising branch (positive) cross
          zero piezoresponse (`crossing_V`).
        - `imprint_V`: mean of the two coercive voltages.
        - `remanent_*_arb`: piezoresponse at 0 V on the falling branch, after positive
          saturation, and on the rising branch. NaN if the sweep does not include 0 V.
        - `loop_area_arb_V`: work of switching (`loop_area`).
        - `concavity_*`: mark of switching in two steps, on the falling and on the rising branch
          (`intermediate_concavity`).
        - `softening_*_kHz`, `softening_at_*_V`, `hardening_*_kHz`: dip of the resonance under
          either polarity, its voltage, and the largest rise (`softening_and_hardening`).

        A pixel with a NaN or infinite value in one channel has NaN for all features of it.

    Raises
    ------
    ValueError
        If the shapes do not fit together or `voltage_V` is not one cycle.

    Notes
    -----
    Coercive voltages, remanence, imprint and work of switching are defined as in
    switching-spectroscopy PFM (Jesse, Baddorf and Kalinin, Appl. Phys. Lett. 88, 062908, 2006):
    on the loop as measured. A vertical offset of the loop therefore moves its coercive
    voltages; for those of the centred loop, subtract the mean of the two remanent values first.
    """
    voltage_V, start = _closed_cycle(voltage_V)
    if loops.ndim != 3 or loops.shape[1] != len(voltage_V) - 1:
        raise ValueError(f"loops have shape {loops.shape}: expected (pixels, {len(voltage_V) - 1}, channels), a row "
                         "for each pixel and a column for each voltage; reshape them")
    piezoresponse, *resonance = (_branches(loops[..., k], voltage_V, start) for k in range(loops.shape[-1]))
    features = _of_piezoresponse(*piezoresponse)
    for falling, rising in resonance:
        for polarity, there, back in (("negative", falling, rising), ("positive", rising, falling)):
            names = (f"softening_{polarity}_kHz", f"softening_at_{polarity}_V", f"hardening_{polarity}_kHz")
            features |= zip(names, softening_and_hardening(*there, *back), strict=True)
    return {name: features[name] for name in UNITS if name in features}


def feature_errors(measured: Mapping[str, np.ndarray], modelled: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Median error of a model in each feature, over the pixels that have it.

    Where the model has erased a feature, its error is the whole range of that feature. Any shape, NaN where a loop does
    not have the feature.
    """
    errors = {}
    for name, values in measured.items():
        error, there = np.abs(modelled[name] - values), np.isfinite(values)
        erased = there & np.isnan(modelled[name])
        error[erased] = np.ptp(values[there]) if erased.any() else 0
        errors[name] = float(np.nanmedian(error))
    return errors


def crossing_V(branch: np.ndarray, voltage_V: np.ndarray) -> np.ndarray:
    """Voltage (V) at which a branch (pixels, steps) changes sign, interpolated linearly, shape (pixels,).

    Where noise makes a branch cross three times or more the voltages count with alternating sign, which keeps the
    length of voltage over which it is positive. NaN if it ends on the side of zero on which it began. `voltage_V`,
    shape (steps,), rises or falls.
    """
    left, right = branch[:, :-1], branch[:, 1:]
    crossed = (left > 0) != (right > 0)
    share = np.divide(left, left - right, out=np.zeros_like(left), where=crossed)
    direction = np.where(crossed, np.sign(right - left), 0)
    found_V = (direction * (voltage_V[:-1] + share * np.diff(voltage_V))).sum(axis=1)
    net = direction.sum(axis=1)
    return np.divide(found_V, net, out=np.full(len(branch), np.nan), where=net != 0)


def loop_area(loops: np.ndarray, voltage_V: np.ndarray) -> np.ndarray:
    """Area (arb. u. V) inside loops (pixels, steps) by the shoelace formula, shape (pixels,): the work of switching.

    `voltage_V`, shape (steps,), is one cycle; its last step is joined to the first. Positive for a loop that is run
    through anticlockwise, as that of a ferroelectric is, and 0 for a branch traced back on itself.
    """
    following = np.roll(loops, -1, axis=1)
    return (voltage_V * following - np.roll(voltage_V, -1) * loops).sum(axis=1) / 2


def intermediate_concavity(branch: np.ndarray, voltage_V: np.ndarray) -> np.ndarray:
    """How far the slope of a branch falls, and recovers, between two steps of switching.

    A branch that switches in one step has one steepest place. Where switching halts in a third,
    in-plane state, the branch bends the other way in between, and its slope has a valley
    between two steeper places (paper, discussion of Fig. 5d-e; the intermediate concavities).

    `branch` and `voltage_V` as in `crossing_V`.

    Returns
    -------
    ndarray, shape (pixels,)
        Depth of the deepest valley below the lower of the two maxima on its sides, as a part
        of the steepest slope: 0 for one step, towards 1 for a halt between two equal steps.
        NaN for a flat branch.

    Notes
    -----
    Slopes are those of lines fitted to `SLOPE_STEPS` neighbouring points. Noise makes valleys
    too, the deeper the weaker the switching: on the twin, one-step c loops reach about 0.1, and
    one wide step as weak as a three-state loop reaches the value of a three-state loop. Compare
    a noisy loop with one-step loops of the same noise and steepest slope, never with 0.
    """
    windows = np.lib.stride_tricks.sliding_window_view
    arm_V = windows(voltage_V, SLOPE_STEPS)
    arm_V = arm_V - arm_V.mean(axis=1, keepdims=True)
    slope = np.einsum("psw,sw->ps", windows(branch, SLOPE_STEPS, axis=1), arm_V)
    slope *= (np.sign(branch[:, -1:] - branch[:, :1]) * np.sign(voltage_V[-1] - voltage_V[0])
              / np.square(arm_V).sum(axis=1))
    before = np.maximum.accumulate(slope, axis=1)
    after = np.maximum.accumulate(slope[:, ::-1], axis=1)[:, ::-1]
    valley, steepest = (np.minimum(before, after) - slope).max(axis=1), slope.max(axis=1)
    switches = (np.ptp(branch, axis=1) > 0) & (steepest > 0)
    return np.divide(valley, steepest, out=np.full(len(branch), np.nan), where=switches)


def softening_and_hardening(there: np.ndarray, there_V: np.ndarray, back: np.ndarray, back_V: np.ndarray,
                            levelled: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dip and rise of the resonance from 0 V to a tip of the sweep, where a branch switches.

    The extrema of `branch_difference` after a running median of three steps, which removes fits to a wrong peak.

    Parameters
    ----------
    there, back : ndarray, shape (pixels, steps of the branch)
        Resonance (kHz) on the branch that switches and on the other.
    there_V, back_V : ndarray, shape (steps of the branch,)
        Both monotone; `there_V` ends at the tip.
    levelled : bool
        As of `branch_difference`.

    Returns
    -------
    softening, at_V, hardening : ndarray, shape (pixels,)
        kHz (not negative), V (a step of the sweep; NaN without softening) and kHz (not
        negative). All NaN if the branch does not lead from 0 V to its tip.
    """
    grid_V, excess = branch_difference(there, there_V, back, back_V, levelled)
    if len(grid_V) < 3:
        return tuple(np.full(len(there), np.nan) for _ in range(3))
    before, own, after = excess[:, :-2], excess[:, 1:-1], excess[:, 2:]
    change = np.maximum(np.minimum(before, own), np.minimum(np.maximum(before, own), after))  # the median of the three
    softening, hardening = (np.maximum(x.max(axis=1), 0) for x in (-change, change))
    at_V = np.where(softening > 0, grid_V[1:-1][change.argmin(axis=1)], np.nan)
    return softening, at_V, hardening


def branch_difference(there: np.ndarray, there_V: np.ndarray, back: np.ndarray, back_V: np.ndarray,
                      levelled: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """What the resonance on the branch that switches exceeds that on the way back by, from 0 V to the tip.

    The way back from the tip has no switching, but the same response to bias. The difference of the two is 0 at the
    tip; at 0 V it is what the two remanent states differ by. Where it is `levelled` it is taken about the line between
    these two ends. Other parameters as of `softening_and_hardening`.

    Returns
    -------
    voltage_V : ndarray, shape (n,)
        0 and the steps beyond; empty if the branch does not lead from 0 V to its tip.
    difference : ndarray, shape (pixels, n)
        kHz.
    """
    polarity = np.sign(there_V[-1] - there_V[0])
    beyond = polarity * there_V > 0
    if polarity * there_V[0] > 0 or beyond.sum() < 2:
        return np.empty(0), np.empty((len(there), 0))
    grid_V = np.concatenate([[0.0], there_V[beyond]])
    excess = _at(grid_V, there, there_V) - _at(grid_V, back, back_V)
    return grid_V, excess - levelled * excess[:, :1] * (1 - grid_V / there_V[-1])


def resonance_differences(resonance: np.ndarray, voltage_V: np.ndarray,
                          levelled: bool = True) -> list[tuple[np.ndarray, np.ndarray]]:
    """`branch_difference` under negative and under positive bias, from loops (pixels, steps) of one closed cycle."""
    falling, rising = _branches(resonance, *_closed_cycle(voltage_V))
    return [branch_difference(*falling, *rising, levelled), branch_difference(*rising, *falling, levelled)]


def hardening_kHz(resonance: np.ndarray, voltage_V: np.ndarray, levelled: bool = True) -> np.ndarray:
    """Rise of the resonance (`softening_and_hardening`) under negative and under positive bias, shape (2, pixels)."""
    falling, rising = _branches(resonance, *_closed_cycle(voltage_V))
    return np.stack([softening_and_hardening(*there, *back, levelled)[2]
                     for there, back in ((falling, rising), (rising, falling))])


def _of_piezoresponse(falling: tuple[np.ndarray, np.ndarray],
                      rising: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """Features of the two branches, each with its voltages."""
    negative_V, positive_V = crossing_V(*falling), crossing_V(*rising)
    whole, voltage_V = (np.concatenate([there, back[..., 1:]], axis=-1)
                        for there, back in zip(falling, rising, strict=True))
    return {
        "coercive_negative_V": negative_V,
        "coercive_positive_V": positive_V,
        "imprint_V": (negative_V + positive_V) / 2,
        "remanent_positive_arb": _at(0.0, *falling),
        "remanent_negative_arb": _at(0.0, *rising),
        "loop_area_arb_V": loop_area(whole, voltage_V),
        "concavity_negative": intermediate_concavity(*falling),
        "concavity_positive": intermediate_concavity(*rising),
    }


def _closed_cycle(voltage_V: np.ndarray) -> tuple[np.ndarray, int]:
    """The cycle from its largest voltage back to it, and the step at which that lies."""
    voltage_V = np.asarray(voltage_V, float)
    slope = np.sign(np.diff(voltage_V, append=voltage_V[:1])) if voltage_V.ndim == 1 else np.zeros(1)
    if (slope == 0).any() or np.count_nonzero(slope != np.roll(slope, 1)) != 2:
        raise ValueError(f"voltage_V of shape {voltage_V.shape} is not one cycle: expected steps that rise and fall "
                         "with one maximum and one minimum; choose one cycle and leave out repeated points")
    start = int(voltage_V.argmax())
    rolled = np.roll(voltage_V, -start)
    if min(rolled.argmin(), len(rolled) - rolled.argmin()) < SLOPE_STEPS:
        raise ValueError(f"a branch of voltage_V has fewer than {SLOPE_STEPS} steps: expected at "
                         f"least {SLOPE_STEPS} each way; use a finer sweep")
    return np.append(rolled, rolled[0]), start


def _branches(loops: np.ndarray, cycle_V: np.ndarray, start: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Falling and rising branch of loops (pixels, steps), each with its voltages; `cycle_V` is closed.

    All NaN in a pixel with a broken value.
    """
    loops = np.asarray(loops, float)
    loops = np.where(np.isfinite(loops).all(axis=1, keepdims=True), loops, np.nan)
    loops = np.roll(loops, -start, axis=1)
    closed, turn = np.concatenate([loops, loops[:, :1]], axis=1), cycle_V.argmin()
    return [(closed[:, branch], cycle_V[branch]) for branch in (slice(turn + 1), slice(turn, None))]


def _at(voltages_V: np.ndarray | float, branch: np.ndarray, voltage_V: np.ndarray) -> np.ndarray:
    """A branch between its steps, by linear interpolation; NaN outside the sweep.

    Shape (pixels,) for one voltage, (pixels, voltages) for several.
    """
    if voltage_V[0] > voltage_V[-1]:
        branch, voltage_V = branch[:, ::-1], voltage_V[::-1]
    left = np.clip(np.searchsorted(voltage_V, voltages_V, side="right") - 1, 0, len(voltage_V) - 2)
    share = (voltages_V - voltage_V[left]) / (voltage_V[left + 1] - voltage_V[left])
    share = np.where((share >= 0) & (share <= 1), share, np.nan)
    return branch[:, left] + share * (branch[:, left + 1] - branch[:, left])

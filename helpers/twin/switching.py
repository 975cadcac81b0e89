"""How a pixel switches: loops of each mechanism, and their mixture, from the truth alone.

A mechanism is a pair of logistic steps in voltage. The constants below, like those of domains.py and measurement.py,
are round numbers chosen by comparison with the measured scan of the paper; no measured loop is stored here.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from helpers.twin.domains import MECHANISMS

N_STEPS = 96
MAX_VOLTAGE_V = 16.0
RELAXATION_V = 2.0  # growing domains go on for this long after the drive turns back
Pair = tuple[float, float]


@dataclass(frozen=True)
class Mechanism:
    """One switching mechanism; pairs hold a value for falling and one for rising voltage."""

    amplitude: float  # switchable piezoresponse, in units of the saturation of the pixel
    early_V: Pair  # how far before the coercive voltage of a c loop the first step lies
    late_V: Pair  # how far after it the second lies; equal and opposite values make one step
    early_share: Pair  # part of the polarisation that switches in the first step
    width: Pair  # of either step, in units of the width of the pixel
    tilt_per_V: float  # linear response, in units of the saturation of the pixel
    softening: Pair  # drop of the resonance halfway through switching, in units of that of the pixel
    hardening_kHz: Pair  # rise of the resonance while polarisation is in the in-plane state, and leaves it
    bow_kHz: float  # drop of the resonance from zero to the largest voltage


LOOPS = {
    "c": Mechanism(amplitude=1.0, early_V=(0.0, 0.0), late_V=(0.0, 0.0), early_share=(0.5, 0.5), width=(0.9, 1.2),
                   tilt_per_V=0.008, softening=(1.0, 0.75), hardening_kHz=(0.0, 0.0), bow_kHz=0.55),
    "a": Mechanism(amplitude=0.62, early_V=(1.0, 1.0), late_V=(-1.0, -1.0), early_share=(0.5, 0.5), width=(1.9, 2.1),
                   tilt_per_V=0.018, softening=(0.45, 0.4), hardening_kHz=(0.0, 0.0), bow_kHz=0.8),
    "charged_wall": Mechanism(
        amplitude=0.52, early_V=(4.0, 1.0), late_V=(0.0, 2.2), early_share=(0.4, 0.4), width=(1.1, 1.1),
        tilt_per_V=0.011, softening=(0.6, 0.0), hardening_kHz=(0.0, 2.2), bow_kHz=1.3),
    "three_state": Mechanism(
        amplitude=0.37, early_V=(5.2, 5.2), late_V=(1.2, 2.6), early_share=(0.6, 0.38), width=(0.75, 0.7),
        tilt_per_V=0.015, softening=(0.2, 0.2), hardening_kHz=(1.9, 1.9), bow_kHz=1.3),
}


def drive_voltage() -> np.ndarray:
    """Voltage of one cycle (V), shape (96,): +16 V to -16 V and back to +15.33 V in equal steps."""
    step = np.arange(N_STEPS)
    return MAX_VOLTAGE_V * (4 * np.abs(step - N_STEPS / 2) / N_STEPS - 1)


def by_branch(pair: Pair) -> np.ndarray:
    """One value while the voltage falls, the other while it rises, shape (96,)."""
    return np.repeat(pair, N_STEPS // 2)


def up_fraction(switched: np.ndarray) -> np.ndarray:
    """Fraction polarised up over the steady cycle, from the fraction switched on either branch; shapes (..., 96).

    What has not switched when the drive turns back still switches within a few volts, so a loop closes and saturates
    a little after its tip.
    """
    half = N_STEPS // 2
    after_V = 4 * MAX_VOLTAGE_V / N_STEPS * np.arange(1, half + 1)
    decay = np.exp(-after_V / RELAXATION_V)
    falling, rising = switched[..., :half], switched[..., half:]
    down = 1 - (1 - (1 - rising[..., -1:]) * decay) * (1 - falling)
    up = 1 - (1 - (1 - down[..., -1:]) * decay) * (1 - rising)
    return np.concatenate([1 - down, up], axis=-1)


def mechanism_loop(truth: dict[str, np.ndarray], mechanism: Mechanism,
                   voltage_V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fraction polarised up, and what its switching adds to the resonance (kHz), shape (rows, columns, 96) each.

    `voltage_V`, shape (96,) or (rows, columns, 96), is in the order of `drive_voltage`.
    """
    progress_V = by_branch((-1, 1)) * (voltage_V - truth["imprint_V"][..., None])
    progress_V -= truth["coercive_V"][..., None]
    steps_V = np.stack([progress_V + by_branch(mechanism.early_V), progress_V - by_branch(mechanism.late_V)])
    # What has taken the first and the second step on either branch.
    first, second = expit(steps_V / (by_branch(mechanism.width) * truth["width_V"][..., None]))
    share = by_branch(mechanism.early_share)
    up = up_fraction(share * first + (1 - share) * second)
    softening = by_branch(mechanism.softening) * truth["softening_kHz"][..., None]
    in_plane = (first - second) / 2 + 2 * second * (1 - second)
    hardening = by_branch(mechanism.hardening_kHz) * in_plane
    return up, hardening - softening * (4 * up * (1 - up)) ** 1.5


def noise_free(truth: dict[str, np.ndarray], jerks_V: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Loops that the truth alone gives: a mixture of the mechanisms' loops in every pixel.

    The resonance falls where polarisation switches directly, because moving walls soften the
    contact, and rises where it waits in an in-plane state (paper, discussion of Fig. 5d-f).

    Parameters
    ----------
    truth : dict of ndarray, shape (rows, columns)
        See `helpers.twin.domains.draw_truth`.
    jerks_V : ndarray, shape (rows, columns, 96), optional
        How far ahead of the voltage the switching runs, because it goes in jerks.

    Returns
    -------
    piezoresponse, resonance_kHz : ndarray, shape (rows, columns, 96)
    """
    voltage_V = drive_voltage()
    state, tilt, resonance = 0.0, 0.0, 0.0
    for name in MECHANISMS:
        fraction = truth[name][..., None]
        up, change_kHz = mechanism_loop(truth, LOOPS[name], voltage_V + jerks_V)
        bow_kHz = LOOPS[name].bow_kHz * np.abs(voltage_V) / MAX_VOLTAGE_V
        state = state + fraction * LOOPS[name].amplitude * (2 * up - 1)
        tilt = tilt + fraction * LOOPS[name].tilt_per_V
        resonance = resonance + fraction * (change_kHz - bow_kHz)
    piezoresponse = truth["saturation"][..., None] * (state + tilt * voltage_V) + truth["offset"][..., None]
    # The cycle is acquired from 0 V on the way up, three quarters through the stored order.
    elapsed = (np.arange(N_STEPS) + N_STEPS // 4) % N_STEPS / N_STEPS - 0.5
    resonance += truth["base_resonance_kHz"][..., None]
    resonance += truth["polarity_kHz"][..., None] * state
    resonance += truth["drift_kHz"][..., None] * elapsed
    return piezoresponse, resonance

"""What an array holds, by its name or, of lone ones, by its values."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from helpers.scans.formats import DataError
from helpers.scans.units import unit_in

ALIASES = {
    "piezoresponse": "piezoresponse loops loop loopdata_mixed",
    "amplitude": "amplitude amp",
    "phase": "phase phi",
    "resonance": "resonance outw2_mixed resonance_frequency",
    "voltage": "voltage voltagedata_mixed bias dc_offset",
    "topography": "topography topo height",
    "unusable": "unusable",
    "r2": "r2 r_squared r2_criterion",
}


def role_of(name: str) -> str | None:
    """What an array holds by its name, units and letter case aside."""
    plain = re.sub(r"\s*[\[(].*", "", name.strip()).lower().replace(" ", "_")
    plain = plain.removesuffix("_" + unit_in(plain)) if unit_in(plain) else plain
    return next((role for role, names in ALIASES.items() if plain in names.split()), None)


def by_values(path: Path, found: dict[str, list[np.ndarray]], main: str, guess: bool, said: list[str]
               ) -> tuple[str, dict[str, list[np.ndarray]]]:
    """Channels by role, where their values tell it: a piezoresponse is never of one sign, a resonance never about 0."""
    channels = found[main]
    if main == "amplitude":
        return main, found
    if len(channels) in (4, 5) and oscillators_in(channels):
        said.append("the last axis is taken as amplitude, resonance, quality factor, phase (and R²) of oscillators")
        r2 = {"r2": channels[4:]} if len(channels) == 5 else {}
        return "amplitude", {"amplitude": channels[:1], "phase": channels[3:4], "resonance": channels[1:2]} | r2
    if len(channels) > 1 and "resonance" not in found:
        if _one_sign(channels[0]) and not _one_sign(channels[1]):
            channels = channels[1::-1]
            said.append("channels 2 and 1 taken as piezoresponse and resonance: the first is of one sign everywhere")
        elif len(channels) > 2:
            said.append(f"channels 1 and 2 of {len(channels)} taken as piezoresponse and resonance")
        found = found | {"piezoresponse": channels[:1], "resonance": channels[1:2]}
        guess = False
    if _one_sign(channels[0]):
        typical = float(np.nanmedian(channels[0]))
        like = "a resonance" if typical > 100 else "an amplitude"
        problem = f"the piezoresponse is of one sign everywhere, about {typical:.3g}, as {like} is"
        if guess:
            raise DataError(f"{path}: the only array is of one sign everywhere, about {typical:.3g}, as {like} is: "
                            "expected the piezoresponse, which switches; store it as `piezoresponse` in an .npz, or "
                            "`amplitude` and `phase`")
        said.append(f"questionable: {problem}; check which channel it is")
    elif guess:
        said.append("the only array of loops is taken as the piezoresponse: a guess; name it in an .npz to be sure")
    return main, found


def _one_sign(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values) & (values != 0)]
    return bool(finite.size and ((finite > 0).all() or (finite < 0).all()))


def oscillators_in(channels: list[np.ndarray]) -> bool:
    """Whether channels can be A, f, Q and φ: A is positive, f far from 0, φ within two turns of 0."""
    amplitude, frequency, quality, phase = (values[np.isfinite(values)] for values in channels[:4])
    if not (amplitude.size and frequency.size and quality.size and phase.size):
        return False
    return bool((amplitude >= 0).all() and np.median(frequency) > 10 * frequency.std() and (quality >= 0).all()
                and np.median(frequency) > 10 and np.abs(phase).max() <= 720)

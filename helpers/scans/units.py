"""What names and units say of an array: its role, its unit with any SI prefix, and values that no microscope has."""

import re

import numpy as np

PREFIXES = {"G": 1e9, "M": 1e6, "k": 1e3, "K": 1e3, "": 1.0, "c": 1e-2, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6,
            "n": 1e-9, "p": 1e-12}
LONG = {"giga": "G", "mega": "M", "kilo": "k", "milli": "m", "micro": "u", "nano": "n", "pico": "p"}
NAMES = {"Hz": "hz|hertz", "V": "v|volts?", "m": "m|met(?:er|re)s?", "rad": "rad|radians?"}
OTHER = {"m": {"å": 1e-10, "angstrom": 1e-10, "angstroms": 1e-10, "micron": 1e-6, "microns": 1e-6},
         "rad": {"deg": np.pi / 180, "degree": np.pi / 180, "degrees": np.pi / 180, "°": np.pi / 180}}
ALIASES = {
    "piezoresponse": "piezoresponse loops loop loopdata_mixed", "amplitude": "amplitude amp", "phase": "phase phi",
    "resonance": "resonance outw2_mixed resonance_frequency", "voltage": "voltage voltagedata_mixed bias dc_offset",
    "topography": "topography topo height", "unusable": "unusable", "r2": "r2 r_squared r2_criterion",
}
# What is credible: (least, most) of the largest voltage, of the median resonance and of the width of a scan.
CREDIBLE = {"voltage": (0.05, 300.0, "V"), "resonance": (5.0, 5e4, "kHz"), "width": (0.02, 1000.0, "µm")}


def factor(unit: str, base: str) -> float | None:
    """How many `base` ("Hz", "V", "m", "rad") one `unit`, as "mV" or "kilohertz", is; None if it is no such unit."""
    unit = unit.strip().strip("[]()")
    if unit.lower() in OTHER.get(base, {}):
        return OTHER[base][unit.lower()]
    for long, short in LONG.items():
        if unit.lower().startswith(long):
            unit = short + unit[len(long):]
    found = re.fullmatch(rf"(.?)(?i:{NAMES[base]})", unit)
    return PREFIXES.get(found[1]) if found else None


def unit_in(name: str) -> str:
    """The unit that a name carries: in brackets or behind a sign, as in ``resonance_kHz`` or ``Bias / mV``."""
    found = re.search(r"[\[(]([^\])]+)[\])]\s*$", name) or re.search(r"[_/, ]\s*([^\W\d_]+|°)\s*$", name)
    return found[1] if found and any(factor(found[1], base) for base in NAMES) else ""


def role_of(name: str) -> str | None:
    """What an array holds by its name, units and letter case aside."""
    plain = re.sub(r"\s*[\[(].*", "", name.strip()).lower().replace(" ", "_")
    plain = plain.removesuffix(unit_in(plain)).rstrip("_/,") if unit_in(plain) else plain
    return next((role for role, names in ALIASES.items() if plain in names.split()), None)


def in_V(voltage: np.ndarray, unit: str, said: list[str]) -> np.ndarray:
    """A voltage in V; of a conversion `said` tells."""
    scale = factor(unit, "V")
    if scale not in (None, 1.0):
        said.append(f"voltage converted from {unit} to V")
    elif unit and scale is None:
        said.append(f"questionable: voltage in {unit}, no unit of a voltage, taken to be in V")
    return voltage * (scale or 1.0)


def in_kHz(resonance: np.ndarray, unit: str = "") -> tuple[np.ndarray, str]:
    """A resonance in kHz and what was done; without a unit, the size tells: they lie from 10 kHz to 10 MHz."""
    if scale := factor(unit, "Hz"):
        return (resonance, "") if scale == 1e3 else (resonance * scale / 1e3, f"resonance converted from {unit} to kHz")
    finite = resonance[np.isfinite(resonance) & (resonance != 0)]
    typical = np.median(finite) if finite.size else np.nan
    stated = f"; questionable: its unit is {unit}, not one of a frequency" if unit else ""
    if typical > 1e4:
        return resonance / 1e3, "resonance converted from Hz to kHz" + stated
    if finite.size and np.abs(typical) < 3 and finite.min() < 0:
        return resonance, ("resonance taken to be in standard deviations, not in kHz" if 0.3 < finite.std() < 3 else
                           f"questionable: the resonance is about {typical:.2g}; check which channel it is")
    return resonance, "resonance taken to be in kHz" + stated


def width_um(places: np.ndarray, unit: str) -> float:
    """Width (µm) of as many pixels side by side as there are places; NaN if these are no lengths or fewer than two."""
    scale = factor(unit, "m")
    if scale is None or len(places) < 2:
        return float("nan")
    return float(1e6 * scale * np.ptp(places) * len(places) / (len(places) - 1))


def questions(voltage_V: np.ndarray, resonance_kHz: np.ndarray | None, size_um: float) -> list[str]:
    """A sentence for each quantity whose size no microscope has; NaN, and a resonance in standard deviations, pass."""
    found = {"voltage": np.abs(voltage_V).max(), "width": size_um}
    if resonance_kHz is not None and np.isfinite(resonance_kHz).any():
        typical = found["resonance"] = np.nanmedian(resonance_kHz)
        if np.abs(typical) < 3 and np.nanmin(resonance_kHz) < 0:
            del found["resonance"]
    asked = ((name, value, *CREDIBLE[name]) for name, value in found.items() if np.isfinite(value))
    return [f"questionable: {name} of {value:.3g} {unit}, expected {least:g} to {most:g} {unit}; check the units in "
            "the file" for name, value, least, most, unit in asked if not least <= value <= most]

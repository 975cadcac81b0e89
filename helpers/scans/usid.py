"""USID HDF5 as pyUSID and BGlib write it (Somnath et al., Adv. Struct. Chem. Imaging 5, 3 (2019))."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from helpers.scans.choice import Choice
from helpers.scans.formats import DataError, Loops, assembled, from_oscillators
from helpers.scans.units import unit_in
from helpers.scans.usid_axes import Grid, Selection, ancillary, grid_of, select
from helpers.sho import fit_sho

FITTED = ("Amplitude", "Frequency", "Phase", "R2")  # of an oscillator; units stand behind, in brackets


def fields_of(dtype: np.dtype) -> dict[str, str]:
    """Names of the fields of a table of oscillators, by what they hold."""
    return {part: name for part in FITTED for name in reversed(dtype.names or ()) if name.startswith(part)}


def usid_datasets(file: h5py.File) -> tuple[list[str], list[str], list[str]]:
    """Names of projected loops, oscillator fits and raw spectra, the latest first."""
    projected, fits, raw = [], [], []

    def sort(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Dataset) or item.ndim != 2:
            return
        if name.endswith("Projected_Loops"):
            projected.append(name)
        elif {"Amplitude", "Frequency", "Phase"} <= set(fields_of(item.dtype)):
            fits.append(name)
        elif item.dtype.kind == "c" and ancillary(item, "Spectroscopic_Indices") is not None:
            raw.append(name)

    file.visititems(sort)
    # A fit goes before its guess, a later group before an earlier one.
    return (projected[::-1], sorted(fits, key=lambda n: (n.endswith("Fit"), n), reverse=True),
            sorted(raw[::-1], key=lambda n: n.endswith("Raw_Data"), reverse=True))


def read_usid(path: Path, choice: Choice) -> Loops:
    """Projected loops, else loops from fitted oscillators, else from raw spectra fitted here."""
    with h5py.File(path, "r") as file:
        everything = usid_datasets(file)
        numbers = sorted({_measurement(name) for names in everything for name in names}, reverse=True)
        if choice.measurement is not None and choice.measurement not in numbers:
            raise DataError(f"{path} has no measurement {choice.measurement}: expected one of "
                            f"{', '.join(map(str, numbers[::-1]))}; choose one")
        wanted = numbers if choice.measurement is None else [choice.measurement]
        # What was broken off ends in zeros; better that than nothing.
        for position, number in itertools.product((-1, 0), wanted):
            projected, fits, raw = ([name for name in names if _measurement(name) == number
                                     and _is_filled(file[name], position)] for names in everything)
            if best := projected or [name for name in fits if not name.endswith("Guess")] or raw or fits:
                break
        else:
            raise DataError(f"{path} is a USID file whose spectra, fits and loops are all empty: expected a "
                            "measurement; check that it was finished")
        loops = _loops(path, file[best[0]], fits if projected else [], choice)
    others = [str(n) for n in numbers[::-1] if n != number]
    said = (f"measurement {number}; the file also has {', '.join(others)}, which measurement= chooses",)
    return replace(loops, notes=loops.notes + (said if others else ()))


def _measurement(name: str) -> int:
    found = re.search(r"Measurement_(\d+)", name)
    return int(found[1]) if found else 0


def _is_filled(dataset: h5py.Dataset, position: int) -> bool:
    """Whether a position holds anything."""
    if 0 in dataset.shape:
        return False
    there, fields = dataset[position], fields_of(dataset.dtype)
    return bool(np.any(np.nan_to_num(there[fields["Amplitude"]] if fields else there)))


def _loops(path: Path, main: h5py.Dataset, fits: list[str], choice: Choice) -> Loops:
    """Projected loops with the resonance of their fit, or loops of oscillators, stored or fitted here."""
    name, fields = main.name.lstrip("/"), fields_of(main.dtype)
    selection = select(path, main, choice)
    grid = grid_of(path, main, selection, choice.rows)

    def table(dataset: h5py.Dataset) -> np.ndarray:
        return np.concatenate([batch[:, selection.columns] for batch in grid.read(dataset)])

    theta, rotation = None, []
    if name.endswith("Projected_Loops"):
        above = [main.file[fit] for fit in fits if name.startswith(fit.rpartition("/")[0])]
        fit = next((fit for fit in above if fit.shape == main.shape), None)
        fields, fitted = ({}, None) if fit is None else (fields_of(fit.dtype), table(fit))
        cubes = {"piezoresponse": table(main)} | {role: fitted[fields[part]] for role, part in (
            ("resonance", "Frequency"), ("r2", "R2")) if part in fields}
        units = {"resonance": unit_in(fields.get("Frequency", ""))}
        how, rotation = f"loops of {name}", [] if fit is None else [f"resonance of {fit.name.lstrip('/')}"]
    else:
        if fields:
            fitted = table(main)
            amplitude, frequency, phase, *r2 = (np.asarray(fitted[field], float) for field in fields.values())
            amplitude[amplitude == 0] = np.nan  # never fitted
            frequency[np.isnan(amplitude)] = np.nan
            units = {"phase": unit_in(fields["Phase"]), "resonance": unit_in(fields["Frequency"])}
            how = f"oscillators of {name}"
        elif selection.frequency_Hz is None:
            raise DataError(f"{path}: `{name}` has no axis Frequency: expected band-excitation spectra; the file "
                            "has no fits either, so add Raw_Data-SHO_Fit_000/Fit")
        else:
            amplitude, frequency, phase, *r2 = _fit_raw(main, selection, grid)
            units = {"phase": "rad", "resonance": "Hz"}
            how = f"oscillators fitted to {name}, median R² {np.nanmedian(r2):.3f}"
        loops, theta, said = from_oscillators(amplitude, phase, units["phase"], selection.voltage_V, choice.theta_rad)
        cubes, rotation = {"piezoresponse": loops, "resonance": frequency} | dict(zip(["r2"], r2, strict=False)), [said]
    return assembled({role: grid.lay(values) for role, values in cubes.items()}, units, selection.voltage_V,
                     [f"USID file, {how}", *selection.notes, *rotation, *grid.notes], theta_rad=theta,
                     size_um=grid.width_um, cycles=selection.cycles, grid=grid.whole)


def _fit_raw(main: h5py.Dataset, selection: Selection, grid: Grid) -> list[np.ndarray]:
    """A, ω₀ / 2π (Hz), φ and R² of every kept position and step, read in batches."""
    order = np.argsort(selection.frequency_Hz)
    frequency_Hz, columns = selection.frequency_Hz[order], selection.columns[:, order]
    sample = main[:: max(1, len(main) // 8)][:8][:, columns]
    # Some acquisition cards store the complex conjugate, which no oscillator of positive Q fits.
    conjugate = np.nanmedian(fit_sho(sample.conj(), frequency_Hz).r2) > np.nanmedian(
        fit_sho(sample, frequency_Hz).r2)
    parts = []
    for batch in grid.read(main):
        spectra = batch[:, columns]
        fit = fit_sho(spectra.conj() if conjugate else spectra, frequency_Hz)
        parts.append((fit.amplitude, fit.frequency, fit.phase, fit.r2))
    return [np.concatenate(part) for part in zip(*parts, strict=True)]

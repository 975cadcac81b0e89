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
from helpers.scans.usid_axes import Grid, Selection, ancillary, grid_of, select
from helpers.scans.units import unit_in
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
            if projected + fits + raw:
                break
        else:
            raise DataError(f"{path} is a USID file whose spectra, fits and loops are all empty: expected a "
                            "measurement; check that it was finished")
        if projected:
            loops = _projected(path, file, projected[0], fits, choice)
        else:
            best = [name for name in fits if not name.endswith("Guess")] or raw or fits
            loops = _oscillators(path, file, best[0], choice)
    others = [str(n) for n in numbers[::-1] if n != number]
    said = (f"measurement {number}; the file also has {', '.join(others)}, which measurement= chooses",) if others else ()
    return replace(loops, notes=loops.notes + said)


def _measurement(name: str) -> int:
    found = re.search(r"Measurement_(\d+)", name)
    return int(found[1]) if found else 0


def _is_filled(dataset: h5py.Dataset, position: int) -> bool:
    """Whether a position holds anything."""
    if 0 in dataset.shape:
        return False
    there, fields = dataset[position], fields_of(dataset.dtype)
    return bool(np.any(np.nan_to_num(there[fields["Amplitude"]] if fields else there)))


def _projected(path: Path, file: h5py.File, name: str, fits: list[str], choice: Choice) -> Loops:
    """Projected loops, with the resonance of the fit that they come from."""
    main = file[name]
    selection = select(path, main, choice)
    grid = grid_of(path, main, selection, choice.rows)

    def cube(name: str, part: str | None = None) -> np.ndarray:
        rows = [b[part] if part else b for b in grid.read(file[name])]
        return grid.lay(np.concatenate([values[:, selection.columns] for values in rows]))

    loops = cube(name)
    above = [fit for fit in fits if name.startswith(fit.rpartition("/")[0])]
    fit = next((fit for fit in above if file[fit].shape == main.shape), None)
    fields = fields_of(file[fit].dtype) if fit else {}
    cubes = {role: cube(fit, fields[part]) for role, part in (("resonance", "Frequency"), ("r2", "R2")) if part in fields}
    notes = [f"USID file, loops of {name}", *selection.notes, *([f"resonance of {fit}"] if fit else [])]
    return assembled({"piezoresponse": loops} | cubes, {"resonance": unit_in(fields.get("Frequency", ""))},
                     selection.voltage_V, [*notes, *grid.notes], size_um=grid.width_um, cycles=selection.cycles,
                     grid=grid.whole)


def _oscillators(path: Path, file: h5py.File, name: str, choice: Choice) -> Loops:
    """Loops from oscillators, fitted by BGlib or, from raw spectra, here."""
    main = file[name]
    selection = select(path, main, choice)
    grid = grid_of(path, main, selection, choice.rows)
    if main.dtype.names:
        table = np.concatenate([batch[:, selection.columns] for batch in grid.read(main)])
        fields = fields_of(main.dtype)
        amplitude, frequency, phase = (np.asarray(table[fields[part]], float) for part in FITTED[:3])
        amplitude[amplitude == 0] = np.nan  # never fitted
        frequency[np.isnan(amplitude)] = np.nan
        units = {role: unit_in(fields[part]) for role, part in (("phase", "Phase"), ("resonance", "Frequency"))}
        r2 = np.asarray(table[fields["R2"]], float) if "R2" in fields else None
        how = f"USID file, oscillators of {name}"
    elif selection.frequency_Hz is None:
        raise DataError(f"{path}: `{name}` has no axis Frequency: expected band-excitation spectra; the file "
                        "has no fits either, so add Raw_Data-SHO_Fit_000/Fit")
    else:
        amplitude, frequency, phase, r2 = _fit_raw(main, selection, grid)
        units = {"phase": "rad", "resonance": "Hz"}
        how = f"USID file, oscillators fitted to {name}, median R² {np.nanmedian(r2):.3f}"
    flat, theta, rotation = from_oscillators(amplitude, phase, units["phase"], selection.voltage_V, choice.theta_rad)
    cubes = {"piezoresponse": flat, "resonance": frequency} | ({} if r2 is None else {"r2": r2})
    return assembled({role: grid.lay(values) for role, values in cubes.items()}, units, selection.voltage_V,
                     [how, *selection.notes, rotation, *grid.notes], theta_rad=theta, size_um=grid.width_um,
                     cycles=selection.cycles, grid=grid.whole)


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

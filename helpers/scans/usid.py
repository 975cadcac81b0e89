"""USID HDF5 as pyUSID and BGlib write it (Somnath et al., Adv. Struct. Chem. Imaging 5, 3 (2019))."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from helpers.scans.choice import Choice
from helpers.scans.formats import DataError, Loops, assembled, from_oscillators
from helpers.scans.units import unit_in
from helpers.scans.usid_axes import Grid, Selection, ancillary, grid_of, refusal, select
from helpers.sho import fit_sho

FITTED = {"amplitude": "Amplitude", "resonance": "Frequency", "phase": "Phase", "r2": "R2"}  # how a field begins


def fields_of(dtype: np.dtype) -> dict[str, str]:
    """Names of the fields of a table of oscillators, by what they hold; units stand behind, in brackets."""
    return {role: name for role, begin in FITTED.items() for name in reversed(dtype.names or ())
            if name.startswith(begin)}


def usid_datasets(file: h5py.File) -> tuple[list[str], list[str], list[str]]:
    """Names of projected loops, oscillator fits and raw spectra, the latest first."""
    projected, fits, raw = [], [], []

    def sort(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Dataset) or item.ndim != 2:
            return
        if name.endswith("Projected_Loops"):
            projected.append(name)
        elif {"amplitude", "resonance", "phase"} <= set(fields_of(item.dtype)):
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
        numbers = sorted({_measurement(name) for names in everything for name in names})
        if choice.measurement not in (None, *numbers):
            raise DataError(f"{path} has no measurement {choice.measurement}: expected one of "
                            f"{', '.join(map(str, numbers))}; choose one")
        wanted = numbers[::-1] if choice.measurement is None else [choice.measurement]
        # What was broken off ends in zeros; better that than nothing.
        for position, number in itertools.product((-1, 0), wanted):
            projected, fits, raw = ([name for name in names if _measurement(name) == number
                                     and _is_filled(file[name], position)] for names in everything)
            if best := projected or [name for name in fits if not name.endswith("Guess")] or raw or fits:
                break
        else:
            raise DataError(f"{path} is a USID file whose spectra, fits and loops are all empty: expected a "
                            "measurement; check that it was finished")
        loops = _loops(file[best[0]], fits, choice)
    others = [str(n) for n in numbers if n != number]
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
    return bool(np.any(np.nan_to_num(there[fields["amplitude"]] if fields else there)))


def _loops(main: h5py.Dataset, fits: list[str], choice: Choice) -> Loops:
    """Projected loops with the resonance of their fit, or loops of oscillators, stored or fitted here."""
    name, selection = main.name.lstrip("/"), select(main, choice)
    grid = grid_of(main, len(selection.voltage_V), choice.rows)
    cubes, units, notes, tables = {}, {}, list(selection.notes), [main]
    if name.endswith("Projected_Loops"):
        above = (main.file[fit] for fit in fits if name.startswith(fit.rpartition("/")[0]))
        tables += [fit for fit in above if fit.shape == main.shape][:1]
        how, notes = f"loops of {name}", notes + [f"resonance of {fit.name.lstrip('/')}" for fit in tables[1:]]
    elif fields_of(main.dtype):
        how = f"oscillators of {name}"
    elif selection.frequency_Hz is None:
        raise refusal(main, "has no axis Frequency: expected band-excitation spectra; the file has no fits either, "
                            "so add Raw_Data-SHO_Fit_000/Fit")
    else:
        tables, cubes, units = [], _fit_raw(main, selection, grid), {"phase": "rad", "resonance": "Hz"}
        how = f"oscillators fitted to {name}, median R² {np.nanmedian(cubes['r2']):.3f}"
    for dataset in tables:
        values = np.concatenate([batch[:, selection.columns] for batch in grid.read(dataset)])
        fields = fields_of(dataset.dtype)
        cubes |= {role: np.asarray(values[field], float) for role, field in fields.items()} or {"piezoresponse": values}
        units |= {role: unit_in(field) for role, field in fields.items()}
    theta = choice.theta_rad
    if "piezoresponse" not in cubes:
        cubes["amplitude"][cubes["amplitude"] == 0] = np.nan  # never fitted
        cubes["resonance"][np.isnan(cubes["amplitude"])] = np.nan
        cubes["piezoresponse"], theta, said = from_oscillators(cubes.pop("amplitude"), cubes.pop("phase"),
                                                               units["phase"], selection.voltage_V, theta)
        notes.append(said)
    if not np.isfinite(grid.width_um):
        notes.append("positions are counts or have no unit of length: no size of the scan")
    return assembled({role: grid.lay(values) for role, values in cubes.items()}, units, selection.voltage_V,
                     [f"USID file, {how}", *notes], theta, size_um=grid.width_um, cycles=selection.cycles,
                     grid=grid.whole)


def _fit_raw(main: h5py.Dataset, selection: Selection, grid: Grid) -> dict[str, np.ndarray]:
    """A, ω₀ / 2π (Hz), φ and R² of every kept position and step, read in batches."""
    order = np.argsort(selection.frequency_Hz)
    frequency_Hz, columns = selection.frequency_Hz[order], selection.columns[:, order]
    sample = main[:: max(1, len(main) // 8)][:8][:, columns]
    # Some acquisition cards store the complex conjugate, which no oscillator of positive Q fits.
    conjugate = np.nanmedian(fit_sho(sample.conj(), frequency_Hz).r2) > np.nanmedian(fit_sho(sample, frequency_Hz).r2)
    parts = []
    for batch in grid.read(main):
        spectra = batch[:, columns]
        fit = fit_sho(spectra.conj() if conjugate else spectra, frequency_Hz)
        parts.append((fit.amplitude, fit.frequency, fit.phase, fit.r2))
    return {role: np.concatenate(part) for role, part in zip(FITTED, zip(*parts, strict=True), strict=True)}

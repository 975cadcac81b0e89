"""USID HDF5 as pyUSID and BGlib write it (Somnath et al., Adv. Struct. Chem. Imaging 5, 3 (2019))."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from helpers.scans.formats import Choice, DataError, Loops
from helpers.scans.usid_axes import Grid, Selection, ancillary, grid_of, select
from helpers.sho import fit_sho, optimum_rotation, piezoresponse

SHO_FIELDS = ("Amplitude [V]", "Frequency [Hz]", "Phase [rad]")


def usid_datasets(file: h5py.File) -> tuple[list[str], list[str], list[str]]:
    """Names of projected loops, oscillator fits and raw spectra, the latest first."""
    projected, fits, raw = [], [], []

    def sort(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Dataset) or item.ndim != 2:
            return
        if name.endswith("Projected_Loops"):
            projected.append(name)
        elif item.dtype.names and set(SHO_FIELDS) <= set(item.dtype.names):
            fits.append(name)
        elif item.dtype.kind == "c" and ancillary(item, "Spectroscopic_Indices") is not None:
            raw.append(name)

    file.visititems(sort)
    # A fit goes before its guess, a later group before an earlier one.
    return (projected[::-1], sorted(fits, key=lambda n: (n.endswith("Fit"), n), reverse=True),
            sorted(raw, key=lambda n: n.endswith("Raw_Data"), reverse=True))


def read_usid(path: Path, choice: Choice) -> Loops:
    """Projected loops, else loops from fitted oscillators, else from raw spectra fitted here."""
    with h5py.File(path, "r") as file:
        everything = usid_datasets(file)
        for position in (-1, 0):  # what was broken off ends in zeros; better that than nothing
            projected, fits, raw = ([name for name in names if _is_filled(file[name], position)]
                                    for names in everything)
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
    return loops


def _is_filled(dataset: h5py.Dataset, position: int) -> bool:
    """Whether a position holds anything."""
    if 0 in dataset.shape:
        return False
    there = dataset[position]
    return bool(np.any(np.nan_to_num(there[SHO_FIELDS[0]] if there.dtype.names else there)))


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
    resonance = None
    if fit:
        resonance = cube(fit, "Frequency [Hz]") / 1e3
    notes = [f"USID file, loops of {name}", *selection.notes, *([f"resonance of {fit}"] if fit else [])]
    return _result(loops, selection, resonance, tuple(notes), grid)


def _oscillators(path: Path, file: h5py.File, name: str, choice: Choice) -> Loops:
    """Loops from oscillators, fitted by BGlib or, from raw spectra, here."""
    main = file[name]
    selection = select(path, main, choice)
    grid = grid_of(path, main, selection, choice.rows)
    if main.dtype.names:
        table = np.concatenate([batch[:, selection.columns] for batch in grid.read(main)])
        amplitude, resonance_Hz, phase = (np.asarray(table[part], float) for part in SHO_FIELDS)
        amplitude[amplitude == 0] = np.nan  # never fitted
        resonance_Hz[np.isnan(amplitude)] = np.nan
        how = f"USID file, oscillators of {name}"
    elif selection.frequency_Hz is None:
        raise DataError(f"{path}: `{name}` has no axis Frequency: expected band-excitation spectra; the file "
                        "has no fits either, so add Raw_Data-SHO_Fit_000/Fit")
    else:
        amplitude, resonance_Hz, phase, r2 = _fit_raw(main, selection, grid)
        how = f"USID file, oscillators fitted to {name}, median R² {np.nanmedian(r2):.3f}"
    theta = choice.theta_rad
    if theta is None:
        theta = optimum_rotation(amplitude, phase, selection.voltage_V)
    loops = grid.lay(piezoresponse(amplitude, phase, theta))
    resonance = grid.lay(resonance_Hz / 1e3)
    notes = (how, *selection.notes, f"P = A cos(φ + θ) with the optimum θ = {theta:.3f} rad")
    return _result(loops, selection, resonance, notes, grid, theta)


def _result(loops: np.ndarray, selection: Selection, resonance: np.ndarray | None,
            notes: tuple[str, ...], grid: Grid, theta_rad: float | None = None) -> Loops:
    absent = {"topography": True, "size of the scan": np.isnan(grid.width_um), "resonance": resonance is None}
    missing = tuple(name for name, lacking in absent.items() if lacking)
    return Loops(loops, selection.voltage_V, resonance, notes + grid.notes, missing, grid.width_um,
                 cycles=selection.cycles, grid=grid.whole, theta_rad=theta_rad)


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

"""HDF5 files of this repository."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from helpers.scans.formats import (
    EXPECTED,
    Choice,
    DataError,
    Loops,
    every_nth,
    numbers,
    only_one_scan,
    picked,
    thinning,
)

PUBLISHED_DOIS = ("10.5281/zenodo.1482091", "10.5281/zenodo.6321172")
PUBLISHED_LAG_STEPS = 24


def read_own(path: Path, choice: Choice) -> Loops:
    """Loops of ``piezoresponse`` and ``voltage`` with whatever else stands beside them."""
    only_one_scan(path, choice)
    with h5py.File(path, "r") as file:
        missing = {"piezoresponse", "voltage"} - set(file)
        if missing:
            raise DataError(f"{path} has no dataset {', '.join(sorted(missing))} "
                            f"(it has {', '.join(sorted(file)) or 'none'}): expected {EXPECTED}; "
                            "rename or add it")
        whole = file["piezoresponse"].shape if isinstance(file["piezoresponse"], h5py.Dataset) else ()
        part = picked(whole, choice.rows)
        loops = numbers(path, "piezoresponse", file["piezoresponse"], part)
        voltage_V = numbers(path, "voltage", file["voltage"])
        resonance = numbers(path, "resonance", file["resonance"], part) if "resonance" in file else None
        lag = resonance_lag_steps(file)
        if resonance is not None and resonance.ndim:
            resonance = np.roll(resonance, -lag, axis=-1)
        notes = [str(note) for note in file.attrs.get("notes", [])] or ["HDF5 of this repository"]
        if lag:
            notes.append(f"resonance moved ahead by {lag} steps to meet the voltage")
        notes += [] if choice.rows else thinning(every_nth(whole), whole)
        topography = numbers(path, "topography", file["topography"]) if "topography" in file else None
        truth = {name: values[part] for name, values in file.get("truth", {}).items()}
        unusable = np.asarray(file["unusable"][part], bool) if "unusable" in file else None
        origin = {name: str(file.attrs[name]) for name in ("kind", "path", "sha256") if name in file.attrs}
        published = _is_published(file)
        size_um = float(file.attrs.get("scan_size_um", 2.0 if published else np.nan))
        turned = bool(file.attrs.get("turned", published))
    absent = [name for name, value in (("resonance", resonance), ("topography", topography)) if value is None]
    return Loops(loops, voltage_V, resonance, tuple(notes), tuple(absent), size_um, topography, origin, truth,
                 unusable, turned, grid=whole[:2] if part else None)


def _is_published(file: h5py.File) -> bool:
    return any(doi in str(file.attrs.get("source", "")) for doi in PUBLISHED_DOIS)


def resonance_lag_steps(file: h5py.File) -> int:
    """Steps by which the stored resonance lags behind the stored voltage.

    The published release keeps the resonance in the order of acquisition, from 0 V upwards,
    but piezoresponse and voltage from +16 V downwards, a quarter of the cycle later. Three
    traces in the data show it: the resonance jumps where its stored cycle closes, as a drift
    between first and last step does; its softening meets the switching of the piezoresponse
    only after the shift; and so do the points that were interpolated in both channels.
    A file says otherwise with the attribute ``resonance_lag_steps``.
    """
    if "resonance_lag_steps" in file.attrs:
        return int(file.attrs["resonance_lag_steps"])
    return PUBLISHED_LAG_STEPS if _is_published(file) else 0

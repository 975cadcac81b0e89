"""Write band-excitation spectra with pyUSID; ``python tests/write_pyusid.py`` renews tests/pyusid.h5.

pyUSID brings some ninety packages, so it is not among those of this project, and the file that it wrote lies
beside the tests. Its release 0.0.12 calls `numpy.product`, which NumPy 2 has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np

STORED = Path(__file__).parent / "pyusid.h5"
FIELDS = ("Amplitude [V]", "Frequency [Hz]", "Quality Factor", "Phase [rad]", "R2 Criterion")
ROWS, COLUMNS, CYCLES, STEPS, BINS = 2, 3, 2, 12, 10
VOLTAGE_V = 10 * np.array([0, 1, 2, 3, 2, 1, 0, -1, -2, -3, -2, -1]) / 3
FREQUENCY_HZ = np.linspace(300e3, 340e3, BINS)
PHASE = 0.6  # of the electronics, rad


def truth() -> tuple[np.ndarray, np.ndarray]:
    """Loops (V) and resonance (Hz), each (rows, columns, cycles, fields, steps)."""
    row, column, cycle, field, step = np.indices((ROWS, COLUMNS, CYCLES, 2, STEPS))
    loops = 1e-5 * (1 + 0.1 * row + 0.02 * column) * (1 + cycle + 0.3 * field)
    return loops * np.cos(2 * np.pi * (step - 3) / STEPS), 318e3 + 800.0 * row + 300.0 * column + 100.0 * step


def spectra() -> np.ndarray:
    """Response of oscillators of quality factor 60, shape (pixels, bins × steps × fields × cycles)."""
    loops, resonance = (values[..., None] for values in truth())
    response = loops * np.exp(-1j * PHASE) * resonance**2 / (
        FREQUENCY_HZ**2 - 1j * FREQUENCY_HZ * resonance / 60 - resonance**2)
    # In pyUSID the first dimension varies fastest: frequency, then voltage, field and cycle.
    return response.reshape(ROWS * COLUMNS, -1).astype("complex64")


@contextmanager
def anonymous() -> Iterator[None]:
    """Keep name, system and clock of the machine out of the attributes that sidpy writes."""
    with ExitStack() as stack:
        for name in ("socket.getfqdn", "get_time_stamp", "platform"):
            stack.enter_context(patch(f"sidpy.hdf.hdf_utils.{name}", return_value="not recorded"))
        yield


def write(path: Path) -> None:
    """Raw spectra, and the fit and the loops that BGlib derives from them.

    Raises
    ------
    ImportError
        Without pyUSID.
    """
    if not hasattr(np, "product"):
        np.product = np.prod
    import pyUSID
    from sidpy.hdf.prov_utils import create_indexed_group

    dimension, tools = pyUSID.Dimension, pyUSID.hdf_utils
    with h5py.File(path, "w") as file, anonymous():
        channel = create_indexed_group(create_indexed_group(file, "Measurement"), "Channel")
        main = tools.write_main_dataset(
            channel, spectra(), "Raw_Data", "Piezoresponse", "V",
            [dimension("X", "m", np.arange(COLUMNS) * 1e-7), dimension("Y", "m", np.arange(ROWS) * 1e-7)],
            [dimension("Frequency", "Hz", FREQUENCY_HZ), dimension("DC_Offset", "V", VOLTAGE_V),
             dimension("Field", "", [0.0, 1.0]), dimension("Cycle", "", [0.0, 1.0])])
        _write_fit(tools, main)


def _write_fit(tools, main) -> None:
    group = tools.create_results_group(main, "SHO_Fit")
    indices, values = tools.write_reduced_anc_dsets(group, main.h5_spec_inds, main.h5_spec_vals, "Frequency")
    loops, resonance = (cube.reshape(ROWS * COLUMNS, -1) for cube in truth())
    table = np.zeros(loops.shape, [(name, float) for name in FIELDS])
    table[FIELDS[0]], table[FIELDS[1]] = np.abs(loops), resonance
    table[FIELDS[3]] = np.where(loops > 0, -PHASE, np.pi - PHASE)
    guess = tools.write_main_dataset(
        group, table, "Guess", "SHO", "compound", None, None, h5_pos_inds=main.h5_pos_inds,
        h5_pos_vals=main.h5_pos_vals, h5_spec_inds=indices, h5_spec_vals=values)
    fit = tools.create_empty_dataset(guess, table.dtype, "Fit")
    fit[:] = table
    below = tools.create_results_group(fit, "Loop_Fit")
    projected = tools.create_empty_dataset(fit, float, "Projected_Loops", h5_group=below)
    projected[:] = 3 * loops


if __name__ == "__main__":
    write(STORED)

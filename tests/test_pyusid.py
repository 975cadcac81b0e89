"""Files that pyUSID itself wrote: the one beside this test, and a fresh one where pyUSID is installed."""

import shutil

import h5py
import numpy as np
import pytest
import write_pyusid

from helpers.scans.choice import Choice
from helpers.scans.reading import load_scan

FITTED = "Measurement_000/Channel_000/Raw_Data-SHO_Fit_000"
LOOPS = f"{FITTED}/Fit-Loop_Fit_000"


@pytest.fixture(params=["stored", "fresh"])
def written(request, tmp_path):
    path = tmp_path / "pyusid.h5"
    if request.param == "stored":
        shutil.copy(write_pyusid.STORED, path)
    else:
        pytest.importorskip("pyUSID")
        write_pyusid.write(path)
    return path


@pytest.mark.parametrize(("removed", "factor", "note"), [
    ([], 3, "loops of"), ([LOOPS], 1, "oscillators of"), ([FITTED], 1, "oscillators fitted to")])
@pytest.mark.parametrize(("choice", "cycle", "field"), [
    (Choice(), 1, 0), (Choice(cycle=1), 0, 0), (Choice(cycle=2, field="on"), 1, 1),
    (Choice(cycle=1, field="on"), 0, 1)])
def test_what_pyusid_wrote_is_read(written, removed, factor, note, choice, cycle, field):
    with h5py.File(written, "a") as file:
        for group in removed:
            del file[group]
    scan = load_scan(written, choice)
    loops, resonance_Hz = write_pyusid.truth()
    rtol = 1e-4 if removed == [FITTED] else 1e-6  # complex64
    expected = factor * loops[:, :, cycle, field]
    np.testing.assert_allclose(scan.piezoresponse, expected, atol=rtol * np.abs(expected).max())
    np.testing.assert_allclose(scan.resonance_kHz, resonance_Hz[:, :, cycle, field] / 1e3, rtol=rtol)
    np.testing.assert_allclose(scan.voltage_V, write_pyusid.VOLTAGE_V)
    assert note in scan.notes[0] and f"cycle {cycle + 1} of 2" in scan.notes
    assert scan.shape == (write_pyusid.ROWS, write_pyusid.COLUMNS)
    assert scan.size_um == pytest.approx(write_pyusid.COLUMNS * 0.1)

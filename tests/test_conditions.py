"""What microscopists' files hold besides plain loops: read right, or refused by name, never wrong without a word."""

import json
import os
import subprocess
import sys
import time
from types import ModuleType, SimpleNamespace

import h5py
import numpy as np
import pytest
import scipy.io
from test_formats import axes_of, table, write_main

from helpers.paths import ROOT, own_scans, passed_over
from helpers.scans import formats
from helpers.scans.__main__ import main
from helpers.scans.choice import Choice, choose
from helpers.scans.cleaning import Cleaning, rules_of
from helpers.scans.fetch import find_scan
from helpers.scans.formats import DataError
from helpers.scans.outliers import check_tails, variance_in_extremes
from helpers.scans.reading import load_scan, refuse_if_it_crashes
from helpers.scans.units import factor, in_kHz

ROWS, COLUMNS, STEPS = 5, 4, 32
VOLTAGE_V = 8 * np.concatenate([np.arange(8), np.arange(8, -8, -1), np.arange(-8, 0)]) / 8
BINS_HZ = np.linspace(300e3, 340e3, 24)


def loops(voltage_V=VOLTAGE_V):
    """Piezoresponse and resonance (Hz), each (rows, columns, steps), other at every pixel, open and asymmetric."""
    up = np.diff(voltage_V, append=voltage_V[:1]) > 0
    row, column = (index[..., None] for index in np.indices((ROWS, COLUMNS)))
    coercive = np.where(up, 3 + 0.2 * row, -2.5 - 0.2 * column)
    return 1e-4 * np.tanh((voltage_V - coercive) / 1.5) * (1 + 0.1 * row) + 1e-9, (
        320e3 + 200 * row + 60 * column - 150 * np.abs(voltage_V))


P, F_HZ = loops()
PHASE = np.where(P > 0, -0.4, np.pi - 0.4)
FIT = np.stack([np.abs(P), F_HZ, 100 + 0 * P, PHASE, 0.9 + 0 * P], axis=2)  # parameters of oscillators
FLAT = (ROWS * COLUMNS, -1)
PLAIN = {"piezoresponse": P, "voltage": VOLTAGE_V}


def spectra(piezoresponse, resonance, bins=BINS_HZ):
    p, f = (x.reshape(FLAT)[..., None] for x in (piezoresponse, resonance))
    return (p * np.exp(-0.4j) * f**2 / (bins**2 - 1j * bins * f / 120 - f**2)).reshape(FLAT).astype("c8")


def space(x="X", y="Y", unit="m", step=1e-7):
    """Positions of which `x` varies fastest."""
    return axes_of(**{y: (unit, np.arange(ROWS) * step), x: (unit, np.arange(COLUMNS) * step)})


def write_fit(path, values, spectroscopic, positions=None, group="Measurement_000/Channel_000/Raw_Data-SHO_Fit_000",
              name="Fit", **attributes):
    with h5py.File(path, "a") as file:
        made = write_main(file.require_group(group), name, values, positions or space(), spectroscopic)
        file["Measurement_000"].attrs.update(attributes)
        return made.name


def write_plain(path, arrays, /, **attributes):
    with h5py.File(path, "w") as file:
        file.update(arrays)
        file.attrs.update(attributes)


def drive(voltage_V=VOLTAGE_V, unit="V"):
    return axes_of(DC_Offset=(unit, voltage_V))


def assert_is(scan, piezoresponse=P, resonance_Hz=F_HZ, voltage_V=VOLTAGE_V, rtol=1e-3):
    np.testing.assert_allclose(scan.voltage_V, voltage_V, atol=1e-6)
    np.testing.assert_allclose(scan.piezoresponse, piezoresponse, atol=rtol * np.abs(piezoresponse).max())
    if resonance_Hz is not None:
        np.testing.assert_allclose(scan.resonance_kHz, resonance_Hz / 1e3, rtol=1e-4)


def refused(message, *arguments):
    with pytest.raises(DataError, match=message):
        load_scan(*arguments)


def said(scan, *words):
    assert all(any(word in note for note in scan.notes) for word in words), scan.notes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


@pytest.mark.parametrize(("unit", "base", "expected"), [
    ("kHz", "Hz", 1e3), ("MHz", "Hz", 1e6), ("mHz", "Hz", 1e-3), ("Hertz", "Hz", 1), ("kilohertz", "Hz", 1e3),
    ("mV", "V", 1e-3), ("kV", "V", 1e3), ("volts", "V", 1), ("um", "m", 1e-6), ("µm", "m", 1e-6), ("μm", "m", 1e-6),
    ("nanometres", "m", 1e-9), ("Å", "m", 1e-10), ("microns", "m", 1e-6), ("deg", "rad", np.pi / 180),
    ("rad", "rad", 1),
    ("mrad", "rad", 1e-3), ("a.u.", "V", None), ("", "Hz", None), ("counts", "m", None), ("min", "m", None)])
def test_every_prefix_of_a_unit_is_known(unit, base, expected):
    assert factor(unit, base) == pytest.approx(expected) if expected else factor(unit, base) is None


@pytest.mark.parametrize(("frequency", "voltage"), [("Hz", "mV"), ("kHz", "V"), ("MHz", "kV")])
def test_units_of_plain_files_raw_spectra_and_fits_are_read(tmp_path, path, frequency, voltage):
    in_Hz, in_V = factor(frequency, "Hz"), factor(voltage, "V")
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["piezoresponse"] = P
        file.create_dataset("resonance", data=F_HZ / in_Hz).attrs["units"] = frequency
        file.create_dataset("voltage", data=VOLTAGE_V / in_V).attrs["units"] = voltage
    assert_is(load_scan(tmp_path / "plain.h5"))
    axes = axes_of(DC_Offset=(voltage, VOLTAGE_V / in_V), Frequency=(frequency, BINS_HZ / in_Hz))
    write_fit(path, spectra(P, F_HZ), axes, group="Measurement_000/Channel_000", name="Raw_Data")
    assert_is(load_scan(path))
    write_fit(path, table(P, F_HZ / in_Hz, frequency).reshape(FLAT), drive())
    assert_is(load_scan(path))


@pytest.mark.parametrize(("unit", "step", "width", "note"), [
    ("nm", 100, 0.4, None), ("um", 0.1, 0.4, None), ("nm", 4, 0.016, "questionable: width of 0.016 µm"),
    ("m", 1, None, "positions are counts"), ("", 1, None, "positions are counts")])
def test_units_of_the_positions_are_read_and_counts_are_no_lengths(path, unit, step, width, note):
    write_fit(path, table(P, F_HZ).reshape(FLAT), drive(), space(unit=unit, step=step))
    scan = load_scan(path)
    assert np.isnan(scan.size_um) if width is None else scan.size_um == pytest.approx(width)
    if note:
        said(scan, note)


@pytest.mark.parametrize(("arrays", "words"), [
    ({"piezoresponse": P, "resonance": F_HZ / 1e6, "voltage": VOLTAGE_V * 1e3},
     ["questionable: voltage of 8e+03 V", "questionable: resonance of 0.32 kHz"]),
    ({"piezoresponse": np.abs(P)}, ["questionable: the piezoresponse is of one sign everywhere"]),
    ({"amplitude": np.abs(P), "phase": PHASE / 6.28}, ["questionable: φ spans 0.5 rad"]),
    ({"amplitude": 20 * np.log10(np.abs(P)), "phase": PHASE}, ["questionable: A is negative"])])
def test_what_no_microscope_has_is_questioned(tmp_path, arrays, words):
    np.savez(tmp_path / "x.npz", **{"voltage": VOLTAGE_V} | arrays)
    said(load_scan(tmp_path / "x.npz"), *words)


@pytest.mark.parametrize("fill", [0.0, -9999.0, 1e30, "constant"])
def test_pixels_and_tails_that_were_never_measured_are_unusable(path, fill):
    p, f = P.copy(), F_HZ / 1e3
    for cube in (p, f):
        cube[3:] = cube[3:, :, :1] if fill == "constant" else fill
        cube[2, 3, 20:] = cube[2, 3, 19] if fill == "constant" else fill
    write_plain(path, {"piezoresponse": p, "resonance": f, "voltage": VOLTAGE_V})
    scan = load_scan(path)
    expected = np.zeros((ROWS, COLUMNS), bool)
    expected[3:] = expected[2, 3] = True
    np.testing.assert_array_equal(scan.unusable, expected)
    said(scan, "never measured (zero, constant or a fill value): 8 pixels, and part of 1 more")
    np.testing.assert_array_equal(scan.piezoresponse[~expected], P[~expected])


def test_saturated_loops_are_measured_and_hold_little_variance_in_their_extremes(path):
    write_plain(path, {"piezoresponse": np.clip(P, -4e-5, 4e-5), "voltage": VOLTAGE_V})
    assert load_scan(path).unusable is None
    assert variance_in_extremes(np.random.default_rng(0).normal(size=10**5)) < 0.02
    assert variance_in_extremes(np.zeros(10)) == 0


def test_an_aborted_scan_with_projected_loops_ends_where_its_fit_does(path):
    fit, projected = table(P, F_HZ).reshape(FLAT), P.reshape(FLAT).copy()
    fit[12:], projected[12:] = 0, 0
    write_fit(path, fit, drive())
    with h5py.File(path, "a") as file:
        group = file["Measurement_000/Channel_000/Raw_Data-SHO_Fit_000"]
        made = group.create_dataset("Fit-Loop_Fit_000/Projected_Loops", data=projected)
        made.attrs.update({name: group["Fit"].attrs[name] for name in group["Fit"].attrs if "_" in name})
    scan = load_scan(path)
    assert scan.unusable.sum() == 8 and scan.unusable[3:].all()


def test_failed_fits_that_hold_the_variance_stop_a_run_that_names_what_repairs_them(path):
    rng = np.random.default_rng(0)
    cube = 3e-5 * np.tanh(VOLTAGE_V / 1.5) + 2e-6 * rng.normal(size=(20, 20, STEPS))
    wrong = np.zeros(cube.shape, bool)
    for row, column in rng.integers(0, 20, (60, 2)):
        first, length = rng.integers(0, 24), rng.integers(2, 6)
        wrong[row, column, first:first + length] = True
    cube[wrong] = 0.05 * rng.normal(size=wrong.sum())
    write_plain(path, {"piezoresponse": cube, "voltage": VOLTAGE_V})
    scan = load_scan(path)
    said(scan, "one point in 1000 holds", "CLEAN=outliers=10 repairs them")
    with pytest.raises(DataError, match="as failed fits do: expected at most 20%; CLEAN=outliers=10 repairs them"):
        check_tails(scan)
    repaired = load_scan(path, cleaning=rules_of("outliers=10"))
    check_tails(repaired)
    found = repaired.cleaning.flags["piezoresponse"] > 0
    assert found[wrong].mean() > 0.99 and found[~wrong].mean() < 0.001  # runs as well
    assert np.abs(repaired.piezoresponse).max() < 1e-4
    check_tails(load_scan(path, cleaning=rules_of("piezoresponse=-5e-5:5e-5")))
    with pytest.raises(DataError, match="CLEAN=piezoresponse="):
        check_tails(load_scan(path, cleaning=rules_of("outliers=9000")))


def test_points_of_poor_fits_are_repaired(path):
    r2 = np.full(P.shape, 0.99)
    r2[0, 0, 5], r2[1, 1, 7] = -0.2, 0.3
    write_fit(path, table(P, F_HZ, r2=r2).reshape(FLAT), drive())
    assert load_scan(path).cleaning.counts()["piezoresponse"]["poorly fitted"] == 1
    assert load_scan(path, cleaning=rules_of("r2=0.5")).cleaning.counts()["piezoresponse"]["poorly fitted"] == 2


@pytest.mark.parametrize(("stated", "field"), [("in-field", "on"), ("In-Field", "on"), ("out-of-field", "off")])
def test_the_field_that_a_measurement_states_is_believed(path, stated, field):
    write_fit(path, table(P, F_HZ).reshape(FLAT), drive(), VS_measure_in_field_loops=stated)
    other = {"on": "off", "off": "on"}[field]
    assert_is(load_scan(path, Choice(field=field)))
    refused(f"measured with the field {field} alone .* choose field={field}", path, Choice(field=other))


def test_the_offset_of_the_pulse_stands_for_that_of_the_field_off(path):
    axes = axes_of(DC_Offset=("V", VOLTAGE_V), Field=("", [0.0, 1.0]))
    axes["DC_Offset"] = ("V", axes["DC_Offset"][1] * axes["Field"][1], axes["DC_Offset"][2])
    p, f = (np.repeat(x.reshape(FLAT), 2, axis=1) for x in (P, F_HZ))
    write_fit(path, table(p, f), axes)
    scan = load_scan(path)
    assert_is(scan)
    said(scan, "the offset is 0 while the field is off")


def test_of_forc_the_largest_amplitude_is_read_and_the_others_can_be_chosen(path):
    axes = axes_of(FORC=("", [0.0, 1.0, 2.0]), DC_Offset=("V", VOLTAGE_V))
    parts = [loops(VOLTAGE_V * share) for share in (0.4, 1, 0.7)]
    axes["DC_Offset"] = ("V", np.concatenate([VOLTAGE_V * share for share in (0.4, 1, 0.7)]), axes["DC_Offset"][2])
    p, f = (np.concatenate([part[n] for part in parts], axis=-1).reshape(FLAT) for n in (0, 1))
    write_fit(path, table(p, f), axes)
    scan = load_scan(path)
    assert_is(scan)
    said(scan, "FORC = 1, which has the largest amplitude, 8 V, of 0, 1, 2")
    assert_is(load_scan(path, choose("forc=0")), *parts[0], VOLTAGE_V * 0.4)


@pytest.mark.parametrize("raw", [True, False])
def test_of_several_measurements_the_last_is_read_and_the_others_are_named(path, raw):
    for number in (0, 1):
        group = f"Measurement_00{number}/Channel_000"
        if raw:
            axes = axes_of(DC_Offset=("V", VOLTAGE_V), Frequency=("Hz", BINS_HZ))
            write_fit(path, spectra((1 + number) * P, F_HZ), axes, group=group, name="Raw_Data")
        else:
            write_fit(path, table((1 + number) * P, F_HZ).reshape(FLAT), drive(), group=f"{group}/Raw_Data-SHO_Fit_000")
    scan = load_scan(path)
    assert_is(scan, 2 * P)
    said(scan, "measurement 1; the file also has 0")
    assert_is(load_scan(path, choose("measurement=0")), P)
    refused("no measurement 3: expected one of 0, 1", path, choose("measurement=3"))


@pytest.mark.parametrize("left", [0, 11])
def test_of_a_drive_that_repeats_the_last_whole_cycle_is_read(path, left):
    write_plain(path, {"piezoresponse": np.concatenate([P, 2 * P, 3 * P[..., :left]], axis=-1),
                       "voltage": np.concatenate([VOLTAGE_V, VOLTAGE_V, VOLTAGE_V[:left]])})
    scan = load_scan(path)
    assert_is(scan, 2 * P, None)
    said(scan, "cycle 2 of 2", *(["the last 11 steps are no whole cycle"] if left else []))
    assert_is(load_scan(path, Choice(cycle=1)), P, None)
    assert_is(load_scan(path, Choice(cycle="mean")), 1.5 * P, None)
    refused("no cycle 3: expected one of 1 to 2", path, Choice(cycle=3))


def test_cycles_on_an_axis_and_readings_at_each_step_are_found(tmp_path):
    np.savez(tmp_path / "a.npz", piezoresponse=np.stack([P, 2 * P], axis=2), voltage=VOLTAGE_V)
    assert_is(load_scan(tmp_path / "a.npz"), 2 * P, None)
    np.savez(tmp_path / "b.npz", piezoresponse=np.repeat(P, 3, axis=-1), voltage=np.repeat(VOLTAGE_V, 3))
    scan = load_scan(tmp_path / "b.npz")
    assert_is(scan, P, None)
    said(scan, "3 readings at each step averaged")


REPAIRS = Cleaning(outlier_sd=10.0, valid_range={"resonance_kHz": (1300.0, 1340.0)}, least_r2=0.5)


@pytest.mark.parametrize(("read", "arguments", "expected"), [
    (choose, ("field=on,cycle=2, forc=1, measurement=0", 0, "off"),
     Choice(cycle=2, field="on", measurement=0, others={"forc": 1.0})),
    (choose, ("", "2", False), Choice(cycle=2)), (choose, ("", 2.0, True), Choice(cycle=2, field="on")),
    (choose, ("", "mean", "ON"), Choice(cycle="mean", field="on")),
    (choose, ("grid=5x4;dataset=a/b", None, "off"), Choice(grid=(5, 4), dataset="a/b")),
    (rules_of, ("outliers=10,resonance=1300:1340,r2=0.5",), REPAIRS),
    (rules_of, ("r2=0.5", "10", "{'resonance_kHz': (1300, 1340)}"), REPAIRS)])
def test_parameters_of_any_type_are_taken_for_what_they_mean(read, arguments, expected):
    assert read(*arguments) == expected


@pytest.mark.parametrize(("read", "arguments", "message"), [
    (choose, ("field",), "'field' says nothing"), (choose, ("cycle=two",), "cycle=two is not a cycle"),
    (choose, ("forc=large",), "forc=large cannot be chosen: expected a number"),
    (choose, ("grid=5",), "expected rows x columns"), (choose, ("measurement=0.5",), "expected a whole number"),
    (choose, ("", True), "cycle=True is not a cycle"), (choose, ("", -1), "cycle=-1 is not a cycle"),
    (choose, ("", 0, "both"), "field=both is not a field"), (rules_of, ("outlier=x",), "outlier=x is no rule"),
    (rules_of, ("r2=good",), "r2=good cannot be chosen: expected a number"),
    (rules_of, ("", True), "outlier_sd=True"), (rules_of, ("", 0, "1300"), "valid_range=1300 is no range"),
    (rules_of, ("", 0, {"resonance_kHz": 5}), "is no range")])
def test_choices_and_rules_that_are_none_are_refused_by_name(read, arguments, message):
    with pytest.raises(ValueError, match=message):
        read(*arguments)


@pytest.mark.parametrize(("x", "y"), [("X", "Y"), ("x", "y"), ("Cols", "Rows"), ("Y", "X"), ("a", "b")])
def test_the_position_that_varies_fastest_is_the_column(path, x, y):
    write_fit(path, table(P, F_HZ).reshape(FLAT), drive(), space(x, y))
    assert_is(load_scan(path))


@pytest.mark.parametrize("labels", [("Frequency", "DC_Offset", "Cycle"), ("Unused", "Frequency", "DC_Offset")])
def test_labels_that_are_too_many_are_fitted_to_the_values(path, labels):
    axes = axes_of(DC_Offset=("V", VOLTAGE_V), Frequency=("Hz", BINS_HZ))
    name = write_fit(path, spectra(P, F_HZ), {key: axes[key] for key in ("Frequency", "DC_Offset")},
                     group="Measurement_000/Channel_000", name="Raw_Data")
    with h5py.File(path, "a") as file:
        for part in ("Spectroscopic_Indices", "Spectroscopic_Values"):
            file[file[name].attrs[part]].attrs["labels"] = np.array(labels, "S")
    scan = load_scan(path)
    assert_is(scan)
    said(scan, "3 labels for 2 axes: read as Frequency, DC_Offset")


def test_indices_are_rebuilt_from_the_values(path):
    name = write_fit(path, table(P, F_HZ).reshape(FLAT), drive())
    with h5py.File(path, "a") as file:
        main = file[name]
        file[main.attrs["Spectroscopic_Indices"]][...] = 0
        del main.attrs["Position_Indices"], main.parent["Position_Indices"]
    assert_is(load_scan(path))


def test_lone_arrays_are_recognised_questioned_or_said_to_be_a_guess(tmp_path):
    path = tmp_path / "x.npy"
    fit = np.moveaxis(FIT, 2, -1)
    for parameters in (fit, fit[..., :4]):
        np.save(path, parameters)
        assert_is(load_scan(path, Choice(voltage_V=VOLTAGE_V)))
    for array, like in ((F_HZ, "a resonance"), (np.abs(P), "an amplitude")):
        np.save(path, array)
        refused(f"one sign everywhere, about .*, as {like} is", path, Choice(voltage_V=VOLTAGE_V))
    np.save(path, (F_HZ - F_HZ.mean()) / F_HZ.std())
    said(load_scan(path, Choice(voltage_V=VOLTAGE_V)), "taken as the piezoresponse: a guess")
    np.save(path, np.stack([F_HZ, P], axis=-1))
    scan = load_scan(path, Choice(voltage_V=VOLTAGE_V))
    assert_is(scan)
    said(scan, "channels 2 and 1 taken as piezoresponse and resonance")
    np.savez(tmp_path / "x.npz", piezoresponse=np.moveaxis(P, -1, 0), resonance=np.moveaxis(F_HZ, -1, 0),
             voltage=VOLTAGE_V)
    scan = load_scan(tmp_path / "x.npz")
    assert_is(scan)
    said(scan, "the first axis, as long as the drive, is taken as the steps")
    assert in_kHz(np.random.default_rng(0).normal(size=(9, 9)))[1].startswith("resonance taken to be in standard dev")


IN_FIELD = P + 2e-5 * VOLTAGE_V


@pytest.mark.parametrize(("arrays", "attributes", "words"), [
    ({"voltage": (1e3 * VOLTAGE_V).astype(">i2")}, {"voltage": {"Unit": "mV"}}, "converted from mV to V"),
    ({"voltage": VOLTAGE_V}, {"voltage": {"units": "div"}}, "questionable: voltage in div"),
    ({"voltage": np.broadcast_to(VOLTAGE_V, P.shape)}, {}, "no resonance"),
    ({"voltage": VOLTAGE_V, "bias": VOLTAGE_V / 9}, {}, "voltage is taken as the voltage, not bias"),
    ({"piezoresponse": np.round((P - 1e-5) / 1e-8).astype("i2")},
     {"piezoresponse": {"scale_factor": [1e-8], "add_offset": 1e-5}}, "no resonance"),
    ({"resonance": F_HZ * 6.28}, {"resonance": {"units": "rad/s"}}, "questionable: its unit is rad/s"),
    ({"piezoresponse": np.stack([P, 2 * P], axis=-1)}, {}, "questionable: the resonance is about"),
    ({"piezoresponse": np.stack([IN_FIELD, 2 * P - IN_FIELD], axis=-1).reshape(ROWS, COLUMNS, -1),
      "voltage": np.repeat(VOLTAGE_V, 2)}, {}, "questionable: the readings at a step differ by"),
    ({"piezoresponse": None, "amplitude": np.abs(P), "phase": PHASE}, {"phase": {"units": "V"}}, "φ in V taken to")])
def test_odd_arrays_are_read_for_what_they_are_or_questioned(path, arrays, attributes, words):
    arrays = PLAIN | arrays
    write_plain(path, {name: values for name, values in arrays.items() if values is not None})
    with h5py.File(path, "a") as file:
        for name, values in attributes.items():
            file[name].attrs.update(values)
    scan = load_scan(path)
    assert_is(scan, P, None)
    said(scan, words)


@pytest.mark.parametrize(("arrays", "attributes", "message"), [
    ({"voltage": VOLTAGE_V * np.ones_like(P) * np.arange(1, 5)[:, None]}, {}, "one drive a pixel: expected .steps,."),
    ({}, {"scan_size_um": "2 um"}, "the attribute scan_size_um is '2 um': expected a number")])
def test_drives_of_pixels_and_attributes_that_are_no_numbers_are_refused(path, arrays, attributes, message):
    write_plain(path, PLAIN | arrays, **attributes)
    refused(message, path)


def test_axes_of_netcdf_are_read_and_what_an_nsid_dataset_lacks_is_said(path):
    with h5py.File(path, "w") as file:
        file.attrs["_NCProperties"] = "version=2"
        main = file.create_dataset("piezoresponse", data=P.T)
        for n, (label, values, unit, _) in enumerate((BIAS, X, Y)):
            file[label.lower()] = values
            file[label.lower()].attrs["units"] = unit
            file[label.lower()].make_scale(label.lower())
            main.dims[n].attach_scale(file[label.lower()])
    scan = load_scan(path)
    assert_is(scan, P, None)
    assert scan.size_um == pytest.approx(0.4)
    with h5py.File(path, "w") as file:
        for n in (1, 2):
            write_nsid(file, f"amplitude_{n}", n * np.abs(P), [Y, X, BIAS], "Amplitude")
            write_nsid(file, f"phase_{n}", n * PHASE, [Y, X, BIAS], "Phase", "rad")
    assert_is(load_scan(path, choose("dataset=amplitude_1")), P, None)
    with h5py.File(path, "w") as file:
        write_nsid(file, "current", P, [Y, X, BIAS], "Current", "A")
        write_nsid(file, "sets", P[None], [("Set", np.arange(1.0), "", "set"), Y, X, BIAS])
    said(load_scan(path, choose("dataset=current")), "questionable: current/current does not say what it holds")
    refused("has no Set 7: expected one of 0", path, choose("set=7"))


@pytest.mark.parametrize(("kind", "degrees"), [
    ("npz", False), ("h5", False), ("nested.h5", False), ("mat", False), ("npz", True), ("h5", True)])
def test_amplitude_and_phase_make_the_piezoresponse(tmp_path, kind, degrees):
    phase = {"Phase (deg)": np.degrees(PHASE)} if degrees else {"phase": PHASE}
    arrays = {"Amplitude": np.abs(P), "Resonance": F_HZ, "voltage": VOLTAGE_V} | phase
    path = tmp_path / f"x.{kind}"
    if kind == "nested.h5":
        arrays = {f"run/results/{name}": values for name, values in arrays.items()}
    {"npz": lambda: np.savez(path, **arrays), "mat": lambda: scipy.io.savemat(path, arrays)}.get(
        kind, lambda: write_plain(path, arrays))()
    scan = load_scan(path)
    assert_is(scan)
    said(scan, "P = A cos(φ + θ) with the optimum θ = 0.4")


def write_nsid(file, name, cube, axes, quantity="Piezoresponse", units="a.u."):
    """As pyNSID: a group for each dataset, a scale on every axis; `axes` are (label, values, unit, quantity)."""
    group = file.create_group(name)
    main = group.create_dataset(name.rpartition("/")[2], data=cube)
    main.attrs.update(quantity=quantity, units=units, data_type="SPECTRAL_IMAGE", pyNSID_version="0.0.7.2",
                      main_data_name=name)
    for n, (label, values, unit, what) in enumerate(axes):
        scale = group.create_dataset(label, data=values)
        scale.make_scale(label)
        kind = "SPATIAL" if what == "Position" else "SPECTRAL"
        scale.attrs.update(name=label, units=unit, quantity=what, dimension_type=kind)
        main.dims[n].label = label
        main.dims[n].attach_scale(scale)


Y = ("Y", np.arange(ROWS) * 0.1, "um", "Position")
X = ("X", np.arange(COLUMNS) * 100.0, "nm", "Position")
BIAS = ("Voltage", VOLTAGE_V * 1e3, "mV", "Bias")


RESPONSE = np.abs(P) * np.exp(1j * PHASE)


@pytest.mark.parametrize(("datasets", "expected", "resonance_Hz"), [
    *([[("a/b/loops", P.transpose(order), [(Y, X, BIAS)[n] for n in order])], P, None]
      for order in [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)]),
    ([("c/r", RESPONSE, [Y, X, BIAS])], P, None),
    ([("c/r", RESPONSE.view([("real", float), ("imag", float)]), [Y, X, BIAS])], P, None),
    ([("c/amplitude", np.abs(P), [Y, X, BIAS], "Amplitude"),
      ("c/phase", np.degrees(PHASE), [Y, X, BIAS], "Phase", "deg"),
      ("c/frequency", F_HZ, [Y, X, BIAS], "Frequency", "Hz")], P, F_HZ),
    ([("c/fit", FIT, [Y, X, ("SHO", np.arange(5.0), "", "parameter"), BIAS], "SHO fit")], P, F_HZ),
    ([("c/loops", np.stack([P, 2 * P], axis=2), [Y, X, ("Cycle", np.arange(2.0), "", "cycle"), BIAS])], 2 * P, None),
], ids=["yxv", "xyv", "vxy", "xvy", "complex", "compound", "amplitude", "parameters", "cycles"])
def test_nsid_is_read_in_many_forms_whatever_the_order_of_its_axes(path, datasets, expected, resonance_Hz):
    with h5py.File(path, "w") as file:
        for dataset in datasets:
            write_nsid(file, *dataset)
    scan = load_scan(path)
    assert_is(scan, expected, resonance_Hz)
    assert scan.size_um == pytest.approx(0.4)
    if expected is not P:
        assert_is(load_scan(path, Choice(cycle=1)), P, None)


def test_datasets_of_nsid_are_listed_chosen_and_refused_by_name(path):
    with h5py.File(path, "w") as file:
        write_nsid(file, "c/first", P, [Y, X, BIAS])
        write_nsid(file, "c/second", 2 * P, [Y, X, BIAS])
        write_nsid(file, "c/height", P[..., 0], [Y, X], "Height", "m")
    scan = load_scan(path)
    assert_is(scan, 2 * P, None)
    said(scan, "first", "dataset= chooses another")
    assert_is(load_scan(path, choose("dataset=first")), P, None)
    refused("without loops called third", path, choose("dataset=third"))
    refused("does not tell field", path, choose("field=on"))
    with h5py.File(path, "a") as file:
        del file["c/first"], file["c/second"]
    refused(r"a NSID file without loops \(it holds c/height/height \(Height: Y 5 × X 4\)\)", path)


def test_files_of_microscopes_go_through_an_optional_package_or_name_it(tmp_path, monkeypatch):
    path = tmp_path / "scan.ibw"
    path.write_bytes(b"\x05\x00binary wave")
    monkeypatch.setitem(sys.modules, "SciFiReaders", None)
    refused("Igor, which SciFiReaders reads: .* pip install SciFiReaders igor2", path)

    class Read(np.ndarray):
        quantity, units, title = "Piezoresponse", "V", "loops"

    data = P.view(Read)
    data._axes = {n: np.asarray(values, float).view(type("Axis", (np.ndarray,), {
        "name": name, "units": unit, "quantity": what, "dimension_type": "SPATIAL" if n < 2 else "SPECTRAL"}))
        for n, (name, values, unit, what) in enumerate((Y, X, BIAS))}
    package = ModuleType("SciFiReaders")
    package.IgorIBWReader = lambda name: SimpleNamespace(read=lambda: {"Channel_000": data})
    monkeypatch.setitem(sys.modules, "SciFiReaders", package)
    assert_is(load_scan(path), P, None)
    package.IgorIBWReader = lambda name: 1 / 0
    refused("which SciFiReaders did not read .*ZeroDivisionError", path)


def test_what_the_optional_package_makes_of_files_is_read_or_refused_by_name(tmp_path, monkeypatch):
    """SciFiReaders itself: its sweeps go one way, and a curve of Asylum is one pixel without an axis of voltage."""
    library, sidpy, igor = map(pytest.importorskip, ("SciFiReaders", "sidpy", "igorwriter"))
    fields = {"Grid dim": "4 x 4", "Grid settings": "0;0;4e-7;4e-7;0", "Sweep Signal": "Bias (V)",
              "Fixed parameters": "Sweep Start;Sweep End", "Experiment parameters": "X (m);Y (m);Z (m)",
              "# Parameters (4 byte)": 5, "Experiment size (bytes)": 4 * STEPS, "Points": STEPS, "Channels": "PR (V)",
              "Experiment": "Grid", "User": "", "Comment": ""}
    values = np.concatenate([np.broadcast_to([-8.0, 8, 0, 0, 0], (4, 4, 5)), P[:4]], axis=-1).astype(">f4")
    header = "".join(f'{name}="{value}"\r\n' for name, value in fields.items())
    (tmp_path / "grid.3ds").write_bytes(f"{header}:HEADER_END:\r\n".encode() + values.tobytes())
    wave = igor.IgorWave(np.stack([np.arange(STEPS), np.abs(P[0, 0]), PHASE[0, 0], VOLTAGE_V], axis=1), name="SSPFM")
    for n, label in enumerate(("Raw", "Amp", "Phase", "Bias")):
        wave.set_dimlabel(1, n, label)
    wave.save(str(tmp_path / "pixel.ibw"))
    for name, message in (("grid.3ds", r"began at -8 V, a fraction of a cycle"),
                          ("pixel.ibw", r"a file of Igor without loops .*Bias 32.*as text into one folder")):
        refused(f"{name}.*{message}", tmp_path / name)
    made = {}
    for quantity, unit, cube in (("Amplitude", "m", np.abs(P)), ("Phase", "deg", np.degrees(PHASE))):
        made[quantity] = sidpy.Dataset.from_array(cube.swapaxes(0, 1), title=quantity)
        made[quantity].quantity, made[quantity].units = quantity, unit
        for n, (name, values, unit, what) in enumerate((X, Y, BIAS)):
            kind = "spatial" if what == "Position" else "spectral"
            made[quantity].set_dimension(n, sidpy.Dimension(values, name=name, units=unit, quantity=what,
                                                            dimension_type=kind))
    monkeypatch.setattr(library.IgorIBWReader, "read", lambda reader: made)
    scan = load_scan(tmp_path / "pixel.ibw")
    assert_is(scan, P, None)
    assert scan.size_um == pytest.approx(0.4)


@pytest.mark.parametrize(("layout", "between"), [
    ("names", "\t"), ("names", ","), ("order", ";"), ("table", "   "), ("table", ",")])
def test_a_folder_of_text_files_is_one_scan(tmp_path, layout, between):
    decimal = "," if between == ";" else "."
    heads = ["Index", "Read Bias (V)", "Write Bias (mV)", "Amplitude (nm)", "Phase (deg)", "Frequency (kHz)"]
    for n, (row, column) in enumerate(np.ndindex(ROWS, COLUMNS)):
        name = f"pixel_{n}.txt" if layout != "names" else f"r{row}_c{column}.csv"
        p = P[row, column]
        values = np.stack([np.arange(STEPS), 0 * p, 1e3 * VOLTAGE_V, np.abs(p), np.degrees(PHASE[row, column]),
                           F_HZ[row, column] / 1e3], axis=1)
        lines = ["# exported", between.join(heads)]
        lines += [between.join(f"{x:.9g}" for x in line).replace(".", decimal) for line in values]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    (tmp_path / "README.txt").write_text("no table")
    if layout == "table":
        places = "\n".join(f"{0.1 * c:.1f},{0.1 * r:.1f}" for r, c in np.ndindex(ROWS, COLUMNS))
        (tmp_path / "positions.csv").write_text(f"x (um),y (um)\n{places}\n")
    choice = Choice(grid=(ROWS, COLUMNS)) if layout == "order" else None
    scan = find_scan(str(tmp_path), choice=choice)
    assert_is(scan)
    assert scan.sha256 and (scan.size_um == pytest.approx(0.4) if layout == "table" else np.isnan(scan.size_um))
    if layout == "order":
        refused("20 files, not 4 × 4: expected names with row and column", tmp_path)


@pytest.mark.parametrize(("texts", "message"), [
    (["1 2\n2 3\n3 4"] * 2, "has the columns without headings: expected a voltage"),
    (["Bias  Amplitude\n1  2\n2  3"] * 2, "the columns Bias, Amplitude: expected a voltage that varies, and"),
    (["no numbers"] * 2, "holds no table of numbers"),
    (["Bias,PR\n1,2\n1.000.0,3\n3,4"] * 2, "line 3, '1.000.0,3', is no row of 2 numbers as those around it"),
    (["Bias,PR on\n1,2\n2,3"] * 2, "amplitude and phase, field off; head the columns so, or choose the other field"),
    (["Bias,PR\n1,2\n2,3", "Bias,PR\n1,2\n5,3"], "other than p0.txt: expected the same columns and the same voltages")])
def test_text_files_that_are_no_loops_are_refused_by_name(tmp_path, texts, message):
    for n, text in enumerate(texts):
        (tmp_path / f"p{n}.txt").write_text(text)
    refused(message, tmp_path)


def test_of_text_columns_of_both_fields_one_is_read_and_jittering_places_are_refused(tmp_path):
    for row, column in np.ndindex(ROWS, COLUMNS):
        values = np.stack([1e3 * VOLTAGE_V, P[row, column], IN_FIELD[row, column]], axis=1)
        np.savetxt(tmp_path / f"r{row}_c{column}.txt", values, header="Bias / mV, PR (off), PR (on)", delimiter=",")
    assert_is(load_scan(tmp_path), P, None)
    assert_is(load_scan(tmp_path, Choice(field="on")), IN_FIELD, None)
    places = np.random.default_rng(0).random((ROWS * COLUMNS, 2))
    np.savetxt(tmp_path / "positions.csv", places, header="x,y", delimiter=",")
    refused("20 positions in 20 rows and 20 columns: expected positions on a grid", tmp_path)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("x.mat", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer.* run git lfs pull"),
    ("x.mat", b"\x1f\x8b\x08 zipped", "it is compressed.* unpack it first"), ("x.mat", b"", "it is empty"),
    ("x.mat", b"# Created by Octave 9.1\n", "a file of Octave.* save -v7"),
    ("x.mat", b"PK\x03\x04 archive", "it is a zip archive"),
    ("x.mat", b"\x00\x00\x00\x00\x20\x00\x00\x00\x02\x00\x00\x00", "a file of MATLAB 4"),
    ("x.mat", b"plain text", "begins with bytes b'plain te'"),
    ("https://example.org/scan.h5", None, "is an address: expected the path of a file; download it"),
    ("nothing.h5", None, "nothing.h5 is not a file")])
def test_what_a_file_is_instead_is_said(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_scan(name)
    assert "again" not in str(caught.value) or not content


def test_paths_are_taken_as_a_shell_does_and_every_kind_of_scan_in_a_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "x.npz", piezoresponse=P, voltage=VOLTAGE_V)
    assert_is(load_scan("~/x.npz"), P, None)
    for name in ("a.h5", "b.hf5", "c.npz", "d.mat", "e.IBW", "film.txt", ".hidden.h5", "README.md"):
        (tmp_path / name).touch()
    assert [p.name for p in own_scans(tmp_path)] == ["a.h5", "b.hf5", "c.npz", "d.mat", "e.IBW", "x.npz"]
    assert "film.txt passed over" in passed_over(tmp_path)


def test_an_hdf5_file_open_for_writing_elsewhere_is_said_to_be_open(path, monkeypatch):
    def locked(*_, **__):
        raise BlockingIOError(11, "Unable to synchronously open file (unable to lock file, errno = 11)")

    write_plain(path, {"x": 1})
    monkeypatch.setattr(h5py, "File", locked)
    refused("is open in another program", path)


def test_what_lies_in_other_files_is_refused(tmp_path, path):
    write_plain(tmp_path / "other.h5", PLAIN)
    (tmp_path / "raw").write_bytes(P.tobytes())
    layout = h5py.VirtualLayout(P.shape, float)
    layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "piezoresponse", P.shape)
    for way in ("link", "virtual", "raw"):
        with h5py.File(path, "w") as file:
            file["voltage"] = VOLTAGE_V
            if way == "link":
                file["piezoresponse"] = h5py.ExternalLink("other.h5", "piezoresponse")
            elif way == "virtual":
                file.create_virtual_dataset("piezoresponse", layout)
            else:
                file.create_dataset("piezoresponse", P.shape, float, external=[(str(tmp_path / "raw"), 0, P.nbytes)])
        refused("`piezoresponse` lies in another file, which is not read", path)


@pytest.mark.parametrize(("name", "shape", "chunks", "message"), [
    ("resonance", (10**6, 10**6, 32), (10, 10, 32), "do not fit together"),
    ("topography", (10**6, 10**6), (10, 10), "has shape .*, more than 8 GiB"),
    ("unusable", (5, 5), None, "has shape .*, more values than the 20 pixels of the loops"),
    ("truth/c", (10**6, 10**6), (10, 10), "has shape .*, more values than the 20 pixels of the loops"),
    ("other", (2**16, 2**14), (2**15, 2**14), "stored in chunks .* more than 256 MiB")])
def test_declared_sizes_are_bounded_everywhere(path, name, shape, chunks, message):
    with h5py.File(path, "w") as file:
        file.update(PLAIN)
        file.create_dataset(name, shape, "u1" if name == "unusable" else "f4", chunks=chunks, compression="gzip")
    refused(message, path)


def test_origins_are_believed_in_results_of_the_project_alone(tmp_path):
    (tmp_path / "results").mkdir()
    for path in (tmp_path / "results/scan.h5", tmp_path / "mine.h5"):
        write_plain(path, PLAIN, kind="twin", sha256="0" * 64, path="/elsewhere.h5")
    own, other = load_scan(tmp_path / "results/scan.h5"), load_scan(tmp_path / "mine.h5")
    assert (own.source, own.path, own.sha256) == ("twin", "/elsewhere.h5", "0" * 64)
    assert (other.source, other.path) == ("measured", str(tmp_path / "mine.h5")) and other.sha256 != "0" * 64


def test_a_file_that_takes_too_long_is_given_up(path, monkeypatch):
    write_plain(path, PLAIN)
    formats.apart(0, time.sleep)  # the process is there
    monkeypatch.setattr(formats, "PATIENCE_S", 0.2)
    with pytest.raises(DataError, match="took more than 0.2 s"):
        formats.apart(60, time.sleep)
    monkeypatch.setattr(formats, "PATIENCE_S", 60)
    refuse_if_it_crashes(path)


def test_a_plain_script_may_read_a_scan(tmp_path, path):
    write_plain(path, PLAIN)
    (tmp_path / "script.py").write_text("from helpers.scans.reading import load_scan\n"
                                        f"print(load_scan({str(path)!r}).shape)\n")
    done = subprocess.run([sys.executable, tmp_path / "script.py"], env={**os.environ, "PYTHONPATH": str(ROOT)},
                          text=True, capture_output=True, check=True)
    assert done.stdout == "(5, 4)\n" and not done.stderr


def test_inspect_prints_one_object_or_what_it_says_to_read(path, capsys):
    write_fit(path, table(P, F_HZ).reshape(FLAT), drive())
    assert main(["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["format", "field", "cycle", "shape", "size_um", "voltage_V", "channels", "unusable",
                           "variance_in_extremes", "notes"]
    assert (found["format"], found["shape"], found["voltage_V"], found["unusable"]) == ("usid", [5, 4, 32], [-8, 8], 0)
    assert found["size_um"] == pytest.approx(0.4) and (found["field"], found["cycle"]) == ("off", 1)
    assert found["channels"]["resonance_kHz"]["unit"] == "kHz" and 0 < found["variance_in_extremes"] < 0.1
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    for part in ("Raw_Data-SHO_Fit_000/Fit (20, 32) Amplitude [V]", "usid: 5 × 4 pixels, 32 steps, 0.4 µm wide",
                 "field off", "too small: expected 300", "the file has no topography"):
        assert part in text
    path.write_bytes(b"<html>")
    assert main(["inspect", str(path), "--json"]) == 1
    assert "a web page" in json.loads(capsys.readouterr().out)["refused"]


@pytest.mark.parametrize(("name", "write", "line"), [
    ("x.npy", lambda path: np.save(path, F_HZ), "x.npy (5, 4, 32) float64"),
    ("x.npz", lambda path: np.savez(path, a=P), "a (5, 4, 32) float64"),
    ("x.mat", lambda path: scipy.io.savemat(path, {"a": P}), "a (5, 4, 32) double"),
    ("x.h5", lambda path: write_plain(path, {"some/thing": P}), "some/thing (5, 4, 32) float64"),
    ("x.ibw", lambda path: path.write_bytes(b"\x05\x00"), "x.ibw"),
    ("x", lambda path: (path.mkdir(), (path / "p.txt").write_text("1 2")), "1 text files")])
def test_inspect_lists_what_it_cannot_use(tmp_path, capsys, name, write, line):
    write(tmp_path / name)
    assert main(["inspect", str(tmp_path / name)]) == 1
    text = capsys.readouterr().out
    assert f"  {line}\n" in text and "Not usable: " in text


def test_a_command_that_reads_one_line_of_inspect_ends_it_quietly(path):
    write_plain(path, PLAIN)
    asked = subprocess.Popen([sys.executable, "-m", "helpers.scans", "inspect", path], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    asked.stdout.close()
    assert asked.stderr.read() == "" and asked.wait() == 0

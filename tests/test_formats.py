"""Every format written with the library that defines it, or exactly as that does, and read back."""

import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.scans import formats, usid_axes
from helpers.scans.__main__ import inspect
from helpers.scans.choice import Choice
from helpers.scans.formats import DataError
from helpers.scans.reading import load_scan
from helpers.scans.scan import save_scan, simulated_scan
from helpers.twin import measurement as twin
from helpers.twin.switching import drive_voltage

SHAPE = (4, 7)
FITTED = "Measurement_000/Channel_000/Raw_Data-SHO_Fit_000"


@pytest.fixture(scope="module")
def made():
    return twin.simulate(seed=5, shape=SHAPE)


def assert_loops(scan, piezoresponse, resonance_kHz, voltage_V, rtol=1e-12):
    np.testing.assert_allclose(scan.voltage_V, voltage_V, atol=1e-5)
    atol = rtol * np.ptp(piezoresponse)
    np.testing.assert_allclose(scan.piezoresponse, piezoresponse, rtol=rtol, atol=atol)
    np.testing.assert_allclose(scan.resonance_kHz, resonance_kHz, rtol=rtol)


def load_read_only(path, choice):
    before = path.read_bytes()
    path.chmod(0o444)
    scan = load_scan(path, choice)
    assert path.read_bytes() == before
    return scan


def triangle(steps):
    """A drive of one cycle from +3 V, without a step at the same voltage as its neighbour."""
    return 3 - 12 * np.abs((np.arange(steps) / steps + 0.5) % 1 - 0.5)


def matlab_variables(made):
    """Loops and oscillators of two cycles as the group stored them: Out… in order of acquisition."""
    loops, resonance = (np.roll(cube, 24, axis=-1) for cube in (made.piezoresponse, made.resonance_kHz))
    voltage = made.voltage_V[:, None]
    return {
        "Loopdata_mixed": made.piezoresponse, "Voltagedata_mixed": voltage,
        "VoltageDC_mixed": np.hstack([np.roll(voltage, 24, axis=0)] * 2),
        "OutA2_mixed": np.abs(loops), "OutPhi2_mixed": np.where(loops > 0, -0.7, np.pi - 0.7),
        "Outw2_mixed": resonance * 1e3, "OutQ2_mixed": np.full(loops.shape, 200.0),
        "OutA1_mixed": 0.5 * np.abs(loops), "OutPhi1_mixed": np.where(loops > 0, 0.3, np.pi + 0.3),
        "Outw1_mixed": resonance * 1e3 + 500, "topo_mixed": np.arange(64.0).reshape(8, 8),
    }


def write_mat73(path, variables):
    """As MATLAB: HDF5 behind 512 bytes of header, axes reversed, a class with every variable."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in variables.items():
            file.create_dataset(name, data=np.asarray(values).T).attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")


@pytest.fixture(params=[scipy.io.savemat, write_mat73], ids=["v5", "v7.3"])
def write(request):
    return request.param


def turned_by(angle):
    return lambda variables: {"optrotang": np.full(SHAPE, angle), "OutPhi1_mixed": variables["OutPhi2_mixed"]}


@pytest.mark.parametrize(("cycle", "change", "share", "shift_kHz", "rtol", "note"), [
    (None, lambda _: {}, 1, 0, 1e-12, "resonance moved ahead by 24 steps to meet the voltage"),
    (1, lambda _: {}, 0.5, 0.5, 1e-3, "P = A cos(φ + θ) with the optimum θ = -0.300 rad"),
    (1, lambda v: {"OutPhi1_mixed": np.degrees(v["OutPhi1_mixed"])}, 0.5, 0.5, 1e-4, "optimum θ = -0.300 rad"),
    ("mean", lambda _: {}, 0.75, 0.25, 1e-3, "mean of the cycles 1, 2"),
    *((1, turned_by(angle), 0.5, 0.5, 1e-9, "P = A cos(φ + θ) with the θ of optrotang")
      for angle in (0.7, -0.7, np.degrees(0.7), np.degrees(-0.7)))])
def test_matlab_files_are_read_aligned_and_in_kHz(write, made, tmp_path, cycle, change, share, shift_kHz, rtol, note):
    variables = matlab_variables(made)
    write(tmp_path / "Data.txt", variables | change(variables))
    scan = load_read_only(tmp_path / "Data.txt", Choice(cycle=cycle))
    assert_loops(scan, share * made.piezoresponse, made.resonance_kHz + shift_kHz, made.voltage_V, rtol)
    np.testing.assert_array_equal(scan.topography, np.arange(64.0).reshape(8, 8))
    assert scan.shape == SHAPE and scan.source == "measured" and np.isnan(scan.size_um) and not scan.turned
    assert scan.moved == 24
    assert any(note in said for said in scan.notes)


@pytest.mark.parametrize(("share", "size_um"), [(1, 2), (5 / 16, np.nan)])
def test_a_matlab_file_of_the_published_size_and_drive_has_its_scale_and_its_turn(tmp_path, share, size_um):
    published = matlab_variables(twin.simulate(0))
    scipy.io.savemat(tmp_path / "film.mat", published | {
        name: share * published[name] for name in ("Voltagedata_mixed", "VoltageDC_mixed")})
    scan = load_scan(tmp_path / "film.mat")
    np.testing.assert_equal(scan.size_um, size_um)
    assert scan.shape == (60, 60) and scan.turned == (share == 1)


@pytest.mark.parametrize("start", [0, 24])
def test_loops_from_zero_volt_are_stored_as_acquired(made, tmp_path, start):
    """Without the drive: from the largest voltage the resonance lags by a quarter, from 0 V by nothing."""
    variables = matlab_variables(made)
    scipy.io.savemat(tmp_path / "scan.mat", {
        "Loopdata_mixed": np.roll(made.piezoresponse, start, axis=-1), "Outw2_mixed": variables["Outw2_mixed"],
        "Voltagedata_mixed": np.roll(made.voltage_V, start)})
    scan = load_scan(tmp_path / "scan.mat")
    assert_loops(scan, *(np.roll(x, start, axis=-1) for x in (made.piezoresponse, made.resonance_kHz, made.voltage_V)))


@pytest.mark.parametrize(("absent", "choice", "message"), [
    ("OutPhi1_mixed", Choice(cycle=1), "no OutPhi1_mixed"), ("OutA1_mixed", Choice(cycle=1), "no loops of cycle 1"),
    ("OutA1_mixed", Choice(cycle="mean"), "holds one cycle: expected several to average"),
    ("topo_mixed", Choice(field="on"), "off-field")])
def test_what_a_matlab_file_lacks_is_named(write, made, tmp_path, absent, choice, message):
    variables = matlab_variables(made)
    write(tmp_path / "d.mat", {name: values for name, values in variables.items() if name != absent})
    with pytest.raises(DataError, match=message):
        load_scan(tmp_path / "d.mat", choice)
    write(tmp_path / "d.mat", {name: values for name, values in variables.items() if name != "Outw2_mixed"})
    scan = load_scan(tmp_path / "d.mat")
    assert scan.resonance_kHz is None and "the file has no Outw2_mixed" in scan.notes
    assert scan.spectra.shape == (28, 96, 1)


def test_the_order_of_acquisition_shows_in_an_npy_of_the_known_drive(made, tmp_path):
    resonance = made.resonance_kHz + np.linspace(0, 4, 96)[(np.arange(96) + 24) % 96]  # a drift
    for stored in (resonance, np.roll(resonance, 24, axis=-1)):
        np.save(tmp_path / "x.npy", np.stack([made.piezoresponse, stored], -1))
        scan = load_scan(tmp_path / "x.npy")
        assert_loops(scan, made.piezoresponse, resonance, drive_voltage())
        assert any("taken to be the paper's drive" in note for note in scan.notes)


def test_a_list_of_pixels_is_square_or_has_a_grid_and_other_step_counts_need_a_voltage(tmp_path):
    loops = np.random.default_rng(0).normal(size=(3000, 96))
    np.save(tmp_path / "x.npy", loops)
    with pytest.raises(DataError, match=r"3000 pixels, not 54 × 54.*give grid=\(rows, columns\)"):
        load_scan(tmp_path / "x.npy")
    assert load_scan(tmp_path / "x.npy", Choice(grid=(40, 75))).shape == (40, 75)
    np.save(tmp_path / "x.npy", loops[:900])
    assert "900 pixels taken as a square of 30 × 30" in load_scan(tmp_path / "x.npy").notes
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(4, 5, 64)))
    with pytest.raises(DataError, match="64 steps and no voltage"):
        load_scan(tmp_path / "x.npy")
    scan = load_scan(tmp_path / "x.npy", Choice(voltage_V=triangle(64)))
    np.testing.assert_array_equal(scan.voltage_V, triangle(64))


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def test_nothing_is_ever_unpickled(tmp_path):
    array = np.full((3, 96), Bomb(), object)
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    np.savez(tmp_path / "y.npz", loops=array)
    (tmp_path / "z.npy").write_bytes(pickle.dumps(Bomb()))
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("loops.npy", pickle.dumps(Bomb()))
    for name in ("x.npy", "y.npz", "z.npy", "w.npz"):
        with pytest.raises(DataError, match=name):
            load_scan(tmp_path / name)


def test_claims_of_size_are_checked_before_memory_is_taken(tmp_path):
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6, 96)}
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("piezoresponse", (10**5, 10**5, 96), chunks=(10, 10, 96))
        file["voltage"] = drive_voltage()
    for name in ("x.npy", "x.h5"):
        with pytest.raises(DataError, match=name):
            load_scan(tmp_path / name)


def write_main(group, name, values, position, spectroscopic):
    """A main dataset and its ancillaries with the attributes that pyUSID 0.0.12 gives them.

    `position` and `spectroscopic` map labels to (unit, values, indices), slowest first.
    """
    main = group.create_dataset(name, data=values)
    main.attrs.update(quantity="Piezoresponse", units="V", pyUSID_version="0.0.12")
    for kind, axes in (("Position", position), ("Spectroscopic", spectroscopic)):
        for part, dtype in (("Indices", "uint32"), ("Values", "float32")):
            column = 2 if part == "Indices" else 1
            table = np.array([axis[column] for axis in axes.values()], dtype)
            key = f"{kind}_{part}"
            if key not in group:
                made = group.create_dataset(key, data=table.T if kind == "Position" else table)
                made.attrs["labels"] = np.array([label.encode() for label in axes])
                made.attrs["units"] = np.array([axis[0].encode() for axis in axes.values()])
            main.attrs[key] = group[key].ref
    return main


def axes_of(**lengths_and_values):
    """Every combination of (unit, values), the first axis slowest."""
    grids = np.meshgrid(*(np.arange(len(v)) for _, v in lengths_and_values.values()), indexing="ij")
    return {label: (unit, np.asarray(values)[grid.ravel()], grid.ravel())
            for (label, (unit, values)), grid in zip(lengths_and_values.items(), grids, strict=True)}


def table(piezoresponse, resonance, unit="Hz", r2=0.99):
    """Oscillators as BGlib fits them."""
    names = ("Amplitude [V]", f"Frequency [{unit}]", "Quality Factor", "Phase [rad]", "R2 Criterion")
    made = np.zeros(piezoresponse.shape, [(name, "f8") for name in names])
    phase = np.where(piezoresponse > 0, -0.4, np.pi - 0.4)
    for name, values in zip(names, (np.abs(piezoresponse), resonance, 100, phase, r2), strict=True):
        made[name] = values
    return made


@pytest.fixture(scope="module")
def usid_parts():
    """Loops (rows, columns, cycles, fields, steps), resonance and the drive from 0 V upwards."""
    made = twin.simulate(seed=6, shape=SHAPE)
    loops = np.roll(made.piezoresponse, 24, axis=-1)[:, :, None, None, ::4]
    resonance = np.roll(made.resonance_kHz, 24, axis=-1)[:, :, None, None, ::4]
    factor = np.array([[0.5, 0.6], [1.0, 1.2]])[..., None]  # by cycle and field
    shift = np.array([[0.0, 1.0], [2.0, 3.0]])[..., None]
    return loops * factor, resonance + shift, np.roll(drive_voltage(), 24)[::4]


def write_usid(path, parts, keep=("raw", "fit", "loops"), positions=None, order=("Cycle", "Field", "DC_Offset")):
    loops, resonance_kHz, voltage_V = parts
    axes = [2 + ("Cycle", "Field", "DC_Offset").index(label) for label in order]
    loops, resonance_kHz = (cube.transpose(0, 1, *axes) for cube in (loops, resonance_kHz))
    flat = (28, 2 * 2 * len(voltage_V))
    chosen = slice(None) if positions is None else positions
    space = {label: (unit, v[chosen], i[chosen]) for label, (unit, v, i) in axes_of(
        Y=("um", np.arange(4) * 0.5), X=("um", np.arange(7) * 0.5)).items()}
    known = {"Cycle": ("", [0.0, 1.0]), "Field": ("", [0.0, 1.0]), "DC_Offset": ("V", voltage_V)}
    cycle_field = {label: known[label] for label in order}
    fitted = axes_of(**cycle_field)
    spectra, frequency_kHz = twin.raw_spectra(loops, resonance_kHz)
    with h5py.File(path, "w") as file:
        channel = file.create_group("Measurement_000/Channel_000")
        if "raw" in keep:
            raw_axes = axes_of(**cycle_field, Frequency=("Hz", frequency_kHz * 1e3))
            write_main(channel, "Raw_Data", spectra.reshape(28, -1)[chosen], space, raw_axes)
        group = channel.create_group("Raw_Data-SHO_Fit_000")
        for name in (name for name in ("guess", "fit") if name in keep):
            write_main(group, name.title(), table(loops, 1e3 * resonance_kHz).reshape(flat)[chosen], space, fitted)
        if "loops" in keep:
            write_main(group.create_group("Fit-Loop_Fit_000"), "Projected_Loops",
                       3 * loops.reshape(flat)[chosen], space, fitted)


@pytest.mark.parametrize("keep", [("raw",), ("fit",), ("loops",)])
def test_the_mean_of_usid_cycles_misses_what_one_misses_and_needs_equal_drives(usid_parts, tmp_path, keep):
    write_usid(tmp_path / "scan.h5", usid_parts, keep)
    first, second, mean = (load_scan(tmp_path / "scan.h5", Choice(cycle=n)) for n in (1, 2, "mean"))
    np.testing.assert_allclose(mean.piezoresponse, (first.piezoresponse + second.piezoresponse) / 2)
    assert {"cycle 1 of 2", "cycle 2 of 2", "mean of the cycles 1, 2"} <= set(mean.notes)
    if keep == ("loops",):
        with h5py.File(tmp_path / "scan.h5", "a") as file:
            file[f"{FITTED}/Fit-Loop_Fit_000/Projected_Loops"][9, 3] = np.nan
        assert load_scan(tmp_path / "scan.h5", Choice(cycle="mean")).cleaning.map.sum() == 1
    if keep == ("fit",):
        with h5py.File(tmp_path / "scan.h5", "a") as file:
            values = file[f"{FITTED}/Spectroscopic_Values"]
            values[2] = values[2] * (1 + values[0])
        with pytest.raises(DataError, match="drives its cycles differently"):
            load_scan(tmp_path / "scan.h5", Choice(cycle="mean"))


@pytest.mark.parametrize("order", [("Cycle", "DC_Offset", "Field"), ("DC_Offset", "Field", "Cycle")])
@pytest.mark.parametrize("keep", [("raw",), ("fit",), ("loops",)])
def test_axes_may_vary_in_any_order(usid_parts, tmp_path, order, keep):
    """BGlib's translator lets the field vary fastest, since both are read at every step."""
    write_usid(tmp_path / "a.h5", usid_parts, keep)
    write_usid(tmp_path / "b.h5", usid_parts, keep, order=order)
    for choice in (Choice(), Choice(cycle=1, field="on")):
        one, other = (load_scan(tmp_path / name, choice) for name in ("a.h5", "b.h5"))
        atol = 0.02 * one.piezoresponse.std()
        np.testing.assert_allclose(other.piezoresponse, one.piezoresponse, atol=atol)
        np.testing.assert_array_equal(other.voltage_V, one.voltage_V)


@pytest.mark.parametrize(("keep", "used"), [
    (("raw", "guess", "fit"), "SHO_Fit_000/Fit"), (("raw", "guess"), "fitted to"),
    (("guess",), "SHO_Fit_000/Guess")])
def test_a_guess_is_the_last_resort(usid_parts, tmp_path, keep, used):
    write_usid(tmp_path / "scan.h5", usid_parts, keep)
    assert used in load_scan(tmp_path / "scan.h5").notes[0]


def frequencies_last(channel):
    order = np.lexsort((channel["Spectroscopic_Indices"][2], channel["Spectroscopic_Indices"][3]))
    for name in ("Raw_Data", "Spectroscopic_Indices", "Spectroscopic_Values"):
        channel[name][...] = channel[name][:][:, order]


def conjugated(channel):
    channel["Raw_Data"][...] = channel["Raw_Data"][:].conj()


@pytest.mark.parametrize("change", [frequencies_last, conjugated])
def test_raw_spectra_in_another_order_or_sign_give_the_same_loops(usid_parts, tmp_path, change):
    write_usid(tmp_path / "scan.h5", usid_parts, ("raw",))
    plain = load_scan(tmp_path / "scan.h5")
    with h5py.File(tmp_path / "scan.h5", "a") as file:
        change(file["Measurement_000/Channel_000"])
    np.testing.assert_allclose(load_scan(tmp_path / "scan.h5").piezoresponse, plain.piezoresponse)


def test_positions_in_any_order_or_missing_are_read_and_a_fit_broken_off_gives_way_to_the_spectra(usid_parts, tmp_path):
    positions = np.random.default_rng(0).permutation(28)[:25]
    write_usid(tmp_path / "scan.h5", usid_parts, ("fit",), positions)
    scan = load_scan(tmp_path / "scan.h5")
    there = np.isin(np.arange(28), positions).reshape(SHAPE)
    np.testing.assert_array_equal(scan.unusable, ~there)
    np.testing.assert_array_equal(scan.usable, there.ravel())
    expected = usid_parts[0][:, :, 1, 0][there]
    np.testing.assert_allclose(scan.piezoresponse[there], expected, rtol=1e-6, atol=1e-12)
    write_usid(tmp_path / "scan.h5", usid_parts, ("raw", "fit"))
    with h5py.File(tmp_path / "scan.h5", "a") as file:
        fit = file[f"{FITTED}/Fit"]
        fit[20:] = np.zeros((), fit.dtype)
    notes = load_scan(tmp_path / "scan.h5").notes
    assert any("fitted to Measurement_000/Channel_000/Raw_Data" in note for note in notes)


@pytest.mark.parametrize(("choice", "message"), [
    ({"cycle": 3}, "has no Cycle 3: expected one of 0, 1"),
    ({"others": {"FORC": 1}}, "has no axis FORC: expected one of Cycle, Field, DC_Offset"),
    (None, "has the axes none: expected DC_Offset")])
def test_axes_that_are_not_there_are_named(usid_parts, tmp_path, choice, message):
    write_usid(tmp_path / "scan.h5", usid_parts, ("fit",))
    if not choice:  # the labels are lost
        with h5py.File(tmp_path / "scan.h5", "a") as file:
            for part in ("Indices", "Values"):
                del file[f"{FITTED}/Spectroscopic_{part}"].attrs["labels"]
    with pytest.raises(DataError, match=message):
        load_scan(tmp_path / "scan.h5", Choice(**choice or {}))


@pytest.mark.parametrize("kind", ["npy", "list", "npz", "matlab", "own", "fit", "raw"])
def test_of_a_large_scan_one_row_and_column_in_so_many_is_used(kind, made, usid_parts, tmp_path, monkeypatch):
    path = tmp_path / ("scan.npz" if kind == "npz" else "scan.npy")
    if kind in ("npy", "list"):
        cube = np.stack([made.piezoresponse, made.resonance_kHz], -1)
        np.save(path, cube if kind == "npy" else cube[:, :4].reshape(16, 96, 2))
    elif kind == "npz":
        np.savez(path, piezoresponse=made.piezoresponse, resonance=made.resonance_kHz)
    elif kind == "matlab":
        scipy.io.savemat(path, matlab_variables(made))
    elif kind == "own":
        save_scan(replace(simulated_scan(5, SHAPE), unusable=np.eye(*SHAPE, dtype=bool)), path)
    else:
        write_usid(path, usid_parts, (kind,))
    whole = load_scan(path)
    monkeypatch.setattr(formats, "MOST_PIXELS", 10)
    monkeypatch.setattr(usid_axes, "BATCH_BYTES", 40_000)  # several batches
    thinned = load_scan(path)
    rows, columns = whole.shape
    assert any(f"of {rows} × {columns} pixels" in note and "in 2 is used" in note for note in thinned.notes)
    rtol = 1e-2 if kind == "raw" else 1e-12  # the rotation is that of fewer pixels
    scale = np.abs(whole.piezoresponse).max()
    np.testing.assert_allclose(thinned.piezoresponse, whole.piezoresponse[::2, ::2], atol=rtol * scale)
    np.testing.assert_allclose(thinned.resonance_kHz, whole.resonance_kHz[::2, ::2])
    np.testing.assert_array_equal(thinned.usable, whole.usable.reshape(rows, columns)[::2, ::2].ravel())


DTYPES = ("<f8", "<f4", ">f4", "<f2", "<i2", "<u1", "<f8", "?", "<c8", "S3")


@st.composite
def arrays_of_any_kind(draw):
    """An array, rows and columns and the voltage that fit it where it can be loops."""
    rows, columns, steps = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(11, 40))
    channels = draw(st.integers(1, 4))
    shape = draw(st.sampled_from([
        (rows, columns, steps), (rows, columns, steps), (rows * columns, steps), (rows * columns, steps, channels),
        (rows, columns, steps, channels), (steps,), (), (rows, 0, steps),
        (1, rows, columns, steps, channels)]))
    dtype = draw(st.sampled_from(DTYPES))
    values = np.asarray(np.random.default_rng(draw(st.integers(0, 99))).normal(size=shape) * 50)
    array = values.astype("<f8" if "f" in dtype else "<i8").astype(dtype)
    if array.dtype.kind == "f" and array.size:
        wrong = slice(draw(st.integers(0, 50)), None, draw(st.integers(1, 90)))
        array.flat[wrong] = draw(st.sampled_from([0.5, np.nan, np.inf, -np.inf]))
    return array, (rows, columns), triangle(steps)


def write_own(path, array, voltage_V):
    with h5py.File(path, "w") as file:
        file["piezoresponse"], file["voltage"] = array, voltage_V


WRITERS = {
    "npy": lambda path, array, voltage_V: np.save(path, array),
    "npz": lambda path, array, voltage_V: np.savez(path, loops=array, voltage=voltage_V),
    "h5": write_own,
    "mat": lambda path, array, voltage_V: scipy.io.savemat(
        path, {"Loopdata_mixed": array, "Voltagedata_mixed": voltage_V}),
}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from([*3 * sorted(WRITERS.keys() - {"mat"}), "mat"]), made=arrays_of_any_kind(),
       cut=st.one_of(st.none(), st.none(), st.none(), st.floats(0, 1)))
def test_any_array_in_any_file_is_loaded_unchanged_or_refused_by_name(kind, made, cut, tmp_path_factory):
    """Random shapes, types, NaN and truncations: one clear error, or no value changed unsaid."""
    array, grid, voltage_V = made
    path = tmp_path_factory.mktemp("any") / f"x.{kind}"
    WRITERS[kind](path, array, voltage_V)
    if cut is not None:
        path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    listed = kind != "mat"
    try:
        scan = load_scan(path, Choice(grid=grid, voltage_V=voltage_V) if listed else None)
    except DataError as error:
        assert path.name in str(error)
        return
    many = listed and (array.ndim == 4 or (array.ndim == 3 and array.shape[-1] <= 8))
    second = any("channels 2 and 1" in note for note in scan.notes)
    stored = (array[..., int(second)] if many else array).reshape(scan.piezoresponse.shape).astype(float)
    flagged = scan.cleaning.flags["piezoresponse"] != 0
    assert flagged[~np.isfinite(stored)].all()
    if not any("never measured" in note for note in scan.notes):
        np.testing.assert_array_equal(flagged, ~np.isfinite(stored))
    kept = ~flagged & scan.usable.reshape(scan.shape)[..., None]
    np.testing.assert_array_equal(scan.piezoresponse[kept], stored[kept])
    assert np.isfinite(scan.spectra).all()
    assert not flagged.any() or scan.notes[-1].startswith("Cleaning: ")


@pytest.fixture(scope="module")
def whole_files(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    small = twin.simulate(seed=1, shape=(2, 2))
    scipy.io.savemat(folder / "5.mat", matlab_variables(small))
    write_mat73(folder / "7.mat", matlab_variables(small))
    np.savez(folder / "x.npz", piezoresponse=small.piezoresponse)
    loops = np.tile(small.piezoresponse[:, :, None, None, ::4], (2, 4, 2, 2, 1))[:4, :7]
    write_usid(folder / "u.h5", (loops, loops * 0 + 1320, drive_voltage()[::4]), ("fit",))
    with h5py.File(folder / "v.h5", "w") as file:
        main = file.create_dataset("loops", data=small.piezoresponse)
        for n, (label, values) in enumerate((("Y", np.arange(2.0)), ("X", np.arange(2.0)), ("Bias", small.voltage_V))):
            main.dims[n].label = label
            file[label] = values
            file[label].make_scale(label)
            main.dims[n].attach_scale(file[label])
        main.attrs.update(data_type="SPECTRAL_IMAGE", quantity="Piezoresponse")
    return sorted(folder.iterdir())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(which=st.integers(0, 4), cut=st.floats(0, 0.999), flip=st.integers(0, 10**6), cutting=st.booleans())
def test_cut_and_damaged_files_give_one_clear_error_or_loops(which, cut, flip, cutting, whole_files, tmp_path_factory):
    content = bytearray(whole_files[which].read_bytes())
    if cutting:
        content = content[: int(cut * len(content))]
    else:
        content[flip % min(len(content), 4096)] ^= 0xFF
    path = tmp_path_factory.mktemp("cut") / "broken.bin"
    path.write_bytes(content)
    try:
        assert np.isfinite(load_scan(path).piezoresponse).all()
    except DataError as error:
        assert "broken.bin" in str(error)


@pytest.mark.parametrize("byte", [145, 200, 201])
def test_a_file_that_crashes_its_reader_is_refused(byte, whole_files):
    """Flags and data type of the first variable, which SciPy believes."""
    content = bytearray(whole_files[0].read_bytes())
    content[byte] ^= 0xFF
    path = whole_files[0].with_name("crash.mat")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"crash\.mat (is damaged: reading it ends the program|cannot be read)"):
        load_scan(path)
    refused = inspect(path)["refused"]
    assert "cannot be read" in refused or "is damaged" in refused


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_scan_is_thinned_once_and_no_more_than_needed(rows, columns):
    every = formats.every_nth((rows, columns, 96))
    left = -(-rows // every), -(-columns // every)
    assert left[0] * left[1] <= formats.MOST_PIXELS and formats.every_nth((*left, 96)) == 1
    assert every == 1 or -(-rows // (every - 1)) * -(-columns // (every - 1)) > formats.MOST_PIXELS


@pytest.mark.parametrize(("removed", "factor", "note"), [
    ([], 3, "loops of"), ([f"{FITTED}/Fit-Loop_Fit_000"], 1, "oscillators of"), ([FITTED], 1, "oscillators fitted to")])
@pytest.mark.parametrize(("choice", "cycle", "field"), [
    (Choice(), 1, 0), (Choice(cycle=1), 0, 0), (Choice(cycle=2, field="on"), 1, 1),
    (Choice(cycle=1, field="on"), 0, 1)])
def test_what_pyusid_wrote_is_read(tmp_path, removed, factor, note, choice, cycle, field):
    written = Path(shutil.copy(Path(__file__).with_name("pyusid.h5"), tmp_path))
    with h5py.File(written, "a") as file:
        for group in removed:
            del file[group]
    scan = load_read_only(written, choice)
    row, column, step = np.indices((2, 3, 12))
    loops = factor * 1e-5 * (1 + 0.1 * row + 0.02 * column) * (1 + cycle + 0.3 * field) * np.sin(np.pi * step / 6)
    rtol = 1e-4 if removed == [FITTED] else 1e-6  # complex64
    np.testing.assert_allclose(scan.piezoresponse, loops, atol=rtol * loops.max())
    np.testing.assert_allclose(scan.resonance_kHz, 318 + 0.8 * row + 0.3 * column + 0.1 * step, rtol=rtol)
    np.testing.assert_allclose(scan.voltage_V, 10 * np.array([0, 1, 2, 3, 2, 1, 0, -1, -2, -3, -2, -1]) / 3)
    assert note in scan.notes[0] and f"cycle {cycle + 1} of 2" in scan.notes
    assert scan.size_um == pytest.approx(0.3)

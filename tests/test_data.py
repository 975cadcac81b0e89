from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from helpers.dictionary import pca_errors, stack_channels, unstack_channels
from helpers.loops import loop_features
from helpers.scans import scan as scans
from helpers.scans.formats import DataError
from helpers.scans.reading import load_scan
from helpers.scans.scan import heldout_blocks, in_physical_units, save_scan, simulated_scan, standardised
from helpers.scores import channel_parts, largest_offset


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(seed=1, shape=(12, 10))


@pytest.fixture
def stored(scan, tmp_path):
    path = tmp_path / "results/scan.h5"
    path.parent.mkdir()
    save_scan(scan, path)
    return path


def test_a_scan_is_read_back_equal(scan, stored):
    again = load_scan(stored)
    for name in ("piezoresponse", "resonance_kHz", "voltage_V"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scan, name))
    np.testing.assert_equal(again.truth, scan.truth)
    assert (again.source, again.sha256, again.path) == (scan.source, scan.sha256, scan.path)


def replace_dataset(path, name, change):
    with h5py.File(path, "a") as file:
        values = file.pop(name)[:]
        if change:
            file[name] = change(values)


def nan_at(*places):
    def change(values):
        values[places] = np.nan
        return values
    return change


@pytest.mark.parametrize(("name", "change", "message"), [
    ("piezoresponse", None, "has no dataset piezoresponse .*rename or add it"),
    ("resonance", lambda x: x * np.inf, "every pixel is beyond repair"),
    ("voltage", nan_at(3), "`voltage` holds 1 NaN or infinite values"),
    ("resonance", np.ones_like, "`resonance` is constant at 1.0"),
    ("piezoresponse", lambda x: x[:, :, :-1], "do not fit together"),
    ("piezoresponse", lambda x: x[0], "holds 10 pixels, not 3 × 3"),
    ("resonance", lambda x: x[0, 0], "do not fit together"),
    ("voltage", lambda x: np.stack([x, x]), "do not fit together"),
    ("voltage", lambda x: np.where(x == x[5], x[4], x), "not one triangular sweep"),
    ("voltage", lambda x: np.random.default_rng(0).permutation(x), "not one triangular sweep"),
    ("voltage", lambda x: np.linspace(-5, 5, 96), "not one triangular sweep"),
    ("voltage", lambda x: np.concatenate([x[::2], x[::-2]]), "not one triangular sweep"),
    ("voltage", lambda x: np.linspace(0, 8, 96), "not one triangular sweep: it ends at"),
    ("voltage", lambda x: np.where(np.arange(96) % 2, x, 0), "the offset while the field is off"),
    ("piezoresponse", lambda x: x.astype("S5"), "is not an array of real numbers"),
    ("unusable", lambda x: x[:, :-1], r"`unusable` has shape \(12, 9\): expected \(12, 10\)"),
])
def test_what_cannot_be_loops_is_refused_by_name(stored, name, change, message):
    with h5py.File(stored, "a") as file:
        file["unusable"] = np.zeros((12, 10), bool)
    replace_dataset(stored, name, change)
    with pytest.raises(DataError, match=message) as caught:
        load_scan(stored)
    assert str(stored) in str(caught.value)


def test_missing_points_are_repaired_and_unusable_pixels_stored_and_not_scaled_by(scan, stored, tmp_path):
    replace_dataset(stored, "piezoresponse", nan_at(0, 0, 3))
    again = load_scan(stored)
    assert again.notes[-1].startswith("Cleaning: 1 missing of piezoresponse, in 1 pixel;")
    assert again.cleaning.map.sum() == 1 and again.unusable is None and again.usable.all()
    expected = scan.piezoresponse.copy()
    expected[0, 0, 3] = (expected[0, 0, 2] + expected[0, 0, 4]) / 2
    np.testing.assert_allclose(again.piezoresponse, expected)
    replace_dataset(stored, "piezoresponse", nan_at(3, 4))
    holed = load_scan(stored)
    assert np.argwhere(holed.unusable).tolist() == [[3, 4]] and (~holed.usable).sum() == 1
    _, scaler = standardised(holed)
    np.testing.assert_allclose(scaler.mean_, again.spectra[holed.usable].mean(axis=(0, 1)))
    save_scan(holed, tmp_path / "again.h5")
    np.testing.assert_array_equal(load_scan(tmp_path / "again.h5").unusable, holed.unusable)


@pytest.mark.parametrize("start", [0, 24, 30, 72])
def test_a_repeated_end_point_is_left_out_and_said(scan, start, tmp_path):
    turned = {name: np.roll(values, -start, axis=-1) for name, values in (
        ("piezoresponse", scan.piezoresponse), ("resonance", scan.resonance_kHz), ("voltage", scan.voltage_V))}
    np.savez(tmp_path / "open.npz", **turned)
    np.savez(tmp_path / "closed.npz", **{name: np.concatenate([values, values[..., :1]], axis=-1)
                                         for name, values in turned.items()})
    once, twice = load_scan(tmp_path / "open.npz"), load_scan(tmp_path / "closed.npz")
    for name in ("piezoresponse", "resonance_kHz", "voltage_V"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(once, name))
    said = [note for note in twice.notes if "repeats the first" in note]
    assert len(said) == 1 and not any("repeats" in note for note in once.notes)
    loop_features(twice.spectra, twice.voltage_V)


def test_loops_without_a_resonance_are_one_channel(scan, stored, tmp_path):
    replace_dataset(stored, "resonance", None)
    single = load_scan(stored)
    assert single.resonance_kHz is None and "the file has no resonance" in single.notes
    np.testing.assert_array_equal(single.spectra, scan.spectra[..., :1])
    spectra, scaler = standardised(single)
    np.testing.assert_allclose(in_physical_units(spectra, scaler), single.spectra)
    save_scan(single, tmp_path / "again.h5")
    assert load_scan(tmp_path / "again.h5").resonance_kHz is None


def test_each_channel_has_one_mean_and_deviation_and_stacked_ones_lie_one_after_the_other(scan):
    spectra, scaler = standardised(scan)
    np.testing.assert_allclose(spectra.mean(axis=(0, 1)), 0, atol=1e-9)
    np.testing.assert_allclose(spectra.std(axis=(0, 1)), 1)
    np.testing.assert_allclose(in_physical_units(spectra, scaler), scan.spectra)
    stacked = stack_channels(spectra)
    np.testing.assert_array_equal(stacked[:, :96], spectra[..., 0])
    np.testing.assert_array_equal(stacked[:, 96:], spectra[..., 1])
    np.testing.assert_array_equal(unstack_channels(stacked, 2), spectra)
    parts = channel_parts(spectra)
    np.testing.assert_array_equal(stack_channels(parts["resonance"]), stacked[:, 96:])
    np.testing.assert_allclose(parts["resonance_course"].mean(axis=1), 0, atol=1e-12)
    assert list(channel_parts(spectra[..., :1])) == ["piezoresponse"]
    assert largest_offset(spectra, spectra - np.eye(96, 2)) == 1


def test_unusable_pixels_are_empty_in_maps_and_models_learn_from_none_of_them_nor_what_is_held_out(scan, monkeypatch):
    unusable = np.zeros(scan.shape, bool)
    unusable[2, 3:6] = True
    holed, values = replace(scan, unusable=unusable), np.arange(240.0).reshape(120, 2)
    assert scan.maps(values)[1, 2, 3] == scan.maps_of({"one": values[:, 1]})["one"][2, 3] == values[23, 1]
    (left, right), back = scans.halves(holed)
    assert back == (right, left) and not (left & right).any() and ((left | right) == ~unusable.ravel()).all()
    assert np.indices(scan.shape)[1].ravel()[left].max() < 5 <= np.indices(scan.shape)[1].ravel()[right].min()
    np.testing.assert_array_equal(np.isnan(holed.maps(values)), np.stack([unusable] * 2))
    assert heldout_blocks((60, 60), 5).mean() == pytest.approx(0.2) and not heldout_blocks((60, 60), 0).any()
    heldout = heldout_blocks(scan.shape, 5)
    training = scans.training_pixels(holed, heldout)
    np.testing.assert_array_equal(training, ~heldout & ~unusable.ravel())
    monkeypatch.setattr("helpers.scans.scan.MOST_TRAINED", 20)
    few = scans.training_pixels(holed, heldout)
    assert few.sum() == 20 and not (few & ~training).any()
    assert np.diff(np.flatnonzero(training).searchsorted(np.flatnonzero(few))).max() <= 5


@pytest.mark.parametrize("start", [0, 24, 48, 60, 72])
def test_the_drive_tells_the_way_down_from_the_way_up(scan, start):
    drive = scans.drive_waveform(np.roll(scan.voltage_V, -start))
    distance = np.linalg.norm(drive[:, None] - drive[None], axis=-1) + 9 * np.eye(len(drive))
    assert np.abs(drive).max() <= 1 and distance.min() > 0.02


@given(rows=st.integers(1, 80), columns=st.integers(1, 80), every=st.integers(2, 7))
def test_heldout_pixels_are_whole_square_blocks(rows, columns, every):
    held, side = heldout_blocks((rows, columns), every).reshape(rows, columns), max(1, min(rows, columns) // 10)
    for row in range(0, rows, side):
        for column in range(0, columns, side):
            assert len(np.unique(held[row : row + side, column : column + side])) == 1
    numbers, held = scans.block_numbers((rows, columns)), held.ravel()
    assert not set(numbers[held]) & set(numbers[~held])


def test_pca_errors_equal_those_of_each_rank():
    rng = np.random.default_rng(0)
    training, spectra = rng.normal(size=(200, 20)) + 1, rng.normal(size=(50, 20))
    for n in (1, 3, 16):
        pca = PCA(n).fit(training)
        expected = np.mean((pca.inverse_transform(pca.transform(spectra)) - spectra) ** 2)
        assert pca_errors(training, spectra)[n - 1] == pytest.approx(expected)


@pytest.mark.parametrize(("shape", "steps", "says"), [
    ((17, 17), 96, "289 usable pixels: expected 300 or more"),
    ((18, 18), 16, "16 values a pixel over all channels: expected more than 16")])
def test_a_scan_too_small_for_the_models_is_refused_before_any_training(shape, steps, says):
    scan = simulated_scan(0, shape)
    scan = replace(scan, piezoresponse=scan.piezoresponse[..., :steps], voltage_V=scan.voltage_V[:steps],
                   resonance_kHz=None)
    with pytest.raises(DataError, match=says):
        scans.check_enough(scan)
    scans.check_enough(simulated_scan(0, (18, 18)))
